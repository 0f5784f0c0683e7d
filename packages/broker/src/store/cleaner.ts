/**
 * Gives disk space back: reads the oldest sealed segment in chunks, offers what is still alive in it for the next append, and
 * removes the file when nothing is left.
 *
 * Always the oldest: a record that ends another (settled, unsubscribed, …) is needed as long as the other is in the log, which
 * is in the same segment or an older one. So in the oldest segment it is needed no more, and nobody has to look for the other.
 * For the same reason the next segment waits until this one's name is gone for good.
 */

import type { Move } from './batch.ts';
import type { Catalog } from './catalog.ts';
import { failureOf, type Operations } from './operations.ts';
import { type Facts, RecordType, readFacts } from './record.ts';
import { Scan } from './scan.ts';
import type { Segment, Segments } from './segments.ts';
import { type Damage, quarantineFolder, type SetAside } from './set-aside.ts';

/** Bytes read at once, unless batches are larger: cleaning must keep up with them. */
const chunkBytes = 1024 * 1024;
/** A read that fails is tried again after the next commit, so often: what is given up is lost. */
const readAttemptsMax = 16;
/** Then by pieces of this size, which stand where recovery's do: what one of them loses, no other need lose. */
const pieceBytes = 64 * 1024;
/** A segment of which less than this share lives is cleaned whatever the rest of the log looks like. */
const sparseShare = 1 / 8;
/** Segments beyond those that the bytes of the log would fill: short ones come from restarts. */
const shortSegmentsMax = 16;

interface Candidate extends Move {
  readonly offset: number;
}

export interface CleanerOptions {
  readonly segmentBytes: number;
  /** Bytes of dead records that are tolerated beyond as many as live. */
  readonly slackBytes: number;
  /** Segments up to this number are cleaned whatever they hold. */
  readonly cleanedThrough: number;
}

export class Cleaner {
  private readonly operations: Operations;
  private readonly segments: Segments;
  private readonly catalog: Catalog;
  private readonly setAside: SetAside;
  private readonly options: CleanerOptions;
  private readonly found: (damage: Damage) => void;
  private segment: Segment | null = null;
  private scan: Scan | null = null;
  private isWaiting = false;
  /** Why a file could not be read or removed: tried again after the next commit. */
  private obstacle: string | null = null;
  /** So far the segment is read by pieces. */
  private carefulTo = 0;
  /** Reads that failed since the last one that did not. */
  private failedReads = 0;
  private gaps: { from: number; to: number }[] = [];
  private candidates: Candidate[] = [];
  /** Those of the append under way. */
  private taken: readonly Candidate[] = [];
  /** Bytes of the last append. */
  private paceBytes = 0;

  constructor(
    operations: Operations,
    segments: Segments,
    catalog: Catalog,
    setAside: SetAside,
    options: CleanerOptions,
    found: (damage: Damage) => void,
  ) {
    this.operations = operations;
    this.segments = segments;
    this.catalog = catalog;
    this.setAside = setAside;
    this.options = options;
    this.found = found;
  }

  /** Records to append now, and to apply as any other; told what came of it by `committed` or `failed`. */
  takeMoves(): readonly Move[] {
    const { segment } = this;
    if (segment === null) return [];
    this.taken = this.candidates.filter(({ facts, offset }) => this.catalog.isLive(facts, segment.number, offset));
    this.candidates = [];
    return this.taken;
  }

  /** An append of this many bytes lasts. */
  committed(bytes: number): void {
    this.taken = [];
    this.paceBytes = bytes;
    this.tryAgain();
  }

  /** What stopped it, and will again unless something has changed; null: nothing. */
  get stoppedBy(): string | null {
    return this.obstacle;
  }

  /** Goes on at the next step where it was stopped. */
  tryAgain(): void {
    this.obstacle = null;
  }

  /** An append failed. */
  failed(): void {
    this.candidates = [...this.taken, ...this.candidates];
    this.taken = [];
  }

