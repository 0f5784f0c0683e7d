/**
 * A packet as a tree of fields, taken apart and put together without asking whether it is legal: what field-level mutation works
 * on. Lengths are not in the tree; they are made right again when it is written, so that damage lies where it was meant.
 */

import { PacketType, type ProtocolVersion } from '@pipit/protocol';

export type Field =
  | { readonly kind: 'number'; readonly size: 1 | 2 | 4; readonly value: number }
  | { readonly kind: 'vbi'; readonly value: number }
  /** Two bytes of length, and the bytes: a string or Binary Data. */
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  /** Properties: their length, and what it spans. */
  | { readonly kind: 'block'; readonly fields: readonly Field[] }
  | { readonly kind: 'property'; readonly id: number; readonly fields: readonly Field[] }
  | { readonly kind: 'rest'; readonly bytes: Uint8Array };

export interface FieldPacket {
  readonly first: number;
  readonly fields: readonly Field[];
}

/** What stands behind a property identifier (MQTT 5.0, table 2-4). */
type Layout = readonly (1 | 2 | 4 | 'vbi' | 'text')[];

const byteIds = [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a];
const shortIds = [0x13, 0x21, 0x22, 0x23];
const longIds = [0x02, 0x11, 0x18, 0x27];
const textIds = [0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f];

const layouts: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  ...byteIds.map((id) => [id, [1]] as const),
  ...shortIds.map((id) => [id, [2]] as const),
  ...longIds.map((id) => [id, [4]] as const),
  ...textIds.map((id) => [id, ['text']] as const),
  [0x0b, ['vbi']],
  [0x26, ['text', 'text']],
]);

export const propertyIds: readonly number[] = [...layouts.keys()];

/** A property with every value made of `value`. */
export function propertyOf(id: number, value: number): Field {
  const fields = (layouts.get(id) ?? [1]).map((part): Field => {
    if (part === 'text') return { kind: 'text', bytes: new Uint8Array(value % 5).fill(0x61) };
    return part === 'vbi' ? { kind: 'vbi', value } : { kind: 'number', size: part, value };
  });
  return { kind: 'property', id, fields };
}

/** Reads fields one behind the other; what does not fit comes out as `rest`, and nothing after it. */
class Cursor {
  readonly fields: Field[] = [];
  private at: number;
  private readonly bytes: Uint8Array;
  private readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  number(size: 1 | 2 | 4): number {
    if (this.left < size) return this.rest();
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + (this.bytes[this.at + i] as number);
    this.at += size;
    this.fields.push({ kind: 'number', size, value });
    return value;
  }

  vbi(): number {
    const [value, length] = readVbi(this.bytes, this.at, this.end);
    if (length === 0) return this.rest();
    this.at += length;
    this.fields.push({ kind: 'vbi', value });
    return value;
  }

  text(): void {
    const [high = 0, low = 0] = this.bytes.subarray(this.at, this.at + 2);
    const length = high * 256 + low;
    if (this.left < 2 + length) {
      this.rest();
      return;
    }
    this.fields.push({ kind: 'text', bytes: this.bytes.slice(this.at + 2, this.at + 2 + length) });
    this.at += 2 + length;
  }

  block(): void {
    const [length, size] = readVbi(this.bytes, this.at, this.end);
    if (size === 0 || this.left < size + length) {
      this.rest();
      return;
    }
    const inner = new Cursor(this.bytes, this.at + size, this.at + size + length);
    while (inner.left > 0) inner.property();
    this.fields.push({ kind: 'block', fields: inner.fields });
    this.at += size + length;
  }

  rest(): number {
    if (this.left > 0) this.fields.push({ kind: 'rest', bytes: this.bytes.slice(this.at, this.end) });
    this.at = this.end;
    return 0;
  }

  private property(): void {
    const [id, size] = readVbi(this.bytes, this.at, this.end);
    const layout = layouts.get(id);
    if (size === 0 || layout === undefined) {
      this.rest();
      return;
    }
    const value = new Cursor(this.bytes, this.at + size, this.end);
    for (const part of layout) {
      if (part === 'text') value.text();
      else if (part === 'vbi') value.vbi();
      else value.number(part);
    }
    this.at = value.at;
    this.fields.push({ kind: 'property', id, fields: value.fields });
  }
}

