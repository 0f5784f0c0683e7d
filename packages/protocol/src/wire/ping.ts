/** PINGREQ and PINGRESP (sections 3.12 and 3.13): a fixed header and nothing else. */
import { packetTypeName } from './fixed-header.ts';
import type * as PacketType from './packet-types.ts';
import type { Reader } from './reader.ts';
import { Writer } from './writer.ts';

export interface PingreqPacket {
  type: typeof PacketType.Pingreq;
}

export interface PingrespPacket {
  type: typeof PacketType.Pingresp;
}

export function decodePing(
  reader: Reader,
  type: PingreqPacket['type'] | PingrespPacket['type'],
): PingreqPacket | PingrespPacket {
  reader.expectEnd();
  return { type };
}

export function encodePing(packet: PingreqPacket | PingrespPacket): Uint8Array {
  return new Writer(packetTypeName(packet.type), 0).finish(packet.type << 4);
}
