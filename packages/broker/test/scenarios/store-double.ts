/**
 * A store for scenarios: it keeps what was committed in memory, and answers at once, late (when nothing else happens), or late
 * with every other commit failing first. What was not committed is lost in a restart, as on a real disk.
 *
 * The fourth kind is the real log on a simulated disk: pages and restarts are answered by the log, and the double's own memory
 * is what they are compared with.
 */

import assert from 'node:assert/strict';
import type {
  Batch,
  Change,
  Core,
  PageRequest,
  StoredDelivery,
  StoredSession,
  StoredState,
  StoredSubscription,
} from '../../src/core/index.ts';
import { LogBench } from '../store/log-bench.ts';

/** So small that cleaning has work in a scenario. */
const smallLog = { segmentBytes: 4_096, sparseSegmentBytes: 1_024, slackBytes: 4_096 };

interface Kept {
  session: StoredSession;
  readonly subscriptions: Map<string, StoredSubscription>;
  readonly queue: Map<number, StoredDelivery>;
  readonly received: Set<number>;
}

export class StoreDouble {
  readonly kind: 'instant' | 'late' | 'failing' | 'log';
  private readonly log: LogBench | null;
  private readonly sessions = new Map<string, Kept>();
  private readonly retained = new Map<string, Extract<Change, { kind: 'retained' }>>();
  private waitingCommit: Batch | null = null;
  private readonly waitingPages: PageRequest[] = [];
  private wall = 0;
  private clock = 0;
  private lastId = 0;
  private failures = 0;
  /** Refuse every commit until it is set back. */
  isBroken = false;
  /** Answer nothing until it is set back. */
  isStalled = false;
  /** Answer pages only. */
  isCommitStalled = false;
  /** Answer commits only. */
  isPagingStalled = false;
  /** Fail every page. */
  isPagingBroken = false;
  /** Batches made to last, for looking at. */
  readonly committed: Batch[] = [];

  constructor(kind: StoreDouble['kind']) {
    this.kind = kind;
    this.log = kind === 'log' ? new LogBench(1, smallLog) : null;
  }

  commit(batch: Batch): void {
    assert.equal(this.waitingCommit, null, 'at most one commit is in flight');
    this.waitingCommit = batch;
  }

  page(request: PageRequest): void {
    this.waitingPages.push(request);
  }

  /** Answers one thing that waits. False when nothing does. */
  answer(core: Core, now: number): boolean {
    if (this.isStalled) return false;
    const batch = this.isCommitStalled ? null : this.waitingCommit;
    if (batch !== null) {
      this.waitingCommit = null;
      const fails = this.isBroken || (this.kind === 'failing' && this.failures++ % 2 === 0);
      if (!fails) {
        this.apply(batch);
        if (this.log !== null) assert.equal(this.log.commitBatch(batch), null);
      }
      core.committed(batch.number, fails ? 'the disk is full' : null, now);
      return true;
    }
    if (this.isPagingStalled) return false;
    const request = this.waitingPages.shift();
    if (request === undefined) return false;
    if (this.isPagingBroken) {
      core.paged(request.number, null, 'unreadable', now);
      return true;
    }
    const kept = this.sessions.get(request.key);
    const queue = kept?.session.incarnation === request.incarnation ? [...kept.queue.values()] : [];
    const page = queue.filter((delivery) => delivery.sequence > request.after).slice(0, request.count);
    core.paged(request.number, this.log === null ? page : this.pageOfLog(this.log, request, page), null, now);
    return true;
  }

  /** A page of the log may be shorter, and leaves out what is in flight. */
  private pageOfLog(log: LogBench, request: PageRequest, page: StoredDelivery[]): readonly StoredDelivery[] {
    const found = log.page(request.key, request.incarnation, request.after, request.count);
    assert.ok(typeof found !== 'string', String(found));
    const waiting = page.filter(({ packetId }) => packetId === 0);
    assert.deepEqual(found, waiting.slice(0, found.length));
    assert.equal(found.length === 0, waiting.length === 0);
    return found;
  }

  /** Page requests not answered yet. */
  get pagesWaiting(): number {
    return this.waitingPages.length;
  }

  /** Damage: everything queued for this session above a sequence is gone. */
  lose(key: string, above: number): void {
    const queue = this.sessions.get(key)?.queue;
    for (const sequence of [...(queue?.keys() ?? [])]) if (sequence > above) queue?.delete(sequence);
  }

  /** Keys of the sessions that last. */
  get sessionKeys(): string[] {
    return [...this.sessions.keys()];
  }

  /** Sequences queued for a session, in flight included. */
  queued(key: string): number[] {
    return [...(this.sessions.get(key)?.queue.keys() ?? [])];
  }

  /** Topics with a retained message. */
  get retainedTopics(): string[] {
    return [...this.retained.keys()];
  }

  /** What a restart finds. Commits and pages under way are gone. */
  state(): StoredState {
    this.waitingCommit = null;
    this.waitingPages.length = 0;
    if (this.log !== null) {
      this.log.disk.losePower();
      this.log.restart();
      for (const { kind } of this.log.report.damage) assert.equal(kind, 'unfinished');
      return this.log.state;
    }
    const sessions = [...this.sessions.values()].map(({ session, subscriptions, queue, received }) => {
      const all = [...queue.values()];
      const inFlight = all.filter((delivery) => delivery.packetId !== 0);
      const waiting = all.filter((delivery) => delivery.packetId === 0);
      return {
        session,
        subscriptions: [...subscriptions.values()],
        inFlight,
        received: [...received],
        waiting: {
          count: waiting.length,
          bytes: waiting.reduce((sum, { message }) => sum + costOf(message), 0),
          afterSequence: (waiting[0]?.sequence ?? 1) - 1,
          lastSequence: all.at(-1)?.sequence ?? 0,
        },
      };
    });
    const retained = [...this.retained.values()].map(({ topic, message }) => ({ topic, message }));
    return { wall: this.wall, clock: this.clock, lastId: this.lastId, sessions, retained };
  }

  private apply(batch: Batch): void {
    this.wall = batch.wall;
    this.clock = batch.clock;
    this.committed.push(batch);
    for (const change of batch.changes) this.change(change);
  }

  private change(change: Change): void {
    switch (change.kind) {
      case 'session': {
        const { session } = change;
        const known = this.sessions.get(session.key);
        this.lastId = Math.max(this.lastId, session.incarnation, session.will?.message.id ?? 0);
        if (known !== undefined && known.session.incarnation === session.incarnation) known.session = session;
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
        this.retained.set(change.topic, change);
        return;
      case 'unretained':
        this.retained.delete(change.topic);
        return;
      default: {
        const kept = this.sessions.get(change.key);
        if (kept !== undefined && kept.session.incarnation === change.incarnation) this.changeLine(kept, change);
      }
    }
  }

  private changeLine(kept: Kept, change: Extract<Change, { incarnation: number }>): void {
    switch (change.kind) {
      case 'queued':
        this.lastId = Math.max(this.lastId, change.delivery.message.id);
        kept.queue.set(change.delivery.sequence, change.delivery);
        return;
      case 'sent': {
        const delivery = kept.queue.get(change.sequence);
        if (delivery !== undefined) {
          kept.queue.set(change.sequence, { ...delivery, packetId: change.packetId, released: change.released });
        }
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

function subscriptionKey({ filter, shareName }: { filter: string; shareName: string | undefined }): string {
  return `${shareName ?? ''}\n${filter}`;
}

function costOf(message: StoredDelivery['message']): number {
  return new TextEncoder().encode(message.topic).length + 2 + message.properties.length + message.payload.length + 128;
}