/** The value and how many bytes it takes; 0 when it does not end. */
function readVbi(bytes: Uint8Array, at: number, end: number): readonly [value: number, length: number] {
  let value = 0;
  for (let i = 0; i < 4 && at + i < end; i++) {
    const byte = bytes[at + i] as number;
    value += (byte & 0x7f) * 128 ** i;
    if (byte < 0x80) return [value, i + 1];
  }
  return [0, 0];
}

/** Takes one packet apart; its own Remaining Length is not believed. */
export function parseFields(bytes: Uint8Array, version: ProtocolVersion): FieldPacket {
  const first = bytes[0] ?? 0;
  const [, length] = readVbi(bytes, 1, bytes.length);
  const cursor = new Cursor(bytes, 1 + length, bytes.length);
  const type = first >> 4;
  if (type === PacketType.Connect) parseConnect(cursor);
  else if (type === PacketType.Publish) parsePublish(cursor, first, version);
  else if (type === PacketType.Subscribe || type === PacketType.Unsubscribe) {
    cursor.number(2);
    if (version === 5) cursor.block();
    while (cursor.left > 0) {
      cursor.text();
      if (type === PacketType.Subscribe && cursor.left > 0) cursor.number(1);
    }
  } else parseAnswer(cursor, type, version);
  cursor.rest();
  return { first, fields: cursor.fields };
}

function parseConnect(cursor: Cursor): void {
  cursor.text();
  const isV5 = (cursor.number(1) & 0x7f) === 5;
  const flags = cursor.number(1);
  cursor.number(2);
  if (isV5) cursor.block();
  cursor.text();
  if ((flags & 0x04) !== 0) {
    if (isV5) cursor.block();
    cursor.text();
    cursor.text();
  }
  if ((flags & 0x80) !== 0) cursor.text();
  if ((flags & 0x40) !== 0) cursor.text();
}

function parsePublish(cursor: Cursor, first: number, version: ProtocolVersion): void {
  cursor.text();
  if ((first & 0x06) !== 0) cursor.number(2);
  if (version === 5) cursor.block();
}

/** Everything else: a packet id or a byte, a reason code, properties, more codes. */
function parseAnswer(cursor: Cursor, type: number, version: ProtocolVersion): void {
  const hasId = type >= PacketType.Puback && type <= PacketType.Unsuback;
  if (cursor.left === 0) return;
  cursor.number(hasId ? 2 : 1);
  const hasCode = type !== PacketType.Suback && type !== PacketType.Unsuback;
  if (hasCode && (hasId || type === PacketType.Connack) && cursor.left > 0) cursor.number(1);
  if (version === 5 && cursor.left > 0) cursor.block();
}

/** Puts a packet together with lengths that are right, as far as there is room for them. */
export function writeFields({ first, fields }: FieldPacket): Uint8Array {
  return frameOf(first, joined(fields.map(writeField)));
}

/** A first byte, the right Remaining Length, and a body. */
export function frameOf(first: number, body: Uint8Array): Uint8Array {
  return joined([Uint8Array.of(first, ...vbiOf(body.length)), body]);
}

function writeField(field: Field): Uint8Array {
  switch (field.kind) {
    case 'number':
      return Uint8Array.from({ length: field.size }, (_, i) => Math.floor(field.value / 256 ** (field.size - 1 - i)));
    case 'vbi':
      return Uint8Array.from(vbiOf(field.value));
    case 'text':
      return joined([Uint8Array.of(field.bytes.length >> 8, field.bytes.length), field.bytes]);
    case 'block': {
      const inner = joined(field.fields.map(writeField));
      return joined([Uint8Array.from(vbiOf(inner.length)), inner]);
    }
    case 'property':
      return joined([Uint8Array.from(vbiOf(field.id)), ...field.fields.map(writeField)]);
    case 'rest':
      return field.bytes;
  }
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function vbiOf(value: number): number[] {
  const rest = Math.floor(value / 128);
  return rest > 0 ? [(value % 128) + 128, ...vbiOf(rest)] : [value % 128];
}
