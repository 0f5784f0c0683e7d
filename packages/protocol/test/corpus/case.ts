/**
 * The words the corpus is written in. A case is bytes, and either the packet they are or the reason code they are refused
 * with. Ids are stable: other suites and bug reports name them.
 */
import type { Packet, ProtocolVersion, Sender } from '@pipit/protocol';

export interface Case {
  readonly id: string;
  readonly version: ProtocolVersion;
  readonly sender: Sender;
  readonly bytes: Uint8Array;
  /** What the bytes decode to; in a refused case, a packet the encoder must refuse likewise (if one can be written down). */
  readonly packet: Packet | undefined;
  /** The reason code of the DecodeError; undefined: the bytes are legal. */
  readonly refused: number | undefined;
  /** Whether encoding the packet gives these bytes; a legal case that is not has a shorter form or is only tolerated. */
  readonly canonical: boolean;
  /** The reason code with which the encoder refuses the packet of a tolerated case. */
  readonly unwritable: number | undefined;
}

type Version = ProtocolVersion;

/** Bytes from hexadecimal digits; blanks are for the eye. */
export function bytes(hex: string): Uint8Array {
  const digits = hex.replaceAll(/\s/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hexadecimal: ${hex}`);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function hexOf(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function uint16(value: number): string {
  return value.toString(16).padStart(4, '0');
}

/** A Variable Byte Integer. */
export function vbi(value: number): string {
  const byte = value % 128;
  const rest = Math.floor(value / 128);
  return (rest > 0 ? byte + 128 : byte).toString(16).padStart(2, '0') + (rest > 0 ? vbi(rest) : '');
}

/** A length of two bytes and the hexadecimal bytes behind it. */
export function bin(hex: string): string {
  return uint16(bytes(hex).length) + hex;
}

/** A UTF-8 string of ASCII characters. */
export function str(ascii: string): string {
  return bin(Array.from(ascii, (character) => character.charCodeAt(0).toString(16).padStart(2, '0')).join(''));
}

/** Property Length and the properties. */
export function props(...parts: string[]): string {
  const hex = parts.join('');
  return vbi(bytes(hex).length) + hex;
}

/** The first byte, the right Remaining Length, and the body. */
export function frame(first: string, ...parts: string[]): string {
  const body = parts.join('');
  return first + vbi(bytes(body).length) + body;
}

/** Legal bytes, which the encoder would write just so. */
export function good(id: string, version: Version, sender: Sender, hex: string, packet: Packet): Case {
  return { id, version, sender, bytes: bytes(hex), packet, refused: undefined, canonical: true, unwritable: undefined };
}

/** Legal bytes, for which the encoder has another, never longer, form. */
export function variant(id: string, version: Version, sender: Sender, hex: string, packet: Packet): Case {
  return { ...good(id, version, sender, hex, packet), canonical: false };
}

/** Bytes a receiver takes, or leaves to somebody else to refuse, but the encoder does not write. */
export function tolerated(
  id: string,
  version: Version,
  sender: Sender,
  hex: string,
  packet: Packet,
  unwritable: number,
): Case {
  return { ...variant(id, version, sender, hex, packet), unwritable };
}

/** Illegal bytes, and the packet the encoder is asked for to write the same mistake. */
export function bad(id: string, version: Version, sender: Sender, hex: string, refused: number, packet?: Packet): Case {
  return { id, version, sender, bytes: bytes(hex), packet, refused, canonical: false, unwritable: undefined };
}
