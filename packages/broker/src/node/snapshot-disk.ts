/**
 * The files of a store as they are at one moment, for reading only: the log may grow and be cleaned meanwhile.
 *
 * All segments are opened at once, because a broker removes old ones: what is open stays readable. It moves what lives in an old
 * segment to the newest before it removes the old one, so files that were all there at one moment hold everything.
 */

import fs, { type FileHandle } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Disk, DiskFile, DiskOperation, DiskResult } from '../store/disk.ts';
import { segmentNumber } from '../store/segments.ts';

/** So often the files may change while they are opened. */
const attemptsMax = 100;

export class SnapshotDisk implements Disk {
  readonly #directory: string;
  #files = new Map<string, FileHandle>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  perform(operation: DiskOperation, answer: (result: DiskResult) => void): void {
    this.#perform(operation).then(answer, (error: Error) => answer({ kind: 'failed', reason: error.message }));
  }

  close(done: () => void): void {
    void this.#closeAll().then(done);
  }

  async #perform(operation: DiskOperation): Promise<DiskResult> {
    switch (operation.kind) {
      case 'list':
        return { kind: 'listed', files: await this.#open() };
      case 'read':
        return { kind: 'read', bytes: await this.#read(operation) };
      default:
        return { kind: 'failed', reason: 'these files are only read' };
    }
  }

  async #open(): Promise<DiskFile[]> {
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      await this.#closeAll();
      const before = await this.#names();
      const files: DiskFile[] = [];
      for (const name of before) {
        const bytes = await this.#openOne(name);
        if (bytes !== null) files.push({ name, bytes });
      }
      const after = await this.#names();
      const isSame = before.length === files.length && before.join() === after.join();
      if (isSame) return files;
    }
    throw new Error(`the files changed ${attemptsMax} times while they were opened`);
  }

  /** In the order of the log, so that the sizes are those of one moment of it. */
  async #names(): Promise<string[]> {
    const entries = await fs.readdir(this.#directory, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(this.#directory, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
      .sort();
  }

  /** Its bytes; null when it is gone. A segment that may not be opened is listed all the same: reading it will fail. */
  async #openOne(name: string): Promise<number | null> {
    const path = join(this.#directory, name);
    try {
      if (segmentNumber(name) === null) return (await fs.stat(path)).size;
      const file = await fs.open(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'EACCES') return null;
        throw error;
      });
      if (file === null) return (await fs.stat(path)).size;
      this.#files.set(name, file);
      return (await file.stat()).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  async #read({ file, at, length }: Extract<DiskOperation, { kind: 'read' }>): Promise<Uint8Array> {
    const open = this.#files.get(file);
    if (open === undefined) throw new Error(`${file} may not be read`);
    const bytes = new Uint8Array(length);
    let read = 0;
    for (let count = -1; read < length && count !== 0; read += count) {
      ({ bytesRead: count } = await open.read(bytes, read, length - read, at + read));
    }
    return bytes.subarray(0, read);
  }

  async #closeAll(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files = new Map();
    for (const file of files) await file.close();
  }
}
