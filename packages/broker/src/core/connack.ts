/**
 * The answer to CONNECT: what the server announces, or why it refuses, as far as the client's version has words for it.
 */

import {
  type ConnackProperties,
  type ConnectPacket,
  connackReturnCode,
  PacketType,
  type ProtocolVersion,
  ReasonCode,
  reasonCodeAllowed,
  reasonCodeName,
} from '@pipit/protocol';
import { refused, shut } from './closing.ts';
import type { Connection } from './connection.ts';
import { encodeFitting } from './fitting.ts';
import type { Acceptance, Refusal } from './ports.ts';
import type { State } from './state.ts';

/** The CONNACK of an accepted connection; null when it cannot be made small enough for the peer. */
export function welcome(connection: Connection, properties: ConnackProperties, isPresent: boolean): Uint8Array | null {
  const { version, packetBytesMax: bytesMax } = connection;
  // 3.1 has no Session Present: the byte is reserved there.
  const sessionPresent = isPresent && version !== 3;
  const packet = { type: PacketType.Connack, sessionPresent, reasonCode: ReasonCode.Success };
  return encodeFitting(version === 5 ? { ...packet, properties } : packet, version, bytesMax);
}

export function connackProperties(
  state: State,
  connection: Connection,
  connect: ConnectPacket,
  verdict: Acceptance,
  expirySeconds: number,
): ConnackProperties {
  const asked = connect.properties ?? {};
  const keepAlive = keepAliveSeconds(state, connect, verdict);
  return {
    ...((asked.sessionExpiryInterval ?? 0) === expirySeconds ? {} : { sessionExpiryInterval: expirySeconds }),
    ...(connection.inboundMax === 65_535 ? {} : { receiveMaximum: connection.inboundMax }),
    ...(connection.maximumQoS === 2 ? {} : { maximumQoS: connection.maximumQoS }),
    ...(connection.mayRetain ? {} : { retainAvailable: false }),
    maximumPacketSize: packetBytesMax(state, verdict),
    ...(connect.clientId === '' ? { assignedClientIdentifier: connection.clientId } : {}), // [MQTT-3.2.2-16]
    ...(connection.aliasMaximum === 0 ? {} : { topicAliasMaximum: connection.aliasMaximum }),
    ...(verdict.reason === undefined ? {} : { reasonString: verdict.reason }),
    ...(verdict.userProperties === undefined ? {} : { userProperties: [...verdict.userProperties] }),
    ...(connection.mayUseWildcards ? {} : { wildcardSubscriptionAvailable: false }),
    ...(connection.mayIdentify ? {} : { subscriptionIdentifierAvailable: false }),
    ...(connection.mayShare ? {} : { sharedSubscriptionAvailable: false }),
    ...(keepAlive === connect.keepAlive ? {} : { serverKeepAlive: keepAlive }), // [MQTT-3.2.2-21]
    ...(asked.requestResponseInformation === true && verdict.responseInformation !== undefined
      ? { responseInformation: verdict.responseInformation }
      : {}),
    ...(connection.authenticationMethod === null ? {} : { authenticationMethod: connection.authenticationMethod }),
    ...(verdict.data === undefined || connection.authenticationMethod === null
      ? {}
      : { authenticationData: verdict.data }),
  };
}

/**
 * Before 5.0 a client cannot be told to send more often. Who is silent for longer is closed all the same: inactive clients may be, and
 * a socket that is held for a day by a few bytes is the oldest attack.
 */
export function keepAliveSeconds(state: State, connect: ConnectPacket, verdict: Acceptance): number {
  const maximum = Math.min(state.limits.serverKeepAliveMax, verdict.limits?.keepAliveMax ?? 65_535);
  // At 65,535 there is no cap, not even on a Keep Alive that is switched off.
  return maximum === 65_535 || (connect.keepAlive > 0 && connect.keepAlive <= maximum) ? connect.keepAlive : maximum;
}

export function packetBytesMax(state: State, verdict: Acceptance): number {
  return Math.min(state.limits.packetBytesMax, verdict.limits?.packetBytesMax ?? state.limits.packetBytesMax);
}

export function refuse(state: State, connection: Connection, refusal: Refusal): void {
  const { reasonCode, reason = reasonCodeName(reasonCode), serverReference } = refusal;
  reject(state, connection, connection.version, reasonCode, reason, serverReference);
}

/** Answers a CONNECT with a failure, as far as its version has words for it, and closes. */
export function reject(
  state: State,
  connection: Connection,
  version: ProtocolVersion | null,
  reasonCode: number,
  reason: string,
  serverReference?: string,
): void {
  if (version === 5) {
    const properties = { reasonString: reason, ...(serverReference === undefined ? {} : { serverReference }) };
    const isAllowed = reasonCodeAllowed(reasonCode, PacketType.Connack, 'server'); // [MQTT-3.2.2-8]
    sendRefusal(state, connection, 5, isAllowed ? reasonCode : ReasonCode.UnspecifiedError, properties);
  } else if (version !== null) {
    const returnCode = connackReturnCode(reasonCode as ReasonCode);
    if (returnCode !== undefined && returnCode !== 0) sendRefusal(state, connection, version, returnCode, undefined);
  }
  refused(state, connection, reasonCode, reason);
  shut(state, connection, true); // [MQTT-3.2.2-7]
}

function sendRefusal(
  state: State,
  connection: Connection,
  version: ProtocolVersion,
  reasonCode: number,
  properties: ConnackProperties | undefined,
): void {
  const packet = { type: PacketType.Connack, sessionPresent: false, reasonCode };
  const bytes = encodeFitting(
    properties === undefined ? packet : { ...packet, properties },
    version,
    connection.packetBytesMax,
  );
  if (bytes !== null) connection.send(state, bytes, false);
}

/** An unknown level gets the answer its own version would most likely understand [MQTT-3.1.2-2]; another protocol gets none. */
export function rejectVersion(
  state: State,
  connection: Connection,
  name: string | undefined,
  level: number | undefined,
): void {
  const isOurs = (name === 'MQTT' || name === 'MQIsdp') && level !== undefined;
  const version = !isOurs ? null : name === 'MQTT' && (level as number) > 5 ? 5 : 4;
  const reason = isOurs ? `protocol level ${level} is not supported` : 'not an MQTT CONNECT';
  reject(state, connection, version, ReasonCode.UnsupportedProtocolVersion, reason);
}
