/** What a store must know: changes applied to plain maps; and random changes that make sense for what it knows. */

import assert from 'node:assert/strict';
import {
  type Change,
  type StoredDelivery,
  type StoredMessage,
  type StoredSession,
  type StoredState,
  type StoredSubscription,
  storedCost,
} from '../../src/core/index.ts';
import { subscriptionName } from '../../src/store/record.ts';
import type { Reader } from '../kept-state.ts';
import type { Prng } from '../sim/prng.ts';

interface Known {
  session: StoredSession;
  readonly subscriptions: Map<string, StoredSubscription>;
  readonly queue: Map<number, StoredDelivery>;
  readonly received: Set<number>;
}

/** The state in a form that compares: sorted, with queues as they page. */
export interface Shown {
  readonly sessions: readonly unknown[];
  readonly retained: readonly unknown[];
}

export class Model {
  readonly sessions = new Map<string, Known>();
  readonly retained = new Map<string, StoredMessage>();

  /** What a store loaded. */
  static of(state: StoredState, reader: Reader): Model {
    const model = new Model();
    for (const { session, subscriptions, inFlight, received } of state.sessions) {
      const queue = new Map<number, StoredDelivery>();
      for (const delivery of [...inFlight, ...reader.pageAll(session.key, session.incarnation)]) {
        queue.set(delivery.sequence, delivery);
      }
      model.sessions.set(session.key, {
        session,
        subscriptions: new Map(subscriptions.map((each) => [name(each), each])),
        queue,
        received: new Set(received),
      });
    }
    for (const { topic, message } of fetched(state, reader)) model.retained.set(topic, message);
    return model;
  }

  copy(): Model {
    const copy = new Model();
    for (const [key, { session, subscriptions, queue, received }] of this.sessions) {
      copy.sessions.set(key, {
        session,
        subscriptions: new Map(subscriptions),
        queue: new Map(queue),
        received: new Set(received),
      });
    }
    for (const [topic, message] of this.retained) copy.retained.set(topic, message);
    return copy;
  }

  apply(changes: readonly Change[]): this {
    for (const change of changes) this.change(change);
    return this;
  }

  show(): Shown {
    return show(
      [...this.sessions.values()].map(({ session, subscriptions, queue, received }) => {
        const all = [...queue.values()].sort((a, b) => a.sequence - b.sequence);
        return {
          session,
          subscriptions: [...subscriptions.values()],
          inFlight: all.filter(({ packetId }) => packetId !== 0),
          received: [...received],
          waiting: all.filter(({ packetId }) => packetId === 0),
        };
      }),
      [...this.retained].map(([topic, message]) => ({ topic, message })),
    );
  }

  private change(change: Change): void {
    switch (change.kind) {
      case 'session': {
        const { session } = change;
        const known = this.find(session.key, session.incarnation);
        if (known !== undefined) this.sessions.delete(known.session.key);
        const fresh = { subscriptions: new Map(), queue: new Map(), received: new Set<number>() };
        this.sessions.set(session.key, { ...(known ?? fresh), session });
        return;
      }
      case 'retained':
        this.retained.set(change.topic, change.message);
        return;
      case 'unretained':
        this.retained.delete(change.topic);
        return;
      default:
        this.changeSession(
          'incarnation' in change ? this.find(change.key, change.incarnation) : this.sessions.get(change.key),
          change,
        );
    }
  }

  private find(key: string, incarnation: number): Known | undefined {
    const is = (known: Known | undefined): boolean => known?.session.incarnation === incarnation;
    const known = this.sessions.get(key);
    return is(known) ? known : [...this.sessions.values()].find(is);
  }

  private changeSession(
    known: Known | undefined,
    change: Exclude<Change, { topic: string } | { session: object }>,
  ): void {
    if (known === undefined) return;
    switch (change.kind) {
      case 'session-ended':
        this.sessions.delete(known.session.key);
        return;
      case 'subscribed':
        known.subscriptions.set(name(change.subscription), change.subscription);
        return;
      case 'unsubscribed':
        known.subscriptions.delete(name(change));
        return;
      case 'queued':
        known.queue.set(change.delivery.sequence, change.delivery);
        return;
      case 'sent': {
        const { sequence, packetId, released } = change;
        const delivery = known.queue.get(sequence);
        if (delivery !== undefined) known.queue.set(sequence, { ...delivery, packetId, released });
        return;
      }
      case 'settled':
        known.queue.delete(change.sequence);
        return;
      case 'received':
        known.received.add(change.packetId);
        return;
      case 'completed':
        known.received.delete(change.packetId);
    }
  }
}

