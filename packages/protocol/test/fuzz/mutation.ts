/**
 * What a hostile peer does to a packet: to its fields (structure kept, lengths right), then to its bytes (lengths lied about,
 * cut, spliced). A mutation shrinks to nothing done at all.
 */

import type { ProtocolVersion } from '@pipit/protocol';
import fc from 'fast-check';
import { type Field, frameOf, joined, parseFields, propertyIds, propertyOf, vbiOf, writeFields } from './field.ts';

/** One change of one field: which, what is done, and with which value. */
interface Edit {
  readonly at: number;
  readonly what: number;
  readonly value: number;
}

interface Damage {
  readonly what: 'byte' | 'cut' | 'cut-right' | 'insert' | 'lie' | 'overlong' | 'flags' | 'splice';
  readonly at: number;
  readonly value: number;
}

const numbers = [
  0, 1, 2, 3, 4, 5, 6, 127, 128, 129, 255, 256, 16_383, 16_384, 32_767, 32_768, 65_534, 65_535, 65_536, 2_097_151,
  2_097_152, 268_435_455, 268_435_456, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
];

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const texts: readonly Uint8Array[] = [
  ...[
    '',
    '/',
    '//',
    '#',
    '+',
    'a/#/b',
    'a+',
    '$share//x',
    '$share/g',
    '$share/g/',
    '$share/g+/x',
    '$share/g/#',
    '$SYS/#',
  ],
  ...['$SYS/x', '$', 'honest/t', 'honest-subscriber', '__proto__', 'constructor', '\0', 'a\0b', '\x01'],
  ...[
    '/'.repeat(15),
    '/'.repeat(16),
    '/'.repeat(127),
    '/'.repeat(128),
    '/'.repeat(65_535),
    '+/'.repeat(60),
    'x'.repeat(65_535),
  ],
]
  .map(ascii)
  .concat([
    Uint8Array.of(0xed, 0xa0, 0x80), // a surrogate
    Uint8Array.of(0xed, 0xbf, 0xbf),
    Uint8Array.of(0xc0, 0x80), // an over-long NUL
    Uint8Array.of(0xf4, 0x90, 0x80, 0x80), // above U+10FFFF
    Uint8Array.of(0xef, 0xbb, 0xbf), // U+FEFF, which is legal
    Uint8Array.of(0xef, 0xbf, 0xbf), // a non-character
    Uint8Array.of(0xe2, 0x82), // cut short
    Uint8Array.of(0xff),
  ]);

function pick<T>(from: readonly T[], at: number): T {
  return from[at % from.length] as T;
}

/** The same fields with the edit applied to the one at its place, counted through the whole tree. */
function edited(fields: readonly Field[], edit: Edit): readonly Field[] {
  const count = countFields(fields);
  if (count === 0) return [propertyOf(pick(propertyIds, edit.what), edit.value)];
  let left = edit.at % count;
  const walk = (each: readonly Field[]): readonly Field[] =>
    each.flatMap((field): readonly Field[] => {
      if (left-- === 0) return change(field, edit);
      return 'fields' in field ? [{ ...field, fields: walk(field.fields) }] : [field];
    });
  return walk(fields);
}

function countFields(fields: readonly Field[]): number {
  return fields.reduce((sum, field) => sum + 1 + ('fields' in field ? countFields(field.fields) : 0), 0);
}

function change(field: Field, { what, value }: Edit): readonly Field[] {
  switch (what % 8) {
    case 0:
      return [];
    case 1:
      return [field, field];
    case 2:
      return Array.from({ length: 2 + (value % 300) }, () => field);
    case 3:
      return [field, propertyOf(pick(propertyIds, value), value >> 5)];
    default:
      return [changeValue(field, what, value)];
  }
}

function changeValue(field: Field, what: number, value: number): Field {
  switch (field.kind) {
    case 'number':
      return {
        ...field,
        value: what % 2 === 0 ? pick(numbers, value) : (field.value + 1 + (value % 254)) % 256 ** field.size,
      };
    case 'vbi':
      return { ...field, value: pick(numbers, value) };
    case 'text':
    case 'rest':
      return { ...field, bytes: what % 3 === 0 ? withByte(field.bytes, what, value) : pick(texts, value) };
    case 'block': {
      const extra = propertyOf(pick(propertyIds, value), value >> 5);
      const times = what % 3 === 0 ? 40 : 1; // a bomb, or one that may be foreign or a duplicate
      return { ...field, fields: [...field.fields, ...Array.from({ length: times }, () => extra)] };
    }
    case 'property':
      return { ...field, id: what % 2 === 0 ? pick(propertyIds, value) : value % 256 };
  }
}

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  return bytes.length === 0 ? Uint8Array.of(value & 0xff) : bytes.with(at % bytes.length, value & 0xff);
}

function damaged(bytes: Uint8Array, { what, at, value }: Damage): Uint8Array {
  const place = at % (bytes.length + 1);
  const body = bytes.subarray(1 + lengthSize(bytes));
  const first = bytes[0] ?? 0;
  switch (what) {
    case 'byte':
      return withByte(bytes, at, value);
    case 'cut':
      return bytes.slice(0, place);
    case 'cut-right':
      return frameOf(first, body.subarray(0, at % (body.length + 1)));
    case 'insert':
      return joined([bytes.subarray(0, place), Uint8Array.of(value), bytes.subarray(place)]);
    case 'lie':
      return joined([Uint8Array.of(first, ...vbiOf(pick(numbers, value) % 0x1000_0000)), body]);
    case 'overlong':
      return joined([Uint8Array.of(first, body.length | 0x80, ...new Array<number>(value % 5).fill(0x80), 0), body]);
    case 'flags':
      return withByte(bytes, 0, value);
    case 'splice': {
      const from = value % (bytes.length + 1);
      return joined([bytes.subarray(0, place), bytes.subarray(from)]);
    }
  }
}

function lengthSize(bytes: Uint8Array): number {
  const end = bytes.subarray(1, 5).findIndex((byte) => byte < 0x80);
  return end < 0 ? 0 : end + 1;
}

const edit: fc.Arbitrary<Edit> = fc.record({ at: fc.nat(40), what: fc.nat(23), value: fc.nat(100_000) });
const damage: fc.Arbitrary<Damage> = fc.record({
  what: fc.constantFrom('byte', 'cut', 'cut-right', 'insert', 'lie', 'overlong', 'flags', 'splice'),
  at: fc.nat(300),
  value: fc.nat(0xffff),
});

export interface Mutation {
  readonly edits: readonly Edit[];
  readonly damages: readonly Damage[];
}

/** More often of fields than of bytes, and sometimes of nothing. */
export const mutation: fc.Arbitrary<Mutation> = fc.record({
  edits: fc.array(edit, { maxLength: 3 }),
  damages: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.array(damage, { maxLength: 2 }) },
  ),
});

/** The bytes of one packet of `version` with the mutation done to them. */
export function mutate(bytes: Uint8Array, version: ProtocolVersion, { edits, damages }: Mutation): Uint8Array {
  const { first, fields } = parseFields(bytes, version);
  const whole = edits.length === 0 ? bytes : writeFields({ first, fields: edits.reduce(edited, fields) });
  return damages.reduce(damaged, whole);
}
