/**
 * The broker without the world: bytes and the time go in, bytes and effects come out. Synchronous and deterministic.
 *
 * The driver calls an input for everything that happens, and `take` once per turn of its event loop; then it performs what the
 * turn says and arms one timer for `deadline`. Inputs never throw because of what a peer did, and never call out.
 */

import { ReasonCode } from '@pipit/protocol';
import { disconnect, failed, lost, sayGoodbye } from './closing.ts';
import { authenticated } from './connect.ts';
import { Connection, Phase } from './connection.ts';
import { Deadline } from './deadlines.ts';
import { committed, heldDue, restore, sealBatch, storeRoom } from './durability.ts';
import { endAll, endByOrder, expelAll } from './expulsion.ts';
import { Inspection } from './inspection.ts';
import { connectDue } from './keep-alive.ts';
import { defaultLimits, type Limits } from './limits.ts';
import { closeLocal, type LocalSubscribe, type LocalSubscriber, pumpLocal, settled } from './local.ts';
import { type LocalPublish, toMessage } from './local-message.ts';
import { subscribeLocal } from './local-subscribe.ts';
import { Delivery } from './message.ts';
import { Counter, type Metrics } from './metrics.ts';
import { paged } from './paging.ts';
import type { Groups, Permissions, Rule } from './permissions.ts';
import type { Peer, StoredMessage, StoredPage, StoredState, Verdict } from './ports.ts';
import { publishMessage } from './publish.ts';
import { pump } from './pump.ts';
import { read, readOn } from './receive.ts';
import { refusalOf } from './refusal.ts';
import { firstReplay } from './replay.ts';
import type { Review } from './rights.ts';
import { deliverDirect, isClogged } from './sending.ts';
import type { Session } from './session.ts';
import { endSession } from './sessions.ts';
import type { Slab } from './slab.ts';
import { type CoreOptions, type Effect, type LiveOptions, State, Sweep } from './state.ts';
import { sweepSessions } from './sweeps.ts';
import { SysTopics } from './sys.ts';
import { beginTrace, endTrace, type TraceRequest } from './trace.ts';

/** What one turn has to say. Both arrays are used again: do not keep them. */
export interface Turn {
  /** Connections with bytes to write: `shift` them until null. */
  writes: Connection[];
  /** In order, after the writes. */
  effects: Effect[];
}

/** Bytes to write for each chunk of a burst, on average: where there are more, each write is a large one already. */
const burstInputBytesMax = 1024;
/** Of a turn's budget, at least, for each in the ring: smaller parts cost more than they make fair. */
const shareDeliveriesMin = 64;
const shareBytesMin = 16 * 1024;

export class Core {
  /** For tests, invariants and the admin API; not to be changed from outside. */
  readonly state: State;
  private readonly inspection: Inspection;
  private readonly turn: Turn = { writes: [], effects: [] };
  /** Chunks that came in this turn. */
  private inputs = 0;
  /** Turns in a row that kept deliveries back. */
  private turnsKept = 0;

  /** `now`: monotonic milliseconds; `wallOffsetMs` added to it gives wall-clock milliseconds. */
  constructor(options: CoreOptions, now: number, wallOffsetMs: number) {
    const limits: Limits = { ...defaultLimits, ...options.limits };
    this.state = new State(options, limits, now, wallOffsetMs);
    this.inspection = new Inspection(this.state);
    const interval = options.sysIntervalMs === undefined ? 10_000 : options.sysIntervalMs;
    if (interval !== null) new SysTopics(this.state, interval);
  }

  /** What there is to see now; its generators may be drawn from later. */
  inspect(now: number): Inspection {
    this.state.now = now;
    return this.inspection;
  }

  get metrics(): Metrics {
    return this.state.metrics;
  }

  // ── Inputs

  /** What lasted from an earlier run: to be gone through to its end, with pauses if it is much, before anything else. */
  restore(stored: StoredState, now: number): Iterable<void> {
    this.state.now = now;
    return restore(this.state, stored);
  }

