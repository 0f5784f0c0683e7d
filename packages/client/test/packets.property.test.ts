/** The client's packets are those of `@pipit/protocol`: what it writes is read there as it was meant, and it reads, or refuses, the same bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ConnectPacket,
  DecodeError,
  decodePacket,
  encodePacket,
  Framer as FramerOfProtocol,
  type Packet,
  PacketType,
  type PropertyValues,
  type PublishPacket,
  type SubscribePacket,
  viewOf,
} from '@pipit/protocol';
import fc from 'fast-check';
import { packet } from '../../protocol/test/arbitrary.ts';
import { corpus } from '../../protocol/test/corpus/index.ts';
import { Answers } from '../src/core/answers.ts';
import { Outgoing } from '../src/core/call.ts';
import {
  writeAcknowledgement,
  writeConnect,
  writePublish,
  writeReason,
  writeSubscribe,
  writeUnsubscribe,
} from '../src/core/client-packet.ts';
import { Framer } from '../src/core/framer.ts';
import { Incoming } from '../src/core/incoming.ts';
import { Interest, Interests } from '../src/core/interests.ts';
import { defaultLimits, defaultReconnect } from '../src/core/options.ts';
import { Output, packetBytesMax } from '../src/core/output.ts';
import { violation } from '../src/core/packet-reader.ts';
import { Receipts } from '../src/core/receipts.ts';
import { SentTopics } from '../src/core/sent-topics.ts';
import { decodeServerPacket } from '../src/core/server-packet.ts';

const version = fc.constantFrom(4 as const, 5 as const);
const limits = { ...defaultLimits, topicAliasMaximum: 65_535 };

/** CONNECT with what an application chooses; the rest of its properties says what the client itself can do. */
function connect(output: Output, { properties = {}, ...packet }: ConnectPacket): ConnectPacket {
  const announced = {
    receiveMaximum: limits.receiveMaximum,
    maximumPacketSize: limits.packetBytesMax,
    topicAliasMaximum: limits.topicAliasMaximum,
  };
  const { authenticationMethod, authenticationData, sessionExpiryInterval = 0 } = properties;
  const { requestResponseInformation = false, requestProblemInformation = true, userProperties = [] } = properties;
  const options = {
    version: packet.version as 4 | 5,
    clientId: packet.clientId,
    cleanStart: packet.cleanStart,
    sessionExpirySeconds: sessionExpiryInterval,
    keepAliveSeconds: packet.keepAlive,
    username: packet.username ?? null,
    password: packet.password ?? null,
    will: packet.will ?? null,
    authentication:
      authenticationMethod === undefined ? null : { method: authenticationMethod, data: authenticationData ?? null },
    requestResponseInformation,
    requestProblemInformation,
    userProperties,
    limits,
    outboxOverflow: 'refuse' as const,
    reconnect: defaultReconnect,
    servers: 1,
    followServerReference: false,
  };
  writeConnect(output, options, packet.clientId, packet.cleanStart);
  const { bridge: _, ...plain } = packet;
  if (packet.version !== 5) return plain;
  const whole: PropertyValues = { ...properties, ...announced };
  if (requestProblemInformation) delete whole.requestProblemInformation;
  if (sessionExpiryInterval === 0) delete whole.sessionExpiryInterval;
  if (!requestResponseInformation) delete whole.requestResponseInformation;
  return { ...plain, properties: whole };
}

function publish(output: Output, { properties, ...plain }: PublishPacket, v: 4 | 5): PublishPacket {
  const { topic, payload, qos, retain, dup, packetId } = plain;
  const sent = new SentTopics().get(topic);
  if (v === 4) {
    output.publish(sent, payload, qos, retain, dup, packetId, 0, v);
    return plain;
  }
  const message = new Outgoing(topic, payload, qos, retain, properties ?? null);
  assert.ok(writePublish(output, message, sent, properties ?? {}, packetId, dup, packetBytesMax));
  return properties === undefined ? plain : { ...plain, properties };
}

function subscribe(output: Output, packet: SubscribePacket, v: 4 | 5): SubscribePacket {
  const { subscriptionIdentifier = null, userProperties = [] } = packet.properties ?? {};
  const batch = packet.subscriptions.map((request) => {
    return new Interest(request, subscriptionIdentifier, userProperties, null);
  });
  assert.ok(writeSubscribe(output, batch, packet.packetId, v));
  return packet;
}

/** Writes a packet as the core would; what it says is returned as decodePacket gives it. */
function write(output: Output, each: Packet, v: 4 | 5): Packet {
  switch (each.type) {
    case PacketType.Connect:
      return connect(output, each);
    case PacketType.Publish:
      return publish(output, each, v);
    case PacketType.Subscribe:
      return subscribe(output, each, v);
    case PacketType.Unsubscribe: {
      const { filters, packetId, properties: { userProperties = [] } = {} } = each;
      writeUnsubscribe(output, { filters, userProperties }, packetId, v);
      return each;
    }
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp: {
      const { properties, ...plain } = each;
      writeAcknowledgement(output, each.type, each.packetId, each.reasonCode, properties);
      return each.reasonCode === 0 ? plain : each;
    }
    case PacketType.Disconnect:
    case PacketType.Auth:
      writeReason(output, v, each.type, each.reasonCode, each.properties ?? {});
      return each;
    default:
      output.uint16(PacketType.Pingreq << 12);
      return { type: PacketType.Pingreq };
  }
}

