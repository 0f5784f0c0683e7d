import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type QoS, viewOf } from '@pipit/protocol';
import fc from 'fast-check';
import {
  type StoredDelivery,
  type StoredMessage,
  type StoredSession,
  type StoredSubscription,
  storedCost,
} from '../core/index.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { frameEnd, frameType, headerBytes } from './frame.ts';
import * as record from './record.ts';
import { type Facts, RecordType } from './record.ts';

const qos = fc.constantFrom<QoS>(0, 1, 2);
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\ud800 alone', 'nul \0', '測試'),
);
const topic = fc.string({ unit: 'grapheme' });
const id = fc.maxSafeNat();
const time = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(Number.POSITIVE_INFINITY));

/** An ordinary object: the default is one without a prototype now and then. */
function fields<Value>(model: { [Key in keyof Value]: fc.Arbitrary<Value[Key]> }): fc.Arbitrary<Value> {
  return fc.record(model, { noNullPrototype: true });
}

const message: fc.Arbitrary<StoredMessage> = fields({
  id: id.map((value) => Math.max(1, value)),
  topic,
  qos,
  retain: fc.boolean(),
  properties: fc.uint8Array(),
  payload: fc.uint8Array({ maxLength: 2_000 }),
  expiryAt: fc.integer({ min: -1, max: 300 }),
  expiresAtClock: time,
  publisher: fc.option(text),
});

const delivery: fc.Arbitrary<StoredDelivery> = fields({
  sequence: id,
  message,
  qos,
  retain: fc.boolean(),
  identifiers: fc.option(fc.array(fc.nat(268_435_455))),
  group: fc.option(text),
  packetId: fc.nat(65_535),
  released: fc.constant(false),
});

const subscription: fc.Arbitrary<StoredSubscription> = fields({
  filter: text,
  shareName: fc.option(text, { nil: undefined }),
  qos,
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  identifier: fc.nat(268_435_455),
});

const plainSession: fc.Arbitrary<StoredSession> = fields({
  key: text,
  clientId: text,
  principal: fc.option(text),
  incarnation: id,
  expirySeconds: fc.oneof(fc.nat(), fc.constant(Number.POSITIVE_INFINITY)),
  will: fc.option(fields({ message, delaySeconds: fc.nat(4_294_967_295) })),
  closedAtClock: time,
});
const session = fc.oneof(
  plainSession,
  fc.tuple(plainSession, text).map(([plain, rights]) => ({ ...plain, rights })),
);

/** Writes one record, checks its frame, and has its body read twice: for its facts and as a whole. */
function roundTrip<Value>(
  write: (writer: ByteWriter) => Facts,
  read: (reader: ByteReader) => Value,
): { facts: Facts; value: Value } {
  const writer = new ByteWriter(1);
  writer.uint8(0xaa);
  const facts = write(writer);
  const { bytes, length } = writer;
  const view = viewOf(bytes);
  assert.equal(frameEnd(view, 1, length, length), length);
  assert.equal(frameType(view, 1), facts.type);
  const reader = new ByteReader(bytes, view);
  assert.deepEqual(record.readFacts(facts.type, reader.enter(1 + headerBytes, length)), facts);
  return { facts, value: read(reader.enter(1 + headerBytes, length)) };
}

test('sessions come back as they were', () => {
  fc.assert(
    fc.property(session, (one) => {
      const { value } = roundTrip((writer) => record.writeSession(writer, one), record.readSession);
      assert.deepEqual(value, one);
    }),
  );
});

test('subscriptions come back as they were', () => {
  fc.assert(
    fc.property(subscription, id, (one, incarnation) => {
      const { value } = roundTrip(
        (writer) => record.writeSubscribed(writer, incarnation, one),
        (reader) => ({ incarnation: reader.integer(), subscription: record.readSubscription(reader) }),
      );
      assert.deepEqual(value, { incarnation, subscription: one });
    }),
  );
});

test('deliveries come back as they were, with their message or its id', () => {
  fc.assert(
    fc.property(delivery, id, fc.boolean(), (one, incarnation, isInline) => {
      const { facts, value } = roundTrip(
        (writer) => record.writeQueued(writer, incarnation, one, isInline),
        record.readQueued,
      );
      const { packetId, released: _, message: held, ...rest } = one;
      const { expiresAtClock } = held;
      assert.deepEqual(value, { delivery: rest, message: isInline ? held : held.id, expiresAtClock });
      const { sequence } = one;
      const messageId = isInline ? 0 : held.id;
      const cost = storedCost(held);
      assert.deepEqual(facts, { type: RecordType.Queued, incarnation, sequence, packetId, cost, messageId });
    }),
  );
});

test('messages and retained messages come back as they were', () => {
  fc.assert(
    fc.property(message, fc.boolean(), fc.option(text), (one, isInline, principal) => {
      assert.deepEqual(roundTrip((writer) => record.writeMessage(writer, one), record.readMessage).value, one);
      const { value, facts } = roundTrip(
        (writer) =>
          record.writeRetained(
            writer,
            { kind: 'retained', topic: one.topic, message: one, expiresAtClock: 7, principal },
            isInline,
          ),
        record.readRetained,
      );
      const { topic: name } = one;
      assert.deepEqual(value, { topic: name, expiresAtClock: 7, message: isInline ? one : one.id });
      const [type, cost, messageId] = [RecordType.Retained, storedCost(one), isInline ? 0 : one.id];
      assert.deepEqual(facts, { type, topic: name, messageId, expiresAtClock: 7, cost, id: one.id, principal });
    }),
  );
});

test('a record cut anywhere, or with any bit flipped, is none', () => {
  const writer = new ByteWriter(1);
  record.writeShort(writer, { type: RecordType.Settled, incarnation: 300, sequence: 2 ** 40, floor: 5 });
  const whole = writer.bytes.slice(0, writer.length);
  const { length } = whole;
  for (let end = 0; end < length; end++) {
    assert.equal(frameEnd(viewOf(whole), 0, end, end), 0, `cut at ${end}`);
    assert.equal(frameEnd(viewOf(whole), 0, end, length), -1, 'more may come');
  }
  for (let bit = 0; bit < length * 8; bit++) {
    const flipped = whole.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.equal(frameEnd(viewOf(flipped), 0, length, length), 0, `bit ${bit}`);
  }
});

test('a body that makes no sense is a RangeError, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(20), (bytes, type) => {
      const reader = new ByteReader(bytes, viewOf(bytes));
      for (const read of [
        (body: ByteReader) => record.readFacts(type, body),
        record.readCommit,
        record.readSession,
        record.readSubscription,
        record.readQueued,
        record.readRetained,
        record.readMessage,
      ]) {
        try {
          read(reader.enter(0, bytes.length));
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
        }
      }
    }),
  );
});