interface ShownSession {
  readonly session: StoredSession;
  readonly subscriptions: readonly StoredSubscription[];
  readonly inFlight: readonly StoredDelivery[];
  readonly received: readonly number[];
  readonly waiting: readonly StoredDelivery[];
}

function show(
  sessions: readonly ShownSession[],
  retained: readonly { topic: string; message: StoredMessage }[],
): Shown {
  return {
    sessions: sessions
      .map(({ subscriptions, received, ...rest }) => ({
        ...rest,
        subscriptions: [...subscriptions].sort((a, b) => compare(name(a), name(b))),
        received: [...received].sort((a, b) => a - b),
        count: rest.waiting.length,
        bytes: rest.waiting.reduce((sum, { message }) => sum + storedCost(message), 0),
      }))
      .sort((a, b) => compare(a.session.key, b.session.key)),
    retained: [...retained].sort((a, b) => compare(a.topic, b.topic)),
  };
}

/** What is retained, with its messages; what was said of each without reading it is right. */
function fetched(state: StoredState, reader: Reader): { topic: string; message: StoredMessage }[] {
  const wanted = [...state.retained];
  const messages = reader.fetchAll(wanted);
  return wanted.map(({ topic, id, cost, expiresAtClock }, index) => {
    const message = messages[index] as StoredMessage;
    assert.deepEqual(
      { id, cost, expiresAtClock },
      { id: message.id, cost: storedCost(message), expiresAtClock: message.expiresAtClock },
    );
    return { topic, message };
  });
}

/** What a store loaded, in the same form. */
export function showStored(state: StoredState, reader: Reader): Shown {
  const sessions = [...state.sessions].map(({ session, waiting, ...rest }) => {
    const paged = reader.pageAll(session.key, session.incarnation);
    return { shown: { session, ...rest, waiting: paged }, waiting };
  });
  const shown = show(
    sessions.map((each) => each.shown),
    fetched(state, reader),
  );
  // What was counted without loading is what was loaded.
  const counted = new Map(sessions.map(({ shown: { session }, waiting }) => [session.key, waiting]));
  return {
    ...shown,
    sessions: shown.sessions.map((each) => {
      const { count, bytes } = counted.get((each as ShownSession).session.key) ?? { count: -1, bytes: -1 };
      return { ...(each as object), count, bytes };
    }),
  };
}

