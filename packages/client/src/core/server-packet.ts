/**
 * The packets that a server sends, PUBLISH apart (incoming.ts), from their bytes. What a server may not send is refused here: the
 * flags, the reason codes and the properties of each, and whatever is left over. When it may come is the core's business.
 */
import { type PropertyValues, reasonCodeAllowed, type PacketType as Type } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import type { Framer } from './framer.ts';
import { malformed, PacketReader, violation } from './packet-reader.ts';
import { readProperties } from './properties.ts';

/** One form for all; what a packet does not have is 0, false or empty. */
export interface ServerPacket {
  readonly type: Type;
  packetId: number;
  sessionPresent: boolean;
  /** Of CONNACK before 5.0 the return code. */
  reasonCode: number;
  /** Of SUBACK and UNSUBACK, in the order of the filters. */
  reasonCodes: number[];
  properties: PropertyValues;
}

/** Return codes of 3.1.1 go up to this. */
const returnCodeMax = 5;

/** The packet that the framer shows. Throws DecodeError. */
export function decodeServerPacket({ bytes, start, body, end }: Framer, version: 4 | 5): ServerPacket {
  const first = bytes[start] as number;
  const type = (first >> 4) as Type;
  const packet: ServerPacket = {
    type,
    packetId: 0,
    sessionPresent: false,
    reasonCode: 0,
    reasonCodes: [],
    properties: {},
  };
  if ((first & 0x0f) !== (type === PacketType.Pubrel ? 2 : 0)) throw malformed('its flags are not those of its type'); // [MQTT-2.1.3-1]
  const reader = new PacketReader(bytes, body, end);
  readBody(reader, packet, version);
  if (reader.left > 0) throw malformed('there are surplus bytes');
  return packet;
}

function readBody(reader: PacketReader, packet: ServerPacket, version: 4 | 5): void {
  const { type } = packet;
  switch (type) {
    case PacketType.Connack:
      return readConnack(reader, packet, version);
    case PacketType.Suback:
    case PacketType.Unsuback:
      packet.packetId = reader.packetId();
      if (version === 5) packet.properties = readProperties(reader, type);
      else if (type === PacketType.Unsuback) return;
      if (reader.left === 0) throw violation('there is no Reason Code');
      while (reader.left > 0) packet.reasonCodes.push(readReasonCode(reader, type, version));
      return;
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      packet.packetId = reader.packetId();
      return readReason(reader, packet, version);
    case PacketType.Disconnect:
    case PacketType.Auth:
      // Before 5.0 the one is the client's to send, and the other is not there.
      if (version === 5) return readReason(reader, packet, version);
      break;
    case PacketType.Pingresp:
      return;
    default:
  }
  throw violation('a server may not send this packet');
}

function readConnack(reader: PacketReader, packet: ServerPacket, version: 4 | 5): void {
  const flags = reader.uint8();
  if (flags > 1) throw malformed('a reserved flag is set'); // [MQTT-3.2.2-1]
  packet.sessionPresent = flags === 1;
  packet.reasonCode = readReasonCode(reader, PacketType.Connack, version);
  if (packet.sessionPresent && packet.reasonCode !== 0) throw violation('Session Present in a refusal'); // [MQTT-3.2.2-6]
  if (version === 5) packet.properties = readProperties(reader, PacketType.Connack);
}

/** A reason code and properties: both, the first, or none. */
function readReason(reader: PacketReader, packet: ServerPacket, version: 4 | 5): void {
  if (version === 5 && reader.left > 0) packet.reasonCode = readReasonCode(reader, packet.type, version);
  if (version === 5 && reader.left > 0) packet.properties = readProperties(reader, packet.type);
}

/** [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT-3.14.2-1] [MQTT-3.15.2-1] */
function readReasonCode(reader: PacketReader, type: Type, version: 4 | 5): number {
  const code = reader.uint8();
  const isLegal =
    version === 5
      ? reasonCodeAllowed(code, type, 'server')
      : code <= (type === PacketType.Connack ? returnCodeMax : 2) || (type === PacketType.Suback && code === 0x80);
  if (isLegal) return code;
  throw violation(`Reason Code ${code} is not one of this packet's`);
}
