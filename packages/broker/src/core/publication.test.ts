import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePacket, PacketType, type ProtocolVersion, type PublishPacket, type QoS, viewOf } from '@pipit/protocol';
import { Connection } from './connection.ts';
import { defaultLimits } from './limits.ts';
import { State } from './state.ts';
import type { Topic } from './topic-table.ts';

const versions = [3, 4, 5] as const;
const qualities = [0, 1, 2] as const;

function connect(version: ProtocolVersion): Connection {
  const connection = new Connection({ transport: 'memory', address: '', listener: '' }, new Uint8Array(16), 1_000, 0);
  connection.version = version;
  return connection;
}

function written(connection: Connection): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let slab = connection.shift(); slab !== null; slab = connection.shift())
    parts.push(slab.bytes.slice(0, slab.length));
  return new Uint8Array(Buffer.concat(parts));
}

function packet(fields: Partial<PublishPacket>): PublishPacket {
  return {
    type: PacketType.Publish,
    topic: 'a/topic',
    payload: new Uint8Array(),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    ...fields,
  };
}

/** Puts a PUBLISH into the publication as it came in from a connection of `version`. */
function take(state: State, version: ProtocolVersion, sent: PublishPacket): Uint8Array {
  const bytes = encodePacket(sent, version, 'client');
  const { frame } = state;
  let body = 1;
  while ((bytes[body++] as number) >= 0x80);
  frame.read(bytes, viewOf(bytes), 0, body, bytes.length, version, 'client');
  const topic = state.topics.internName(sent.topic) as Topic;
  state.publication.fromFrame(frame, topic, connect(version), state.now);
  return bytes;
}

const properties = {
  payloadFormatIndicator: 1 as const,
  messageExpiryInterval: 77,
  contentType: 'text/plain',
  responseTopic: 'r',
  correlationData: Uint8Array.of(9, 8, 7),
  userProperties: [
    ['b', '1'],
    ['a', '2'],
    ['b', '1'],
  ] as [string, string][],
};
const kinds: readonly (readonly [string, PublishPacket['properties']])[] = [
  ['no properties', undefined],
  ['one property', { contentType: 'x' }],
  ['many properties', properties],
  ['an alias alone', { topicAlias: 3 }],
  ['an alias among others', { ...properties, topicAlias: 65_535 }],
  ['an alias behind an expiry', { messageExpiryInterval: 5, topicAlias: 1 }],
  ['properties of more than 127 bytes', { contentType: 'y'.repeat(120), topicAlias: 2, userProperties: [['k', 'v']] }],
];
const sizes = [
  0,
  1,
  99,
  127,
  128,
  300,
  ...Array.from({ length: 10 }, (_, i) => 300 + 2 * i),
  16_384,
  32_767,
  32_768,
  32_769,
  65_536,
];

for (const [kind, given] of kinds) {
  test(`every form of a PUBLISH is what the encoder writes: ${kind}`, () => {
    const state = new State({ seed: 1 }, defaultLimits, 0, 0);
    const { topicAlias: _, ...kept } = given ?? {};
    for (const from of versions) {
      if (from !== 5 && given !== undefined) continue;
      for (const size of sizes) {
        const payload = Uint8Array.from({ length: size }, (_unused, i) => (i * 7 + size) & 127);
        for (const qos of qualities) {
          take(
            state,
            from,
            packet({
              payload,
              qos,
              packetId: qos === 0 ? 0 : 4_711,
              ...(given === undefined ? {} : { properties: given }),
            }),
          );
          for (const [to, at] of versions.flatMap((to) => qualities.map((at) => [to, at] as const))) {
            const retain = (to + at) % 2 === 0;
            const packetId = at === 0 ? 0 : 1 + to + at;
            const connection = connect(to);
            const own = to === 5 && Object.keys(kept).length > 0 ? { properties: kept } : {};
            const expected = encodePacket(packet({ payload, qos: at, retain, packetId, ...own }), to, 'server');
            const say = `${from} QoS ${qos} to ${to} QoS ${at}, ${size} bytes`;
            assert.equal(state.publication.size(to === 5, at), expected.length, say);
            state.publication.write(state, connection, at, retain, packetId, false);
            assert.ok(Buffer.from(expected).equals(written(connection)), say);
          }
        }
      }
    }
  });
}

