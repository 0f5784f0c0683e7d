/** SUBSCRIBE and UNSUBSCRIBE: answers and effects. Sections 3.8 to 3.11, and overlapping subscriptions of 3.3.4. */
import type { Packet, QoS } from '@pipit/protocol';
import { orCode } from '../bench.ts';
import { field, frame, hex, uint16, vbi } from '../bytes.ts';
import { type Case, cases } from '../case.ts';
import { expectEqual, expectTrue } from '../outcome.ts';
import { subscribePacket, textOf } from '../peer.ts';

const none = (version: number): number[] => (version === 5 ? [0] : []);
const levels: readonly QoS[] = [0, 1, 2];

const subscribe: readonly Case[] = [
  ...cases(
    ['MQTT-3.8.3-2', 'MQTT3-3.8.3-3'],
    'SUBSCRIBE without a filter, or a filter without options, is refused',
    (bench) =>
      bench.refuses(
        {
          'no filter': frame(0x82, uint16(1), none(bench.version)),
          'a filter without its options': frame(0x82, uint16(1), none(bench.version), field(bench.topic())),
          'a second filter without its options': frame(
            0x82,
            uint16(1),
            none(bench.version),
            field(bench.topic()),
            [0],
            field(bench.topic()),
          ),
        },
        { isCode: orCode() },
      ),
  ),
  ...cases(
    ['MQTT-3.8.3-5', 'MQTT3-3.8.3-4'],
    'SUBSCRIBE with a reserved bit in its options, or QoS 3, is refused',
    (bench) => {
      const options = bench.version === 5 ? [0x40, 0x80, 0xc1] : [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80];
      const filter = field(bench.topic());
      const packetOf = (byte: number): Uint8Array => frame(0x82, uint16(1), none(bench.version), filter, [byte]);
      return bench.refuses(
        Object.fromEntries(options.map((byte) => [`options ${byte.toString(16)}`, packetOf(byte)])),
        { isCode: orCode() },
      );
    },
  ),
  ...cases(
    [
      'MQTT-3.8.4-1',
      'MQTT-3.8.4-6',
      'MQTT-3.8.4-7',
      'MQTT-3.9.3-1',
      'MQTT-3.9.3-2',
      'MQTT3-3.8.4-1',
      'MQTT3-3.8.4-5',
      'MQTT3-3.9.3-1',
      'MQTT3-3.9.3-2',
    ],
    'SUBACK has a code for each filter, in their order: the QoS granted or a failure',
    async (bench) => {
      const peer = await bench.client();
      for (const count of [1, 2, 10, 100]) {
        const requests = Array.from({ length: count }, (_, i) => ({
          filter: bench.topic(),
          qos: ((i + 2) % 3) as QoS,
        }));
        const codes = await peer.subscribe(requests);
        expectEqual(codes.length, count, 'number of codes');
        codes.forEach((code, i) => {
          const asked = requests[i]?.qos as number;
          expectTrue(code <= asked || code >= 0x80, `at most QoS ${asked}, or a failure`, code);
        });
        if ((bench.connack.maximumQoS ?? 2) === 2)
          expectEqual(
            codes,
            requests.map(({ qos }) => qos),
            'codes',
          );
      }
    },
  ),
  ...cases(
    ['MQTT-3.9.3-1 refused', '5.0/3.9.3 refused-among-others', 'MQTT3-3.8.4-5 refused'],
    'A denied filter is refused in its own place, or granted in vain; the others are granted',
    async (bench) => {
      bench.needs('deniedTopic', 'of a topic that is denied');
      const denied = bench.facts.deniedTopic as string;
      const [one, two] = [bench.topic(), bench.topic()];
      const peer = await bench.client();
      const codes = await peer.subscribe([
        { filter: one, qos: 1 },
        { filter: denied, qos: 1 },
        { filter: two, qos: 0 },
      ]);
      expectEqual([codes[0], codes[2]], [1, 0], 'codes of what is allowed');
      const isFailure = bench.version === 5 ? (codes[1] as number) >= 0x80 : codes[1] === 0x80;
      expectTrue(isFailure || (codes[1] as number) <= 1, 'a failure, or at most the QoS asked for', codes[1]);
    },
  ),
  ...cases(
    ['MQTT-3.8.4-5', 'MQTT3-3.8.4-4'],
    'Several filters in one SUBSCRIBE work like one each, retained messages included',
    async (bench) => {
      const topics = [bench.retainedTopic(), bench.retainedTopic(), bench.retainedTopic()];
      const publisher = await bench.client();
      for (const topic of topics) await publisher.published(topic, 'kept', { qos: 1, retain: true });
      const peer = await bench.client();
      await peer.subscribe(topics.map((filter) => ({ filter })));
      const kept = await bench.received(peer, publisher);
      expectEqual(kept.map(({ topic }) => topic).sort(), topics.toSorted(), 'topics of retained messages');
      for (const topic of topics) await publisher.published(topic, 'live', { qos: 1 });
      const live = await bench.received(peer, publisher);
      expectEqual(
        live.map(({ topic }) => topic),
        topics,
        'topics of live messages',
      );
    },
  ),
  ...cases(
    ['MQTT-3.8.4-3', 'MQTT3-3.8.4-3'],
    'A SUBSCRIBE with the filter of an existing subscription replaces it',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const peer = await bench.subscriber(topic, 0);
      await peer.subscribed(topic, 2);
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 2 });
      expectEqual((await peer.receive()).qos, 2, 'QoS');
      await bench.silence(peer, publisher, 'one copy');
      await peer.subscribed(topic, 0);
      await publisher.published(topic, 'y', { qos: 2 });
      expectEqual((await peer.receive()).qos, 0, 'QoS');
      await bench.silence(peer, publisher, 'one copy');
    },
  ),
  ...cases(
    'MQTT-3.8.4-3 options',
    'A subscription is replaced with all its options and its identifier',
    async (bench) => {
      bench.needsIdentifiers();
      const topic = bench.retainedTopic();
      const peer = await bench.client();
      const asked = { filter: topic, qos: 1 } as const;
      await peer.subscribe([{ ...asked, noLocal: true, retainAsPublished: true }], 0, { subscriptionIdentifier: 5 });
      await peer.subscribe([asked], 0, { subscriptionIdentifier: 9 });
      await peer.published(topic, 'x', { qos: 1, retain: true });
      const message = await peer.receive('the message, No Local being off');
      expectEqual(message.retain, false, 'RETAIN, Retain As Published being off');
      expectEqual(message.properties?.subscriptionIdentifiers, [9], 'Subscription Identifiers');
      await peer.subscribe([{ ...asked, retainHandling: 2 }]);
      await peer.published(topic, 'y', { qos: 1 });
      expectEqual((await peer.receive()).properties?.subscriptionIdentifiers, undefined, 'Subscription Identifiers');
      await bench.silence(peer);
    },
  ),
  ...cases(
    ['MQTT-3.8.4-4', 'MQTT3-3.8.4-3 stream'],
    'Replacing a subscription sends retained messages again and loses none of the stream',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.retainedTopic();
      const publisher = await bench.client();
      await publisher.published(topic, 'kept', { qos: 1, retain: true });
      const peer = await bench.subscriber(topic, 1);
      const count = 60;
      for (let i = 0; i < count; i++) {
        publisher.sendPublish(topic, `${i}`, { qos: 1 });
        if (i % 20 !== 10) continue;
        peer.send(subscribePacket(peer.nextPacketId(), topic, 1));
        await peer.take(9, 'SUBACK');
      }
      for (let i = 0; i < count; i++) await publisher.take(4, 'PUBACK');
      const messages = await bench.received(peer, publisher);
      const kept = messages.filter(({ retain }) => retain);
      expectEqual(kept.map(textOf), ['kept', 'kept', 'kept', 'kept'], 'retained messages, one for each SUBSCRIBE');
      const live = messages.filter(({ retain }) => !retain).map(textOf);
      expectEqual(
        live,
        Array.from({ length: count }, (_, i) => `${i}`),
        'live messages',
      );
    },
  ),
  ...cases(
    ['MQTT-3.8.4-8', 'MQTT3-3.8.4-6'],
    'A message is delivered at the lower of its QoS and the granted one',
    async (bench) => {
      bench.needsQoS(2);
      const publisher = await bench.client();
      for (const granted of levels) {
        const topic = bench.topic();
        const peer = await bench.subscriber(topic, granted);
        for (const qos of levels) {
          await publisher.published(topic, `${qos}`, { qos });
          const message = await peer.receive();
          expectEqual([textOf(message), message.qos], [`${qos}`, Math.min(qos, granted)], 'payload and QoS');
        }
        await bench.silence(peer, publisher);
      }
    },
  ),
  ...cases(
    'MQTT-3.8.3-3',
    'No Local: not to the client that published, but to others, and from others',
    async (bench) => {
      const topic = bench.topic();
      const one = await bench.client();
      await one.subscribed(topic, 0, { noLocal: true });
      const two = await bench.client();
      await two.subscribed(topic, 0, { noLocal: true });
      one.sendPublish(topic, 'of one');
      two.sendPublish(topic, 'of two');
      expectEqual(textOf(await two.takePublish()), 'of one', 'message');
      expectEqual(textOf(await one.takePublish()), 'of two', 'message');
      await bench.silence(one, one);
      await bench.silence(two, two);
    },
  ),
  ...cases(['MQTT-3.8.3-4'], 'No Local on a shared subscription is refused', (bench) => {
    bench.needsShared();
    const filter = field(`$share/g/${bench.topic()}`);
    return bench.refuses({ 'options 04': frame(0x82, uint16(1), [0], filter, [0x04]) }, { isCode: orCode(0x8f) });
  }),
];

