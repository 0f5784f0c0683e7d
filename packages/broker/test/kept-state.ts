/**
 * What committed batches leave behind, in plain maps: the memory of the stores that scenarios and the simulator use, and the model
 * that the log is compared with.
 */

import {
  type Batch,
  type Change,
  type FetchRequest,
  type PageRequest,
  type StoredDelivery,
  type StoredMessage,
  type StoredSession,
  type StoredState,
  type StoredSubscription,
  storedCost,
} from '../src/core/index.ts';
import { subscriptionName } from '../src/store/record.ts';

/** Reads what a store did not load. */
export interface Reader {
  pageAll(key: string, incarnation: number): readonly StoredDelivery[];
  fetchAll(wanted: FetchRequest['messages']): readonly StoredMessage[];
}

interface KeptSession {
  session: StoredSession;
  readonly subscriptions: Map<string, StoredSubscription>;
  readonly queue: Map<number, StoredDelivery>;
  readonly received: Set<number>;
}

export class KeptState {
  readonly sessions = new Map<string, KeptSession>();
  readonly retained = new Map<string, Omit<Extract<Change, { kind: 'retained' }>, 'kind' | 'topic'>>();
  /** When the last batch was made, by the clock of the world and by that of the records. */
  wall = 0;
  clock = 0;
  private lastId = 0;

  /** The whole batch lasts. */
  commit(batch: Batch): void {
    this.wall = batch.wall;
    this.clock = batch.clock;
    this.apply(batch.changes);
  }

  apply(changes: readonly Change[]): this {
    for (const change of changes) this.change(change);
    return this;
  }

  copy(): KeptState {
    const copy = new KeptState();
    copy.wall = this.wall;
    copy.clock = this.clock;
    copy.lastId = this.lastId;
    for (const [key, { session, subscriptions, queue, received }] of this.sessions) {
      copy.sessions.set(key, {
        session,
        subscriptions: new Map(subscriptions),
        queue: new Map(queue),
        received: new Set(received),
      });
    }
    for (const [topic, kept] of this.retained) copy.retained.set(topic, kept);
    return copy;
  }

  page({ key, incarnation, after, count }: PageRequest): StoredDelivery[] {
    const kept = this.sessions.get(key);
    if (kept === undefined || kept.session.incarnation !== incarnation) return [];
    return [...kept.queue.values()].filter(({ sequence }) => sequence > after).slice(0, count);
  }

  fetch({ messages }: FetchRequest): (StoredMessage | null)[] {
    return messages.map(({ topic, id }) => {
      const message = this.retained.get(topic)?.message;
      return message?.id === id ? message : null;
    });
  }

  /** Forgets everything, and knows from here on what a store loaded. */
  become(state: StoredState, reader: Reader): this {
    this.wall = state.wall;
    this.clock = state.clock;
    this.lastId = state.lastId;
    this.sessions.clear();
    this.retained.clear();
    for (const { session, subscriptions, inFlight, received } of state.sessions) {
      const queue = [...inFlight, ...reader.pageAll(session.key, session.incarnation)].sort(
        (a, b) => a.sequence - b.sequence,
      );
      this.sessions.set(session.key, {
        session,
        subscriptions: new Map(subscriptions.map((each) => [nameOf(each), each])),
        queue: new Map(queue.map((each) => [each.sequence, each])),
        received: new Set(received),
      });
    }
    const retained = [...state.retained];
    const messages = reader.fetchAll(retained);
    for (const [index, { topic, expiresAtClock, principal }] of retained.entries())
      this.retained.set(topic, { message: messages[index] as StoredMessage, expiresAtClock, principal });
    return this;
  }

  /** What a restart finds. */
  load(): StoredState {
    const sessions = [...this.sessions.values()].map(({ session, subscriptions, queue, received }) => {
      const all = [...queue.values()];
      const waiting = all.filter(({ packetId }) => packetId === 0);
      return {
        session,
        subscriptions: [...subscriptions.values()],
        inFlight: all.filter(({ packetId }) => packetId !== 0),
        received: [...received],
        waiting: {
          count: waiting.length,
          bytes: waiting.reduce((sum, { message }) => sum + storedCost(message), 0),
          afterSequence: (waiting[0]?.sequence ?? 1) - 1,
          lastSequence: all.at(-1)?.sequence ?? 0,
        },
      };
    });
    const retained = [...this.retained].map(([topic, { message, expiresAtClock, principal }]) => {
      return { topic, id: message.id, cost: storedCost(message), expiresAtClock, principal };
    });
    return { wall: this.wall, clock: this.clock, lastId: this.lastId, sessions, retained };
  }

  private change(change: Change): void {
    switch (change.kind) {
      case 'session': {
        const { session } = change;
        const known = this.find(session.key, session.incarnation);
        this.lastId = Math.max(this.lastId, session.incarnation, session.will?.message.id ?? 0);
        // What is left of an ended session has another key.
        if (known !== undefined && known.session.key !== session.key) this.sessions.delete(known.session.key);
        const fresh = { subscriptions: new Map(), queue: new Map(), received: new Set<number>() };
        this.sessions.set(session.key, { ...(known ?? fresh), session });
        return;
      }
      case 'session-ended': {
        const known = this.find(change.key, change.incarnation);
        if (known !== undefined) this.sessions.delete(known.session.key);
        return;
      }
      case 'subscribed':
        this.sessions.get(change.key)?.subscriptions.set(nameOf(change.subscription), change.subscription);
        return;
      case 'unsubscribed':
        this.sessions.get(change.key)?.subscriptions.delete(nameOf(change));
        return;
      case 'retained':
        this.lastId = Math.max(this.lastId, change.message.id);
        this.retained.set(change.topic, change);
        return;
      case 'unretained':
        this.retained.delete(change.topic);
        return;
      default: {
        const kept = this.find(change.key, change.incarnation);
        if (kept !== undefined) this.applyToLine(kept, change);
      }
    }
  }

  private find(key: string, incarnation: number): KeptSession | undefined {
    const is = (kept: KeptSession | undefined): boolean => kept?.session.incarnation === incarnation;
    const known = this.sessions.get(key);
    return is(known) ? known : [...this.sessions.values()].find(is);
  }

  private applyToLine(kept: KeptSession, change: Extract<Change, { incarnation: number }>): void {
    switch (change.kind) {
      case 'queued':
        this.lastId = Math.max(this.lastId, change.delivery.message.id);
        kept.queue.set(change.delivery.sequence, change.delivery);
        return;
      case 'sent': {
        const { sequence, packetId, released } = change;
        const delivery = kept.queue.get(sequence);
        if (delivery !== undefined) kept.queue.set(sequence, { ...delivery, packetId, released });
        return;
      }
      case 'settled':
        kept.queue.delete(change.sequence);
        return;
      case 'received':
        kept.received.add(change.packetId);
        return;
      case 'completed':
        kept.received.delete(change.packetId);
        return;
      default:
    }
  }
}

function nameOf({ filter, shareName }: { filter: string; shareName: string | undefined }): string {
  return subscriptionName(filter, shareName);
}
