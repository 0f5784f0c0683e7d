import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DecodeError,
  decodePacket,
  EncodeError,
  encodePacket,
  Framer,
  type Packet,
  PacketType,
  type ProtocolVersion,
  PublishFrame,
  type Sender,
  viewOf,
} from '@pipit/protocol';
import fc from 'fast-check';
import { packet, publish, type Sent, sender, sent, version } from './arbitrary.ts';

const encode = (each: Sent): Uint8Array => encodePacket(each.packet, each.version, each.sender);
const decode = (bytes: Uint8Array, v: ProtocolVersion, s: Sender): Packet => decodePacket(bytes, 0, bytes.length, v, s);

/** What `run` returns, or the error of the class it may throw; any other error is a failure. */
function outcome<T, E extends Error>(run: () => T, allowed: new (...args: never[]) => E): T | E {
  try {
    return run();
  } catch (error) {
    if (error instanceof allowed) return error;
    throw error;
  }
}

/** Bytes that were a packet before something happened to them. */
const damaged = (bytes: Uint8Array): fc.Arbitrary<Uint8Array> => {
  const at = fc.nat(bytes.length - 1);
  const byte = fc.oneof(fc.constantFrom(0x00, 0x01, 0x7f, 0x80, 0xff), fc.nat(255));
  const change = fc.tuple(at, byte).map(([index, value]) => bytes.with(index, value));
  const cut = at.map((length) => relength(bytes.subarray(0, length)));
  const without = at.map((index) =>
    relength(Uint8Array.from([...bytes.subarray(0, index), ...bytes.subarray(index + 1)])),
  );
  const inserted = fc
    .tuple(at, byte)
    .map(([index, value]) => relength(Uint8Array.from([...bytes.subarray(0, index), value, ...bytes.subarray(index)])));
  return fc.oneof(change, cut, without, inserted);
};

/** Makes a length of one byte right again, so that the damage lies in the body. */
function relength(bytes: Uint8Array): Uint8Array {
  return bytes.length >= 2 && bytes.length < 130 ? bytes.with(1, bytes.length - 2) : bytes;
}

const damagedPacket = sent.chain((each) => damaged(encode(each)).map((bytes) => ({ ...each, bytes })));

test('a legal packet comes back from its bytes, and its bytes from it', () => {
  fc.assert(
    fc.property(sent, (each) => {
      const bytes = encode(each);
      const back = decode(bytes, each.version, each.sender);
      assert.deepEqual(back, each.packet);
      assert.deepEqual(encode({ ...each, packet: back }), bytes);
    }),
    { numRuns: 2000 },
  );
});

test('garbage either parses or raises DecodeError, framed or not', () => {
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.tuple(fc.integer({ min: 0x10, max: 0xff }), fc.uint8Array({ maxLength: 60 })).map(([first, body]) => {
      return Uint8Array.of(first, body.length, ...body);
    }),
  );
  fc.assert(
    fc.property(garbage, version, sender, (bytes, v, s) => {
      outcome(() => decode(bytes, v, s), DecodeError);
      outcome(() => {
        const framer = new Framer(1000);
        framer.feed(bytes, viewOf(bytes), 0, bytes.length);
        while (framer.next()) outcome(() => decodePacket(framer.bytes, framer.start, framer.end, v, s), DecodeError);
      }, DecodeError);
    }),
    { numRuns: 5000 },
  );
});

test('a damaged packet either parses or raises DecodeError, and what parses is legal to send unless it was tolerated', () => {
  let parsed = 0;
  fc.assert(
    fc.property(damagedPacket, ({ bytes, version: v, sender: s }) => {
      const back = outcome(() => decode(bytes, v, s), DecodeError);
      if (back instanceof DecodeError) {
        assert.ok(back.offset >= 0 && back.offset <= bytes.length, `${back.message}, byte ${back.offset}`);
        return;
      }
      parsed += 1;
      // A CONNECT tells its own version: damage may have made it another.
      const again = outcome(() => encodePacket(back, v, s), EncodeError);
      if (!(again instanceof EncodeError)) assert.deepEqual(decode(again, v, s), back);
    }),
    { numRuns: 5000 },
  );
  assert.ok(parsed > 100, `${parsed} parsed`);
});