const overlapping: readonly Case[] = [
  ...cases(
    ['MQTT-3.3.4-2', 'MQTT3-3.3.5-1'],
    'Of overlapping subscriptions, one copy at least has the highest QoS',
    async (bench) => {
      bench.needsWildcards();
      bench.needsQoS(2);
      const root = bench.topic();
      for (const [low, high] of [
        [`${root}/+`, `${root}/#`],
        [`${root}/#`, `${root}/b`],
        [`${root}/b`, `${root}/+`],
      ] as const) {
        const peer = await bench.client();
        await peer.subscribed(low, 0);
        await peer.subscribed(high, 2);
        const publisher = await bench.client();
        await publisher.published(`${root}/b`, 'x', { qos: 2 });
        const copies = await bench.received(peer, publisher);
        expectEqual(Math.max(-1, ...copies.map(({ qos }) => qos)), 2, 'highest QoS among the copies');
        expectTrue(copies.length <= 2, 'one copy, or one a subscription', copies);
      }
    },
  ),
  ...cases(
    ['MQTT-3.3.4-3', 'MQTT-3.3.4-4', 'MQTT-3.3.4-5'],
    'Copies for overlapping subscriptions carry the identifiers: one all of them, or each its own',
    async (bench) => {
      bench.needsWildcards();
      bench.needsIdentifiers();
      const root = bench.topic();
      const peer = await bench.client();
      await peer.subscribe(`${root}/+`, 1, { subscriptionIdentifier: 1 });
      await peer.subscribe(`${root}/#`, 1, { subscriptionIdentifier: 268_435_455 });
      await peer.subscribe(`${root}/b`, 1);
      const publisher = await bench.client();
      await publisher.published(`${root}/b`, 'x', { qos: 1 });
      const copies = await bench.received(peer, publisher);
      const ids = copies.map((copy) => (copy.properties?.subscriptionIdentifiers ?? []).toSorted((a, b) => a - b));
      expectEqual(
        ids.flat().sort((a, b) => a - b),
        [1, 268_435_455],
        'identifiers over all copies',
      );
      if (copies.length === 3) for (const own of ids) expectTrue(own.length <= 1, 'each its own identifier', ids);
    },
  ),
  ...cases(
    '5.0/3.8.2.1.2 identifiers',
    'A Subscription Identifier comes with each message, retained ones included, at every length',
    async (bench) => {
      bench.needsIdentifiers();
      const peer = await bench.client();
      const publisher = await bench.client();
      for (const identifier of [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]) {
        const topic = bench.retainedTopic();
        await publisher.published(topic, 'kept', { qos: 1, retain: true });
        await peer.subscribe(topic, 0, { subscriptionIdentifier: identifier });
        const kept = await peer.takePublish('the retained message');
        expectEqual(kept.properties?.subscriptionIdentifiers, [identifier], 'Subscription Identifiers');
        await publisher.published(topic, 'live', { qos: 1 });
        expectEqual(
          (await peer.takePublish()).properties?.subscriptionIdentifiers,
          [identifier],
          'Subscription Identifiers',
        );
      }
    },
  ),
];

