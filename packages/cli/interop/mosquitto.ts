/** A Mosquitto of Debian on a free port, in a folder of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Mosquitto {
  readonly port: string;
  /** For files that its configuration names. */
  readonly folder: string;
  stop(): void;
}

/** `configuration`: what comes after the first listener; `files` are written into the folder, which `FOLDER` stands for; `at`: that port. */
export async function startMosquitto(
  configuration: readonly string[],
  files: Readonly<Record<string, string>> = {},
  at?: string,
): Promise<Mosquitto> {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-mosquitto-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  const port = at === undefined ? await freePort() : Number(at);
  const lines = [`listener ${port} 127.0.0.1`, 'persistence false', 'log_type none', 'user root', ...configuration];
  const config = join(folder, 'mosquitto.conf');
  writeFileSync(config, `${lines.join('\n').replaceAll('FOLDER', folder)}\n`);
  const broker = spawn('mosquitto', ['-c', config], { stdio: 'ignore' });
  broker.on('error', () => {});
  await reachable(port);
  return {
    port: String(port),
    folder,
    stop: () => {
      broker.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  return free;
}

async function reachable(at: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const socket = connect(at, '127.0.0.1');
    const isOpen = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isOpen) return;
    await sleep(50);
  }
  throw new Error('mosquitto does not start: apt-get install mosquitto mosquitto-clients');
}
