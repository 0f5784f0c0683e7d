/**
 * What the first byte of a packet says: its type and flags, who may send it, and the words every other file of the
 * codec uses for versions and sides. The bytes of the Remaining Length belong to the framer and the reader.
 */

import type { PacketType as Type } from './packet-type.ts';
import * as PacketType from './packet-types.ts';

/** The protocol level of CONNECT: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. */
export type ProtocolVersion = 3 | 4 | 5;

/** The side that sent (decoding) or sends (encoding) a packet. */
export type Sender = 'client' | 'server';

export type QoS = 0 | 1 | 2;

const names = [
  'Reserved',
  'CONNECT',
  'CONNACK',
  'PUBLISH',
  'PUBACK',
  'PUBREC',
  'PUBREL',
  'PUBCOMP',
  'SUBSCRIBE',
  'SUBACK',
  'UNSUBSCRIBE',
  'UNSUBACK',
  'PINGREQ',
  'PINGRESP',
  'DISCONNECT',
  'AUTH',
] as const;

/** The standard's name of a packet type: `PUBLISH`. */
export function packetTypeName(type: number): string {
  return names[type] ?? `packet type ${type}`;
}

export const dupFlag = 0b1000;
export const retainFlag = 0b0001;

/** The flags every type but PUBLISH must carry (table 2-2). */
export function fixedFlags(type: Type): number {
  switch (type) {
    case PacketType.Pubrel:
    case PacketType.Subscribe:
    case PacketType.Unsubscribe:
      return 0b0010;
    default:
      return 0;
  }
}

/** Whether `flags` may stand beside `type`. PUBLISH answers true: its flags have rules of their own. */
export function flagsAllowed(type: Type, flags: number, version: ProtocolVersion): boolean {
  if (type === PacketType.Publish) return true;
  const fixed = fixedFlags(type);
  if (flags === fixed) return true; // [MQTT-2.1.3-1]
  // MQTT 3.1 sends PUBREL, SUBSCRIBE and UNSUBSCRIBE with QoS 1 and marks their repeats with DUP.
  return version === 3 && fixed !== 0 && flags === (fixed | dupFlag);
}

/** Whether this side may send packets of this type at all in this version (table 2-1). */
export function senderAllowed(type: Type, version: ProtocolVersion, sender: Sender): boolean {
  switch (type) {
    case PacketType.Connect:
    case PacketType.Subscribe:
    case PacketType.Unsubscribe:
    case PacketType.Pingreq:
      return sender === 'client';
    case PacketType.Connack:
    case PacketType.Suback:
    case PacketType.Unsuback:
    case PacketType.Pingresp:
      return sender === 'server';
    case PacketType.Disconnect:
      return version === 5 || sender === 'client';
    case PacketType.Auth:
      return version === 5;
    default:
      return true;
  }
}