const unsubscribe: readonly Case[] = [
  ...cases(['MQTT-3.10.3-2', 'MQTT3-3.10.3-2'], 'UNSUBSCRIBE without a filter is refused', (bench) =>
    bench.refuses({ 'no filter': frame(0xa2, uint16(1), none(bench.version)) }, { isCode: orCode() }),
  ),
  ...cases(['MQTT-3.10.4-1', 'MQTT3-3.10.4-1'], 'UNSUBSCRIBE removes exactly the filter it names', async (bench) => {
    bench.needsWildcards();
    const root = bench.topic();
    const peer = await bench.subscriber(`${root}/+`, 0);
    const publisher = await bench.client();
    for (const filter of [`${root}/b`, `${root}/#`, '#', '+/+/+', root]) {
      const codes = await peer.unsubscribe(filter);
      if (bench.version === 5) expectEqual(codes, [0x11], `UNSUBACK for ${filter}`);
      publisher.sendPublish(`${root}/b`, filter);
      expectEqual(textOf(await peer.takePublish(`delivery after unsubscribing ${filter}`)), filter, 'payload');
    }
    await peer.unsubscribe(`${root}/+`);
    publisher.sendPublish(`${root}/b`, 'x');
    await bench.silence(peer, publisher);
  }),
  ...cases(
    ['MQTT-3.10.4-2', 'MQTT-3.10.4-4', 'MQTT3-3.10.4-2', 'MQTT3-3.10.4-4'],
    'After UNSUBACK nothing more is delivered, nor queued',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const peer = await bench.subscriber(topic, 1, { clientId, durable: true });
      const publisher = await bench.client();
      await publisher.published(topic, 'before', { qos: 1 });
      await peer.receive();
      await peer.unsubscribe(topic);
      await publisher.published(topic, 'after', { qos: 1 });
      await bench.silence(peer, publisher);
      await peer.disconnect();
      await publisher.published(topic, 'offline', { qos: 1 });
      const again = await bench.client({ clientId, durable: true });
      await bench.silence(again, publisher);
    },
  ),
  ...cases(
    ['MQTT-3.10.4-3', 'MQTT3-3.10.4-3'],
    'Deliveries that have begun are completed after UNSUBSCRIBE',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const peer = await bench.subscriber(topic, 2, { clientId, durable: true });
      const publisher = await bench.client();
      await publisher.published(topic, 'one', { qos: 1 });
      await publisher.published(topic, 'two', { qos: 2 });
      const one = await peer.takePublish();
      const two = await peer.takePublish();
      await peer.unsubscribe(topic);
      peer.ack(5, two.packetId);
      await peer.takeAck(6, two.packetId);
      await peer.drop();
      const again = await bench.client({ clientId, durable: true });
      const repeated = await again.receive('the QoS 1 message again');
      expectEqual([textOf(repeated), repeated.packetId], ['one', one.packetId], 'payload and identifier');
      await again.takeAck(6, two.packetId);
      again.ack(7, two.packetId);
      await bench.silence(again, publisher);
    },
  ),
  ...cases(
    ['MQTT-3.10.4-5', 'MQTT3-3.10.4-5'],
    'UNSUBSCRIBE of what was never subscribed is answered',
    async (bench) => {
      const peer = await bench.client();
      const codes = await peer.unsubscribe(bench.topic());
      if (bench.version === 5) expectEqual(codes, [0x11], 'UNSUBACK');
      await bench.silence(peer);
    },
  ),
  ...cases(
    ['MQTT-3.10.4-6', 'MQTT-3.11.3-1', 'MQTT-3.11.3-2', 'MQTT3-3.10.4-6'],
    'Several filters in one UNSUBSCRIBE work like one each; UNSUBACK has their codes in order',
    async (bench) => {
      const topics = [bench.topic(), bench.topic(), bench.topic(), bench.topic()];
      const peer = await bench.client();
      for (const topic of topics) await peer.subscribed(topic, 0);
      const codes = await peer.unsubscribe(
        topics[0] as string,
        bench.topic(),
        topics[2] as string,
        topics[3] as string,
      );
      if (bench.version === 5) expectEqual(codes, [0, 0x11, 0, 0], 'UNSUBACK');
      const publisher = await bench.client();
      for (const topic of topics) publisher.sendPublish(topic, 'x');
      expectEqual((await peer.takePublish()).topic, topics[1], 'topic of what is still subscribed');
      await bench.silence(peer, publisher);
    },
  ),
];

