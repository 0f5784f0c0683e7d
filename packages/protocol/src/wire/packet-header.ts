/** The fixed header of a packet that is to be decoded whole: its type, its flags, its length, and who may send it. */
import type { ProtocolVersion, Sender } from './fixed-header.ts';
import { flagsAllowed, packetTypeName, senderAllowed } from './fixed-header.ts';
import type { PacketType as Type } from './packet-type.ts';
import * as PacketType from './packet-types.ts';
import { Reader } from './reader.ts';
import * as ReasonCode from './reason-codes.ts';

/**
 * A reader at the body of one whole frame whose fixed header is what `sender` may send in this version, and the packet's type.
 * Throws DecodeError.
 */
export function openPacket(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
  sender: Sender,
): { reader: Reader; type: Type } {
  const reader = new Reader().open('packet', bytes, start, start, end);
  const first = reader.uint8('the fixed header');
  const type = (first >> 4) as Type;
  reader.packet = packetTypeName(type);
  if (first < 0x10 || (type === PacketType.Auth && version !== 5)) {
    reader.fail(ReasonCode.MalformedPacket, `packet type ${type} is reserved`, start);
  }
  const packetEnd = reader.blockEnd('Remaining Length');
  if (packetEnd !== end) reader.fail(ReasonCode.MalformedPacket, 'bytes follow the packet', packetEnd);
  if (!flagsAllowed(type, first & 0x0f, version)) {
    reader.fail(ReasonCode.MalformedPacket, `flags are ${first & 0x0f}`, start); // [MQTT-2.1.3-1]
  }
  if (!senderAllowed(type, version, sender)) {
    reader.fail(ReasonCode.ProtocolError, `a ${sender} may not send this packet`, start);
  }
  return { reader, type };
}
