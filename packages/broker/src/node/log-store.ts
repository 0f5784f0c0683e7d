/**
 * The store of a real broker: the pure log over the files of one directory. Everything asynchronous about it is here.
 */

import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Batch, FetchRequest, PageRequest, Store, StoredMessage, StoredPage, StoredState } from '../core/index.ts';
import type { LogReport } from '../store/contents.ts';
import { type Answer, defaultLogOptions, Log } from '../store/log.ts';
import type { Damage } from '../store/set-aside.ts';
import { DirectoryLock } from './directory-lock.ts';
import { DiskRoom, type StoreSize } from './disk-room.ts';
import { FileDisk, syncFolder } from './file-disk.ts';
import { StoreError, storeError } from './store-error.ts';

export interface StoreOptions {
  /** What a commit waits for: the disk (default), or the operating system, which a power cut or a crash of it may outrun. */
  readonly durability?: Store['durability'];
  /** Bytes of disk the store takes, nearly: beyond, what adds to it fails. Default 64 GiB. At least four segments. */
  readonly storeBytesMax?: number;
  /** Bytes of one file; default 64 MiB, on a small disk less. */
  readonly segmentBytes?: number;
  /** After damage, what lives in damaged files is written anew at once, so that the damage is reported only once. Default false. */
  readonly rewritesDamaged?: boolean;
  /** Told what was found at the start, before `load` resolves. */
  readonly onReport?: (report: LogReport) => void;
  /** Told of damage found while running. */
  readonly onDamage?: (damage: Damage) => void;
}

interface Pending<Value> {
  readonly done: (value: Value) => void;
  readonly failed: (error: Error) => void;
}

interface Running {
  readonly log: Log;
  readonly disk: FileDisk;
  readonly lock: DirectoryLock;
  readonly room: DiskRoom;
}

const segmentBytesMin = 256 * 1024;
/** More than it takes to give up a few places that cannot be read. */
const cleaningAttemptsMax = 300;
const cleaningPauseMs = 10;

/** A store in a directory, which is made when it is not there. It is locked from `load` until `close`. */
export function openStore(directory: string, options: StoreOptions = {}): LogStore {
  return new LogStore(directory, options);
}

export class LogStore implements Store {
  readonly durability: Store['durability'];
  readonly directory: string;
  readonly #options: StoreOptions;
  #running: Running | null = null;
  #changed: (roomBytes: number) => void = () => {};
  #loading: Pending<StoredState> | null = null;
  readonly #commits = new Map<number, Pending<void>>();
  readonly #pages = new Map<number, Pending<StoredPage>>();
  readonly #fetches = new Map<number, Pending<readonly (StoredMessage | null)[]>>();
  /** Why what was written may not outlast a power cut. */
  #notSynced: string | null = null;
  /** Told when nothing is under way any more. */
  #onIdle: (() => void) | null = null;

  constructor(directory: string, options: StoreOptions) {
    this.directory = resolve(directory);
    this.#options = options;
    this.durability = options.durability ?? 'fsync';
  }

