/**
 * Reads records by their places: in the order of the files, neighbours in one read, checked by their checksums.
 */

import { viewOf } from '@pipit/protocol';
import { ByteReader } from './bytes.ts';
import type { Place } from './catalog.ts';
import { frameEnd, headerBytes } from './frame.ts';
import type { Operations } from './operations.ts';
import type { Segments } from './segments.ts';

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
 * with a reason when a read failed: then some were not told.
 */
export function fetchRecords(
  operations: Operations,
  segments: Segments,
  places: readonly Place[],
  each: (index: number, reader: ByteReader | null) => void,
  finished: (error: string | null) => void,
): void {
  const ranges = rangesOf(places);
  let next = 0;
  let open = 0;
  let error: string | null = null;
  const proceed = (): void => {
    while (error === null && open < readsAtOnce && next < ranges.length) {
      const range = ranges[next++] as Range;
      open++;
      readRange(operations, segments, places, range, each, (failure) => {
        open--;
        error ??= failure;
        proceed();
      });
    }
    if (open === 0 && (error !== null || next === ranges.length)) {
      next = ranges.length + 1;
      finished(error);
    }
  };
  if (ranges.length === 0) finished(null);
  else proceed();
}

function readRange(
  operations: Operations,
  segments: Segments,
  places: readonly Place[],
  { segment: number, start, end, items }: Range,
  each: (index: number, reader: ByteReader | null) => void,
  finished: (error: string | null) => void,
): void {
  const segment = segments.get(number);
  if (segment === undefined) {
    for (const index of items) each(index, null);
    finished(null);
    return;
  }
  segment.readers++;
  operations.ask({ kind: 'read', file: segment.file, at: start, length: end - start }, (result) => {
    segment.readers--;
    if (result.kind !== 'read') {
      finished(result.kind === 'failed' ? result.reason : 'the disk gave another answer');
      return;
    }
    const { bytes } = result;
    const view = viewOf(bytes);
    const reader = new ByteReader(bytes, view);
    for (const index of items) {
      const { offset, length } = places[index] as Place;
      const at = offset - start;
      const isWhole = frameEnd(view, at, bytes.length, bytes.length) === at + length;
      each(index, isWhole ? reader.enter(at + headerBytes, at + length) : null);
    }
    finished(null);
  });
}

function rangesOf(places: readonly Place[]): Range[] {
  const order = places.map((_, index) => index);
  const placeOf = (index: number): Place => places[index] as Place;
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
