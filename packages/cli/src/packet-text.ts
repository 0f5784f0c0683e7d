/** Packets and reason codes in words: the lines of `-d`, and why a broker refused. */

import type { ConnackPacket, DisconnectPacket, Packet, ProtocolVersion } from '@pipit/protocol';
import { PacketType, packetTypeName, ReasonCode, reasonCodeName } from '@pipit/protocol';

/** The words of mosquitto_pub for the return codes of CONNACK before 5.0. */
const returnCodes = [
  'Connection Accepted.',
  'Connection Refused: unacceptable protocol version.',
  'Connection Refused: identifier rejected.',
  'Connection Refused: broker unavailable.',
  'Connection Refused: bad user name or password.',
  'Connection Refused: not authorised.',
];

/** Why a CONNACK says no, in a sentence. */
export function connackRefusal(packet: ConnackPacket, version: ProtocolVersion): string {
  const { reasonCode, properties } = packet;
  const reason = version === 5 ? `${reasonCodeName(reasonCode)}.` : returnCodes[reasonCode];
  return withReason(`Connection error: ${reason}`, properties?.reasonString);
}

/** Why the broker ended a 5.0 connection, in a sentence. */
export function disconnectReason(packet: DisconnectPacket): string {
  return withReason(
    `The broker closed the connection: ${reasonCodeName(packet.reasonCode)}.`,
    packet.properties?.reasonString,
  );
}

/** What an acknowledgement says; before 5.0 all that is known is that the answer is no. */
export function refusalName(reasonCode: number, version: ProtocolVersion): string {
  return version !== 5 && reasonCode === ReasonCode.UnspecifiedError ? 'Refused' : reasonCodeName(reasonCode);
}

/** One line for `-d`, without payloads or passwords. */
export function packetLine(direction: 'sending' | 'received', packet: Packet): string {
  return `${direction} ${packetTypeName(packet.type)}${details(packet)}`;
}

function details(packet: Packet): string {
  switch (packet.type) {
    case PacketType.Publish: {
      const { dup, qos, retain, packetId, topic, payload } = packet;
      return ` (d${Number(dup)}, q${qos}, r${Number(retain)}, m${packetId}, '${topic}', ... (${payload.length} bytes))`;
    }
    case PacketType.Connack:
    case PacketType.Disconnect:
      return ` (${packet.reasonCode})`;
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return ` (m${packet.packetId}, rc${packet.reasonCode})`;
    case PacketType.Subscribe: {
      const filters = packet.subscriptions.map(({ filter, qos }) => `'${filter}' q${qos}`);
      return ` (m${packet.packetId}, ${filters.join(', ')})`;
    }
    case PacketType.Suback:
      return ` (m${packet.packetId}, ${packet.reasonCodes.join(', ')})`;
    default:
      return '';
  }
}

function withReason(sentence: string, reason: string | undefined): string {
  return reason === undefined || reason === '' ? sentence : `${sentence} (${reason})`;
}
