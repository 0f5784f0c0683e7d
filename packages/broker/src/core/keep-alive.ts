/**
 * The deadlines of a connection: for its CONNECT, for its verdict, for its next packet, for what it was authenticated by.
 */

import { ReasonCode } from '@pipit/protocol';
import { disconnect, refused, shut } from './closing.ts';
import { reject } from './connack.ts';
import { type Connection, Phase } from './connection.ts';
import { Deadline } from './deadlines.ts';
import { isClogged } from './sending.ts';
import type { State } from './state.ts';

export function watchKeepAlive(state: State, connection: Connection): void {
  if (connection.deadline !== null) state.deadlines.disarm(connection.deadline);
  connection.deadline = null;
  if (connection.keepAliveMs === 0) return;
  connection.deadline = Deadline.of(connection, keepAliveDue);
  state.deadlines.arm(connection.deadline, state.now + connection.keepAliveMs);
}

/** Packets only stamp the connection; here is where the stamp is looked at. */
function keepAliveDue(state: State, connection: Connection): void {
  // A peer we do not read cannot keep itself alive, unless it is not read because it does not read either.
  const isClog = isClogged(state, connection);
  const aliveAt =
    connection.isPaused && !isClog ? state.now : Math.max(connection.lastReceivedAt, isClog ? connection.drainedAt : 0);
  const dueAt = aliveAt + connection.keepAliveMs;
  if (dueAt > state.now) state.deadlines.arm(connection.deadline as Deadline, dueAt);
  else disconnect(state, connection, ReasonCode.KeepAliveTimeout, 'nothing received within 1.5 times the keep alive'); // [MQTT-3.1.2-22]
}

export function limitLife(state: State, connection: Connection, expiresInMs: number | undefined): void {
  if (connection.expiryDeadline !== null) state.deadlines.disarm(connection.expiryDeadline);
  if (expiresInMs === undefined) return;
  connection.expiryDeadline = Deadline.of(connection, (at, expired) => {
    disconnect(at, expired, ReasonCode.MaximumConnectTime, 'what the connection was authenticated by has expired');
  });
  state.deadlines.arm(connection.expiryDeadline, state.now + expiresInMs);
}

/** A socket that sends no complete CONNECT, or gets no verdict, in time. */
export function connectDue(state: State, connection: Connection): void {
  state.metrics.reached('connectTimeoutMs');
  if (connection.phase === Phase.Connecting) {
    refused(state, connection, ReasonCode.UnspecifiedError, 'no CONNECT in time');
    shut(state, connection, true);
  } else if (connection.phase === Phase.Authenticating) {
    reject(state, connection, connection.version, ReasonCode.ServerUnavailable, 'no verdict in time');
  }
}
