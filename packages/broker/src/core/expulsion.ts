/** Connections that have to go by order of the operator, all that are meant: in steps, so that a million never hold up a turn. */

import { end } from './authentication.ts';
import { disconnect } from './closing.ts';
import { type Connection, Phase } from './connection.ts';
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

/** Who has not sent CONNECT has no version to be answered in. */
function expel(state: State, connection: Connection, reasonCode: number, reason: string): void {
  if (connection.phase === Phase.Connecting) disconnect(state, connection, reasonCode, reason);
  else end(state, connection, reasonCode, reason);
}
