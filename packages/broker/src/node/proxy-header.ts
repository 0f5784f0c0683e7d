/**
 * The header with which a proxy says whom it speaks for: the PROXY protocol, versions 1 (a line of text) and 2 (binary), as
 * HAProxy defines them. What it says beside the client's address (TLVs) is not read.
 */

import { isIP } from 'node:net';
import { hostAndPort } from './listener-options.ts';

export interface ProxyHeader {
  /** Where the client's own bytes begin. */
  readonly end: number;
  /** `192.0.2.1:50123`; null: the proxy speaks for itself (a health check), or does not know. */
  readonly address: string | null;
}

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const binaryHeadBytes = 16;
/** A longer one would be TLVs that nobody reads. */
const binaryBytesMax = 4096;
const textBytesMax = 107;
const text = Buffer.from('PROXY ');

/** Reads the header at the start of what has come so far; `more`: it is not whole yet; `bad`: it is none. */
export function proxyHeader(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  if (begins(bytes, signature)) return binaryHeader(bytes);
  return begins(bytes, text) ? textHeader(bytes) : 'bad';
}

/** Whether the two are the same as far as both go. */
function begins(bytes: Buffer, with_: Buffer): boolean {
  const length = Math.min(bytes.length, with_.length);
  return bytes.compare(with_, 0, length, 0, length) === 0;
}

function textHeader(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  const end = bytes.subarray(0, textBytesMax).indexOf('\r\n');
  if (end < 0) return bytes.length >= textBytesMax ? 'bad' : 'more';
  const [, family, source = '', target = '', sourcePort = '', targetPort = '', ...more] = bytes
    .toString('latin1', 0, end)
    .split(' ');
  if (family === 'UNKNOWN') return { end: end + 2, address: null };
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0;
  const isWhole = version !== 0 && isIP(source) === version && isIP(target) === version && more.length === 0;
  if (!isWhole || !isPort(sourcePort) || !isPort(targetPort)) return 'bad';
  return { end: end + 2, address: hostAndPort(source, sourcePort) };
}

function isPort(digits: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(digits) && Number(digits) <= 65_535;
}

function binaryHeader(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  if (bytes.length < binaryHeadBytes) return 'more';
  const version = bytes[12] as number;
  const family = bytes[13] as number;
  const end = binaryHeadBytes + bytes.readUInt16BE(14);
  if (version >> 4 !== 2 || (version & 15) > 1 || end > binaryBytesMax) return 'bad';
  if (bytes.length < end) return 'more';
  // LOCAL: the proxy itself.
  if ((version & 15) === 0) return { end, address: null };
  const length = family === 0x11 ? 4 : family === 0x21 ? 16 : 0;
  // Neither TCP over IPv4 nor over IPv6: it is for the receiver to skip.
  if (length === 0) return { end, address: null };
  const ports = binaryHeadBytes + 2 * length;
  if (end < ports + 4) return 'bad';
  return { end, address: hostAndPort(addressAt(bytes, length), bytes.readUInt16BE(ports)) };
}

function addressAt(bytes: Buffer, length: number): string {
  const address = bytes.subarray(binaryHeadBytes, binaryHeadBytes + length);
  if (length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, at) => address.readUInt16BE(at * 2).toString(16));
  return groups.join(':');
}
