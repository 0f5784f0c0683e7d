import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EncodeError } from './error.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/** Writes one field and gives the bytes of the body. */
function written(write: (writer: Writer) => void): number[] {
  const writer = new Writer('TEST', 0);
  write(writer);
  return [...writer.finish(0xf0).subarray(2)];
}

function reader(bytes: readonly number[]): Reader {
  return new Reader().open('TEST', Uint8Array.from(bytes), 0, 0, bytes.length);
}

const variableByteIntegers: readonly (readonly [value: number, bytes: number[]])[] = [
  [0, [0x00]],
  [1, [0x01]],
  [127, [0x7f]],
  [128, [0x80, 0x01]],
  [16_383, [0xff, 0x7f]],
  [16_384, [0x80, 0x80, 0x01]],
  [2_097_151, [0xff, 0xff, 0x7f]],
  [2_097_152, [0x80, 0x80, 0x80, 0x01]],
  [268_435_455, [0xff, 0xff, 0xff, 0x7f]],
];

test('Variable Byte Integers at every boundary, both ways [MQTT-1.5.5-1]', () => {
  for (const [value, bytes] of variableByteIntegers) {
    assert.deepEqual(
      written((writer) => writer.variableByteInteger(value, 'field')),
      bytes,
    );
    assert.equal(reader(bytes).variableByteInteger('field'), value);
  }
});

test('fixed integers at 0, 1 and their maximum, both ways', () => {
  const fields = [
    ['uint8', [0, 1, 0xff], 1],
    ['uint16', [0, 1, 0x1234, 0xffff], 2],
    ['uint32', [0, 1, 0x1234_5678, 0x8000_0000, 0xffff_ffff], 4],
  ] as const;
  for (const [field, values, size] of fields) {
    for (const value of values) {
      const bytes = written((writer) => writer[field](value, 'field'));
      assert.equal(bytes.length, size);
      assert.equal(reader(bytes)[field]('field'), value);
      assert.throws(() => reader(bytes.slice(1))[field]('field'), /TEST: field is cut short/);
    }
  }
});

test('what is no integer in range is not written', () => {
  const maxima = { uint8: 0xff, uint16: 0xffff, uint32: 0xffff_ffff, variableByteInteger: 268_435_455 } as const;
  for (const [field, max] of Object.entries(maxima) as [keyof typeof maxima, number][]) {
    for (const value of [-1, max + 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => written((writer) => writer[field](value, 'field')), EncodeError, `${field} ${value}`);
    }
  }
  for (const value of [0, 65_536, -1, 1.5]) {
    assert.throws(() => written((writer) => writer.packetId(value)), EncodeError, `packetId ${value}`);
  }
});

test('strings and binary data have at most 65,535 bytes', () => {
  for (const [text, bytes] of [
    ['a', 65_535],
    ['€', 21_845],
  ] as const) {
    const longest = text.repeat(bytes);
    const writer = new Writer('TEST', 0);
    writer.string(longest, 'field');
    const packet = writer.finish(0xf0);
    assert.equal(packet.length, 1 + 3 + 2 + 65_535);
    assert.equal(new Reader().open('TEST', packet, 0, 4, packet.length).string('field'), longest);
    assert.throws(() => new Writer('TEST', 0).string(`${longest}a`, 'field'), EncodeError);
  }
  new Writer('TEST', 0).binary(new Uint8Array(65_535), 'field');
  assert.throws(() => new Writer('TEST', 0).binary(new Uint8Array(65_536), 'field'), EncodeError);
});

test('a block has its length in front, whatever that takes', () => {
  for (const [length, prefix] of [
    [0, [0]],
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [16_384, [0x80, 0x80, 0x01]],
  ] as const) {
    const writer = new Writer('TEST', 0);
    writer.block('field', () => writer.raw(new Uint8Array(length).fill(7), 'field'));
    writer.uint8(9, 'field');
    const body = [...prefix, ...new Array<number>(length).fill(7), 9];
    const packet = writer.finish(0xf0);
    assert.deepEqual([...packet.subarray(packet.length - body.length)], body);
  }
});

test('a packet has at most 268,435,455 bytes behind its fixed header', () => {
  const writer = new Writer('TEST', 268_435_456);
  writer.raw(new Uint8Array(268_435_456), 'field');
  assert.throws(
    () => writer.finish(0xf0),
    (error) => error instanceof EncodeError && error.reasonCode === 0x95,
  );
});

test('what is no bytes or no text is not written', () => {
  const wrong = 'text' as unknown as Uint8Array;
  assert.throws(() => new Writer('TEST', 0).raw(wrong, 'field'), EncodeError);
  assert.throws(() => new Writer('TEST', 0).binary(wrong, 'field'), EncodeError);
  assert.throws(() => new Writer('TEST', 0).string(5 as unknown as string, 'field'), EncodeError);
});