test('what is kept does not see the input change, and is one message however many keep it', () => {
  const state = new State({ seed: 1 }, defaultLimits, 0, 0);
  for (const size of [5, 40_000]) {
    const payload = new Uint8Array(size).fill(0x61);
    const bytes = take(state, 5, packet({ payload, properties: { ...properties, topicAlias: 1 } }));
    const kept = state.publication.keep();
    assert.equal(state.publication.keep(), kept);
    bytes.fill(0);
    state.publication.fromMessage(kept, 0);
    const connection = connect(5);
    state.publication.write(state, connection, 0, false, 0, false);
    assert.deepEqual(written(connection), encodePacket(packet({ payload, properties }), 5, 'server'));
  }
});

test('messages in flight share memory when they are small, and each is whole: its expiry counts down on its own', () => {
  const state = new State({ seed: 1 }, defaultLimits, 0, 0);
  const { publication } = state;
  const propertyBytes = 51;
  const sizes = [0, 1, 7, 8, 100, 204, 205, 206, 300, 205];
  const kept = sizes.map((size, i) => {
    const payload = new Uint8Array(size).fill(i + 1);
    const bytes = take(
      state,
      5,
      packet({ payload, qos: 1, packetId: 1, properties: { ...properties, topicAlias: 1 } }),
    );
    const message = publication.keepInFlight();
    assert.equal(publication.keepInFlight(), message);
    assert.equal(message.propertiesLength, propertyBytes);
    bytes.fill(0);
    return { payload, message };
  });
  state.now = 7_000;
  for (const { payload, message } of kept) {
    publication.fromMessage(message, state.now);
    const connection = connect(5);
    publication.write(state, connection, 1, false, 9, false);
    const counted = { ...properties, messageExpiryInterval: 70 };
    assert.deepEqual(
      written(connection),
      encodePacket(packet({ payload, qos: 1, packetId: 9, properties: counted }), 5, 'server'),
    );
    const size = payload.length + propertyBytes;
    assert.equal(message.bytes.length, size <= 256 ? 1_024 : size);
  }
  // 882 bytes; two that have their own; 256 more.
  const blocks = kept.map(({ message }) => message.bytes);
  assert.equal(new Set(blocks.slice(0, 7)).size, 1);
  assert.notEqual(blocks[9], blocks[0]);
});

test('what is in flight and then kept for longer is the same message to the store, in memory of its own', () => {
  const state = new State({ seed: 1 }, defaultLimits, 0, 0);
  const { publication } = state;
  take(state, 4, packet({ payload: new Uint8Array(5).fill(0x61) }));
  const inFlight = publication.keepInFlight();
  inFlight.id = 77;
  const kept = publication.keep();
  assert.equal(kept.id, 77);
  assert.equal(kept.bytes.length, 5);
  assert.equal(publication.keepInFlight(), kept);
  take(state, 4, packet({ payload: new Uint8Array(5).fill(0x61) }));
  assert.equal(publication.keepInFlight().id, 0);
});

test('a large payload is written once, however many read it', () => {
  const state = new State({ seed: 1 }, defaultLimits, 0, 0);
  take(state, 4, packet({ payload: new Uint8Array(40_000).fill(1) }));
  const buffers = new Set<unknown>();
  for (let i = 0; i < 10; i++) {
    const connection = connect(4);
    state.publication.write(state, connection, 0, false, 0, false);
    connection.shift();
    buffers.add(connection.shift()?.bytes.buffer);
  }
  assert.equal(buffers.size, 1);
});

test('the buffer for forms does not grow with what was ever encoded', () => {
  const state = new State({ seed: 1 }, defaultLimits, 0, 0);
  const publication = state.publication as unknown as { scratch: { bytes: Uint8Array } };
  for (let i = 0; i < 5_000; i++) {
    take(state, 5, packet({ payload: new Uint8Array(300) }));
    for (const [version, qos] of [
      [4, 0],
      [4, 1],
      [5, 1],
    ] as [ProtocolVersion, QoS][]) {
      const connection = connect(version);
      state.publication.write(state, connection, qos, false, qos, false);
      connection.out.clear(state.pool);
    }
    state.dirty.length = 0;
  }
  assert.ok(publication.scratch.bytes.length <= 8_192, `${publication.scratch.bytes.length} bytes`);
});
