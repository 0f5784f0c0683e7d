/** How a case can end, beside passing: the two errors it throws, and packets and values in words for its report. */
import { type Packet, PacketType, packetTypeName, reasonCodeName } from '@pipit/protocol';
import { hexOf } from './bytes.ts';

export const versionNames = { 3: '3.1', 4: '3.1.1', 5: '5.0' } as const;

/** The peer did something else than the standard says. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch';
  readonly expected: string;
  readonly seen: string;

  constructor(expected: string, seen: string) {
    super(`expected ${expected}; seen: ${seen}`);
    this.expected = expected;
    this.seen = seen;
  }
}

/** The peer said that it lacks the feature, or the suite was not told what it needs to know. */
export class NotApplicable extends Error {
  override readonly name = 'NotApplicable';
}

/** Throws a Mismatch unless both are the same in words. */
export function expectEqual(seen: unknown, expected: unknown, what: string): void {
  if (words(seen) !== words(expected)) throw new Mismatch(`${what} ${words(expected)}`, words(seen));
}

export function expectTrue(holds: boolean, expected: string, seen: unknown): void {
  if (!holds) throw new Mismatch(expected, words(seen));
}

/** A value for a report: bytes in hexadecimal, packets by name, everything else as JSON. */
export function words(value: unknown): string {
  if (value instanceof Uint8Array) return value.length === 0 ? '(no bytes)' : hexOf(value);
  if (Array.isArray(value)) return `[${value.map(words).join(', ')}]`;
  if (isPacket(value)) return packetWords(value);
  return value === undefined ? 'absent' : JSON.stringify(value);
}

function isPacket(value: unknown): value is Packet {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'number';
}

function packetWords(packet: Packet): string {
  const { type, ...rest } = packet;
  const parts = Object.entries(rest).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    if (name === 'reasonCode') return [isReturnCode(packet) ? `return code ${value}` : codeWords(value as number)];
    if (name === 'reasonCodes') return [(value as number[]).map(codeWords).join(', ')];
    if (name === 'properties') return [`{${propertyWords(value as object)}}`];
    return [`${name} ${words(value)}`];
  });
  return [packetTypeName(type), ...parts].join(' ');
}

/** CONNACK of 3.x has codes of its own: 1 to 5. */
function isReturnCode(packet: Packet): boolean {
  return packet.type === PacketType.Connack && packet.reasonCode > 0 && packet.reasonCode < 0x80;
}

function propertyWords(properties: object): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name} ${words(value)}`)
    .join(', ');
}

/** `0x82 Protocol Error` */
export function codeWords(code: number): string {
  return `0x${code.toString(16).padStart(2, '0').toUpperCase()} ${reasonCodeName(code)}`;
}
