/**
 * One process at a time uses a directory: a link `lock` names it, which leads nowhere. Unlike a file it is there with all it says or
 * not at all, and it fits on a disk that is full. Where there are no such links it is a file. One that a dead process left behind
 * is taken over.
 *
 * Two machines, or two containers that do not see each other's processes, are not told apart: do not share a directory so.
 */

import fs from 'node:fs/promises';
import { join } from 'node:path';
import { StoreError } from './store-error.ts';

/** The directory is in use. */
export class DirectoryInUseError extends StoreError {
  override readonly name = 'DirectoryInUseError';
  readonly directory: string;
  readonly processId: number;

  constructor(directory: string, processId: number) {
    const holder = processId === process.pid ? 'this process' : `process ${processId}`;
    super(`The store in ${directory} is in use by ${holder}.`);
    this.directory = directory;
    this.processId = processId;
  }
}

interface Holder {
  readonly processId: number;
  /** Tells a process from a later one of the same id; null where the system does not say. */
  readonly born: string | null;
  /** The same for the process itself, everywhere. */
  readonly origin: number;
}

export class DirectoryLock {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Rejects with a DirectoryInUseError while another living process holds it, or this one does. */
  static async take(directory: string): Promise<DirectoryLock> {
    const path = join(directory, 'lock');
    const own = await ownHolder();
    const text = textOf(own);
    if (await write(path, text)) return new DirectoryLock(path);
    const found = await read(path);
    const holder = parse(found);
    if (holder !== null && (await isAlive(holder, own))) throw new DirectoryInUseError(directory, holder.processId);
    // Moving it away succeeds for one of several that found it stale, and shows what it was that was moved.
    const stale = `${path}.${process.pid}`;
    await fs.rename(path, stale).catch(() => {});
    const moved = await read(stale);
    const isOurs = moved === found && (await write(path, text));
    if (moved !== null && moved !== found) await fs.rename(stale, path);
    else await fs.rm(stale, { force: true });
    if (!isOurs) throw new DirectoryInUseError(directory, parse(moved)?.processId ?? 0);
    return new DirectoryLock(path);
  }

  /** The living process that holds it; null: nobody does. */
  static async holder(directory: string): Promise<number | null> {
    const found = parse(await read(join(directory, 'lock')));
    return found !== null && (await isAlive(found, await ownHolder())) ? found.processId : null;
  }

  async release(): Promise<void> {
    await fs.rm(this.#path, { force: true });
  }
}

async function ownHolder(): Promise<Holder> {
  return { processId: process.pid, born: await birthOf(process.pid), origin: performance.timeOrigin };
}

/** False when there is one already. */
async function write(path: string, text: string): Promise<boolean> {
  try {
    await fs.symlink(text, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
  }
  try {
    await fs.writeFile(path, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** What it says; null: there is none. */
async function read(path: string): Promise<string | null> {
  const link = await fs.readlink(path).catch(() => null);
  return link ?? (await fs.readFile(path, 'utf8').catch(() => null));
}

/** Short enough for file systems that keep up to 59 bytes beside the name. */
function textOf({ processId, born, origin }: Holder): string {
  return `${processId} ${born ?? origin}`;
}

function parse(text: string | null): Holder | null {
  const [, processId, born, origin] = /^(\d+) (?:(\S+ \d+)|(\d+(?:\.\d+)?))\n?$/.exec(text ?? '') ?? [];
  if (processId === undefined) return null; // Cut short: its writer died, or it lies on a disk that lost it.
  return { processId: Number(processId), born: born ?? null, origin: Number(origin ?? 0) };
}

async function isAlive(holder: Holder, own: Holder): Promise<boolean> {
  if (holder.born !== null) return (await birthOf(holder.processId)) === holder.born;
  if (holder.processId === own.processId) return holder.origin === own.origin;
  try {
    process.kill(holder.processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The boot and the tick in which a process began, on Linux; null elsewhere, and when there is no such process any more. */
async function birthOf(processId: number): Promise<string | null> {
  try {
    const [boot, stat] = await Promise.all([
      fs.readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      fs.readFile(`/proc/${processId}/stat`, 'utf8'),
    ]);
    // The command in parentheses may hold anything; behind it come the state and, as the 20th, the start time.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Dead, and its parent does not care: in a container that may be for ever.
    const isDead = fields[0] === 'Z' || fields[0] === 'X';
    return isDead ? null : `${boot.trim()} ${fields[19]}`;
  } catch {
    return null;
  }
}
