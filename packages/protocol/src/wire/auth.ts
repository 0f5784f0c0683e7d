/** AUTH (section 3.15), since 5.0. Its short form stands for a packet without Authentication Method, which is an error. */

import type { Sender } from './fixed-header.ts';
import * as PacketType from './packet-types.ts';
import { readProperties, writeProperties } from './property.ts';
import type { PropertyValues } from './property-table.ts';
import type { Reader } from './reader.ts';
import { reasonCodeAllowed } from './reason-code-table.ts';
import * as ReasonCode from './reason-codes.ts';
import { Writer } from './writer.ts';

export type AuthProperties = Pick<
  PropertyValues,
  'authenticationMethod' | 'authenticationData' | 'reasonString' | 'userProperties'
>;

export interface AuthPacket {
  type: typeof PacketType.Auth;
  reasonCode: number;
  /** There is always at least the Authentication Method. */
  properties?: AuthProperties;
}

export function decodeAuth(reader: Reader, sender: Sender): AuthPacket {
  const packet: AuthPacket = { type: PacketType.Auth, reasonCode: ReasonCode.Success };
  if (reader.left > 0) {
    packet.reasonCode = reader.uint8('Reason Code');
    if (!reasonCodeAllowed(packet.reasonCode, PacketType.Auth, sender)) {
      const problem = `a ${sender} may not send AUTH with Reason Code ${packet.reasonCode}`;
      reader.fail(ReasonCode.ProtocolError, problem, reader.at - 1); // [MQTT-3.15.2-1]
    }
    const properties = readProperties(reader, PacketType.Auth, sender);
    if (properties !== undefined) packet.properties = properties;
  }
  reader.expectEnd();
  if (packet.properties?.authenticationMethod === undefined) {
    reader.fail(ReasonCode.ProtocolError, 'there is no Authentication Method');
  }
  return packet;
}

export function encodeAuth(packet: AuthPacket, sender: Sender): Uint8Array {
  const { reasonCode, properties } = packet;
  const writer = new Writer('AUTH', 64);
  if (!reasonCodeAllowed(reasonCode, PacketType.Auth, sender)) {
    writer.fail(ReasonCode.ProtocolError, `a ${sender} may not send AUTH with Reason Code ${reasonCode}`); // [MQTT-3.15.2-1]
  }
  if (properties?.authenticationMethod === undefined) {
    writer.fail(ReasonCode.ProtocolError, 'there is no Authentication Method');
  }
  writer.uint8(reasonCode, 'Reason Code');
  writeProperties(writer, 5, PacketType.Auth, sender, properties);
  return writer.finish(PacketType.Auth << 4);
}
