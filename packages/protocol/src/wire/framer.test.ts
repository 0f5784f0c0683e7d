import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBytes, viewOf } from './bytes.ts';
import { DecodeError } from './error.ts';
import { Framer } from './framer.ts';

const pingreq = [0xc0, 0x00];

function feed(framer: Framer, ...bytes: number[]): Uint8Array {
  const chunk = Uint8Array.from(bytes);
  framer.feed(chunk, viewOf(chunk), 0, chunk.length);
  return chunk;
}

function shown(framer: Framer): number[] {
  assert.equal(framer.view.buffer, framer.bytes.buffer);
  assert.equal(framer.view.byteOffset, framer.bytes.byteOffset);
  return [...framer.bytes.subarray(framer.start, framer.end)];
}

/** A PUBLISH of `size` bytes in all. */
function publish(size: number): number[] {
  const header = size <= 129 ? [size - 2] : [((size - 3) & 0x7f) | 0x80, (size - 3) >> 7];
  const bytes = [0x30, ...header, 0x00, 0x01, 0x74];
  return [...bytes, ...Array.from({ length: size - bytes.length }, (_, index) => index & 0xff)];
}

function refusal(framer: Framer): DecodeError {
  try {
    framer.next();
  } catch (error) {
    assert.ok(error instanceof DecodeError);
    return error;
  }
  return assert.fail('nothing was refused');
}

test('packets in one chunk are shown where they lie', () => {
  const framer = new Framer(1000);
  const chunk = feed(framer, ...pingreq, ...publish(200), ...pingreq);
  const spans: number[][] = [];
  while (framer.next()) {
    assert.equal(framer.bytes, chunk);
    spans.push([framer.start, framer.body, framer.end]);
  }
  assert.deepEqual(spans, [
    [0, 2, 2],
    [2, 5, 202],
    [202, 204, 204],
  ]);
  assert.equal(framer.bytes, noBytes);
});

test('only [start, end) of a chunk is read', () => {
  const framer = new Framer(1000);
  const chunk = Uint8Array.of(0, 0, ...pingreq, 0, 0);
  framer.feed(chunk, viewOf(chunk), 2, 4);
  assert.equal(framer.next(), true);
  assert.deepEqual(shown(framer), pingreq);
  assert.equal(framer.next(), false);
});

test('a split packet is completed in a buffer of its own, then the chunk is read on', () => {
  const packet = publish(300);
  const framer = new Framer(1000);
  const first = feed(framer, ...pingreq, ...packet.slice(0, 100));
  assert.equal(framer.next(), true);
  assert.equal(framer.next(), false);
  assert.equal(framer.bufferedBytes, 100);
  first.fill(0xff);
  const second = feed(framer, ...packet.slice(100), ...pingreq, 0xc0);
  assert.equal(framer.next(), true);
  assert.deepEqual(shown(framer), packet);
  assert.notEqual(framer.bytes, second);
  assert.equal(framer.next(), true);
  assert.equal(framer.bytes, second);
  assert.deepEqual(shown(framer), pingreq);
  assert.equal(framer.next(), false);
  assert.equal(framer.bufferedBytes, 1);
  second.fill(0xff);
  feed(framer, 0x00);
  assert.equal(framer.next(), true);
  assert.deepEqual(shown(framer), pingreq);
  assert.equal(framer.next(), false);
  assert.equal(framer.bufferedBytes, 0);
});

test('keepRest copies what is unread, and a later chunk goes behind it', () => {
  const packets = [publish(150), publish(20), pingreq, publish(40)];
  const stream = packets.flat();
  const framer = new Framer(1000);
  const first = feed(framer, ...stream.slice(0, 190));
  assert.equal(framer.next(), true);
  assert.deepEqual(shown(framer), packets[0]);
  framer.keepRest();
  assert.equal(framer.bytes, noBytes);
  assert.equal(framer.bufferedBytes, 40);
  first.fill(0xff);
  const second = feed(framer, ...stream.slice(190, 200));
  framer.keepRest();
  assert.equal(framer.bufferedBytes, 50);
  second.fill(0xff);
  feed(framer, ...stream.slice(200));
  for (const packet of packets.slice(1)) {
    assert.equal(framer.next(), true);
    assert.deepEqual(shown(framer), packet);
  }
  assert.equal(framer.next(), false);
  assert.equal(framer.bufferedBytes, 0);
});

test('a chunk fed before the last one was read goes behind it', () => {
  const framer = new Framer(1000);
  feed(framer, ...pingreq, 0xc0);
  feed(framer, 0x00, ...publish(10));
  const seen: number[][] = [];
  while (framer.next()) seen.push(shown(framer));
  assert.deepEqual(seen, [pingreq, pingreq, publish(10)]);
});

test('keepRest with nothing unread keeps nothing', () => {
  const framer = new Framer(1000);
  feed(framer, ...pingreq);
  assert.equal(framer.next(), true);
  framer.keepRest();
  assert.equal(framer.bufferedBytes, 0);
  assert.equal(framer.next(), false);
});

