/** PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): four types of one form. */

import type { ProtocolVersion, Sender } from './fixed-header.ts';
import { fixedFlags, packetTypeName } from './fixed-header.ts';
import type { PacketType as AnyType } from './packet-type.ts';
import type * as PacketType from './packet-types.ts';
import { hasProperties, readProperties, writeProperties } from './property.ts';
import type { PropertyValues } from './property-table.ts';
import type { Reader } from './reader.ts';
import { reasonCodeAllowed } from './reason-code-table.ts';
import * as ReasonCode from './reason-codes.ts';
import { Writer } from './writer.ts';

export type AckProperties = Pick<PropertyValues, 'reasonString' | 'userProperties'>;

interface Ack<Type extends AnyType> {
  type: Type;
  packetId: number;
  /** Before 5.0 always 0. */
  reasonCode: number;
  properties?: AckProperties;
}

export type PubackPacket = Ack<typeof PacketType.Puback>;
export type PubrecPacket = Ack<typeof PacketType.Pubrec>;
export type PubrelPacket = Ack<typeof PacketType.Pubrel>;
export type PubcompPacket = Ack<typeof PacketType.Pubcomp>;
export type AckPacket = PubackPacket | PubrecPacket | PubrelPacket | PubcompPacket;

export function decodeAck(
  reader: Reader,
  type: AckPacket['type'],
  version: ProtocolVersion,
  sender: Sender,
): AckPacket {
  const packet: Ack<AckPacket['type']> = { type, packetId: reader.packetId(), reasonCode: ReasonCode.Success };
  if (version === 5 && reader.left > 0) {
    packet.reasonCode = reader.uint8('Reason Code');
    if (!reasonCodeAllowed(packet.reasonCode, type, sender)) {
      // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
      reader.fail(
        ReasonCode.ProtocolError,
        `Reason Code ${packet.reasonCode} is not one of this packet's`,
        reader.at - 1,
      );
    }
    if (reader.left > 0) {
      const properties = readProperties(reader, type, sender);
      if (properties !== undefined) packet.properties = properties;
    }
  }
  reader.expectEnd();
  return packet as AckPacket;
}

export function encodeAck(packet: AckPacket, version: ProtocolVersion, sender: Sender): Uint8Array {
  const { type, packetId, reasonCode, properties } = packet;
  const writer = new Writer(packetTypeName(type), 16);
  writer.packetId(packetId);
  if (version === 5 && !reasonCodeAllowed(reasonCode, type, sender)) {
    writer.fail(ReasonCode.ProtocolError, `Reason Code ${reasonCode} is not one of this packet's`);
  }
  if (version !== 5 && reasonCode !== ReasonCode.Success) {
    writer.fail(ReasonCode.MalformedPacket, 'reason codes exist since 5.0 only');
  }
  const withProperties = hasProperties(properties);
  if (reasonCode !== ReasonCode.Success || withProperties) writer.uint8(reasonCode, 'Reason Code');
  if (withProperties) writeProperties(writer, version, type, sender, properties);
  return writer.finish((type << 4) | fixedFlags(type));
}
