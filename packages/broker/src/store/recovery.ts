/**
 * Reads the log at the start: every segment, in order, and applies what counts to the catalog. It changes nothing on the disk.
 *
 * What counts: a batch that is whole, that is, as many records and bytes as its commit record says. A batch that is not whole
 * counts with all of it that is, when a later batch names it as one that lasted; a batch that is the last of all and not whole
 * was never acknowledged, and half of it would be worse than none. A batch that was written to another segment is none of this
 * file's. Whatever does not count is told, with what is known to be missing; the log goes on behind it.
 */

import type { ByteReader } from './bytes.ts';
import type { Catalog } from './catalog.ts';
import type { Operations } from './operations.ts';
import { type Commit, type Facts, RecordType, readCommit, readFacts } from './record.ts';
import { Scan } from './scan.ts';
import type { Segment, Segments } from './segments.ts';

const chunkBytes = 4 * 1024 * 1024;
/** Where a chunk cannot be read, it is tried in pieces of this size. */
const pieceBytes = 64 * 1024;
const readsAhead = 2;

/** A place in the log: a segment's number and an offset in it. */
export interface LogPosition {
  readonly segment: number;
  readonly offset: number;
}

/** A range of a segment that is no part of the log. */
export interface Range {
  readonly segment: number;
  readonly from: number;
  readonly to: number;
}

/** What is wrong with a range of a segment. */
export interface DamagedRange extends Range {
  /**
   * `damaged`: no whole record. `unreadable`: the disk did not give it. `misplaced`: written to another segment, or another log.
   * `missing`: the file ends before it, or is gone, and a later batch says that it was there. `unfinished`: a batch that was
   * being written when the broker died; nobody was told that it lasts.
   */
  readonly kind: 'damaged' | 'unreadable' | 'misplaced' | 'missing' | 'unfinished';
}

export interface Recovered {
  /** The last commit that counts, or at least tells the time of what does; null: an empty log. */
  readonly commit: Commit | null;
  readonly end: LogPosition;
  readonly records: number;
  readonly damage: readonly DamagedRange[];
  /** What was never acknowledged, and known not to be: it may go. */
  readonly abandoned: readonly Range[];
  /** Records that batches which lasted had, and that are missing. */
  readonly lostRecords: number;
  /** Ends of batches are missing too, with an unknown number of records. */
  readonly isLossUnknown: boolean;
}

interface Found {
  readonly facts: Facts;
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
}

interface Gap extends DamagedRange {
  to: number;
}

export class Recovery {
  private readonly operations: Operations;
  private readonly segments: Segments;
  private readonly catalog: Catalog;
  private readonly finished: (recovered: Recovered) => void;
  private readonly waiting: Segment[];
  /** Records since the last commit of the segment being read. */
  private open: Found[] = [];
  /** Records whose batch is not whole: they count if a later commit says so. */
  private doubtful: Found[] = [];
  /** How many records their batch has beside them. */
  private doubtfulLost = 0;
  /** Its commit record. */
  private doubtfulCommit: Commit | null = null;
  private readonly gaps: Gap[] = [];
  /** Segments with batches that were written to another one. */
  private readonly misplaced = new Set<number>();
  /** Between the end of one batch and the start of the next: never acknowledged. */
  private readonly abandoned: { readonly from: LogPosition; readonly to: LogPosition }[] = [];
  private commit: Commit | null = null;
  private end: LogPosition = { segment: 0, offset: 0 };
  /** Behind the last commit record, whether its batch was whole or not. */
  private lastCommitEnd: LogPosition = { segment: 0, offset: 0 };
  private records = 0;
  private lostRecords = 0;
  private isLossUnknown = false;

  constructor(operations: Operations, segments: Segments, catalog: Catalog, finished: (recovered: Recovered) => void) {
    this.operations = operations;
    this.segments = segments;
    this.catalog = catalog;
    this.finished = finished;
    this.waiting = [...segments];
  }

  start(): void {
    const segment = this.waiting.shift();
    if (segment === undefined) this.conclude();
    else this.readSegment(segment);
  }

  // ── Reading