test('what the client writes is what it meant, one packet behind the other', () => {
  const sent = version.chain((v) => fc.array(packet(v, 'client')).map((list) => ({ v, list })));
  fc.assert(
    fc.property(sent, ({ v, list }) => {
      const named = list.filter((each) => each.type !== PacketType.Publish || each.topic !== '');
      const output = new Output();
      const meant = named.map((each) => write(output, each, v));
      const bytes = output.take() ?? new Uint8Array();
      const framer = new FramerOfProtocol(packetBytesMax);
      framer.feed(bytes, viewOf(bytes), 0, bytes.length);
      const read: Packet[] = [];
      while (framer.next()) read.push(decodePacket(framer.bytes, framer.start, framer.end, v, 'client'));
      assert.deepEqual(read, meant);
    }),
  );
});

/** What the client makes of the bytes of one packet, in the words of `decodePacket`; a reason code when it refuses them. */
function readByClient(bytes: Uint8Array, v: 4 | 5): unknown {
  const framer = new Framer(packetBytesMax);
  framer.feed(bytes, viewOf(bytes), 0, bytes.length);
  assert.ok(framer.next());
  const type = (bytes[0] as number) >> 4;
  if (type !== PacketType.Publish) {
    const { reasonCode, reasonCodes, sessionPresent, packetId, properties } = decodeServerPacket(framer, v);
    // The method of AUTH is compared with that of CONNECT by authentication.ts, which refuses any other and none.
    if (type === PacketType.Auth && properties.authenticationMethod === undefined) throw violation('no method');
    return { type, reasonCode, reasonCodes, sessionPresent, packetId, properties };
  }
  const output = new Output();
  const receipts = new Receipts(limits, output, () => undefined);
  const incoming = new Incoming(limits, new Interests(new Answers()), receipts);
  incoming.publish(framer, v);
  const [message] = incoming.deliveries;
  assert.ok(message);
  const { topic, payload, qos, retain, duplicate: dup, packetId, properties } = message;
  return { type, topic, payload, qos, retain, dup, packetId, properties };
}

function readByProtocol(bytes: Uint8Array, v: 4 | 5): unknown {
  const each = decodePacket(bytes, 0, bytes.length, v, 'server');
  if (each.type === PacketType.Publish) {
    const { topicAlias: _, ...properties } = each.properties ?? {};
    return { ...each, properties };
  }
  return { reasonCode: 0, reasonCodes: [], sessionPresent: false, packetId: 0, properties: {}, ...each };
}

/**
 * Whether it matters by which rule a packet is refused: before 5.0 nobody is told, and of those that no server sends either its
 * flags or its type may be looked at first.
 */
function isTold(type: number, v: 4 | 5): boolean {
  const { Connect, Subscribe, Unsubscribe, Pingreq } = PacketType;
  const ofClient: number[] = [Connect, Subscribe, Unsubscribe, Pingreq];
  return v === 5 && !ofClient.includes(type);
}

type Read = (bytes: Uint8Array, v: 4 | 5) => unknown;

function outcome(read: Read, bytes: Uint8Array, v: 4 | 5): unknown {
  try {
    return read(bytes, v);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return isTold((bytes[0] as number) >> 4, v) ? error.reasonCode : 'refused';
  }
}

/** Whether the bytes are one whole frame, as the framer gives them on. */
function isFrame(bytes: Uint8Array): boolean {
  const framer = new FramerOfProtocol(packetBytesMax);
  framer.feed(bytes, viewOf(bytes), 0, bytes.length);
  try {
    return framer.next() && framer.end === bytes.length;
  } catch {
    return false;
  }
}

/** Whether more than the packet has to be known: a topic left to an alias that was set before. */
function needsMore(result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'topic' in result && result.topic === '';
}

test('what a server sends is the same packet, or refused by the same reason code, damaged or not', () => {
  const sent = version.chain((v) =>
    fc
      .tuple(packet(v, 'server'), fc.option(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }))))
      .map(([each, flip]) => {
        const bytes = encodePacket(each, v, 'server');
        if (flip !== null) bytes[flip[0] % bytes.length] = (bytes[flip[0] % bytes.length] as number) ^ flip[1];
        return { v, bytes };
      }),
  );
  fc.assert(
    fc.property(sent, ({ v, bytes }) => {
      fc.pre(isFrame(bytes));
      const expected = outcome(readByProtocol, bytes, v);
      fc.pre(!needsMore(expected));
      assert.deepEqual(outcome(readByClient, bytes, v), expected);
    }),
    { numRuns: 2_000 },
  );
});

test('the corpus of packets from servers is read and refused as it says', () => {
  const cases = Object.values(corpus)
    .flat()
    .filter((each) => each.sender === 'server' && each.version !== 3 && isFrame(each.bytes));
  assert.ok(cases.length > 50, `${cases.length} cases`);
  for (const { id, bytes, version: v, refused } of cases) {
    const expected = outcome(readByProtocol, bytes, v as 4 | 5);
    if (needsMore(expected)) continue;
    const got = outcome(readByClient, bytes, v as 4 | 5);
    assert.deepEqual(got, expected, id);
    if (refused !== undefined && got !== 'refused') assert.equal(got, refused, id);
  }
});
