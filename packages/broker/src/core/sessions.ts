/**
 * Sessions begin, are resumed, are left by their connection, and end.
 *
 * One owner per session: a connection is attached only after the one before was fenced off and detached (connect.ts). Ending a
 * session gives back everything it held: subscriptions, queue, packet ids, its place in shared groups, its will.
 */

import { FlightState } from '@pipit/protocol';
import type { Connection } from './connection.ts';
import { forgetCost, visitCost } from './costs.ts';
import { Deadline } from './deadlines.ts';
import type { BrokerEvent } from './events.ts';
import { Counter } from './metrics.ts';
import { Passing } from './passing.ts';
import type { Permissions } from './permissions.ts';
import { revoke } from './revoking.ts';
import { estateKey, Session, type Will } from './session.ts';
import { type State, Sweep } from './state.ts';
import { weed } from './weeding.ts';
import { cancelWill, publishWill, scheduleWill } from './will.ts';

type EndReason = Extract<BrokerEvent, { type: 'session-ended' }>['reason'];

export function createSession(state: State, key: string, clientId: string, principal: string | null): Session {
  const session = new Session(key, clientId, principal, state.nextIncarnation(), state.queueTotal);
  state.sessions.set(key, session);
  session.missed = state.missed.find(clientId);
  if (key !== clientId) state.hasChosenKeys = true;
  state.metrics.count(Counter.SessionsCreated);
  return session;
}

/** What a connection brings to its session. */
export interface Attachment {
  readonly expirySeconds: number;
  readonly will: Will | null;
  readonly permissions: Permissions | null;
}

/** Gives the session its connection. What is in flight and waits goes out in the steps of `pump`. */
export function attach(state: State, session: Session, connection: Connection, attachment: Attachment): void {
  cancelWill(state, session);
  if (session.deadline !== null) state.deadlines.disarm(session.deadline);
  session.tailReader?.stop();
  session.connection = connection;
  state.principals.connected(session.principal);
  connection.session = session;
  session.expirySeconds = attachment.expirySeconds;
  if (session.lasts) session.hasLasted = true;
  session.will = attachment.will;
  permit(state, session, attachment.permissions);
  session.quota = Math.min(connection.receiveMaximum, state.limits.sendMaximum);
  connection.receiveMaximum = session.quota;
  // A peer that resumes again and again and never completes what it was sent must not gather messages without end.
  session.flightMax = 2 * state.limits.sendMaximum;
  session.flightBytesMax = state.limits.queueBytesMax;
  session.isResending = session.window !== null && session.window.inUse > 0;
  session.resentId = 0;
  // A will outlives a crash even when its session does not: it is published at the next start. And the tail of a line that
  // was meant to last is nowhere but in the store.
  const isNeeded = session.lasts || session.will !== null || (session.queue?.tailCount ?? 0) > 0;
  if (isNeeded) state.journal?.touch(session);
  else state.journal?.ended(session);
  if (session.hasLine) state.wake(session);
}

/** Gives the session the permissions of a verdict; subscriptions that they do not grant are over. */
export function permit(state: State, session: Session, permissions: Permissions | null): void {
  if (session.permissions === permissions) return;
  session.permissions = permissions;
  // Plans need not be made anew for somebody who is in none.
  if (session.subscriptionCount > 0) state.router.version++;
  revoke(state, session);
}

/** The connection of a session is gone. `keepsWill`: it was not left by DISCONNECT 0x00. */
export function detach(state: State, session: Session, keepsWill: boolean): void {
  session.connection = null;
  session.isResending = false;
  session.closedAt = state.now;
  if (!keepsWill) session.will = null;
  if (!session.lasts) {
    endSession(state, session, 'closed');
    return;
  }
  for (const replay of session.replays?.values() ?? []) replay.leave(state);
  session.deadline ??= Deadline.of(session, expireSession);
  state.deadlines.arm(session.deadline, state.now + session.expirySeconds * 1000);
  state.journal?.touch(session);
  scheduleWill(state, session);
  if (session.groups !== null) new Passing(state, session, null).start();
  if (session.isUnweeded) weed(state, session);
}