  private readSegment(segment: Segment): void {
    const scan = new Scan(segment.bytes, 0, {
      record: (type, offset, length, reader) => this.found(segment, type, offset, length, reader),
      gap: (from, to) => this.missed(segment, from, to, 'damaged'),
    });
    const chunks = new Map<number, Uint8Array | null>();
    let asked = 0;
    const proceed = (): void => {
      for (let chunk = chunks.get(scan.fedTo); chunk !== undefined; chunk = chunks.get(scan.fedTo)) {
        const at = scan.fedTo;
        chunks.delete(at);
        if (chunk === null) {
          this.readPieces(segment, scan, at, Math.min(at + chunkBytes, segment.bytes), proceed);
          return;
        }
        scan.feed(chunk);
      }
      if (scan.fedTo >= segment.bytes) {
        scan.end();
        this.leftOver(segment);
        this.start();
        return;
      }
      for (; asked < segment.bytes && asked < scan.fedTo + readsAhead * chunkBytes; asked += chunkBytes) {
        this.readChunk(segment, asked, chunks, proceed);
      }
    };
    proceed();
  }

  private readChunk(segment: Segment, at: number, chunks: Map<number, Uint8Array | null>, proceed: () => void): void {
    const length = Math.min(chunkBytes, segment.bytes - at);
    this.operations.ask({ kind: 'read', file: segment.file, at, length }, (result) => {
      chunks.set(at, result.kind === 'read' && result.bytes.length === length ? result.bytes : null);
      proceed();
    });
  }

  /** What of a chunk can be read. */
  private readPieces(segment: Segment, scan: Scan, at: number, end: number, finished: () => void): void {
    if (at >= end) return finished();
    const length = Math.min(pieceBytes, end - at);
    this.operations.ask({ kind: 'read', file: segment.file, at, length }, (result) => {
      const read = result.kind === 'read' ? result.bytes : null;
      if (read !== null && read.length > 0) scan.feed(read);
      const missing = length - (read?.length ?? 0);
      if (missing > 0) {
        const from = scan.fedTo;
        scan.skip(missing);
        this.missed(segment, from, from + missing, 'unreadable');
      }
      this.readPieces(segment, scan, at + length, end, finished);
    });
  }

  // ── Deciding

  private found(segment: Segment, type: number, offset: number, length: number, reader: ByteReader): void {
    if (type === RecordType.Commit) this.committed(segment, offset, offset + length, readCommit(reader));
    else {
      const facts = readFacts(type, reader);
      // Also in a batch that does not count: with more damage its records may come back, and must not be taken for others.
      this.catalog.lastId = Math.max(this.catalog.lastId, highestId(facts));
      this.open.push({ facts, segment: segment.number, offset, length });
    }
  }

  private committed(segment: Segment, offset: number, end: number, commit: Commit): void {
    const start = offset - commit.bytes;
    if (commit.segment !== segment.number) return this.displaced(segment, Math.max(0, start), end);
    const own = this.open.findIndex((found) => found.offset >= start);
    const before = own < 0 ? this.open : this.open.slice(0, own);
    const inside = own < 0 ? [] : own === 0 ? this.open : this.open.slice(own);
    this.open = [];
    this.doubt(before);
    this.resolve(
      { segment: commit.previousSegment, offset: commit.previousEnd },
      { segment: segment.number, offset: start },
    );
    this.lastCommitEnd = { segment: segment.number, offset: end };
    const bytes = inside.reduce((sum, { length }) => sum + length, 0);
    if (inside.length !== commit.records || bytes !== commit.bytes) {
      this.doubtful = inside;
      this.doubtfulLost = commit.records - inside.length;
      this.doubtfulCommit = commit;
      return;
    }
    for (const found of inside) this.apply(found);
    this.commit = commit;
    this.catalog.lastId = Math.max(this.catalog.lastId, commit.lastId);
    this.end = this.lastCommitEnd;
  }

  /** What was read since the last commit record belongs to another file. */
  private displaced(segment: Segment, start: number, end: number): void {
    const from = Math.min(start, this.open[0]?.offset ?? start);
    this.open = [];
    this.misplaced.add(segment.number);
    this.missed(segment, from, end, 'misplaced');
  }

  /** A segment ends without a commit record. */
  private leftOver(segment: Segment): void {
    if (!this.misplaced.has(segment.number)) this.doubt(this.open);
    else if (this.open.length > 0) this.displaced(segment, segment.bytes, segment.bytes);
    this.open = [];
  }