/** Values a caller might pass by mistake. */
const mistakes = fc.oneof(
  fc.constantFrom(
    -1,
    0,
    1,
    1.5,
    3,
    255,
    256,
    65_535,
    65_536,
    268_435_456,
    2 ** 32,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ),
  fc.constantFrom('', '\0', '\uD800', '+', '#', 'a/#/b', '$share/g', '$share/g/a', 'x'.repeat(65_536)),
  fc.boolean(),
  fc.constant(undefined),
);

/** The packet with one field of its own, or of its properties, will or first subscription, replaced by the mistake. */
function mistaken({ packet: legal }: Sent, where: number, mistake: unknown): Packet {
  const copy = structuredClone(legal) as unknown as Record<string, unknown>;
  const first = (copy['subscriptions'] as unknown[] | undefined)?.[0];
  const targets = [copy, copy['properties'], copy['will'], first].filter((each) => each !== undefined) as Record<
    string,
    unknown
  >[];
  const slots = targets.flatMap((target) => Object.keys(target).map((name) => [target, name] as const));
  const open = slots.filter(
    ([target, name]) => name !== 'type' && name !== 'bridge' && typeof target[name] === typeof mistake,
  );
  const [target, name] = open[where % open.length] ?? [{}, ''];
  target[name] = mistake;
  return copy as unknown as Packet;
}

test('the encoder writes what decodes to the same, or raises EncodeError', () => {
  let refused = 0;
  fc.assert(
    fc.property(sent, fc.nat(), mistakes, (each, where, mistake) => {
      const packetAsked = mistaken(each, where, mistake);
      const bytes = outcome(() => encode({ ...each, packet: packetAsked }), EncodeError);
      if (bytes instanceof EncodeError) refused += 1;
      else assert.deepEqual(decode(bytes, each.version, each.sender), packetAsked);
    }),
    { numRuns: 5000 },
  );
  assert.ok(refused > 500, `${refused} refused`);
});

test('what one side or version may send, the other may not send for it', () => {
  fc.assert(
    fc.property(sent, version, sender, (each, v, s) => {
      const bytes = outcome(() => encodePacket(each.packet, v, s), EncodeError);
      if (bytes instanceof EncodeError) return;
      assert.deepEqual(decode(bytes, v, s), each.packet);
    }),
    { numRuns: 3000 },
  );
});

/** One connection's packets, and how their bytes arrive: chunk lengths, and where the reader stops early. */
const stream = fc.tuple(version, sender).chain(([v, s]) =>
  fc.record({
    packets: fc.array(packet(v, s), { minLength: 1, maxLength: 12 }),
    chunkLengths: fc.array(fc.oneof(fc.constantFrom(1, 2, 3), fc.integer({ min: 1, max: 400 })), { minLength: 1 }),
    budgets: fc.array(fc.nat(3), { minLength: 1 }),
    version: fc.constant(v),
    sender: fc.constant(s),
  }),
);

test('split anywhere, and read with any budget, a stream has the same packets', () => {
  fc.assert(
    fc.property(stream, ({ packets, chunkLengths, budgets, version: v, sender: s }) => {
      const bytes = Uint8Array.from(packets.flatMap((each) => [...encodePacket(each, v, s)]));
      const framer = new Framer(1_000_000);
      const found: Packet[] = [];
      const buffer = new Uint8Array(400); // one buffer for every chunk, as a driver reads
      const view = viewOf(buffer);
      const read = (budget: number): void => {
        for (let left = budget; left > 0 && framer.next(); left--) {
          found.push(decodePacket(framer.bytes, framer.start, framer.end, v, s));
        }
      };
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const length = Math.min(chunkLengths[turn % chunkLengths.length] as number, bytes.length - at);
        buffer.fill(0xee);
        buffer.set(bytes.subarray(at, at + length));
        framer.feed(buffer, view, 0, length);
        at += length;
        read(budgets[turn % budgets.length] as number);
        framer.keepRest();
        assert.ok(framer.bufferedBytes <= at);
      }
      read(Number.POSITIVE_INFINITY);
      assert.deepEqual(found, packets);
      assert.equal(framer.bufferedBytes, 0);
    }),
    { numRuns: 1000 },
  );
});

