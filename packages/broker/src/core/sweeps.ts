/**
 * Passes over all sessions that are done in steps, so that a million of them never hold up a turn.
 */

import { ReasonCode } from '@pipit/protocol';
import { disconnect } from './closing.ts';
import { revoke } from './revoking.ts';
import type { Session } from './session.ts';
import { type State, Sweep } from './state.ts';

/** After a change of rights: those of each session are asked anew, and what they do not grant goes. */
export function sweepSessions(state: State, concerns: (session: Session) => boolean): Sweep {
  const sessions = state.sessions.values();
  return new Sweep(() => {
    while (!state.isSpent) {
      const next = sessions.next();
      if (next.done === true) return false;
      state.deliveriesLeft--;
      const session = next.value;
      if (session.isEstate || session.local !== null || !concerns(session)) continue;
      const ends = reviewSession(state, session);
      if (session.permissions !== null) revoke(state, session);
      if (ends !== null && session.connection !== null) {
        disconnect(state, session.connection, ReasonCode.NotAuthorized, ends);
      }
    }
    return true;
  });
}

/** Gives a session the rights that it has now. Why its connection has to end, or null. */
export function reviewSession(state: State, session: Session): string | null {
  if (state.review === null) return null;
  const { clientId, principal, connection, permissions: before } = session;
  const { permissions, ends } = state.review({
    clientId,
    principal,
    peer: connection?.peer ?? null,
    permissions: before,
  });
  if (permissions === before) return ends;
  session.permissions = permissions;
  if (connection !== null) connection.lastTopicEpoch = -1;
  if (session.subscriptionCount > 0) state.router.version++;
  return ends;
}