  /** One by one: a batch may have more records than a call takes arguments. */
  private doubt(records: readonly Found[]): void {
    for (const found of records) this.doubtful.push(found);
  }

  /** A batch begins at `start`, and the one before it ended at `previousEnd`: all before that lasted. */
  private resolve(previousEnd: LogPosition, start: LogPosition): void {
    for (const found of this.doubtful) if (isBefore(found, previousEnd)) this.apply(found);
    if (!isBefore(previousEnd, this.lastCommitEnd)) {
      this.lostRecords += this.doubtfulLost;
      this.commit = this.doubtfulCommit ?? this.commit;
    }
    // Also when nothing behind it counts: the next batch must not say that it never lasted.
    if (isBefore(this.end, previousEnd)) this.end = previousEnd;
    this.doubtful = [];
    this.doubtfulLost = 0;
    this.doubtfulCommit = null;
    if (isBefore(previousEnd, start)) this.abandoned.push({ from: previousEnd, to: start });
    // What an older segment had, if it is not there any more, was cleaned.
    const isKnown = this.segments.oldest !== null && previousEnd.segment >= this.segments.oldest.number;
    if (isKnown && isBefore(this.lastCommitEnd, previousEnd)) this.skipped(previousEnd, start);
  }

  /** Between the last commit record and `previousEnd` there was another one at least. */
  private skipped(previousEnd: LogPosition, start: LogPosition): void {
    this.isLossUnknown = true;
    const { segment, offset } = previousEnd;
    const from = segment === start.segment ? start.offset : (this.segments.get(segment)?.bytes ?? 0);
    if (from < offset) this.gaps.push({ segment, from, to: offset, kind: 'missing' });
  }

  private apply({ facts, segment, offset, length }: Found): void {
    this.records++;
    this.catalog.apply(facts, segment, offset, length);
  }

  private missed(segment: Segment, from: number, to: number, kind: Gap['kind']): void {
    const last = this.gaps.at(-1);
    if (last?.segment === segment.number && last.to === from && last.kind === kind) last.to = to;
    else this.gaps.push({ segment: segment.number, from, to, kind });
  }

  // ── What does not count

  private conclude(): void {
    const { end, records, lostRecords, isLossUnknown } = this;
    // The times of records mean nothing without one of the log's clock: a batch that does not count has that, too.
    const commit = this.commit ?? (records > 0 ? this.doubtfulCommit : null);
    const abandoned = this.abandonedRanges();
    const damage = [...this.unfinished(), ...this.damaged(abandoned)];
    this.finished({ commit, end, records, damage, abandoned, lostRecords, isLossUnknown });
  }

  /** Behind the last batch that counts. */
  private unfinished(): DamagedRange[] {
    return [...this.segments]
      .filter(({ number, bytes }) => isBefore(this.end, { segment: number, offset: bytes }))
      .map(({ number, bytes }): DamagedRange => {
        const from = number === this.end.segment ? this.end.offset : 0;
        return { segment: number, from, to: bytes, kind: this.misplaced.has(number) ? 'misplaced' : 'unfinished' };
      })
      .filter(({ from, to }) => from < to);
  }

  private abandonedRanges(): Range[] {
    return this.abandoned.flatMap(({ from, to }) =>
      [...this.segments]
        .filter(({ number }) => number >= from.segment && number <= to.segment)
        .map(({ number, bytes }) => ({
          segment: number,
          from: number === from.segment ? from.offset : 0,
          to: number === to.segment ? to.offset : bytes,
        })),
    );
  }

  private damaged(abandoned: readonly Range[]): DamagedRange[] {
    return this.gaps
      .filter(({ segment, from }) => isBefore({ segment, offset: from }, this.end))
      .filter((gap) => !abandoned.some((range) => isWithin(gap, range)));
  }
}

export function isWithin(inner: Range, outer: Range): boolean {
  return inner.segment === outer.segment && inner.from >= outer.from && inner.to <= outer.to;
}

function isBefore(a: LogPosition, b: LogPosition): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset);
}

function highestId(facts: Facts): number {
  const incarnation = 'incarnation' in facts ? facts.incarnation : 0;
  const message = facts.type === RecordType.Message ? facts.id : 'messageId' in facts ? facts.messageId : 0;
  return Math.max(incarnation, message);
}
