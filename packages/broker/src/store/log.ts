/**
 * The durable log: a synchronous state machine between a store's calls and a disk's operations. It owns the order of appends,
 * the catalog of what lives, and the cleaning of what does not; it knows no clock, no promise and no file system.
 *
 *     commit, page, fetch ─▶ log ─▶ take(): operations for the disk, answers for the caller
 *     done(operation, result) ─▶
 *
 * Invariants: one append is under way at a time; the catalog holds only what lasts; a file is never appended to again after
 * anything about an append to it failed, because what the disk holds of it is then unknown: the whole batch, with what came
 * since, goes to the next file.
 */

import type { Batch, FetchRequest, PageRequest, StoredMessage, StoredPage, StoredState } from '../core/index.ts';
import { type Append, BatchWriter, type Move } from './batch.ts';
import { Cleaner } from './cleaner.ts';
import { LogContents, type LogReport, type Opened } from './contents.ts';
import type { DiskResult } from './disk.ts';
import { growthOf } from './growth.ts';
import type { Retained } from './load.ts';
import { type Asked, failureOf } from './operations.ts';
import type { Commit } from './record.ts';
import type { LogPosition } from './recovery.ts';
import type { Segment } from './segments.ts';
import { type Damage, SetAside } from './set-aside.ts';

export interface LogOptions {
  /** A segment is sealed when it has this many bytes. */
  readonly segmentBytes: number;
  /** A segment is sealed from this many bytes on when hardly anything in it is alive, so that it can be given back. */
  readonly sparseSegmentBytes: number;
  /** Dead bytes that are tolerated beyond as many as live. */
  readonly slackBytes: number;
  /** Bytes that live at most: beyond, a batch that makes them more fails. Disk use is up to twice that, and `slackBytes`. */
  readonly liveBytesMax: number;
  /** What lives in segments with damage, and in older ones, is written anew after the start: the damage is told only once. */
  readonly rewritesDamaged: boolean;
  /** False: an append lasts once the operating system has it, which a power cut may take back, until the log is closed. */
  readonly syncs: boolean;
}

const mebibyte = 1024 * 1024;

export const defaultLogOptions: LogOptions = {
  segmentBytes: 64 * mebibyte,
  sparseSegmentBytes: 8 * mebibyte,
  slackBytes: 128 * mebibyte,
  liveBytesMax: 32 * 1024 * mebibyte,
  rewritesDamaged: false,
  syncs: true,
};

export type Answer =
  | { readonly kind: 'loaded'; readonly state: StoredState; readonly report: LogReport }
  | { readonly kind: 'not-loaded'; readonly reason: string }
  | { readonly kind: 'committed'; readonly number: number; readonly error: string | null }
  | {
      readonly kind: 'paged';
      readonly number: number;
      readonly page: StoredPage | null;
      readonly error: string | null;
    }
  | {
      readonly kind: 'fetched';
      readonly number: number;
      readonly messages: readonly (StoredMessage | null)[] | null;
      readonly error: string | null;
    }
  /** Damage found while running. */
  | { readonly kind: 'damaged'; readonly damage: Damage }
  /** After `close`: what the operating system was trusted with may not be on the disk. */
  | { readonly kind: 'not-synced'; readonly reason: string };

interface UnderWay {
  readonly append: Append;
  readonly batch: Batch | null;
  readonly segment: Segment;
  failure: string | null;
}

export class Log {
  private readonly options: LogOptions;
  private readonly contents = new LogContents();
  private readonly operations = this.contents.operations;
  private readonly segments = this.contents.segments;
  private readonly catalog = this.contents.catalog;
  private readonly writer = new BatchWriter(this.catalog);
  private cleaner: Cleaner | null = null;
  private setAside: SetAside | null = null;
  private answers: Answer[] = [];
  /** The newest segment, while it may be appended to. */
  private active: Segment | null = null;
  private lastNumber = 0;
  /** Where the last batch ends that lasts. */
  private end: LogPosition = { segment: 0, offset: 0 };
  private last: Pick<Commit, 'batch' | 'wall' | 'clock'> = { batch: 0, wall: 0, clock: 0 };
  private waiting: Batch | null = null;
  private underWay: UnderWay | null = null;
  /** Why the last append failed: nothing is moved until one of a batch succeeds. */
  private failing: string | null = null;
  private isClosing = false;
  /** Segments that were appended to and not synced. */
  private readonly unsynced = new Set<Segment>();