test('memory grows with the bytes received, not with the length declared', () => {
  const before = process.memoryUsage().arrayBuffers;
  const framers = Array.from({ length: 1000 }, () => {
    const framer = new Framer(268_435_460);
    feed(framer, 0x30, 0xff, 0xff, 0xff, 0x7f, ...new Array<number>(95).fill(1));
    assert.equal(framer.next(), false);
    return framer;
  });
  const each = (process.memoryUsage().arrayBuffers - before) / framers.length;
  assert.ok(each < 2000, `${each} bytes for 100 received`);
  assert.equal(framers[0]?.bufferedBytes, 100);
});

test('the start of one packet does not hold on to the buffer of many', () => {
  const framer = new Framer(1000);
  feed(framer, ...Array.from({ length: 500 }, () => publish(100)).flat());
  framer.keepRest();
  feed(framer, 0x30);
  framer.keepRest();
  while (framer.next());
  assert.equal(framer.bufferedBytes, 1);
  feed(framer, 0x02, 0x00, 0x00);
  assert.equal(framer.next(), true);
  assert.deepEqual(shown(framer), [0x30, 0x02, 0x00, 0x00]);
  assert.ok(framer.bytes.length < 100, `${framer.bytes.length} bytes for 4`);
});

/** Feeds packets of `size` bytes of which each is cut in the middle, and returns the buffers they were put together in. */
function buffersOfCutPackets(size: number): Uint8Array[] {
  const body = size - 4;
  const header = [0x30, (body & 0x7f) | 0x80, ((body >> 7) & 0x7f) | 0x80, body >> 14, 0x00, 0x01, 0x74];
  const packetOf = (value: number) => [...header, ...new Array<number>(size - header.length).fill(value)];
  const middle = size >> 1;
  const framer = new Framer(1_000_000);
  feed(framer, ...packetOf(0).slice(0, middle));
  assert.equal(framer.next(), false);
  return [1, 2, 3].map((value) => {
    feed(framer, ...packetOf(value - 1).slice(middle), ...packetOf(value).slice(0, middle));
    assert.equal(framer.next(), true);
    assert.deepEqual(shown(framer), packetOf(value - 1));
    const { bytes } = framer;
    assert.equal(framer.next(), false);
    assert.equal(framer.bufferedBytes, middle);
    return bytes;
  });
}

test('while every read ends in the middle of a packet, they are put together in one buffer, if it is not large', () => {
  const [, second, third] = buffersOfCutPackets(60_000);
  assert.equal(second, third);
  const [, large, largeAgain] = buffersOfCutPackets(70_000);
  assert.notEqual(large, largeAgain);
});

test('a packet of the maximum size passes, one byte more is refused before its body arrives', () => {
  for (const size of [2, 3, 129, 131, 1000, 16_386]) {
    const packet = size === 2 ? pingreq : size === 3 ? [0x30, 0x01, 0x00] : publish(size);
    const exact = new Framer(size);
    feed(exact, ...packet);
    assert.equal(exact.next(), true);
    assert.deepEqual(shown(exact), packet);
    const tight = new Framer(size - 1);
    feed(tight, ...packet.slice(0, size <= 129 ? 2 : 3));
    assert.equal(refusal(tight).reasonCode, 0x95);
  }
});

test('the maximum size counts for the next packet when it is changed', () => {
  const framer = new Framer(10);
  feed(framer, ...publish(10), ...publish(20), ...publish(21));
  assert.equal(framer.next(), true);
  framer.maximumPacketSize = 20;
  assert.equal(framer.next(), true);
  assert.equal(refusal(framer).reasonCode, 0x95);
});

test('type 0 and a bad Remaining Length are refused at the byte that shows them [MQTT-1.5.5-1]', () => {
  const streams: readonly (readonly [bytes: number[], offset: number])[] = [
    [[0x00], 0],
    [[0x0f], 0],
    [[0x30, 0x80, 0x00], 2],
    [[0x30, 0xff, 0x80, 0x00], 3],
    [[0x30, 0x80, 0x80, 0x80, 0x00], 4],
    [[0x30, 0x80, 0x80, 0x80, 0x80], 4],
    [[0x30, 0xff, 0xff, 0xff, 0xff], 4],
  ];
  for (const [bytes, offset] of streams) {
    const whole = new Framer(1_000_000_000);
    feed(whole, ...bytes);
    const error = refusal(whole);
    assert.deepEqual([error.reasonCode, error.offset], [0x81, offset]);

    const bytewise = new Framer(1_000_000_000);
    for (const byte of bytes.slice(0, -1)) {
      feed(bytewise, byte);
      assert.equal(bytewise.next(), false);
    }
    feed(bytewise, ...bytes.slice(-1));
    assert.equal(refusal(bytewise).offset, offset);
  }
});

test('type 0 is refused although its packet is whole', () => {
  const framer = new Framer(1000);
  feed(framer, ...pingreq, 0x00, 0x00);
  assert.equal(framer.next(), true);
  assert.equal(refusal(framer).reasonCode, 0x81);
});

test('after a refusal the framer is dead: it refuses again and holds nothing', () => {
  const framer = new Framer(1000);
  feed(framer, ...pingreq, 0x00, ...pingreq);
  assert.equal(framer.next(), true);
  const error = refusal(framer);
  assert.equal(refusal(framer), error);
  feed(framer, ...pingreq);
  framer.keepRest();
  assert.equal(refusal(framer), error);
  assert.equal(framer.bufferedBytes, 0);
  assert.equal(framer.bytes, noBytes);
});