  /** The wall clock was set: only what is recorded from now on cares. */
  wallStepped(wallOffsetMs: number, now: number): void {
    this.state.now = now;
    this.state.wallOffsetMs = wallOffsetMs;
  }

  /** A socket was accepted. `entropy`: 16 random bytes, kept until CONNECT has come. */
  opened(peer: Peer, entropy: Uint8Array, now: number): Connection {
    const { state } = this;
    state.now = now;
    const connection = new Connection(peer, entropy, state.limits.connectPacketBytesMax, now);
    state.connections.add(connection);
    connection.deadline = Deadline.of(connection, connectDue);
    state.deadlines.arm(connection.deadline, now + state.limits.connectTimeoutMs);
    if (state.connections.size > state.limits.connectionsMax) {
      state.metrics.reached('connectionsMax');
      disconnect(state, connection, ReasonCode.ServerBusy, 'the server has as many connections as it may');
    }
    return connection;
  }

  /** bytes[start, end) arrived. They stay the caller's and may be reused as soon as this returns. */
  received(connection: Connection, bytes: Uint8Array, view: DataView, start: number, end: number, now: number): void {
    const { state } = this;
    state.now = now;
    if (connection.phase === Phase.Closed) return;
    this.inputs++;
    // What is not parsed now is so by our doing: it counts as it comes.
    if (connection.isStalled) connection.lastReceivedAt = now;
    state.metrics.count(Counter.BytesReceived, end - start);
    connection.throttle?.received(end - start);
    connection.framer.feed(bytes, view, start, end);
    read(state, connection);
  }

  /**
   * A write was made, or the socket took more: `unsentBytes` is what it has not taken yet. `slab`: the one just written, when
   * the socket took it whole and does not need it any more; otherwise null.
   */
  written(connection: Connection, slab: Slab | null, unsentBytes: number, now: number): void {
    const { state } = this;
    if (slab !== null) state.pool.give(slab);
    if (connection.unsent === unsentBytes || connection.phase === Phase.Closed) return;
    state.now = now;
    const drained = unsentBytes < connection.unsent;
    if (drained || connection.unsent === 0) connection.drainedAt = now;
    state.unsentTotal += unsentBytes - connection.unsent;
    connection.unsent = unsentBytes;
    const { session } = connection;
    // Who does not take our answers is not asked anything more: acknowledgements alone could pile up without end.
    if (!drained && isClogged(state, connection)) connection.isStalled = true;
    if (drained && connection.isStalled) state.wake(connection);
    if (drained && session?.hasLine === true) state.wake(session);
    if (state.unsentTotal > state.limits.unsentBytesTotalMax) this.shed();
  }

  /** The socket is gone, or the peer will send nothing more. */
  closed(connection: Connection, now: number, why = 'the connection was lost'): void {
    this.state.now = now;
    lost(this.state, connection, why);
  }

  /** The authority's answer to an `authenticate` effect. */
  authenticated(connection: Connection, exchange: number, verdict: Verdict, now: number): void {
    this.state.now = now;
    try {
      authenticated(this.state, connection, exchange, verdict);
    } catch (error) {
      failed(this.state, connection, error);
    }
  }

  /** The answer to a `commit` effect; `error` null: the whole batch lasts. */
  committed(batch: number, error: string | null, now: number): void {
    this.state.now = now;
    committed(this.state, batch, error);
  }

  /** How many bytes may be added to what has lasted so far: publishes beyond are refused. 0: the store is full. */
  storeRoom(bytes: number, now: number): void {
    this.state.now = now;
    storeRoom(this.state, bytes);
  }

  /** The answer to a `page` effect; `page` null: it could not be read now, for this reason. */
  paged(request: number, page: StoredPage | null, error: string | null, now: number): void {
    this.state.now = now;
    paged(this.state, request, page, error);
  }

