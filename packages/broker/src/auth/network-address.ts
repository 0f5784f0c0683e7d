/** IP addresses as peers have them: which host one is, and whether it lies in a range. */

import { isIP } from 'node:net';

/** Bits before those of an IPv4 address, when it is written as an IPv6 one (`::ffff:192.0.2.1`). */
const mappedBits = 96;
const addressBits = 128;
/** What one household or server has of IPv6: changing an address for another of one's own changes nothing before. */
const networkBits = 64;
/** Numbers without leading zeros: elsewhere they would be octal. */
const dottedFour = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

interface Range {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** Addresses and ranges of them, however many: a look-up costs as much as there are lengths of prefixes. */
export class AddressRanges {
  /** By the length of their prefix in bits and that prefix: how they were written. */
  private readonly ranges = new Map<number, Map<string, string>>();

  /** `ranges`: `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`. Throws a TypeError for anything else. */
  constructor(ranges: Iterable<string> = []) {
    for (const range of ranges) this.add(range);
  }

  add(range: string): void {
    const { bytes, bits } = parsed(range);
    let ranges = this.ranges.get(bits);
    if (ranges === undefined) {
      ranges = new Map();
      this.ranges.set(bits, ranges);
    }
    ranges.set(prefixOf(bytes, bits), range);
  }

  /** A range as it was added, not a part of one. */
  delete(range: string): void {
    const { bytes, bits } = parsed(range);
    const ranges = this.ranges.get(bits);
    ranges?.delete(prefixOf(bytes, bits));
    if (ranges?.size === 0) this.ranges.delete(bits);
  }

  /** Whether an address lies in one of them; what is no address does not. */
  has(address: string): boolean {
    return this.find(address) !== null;
  }

  /** One that an address lies in, as it was added; null: none. */
  find(address: string): string | null {
    if (this.ranges.size === 0) return null;
    const bytes = bytesOf(address);
    if (bytes === null) return null;
    for (const [bits, ranges] of this.ranges) {
      const range = ranges.get(prefixOf(bytes, bits));
      if (range !== undefined) return range;
    }
    return null;
  }
}

/** The same range written in the one way that all writings of it have in common; null: it is none. */
export function normalRange(text: string): string | null {
  const range = rangeOf(text);
  if (range === null) return null;
  const { bytes, bits } = range;
  const masked = Uint8Array.from(bytes, (byte, at) => byte & maskAt(at, bits));
  const isMapped = isIPv4(masked) && bits >= mappedBits;
  const address = isMapped ? masked.subarray(12).join('.') : groupsOf(masked).join(':');
  const length = isMapped ? bits - mappedBits : bits;
  const whole = isMapped ? addressBits - mappedBits : addressBits;
  return length === whole ? address : `${address}/${length}`;
}

/** `192.0.2.1:50123` → `192.0.2.1`, `[2001:db8::1]:50123` → `2001:db8::1`; what has no port is as it was. */
export function withoutPort(address: string): string {
  const colon = address.indexOf(':');
  // No IPv6 address has one colon: whether it is one need not be asked.
  if (colon === address.lastIndexOf(':')) return colon < 0 ? address : address.replace(/:\d+$/, '');
  const bracketed = /^\[([^\]]+)\](:\d+)?$/.exec(address)?.[1];
  if (bracketed !== undefined) return bracketed;
  return isIP(address) === 0 ? address.replace(/:\d+$/, '') : address;
}

/** Of an address with its port: the address, or of an IPv6 address the network that one household has. */
export function hostOf(address: string): string {
  const plain = withoutPort(address);
  const bytes = bytesOf(plain);
  if (bytes === null) return plain;
  if (isIPv4(bytes)) return plain.includes(':') ? bytes.subarray(12).join('.') : plain;
  return `${groupsOf(bytes)
    .slice(0, networkBits / 16)
    .join(':')}::/${networkBits}`;
}

/** Whether only this machine has it. */
export function isLoopbackAddress(address: string): boolean {
  const bytes = bytesOf(address);
  if (bytes === null) return false;
  return isIPv4(bytes) ? bytes[12] === 127 : bytes[15] === 1 && bytes.subarray(0, 15).every((byte) => byte === 0);
}

/** The sixteen bytes of an address, IPv4 ones mapped; null when it is none. A zone (`%eth0`) is left out. */
function bytesOf(address: string): Uint8Array | null {
  const four = dottedFour.exec(address);
  if (four !== null) return mapped(four);
  const [plain = ''] = address.split('%');
  const family = isIP(plain);
  if (family === 0) return null;
  // With a zone, which no IPv4 address needs.
  if (family === 4) return mapped(dottedFour.exec(plain) as RegExpExecArray);
  const bytes = new Uint8Array(16);
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(plain);
  const text =
    dotted === null
      ? plain
      : `${dotted[1]}${hexPair(Number(dotted[2]), Number(dotted[3]))}:${hexPair(Number(dotted[4]), Number(dotted[5]))}`;
  const [head = '', tail] = text.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = new Array<string>(8 - front.length - back.length).fill('0');
  [...front, ...zeros, ...back].forEach((group, at) => {
    const value = Number.parseInt(group, 16);
    bytes[at * 2] = value >> 8;
    bytes[at * 2 + 1] = value & 255;
  });
  return bytes;
}

/** An IPv4 address as IPv6 has it; null: one of its four numbers is none. */
function mapped(four: RegExpExecArray): Uint8Array | null {
  const bytes = new Uint8Array(16);
  bytes[10] = 0xff;
  bytes[11] = 0xff;
  for (let i = 1; i <= 4; i++) {
    const number = Number(four[i]);
    if (number > 255) return null;
    bytes[11 + i] = number;
  }
  return bytes;
}

function hexPair(high: number, low: number): string {
  return (high * 256 + low).toString(16);
}

function rangeOf(text: string): Range | null {
  const [address = '', length, ...more] = text.split('/');
  const bytes = bytesOf(address);
  if (bytes === null || more.length > 0) return null;
  if (length === undefined) return { bytes, bits: addressBits };
  const before = address.includes(':') ? 0 : mappedBits;
  const bits = /^\d{1,3}$/.test(length) ? before + Number(length) : Number.POSITIVE_INFINITY;
  return bits > addressBits ? null : { bytes, bits };
}

function parsed(text: string): Range {
  const range = rangeOf(text);
  if (range === null) throw new TypeError(`${text} is no address and no range of addresses`);
  return range;
}

function prefixOf(bytes: Uint8Array, bits: number): string {
  let prefix = '';
  for (let at = 0; at * 8 < bits; at++) prefix += String.fromCharCode((bytes[at] as number) & maskAt(at, bits));
  return prefix;
}

/** Which bits of byte `at` belong to the first `bits` of all. */
function maskAt(at: number, bits: number): number {
  const inside = Math.max(0, Math.min(8, bits - at * 8));
  return (0xff00 >> inside) & 0xff;
}

function isIPv4(bytes: Uint8Array): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
}

function groupsOf(bytes: Uint8Array): string[] {
  return Array.from({ length: 8 }, (_, at) =>
    ((bytes[at * 2] as number) * 256 + (bytes[at * 2 + 1] as number)).toString(16),
  );
}
