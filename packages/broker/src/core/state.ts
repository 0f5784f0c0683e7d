/**
 * Everything the broker knows, and what this turn has to say. One object that the roles share.
 *
 * The roles are modules of functions over it: connect.ts (CONNECT to CONNACK), sessions.ts (create, resume, end), publish.ts
 * (a PUBLISH comes in), delivery.ts (a message goes out), subscribe.ts, will.ts, closing.ts. Nothing here calls out: what must be
 * done by the world is an effect, handed out by `Core.take`.
 */

import { PublishFrame } from '@pipit/protocol';
import type { Claims } from './claims.ts';
import type { Connection } from './connection.ts';
import { Deadlines } from './deadlines.ts';
import { EventLog } from './event-log.ts';
import type { BrokerEvent } from './events.ts';
import { Journal } from './journal.ts';
import type { Limits } from './limits.ts';
import type { LocalSubscriber } from './local.ts';
import type { LocalMessage } from './local-message.ts';
import { Metrics } from './metrics.ts';
import { MissedByClient } from './missed.ts';
import type { AuthenticationRequest, Batch, Durability, FetchRequest, PageRequest } from './ports.ts';
import { Principals } from './principals.ts';
import { Publication } from './publication.ts';
import { type Queue, QueueTotal, type TailReader } from './queue.ts';
import { Fetches } from './replay.ts';
import { RetainedStore } from './retained.ts';
import type { Review } from './rights.ts';
import { Router } from './router.ts';
import type { Session } from './session.ts';
import { SlabPool } from './slab.ts';
import { TopicTable } from './topic-table.ts';
import type { Traces } from './trace.ts';

/** What the world is asked to do. See `Core.take`. */
export type Effect =
  | { readonly kind: 'pause' | 'resume'; readonly connection: Connection }
  | { readonly kind: 'close'; readonly connection: Connection; readonly linger: boolean }
  | {
      readonly kind: 'authenticate';
      readonly connection: Connection;
      readonly exchange: number;
      readonly request: AuthenticationRequest;
    }
  | { readonly kind: 'commit'; readonly batch: Batch }
  | { readonly kind: 'page'; readonly request: PageRequest }
  | { readonly kind: 'fetch'; readonly request: FetchRequest }
  | {
      readonly kind: 'deliver';
      readonly subscriber: LocalSubscriber;
      readonly token: number;
      readonly message: LocalMessage;
    }
  | { readonly kind: 'published'; readonly token: number; readonly reasonCode: number }
  | { readonly kind: 'event'; readonly event: BrokerEvent };

/**
 * What happens to a message for a session whose queue is full. `drop-newest`: this session does not get it. `drop-oldest`: the
 * session loses the oldest that waits instead; what is in flight stays. `refuse`: the PUBLISH is refused whole (0x97; before
 * 5.0 the publisher's connection is closed without an acknowledgement); what cannot be refused (QoS 0, wills) is dropped as newest.
 */
export type QueueOverflow = 'drop-newest' | 'drop-oldest' | 'refuse';

export interface CoreOptions {
  readonly limits?: Partial<Limits>;
  /** For `$SYS/broker/version`. */
  readonly version?: string;
  /** Any 32-bit number: randomness of the broker's own, which is not for secrets. */
  readonly seed: number;
  /** Unless it is `memory`, which is the default, what lasts is committed before it is acknowledged. */
  readonly durability?: Durability;
  /** Milliseconds between updates of `$SYS`; null: there is no `$SYS`. Default 10,000. */
  readonly sysIntervalMs?: number | null;
  /** Refuse control characters and non-characters in topics, filters and client ids (MQTT 5.0, 1.5.4). */
  readonly strictText?: boolean;
  /** Queue QoS 0 messages for a session that lasts and is away. */
  readonly queueQos0?: boolean;
  /** Default: `drop-newest`. */
  readonly queueOverflow?: QueueOverflow;
  /**
   * Says what sessions of an earlier run may do until their client comes back. Default: what rules that came with their login said
   * (`Permissions.isOwn`), or else everything.
   */
  readonly review?: Review;
}

/** Of them, those that can be changed while it runs. */
export type LiveOptions = Pick<CoreOptions, 'strictText' | 'queueQos0' | 'queueOverflow'>;

/** Work that is done in steps under the turn's budget. */
export interface Work {
  isWaiting: boolean;
}

export class State {
  readonly limits: Limits;
  options: CoreOptions;
  readonly metrics: Metrics;
  readonly deadlines = new Deadlines();
  readonly pool = new SlabPool();
  readonly router: Router;
  readonly topics: TopicTable;
  readonly retained: RetainedStore;
  readonly principals = new Principals();
  readonly fetches = new Fetches();
  readonly sessions = new Map<string, Session>();
  /** A verdict has chosen a session key that is not the client id: then a client id is looked for among all sessions. */
  hasChosenKeys = false;
  readonly queueTotal: QueueTotal;
  readonly connections = new Set<Connection>();
  readonly journal: Journal | null;
  /** Page requests under way, by number. */
  readonly pages = new Map<
    number,
    { readonly session: Session; readonly queue: Queue; readonly reader: TailReader | null }
  >();
  readonly events: EventLog;
  /** What clients did not get lately. */
  readonly missed = new MissedByClient();
  claims: Claims | null = null;
  /** What is followed live; null: nothing. */
  traces: Traces | null = null;