const anyPublish = fc
  .tuple(version, sender)
  .chain(([v, s]) => publish(v, s).map((each) => ({ version: v, sender: s, packet: each })))
  .chain((each) => {
    const bytes = encode(each);
    const asPublish = damaged(bytes).filter(
      (data) => data.length > 1 && (data[0] as number) >> 4 === PacketType.Publish,
    );
    return fc.oneof(fc.constant(bytes), asPublish).map((data) => ({ ...each, bytes: data }));
  });

test('PublishFrame agrees with decodePacket on every PUBLISH, whole or damaged, but for the text of the topic', () => {
  const frame = new PublishFrame();
  fc.assert(
    fc.property(anyPublish, ({ bytes, version: v, sender: s }) => {
      const framer = new Framer(1_000_000);
      framer.feed(bytes, viewOf(bytes), 0, bytes.length);
      const whole = outcome(() => framer.next() && framer.end === bytes.length, DecodeError);
      if (whole !== true) return;
      const { view, start, body, end } = framer;
      const read = outcome(() => frame.read(bytes, view, start, body, end, v, s), DecodeError);
      const decoded = outcome(() => decode(bytes, v, s), DecodeError);
      if (read instanceof DecodeError) {
        assert.deepEqual(decoded, read);
        return;
      }
      if (decoded instanceof DecodeError) {
        assert.match(decoded.message, /Topic [Nn]ame (contains a wildcard|is not valid UTF-8)/);
        return;
      }
      assert.ok(decoded.type === PacketType.Publish);
      assert.equal(frame.bytes, bytes);
      assert.deepEqual([frame.qos, frame.dup, frame.retain], [decoded.qos, decoded.dup, decoded.retain]);
      assert.equal(frame.packetId, decoded.packetId);
      if (frame.packetIdAt >= 0) assert.equal(view.getUint16(frame.packetIdAt), decoded.packetId);
      else assert.equal(decoded.qos, 0);
      assert.deepEqual(bytes.slice(frame.payloadStart, frame.end), decoded.payload);
      assert.equal(
        new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(frame.topicStart, frame.topicEnd)),
        decoded.topic,
      );
      const { topicAlias, messageExpiryInterval, payloadFormatIndicator, subscriptionIdentifiers, userProperties } =
        decoded.properties ?? {};
      assert.equal(frame.topicAlias, topicAlias ?? 0);
      if (topicAlias === undefined) assert.equal(frame.topicAliasAt, -1);
      else assert.deepEqual([bytes[frame.topicAliasAt], view.getUint16(frame.topicAliasAt + 1)], [0x23, topicAlias]);
      assert.equal(frame.messageExpiryInterval, messageExpiryInterval ?? -1);
      if (messageExpiryInterval === undefined) assert.equal(frame.messageExpiryAt, -1);
      else assert.equal(view.getUint32(frame.messageExpiryAt), messageExpiryInterval);
      assert.equal(frame.payloadFormatIndicator, payloadFormatIndicator ?? 0);
      assert.equal(frame.hasSubscriptionIdentifiers, subscriptionIdentifiers !== undefined);
      assert.equal(frame.userProperties, userProperties?.length ?? 0);
      assert.equal(frame.propertiesEnd, frame.payloadStart);
      if (decoded.properties === undefined) assert.equal(frame.propertiesStart, frame.propertiesEnd);
    }),
    { numRuns: 5000 },
  );
});

test('a PublishFrame keeps nothing of the packet it read before', () => {
  const frame = new PublishFrame();
  const rich = encodePacket(
    {
      type: PacketType.Publish,
      topic: 't',
      payload: new Uint8Array(1),
      qos: 2,
      retain: true,
      dup: true,
      packetId: 9,
      properties: { payloadFormatIndicator: 1, messageExpiryInterval: 5, topicAlias: 3, subscriptionIdentifiers: [1] },
    },
    5,
    'server',
  );
  const poor = Uint8Array.of(0x30, 0x03, 0x00, 0x01, 0x74);
  frame.read(rich, viewOf(rich), 0, 2, rich.length, 5, 'server');
  frame.read(poor, viewOf(poor), 0, 2, poor.length, 4, 'client');
  const fresh = new PublishFrame();
  fresh.read(poor, frame.view, 0, 2, poor.length, 4, 'client');
  assert.deepEqual({ ...frame }, { ...fresh });
});