  constructor(options: Partial<LogOptions> = {}) {
    this.options = { ...defaultLogOptions, ...options };
    this.contents.open((opened, reason) => {
      if (opened === null) this.answers.push({ kind: 'not-loaded', reason });
      else this.opened(opened);
    });
  }

  // ── Inputs

  /** At most one batch at a time, and only after `loaded`; it must not change before it is answered. */
  commit(batch: Batch): void {
    this.catalog.retained.takenOver();
    const { live } = this.segments;
    if (live > this.options.liveBytesMax && growthOf(batch.changes, this.catalog) > 0) {
      const error = `the store is full: ${live} bytes of ${this.options.liveBytesMax} are in use`;
      this.answers.push({ kind: 'committed', number: batch.number, error });
      return;
    }
    this.waiting = batch;
    this.advance();
  }

  page(request: PageRequest): void {
    const { number, key, incarnation } = request;
    const session = this.catalog.sessionOf(key);
    if (session === undefined || session.incarnation !== incarnation) {
      this.answers.push({ kind: 'paged', number, page: { deliveries: [], lost: [] }, error: null });
      return;
    }
    this.contents.loader.page(session, request, (page, error) => {
      this.answers.push({ kind: 'paged', number, page, error });
    });
  }

  fetch({ number, messages: wanted, givesUp }: FetchRequest): void {
    const topics = wanted.map(({ topic }) => topic);
    const read = (found: readonly (Retained | null)[] | null, error: string | null): void => {
      const isWanted = (index: number, id: number): boolean => wanted[index]?.id === id;
      const messages =
        found?.map((each, index) => (each !== null && isWanted(index, each.message.id) ? each.message : null)) ?? null;
      this.answers.push({ kind: 'fetched', number, messages, error });
    };
    this.contents.loader.retained(topics, read, givesUp);
  }

  /** What keeps cleaning from going on; null: nothing. */
  get obstacle(): string | null {
    return this.failing ?? this.cleaner?.stoppedBy ?? null;
  }

  /** Cleaning goes on without waiting for the next commit. */
  tryAgain(): void {
    this.failing = null;
    this.cleaner?.tryAgain();
    this.advance();
  }

  done(id: number, result: DiskResult): void {
    this.operations.done(id, result);
    this.advance();
  }

  /** Nothing is begun any more that nobody asked for, but syncing what was not: then it is idle. */
  close(): void {
    this.isClosing = true;
    this.advance();
  }

  // ── Outputs

  take(): { readonly operations: readonly Asked[]; readonly answers: readonly Answer[] } {
    const { answers } = this;
    this.answers = [];
    return { operations: this.operations.take(), answers };
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    return this.operations.isIdle && this.underWay === null && this.waiting === null;
  }

  get bytes(): number {
    return this.segments.bytes;
  }

  get liveBytes(): number {
    return this.segments.live;
  }

  // ── Opening

  private opened({ state, report, recovered, files }: Opened): void {
    const { operations, segments, catalog, options } = this;
    if (recovered.commit !== null) this.last = recovered.commit;
    this.end = recovered.end;
    this.lastNumber = segments.newest?.number ?? 0;
    const setAside = new SetAside(operations, files);
    this.setAside = setAside;
    for (const range of recovered.abandoned) setAside.release(range);
    setAside.copyAll(recovered.damage, segments, (damage) => {
      this.answers.push({ kind: 'loaded', state, report: { ...report, damage } });
      const told = (found: Damage): void => {
        this.answers.push({ kind: 'damaged', damage: found });
      };
      // The rest of an unfinished batch is no damage: it may stand until its segment's time comes.
      const damaged = recovered.damage.filter(({ kind }) => kind !== 'unfinished').map(({ segment }) => segment);
      const lastDamaged = damaged.reduce((a, b) => Math.max(a, b), 0);
      // What is lost may have left records in any later segment, which would be reported again at every start.
      const isLossy = report.lostSessions + report.lostMessages > 0;
      const rewritten = isLossy ? this.lastNumber : lastDamaged;
      const cleanedThrough = options.rewritesDamaged ? rewritten : 0;
      this.cleaner = new Cleaner(operations, segments, catalog, setAside, { ...options, cleanedThrough }, told);
    });
  }

