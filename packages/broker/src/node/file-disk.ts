/**
 * The disk behind the log on a real machine: one directory, system calls off the main thread, callbacks instead of promises
 * because every commit waits for them.
 *
 * Syncing is `fdatasync`; directories are synced where names appear, change or go. It decides nothing: what fails is told, and
 * not tried again.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import type { Disk, DiskFile, DiskOperation, DiskResult } from '../store/disk.ts';
import { dataFileNames } from './data-files.ts';

type Answer = (result: DiskResult) => void;
type Done = (error: Error | null) => void;
type Change = Exclude<DiskOperation, { kind: 'wait' | 'list' | 'read' }>;

interface OpenFile {
  readonly fd: number;
  /** Operations that use it now: it is not closed before they end. */
  users: number;
  /** Opened for writing and not synced since: its name may be lost in a power cut, so the directory is synced with it. */
  isNew: boolean;
}

/** Files kept open for reading; of all others the one used longest ago is closed. */
const readFilesMax = 64;
const writeFilesMax = 4;

export class FileDisk implements Disk {
  readonly #directory: string;
  readonly #reading = new Map<string, OpenFile>();
  readonly #writing = new Map<string, OpenFile>();
  /** Changes to one file happen one after the other: what waits behind the one under way. */
  readonly #lines = new Map<string, (() => void)[]>();

  /** The directory must exist. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  perform(operation: DiskOperation, answer: Answer): void {
    if (operation.kind === 'wait') setTimeout(() => answer({ kind: 'done' }), operation.ms);
    else if (operation.kind === 'list') this.#list(answer);
    else if (operation.kind === 'read') this.#read(operation, answer);
    else this.#inLine(operation, answer);
  }

  close(done: () => void): void {
    for (const files of [this.#reading, this.#writing]) {
      for (const { fd } of files.values()) fs.closeSync(fd);
      files.clear();
    }
    done();
  }

  #inLine(operation: Change, answer: Answer): void {
    const { file } = operation;
    const run = (): void =>
      this.#change(operation, (error) => {
        const line = this.#lines.get(file) as (() => void)[];
        const next = line.shift();
        if (next === undefined) this.#lines.delete(file);
        else next();
        answer(error === null ? { kind: 'done' } : failed(error));
      });
    const line = this.#lines.get(file);
    if (line !== undefined) line.push(run);
    else {
      this.#lines.set(file, []);
      run();
    }
  }

  #change(operation: Change, done: Done): void {
    switch (operation.kind) {
      case 'append':
        return this.#append(operation.file, operation.bytes, done);
      case 'sync':
        return this.#sync(operation.file, done);
      case 'remove':
        this.#forget(operation.file);
        return fs.unlink(this.#path(operation.file), (error) => {
          this.#syncFolders([operation.file], error?.code === 'ENOENT' ? null : error, done);
        });
      case 'rename': {
        const { file, to } = operation;
        this.#forget(file);
        return this.#makeFolder(to, (error) => {
          if (error !== null) return done(error);
          fs.rename(this.#path(file), this.#path(to), (failure) => this.#syncFolders([file, to], failure, done));
        });
      }
    }
  }

  // ── Reading

  #list(answer: Answer): void {
    // Never from within the call.
    setImmediate(() => {
      try {
        answer({ kind: 'listed', files: dataFileNames(this.#directory).flatMap((name) => this.#listed(name)) });
      } catch (error) {
        answer(failed(error as Error));
      }
    });
  }

  /** Empty when it is gone meanwhile. */
  #listed(name: string): DiskFile[] {
    const found = fs.statSync(this.#path(name), { throwIfNoEntry: false });
    return found === undefined ? [] : [{ name, bytes: found.size }];
  }