  /** Goes on, if there is something to do; `active` is not touched. After every answer of the disk. */
  step(active: Segment | null): void {
    if (this.isWaiting || this.obstacle !== null || this.candidates.length > 0 || this.taken.length > 0) return;
    this.segment ??= this.choose(active);
    const { segment } = this;
    if (segment === null) return;
    this.scan ??= this.startScan(segment);
    if (segment.live === 0) this.remove(segment);
    else if (this.scan.fedTo < segment.bytes) this.read(segment, this.scan);
    else this.conclude(segment, this.scan);
  }

  private choose(active: Segment | null): Segment | null {
    const { oldest, bytes, live, count } = this.segments;
    if (oldest === null || oldest === active) return null;
    const { segmentBytes, slackBytes, cleanedThrough } = this.options;
    const isDue =
      oldest.number <= cleanedThrough ||
      oldest.live < oldest.bytes * sparseShare ||
      oldest.live === 0 ||
      bytes > 2 * live + slackBytes ||
      count > shortSegmentsMax + (2 * bytes) / segmentBytes;
    return isDue ? oldest : null;
  }

  private startScan(segment: Segment): Scan {
    this.gaps = [];
    this.carefulTo = 0;
    return new Scan(segment.bytes, 0, {
      record: (type, offset, _length, reader, frame) => {
        if (type === RecordType.Commit) return;
        const facts: Facts = readFacts(type, reader);
        if (this.catalog.isLive(facts, segment.number, offset)) this.candidates.push({ facts, offset, frame: frame() });
      },
      gap: (from, to) => this.missed(segment, from, to),
    });
  }

  private missed(segment: Segment, from: number, to: number): void {
    if (!this.setAside.isReleased({ segment: segment.number, from, to })) this.gaps.push({ from, to });
  }

  private read(segment: Segment, scan: Scan): void {
    const at = scan.fedTo;
    const isCareful = at < this.carefulTo;
    const wanted = isCareful ? pieceBytes - (at % pieceBytes) : Math.max(chunkBytes, 2 * this.paceBytes);
    const length = Math.min(wanted, segment.bytes - at);
    this.isWaiting = true;
    segment.readers++;
    this.operations.ask({ kind: 'read', file: segment.file, at, length }, (result) => {
      segment.readers--;
      this.isWaiting = false;
      const bytes = result.kind === 'read' ? result.bytes : null;
      if (bytes === null && ++this.failedReads < readAttemptsMax) {
        this.obstacle = failureOf(result);
        return;
      }
      this.failedReads = 0;
      if (bytes === null && !isCareful) {
        this.carefulTo = at + length;
        return;
      }
      if (bytes !== null && bytes.length > 0) scan.feed(bytes);
      const missing = length - (bytes?.length ?? 0);
      if (missing > 0) {
        scan.skip(missing);
        this.missed(segment, at + length - missing, at + length);
      }
    });
  }

  /** Everything alive was moved; what remains is lost, unreadable or dead. */
  private conclude(segment: Segment, scan: Scan): void {
    scan.end();
    if (this.candidates.length > 0) return;
    const gap = this.gaps.shift();
    if (gap !== undefined) {
      const { from, to } = gap;
      this.isWaiting = true;
      this.setAside.copy({ segment: segment.number, from, to }, (copy) => {
        if (copy === null) segment.isKept = true;
        this.found({ file: segment.file, from, to, kind: 'damaged', copy });
        this.isWaiting = false;
      });
      return;
    }
    if (segment.live > 0) this.catalog.forgetSegment(segment.number);
    this.remove(segment);
  }

  private remove(segment: Segment): void {
    if (segment.readers > 0) return;
    this.isWaiting = true;
    const { file, isKept } = segment;
    this.operations.ask(
      isKept ? { kind: 'rename', file, to: quarantineFolder + file } : { kind: 'remove', file },
      (result) => {
        this.obstacle = failureOf(result);
        if (this.obstacle === null) {
          this.segments.remove(segment);
          this.segment = null;
          this.scan = null;
          this.candidates = [];
        }
        this.isWaiting = false;
      },
    );
  }
}
