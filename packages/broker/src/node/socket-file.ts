/** The file of a Unix socket that an earlier process has left behind. */

import { lstat, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { ListenError, listenError } from './listen-error.ts';

/** Removes a socket file that nobody answers on; anything else in its place is left alone. Throws ListenError. */
export async function removeStale(path: string): Promise<void> {
  // Asked for by hand: listening there says EACCES.
  const folder = dirname(path);
  if ((await stat(folder).catch(() => null)) === null) throw listenError(path, { code: 'ENOENT' });
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) throw new ListenError(`${path} exists and is not a socket.`);
  const isAnswered = await new Promise<boolean>((done) => {
    const probe = connect({ path });
    probe.once('connect', () => done(true));
    probe.once('error', (error: NodeJS.ErrnoException) => done(error.code !== 'ECONNREFUSED'));
    probe.once('close', () => done(true));
    probe.once('connect', () => probe.destroy());
  });
  if (isAnswered) throw new ListenError(`${path} is already in use.`);
  await unlink(path);
}
