/** A store as lines of JSON. */

import type { StoredDelivery } from '../core/index.ts';
import type { Retained } from '../store/load.ts';
import {
  exportVersion,
  type Line,
  type LineOf,
  type MessageJson,
  messageJson,
  sessionJson,
  subscriptionJson,
  type Times,
  timeOf,
} from './store-lines.ts';
import type { StoreReader } from './store-reader.ts';

export interface ExportOptions {
  /** Sessions, with their subscriptions and the messages for them. Default true. */
  readonly sessions?: boolean;
  /** Retained messages whose topics match this filter; null: none. Default all. */
  readonly retained?: string | null;
}

/**
 * Everything that lasts, one JSON object a line, without newlines: what `importStore` takes. The same content gives the same
 * lines. What is damaged is left out, as the reader's report says.
 */
export async function* exportStore(reader: StoreReader, options: ExportOptions = {}): AsyncGenerator<string> {
  for await (const line of new Export(reader, options).lines()) yield JSON.stringify(line);
}

class Export {
  readonly #reader: StoreReader;
  readonly #hasSessions: boolean;
  readonly #topics: readonly string[];
  readonly #times: Times;

  constructor(reader: StoreReader, { sessions = true, retained = '#' }: ExportOptions) {
    this.#reader = reader;
    this.#hasSessions = sessions;
    this.#topics = retained === null ? [] : reader.topics(retained);
    this.#times = reader.lastCommit ?? { wall: 0, clock: 0 };
  }

  async *lines(): AsyncGenerator<Line> {
    yield { type: 'store', version: exportVersion, at: new Date(this.#times.wall).toISOString() };
    if (this.#hasSessions) yield* this.#sessions();
    yield* this.#shared();
    if (this.#hasSessions) yield* this.#queues();
    for await (const kept of this.#reader.retained(this.#reader.ownTopics(this.#topics))) {
      yield this.#retained(kept, messageJson(kept.message));
    }
  }

  *#sessions(): Generator<Line> {
    for (const { session, subscriptions, received } of this.#reader.sessions) {
      const { key } = session;
      yield sessionJson(session, this.#times);
      const lines = subscriptions.map((each) => subscriptionJson(key, each));
      yield* lines.sort((a, b) => compare(`${a.filter} ${a.shareName}`, `${b.filter} ${b.shareName}`));
      for (const packetId of [...received].sort((a, b) => a - b)) yield { type: 'received', session: key, packetId };
    }
  }

  /** A message that several lines need comes right before them, and stands in them where only one is left that does. */
  async *#shared(): AsyncGenerator<Line> {
    const topics = new Set(this.#topics);
    let number = 0;
    for await (const { deliveries, retained } of this.#reader.sharedMessages()) {
      const queued = this.#hasSessions ? deliveries : [];
      const kept = retained !== null && topics.has(retained.message.topic) ? retained : null;
      const message = queued[0]?.delivery.message ?? kept?.message;
      if (message === undefined) continue;
      const isShared = queued.length + (kept === null ? 0 : 1) > 1;
      if (isShared) yield { type: 'message', number: ++number, message: messageJson(message) };
      const said = isShared ? number : messageJson(message);
      for (const { key, delivery } of queued) yield this.#queued(key, delivery, said);
      if (kept !== null) yield this.#retained(kept, said);
    }
  }

  async *#queues(): AsyncGenerator<Line> {
    for (const { session } of this.#reader.sessions) {
      for await (const delivery of this.#reader.ownQueue(session.key)) {
        yield this.#queued(session.key, delivery, messageJson(delivery.message));
      }
    }
  }

  #queued(key: string, delivery: StoredDelivery, said: MessageJson | number): LineOf<'queued'> {
    const { sequence, qos, retain, identifiers, group, packetId, released, message } = delivery;
    return {
      type: 'queued',
      session: key,
      sequence,
      qos,
      retain,
      identifiers: identifiers === null ? null : [...identifiers],
      group,
      packetId,
      released,
      expiresAt: timeOf(message.expiresAtClock, this.#times),
      message: said,
    };
  }

  #retained({ message, expiresAtClock }: Retained, said: MessageJson | number): LineOf<'retained'> {
    const expiresAt = timeOf(expiresAtClock, this.#times);
    const own = timeOf(message.expiresAtClock, this.#times);
    const isShorter = message.expiryAt >= 0 && own !== expiresAt;
    const messageExpiresAt = isShorter ? { messageExpiresAt: own } : {};
    const principal = this.#reader.principalOf(message.topic);
    const owned = principal === null ? {} : { principal };
    return { type: 'retained', topic: message.topic, ...owned, expiresAt, ...messageExpiresAt, message: said };
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
