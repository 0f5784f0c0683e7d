/**
 * Packets of the broker's own within the peer's Maximum Packet Size: what is for people goes first, then what is a courtesy.
 */

import {
  type AuthPacket,
  type ConnackPacket,
  type ConnackProperties,
  type DisconnectPacket,
  encodePacket,
  type ProtocolVersion,
} from '@pipit/protocol';

/**
 * The packet with as much as fits of Reason String and User Properties [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.14.2-3]
 * [MQTT-3.15.2-2], then of the Server Reference; null when even the rest is too large and must not be sent [MQTT-3.1.2-24].
 */
export function encodeFitting(
  packet: ConnackPacket | DisconnectPacket | AuthPacket,
  version: ProtocolVersion,
  bytesMax: number,
): Uint8Array | null {
  const whole = encodePacket(packet, version, 'server');
  if (whole.length <= bytesMax) return whole;
  const properties: ConnackProperties = packet.properties ?? {};
  const { reasonString: _, userProperties: __, ...plain } = properties;
  const short = encodePacket({ ...packet, properties: plain }, version, 'server');
  if (short.length <= bytesMax) return short;
  const { serverReference: ___, ...least } = plain;
  const shortest = encodePacket({ ...packet, properties: least }, version, 'server');
  return shortest.length <= bytesMax ? shortest : null;
}
