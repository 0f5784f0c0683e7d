/** What is read back by the places in the catalog: everything at the start, queues page by page, retained messages when asked for. */

import type {
  PageRequest,
  StoredDelivery,
  StoredMessage,
  StoredPage,
  StoredSession,
  StoredState,
  StoredSubscription,
} from '../core/index.ts';
import type { ByteReader } from './bytes.ts';
import type { Catalog, CatalogSession, Place } from './catalog.ts';
import type { Entry } from './entries.ts';
import { fetchRecords } from './fetch.ts';
import type { Operations } from './operations.ts';
import {
  type Commit,
  lastingUntil,
  type QueuedRecord,
  type RetainedRecord,
  readMessage,
  readQueued,
  readRetained,
  readSession,
  readSubscription,
} from './record.ts';
import type { Segments } from './segments.ts';

/** Bytes of deliveries in one page; at least one comes whatever its size. */
const pageBytesMax = 4 * 1024 * 1024;

/** Records to be read together: what is wanted is said first. */
class Reading {
  private readonly places: Place[] = [];
  private readonly takers: ((reader: ByteReader) => void)[] = [];
  /** Records that were damaged, or whose file is gone. */
  lost = 0;

  want(place: Place, take: (reader: ByteReader) => void): void {
    this.places.push(place);
    this.takers.push(take);
  }

  run(operations: Operations, segments: Segments, finished: (error: string | null) => void, givesUp = false): void {
    const each = (index: number, reader: ByteReader | null): void => {
      if (reader === null) this.lost++;
      else this.takers[index]?.(reader);
    };
    fetchRecords(operations, segments, this.places, each, finished, givesUp);
  }
}

/** A message, and until when it is retained. */
export interface Retained {
  readonly message: StoredMessage;
  readonly expiresAtClock: number;
}

interface LoadingSession {
  readonly known: CatalogSession;
  session: StoredSession | null;
  readonly subscriptions: StoredSubscription[];
  readonly inFlight: QueuedRecord[];
}

export class Loader {
  private readonly operations: Operations;
  private readonly segments: Segments;
  private readonly catalog: Catalog;

  constructor(operations: Operations, segments: Segments, catalog: Catalog) {
    this.operations = operations;
    this.segments = segments;
    this.catalog = catalog;
  }

  /** Up to `count` deliveries that wait above `after`, in order, and what of them is damaged. */
  page(
    session: CatalogSession,
    { after, count, givesUp }: PageRequest,
    finished: (page: StoredPage | null, error: string | null) => void,
  ): void {
    const entries: Entry[] = [];
    let bytes = 0;
    for (const entry of session.entries.above(after)) {
      if (entries.length === count || (bytes > 0 && bytes + entry.cost > pageBytesMax)) break;
      if (session.sent?.has(entry.sequence) === true) continue;
      entries.push(entry);
      bytes += entry.cost;
    }
    const sessionOf = (): CatalogSession => session;
    const read = (found: readonly (StoredDelivery | null)[] | null, error: string | null): void => {
      if (found === null) return finished(null, error);
      const lost = entries.filter((_, index) => found[index] === null);
      finished({ deliveries: found.filter((delivery) => delivery !== null), lost }, null);
    };
    this.deliveries(entries, sessionOf, read, givesUp);
  }

  /** The deliveries of these entries, in their order; null in the place of one that is damaged. */
  deliveries(
    entries: readonly Entry[],
    sessionOf: (index: number) => CatalogSession,
    finished: (deliveries: readonly (StoredDelivery | null)[] | null, error: string | null) => void,
    givesUp = false,
  ): void {
    const found = new Array<QueuedRecord | null>(entries.length).fill(null);
    const each = (index: number, reader: ByteReader | null): void => {
      if (reader !== null) found[index] = readQueued(reader);
    };
    const read = (error: string | null): void => {
      if (error !== null) return finished(null, error);
      const ids = new Set<number>();
      addIds(
        ids,
        found.filter((record) => record !== null),
      );
      const named = (messages: ReadonlyMap<number, StoredMessage>, _: number, failure: string | null): void => {
        if (failure !== null) return finished(null, failure);
        const deliveries = found.map((record, index) =>
          record === null ? null : deliveryOf(sessionOf(index), record, messages),
        );
        finished(deliveries, null);
      };
      this.messages(ids, named, givesUp);
    };
    fetchRecords(this.operations, this.segments, entries, each, read, givesUp);
  }

  /** What is retained for these topics, in their order; null in the place of a message that is not there, or damaged. */
  retained(
    topics: readonly string[],
    finished: (found: readonly (Retained | null)[] | null, error: string | null) => void,
    givesUp = false,
  ): void {
    const found = new Array<RetainedRecord | null>(topics.length).fill(null);
    const reading = new Reading();
    for (const [index, topic] of topics.entries()) {
      const place = this.catalog.retained.get(topic);
      if (place === null) continue;
      reading.want(place, (reader) => {
        found[index] = readRetained(reader);
      });
    }
    const named = (error: string | null): void => {
      if (error !== null) return finished(null, error);
      const ids = new Set<number>();
      addIds(
        ids,
        found.filter((record) => record !== null),
      );
      const read = (messages: ReadonlyMap<number, StoredMessage>, _: number, failure: string | null): void => {
        if (failure !== null) return finished(null, failure);
        const values = found.map((record) => {
          const message = typeof record?.message === 'number' ? messages.get(record.message) : record?.message;
          return record === null || message === undefined ? null : { message, expiresAtClock: record.expiresAtClock };
        });
        finished(values, null);
      };
      this.messages(ids, read, givesUp);
    };
    reading.run(this.operations, this.segments, named, givesUp);
  }

