import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DecodeError,
  decodePacket,
  EncodeError,
  encodePacket,
  Framer,
  PacketType,
  PublishFrame,
  viewOf,
} from '@pipit/protocol';
import { type Case, hexOf } from './corpus/case.ts';
import { corpus } from './corpus/index.ts';

const packetBytesMax = 300_000_000;

/** Checks every case and reports all that fail, each by its id. */
function checkAll(cases: readonly Case[], check: (each: Case) => void): void {
  const failures: string[] = [];
  for (const each of cases) {
    try {
      check(each);
    } catch (error) {
      failures.push(`${each.id}: ${(error as Error).message}`);
    }
  }
  assert.deepEqual(failures, []);
  assert.ok(cases.length > 0);
}

/** Checks that the case is refused with its code by what `decode` does, or else gives its packet. */
function checkOutcome(each: Case, decode: () => unknown): void {
  if (each.refused === undefined) {
    assert.deepEqual(decode(), each.packet);
  } else {
    assert.throws(
      decode,
      (error) => error instanceof DecodeError && error.reasonCode === each.refused && error.offset >= 0,
    );
  }
}

/** The packet a framer finds in the pieces of a stream, which must hold no other. */
function decodeStream(each: Case, pieces: readonly Uint8Array[]): unknown {
  const framer = new Framer(packetBytesMax);
  const found: unknown[] = [];
  for (const piece of pieces) {
    const chunk = piece.slice();
    framer.feed(chunk, viewOf(chunk), 0, chunk.length);
    while (framer.next()) found.push(decodePacket(framer.bytes, framer.start, framer.end, each.version, each.sender));
    chunk.fill(0xee); // the chunk is the caller's again
  }
  assert.equal(framer.bufferedBytes, 0);
  assert.equal(found.length, 1);
  return found[0];
}

function checkEncoding(each: Case): void {
  const { packet, version, sender, canonical } = each;
  const encode = () => encodePacket(packet as NonNullable<Case['packet']>, version, sender);
  const code = each.refused ?? each.unwritable;
  if (code !== undefined) {
    assert.throws(encode, (error) => error instanceof EncodeError && error.reasonCode === code);
    return;
  }
  const bytes = encode();
  if (canonical) assert.equal(hexOf(bytes), hexOf(each.bytes));
  assert.ok(bytes.length <= each.bytes.length);
  assert.deepEqual(decodePacket(bytes, 0, bytes.length, version, sender), packet);
}

function splitAt(data: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts, data.length];
  return ends.map((end, index) => data.subarray(ends[index - 1] ?? 0, end));
}

/** Up to four cuts from a small generator, so that a failure can be repeated. */
function randomCuts(length: number, seed: number): number[] {
  let state = seed + 1;
  const draw = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >> 8) % (length + 1);
  };
  return [draw(), draw(), draw(), draw()].sort((one, other) => one - other);
}

test('ids are unique and the corpus is large', () => {
  const ids = Object.values(corpus).flatMap((cases) => cases.map((each) => each.id));
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.length > 1000, `${ids.length} cases`);
});

for (const [family, cases] of Object.entries(corpus)) {
  test(`${family}: bytes decode to the packet or are refused`, () => {
    checkAll(cases, (each) =>
      checkOutcome(each, () => decodePacket(each.bytes, 0, each.bytes.length, each.version, each.sender)),
    );
  });

  test(`${family}: the same inside a larger buffer`, () => {
    checkAll(cases, (each) => {
      const buffer = new Uint8Array(each.bytes.length + 12).fill(0xff);
      buffer.set(each.bytes, 7);
      const end = 7 + each.bytes.length;
      checkOutcome(each, () => decodePacket(buffer, 7, end, each.version, each.sender));
    });
  });

  test(`${family}: the same whole, byte by byte and split at random`, () => {
    checkAll(cases, (each) => {
      checkOutcome(each, () => decodeStream(each, [each.bytes]));
      if (each.bytes.length < 1000) {
        const bytewise = splitAt(each.bytes, [...each.bytes.keys()]);
        checkOutcome(each, () => decodeStream(each, bytewise));
      }
      for (let seed = 0; seed < 5; seed++) {
        const pieces = splitAt(each.bytes, randomCuts(each.bytes.length, seed));
        checkOutcome(each, () => decodeStream(each, pieces));
      }
    });
  });

  test(`${family}: packets encode to the bytes or a form as short, or are refused`, () => {
    checkAll(
      cases.filter((each) => each.packet !== undefined),
      checkEncoding,
    );
  });
}

test('no prefix of a packet is a packet', () => {
  const legal = Object.values(corpus)
    .flat()
    .filter((each) => each.refused === undefined && each.bytes.length < 200);
  checkAll(legal, (each) => {
    for (let length = 0; length < each.bytes.length; length++) {
      assert.throws(() => decodePacket(each.bytes, 0, length, each.version, each.sender), DecodeError);
    }
  });
});

test('PublishFrame says of every PUBLISH what decodePacket says, but for the text of the topic', () => {
  const publishes = Object.values(corpus)
    .flat()
    .filter((each) => (each.bytes[0] as number) >> 4 === PacketType.Publish);
  const frame = new PublishFrame();
  checkAll(publishes, (each) => {
    const framer = new Framer(packetBytesMax);
    framer.feed(each.bytes, viewOf(each.bytes), 0, each.bytes.length);
    const read = (): void => {
      assert.ok(framer.next());
      const { bytes, view, start, body, end } = framer;
      frame.read(bytes, view, start, body, end, each.version, each.sender);
    };
    const ofTopicText = each.refused === 0x90 || each.id.startsWith('publish-4-topic-');
    if (each.refused !== undefined && !(ofTopicText && !/empty|cut$/.test(each.id))) {
      checkOutcome(each, read);
      return;
    }
    read();
    if (each.packet?.type !== PacketType.Publish) return;
    const { topic, payload, qos, retain, dup, packetId, properties } = each.packet;
    assert.equal(
      new TextDecoder('utf-8', { ignoreBOM: true }).decode(each.bytes.subarray(frame.topicStart, frame.topicEnd)),
      topic,
    );
    assert.deepEqual(each.bytes.slice(frame.payloadStart, frame.end), payload);
    assert.deepEqual([frame.qos, frame.retain, frame.dup, frame.packetId], [qos, retain, dup, packetId]);
    assert.equal(frame.topicAlias, properties?.topicAlias ?? 0);
    assert.equal(frame.messageExpiryInterval, properties?.messageExpiryInterval ?? -1);
    assert.equal(frame.payloadFormatIndicator, properties?.payloadFormatIndicator ?? 0);
    assert.equal(frame.hasSubscriptionIdentifiers, properties?.subscriptionIdentifiers !== undefined);
  });
});
