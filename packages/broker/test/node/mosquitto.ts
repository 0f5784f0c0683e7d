/** A Mosquitto of Debian on a free port, in a folder of its own. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answered, freePort } from './ports.ts';

export interface Mosquitto {
  readonly port: string;
  /** For files that its configuration names. */
  readonly folder: string;
  /** Kills it, and removes the folder. */
  stop(): Promise<void>;
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
  const ended = new Promise<void>((done) => {
    broker.once('error', () => done());
    broker.once('close', () => done());
  });
  const stop = async (): Promise<void> => {
    broker.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const missing = ended.then(() => Promise.reject(new Error('mosquitto does not start: apt-get install mosquitto')));
  try {
    await Promise.race([answered(port), missing]);
  } catch (error) {
    await stop();
    throw error;
  }
  missing.catch(() => undefined);
  return { port: String(port), folder, stop };
}
