/**
 * The files of a store as they are at one moment, for reading only: the log may grow and be cleaned meanwhile.
 *
 * All segments are opened at once, because a broker removes old ones: what is open stays readable. A broker moves what lives in an
 * old segment to the newest before it removes the old one. So all files of one listing hold everything, if no newer one has
 * appeared by the time the last of them is open.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import type { Disk, DiskFile, DiskOperation, DiskResult } from '../store/disk.ts';
import { segmentNumber } from '../store/segments.ts';
import { dataFileNames } from './data-files.ts';

/** So often the files may change while they are opened. */
const attemptsMax = 1_000;

export class SnapshotDisk implements Disk {
  readonly #directory: string;
  readonly #files = new Map<string, number>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  perform(operation: DiskOperation, answer: (result: DiskResult) => void): void {
    if (operation.kind === 'read') return this.#read(operation, answer);
    if (operation.kind === 'wait') return void setTimeout(() => answer({ kind: 'done' }), operation.ms);
    // Never from within the call.
    setImmediate(() => answer(operation.kind === 'list' ? this.#list() : failed('these files are only read')));
  }

  close(done: () => void): void {
    this.#keep(new Set());
    done();
  }

  #list(): DiskResult {
    try {
      return { kind: 'listed', files: this.#open() };
    } catch (error) {
      return failed((error as Error).message);
    }
  }

  /** Synchronous, to be done before much has changed. */
  #open(): DiskFile[] {
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const names = this.#names();
      // What an earlier attempt has opened need not be there any more.
      this.#keep(new Set(names));
      const files: DiskFile[] = [];
      for (const name of names) {
        const bytes = this.#openOne(name);
        if (bytes !== null) files.push({ name, bytes });
      }
      if (files.length === names.length && newest(this.#names()) === newest(names)) return files;
    }
    throw new Error(`the files changed ${attemptsMax} times while they were opened`);
  }

  /** In the order of the log, so that the sizes are those of one moment of it. */
  #names(): string[] {
    return dataFileNames(this.#directory).sort();
  }

  /** Its bytes; null when it is gone. A segment that may not be opened is listed all the same: reading it will fail. */
  #openOne(name: string): number | null {
    const path = join(this.#directory, name);
    try {
      if (segmentNumber(name) === null) return fs.statSync(path).size;
      let file = this.#files.get(name);
      if (file === undefined) {
        file = fs.openSync(path, 'r');
        this.#files.set(name, file);
      }
      return fs.fstatSync(file).size;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES') return fs.statSync(path).size;
      if (code === 'ENOENT') return null;
      throw error;
    }
  }

  #read({ file, at, length }: Extract<DiskOperation, { kind: 'read' }>, answer: (result: DiskResult) => void): void {
    const open = this.#files.get(file);
    if (open === undefined) return void setImmediate(() => answer(failed(`${file} may not be read`)));
    const bytes = new Uint8Array(length);
    const proceed = (from: number): void => {
      fs.read(open, bytes, from, length - from, at + from, (error, count) => {
        if (error !== null) return answer(failed(error.message));
        if (count > 0 && from + count < length) return proceed(from + count);
        answer({ kind: 'read', bytes: bytes.subarray(0, from + count) });
      });
    };
    proceed(0);
  }

  /** Closes all others. */
  #keep(names: ReadonlySet<string>): void {
    for (const [name, file] of this.#files) {
      if (names.has(name)) continue;
      fs.closeSync(file);
      this.#files.delete(name);
    }
  }
}

function newest(names: readonly string[]): string | undefined {
  return names.filter((name) => segmentNumber(name) !== null).at(-1);
}

function failed(reason: string): DiskResult {
  return { kind: 'failed', reason };
}