/** The first packet says that a filter was refused. */
export function refusedFilter(packet: Packet): boolean {
  return (packet.type === 9 || packet.type === 11) && packet.reasonCodes.every((code) => code >= 0x80);
}

const errors: readonly Case[] = [
  ...cases('5.0/3.8.3.1 qos-3', 'Requested QoS 3 is refused', (bench) =>
    bench.refuses({ 'options 03': frame(0x82, uint16(1), [0], field(bench.topic()), [3]) }, { isCode: orCode(0x9b) }),
  ),
  ...cases('5.0/3.8.3.1 retain-handling-3', 'Retain Handling 3 is refused', (bench) =>
    bench.refuses({ 'options 30': frame(0x82, uint16(1), [0], field(bench.topic()), [0x30]) }, { isCode: orCode() }),
  ),
  ...cases('5.0/3.8.2.1.2 identifier-0', 'Subscription Identifier 0 is refused', (bench) =>
    bench.refuses(
      { 'identifier 0': frame(0x82, uint16(1), hex('02 0B 00'), field(bench.topic()), [0]) },
      { isCode: orCode() },
    ),
  ),
  ...cases('5.0/3.8.2.1.2 identifier-twice', 'A second Subscription Identifier is refused', (bench) => {
    const list = [...vbi(4), ...hex('0B 01 0B 02')];
    return bench.refuses(
      { 'two identifiers': frame(0x82, uint16(1), list, field(bench.topic()), [0]) },
      { isCode: orCode() },
    );
  }),
];

export const subscribeCases: readonly Case[] = [...subscribe, ...overlapping, ...unsubscribe, ...errors];
