/** Bytes written by hand, for the packets no encoder would write: numbers, strings, lengths and whole frames. */
import { encodeUtf8 } from '@pipit/protocol';

export type Bytes = Uint8Array | readonly number[];

/** Bytes from hexadecimal digits; blanks are for the eye. */
export function hex(digits: string): number[] {
  return (digits.replaceAll(/\s/g, '').match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
}

/** The first bytes in hexadecimal, and how many were left out. */
export function hexOf(bytes: Bytes, bytesMax = 48): string {
  const shown = Array.from(bytes.slice(0, bytesMax), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return bytes.length > bytesMax ? `${shown} … (${bytes.length} bytes)` : shown;
}

export function uint16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

export function uint32(value: number): number[] {
  return [...uint16(Math.floor(value / 0x10000)), ...uint16(value % 0x10000)];
}

/** A Variable Byte Integer in its shortest form. */
export function vbi(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...vbi(Math.floor(value / 128))];
}

/** A length of two bytes and what it counts: UTF-8 of a string, or bytes as they are. */
export function field(content: string | Bytes): number[] {
  const bytes = typeof content === 'string' ? encodeUtf8(content) : content;
  return [...uint16(bytes.length), ...bytes];
}

/** Property Length and the properties. */
export function properties(...parts: readonly Bytes[]): number[] {
  const bytes = join(parts);
  return [...vbi(bytes.length), ...bytes];
}

/** A packet: first byte, the right Remaining Length, body. */
export function frame(first: number, ...parts: readonly Bytes[]): Uint8Array {
  const body = join(parts);
  return Uint8Array.from([first, ...vbi(body.length), ...body]);
}

export function join(parts: readonly Bytes[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
