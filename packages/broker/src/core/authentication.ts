/**
 * Questions to the authority, and AUTH: enhanced authentication before CONNACK and beside traffic (MQTT 5.0, 4.12).
 */

import { type AuthPacket, PacketType, ReasonCode, reasonCodeAllowed } from '@pipit/protocol';
import { disconnect } from './closing.ts';
import { reject } from './connack.ts';
import { type Connection, Phase } from './connection.ts';
import { encodeFitting } from './fitting.ts';
import { limitLife } from './keep-alive.ts';
import type { Acceptance, AuthenticationRequest, Refusal } from './ports.ts';
import type { Session } from './session.ts';
import { permit } from './sessions.ts';
import type { State } from './state.ts';
import { Violation } from './violation.ts';

type Question = Pick<AuthenticationRequest, 'kind' | 'password' | 'data' | 'userProperties'>;

export function ask(state: State, connection: Connection, question: Question): void {
  const { peer, version, clientId, username, authenticationMethod: method } = connection;
  const principal = connection.session?.principal ?? null;
  const memory = question.kind === 'continue' ? connection.exchangeMemory : null;
  connection.exchangeMemory = null;
  const request = { ...question, peer, version, clientId, username, method, principal, memory };
  // Beside traffic a new exchange stops nothing; before CONNACK everything waits for the verdict.
  connection.awaitsVerdict = true;
  connection.isStalled ||= !connection.isOpen;
  state.effects.push({ kind: 'authenticate', connection, exchange: ++connection.exchange, request });
}

/** AUTH: the next step of enhanced authentication, or its beginning beside traffic (5.0, 4.12). */
export function authReceived(state: State, connection: Connection, packet: AuthPacket): void {
  const method = packet.properties?.authenticationMethod ?? null;
  if (method === null || method !== connection.authenticationMethod) {
    throw new Violation(ReasonCode.ProtocolError, 'AUTH with another method than CONNECT'); // [MQTT-4.12.1-1]
  }
  const isContinuation = packet.reasonCode === ReasonCode.ContinueAuthentication;
  const isUnderWay = connection.phase === Phase.Authenticating || connection.isReauthenticating;
  // The next step is the client's only once the broker has asked for it.
  if (isContinuation !== isUnderWay || connection.awaitsVerdict)
    throw new Violation(ReasonCode.ProtocolError, 'AUTH out of order');
  if (connection.isOpen) connection.isReauthenticating = true;
  ask(state, connection, {
    kind: isContinuation ? 'continue' : 're-authenticate',
    password: null,
    data: packet.properties?.authenticationData ?? null,
    userProperties: packet.properties?.userProperties ?? [],
  });
}

export function reauthenticated(state: State, connection: Connection, verdict: Acceptance | Refusal): void {
  connection.isReauthenticating = false;
  if (verdict.outcome === 'refuse') {
    const { reasonCode, reason = 're-authentication failed', serverReference } = verdict;
    const isAllowed = reasonCodeAllowed(reasonCode, PacketType.Disconnect, 'server');
    const code = isAllowed ? reasonCode : ReasonCode.NotAuthorized;
    disconnect(state, connection, code, reason, serverReference); // [MQTT-4.12.1-2]
    return;
  }
  const session = connection.session as Session;
  if (session.principal !== verdict.principal) {
    disconnect(state, connection, ReasonCode.NotAuthorized, 're-authenticated as somebody else');
    return;
  }
  permit(state, session, verdict.permissions ?? null);
  if (session.lasts) state.journal?.touch(session);
  connection.lastTopicEpoch = -1;
  limitLife(state, connection, verdict.expiresInMs);
  sendAuth(state, connection, ReasonCode.Success, verdict.data ?? null, verdict.reason);
}

export function sendAuth(
  state: State,
  connection: Connection,
  reasonCode: number,
  data: Uint8Array | null,
  reason: string | undefined,
): void {
  const properties = {
    authenticationMethod: connection.authenticationMethod ?? '',
    ...(data === null ? {} : { authenticationData: data }),
    ...(reason === undefined || !connection.wantsProblems ? {} : { reasonString: reason }),
  };
  const bytes = encodeFitting({ type: PacketType.Auth, reasonCode, properties }, 5, connection.packetBytesMax);
  const why = 'the AUTH packet is larger than the client accepts';
  if (bytes !== null) connection.send(state, bytes, connection.isHolding);
  else end(state, connection, ReasonCode.PacketTooLarge, why);
}

/** DISCONNECT, or CONNACK before there was one. */
export function end(state: State, connection: Connection, reasonCode: number, reason: string): void {
  if (connection.isOpen) disconnect(state, connection, reasonCode, reason);
  else reject(state, connection, connection.version, reasonCode, reason);
}
