/** CONNACK (section 3.2). */

import type { ProtocolVersion } from './fixed-header.ts';
import * as PacketType from './packet-types.ts';
import { readProperties, writeProperties } from './property.ts';
import type { PropertyValues } from './property-table.ts';
import type { Reader } from './reader.ts';
import { reasonCodeAllowed } from './reason-code-table.ts';
import * as ReasonCode from './reason-codes.ts';
import { Writer } from './writer.ts';

export type ConnackProperties = Pick<
  PropertyValues,
  | 'sessionExpiryInterval'
  | 'receiveMaximum'
  | 'maximumQoS'
  | 'retainAvailable'
  | 'maximumPacketSize'
  | 'assignedClientIdentifier'
  | 'topicAliasMaximum'
  | 'reasonString'
  | 'userProperties'
  | 'wildcardSubscriptionAvailable'
  | 'subscriptionIdentifierAvailable'
  | 'sharedSubscriptionAvailable'
  | 'serverKeepAlive'
  | 'responseInformation'
  | 'serverReference'
  | 'authenticationMethod'
  | 'authenticationData'
>;

export interface ConnackPacket {
  type: typeof PacketType.Connack;
  /** MQTT 3.1 has no such thing: always false there. */
  sessionPresent: boolean;
  /** The 5.0 reason code, or before 5.0 the return code 0 to 5. */
  reasonCode: number;
  properties?: ConnackProperties;
}

function codeAllowed(code: number, version: ProtocolVersion): boolean {
  return version === 5 ? reasonCodeAllowed(code, PacketType.Connack, 'server') : code <= 5; // [MQTT-3.2.2-8]
}

export function decodeConnack(reader: Reader, version: ProtocolVersion): ConnackPacket {
  const flags = reader.uint8('Connect Acknowledge Flags');
  // [MQTT-3.2.2-1]; in MQTT 3.1 the whole byte is reserved and says nothing.
  if (flags > 1 && version !== 3) {
    reader.fail(ReasonCode.MalformedPacket, 'a reserved acknowledge flag is set', reader.at - 1);
  }
  const sessionPresent = flags === 1 && version !== 3;
  const reasonCode = reader.uint8('Reason Code');
  if (!codeAllowed(reasonCode, version)) {
    reader.fail(ReasonCode.ProtocolError, `Reason Code ${reasonCode} is not one of CONNACK's`, reader.at - 1);
  }
  if (sessionPresent && reasonCode !== 0) {
    reader.fail(ReasonCode.ProtocolError, 'Session Present in a refusal', reader.at - 2); // [MQTT-3.2.2-6]
  }
  const packet: ConnackPacket = { type: PacketType.Connack, sessionPresent, reasonCode };
  if (version === 5) {
    const properties = readProperties(reader, PacketType.Connack, 'server');
    if (properties !== undefined) packet.properties = properties;
  }
  reader.expectEnd();
  return packet;
}

export function encodeConnack(packet: ConnackPacket, version: ProtocolVersion): Uint8Array {
  const { sessionPresent, reasonCode, properties } = packet;
  const writer = new Writer('CONNACK', 32);
  if (!codeAllowed(reasonCode, version)) {
    writer.fail(ReasonCode.ProtocolError, `Reason Code ${reasonCode} is not one of CONNACK's`);
  }
  if (sessionPresent && reasonCode !== 0) {
    writer.fail(ReasonCode.ProtocolError, 'Session Present in a refusal'); // [MQTT-3.2.2-6]
  }
  if (sessionPresent && version === 3)
    writer.fail(ReasonCode.MalformedPacket, 'Session Present exists since 3.1.1 only');
  writer.uint8(sessionPresent ? 1 : 0, 'Connect Acknowledge Flags');
  writer.uint8(reasonCode, 'Reason Code');
  writeProperties(writer, version, PacketType.Connack, 'server', properties);
  return writer.finish(PacketType.Connack << 4);
}
