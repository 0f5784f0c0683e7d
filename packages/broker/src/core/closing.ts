/**
 * Connections end: by the peer, by the network, or by us with a reason the peer can read.
 */

import { PacketType, ReasonCode, reasonCodeAllowed, reasonCodeName } from '@pipit/protocol';
import { type Connection, Phase } from './connection.ts';
import { encodeFitting } from './fitting.ts';
import { Counter } from './metrics.ts';
import { detach } from './sessions.ts';
import type { State } from './state.ts';

/** Ends a connection from our side: DISCONNECT with the reason where the version has one, then flush, half-close, drain. */
export function disconnect(
  state: State,
  connection: Connection,
  reasonCode: number,
  reason: string,
  serverReference?: string,
): void {
  if (connection.phase === Phase.Closed) return;
  if (!connection.isOpen) {
    refused(state, connection, reasonCode, reason);
    shut(state, connection, true);
    return;
  }
  state.metrics.count(Counter.DisconnectsByServer);
  // Before CONNACK has left nothing else may.
  if (connection.version === 5 && !connection.holdsAll)
    sendDisconnect(state, connection, reasonCode, reason, serverReference);
  const { clientId, peer } = connection;
  state.tell({ type: 'disconnected', clientId, peer, by: 'server', reasonCode, reason });
  leave(state, connection, true, true);
}

/** Ends a connection that never was open, after whatever was written to it. */
export function refused(state: State, connection: Connection, reasonCode: number, reason: string): void {
  state.metrics.count(Counter.ConnectionsRefused);
  const { clientId, peer } = connection;
  state.tell({ type: 'refused', clientId: clientId === '' ? null : clientId, peer, reasonCode, reason });
}

/** The peer sent DISCONNECT [MQTT-3.14.4-3]. `keepsWill`: with a reason other than 0x00. */
export function left(state: State, connection: Connection, reasonCode: number, keepsWill: boolean): void {
  const { clientId, peer } = connection;
  // Table 2-6 has two names for 0x00.
  const reason = reasonCode === ReasonCode.NormalDisconnection ? 'Normal disconnection' : reasonCodeName(reasonCode);
  state.tell({ type: 'disconnected', clientId, peer, by: 'client', reasonCode, reason });
  leave(state, connection, keepsWill, true);
}

/** The socket is gone, or the peer said it will send nothing more. */
export function lost(state: State, connection: Connection, why: string): void {
  if (connection.phase === Phase.Closed) return;
  if (!connection.isOpen) {
    refused(state, connection, ReasonCode.UnspecifiedError, why);
    shut(state, connection, false);
    return;
  }
  const { clientId, peer } = connection;
  state.tell({
    type: 'disconnected',
    clientId,
    peer,
    by: 'network',
    reasonCode: ReasonCode.UnspecifiedError,
    reason: why,
  });
  leave(state, connection, true, false);
}

export function sayGoodbye(state: State, connection: Connection): void {
  disconnect(state, connection, ReasonCode.ServerShuttingDown, 'the server is shutting down');
}

/** A bug of ours, or of code that a verdict brought, met while serving `connection` (null: nobody in particular). */
export function failed(state: State, connection: Connection | null, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  state.tell({ type: 'internal-error', clientId: connection?.clientId ?? '', error: text });
  if (connection !== null) disconnect(state, connection, ReasonCode.UnspecifiedError, 'an internal error');
}

function leave(state: State, connection: Connection, keepsWill: boolean, linger: boolean): void {
  const { session } = connection;
  state.principals.left(session?.principal ?? null);
  shut(state, connection, linger);
  connection.session = null;
  if (session !== null && session.connection === connection) detach(state, session, keepsWill);
}

/** Ends everything about the connection but its session. */
export function shut(state: State, connection: Connection, linger: boolean): void {
  connection.phase = Phase.Closed;
  connection.dropHeld(state);
  connection.line = null;
  connection.unfinished = null;
  if (connection.deadline !== null) state.deadlines.disarm(connection.deadline);
  if (connection.expiryDeadline !== null) state.deadlines.disarm(connection.expiryDeadline);
  if (connection.throttle !== null) state.deadlines.disarm(connection.throttle.deadline);
  state.unsentTotal -= connection.unsent;
  connection.unsent = 0;
  state.connections.delete(connection);
  state.effects.push({ kind: 'close', connection, linger });
}

function sendDisconnect(
  state: State,
  connection: Connection,
  reasonCode: number,
  reason: string,
  serverReference?: string,
): void {
  const type = PacketType.Disconnect;
  // Not every reason for an end is one that DISCONNECT has a code for [MQTT-3.14.2-1].
  const fallback = reasonCode === ReasonCode.Banned ? ReasonCode.AdministrativeAction : ReasonCode.UnspecifiedError;
  const code = reasonCodeAllowed(reasonCode, type, 'server') ? reasonCode : fallback;
  const properties = { reasonString: reason, ...(serverReference === undefined ? {} : { serverReference }) };
  const bytes = encodeFitting({ type, reasonCode: code, properties }, 5, connection.packetBytesMax);
  if (bytes !== null) connection.send(state, bytes, false);
}