  /** The answer to a `fetch` effect. */
  fetched(
    request: number,
    messages: readonly (StoredMessage | null)[] | null,
    error: string | null,
    now: number,
  ): void {
    const { state } = this;
    state.now = now;
    state.fetches.fetched(state, request, messages, error);
  }

  /**
   * Replaces the rules of these permissions and of all that share them: effective at once, then subscriptions that lost their
   * right go in steps.
   */
  permissionsChanged(permissions: Permissions, rules: readonly Rule[], now: number, groups: Groups = {}): void {
    permissions.replace(rules, groups);
    this.rightsChanged(now, ({ permissions: each }) => each?.sharesRulesWith(permissions) === true);
  }

  /** Rules or users have changed: what every session may do is asked anew, in steps, and by the same function from now on. */
  reviewed(review: Review, now: number): void {
    this.state.review = review;
    this.rightsChanged(now, () => true);
  }

  private rightsChanged(now: number, concerns: (session: Session) => boolean): void {
    const { state } = this;
    state.now = now;
    state.permissionEpoch++;
    state.router.version++;
    state.wake(sweepSessions(state, concerns));
  }

  /** Other limits and other ways from now on. What a client was told at CONNECT holds for its connection. */
  changeOptions(limits: Partial<Limits>, options: LiveOptions, now: number): void {
    const { state } = this;
    state.now = now;
    state.changeLimits(limits);
    state.options = { ...state.options, ...options };
  }

  /**
   * Says goodbye to everybody (0x8B) and accepts nobody any more. Undelayed wills are published. Who waits for a commit hears
   * what it acknowledges first.
   */
  stop(now: number): void {
    const { state } = this;
    state.now = now;
    state.isStopping = true;
    for (const connection of [...state.connections]) {
      if (connection.isHolding) connection.isStalled = true;
      else sayGoodbye(state, connection);
    }
  }

  /** Nothing is left to write, to commit or to do. */
  isQuiet(): boolean {
    const { state } = this;
    const isIdle = state.dirty.length === 0 && state.effects.length === 0 && state.work.length === 0;
    const isRead = state.pages.size === 0 && state.fetches.open.size === 0;
    return isIdle && isRead && (state.journal === null || state.journal.isIdle);
  }

  // ── In-process code

  /** Answered by the effect `published`, after the commit if one is needed, or by the claim on its topic. Throws EncodeError or Violation on what is not legal. */
  publish(publish: LocalPublish, token: number, now: number): void {
    const { state } = this;
    state.now = now;
    const message = toMessage(state, publish);
    const before = state.journal?.mark;
    const refusal = refusalOf(state, null, message);
    const matched = refusal === null ? publishMessage(state, message, token) : 0;
    if (matched === 'claimed') return;
    const reasonCode = matched === 0 ? ReasonCode.NoMatchingSubscribers : ReasonCode.Success;
    this.answer(token, refusal?.reasonCode ?? reasonCode, before);
  }

  /** Throws Violation on a filter that is not legal. */
  subscribe(options: LocalSubscribe, now: number): LocalSubscriber {
    this.state.now = now;
    return subscribeLocal(this.state, options);
  }

  unsubscribe(subscriber: LocalSubscriber, now: number): void {
    const { state } = this;
    state.now = now;
    if (subscriber.isClosed) return;
    closeLocal(state, subscriber, ReasonCode.UnspecifiedError);
    endSession(state, subscriber.session, 'closed');
  }

  /** One message of an in-process subscriber is dealt with; `reasonCode` is a claim's answer to the publisher. */
  settled(subscriber: LocalSubscriber, token: number, reasonCode: number, now: number): void {
    this.state.now = now;
    settled(this.state, subscriber, token, reasonCode);
  }

