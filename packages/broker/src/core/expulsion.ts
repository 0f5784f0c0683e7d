/** Connections and sessions that have to go by order of the operator, all that are meant: in steps, so that a million never hold up a turn. */

import { end } from './authentication.ts';
import { disconnect } from './closing.ts';
import { type Connection, Phase } from './connection.ts';
import type { Session } from './session.ts';
import { endSession } from './sessions.ts';
import { type State, Sweep } from './state.ts';

/** What looking at a connection with a certificate may cost, in deliveries: signatures may have to be verified. */
const certificateCost = 100;

/** A pass over all connections, those included that come meanwhile. Those for which there is a reason go. */
export function expelAll(
  state: State,
  reasonFor: (connection: Connection) => string | null,
  reasonCode: number,
): Sweep {
  const connections = state.connections.values();
  return new Sweep(() => {
    while (!state.isSpent) {
      const next = connections.next();
      if (next.done === true) return false;
      const connection = next.value;
      state.deliveriesLeft -= connection.peer.certificate === undefined ? 1 : certificateCost;
      const reason = reasonFor(connection);
      if (reason !== null) expel(state, connection, reasonCode, reason);
    }
    return true;
  });
}

/** What ending a session costs, in deliveries. */
const endCost = 100;

/**
 * A pass over all sessions: those that are meant end, after their clients were disconnected for this reason. `done` gets how many, in
 * the turn that ended the last.
 */
export function endAll(
  state: State,
  isMeant: (session: Session) => boolean,
  reasonCode: number,
  reason: string,
  done: (count: number) => void,
): Sweep {
  const sessions = state.sessions.values();
  let count = 0;
  return new Sweep(() => {
    while (!state.isSpent) {
      const next = sessions.next();
      if (next.done === true) {
        done(count);
        return false;
      }
      state.deliveriesLeft--;
      const session = next.value;
      if (session.isEstate || session.local !== null || !isMeant(session)) continue;
      state.deliveriesLeft -= endCost;
      endByOrder(state, session, reasonCode, reason);
      count++;
    }
    return true;
  });
}

/** Ends a session, and disconnects its client first. */
export function endByOrder(state: State, session: Session, reasonCode: number, reason: string): void {
  if (session.connection !== null) disconnect(state, session.connection, reasonCode, reason);
  endSession(state, session, 'administrative');
}

/** Who has not sent CONNECT has no version to be answered in. */
function expel(state: State, connection: Connection, reasonCode: number, reason: string): void {
  if (connection.phase === Phase.Connecting) disconnect(state, connection, reasonCode, reason);
  else end(state, connection, reasonCode, reason);
}
