/** Random changes that make sense for what a store knows. */

import type { Change, StoredDelivery, StoredMessage, StoredState } from '../../src/core/index.ts';
import type { KeptState } from '../kept-state.ts';
import type { Prng } from '../sim/prng.ts';

/** For ever, by nobody in particular. */
export function retaining(message: StoredMessage): Extract<Change, { kind: 'retained' }> {
  const { topic } = message;
  return { kind: 'retained', topic, message, expiresAtClock: Number.POSITIVE_INFINITY, principal: null };
}

/** Makes changes that follow from a model, which it changes on the way. */
export class ChangeMaker {
  private readonly prng: Prng;
  private readonly model: KeptState;
  private id: number;
  private readonly sequences = new Map<number, number>();

  /** Goes on above these ids and sequences. */
  constructor(prng: Prng, model: KeptState, state: StoredState) {
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
        return [
          {
            kind: 'retained',
            topic: `retained/${prng.below(8)}`,
            message: this.message(),
            expiresAtClock: 1 + prng.below(1_000_000),
            principal: prng.chance(50) ? `user ${prng.below(3)}` : null,
          },
        ];
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
      const kept = { kind: 'retained', topic: message.topic, message, expiresAtClock: 99, principal: 'Zoë ☃' } as const;
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
