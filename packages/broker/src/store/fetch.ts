/**
 * Reads records by their places: in the order of the files, neighbours in one read, checked by their checksums.
 */

import { viewOf } from '@pipit/protocol';
import { ByteReader } from './bytes.ts';
import type { Place } from './catalog.ts';
import { enterBody, frameEnd } from './frame.ts';
import type { Operations } from './operations.ts';
import type { Segment, Segments } from './segments.ts';

/** What lies between two records is read along when it is less. */
const gapBytesMax = 64 * 1024;
const rangeBytesMax = 4 * 1024 * 1024;
const readsAtOnce = 4;

interface Range {
  readonly segment: number;
  readonly start: number;
  end: number;
  /** Indices of the places asked for. */
  readonly items: number[];
}

/**
 * Reads the records at these places. `each` gets a reader that has entered the record's body; it must take what it wants before
 * it returns; runs of bytes are views of what was read; null when the record is damaged, or its segment gone. `finished` comes last, once;
 * with a reason when a read failed: then some were not told. With `givesUp` a record counts as damaged, too, when it cannot be
 * read by itself while something else can: only a disk that reads nothing is a failure then.
 */
export function fetchRecords(
  operations: Operations,
  segments: Segments,
  places: readonly Place[],
  each: (index: number, reader: ByteReader | null) => void,
  finished: (error: string | null) => void,
  givesUp = false,
): void {
  new Fetch(operations, segments, places, each, finished, givesUp).proceed();
}

class Fetch {
  private readonly operations: Operations;
  private readonly segments: Segments;
  private readonly places: readonly Place[];
  private readonly each: (index: number, reader: ByteReader | null) => void;
  private readonly finished: (error: string | null) => void;
  private readonly givesUp: boolean;
  private readonly ranges: Range[];
  /** Records that could not be read by themselves. */
  private readonly unreadable: number[] = [];
  private next = 0;
  private open = 0;
  private error: string | null = null;
  /** Some read succeeded. */
  private hasRead = false;
  private isOver = false;

  constructor(
    operations: Operations,
    segments: Segments,
    places: readonly Place[],
    each: (index: number, reader: ByteReader | null) => void,
    finished: (error: string | null) => void,
    givesUp: boolean,
  ) {
    this.operations = operations;
    this.segments = segments;
    this.places = places;
    this.each = each;
    this.finished = finished;
    this.givesUp = givesUp;
    this.ranges = rangesOf(places);
  }

  proceed(): void {
    const goesOn = (): boolean => this.error === null || this.givesUp;
    while (goesOn() && this.open < readsAtOnce && this.next < this.ranges.length) {
      const range = this.ranges[this.next++] as Range;
      const segment = this.segments.get(range.segment);
      if (segment === undefined) for (const index of range.items) this.each(index, null);
      else this.read(segment, range);
    }
    if (this.open > 0 || this.isOver || (goesOn() && this.next < this.ranges.length)) return;
    this.isOver = true;
    if (this.unreadable.length === 0 || !this.givesUp) this.finished(this.error);
    else this.conclude();
  }

  private read(segment: Segment, range: Range): void {
    this.ask(segment, range.start, range.end - range.start, (bytes, reason) => {
      if (bytes !== null) this.take(range, bytes);
      else this.failed(range, reason);
      this.proceed();
    });
  }

  private take({ start, items }: Range, bytes: Uint8Array): void {
    const view = viewOf(bytes);
    const reader = new ByteReader(bytes, view);
    for (const index of items) {
      const { offset, length } = this.places[index] as Place;
      const at = offset - start;
      const isWhole = frameEnd(view, at, bytes.length, bytes.length) === at + length;
      this.each(index, isWhole ? enterBody(reader, at, at + length) : null);
    }
  }

  private failed({ segment, items }: Range, reason: string): void {
    if (!this.givesUp || items.length === 1) {
      this.error ??= reason;
      for (const item of items) this.unreadable.push(item);
      return;
    }
    for (const index of items) {
      const { offset, length } = this.places[index] as Place;
      this.ranges.push({ segment, start: offset, end: offset + length, items: [index] });
    }
  }

  /** Some records cannot be read by themselves. Does the disk read anything? */
  private conclude(): void {
    if (this.hasRead) {
      for (const index of this.unreadable) this.each(index, null);
      this.finished(null);
      return;
    }
    const { segment } = this.places[this.unreadable[0] as number] as Place;
    const probes = [this.segments.get(segment), this.segments.oldest, this.segments.newest];
    this.probe(probes.filter((each) => each != null));
  }

  private probe(probes: readonly Segment[]): void {
    const [first, ...rest] = probes;
    if (first === undefined) return this.finished(this.error);
    this.ask(first, 0, 1, () => {
      if (this.hasRead) this.conclude();
      else this.probe(rest);
    });
  }

  private ask(
    segment: Segment,
    at: number,
    length: number,
    answer: (bytes: Uint8Array | null, reason: string) => void,
  ): void {
    this.open++;
    segment.readers++;
    this.operations.ask({ kind: 'read', file: segment.file, at, length }, (result) => {
      this.open--;
      segment.readers--;
      if (result.kind === 'read') this.hasRead = true;
      if (result.kind === 'read') answer(result.bytes, '');
      else answer(null, result.kind === 'failed' ? result.reason : 'the disk gave another answer');
    });
  }
}

function rangesOf(places: readonly Place[]): Range[] {
  const order = places.map((_, index) => index);
  const placeOf = (index: number): Place => places[index] as Place;
  // In the order in which cleaning removes files: what waits to be read is never in an older one than what is being read.
  order.sort((a, b) => placeOf(a).segment - placeOf(b).segment || placeOf(a).offset - placeOf(b).offset);
  const ranges: Range[] = [];
  let last: Range | undefined;
  for (const index of order) {
    const { segment, offset, length } = placeOf(index);
    const end = offset + length;
    if (last?.segment === segment && offset - last.end < gapBytesMax && end - last.start <= rangeBytesMax) {
      last.end = Math.max(last.end, end);
      last.items.push(index);
    } else {
      last = { segment, start: offset, end, items: [index] };
      ranges.push(last);
    }
  }
  return ranges;
}