export function expireSession(state: State, session: Session): void {
  state.metrics.count(Counter.SessionsExpired);
  endSession(state, session, 'expired');
}

/** Ends a session without a connection. Its will, if it has one, is published now; its shared messages go to others. */
export function endSession(state: State, session: Session, reason: EndReason): void {
  if (session.isEnded) return;
  session.isEnded = true;
  if (session.deadline !== null) state.deadlines.disarm(session.deadline);
  state.sessions.delete(session.key);
  forgetSubscriptions(state, session);
  publishWill(state, session);
  session.tailReader?.stop();
  session.received = null;
  for (const replay of session.replays?.values() ?? []) replay.close(state);
  session.replays = null;
  const { clientId, hasLasted } = session;
  const awayMs = Math.round(state.now - session.closedAt);
  const isOver = !mayShare(session) || leaveEstate(state, session);
  const { dropped, bytes } = isOver ? discard(state, session) : { dropped: 0, bytes: 0 };
  if (isOver && !hasLasted && dropped === 0) return;
  if (hasLasted) state.metrics.drop('session-ended', dropped);
  state.tell({ type: 'session-ended', clientId, reason, awayMs, dropped, bytes });
}

/** They match nothing more at once; the tree is rid of them in steps, for there may be thousands. */
function forgetSubscriptions(state: State, session: Session): void {
  state.deliveriesLeft -= forgetCost * (session.groups?.size ?? 0);
  const leaving = state.router.forget(session);
  if (leaving === null) return;
  const sweep = new Sweep(() => {
    do {
      state.deliveriesLeft -= forgetCost;
      if (!state.router.clear(leaving)) return false;
    } while (!state.isSpent);
    return true;
  });
  if (state.isSpent || sweep.step()) state.wake(sweep);
}

/** Whether anything of it may move on to another member of a shared subscription. */
function mayShare({ queue, window }: Session): boolean {
  if (queue !== null && (queue.tailShared > 0 || [...queue].some(({ group }) => group !== null))) return true;
  for (let id = window?.nextAfter(0) ?? 0; id !== 0; id = window?.nextAfter(id) ?? 0) {
    if (window?.itemOf(id)?.group != null && window.stateOf(id) === FlightState.AwaitPuback) return true;
  }
  return false;
}

/**
 * What a session leaves behind moves on in steps. Meanwhile it stands in the session table, and in the store, under a key that no
 * client can have: its client may begin anew, and a power cut loses nothing. True when this turn was enough.
 */
function leaveEstate(state: State, session: Session): boolean {
  const { key } = session;
  session.key = estateKey(session.incarnation);
  session.isEnded = false;
  session.isEstate = true;
  session.local = null;
  session.permissions = null;
  // Whatever it did before, it lasts now.
  session.expirySeconds = Math.max(1, session.expirySeconds);
  state.sessions.set(session.key, session);
  const { journal } = state;
  const { queue } = session;
  journal?.renamed(session, key);
  if (journal !== null && queue !== null) {
    // The store finds it under the new key only when that lasts.
    queue.page = 0;
    queue.gapBatch = journal.number;
  }
  return new Passing(state, session, closeEstate).start();
}

/** All that could move has: the rest is dropped. */
export function closeEstate(state: State, session: Session): void {
  const { dropped: count } = discard(state, session);
  if (count === 0) return;
  const event = { type: 'dropped', clientId: session.clientId, topic: '', reason: 'session-ended', count } as const;
  state.metrics.drop('session-ended', count);
  state.events.count(event, state.deadlines, state.now);
}

/** Forgets a session, here and in the store, with what it still has. */
function discard(state: State, session: Session): { dropped: number; bytes: number } {
  const { queue, window } = session;
  session.isEnded = true;
  state.sessions.delete(session.key);
  state.journal?.ended(session);
  const dropped = (queue?.count ?? 0) + (window?.inUse ?? 0);
  const bytes = (queue?.bytes ?? 0) + session.flightBytes;
  state.metrics.count(Counter.EndedBytes, bytes);
  state.deliveriesLeft -= visitCost(dropped);
  for (const delivery of queue ?? []) delivery.isSettled = true;
  queue?.clear();
  session.queue = null;
  session.dropFlights();
  return { dropped, bytes };
}