  /** Reads what lasted. Rejects with a StoreError when the directory is in use or of no use; never for damage. */
  async load(): Promise<StoredState> {
    if (this.#running !== null) throw new Error('The store is loaded already.');
    const lock = await openDirectory(this.directory);
    const { storeBytesMax, rewritesDamaged = false } = this.#options;
    const segmentBytes = this.#options.segmentBytes ?? (await fittingSegmentBytes(this.directory));
    const slackBytes = 2 * segmentBytes;
    const liveBytesMax =
      storeBytesMax === undefined
        ? defaultLogOptions.liveBytesMax
        : Math.max(segmentBytes, (storeBytesMax - slackBytes) / 2);
    const sparseSegmentBytes = Math.min(defaultLogOptions.sparseSegmentBytes, segmentBytes / 2);
    const log = new Log({
      segmentBytes,
      sparseSegmentBytes,
      slackBytes,
      liveBytesMax,
      rewritesDamaged,
      syncs: this.durability === 'fsync',
    });
    const room = new DiskRoom(this.directory, liveBytesMax, (roomBytes) => this.#changed(roomBytes));
    this.#running = { log, disk: new FileDisk(this.directory), lock, room };
    const loaded = new Promise<StoredState>((done, failed) => {
      this.#loading = { done, failed };
    });
    this.#pump();
    try {
      return await loaded;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  watch(changed: (roomBytes: number) => void): void {
    this.#changed = changed;
  }

  commit(batch: Batch): Promise<void> {
    return new Promise((done, failed) => {
      this.#commits.set(batch.number, { done, failed });
      this.#log.commit(batch);
      this.#pump();
    });
  }

  page(request: PageRequest): Promise<StoredPage> {
    return new Promise((done, failed) => {
      this.#pages.set(request.number, { done, failed });
      this.#log.page(request);
      this.#pump();
    });
  }

  fetch(request: FetchRequest): Promise<readonly (StoredMessage | null)[]> {
    return new Promise((done, failed) => {
      this.#fetches.set(request.number, { done, failed });
      this.#log.fetch(request);
      this.#pump();
    });
  }

  /**
   * Ends what is under way, syncs what was left to the operating system, and gives the directory back. Rejects with a StoreError,
   * after that, when the disk has refused to sync.
   */
  async close(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    const { log, disk, lock, room } = running;
    room.close();
    log.close();
    this.#pump();
    await this.rest();
    this.#running = null;
    await new Promise<void>((done) => disk.close(done));
    await lock.release();
    const reason = this.#notSynced;
    if (reason === null) return;
    throw new StoreError(
      `The store in ${this.directory} is closed, and what it wrote last may not be on the disk: ${reason}.`,
    );
  }

  /** Resolves when nothing is under way any more, giving back space included. */
  async rest(): Promise<void> {
    if (this.#log.isIdle) return;
    await new Promise<void>((done) => {
      this.#onIdle = done;
    });
    this.#onIdle = null;
  }

  /** Lets cleaning do what it can, now. Resolves to null, or to what it could not get over in some seconds. */
  async clean(): Promise<string | null> {
    for (let attempt = 1; ; attempt++) {
      await this.rest();
      const { obstacle } = this.#log;
      if (obstacle === null || attempt === cleaningAttemptsMax) return obstacle;
      await setTimeout(cleaningPauseMs);
      this.#log.tryAgain();
      this.#pump();
    }
  }

  /** Bytes of its files, and of what in them still counts. */
  get size(): StoreSize {
    const { bytes, liveBytes } = this.#log;
    return { bytes, liveBytes };
  }

  get #log(): Log {
    if (this.#running === null) throw new Error('The store is not loaded.');
    return this.#running.log;
  }

  #pump(): void {
    if (this.#running === null) return;
    const { log, disk } = this.#running;
    const { operations, answers } = log.take();
    for (const { id, operation } of operations) {
      disk.perform(operation, (result) => {
        log.done(id, result);
        this.#pump();
      });
    }
    for (const answer of answers) this.#answer(answer);
    if (this.#onIdle !== null && log.isIdle) this.#onIdle();
  }

  #answer(answer: Answer): void {
    switch (answer.kind) {
      case 'loaded':
        this.#options.onReport?.(answer.report);
        this.#running?.room.noted(this.size);
        this.#loading?.done(answer.state);
        return;
      case 'not-loaded':
        this.#loading?.failed(new StoreError(`The store in ${this.directory} cannot be read: ${answer.reason}.`));
        return;
      case 'committed':
        this.#running?.room.noted(this.size);
        return settle(this.#commits, answer.number, undefined, answer.error);
      case 'paged':
        return settle(this.#pages, answer.number, answer.page ?? { deliveries: [], lost: [] }, answer.error);
      case 'fetched':
        return settle(this.#fetches, answer.number, answer.messages ?? [], answer.error);
      case 'damaged':
        this.#options.onDamage?.(answer.damage);
        return;
      case 'not-synced':
        this.#notSynced = answer.reason;
    }
  }
}

function settle<Value>(pending: Map<number, Pending<Value>>, number: number, value: Value, error: string | null): void {
  const waiting = pending.get(number);
  pending.delete(number);
  if (error === null) waiting?.done(value);
  else waiting?.failed(new Error(error));
}

/** Space is given back by whole segments: a disk has to hold many. */
async function fittingSegmentBytes(directory: string): Promise<number> {
  const { blocks, bsize } = await fs.statfs(directory);
  const { segmentBytes } = defaultLogOptions;
  return blocks === 0 ? segmentBytes : Math.min(segmentBytes, Math.max(segmentBytesMin, (blocks * bsize) / 64));
}

async function openDirectory(directory: string): Promise<DirectoryLock> {
  try {
    await makeDirectory(directory);
    return await DirectoryLock.take(directory);
  } catch (error) {
    throw error instanceof StoreError ? error : storeError(directory, error as NodeJS.ErrnoException);
  }
}

/** Makes a directory that is there after a power cut too. */
async function makeDirectory(directory: string): Promise<void> {
  // One by one: a recursive mkdir of Node tries for ever where the system says that the parent, which is there, is not.
  const parent = dirname(directory);
  if (parent !== directory && !existsSync(parent)) await makeDirectory(parent);
  try {
    await fs.mkdir(directory, { mode: 0o700 });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    if (isThere && (await fs.stat(directory)).isDirectory()) return;
    throw error;
  }
  await new Promise<void>((done, failed) => {
    syncFolder(parent, (error) => (error === null ? done() : failed(error)));
  });
}
