/** The properties of a message as they go on the wire (5.0, without their length), and as an object. */

import type { PublishPacket, PublishProperties } from '@pipit/protocol';
import { decodePacket, encodePacket, noBytes, PacketType, PublishFrame, viewOf } from '@pipit/protocol';

/** A topic of one byte, for packets that are made for their properties only. */
const anyTopic = 'x';
const anyTopicBytes = [0, 1, 0x78];

export interface PropertyBlock {
  readonly block: Uint8Array;
  /** Offset in `block` of the four bytes of the Message Expiry Interval, and its value; -1: there is none. */
  readonly expiryAt: number;
  readonly expirySeconds: number;
}

/** Throws DecodeError when it is none. */
export function decodePropertyBlock(block: Uint8Array): PublishProperties {
  if (block.length === 0) return {};
  const body = [...anyTopicBytes, ...variableByteInteger(block.length)];
  const head = [PacketType.Publish << 4, ...variableByteInteger(body.length + block.length), ...body];
  const packet = new Uint8Array(head.length + block.length);
  packet.set(head);
  packet.set(block, head.length);
  return (decodePacket(packet, 0, packet.length, 5, 'client') as PublishPacket).properties ?? {};
}

/** Throws EncodeError on illegal properties. */
export function encodePropertyBlock(properties: PublishProperties | undefined): PropertyBlock {
  if (properties === undefined) return { block: noBytes, expiryAt: -1, expirySeconds: -1 };
  const packet: PublishPacket = {
    type: PacketType.Publish,
    topic: anyTopic,
    payload: noBytes,
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    properties,
  };
  const bytes = encodePacket(packet, 5, 'client');
  let body = 1;
  while ((bytes[body++] as number) >= 0x80);
  const frame = new PublishFrame();
  frame.read(bytes, viewOf(bytes), 0, body, bytes.length, 5, 'client');
  const { propertiesStart, propertiesEnd, messageExpiryAt, messageExpiryInterval } = frame;
  return {
    block: bytes.subarray(propertiesStart, propertiesEnd),
    expiryAt: messageExpiryAt < 0 ? -1 : messageExpiryAt - propertiesStart,
    expirySeconds: messageExpiryInterval,
  };
}

function variableByteInteger(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}
