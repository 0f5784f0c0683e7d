/** Control packet types as one object and as a type. */
import * as types from './packet-types.ts';

export const PacketType: Readonly<typeof types> = Object.freeze({ ...types });
export type PacketType = (typeof types)[keyof typeof types];
