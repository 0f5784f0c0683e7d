/**
 * The store of the simulation: what was committed and nothing else outlives a power cut. It answers late, fails, and can be
 * looked at, because what a client was promised must be here before the promise leaves.
 *
 * With every batch goes a copy of the model as of its sealing: after a power cut that is what the broker must know.
 */

import type {
  Batch,
  Change,
  PageRequest,
  StoredDelivery,
  StoredMessage,
  StoredSession,
  StoredState,
  StoredSubscription,
} from '../../src/core/index.ts';

export interface KeptSession {
  session: StoredSession;
  readonly subscriptions: Map<string, StoredSubscription>;
  readonly queue: Map<number, StoredDelivery>;
  readonly received: Set<number>;
}

export class Disk<Snapshot> {
  readonly sessions = new Map<string, KeptSession>();
  readonly retained = new Map<string, StoredMessage>();
  /** The model as of the newest batch that lasts. */
  snapshot: Snapshot | null = null;
  /** The batch under way, and the model as of its sealing. */
  pending: { readonly batch: Batch; readonly snapshot: Snapshot } | null = null;
  /** Counts restarts: answers to an earlier run are thrown away. */
  run = 0;
  private wall = 0;
  private clock = 0;
  private lastId = 0;

  begin(batch: Batch, snapshot: Snapshot): void {
    if (this.pending !== null) throw new Error('two commits at once');
    this.pending = { batch, snapshot };
  }

  /** The batch under way ends: `lasts` says whether it is on the disk now. */
  end(lasts: boolean): void {
    const { pending } = this;
    this.pending = null;
    if (pending === null || !lasts) return;
    this.wall = pending.batch.wall;
    this.clock = pending.batch.clock;
    for (const change of pending.batch.changes) this.apply(change);
    this.snapshot = pending.snapshot;
  }

  page({ key, incarnation, after, count }: PageRequest): StoredDelivery[] {
    const kept = this.sessions.get(key);
    if (kept === undefined || kept.session.incarnation !== incarnation) return [];
    return [...kept.queue.values()].filter(({ sequence }) => sequence > after).slice(0, count);
  }

  /** The power is gone and comes back. */
  reload(): StoredState {
    this.pending = null;
    this.run++;
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
          bytes: waiting.reduce((sum, { message }) => sum + costOf(message), 0),
          afterSequence: (waiting[0]?.sequence ?? 1) - 1,
          lastSequence: all.at(-1)?.sequence ?? 0,
        },
      };
    });
    const retained = [...this.retained].map(([topic, message]) => ({ topic, message }));
    return { wall: this.wall, clock: this.clock, lastId: this.lastId, sessions, retained };
  }

  private apply(change: Change): void {
    switch (change.kind) {
      case 'session': {
        const { session } = change;
        const known = this.sessions.get(session.key);
        this.lastId = Math.max(this.lastId, session.incarnation, session.will?.message.id ?? 0);
        if (known?.session.incarnation === session.incarnation) known.session = session;
        else
          this.sessions.set(session.key, { session, subscriptions: new Map(), queue: new Map(), received: new Set() });
        return;
      }
      case 'session-ended':
        if (this.sessions.get(change.key)?.session.incarnation === change.incarnation) this.sessions.delete(change.key);
        return;
      case 'subscribed':
        this.sessions.get(change.key)?.subscriptions.set(subscriptionKey(change.subscription), change.subscription);
        return;
      case 'unsubscribed':
        this.sessions.get(change.key)?.subscriptions.delete(subscriptionKey(change));
        return;
      case 'retained':
        this.lastId = Math.max(this.lastId, change.message.id);
        this.retained.set(change.topic, change.message);
        return;
      case 'unretained':
        this.retained.delete(change.topic);
        return;
      default: {
        const kept = this.sessions.get(change.key);
        if (kept?.session.incarnation === change.incarnation) this.applyToLine(kept, change);
      }
    }
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

export function subscriptionKey({ filter, shareName }: { filter: string; shareName: string | undefined }): string {
  return shareName === undefined ? filter : `$share/${shareName}/${filter}`;
}

/** What a message counts for in a queue: see Message.cost. */
function costOf({ topic, properties, payload }: StoredMessage): number {
  return topic.length + 2 + properties.length + payload.length + 128;
}