function name({ filter, shareName }: { filter: string; shareName: string | undefined }): string {
  return subscriptionName(filter, shareName);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Makes changes that follow from a model, which it changes on the way. */
export class ChangeMaker {
  private readonly prng: Prng;
  private readonly model: Model;
  private id: number;
  private readonly sequences = new Map<number, number>();

  /** Goes on above these ids and sequences. */
  constructor(prng: Prng, model: Model, state: StoredState) {
    this.prng = prng;
    this.model = model;
    this.id = state.lastId;
    for (const { session, waiting } of state.sessions) this.sequences.set(session.incarnation, waiting.lastSequence);
  }

  make(count: number): Change[] {
    const changes: Change[] = [];
    while (changes.length < count) {
      const made = this.one();
      this.model.apply(made);
      changes.push(...made);
    }
    return changes;
  }

  private one(): Change[] {
    const { prng, model } = this;
    const keys = [...model.sessions.keys()];
    const known = keys.length === 0 ? undefined : model.sessions.get(prng.pick(keys));
    if (known === undefined || prng.chance(6)) return [this.session(`client ${prng.below(6)} é`)];
    const { key, incarnation } = known.session;
    const about = { key, incarnation };
    const sequences = [...known.queue.keys()];
    const sequence = sequences.length === 0 ? 0 : prng.chance(70) ? (sequences[0] as number) : prng.pick(sequences);
    const packetId = 1 + prng.below(5);
    switch (prng.weighted({ queue: 30, sent: 14, settled: 26, subscribe: 5, receive: 10, retain: 12, end: 1 })) {
      case 'sent': {
        if (sequence === 0) return [];
        const used = known.queue.get(sequence)?.packetId ?? 0;
        return [{ kind: 'sent', ...about, sequence, packetId: used || sequence, released: used !== 0 }];
      }
      case 'settled':
        return sequence === 0 ? [] : [{ kind: 'settled', ...about, sequence }];
      case 'subscribe':
        return [this.subscription(key)];
      case 'receive':
        return [{ kind: prng.chance(50) ? 'received' : 'completed', ...about, packetId }];
      case 'retain':
        if (prng.chance(30)) return [{ kind: 'unretained', topic: `retained/${prng.below(8)}` }];
        return [{ kind: 'retained', topic: `retained/${prng.below(8)}`, message: this.message() }];
      case 'end':
        return [{ kind: 'session-ended', ...about }];
      default:
        return this.publish();
    }
  }

  private session(key: string): Change {
    const { prng } = this;
    const known = this.model.sessions.get(key);
    const incarnation = known?.session.incarnation ?? ++this.id;
    const will = prng.chance(30) ? { message: this.message(), delaySeconds: prng.below(100) } : null;
    const principal = prng.chance(50) ? null : 'someone \u{1f600}';
    const closedAtClock = prng.chance(50) ? Number.POSITIVE_INFINITY : prng.below(1_000_000);
    const expirySeconds = prng.below(1000);
    const rights = incarnation % 3 === 0 ? { rights: `{"subject":"\u{1f600} of ${incarnation}"}` } : {};
    return {
      kind: 'session',
      session: { key, clientId: key, principal, incarnation, expirySeconds, ...rights, will, closedAtClock },
    };
  }

  private subscription(key: string): Change {
    const { prng } = this;
    const filter = `filter/${prng.below(3)}/#`;
    const shareName = prng.chance(30) ? 'group' : undefined;
    if (prng.chance(40)) return { kind: 'unsubscribed', key, filter, shareName };
    const options = {
      qos: prng.pick([0, 1, 2] as const),
      noLocal: prng.chance(20),
      retainAsPublished: prng.chance(20),
    };
    return { kind: 'subscribed', key, subscription: { filter, shareName, ...options, identifier: prng.below(400) } };
  }

  /** One message to some sessions, perhaps retained too. */
  private publish(): Change[] {
    const { prng, model } = this;
    const message = this.message();
    const changes: Change[] = [];
    for (const { session } of model.sessions.values()) {
      if (prng.chance(60)) continue;
      const { key, incarnation } = session;
      const sequence = (this.sequences.get(incarnation) ?? 0) + 1 + (prng.chance(10) ? prng.below(50) : 0);
      this.sequences.set(incarnation, sequence);
      const delivery: StoredDelivery = {
        sequence,
        message,
        qos: prng.pick([1, 2] as const),
        retain: prng.chance(20),
        identifiers: prng.chance(20) ? [1, 268_435_455] : null,
        group: prng.chance(20) ? '$share/group/x' : null,
        packetId: prng.chance(30) ? sequence : 0,
        released: false,
      };
      changes.push({ kind: 'queued', key, incarnation, delivery });
    }
    if (prng.chance(20)) {
      const kept = { kind: 'retained', topic: message.topic, message: { ...message, expiresAtClock: 99 } } as const;
      if (prng.chance(50)) changes.push(kept);
      else changes.unshift(kept);
    }
    return changes;
  }

  private message(): StoredMessage {
    const { prng } = this;
    const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => prng.below(256));
    return {
      id: ++this.id,
      topic: prng.chance(10) ? 'тема/測試' : `topic/${prng.below(10)}`,
      qos: prng.pick([0, 1, 2] as const),
      retain: prng.chance(30),
      properties: bytes(prng.chance(30) ? 7 : 0),
      payload: bytes(prng.chance(5) ? 2000 : prng.below(60)),
      expiryAt: prng.chance(30) ? prng.below(3) : -1,
      expiresAtClock: prng.chance(50) ? Number.POSITIVE_INFINITY : 1 + prng.below(1_000_000),
      publisher: prng.chance(50) ? null : 'publisher',
    };
  }
}
