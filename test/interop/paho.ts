/** Paho for Python, of the Debian package. */
import { spawnSync } from 'node:child_process';
import { DrivenClient } from './driven-client.ts';

/** Debian's Python first: another one on the path does not see Debian's modules. */
const pythons = ['/usr/bin/python3', 'python3'];

export function pahoClient(caFile: string): DrivenClient {
  for (const python of pythons) {
    const { status, stdout } = spawnSync(python, ['-c', 'import paho.mqtt; print(paho.mqtt.__version__)'], {
      encoding: 'utf8',
    });
    if (status !== 0) continue;
    const driver = new URL('paho-driver.py', import.meta.url).pathname;
    const lacks = { Unix: 'Paho before 2.1 knows no Unix socket' };
    return new DrivenClient('Paho Python', `Paho Python ${stdout.trim()}`, lacks, [python, '-u', driver, caFile]);
  }
  throw new Error('No python3 has the module paho.mqtt: apt-get install python3-paho-mqtt');
}
