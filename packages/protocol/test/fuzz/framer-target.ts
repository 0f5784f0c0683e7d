/** The framer on any chunks, read with any patience, against a framer that has all the bytes at once and never stops early. */

import assert from 'node:assert/strict';
import { DecodeError, Framer, viewOf } from '@pipit/protocol';
import fc from 'fast-check';
import { encoded } from './encoded.ts';
import { joined } from './field.ts';
import { bytesOf, textOf } from './hex-text.ts';
import { mutate, mutation } from './mutation.ts';
import type { Features, Target } from './target.ts';

export interface FramerInput {
  readonly maximumPacketSize: number;
  readonly bytes: Uint8Array;
  /** Lengths of the chunks, used again from the first when they run out. */
  readonly chunkLengths: readonly number[];
  /** Packets read after each chunk at most, likewise. */
  readonly budgets: readonly number[];
}

export interface KeptFramerInput extends Omit<FramerInput, 'bytes'> {
  readonly bytes: string;
}

const mutant = fc.tuple(encoded, mutation).map(([{ packet, version }, how]) => mutate(packet, version, how));
const stream = fc.array(mutant, { minLength: 1, maxLength: 6 }).map(joined);
const patience = {
  maximumPacketSize: fc.oneof(
    fc.constantFrom(2, 127, 128, 129, 130, 16_386, 0x1000_0004),
    fc.integer({ min: 2, max: 400 }),
  ),
  chunkLengths: fc.array(fc.oneof(fc.constantFrom(1, 2, 5), fc.integer({ min: 1, max: 90_000 })), {
    minLength: 1,
    maxLength: 5,
  }),
  budgets: fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
};

interface Frames {
  readonly frames: string[];
  readonly reasonCode: number | null;
}

/** The specification: fixed header, length, body, one behind the other. */
function framesOf(bytes: Uint8Array, maximumPacketSize: number): Frames {
  const frames: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    if ((bytes[at] as number) < 0x10) return { frames, reasonCode: 0x81 };
    let length = 0;
    let size = 0;
    for (let more = true; more; ) {
      const byte = bytes[at + 1 + size];
      if (byte === undefined) return { frames, reasonCode: null };
      length += (byte & 0x7f) * 128 ** size;
      size += 1;
      more = byte >= 0x80;
      if (more ? size === 4 : size > 1 && byte === 0) return { frames, reasonCode: 0x81 };
    }
    const end = at + 1 + size + length;
    if (end - at > maximumPacketSize) return { frames, reasonCode: 0x95 };
    if (end > bytes.length) return { frames, reasonCode: null };
    frames.push(describe(bytes, at, at + 1 + size, end));
    at = end;
  }
  return { frames, reasonCode: null };
}

function describe(bytes: Uint8Array, start: number, body: number, end: number): string {
  return `${body - start} ${Buffer.from(bytes.subarray(start, end)).toString('latin1')}`;
}

/** The framer under test, its chunks overwritten as soon as they are the caller's again. */
function framesRead({ maximumPacketSize, bytes, chunkLengths, budgets }: FramerInput): Frames {
  const framer = new Framer(maximumPacketSize);
  const frames: string[] = [];
  const read = (budget: number): void => {
    for (let left = budget; left > 0 && framer.next(); left--)
      frames.push(describe(framer.bytes, framer.start, framer.body, framer.end));
  };
  try {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const length = Math.min(chunkLengths[turn % chunkLengths.length] as number, bytes.length - at);
      const chunk = bytes.slice(at, at + length);
      at += length;
      framer.feed(chunk, viewOf(chunk), 0, length);
      read(budgets[turn % budgets.length] as number);
      framer.keepRest();
      chunk.fill(0xee);
      assert.ok(framer.bufferedBytes <= at, 'no more is held than has come');
    }
    read(Number.POSITIVE_INFINITY);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    assert.throws(() => framer.next(), error, 'what failed once fails for ever');
    assert.equal(framer.bufferedBytes, 0, 'what failed holds nothing');
    return { frames, reasonCode: error.reasonCode };
  }
  return { frames, reasonCode: null };
}

export const framerTarget: Target<FramerInput, KeptFramerInput> = {
  name: 'framer',
  weight: 1,
  arbitrary: (kept) => {
    const fresh = fc.record({ bytes: stream, ...patience });
    const again = fc
      .tuple(fc.constantFrom(...kept), fc.record(patience), mutation)
      .map(([{ bytes }, how, change]) => ({ ...how, bytes: mutate(bytes, 5, change) }));
    return fc.oneof({ weight: 4, arbitrary: fresh }, { weight: 1, arbitrary: again });
  },
  run: (input: FramerInput, features: Features) => {
    const expected = framesOf(input.bytes, input.maximumPacketSize);
    assert.deepEqual(framesRead(input), expected);
    features.add('frames', expected.frames.length);
    features.add(expected.reasonCode === null ? 'ended' : `refused ${expected.reasonCode.toString(16)}`);
  },
  keep: ({ bytes, ...rest }) => ({ ...rest, bytes: textOf(bytes) }),
  restore: ({ bytes, ...rest }) => ({ ...rest, bytes: bytesOf(bytes) }),
};
