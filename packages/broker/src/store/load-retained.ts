/**
 * Retained messages at the start: there may be millions, so their records stay the bytes that were read and each is decoded when
 * its turn comes. Nothing of it is kept once the state is taken over.
 */

import type { StoredMessage, StoredState } from '../core/index.ts';
import type { ByteReader } from './bytes.ts';
import type { Catalog, RetainedPlace } from './catalog.ts';
import { fetchRecords } from './fetch.ts';
import { headerBytes } from './frame.ts';
import type { Operations } from './operations.ts';
import { lastingUntil, readRetained } from './record.ts';
import type { Segments } from './segments.ts';

type Retained = StoredState['retained'] extends Iterable<infer One> ? One : never;

export class RetainedLoad {
  private readonly places: readonly RetainedPlace[];
  /** Where each record was read to: a reader of its range, and where in that its body begins. */
  private readonly readers: (ByteReader | null)[];
  private readonly starts: Float64Array;
  /** Records that cannot be read. */
  lost = 0;

  constructor(catalog: Catalog) {
    this.places = [...catalog.retained.values()];
    this.readers = new Array<ByteReader | null>(this.places.length).fill(null);
    this.starts = new Float64Array(this.places.length);
  }

  read(operations: Operations, segments: Segments, finished: (error: string | null) => void): void {
    const each = (index: number, reader: ByteReader | null): void => {
      if (reader === null) this.lost++;
      else {
        this.readers[index] = reader;
        this.starts[index] = reader.position;
      }
    };
    fetchRecords(operations, segments, this.places, each, finished);
  }

  /** Ids of the messages that stand in records of their own. */
  *messageIds(): Generator<number> {
    for (const { messageId } of this.places) if (messageId !== 0) yield messageId;
  }

  *decode(messages: ReadonlyMap<number, StoredMessage>): Generator<Retained> {
    for (const [index, { length }] of this.places.entries()) {
      const start = this.starts[index] as number;
      const reader = this.readers[index]?.enter(start, start + length - headerBytes);
      if (reader === undefined) continue;
      const { topic, expiresAtClock, message: found } = readRetained(reader);
      const message = typeof found === 'number' ? messages.get(found) : found;
      if (message === undefined) continue;
      yield { topic, message: lastingUntil(message, expiresAtClock) };
    }
  }
}