  /**
   * Sends to one connected client outside any subscription; `published` answers, after the commit if one is needed: 0, or 0x10
   * when it is not there. Throws like `publish`.
   */
  send(clientId: string, publish: LocalPublish, token: number, now: number): void {
    const { state } = this;
    state.now = now;
    const message = toMessage(state, publish);
    const before = state.journal?.mark;
    const session = state.sessionOf(clientId);
    const connection = session?.connection ?? null;
    if (connection !== null && session !== null) {
      deliverDirect(state, session, connection, new Delivery(message, publish.qos, publish.retain, null, null));
    }
    this.answer(token, connection === null ? ReasonCode.NoMatchingSubscribers : 0, before);
  }

  /** Answers in-process code: now, or with the open batch if anything that lasts may have changed since `before`. */
  private answer(token: number, reasonCode: number, before?: number): void {
    const { journal, effects } = this.state;
    if (journal !== null && journal.mark !== before) journal.holdPublish({ token, reasonCode });
    else effects.push({ kind: 'published', token, reasonCode });
  }

  /** Disconnects a client. False when it is not connected. */
  disconnect(clientId: string, reasonCode: number, reason: string, now: number): boolean {
    const { state } = this;
    state.now = now;
    const connection = state.sessionOf(clientId)?.connection ?? null;
    if (connection === null) return false;
    disconnect(state, connection, reasonCode, reason);
    return true;
  }

  /**
   * Disconnects every client for which there is a reason, in steps. `reasonFor` is asked once for each, with what CONNECT and the
   * transport said; it looks and changes nothing.
   */
  disconnectAll(reasonFor: (connection: Connection) => string | null, reasonCode: number, now: number): void {
    this.state.now = now;
    this.state.wake(expelAll(this.state, reasonFor, reasonCode));
  }

  /** Follows messages by `traced` events. The number of the trace; null: there are enough. Throws a RangeError for a bad filter. */
  trace(request: TraceRequest, now: number): number | null {
    this.state.now = now;
    return beginTrace(this.state, request);
  }

  endTrace(trace: number, now: number): void {
    this.state.now = now;
    endTrace(this.state, trace, 'asked');
  }

  /**
   * Ends a session with all that waits for it, and disconnects its client first. `published` answers once that lasts: 0, or 0x10 when
   * there is none, or it is in-process code.
   */
  endSession(clientId: string, token: number, now: number): void {
    const { state } = this;
    state.now = now;
    const session = state.sessionOf(clientId);
    if (session === null || session.local !== null) {
      return this.answer(token, ReasonCode.NoMatchingSubscribers, state.journal?.mark);
    }
    endByOrder(state, session, ReasonCode.AdministrativeAction, 'an operator ended the session');
    this.answer(token, 0);
  }

  /** The same for all that are meant, in steps; the reason is what their clients are told. */
  endSessions(
    isMeant: (session: Session) => boolean,
    reasonCode: number,
    reason: string,
    token: number,
    now: number,
  ): void {
    this.state.now = now;
    const done = (count: number): void => this.answer(token, count === 0 ? ReasonCode.NoMatchingSubscribers : 0);
    this.state.wake(endAll(this.state, isMeant, reasonCode, reason, done));
  }

  // ── Outputs

  /** Ends the turn: what is due and what waits is done within the budget, then everything there is to say is handed out. */
  take(now: number): Turn {
    const { state, turn } = this;
    state.now = now;
    const inputBytes = state.bytesWritten;
    state.refillBudget();
    this.fireDeadlines();
    this.doWork();
    sealBatch(state);
    const { writes, effects } = turn;
    turn.writes = state.dirty;
    turn.effects = state.effects;
    writes.length = 0;
    effects.length = 0;
    state.dirty = writes;
    state.effects = effects;
    if (this.isBurst(inputBytes + state.bytesWritten)) this.keepDeliveries();
    for (const connection of turn.writes) {
      connection.isDirty = false;
      connection.isUrgent = false;
      state.metrics.count(Counter.BytesSent, connection.out.bytes);
    }
    state.refillBudget();
    return turn;
  }

