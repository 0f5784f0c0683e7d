/**
 * The files of the log and how much of each is still pointed at. The newest is appended to, all others are sealed.
 */

export interface Segment {
  readonly number: number;
  readonly file: string;
  /** Bytes of the file, damaged and abandoned ones included. */
  bytes: number;
  /** Bytes of the records in it that the catalog points at. */
  live: number;
  /** Reads under way: it is not removed before they are answered. */
  readers: number;
  /** It holds bytes that could not be read nor copied: instead of being removed it is moved to the quarantine. */
  isKept: boolean;
}

const namePattern = /^segment-(\d{10})\.log$/;
/** Places are kept in 32 bits. What bears a higher number is none of ours, and so there is room above whatever is found. */
const foundNumberMax = 4_000_000_000;

export function segmentFile(number: number): string {
  return `segment-${String(number).padStart(10, '0')}.log`;
}

/** The number in the name of a segment's file; null for any other file. */
export function segmentNumber(file: string): number | null {
  const digits = namePattern.exec(file)?.[1];
  return digits === undefined || Number(digits) > foundNumberMax ? null : Number(digits);
}

export class Segments {
  /** In rising order. */
  private readonly byNumber = new Map<number, Segment>();
  bytes = 0;
  live = 0;

  get count(): number {
    return this.byNumber.size;
  }

  get oldest(): Segment | null {
    for (const segment of this.byNumber.values()) return segment;
    return null;
  }

  get newest(): Segment | null {
    return [...this.byNumber.values()].at(-1) ?? null;
  }

  get(number: number): Segment | undefined {
    return this.byNumber.get(number);
  }

  /** `number` is above all others. */
  add(number: number, bytes: number): Segment {
    const segment = { number, file: segmentFile(number), bytes, live: 0, readers: 0, isKept: false };
    this.byNumber.set(number, segment);
    this.bytes += bytes;
    return segment;
  }

  remove(segment: Segment): void {
    if (this.byNumber.delete(segment.number)) this.bytes -= segment.bytes;
  }

  grow(segment: Segment, bytes: number): void {
    segment.bytes += bytes;
    this.bytes += bytes;
  }

  /** A record of `bytes` in segment `number` is pointed at from now on; negative: no more. */
  mark(number: number, bytes: number): void {
    const segment = this.byNumber.get(number);
    if (segment === undefined) return;
    segment.live += bytes;
    this.live += bytes;
  }

  [Symbol.iterator](): Iterator<Segment> {
    return this.byNumber.values();
  }
}