  // Time.
  now: number;
  readonly startedAt: number;
  wallOffsetMs: number;
  /**
   * Times in records are `now` plus this: a clock of the broker's own that runs and counts downtime, but never steps, so that
   * what was recorded before the wall clock was set still means the same moment.
   */
  recordOffsetMs: number;

  // This turn.
  dirty: Connection[] = [];
  effects: Effect[] = [];
  deliveriesLeft: number;
  bytesLeft: number;
  /** What goes on as soon as there is budget: connections with unparsed bytes, sessions with something to send, sweeps. */
  work: (Connection | Session | Sweep)[] = [];

  // Scratch, one of each: routing is never re-entered.
  readonly frame = new PublishFrame();
  readonly publication: Publication;

  isStopping = false;
  /** Bytes that sockets have not taken, all together. */
  unsentTotal = 0;
  /** Who is asked what sessions may do when it changes, and at the start; null: nobody. */
  review: Review | null;
  /** Permissions' changes so far: verdicts on a connection's last topic hold for one value of it. */
  permissionEpoch = 1;
  private lastIncarnation = 0;
  private lastToken = 0;

  constructor(options: CoreOptions, limits: Limits, now: number, wallOffsetMs: number) {
    this.options = options;
    this.review = options.review ?? null;
    this.limits = limits;
    this.now = now;
    this.startedAt = now;
    this.wallOffsetMs = wallOffsetMs;
    this.recordOffsetMs = wallOffsetMs;
    this.queueTotal = new QueueTotal(
      limits.queueMessagesTotalMax,
      limits.queueBytesTotalMax,
      limits.queuePrefixBytesTotalMax,
    );
    this.router = new Router(limits.plannedRecipientsMax, options.seed);
    this.topics = new TopicTable(limits.internedTopicsMax, limits.topicLevelsMax, options.seed, () =>
      this.router.forgetPlans(),
    );
    this.topics.bytesMax = limits.topicBytesMax;
    const { durability = 'memory' } = options;
    this.metrics = new Metrics(durability);
    this.journal = durability === 'memory' ? null : new Journal();
    const inMemoryMax = this.journal === null ? undefined : limits.retainedBytesInMemoryMax;
    this.retained = new RetainedStore(inMemoryMax, options.seed, this.principals);
    this.events = new EventLog(limits.eventIntervalMs, (event) => this.effects.push({ kind: 'event', event }));
    this.publication = new Publication(this.topics);
    this.deliveriesLeft = limits.turnDeliveriesMax;
    this.bytesLeft = limits.turnBytesMax;
  }

  /** What clients were told stays as it was told; all else counts at once, for what is added. */
  changeLimits(limits: Partial<Limits>): void {
    Object.assign(this.limits, limits);
    const { queueTotal, router, topics, retained, events } = this;
    queueTotal.messagesMax = this.limits.queueMessagesTotalMax;
    queueTotal.bytesMax = this.limits.queueBytesTotalMax;
    queueTotal.prefixBytesMax = this.limits.queuePrefixBytesTotalMax;
    router.plannedRecipientsMax = this.limits.plannedRecipientsMax;
    topics.topicsMax = this.limits.internedTopicsMax;
    topics.levelsMax = this.limits.topicLevelsMax;
    topics.bytesMax = this.limits.topicBytesMax;
    if (this.journal !== null) retained.bytesInMemoryMax = this.limits.retainedBytesInMemoryMax;
    events.intervalMs = this.limits.eventIntervalMs;
  }

  get wall(): number {
    return this.now + this.wallOffsetMs;
  }

  get isSpent(): boolean {
    return this.deliveriesLeft <= 0 || this.bytesLeft <= 0;
  }

  /** What this turn's budget was spent on. */
  get bytesWritten(): number {
    return this.limits.turnBytesMax - this.bytesLeft;
  }

  refillBudget(): void {
    this.deliveriesLeft = this.limits.turnDeliveriesMax;
    this.bytesLeft = this.limits.turnBytesMax;
  }

  /** The session of a client id, whatever its key; null: there is none. Of several, the one that is connected. */
  sessionOf(clientId: string): Session | null {
    const direct = this.sessions.get(clientId);
    const isDirect = direct?.clientId === clientId;
    if (!this.hasChosenKeys || (isDirect && direct.connection !== null)) return isDirect ? direct : null;
    let found = isDirect ? direct : null;
    for (const session of this.sessions.values()) {
      if (session.clientId !== clientId || session.isEstate) continue;
      if (session.connection !== null) return session;
      found ??= session;
    }
    return found;
  }

  /** Puts work into the ring, once. */
  wake(work: Connection | Session | Sweep): void {
    if (work.isWaiting) return;
    work.isWaiting = true;
    this.work.push(work);
  }

  nextIncarnation(): number {
    return ++this.lastIncarnation;
  }

  startIncarnationsAfter(last: number): void {
    this.lastIncarnation = last;
  }

  nextToken(): number {
    return ++this.lastToken;
  }

  /** Tells an event that happens once, now. */
  tell(event: BrokerEvent): void {
    this.effects.push({ kind: 'event', event });
  }
}

/** A pass over a table that is done some entries at a time. */
export class Sweep {
  isWaiting = false;
  /** Does one step; false when the pass is over. */
  readonly step: () => boolean;

  constructor(step: () => boolean) {
    this.step = step;
  }
}
