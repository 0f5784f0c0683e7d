/**
 * Reads the log at the start: every segment, in order, and applies what counts to the catalog.
 *
 * What counts: a batch that is whole, that is, as many records and bytes as its commit record says. A batch that is not whole
 * counts with all of it that is, when a later batch names it as one that lasted; a batch that is the last of all and not whole
 * was never acknowledged, and half of it would be worse than none, so it is set aside. Whatever cannot be read is copied to the
 * quarantine and reported; the log goes on behind it.
 */

import type { ByteReader } from './bytes.ts';
import type { Catalog } from './catalog.ts';
import type { Operations } from './operations.ts';
import { type Commit, type Facts, RecordType, readCommit, readFacts } from './record.ts';
import { Scan } from './scan.ts';
import type { Segment, Segments } from './segments.ts';
import type { Damage, SetAside } from './set-aside.ts';

const chunkBytes = 4 * 1024 * 1024;
/** Where a chunk cannot be read, it is tried in pieces of this size. */
const pieceBytes = 64 * 1024;
const readsAhead = 2;

/** A place in the log: a segment's number and an offset in it. */
export interface LogPosition {
  readonly segment: number;
  readonly offset: number;
}

export interface Recovered {
  /** The last commit that counts; null: an empty log. */
  readonly commit: Commit | null;
  readonly end: LogPosition;
  readonly records: number;
  readonly damage: readonly Damage[];
}

interface Found {
  readonly facts: Facts;
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
}

interface Gap {
  readonly segment: number;
  readonly from: number;
  to: number;
  readonly isUnreadable: boolean;
}

export class Recovery {
  private readonly operations: Operations;
  private readonly segments: Segments;
  private readonly catalog: Catalog;
  private readonly setAside: SetAside;
  private readonly finished: (recovered: Recovered) => void;
  private readonly waiting: Segment[];
  /** Records since the last commit of the segment being read. */
  private open: Found[] = [];
  /** Records whose batch is not whole: they count if a later commit says so. */
  private doubtful: Found[] = [];
  private readonly gaps: Gap[] = [];
  /** Between the end of one batch and the start of the next: never acknowledged. */
  private readonly abandoned: { readonly from: LogPosition; readonly to: LogPosition }[] = [];
  private commit: Commit | null = null;
  private end: LogPosition = { segment: 0, offset: 0 };
  private records = 0;
  private readonly damage: Damage[] = [];

  constructor(
    operations: Operations,
    segments: Segments,
    catalog: Catalog,
    setAside: SetAside,
    finished: (recovered: Recovered) => void,
  ) {
    this.operations = operations;
    this.segments = segments;
    this.catalog = catalog;
    this.setAside = setAside;
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
      gap: (from, to) => this.missed(segment, from, to, false),
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
        this.doubtful.push(...this.open);
        this.open = [];
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
        this.missed(segment, from, from + missing, true);
      }
      this.readPieces(segment, scan, at + length, end, finished);
    });
  }

  // ── Deciding

  private found(segment: Segment, type: number, offset: number, length: number, reader: ByteReader): void {
    if (type === RecordType.Commit) this.committed(segment, offset, offset + length, readCommit(reader));
    else this.open.push({ facts: readFacts(type, reader), segment: segment.number, offset, length });
  }

  private committed(segment: Segment, offset: number, end: number, commit: Commit): void {
    const start = offset - commit.bytes;
    const own = this.open.findIndex((found) => found.offset >= start);
    const before = own < 0 ? this.open : this.open.slice(0, own);
    const inside = own < 0 ? [] : own === 0 ? this.open : this.open.slice(own);
    this.open = [];
    this.doubtful.push(...before);
    this.resolve(
      { segment: commit.previousSegment, offset: commit.previousEnd },
      { segment: segment.number, offset: start },
    );
    const bytes = inside.reduce((sum, { length }) => sum + length, 0);
    if (inside.length !== commit.records || bytes !== commit.bytes) {
      this.doubtful = inside;
      return;
    }
    for (const found of inside) this.apply(found);
    this.commit = commit;
    this.catalog.lastId = Math.max(this.catalog.lastId, commit.lastId);
    this.end = { segment: segment.number, offset: end };
  }

  /** A batch begins at `start`, and the one before it ended at `previousEnd`: all before that lasted. */
  private resolve(previousEnd: LogPosition, start: LogPosition): void {
    for (const found of this.doubtful) if (isBefore(found, previousEnd)) this.apply(found);
    this.doubtful = [];
    if (isBefore(previousEnd, start)) this.abandoned.push({ from: previousEnd, to: start });
  }

  private apply({ facts, segment, offset, length }: Found): void {
    this.records++;
    this.catalog.apply(facts, segment, offset, length);
  }

  private missed(segment: Segment, from: number, to: number, isUnreadable: boolean): void {
    const last = this.gaps.at(-1);
    if (last?.segment === segment.number && last.to === from && last.isUnreadable === isUnreadable) last.to = to;
    else this.gaps.push({ segment: segment.number, from, to, isUnreadable });
  }

  // ── Setting aside

  private conclude(): void {
    const ranges = [...this.unfinished(), ...this.damaged()];
    const next = (): void => {
      const range = ranges.shift();
      if (range === undefined) {
        const { commit, end, records, damage } = this;
        this.finished({ commit, end, records, damage });
        return;
      }
      const { segment, from, to, kind } = range;
      const found = this.segments.get(segment) as Segment;
      this.setAside.copy(segment, from, to, (copy) => {
        if (copy === null) found.isKept = true;
        this.damage.push({ file: found.file, from, to, kind, copy });
        next();
      });
    };
    next();
  }

  /** Behind the last batch that counts. */
  private unfinished(): { segment: number; from: number; to: number; kind: Damage['kind'] }[] {
    return [...this.segments]
      .filter(({ number, bytes }) => isBefore(this.end, { segment: number, offset: bytes }))
      .map(({ number, bytes }) => {
        const from = number === this.end.segment ? this.end.offset : 0;
        return { segment: number, from, to: bytes, kind: 'unfinished' as const };
      })
      .filter(({ from, to }) => from < to);
  }

  private damaged(): { segment: number; from: number; to: number; kind: Damage['kind'] }[] {
    for (const { from, to } of this.abandoned) {
      for (const { number, bytes } of this.segments) {
        const start = number === from.segment ? from.offset : 0;
        const end = number === to.segment ? to.offset : bytes;
        if (number >= from.segment && number <= to.segment) this.setAside.release(number, start, end);
      }
    }
    return this.gaps
      .filter((gap) => isBefore({ segment: gap.segment, offset: gap.from }, this.end))
      .filter((gap) => !this.setAside.isReleased(gap.segment, gap.from, gap.to))
      .map(({ segment, from, to, isUnreadable }) => {
        return { segment, from, to, kind: isUnreadable ? 'unreadable' : 'damaged' };
      });
  }
}

function isBefore(a: LogPosition, b: LogPosition): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset);
}