  /**
   * Whether deliveries wait for the next turn: this one brought many chunks and little to say for each. Without more input the
   * next one says it all.
   */
  private isBurst(writtenBytes: number): boolean {
    const { inputs } = this;
    const { burstInputsMin, burstTurnsMax } = this.state.limits;
    this.inputs = 0;
    const isBurst = inputs >= burstInputsMin && writtenBytes <= inputs * burstInputBytesMax;
    this.turnsKept = isBurst && this.turnsKept < burstTurnsMax ? this.turnsKept + 1 : 0;
    return this.turnsKept > 0;
  }

  /** Takes those that have nothing but deliveries to say out of this turn's writes. */
  private keepDeliveries(): void {
    const { writes } = this.turn;
    let count = 0;
    for (const connection of writes) {
      // One that closes has no next turn.
      if (connection.isUrgent || connection.phase === Phase.Closed) writes[count++] = connection;
      else this.state.dirty.push(connection);
    }
    writes.length = count;
  }

  /** When `take` must be called next if nothing else happens: at or before now means in the next turn, Infinity never. */
  deadline(): number {
    const { state } = this;
    if (state.work.length > 0 || state.dirty.length > 0 || state.effects.length > 0) return state.now;
    return Math.min(state.deadlines.next, heldDue(state));
  }

  private fireDeadlines(): void {
    const { state } = this;
    for (let due = state.deadlines.take(state.now); due !== undefined; due = state.deadlines.take(state.now)) {
      try {
        due.fire(state);
      } catch (error) {
        failed(state, null, error);
      }
      state.deliveriesLeft--;
      if (state.isSpent) return;
    }
  }

  /** Goes through the ring once at most, each having an equal part of what is left; what that cuts short goes to its end. */
  private doWork(): void {
    const { state } = this;
    const { work } = state;
    if (work.length === 0) return;
    state.work = [];
    let at = 0;
    for (; at < work.length && !state.isSpent; at++) {
      const each = work[at] as (typeof work)[number];
      each.isWaiting = false;
      const { deliveriesLeft, bytesLeft } = state;
      const waiting = work.length - at;
      const deliveries = Math.min(deliveriesLeft, Math.max(shareDeliveriesMin, Math.ceil(deliveriesLeft / waiting)));
      const bytes = Math.min(bytesLeft, Math.max(shareBytesMin, Math.ceil(bytesLeft / waiting)));
      state.deliveriesLeft = deliveries;
      state.bytesLeft = bytes;
      try {
        if (this.step(each)) state.wake(each);
      } catch (error) {
        failed(state, connectionOf(each), error);
      }
      state.deliveriesLeft += deliveriesLeft - deliveries;
      state.bytesLeft += bytesLeft - bytes;
    }
    if (at < work.length) state.work = [...work.slice(at), ...state.work];
  }

  private step(work: Connection | Session | Sweep): boolean {
    if (work instanceof Sweep) return work.step();
    if (work instanceof Connection) {
      readOn(this.state, work);
      return false;
    }
    const isMore = work.local === null ? pump(this.state, work) : pumpLocal(this.state, work.local);
    if (!isMore) firstReplay(work)?.stall(this.state);
    return isMore;
  }

  /** All readers together have too much unsent: the one with the most goes. */
  private shed(): void {
    let worst: Connection | null = null;
    for (const connection of this.state.connections) {
      if (worst === null || connection.unsent > worst.unsent) worst = connection;
    }
    if (worst === null) return;
    this.state.metrics.reached('unsentBytesTotalMax');
    disconnect(
      this.state,
      worst,
      ReasonCode.QuotaExceeded,
      'reads too slowly: all readers together have too many bytes unsent',
    );
  }
}

/** Who is served by a piece of waiting work. */
function connectionOf(work: Connection | Session | Sweep): Connection | null {
  if (work instanceof Connection) return work;
  return work instanceof Sweep ? null : work.connection;
}
