/** Connections that have to go by order of the operator, all that are meant: in steps, so that a million never hold up a turn. */

import { end } from './authentication.ts';
import { disconnect } from './closing.ts';
import { type Connection, Phase } from './connection.ts';
import { type State, Sweep } from './state.ts';

/** A pass over all connections, those included that come meanwhile. */
export function expelAll(
  state: State,
  isMeant: (connection: Connection) => boolean,
  reasonCode: number,
  reason: string,
): Sweep {
  const connections = state.connections.values();
  return new Sweep(() => {
    while (!state.isSpent) {
      const next = connections.next();
      if (next.done === true) return false;
      state.deliveriesLeft--;
      const connection = next.value;
      if (isMeant(connection)) expel(state, connection, reasonCode, reason);
    }
    return true;
  });
}

/** Who has not sent CONNECT has no version to be answered in. */
function expel(state: State, connection: Connection, reasonCode: number, reason: string): void {
  if (connection.phase === Phase.Connecting) disconnect(state, connection, reasonCode, reason);
  else end(state, connection, reasonCode, reason);
}
