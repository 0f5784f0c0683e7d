/**
 * Sessions begin, are resumed, are left by their connection, and end.
 *
 * One owner per session: a connection is attached only after the one before was fenced off and detached (connect.ts). Ending a
 * session gives back everything it held: subscriptions, queue, packet ids, its place in shared groups, its will.
 */

import type { Connection } from './connection.ts';
import { Deadline } from './deadlines.ts';
import type { BrokerEvent } from './events.ts';
import { Counter } from './metrics.ts';
import { Passing } from './passing.ts';
import type { Permissions } from './permissions.ts';
import { Session, type Will } from './session.ts';
import type { State } from './state.ts';
import { revoke } from './sweeps.ts';
import { cancelWill, publishWill, scheduleWill } from './will.ts';

type EndReason = Extract<BrokerEvent, { type: 'session-ended' }>['reason'];

export function createSession(state: State, key: string, clientId: string, principal: string | null): Session {
  const session = new Session(key, clientId, principal, state.nextIncarnation(), state.queueTotal);
  state.sessions.set(key, session);
  state.metrics.count(Counter.SessionsCreated);
  return session;
}

/** What a connection brings to its session. */
export interface Terms {
  readonly expirySeconds: number;
  readonly will: Will | null;
  readonly permissions: Permissions | null;
}

/** Gives the session its connection. What is in flight and waits goes out in the steps of `pump`. */
export function attach(state: State, session: Session, connection: Connection, terms: Terms): void {
  cancelWill(state, session);
  if (session.deadline !== null) state.deadlines.disarm(session.deadline);
  session.passing?.stop();
  session.connection = connection;
  connection.session = session;
  session.expirySeconds = terms.expirySeconds;
  if (session.lasts) session.hasLasted = true;
  session.will = terms.will;
  permit(state, session, terms.permissions);
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
  for (const replay of session.replays ?? []) replay.leave(state);
  session.deadline ??= Deadline.of(session, expireSession);
  state.deadlines.arm(session.deadline, state.now + session.expirySeconds * 1000);
  state.journal?.touch(session);
  scheduleWill(state, session);
  if (session.groups !== null) new Passing(state, session).start();
}

export function expireSession(state: State, session: Session): void {
  state.metrics.count(Counter.SessionsExpired);
  endSession(state, session, 'expired');
}

/** Ends a session without a connection. Its will, if it has one, is published now. */
export function endSession(state: State, session: Session, reason: EndReason): void {
  if (session.isEnded) return;
  session.isEnded = true;
  if (session.deadline !== null) state.deadlines.disarm(session.deadline);
  state.sessions.delete(session.key);
  state.router.forget(session);
  publishWill(state, session);
  session.passing?.stop();
  new Passing(state, session).start();
  state.journal?.ended(session);
  const dropped = (session.queue?.count ?? 0) + (session.window?.inUse ?? 0);
  for (const delivery of session.queue ?? []) delivery.isSettled = true;
  if (session.hasLasted || dropped > 0) {
    const bytes = (session.queue?.bytes ?? 0) + session.flightBytes;
    const awayMs = Math.round(state.now - session.closedAt);
    if (session.hasLasted) state.metrics.drop('session-ended', dropped);
    state.metrics.count(Counter.EndedBytes, bytes);
    state.tell({ type: 'session-ended', clientId: session.clientId, reason, awayMs, dropped, bytes });
  }
  session.queue?.clear();
  session.queue = null;
  session.dropFlights();
  session.received = null;
  for (const replay of session.replays ?? []) replay.close(state);
  session.replays = null;
}