  #read({ file, at, length }: Extract<DiskOperation, { kind: 'read' }>, answer: Answer): void {
    this.#use(this.#reading, readFilesMax, file, 'r', (error, open) => {
      if (open === null) return answer(failed(error));
      const memory = Buffer.allocUnsafeSlow(length);
      // Not a Buffer, whose `slice` is a view: what is kept of the bytes would keep all of them.
      const bytes = new Uint8Array(memory.buffer, 0, length);
      const proceed = (from: number): void => {
        fs.read(open.fd, bytes, from, length - from, at + from, (failure, count) => {
          if (failure === null && count > 0 && from + count < length) return proceed(from + count);
          open.users--;
          answer(failure === null ? { kind: 'read', bytes: bytes.subarray(0, from + count) } : failed(failure));
        });
      };
      proceed(0);
    });
  }

  // ── Writing

  #append(file: string, bytes: Uint8Array, done: Done): void {
    this.#makeFolder(file, (folderError) => {
      if (folderError !== null) return done(folderError);
      this.#use(this.#writing, writeFilesMax, file, 'a', (error, open) => {
        if (open === null) return done(error);
        const proceed = (from: number): void => {
          fs.write(open.fd, bytes, from, bytes.length - from, null, (failure, count) => {
            if (failure === null && from + count < bytes.length) return proceed(from + count);
            open.users--;
            done(failure);
          });
        };
        proceed(0);
      });
    });
  }

  #sync(file: string, done: Done): void {
    this.#use(this.#writing, writeFilesMax, file, 'a', (error, open) => {
      if (open === null) return done(error);
      fs.fdatasync(open.fd, (failure) => {
        open.users--;
        if (failure !== null || !open.isNew) return done(failure);
        this.#syncFolders([file], null, (folderError) => {
          if (folderError === null) open.isNew = false;
          done(folderError);
        });
      });
    });
  }

  /** Syncs the folders in which these names are. */
  #syncFolders(files: readonly string[], error: Error | null, done: Done): void {
    const folders = new Set(
      files.flatMap((file) => (file.includes('/') ? [file.slice(0, file.indexOf('/')), ''] : [''])),
    );
    const rest = [...folders];
    const next = (failure: Error | null): void => {
      const folder = rest.shift();
      if (failure !== null || folder === undefined) return done(failure);
      syncFolder(this.#path(folder), next);
    };
    next(error);
  }

  #makeFolder(file: string, done: Done): void {
    if (!file.includes('/')) return done(null);
    const folder = this.#path(file.slice(0, file.indexOf('/')));
    fs.mkdir(folder, { mode: 0o700 }, (error) => done(error?.code === 'EEXIST' ? null : error));
  }

  // ── Open files

  /** Opens a file unless it is open. Whoever gets it takes one off `users` at the end. */
  #use(
    files: Map<string, OpenFile>,
    filesMax: number,
    file: string,
    flags: 'r' | 'a',
    then: (error: Error, open: OpenFile | null) => void,
  ): void {
    const known = files.get(file);
    if (known !== undefined) {
      known.users++;
      files.delete(file); // To the end: the first is the one used longest ago.
      files.set(file, known);
      return then(noError, known);
    }
    fs.open(this.#path(file), flags, 0o600, (error, fd) => {
      if (error !== null) return then(error, null);
      const raced = files.get(file);
      if (raced !== undefined) {
        fs.close(fd, ignore);
        raced.users++;
        return then(noError, raced);
      }
      const open: OpenFile = { fd, users: 1, isNew: flags === 'a' };
      files.set(file, open);
      this.#closeOldest(files, filesMax);
      then(noError, open);
    });
  }

  #closeOldest(files: Map<string, OpenFile>, filesMax: number): void {
    for (const [file, { fd, users }] of files) {
      if (files.size <= filesMax) return;
      if (users > 0) continue;
      files.delete(file);
      fs.close(fd, ignore);
    }
  }

  #forget(file: string): void {
    for (const files of [this.#reading, this.#writing]) {
      const open = files.get(file);
      files.delete(file);
      if (open !== undefined) fs.close(open.fd, ignore);
    }
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }
}

/** Makes the names in a folder last. Windows does that by itself, and does not let folders be opened. */
export function syncFolder(path: string, done: (error: Error | null) => void): void {
  if (process.platform === 'win32') return done(null);
  fs.open(path, 'r', (openError, fd) => {
    if (openError !== null) return done(openError);
    fs.fsync(fd, (syncError) => fs.close(fd, (closeError) => done(syncError ?? closeError ?? null)));
  });
}

const noError = new Error('no error');

/** Nothing depends on a file that was read being closed, and what was written is synced or not by then. */
function ignore(): void {}

function failed(error: Error): DiskResult {
  return { kind: 'failed', reason: error.message };
}
