/**
 * The core's side of the store: batches go out, acknowledgements come free, an earlier run is restored.
 */

import { FlightState, ReasonCode, ReceiveIds, SendWindow } from '@pipit/protocol';
import { disconnect, sayGoodbye } from './closing.ts';
import { Deadline } from './deadlines.ts';
import type { Released } from './journal.ts';
import { dropDelivery, fits } from './line.ts';
import type { Delivery } from './message.ts';
import { Counter } from './metrics.ts';
import { restoreDelivery, restoreMessage } from './paging.ts';
import { Passing } from './passing.ts';
import type { StoredDelivery, StoredSession, StoredState, StoredSubscription } from './ports.ts';
import { Queue } from './queue.ts';
import { restoreRetained } from './retaining.ts';
import { restoredRights } from './rights.ts';
import { isEstateKey, Session } from './session.ts';
import { closeEstate, expireSession } from './sessions.ts';
import type { State } from './state.ts';
import { reviewSession, sweepSessions } from './sweeps.ts';
import { scheduleWill } from './will.ts';

/** Hands out the open batch for its commit, if it is its turn. At the end of every turn. */
export function sealBatch(state: State): void {
  const { journal } = state;
  if (journal === null) return;
  closeOverdue(state);
  const batch = journal.seal(state.now, state.wall, state.recordOffsetMs, (released) => release(state, released));
  if (batch === null) return;
  state.retained.sealed();
  state.effects.push({ kind: 'commit', batch });
  for (const connection of journal.takePaused()) state.wake(connection);
}

/** When the journal wants the turn to end next, without any input. */
export function heldDue(state: State): number {
  const { journal } = state;
  if (journal === null) return Number.POSITIVE_INFINITY;
  const overdue = journal.heldSince + state.limits.heldMsMax;
  return journal.isCommitting || !journal.hasOpen ? overdue : Math.min(overdue, Math.max(journal.retryAt, state.now));
}

export function committed(state: State, number: number, error: string | null): void {
  const { journal } = state;
  const batch = journal?.inFlight ?? null;
  if (journal === null || batch?.number !== number) return;
  const attempts = journal.failures;
  journal.committed(batch, error, state.now, (released) => release(state, released));
  if (error !== null) {
    state.metrics.count(Counter.CommitsFailed);
    state.tell({ type: 'commit-failed', reason: error, attempts: journal.failures });
  } else {
    state.metrics.count(Counter.Commits);
    state.retained.lasts();
    for (const session of journal.takePagers()) if (!session.isEnded) state.wake(session);
    if (attempts > 0) state.tell({ type: 'commit-recovered', attempts });
  }
}

export function storeRoom(state: State, bytes: number): void {
  const { journal } = state;
  if (journal === null) return;
  const wasFull = journal.isFull;
  journal.giveRoom(bytes);
  if (journal.isFull !== wasFull) state.tell({ type: wasFull ? 'store-has-room' : 'store-full' });
}

function release(state: State, released: Released): void {
  for (const connection of released.connections) {
    // What was held behind CONNACK counted as unsent: a line may have waited for it.
    if (connection.holdsAll && connection.session?.hasLine === true) state.wake(connection.session);
    connection.releaseHeld(state);
    const { farewell } = connection;
    if (state.isStopping && !connection.isHolding) sayGoodbye(state, connection);
    else if (farewell !== null && !connection.isHolding)
      disconnect(state, connection, farewell.reasonCode, farewell.reason);
    else if (connection.isStalled) state.wake(connection);
  }
  for (const { token, reasonCode } of released.publishes) state.effects.push({ kind: 'published', token, reasonCode });
}

/** Acknowledgements that waited too long for the disk will not come: the peer is told by the end of its connection. */
function closeOverdue(state: State): void {
  const { journal, limits, now } = state;
  if (journal === null || now < journal.heldSince + limits.heldMsMax) return;
  const overdue = [...journal.holders()].filter(
    (connection) => connection.isHolding && now >= connection.heldSince + limits.heldMsMax,
  );
  for (const connection of overdue) {
    state.metrics.reached('heldMsMax');
    disconnect(state, connection, ReasonCode.ServerUnavailable, 'the store has not answered in time');
  }
  journal.forgetClosed();
}

// ── Start

/** Nobody is down for ten years: one of the two clocks was wrong. */
const downtimeMaxMs = 10 * 365 * 24 * 3600 * 1000;

/** What is restored at once. */
const restoredAtOnce = 2_000;

/**
 * Restores an earlier run, some of it at each step. Downtime counts: what expired meanwhile goes, and every connection counts as
 * closed now.
 */
