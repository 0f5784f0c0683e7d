import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecodeError, Framer as FramerOfProtocol, viewOf } from '@pipit/protocol';
import fc from 'fast-check';
import { Framer } from './framer.ts';

const packetBytesMax = 1_000;

interface AnyFramer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly start: number;
  readonly body: number;
  readonly end: number;
  feed(bytes: Uint8Array, view: DataView, start: number, end: number): void;
  next(): boolean;
}

/** What a framer shows of a stream in pieces, each overwritten when it was read; and the reason code it ends with, if it does. */
function framesOf(framer: AnyFramer, pieces: readonly Uint8Array[]): (string | number)[] {
  const frames: (string | number)[] = [];
  for (const piece of pieces) {
    // Not at the beginning of its buffer, which is how they come.
    const chunk = Uint8Array.of(0xff, ...piece, 0xff);
    framer.feed(chunk, viewOf(chunk), 1, chunk.length - 1);
    try {
      while (framer.next()) {
        const { bytes, view, start, body, end } = framer;
        assert.equal(view.getUint8(start), bytes[start]);
        frames.push(`${body - start} ${bytes.slice(start, end).join()}`);
      }
    } catch (error) {
      assert.ok(error instanceof DecodeError);
      return [...frames, error.reasonCode];
    }
    chunk.fill(0xee);
  }
  return frames;
}

function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

/** Packets of all lengths, whole or not, and now and then what begins none. */
const stream = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.nat(20).map((length) => [0x30, length, ...Array<number>(length).fill(7)]) },
      { weight: 2, arbitrary: fc.constant([0x30, 0x90, 0x03, ...Array<number>(400).fill(8)]) },
      { weight: 1, arbitrary: fc.array(fc.nat(255), { maxLength: 6 }) },
    ),
    { maxLength: 12 },
  )
  .map((packets) => Uint8Array.from(packets.flat()));

test('it shows the packets of a stream, however it is cut, as the Framer of the protocol does', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 30 }), (bytes, places) => {
      const pieces = cut(bytes, places);
      assert.deepEqual(
        framesOf(new Framer(packetBytesMax), pieces),
        framesOf(new FramerOfProtocol(packetBytesMax), pieces),
      );
    }),
    { numRuns: 1_000 },
  );
});

test('byte by byte', () => {
  const packet = [0x30, 0x90, 0x03, ...Array<number>(400).fill(8)];
  const bytes = Uint8Array.from([...packet, 0xc0, 0, ...packet]);
  const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
  const shown = `3 ${packet.join()}`;
  assert.deepEqual(framesOf(new Framer(packetBytesMax), pieces), [shown, '2 192,0', shown]);
});

test('a packet at the limit is shown, one past it is refused when its length is read, and so is a reserved type', () => {
  const most = [0x30, 0xe5, 0x07, ...Array<number>(997).fill(1)];
  assert.deepEqual(framesOf(new Framer(packetBytesMax), [Uint8Array.from(most)]), [`3 ${most.join()}`]);
  assert.deepEqual(framesOf(new Framer(packetBytesMax), [Uint8Array.of(0x30, 0xe6, 0x07)]), [0x95]);
  assert.deepEqual(framesOf(new Framer(packetBytesMax), [Uint8Array.of(0x00)]), [0x81]);
});
