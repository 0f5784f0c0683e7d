/** Control packet types as one object and as a type. */
import type * as types from './packet-types.ts';

// Written out: a copy of the module's namespace is an object that compiled code does not see through.
export const PacketType = {
  Connect: 1,
  Connack: 2,
  Publish: 3,
  Puback: 4,
  Pubrec: 5,
  Pubrel: 6,
  Pubcomp: 7,
  Subscribe: 8,
  Suback: 9,
  Unsubscribe: 10,
  Unsuback: 11,
  Pingreq: 12,
  Pingresp: 13,
  Disconnect: 14,
  Auth: 15,
} as const satisfies typeof types;
export type PacketType = (typeof PacketType)[keyof typeof PacketType];