export function* restore(state: State, stored: StoredState): Generator<void> {
  const wallMs = state.wall - stored.wall;
  const downtimeMs = wallMs > 0 && wallMs < downtimeMaxMs ? wallMs : 0;
  if (stored.clock > 0) state.recordOffsetMs = stored.clock + downtimeMs - state.now;
  state.journal?.startAfter(stored.lastId);
  state.startIncarnationsAfter(stored.lastId);
  let done = 0;
  for (const each of stored.retained) {
    restoreRetained(state, each);
    if (++done % restoredAtOnce === 0) yield;
  }
  const loaded = [];
  for (const entry of stored.sessions) {
    loaded.push({ entry, session: restoreSession(state, entry.session, entry.subscriptions) });
    if (++done % restoredAtOnce === 0) yield;
  }
  // Groups are whole only now: deliveries may belong to one.
  for (const { entry, session } of loaded) {
    if (++done % restoredAtOnce === 0) yield;
    for (const delivery of entry.inFlight) restoreFlight(state, session, delivery);
    for (const packetId of entry.received) {
      session.received ??= new ReceiveIds();
      session.received.add(packetId);
    }
    const { count, bytes, lastSequence } = entry.waiting;
    session.sequence = Math.max(session.sequence, lastSequence);
    if (count > 0) restoreQueue(state, session, count, bytes, entry.waiting.afterSequence);
  }
  // What is over by now ends first: it must not have a part in what the wills of the others bring.
  for (const { session } of loaded) {
    if (isOver(state, session)) expireSession(state, session);
    if (++done % restoredAtOnce === 0) yield;
  }
  // A will joins the end of its receivers' lines: only now are they what they were.
  for (const { session } of loaded) if (!session.isEnded) scheduleWill(state, session);
  // What was allowed when they slept in may not be so now: subscriptions and what waits by them go as after any change.
  if (state.review !== null) state.wake(sweepSessions(state, () => true));
  for (const { entry, session } of loaded) {
    if (isEstateKey(entry.session.key) && new Passing(state, session, closeEstate).start()) closeEstate(state, session);
  }
}

function restoreSession(state: State, stored: StoredSession, subscriptions: readonly StoredSubscription[]): Session {
  const session = new Session(stored.key, stored.clientId, stored.principal, stored.incarnation, state.queueTotal);
  state.sessions.set(stored.key, session);
  if (stored.key !== stored.clientId && !isEstateKey(stored.key)) state.hasChosenKeys = true;
  session.expirySeconds = stored.expirySeconds;
  session.isRecorded = true;
  session.hasLasted = session.lasts;
  const wasOpen = !Number.isFinite(stored.closedAtClock);
  session.closedAt = wasOpen ? state.now : stored.closedAtClock - state.recordOffsetMs;
  // That it is closed now must be known after another crash, or its expiry would begin again.
  if (wasOpen) state.journal?.touch(session);
  if (stored.will !== null) {
    session.will = {
      message: restoreMessage(state, stored.will.message),
      delaySeconds: stored.will.delaySeconds,
    };
  }
  session.isEstate = isEstateKey(stored.key);
  if (session.isEstate) return session;
  const rights = restoredRights(stored.rights);
  if (state.review !== null || rights?.isOwn === true) session.permissions = rights;
  reviewSession(state, session);
  for (const { filter, shareName, ...options } of subscriptions)
    state.router.subscribe(session, filter, shareName, options);
  session.deadline = Deadline.of(session, expireSession);
  state.deadlines.arm(session.deadline, session.closedAt + session.expirySeconds * 1000);
  return session;
}

function isOver(state: State, { isEstate, closedAt, expirySeconds }: Session): boolean {
  return !isEstate && closedAt + expirySeconds * 1000 <= state.now;
}

function restoreQueue(state: State, session: Session, count: number, bytes: number, after: number): void {
  session.queue = Queue.stored(session.total, count, bytes, after);
  if (session.groups !== null || session.isEstate) session.queue.tailShared = count;
  // The power went while the oldest were being dropped, or the limit is lower now.
  if (state.options.queueOverflow !== 'drop-oldest' || fits(state, session, 0, -1)) return;
  session.queue.isOver = true;
  state.wake(session);
}

function restoreFlight(state: State, session: Session, stored: StoredDelivery): void {
  const delivery = restoreDelivery(state, stored);
  session.sequence = Math.max(session.sequence, delivery.sequence);
  session.window ??= new SendWindow<Delivery>();
  const flight = stored.released
    ? FlightState.AwaitPubcomp
    : stored.qos === 1
      ? FlightState.AwaitPuback
      : FlightState.AwaitPubrec;
  if (session.window.stateOf(delivery.packetId) === FlightState.Free) {
    session.window.restore(delivery.packetId, flight, delivery);
    session.keepFlight(delivery);
  } else dropDelivery(state, session, delivery, 'store-lost');
}