  /** Everything but what waits in queues and is retained; `lost`: records that cannot be read. Fails when the disk reads nothing. */
  state(
    commit: Commit | null,
    finished: (state: StoredState | null, lost: number, error: string | null) => void,
  ): void {
    const reading = new Reading();
    const sessions = [...this.catalog.sessions.values()].map((known) => this.wantSession(known, reading));
    const read = (error: string | null): void => {
      if (error !== null) return finished(null, 0, error);
      const ids = new Set<number>();
      for (const { inFlight } of sessions) addIds(ids, inFlight);
      const named = (messages: ReadonlyMap<number, StoredMessage>, lost: number, failure: string | null): void => {
        if (failure !== null) return finished(null, 0, failure);
        const state: StoredState = {
          wall: commit?.wall ?? 0,
          clock: commit?.clock ?? 0,
          lastId: this.catalog.lastId,
          sessions: sessions.flatMap((loading) => loadedSession(loading, messages)),
          retained: { [Symbol.iterator]: () => this.catalog.retained.restorable() },
        };
        finished(state, reading.lost + lost, null);
      };
      this.messages(ids, named, true);
    };
    reading.run(this.operations, this.segments, read, true);
  }

  private wantSession(known: CatalogSession, reading: Reading): LoadingSession {
    const loading: LoadingSession = { known, session: null, subscriptions: [], inFlight: [] };
    reading.want(known.place as Place, (reader) => {
      loading.session = readSession(reader);
    });
    for (const place of known.subscriptions?.values() ?? []) {
      reading.want(place, (reader) => {
        reader.integer(); // The incarnation.
        loading.subscriptions.push(readSubscription(reader));
      });
    }
    for (const sequence of known.sent?.keys() ?? []) {
      const entry = known.entries.get(sequence) as Entry;
      reading.want(entry, (reader) => loading.inFlight.push(readQueued(reader)));
    }
    return loading;
  }

  /** The messages of these ids, which have records of their own. */
  private messages(
    ids: ReadonlySet<number>,
    finished: (messages: ReadonlyMap<number, StoredMessage>, lost: number, error: string | null) => void,
    givesUp = false,
  ): void {
    const reading = new Reading();
    const messages = new Map<number, StoredMessage>();
    for (const id of ids) {
      const place = this.catalog.messagePlace(id);
      if (place !== null) reading.want(place, (reader) => messages.set(id, readMessage(reader)));
    }
    reading.run(this.operations, this.segments, (error) => finished(messages, reading.lost, error), givesUp);
  }
}

/** Adds the ids of messages that these records name and do not hold. */
function addIds(ids: Set<number>, records: readonly { readonly message: StoredMessage | number }[]): void {
  for (const { message } of records) if (typeof message === 'number') ids.add(message);
}

/** Null when its message is lost. */
function deliveryOf(
  session: CatalogSession,
  { delivery: { sequence, qos, retain, identifiers, group }, message: found, expiresAtClock }: QueuedRecord,
  messages: ReadonlyMap<number, StoredMessage>,
): StoredDelivery | null {
  const whole = typeof found === 'number' ? messages.get(found) : found;
  if (whole === undefined) return null;
  const message = lastingUntil(whole, expiresAtClock);
  const sent = session.sent?.get(sequence);
  const packetId = sent === undefined ? 0 : sent.packetId;
  const released = sent?.released === true;
  return { sequence, message, qos, retain, identifiers, group, packetId, released };
}

type LoadedSession = StoredState['sessions'] extends Iterable<infer One> ? One : never;

function loadedSession(
  { known, session, subscriptions, inFlight }: LoadingSession,
  messages: ReadonlyMap<number, StoredMessage>,
): LoadedSession[] {
  if (session === null) return [];
  // A session sends in the order of its line: by sequence is by time.
  inFlight.sort((a, b) => a.delivery.sequence - b.delivery.sequence);
  const sent = inFlight.map((queued) => deliveryOf(known, queued, messages)).filter((delivery) => delivery !== null);
  const waiting = { count: 0, bytes: 0, afterSequence: known.lastSequence, lastSequence: known.lastSequence };
  for (const { sequence, cost } of known.entries.above(Number.NEGATIVE_INFINITY)) {
    if (known.sent?.has(sequence) === true) continue;
    if (waiting.count === 0) waiting.afterSequence = sequence - 1;
    waiting.count++;
    waiting.bytes += cost;
  }
  return [{ session, subscriptions, inFlight: sent, received: [...(known.received?.keys() ?? [])], waiting }];
}