  // ── Appending

  private advance(): void {
    if (this.underWay !== null || this.cleaner === null) return;
    const moves = this.failing !== null || this.isClosing ? [] : this.cleaner.takeMoves();
    if (this.waiting !== null || moves.length > 0) {
      this.append(moves, this.waiting);
      this.waiting = null;
    }
    if (!this.isClosing) this.cleaner.step(this.active);
    else if (this.underWay === null) this.syncRest();
  }

  private syncRest(): void {
    for (const { number, file } of this.unsynced) {
      if (this.segments.get(number) === undefined) continue;
      this.operations.ask({ kind: 'sync', file }, (result) => {
        const reason = failureOf(result);
        if (reason !== null) this.answers.push({ kind: 'not-synced', reason });
      });
    }
    this.unsynced.clear();
  }

  private append(moves: readonly Move[], batch: Batch | null): void {
    const { wall, clock } = batch ?? this.last;
    const segment = this.segmentForAppend();
    const append = this.writer.write(moves, batch?.changes ?? [], {
      batch: batch?.number ?? this.last.batch,
      wall,
      clock,
      segment: segment.number,
      previousSegment: this.end.segment,
      previousEnd: this.end.offset,
    });
    const underWay: UnderWay = { append, batch, segment, failure: null };
    this.underWay = underWay;
    const { file } = segment;
    const isSynced = this.options.syncs;
    this.operations.ask({ kind: 'append', file, bytes: append.bytes }, (result) => {
      underWay.failure = failureOf(result);
      if (!isSynced) this.ended(underWay);
    });
    if (!isSynced) {
      this.unsynced.add(segment);
      return;
    }
    // Asked for at once: the disk begins it when the append has ended, without a turn of ours in between.
    this.operations.ask({ kind: 'sync', file }, (result) => {
      underWay.failure ??= failureOf(result);
      this.ended(underWay);
    });
  }

  private segmentForAppend(): Segment {
    this.active ??= this.segments.add(++this.lastNumber, 0);
    return this.active;
  }

  /** Whether nothing is appended to it any more: it is full, or so little of it lives that it can be given back. */
  private isDone({ bytes, live }: Segment): boolean {
    const { segmentBytes, sparseSegmentBytes } = this.options;
    return bytes >= segmentBytes || (bytes >= sparseSegmentBytes && live * 8 < bytes);
  }

  private ended({ append, batch, segment, failure }: UnderWay): void {
    this.underWay = null;
    if (failure === null) this.lasts(append, batch, segment);
    else this.failed(append, segment, failure);
    if (batch !== null) this.answers.push({ kind: 'committed', number: batch.number, error: failure });
  }

  private lasts({ bytes, records, lastId }: Append, batch: Batch | null, segment: Segment): void {
    const start = segment.bytes;
    this.segments.grow(segment, bytes.length);
    for (const { facts, offset, length } of records) {
      this.catalog.apply(facts, segment.number, start + offset, length);
    }
    this.catalog.endBatch();
    this.catalog.lastId = lastId;
    this.end = { segment: segment.number, offset: segment.bytes };
    if (batch !== null) this.last = { batch: batch.number, wall: batch.wall, clock: batch.clock };
    this.failing = null;
    if (this.isDone(segment)) this.active = null;
    this.cleaner?.committed(bytes.length);
  }

  private failed({ bytes }: Append, segment: Segment, failure: string): void {
    this.failing = failure;
    this.cleaner?.failed();
    this.active = null;
    // How much of it is on the disk is unknown; the batch is written again elsewhere.
    this.setAside?.release({ segment: segment.number, from: segment.bytes, to: Number.POSITIVE_INFINITY });
    const isAllOfIt = segment.bytes === 0;
    this.segments.grow(segment, bytes.length);
    if (isAllOfIt) this.discard(segment);
  }

  /**
   * A file with nothing in it but a failed append may be what fills the disk. If it cannot be removed now it stays in line for
   * cleaning: the commit behind it, which says that it does not count, must not go first.
   */
  private discard(segment: Segment): void {
    segment.readers++;
    this.operations.ask({ kind: 'remove', file: segment.file }, (result) => {
      segment.readers--;
      if (failureOf(result) === null) this.segments.remove(segment);
    });
  }
}
