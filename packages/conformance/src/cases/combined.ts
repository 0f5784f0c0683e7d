/** Rules that meet: what was learnt on one connection and is used on the next, limits that change, versions that mix. */
import { type Case, cases } from '../case.ts';
import { expectEqual, expectTrue } from '../outcome.ts';
import { type Peer, textOf } from '../peer.ts';

/** Payloads of what `peer` is sent until it has been answered a ping, nothing being acknowledged. */
async function sentSoFar(peer: Peer): Promise<string[]> {
  await peer.ping();
  return peer.untaken.flatMap((packet) => (packet.type === 3 ? [textOf(packet)] : []));
}

export const combinedCases: readonly Case[] = [
  ...cases(
    '5.0/3.3.2.3.4 resent-topic',
    'What is sent again on a new connection has its topic, whatever alias stood for it before',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const options = { clientId, durable: true, properties: { topicAliasMaximum: 5 } };
      const one = await bench.subscriber(topic, 1, options);
      const publisher = await bench.client();
      for (const text of ['a', 'b', 'c']) await publisher.published(topic, text, { qos: 1 });
      for (let i = 0; i < 3; i++) await one.takePublish();
      await one.drop();
      const two = await bench.client({ clientId, durable: true });
      for (const text of ['a', 'b', 'c']) {
        const message = await two.receive('the message again');
        expectEqual(
          [message.topic, textOf(message), message.properties?.topicAlias],
          [topic, text, undefined],
          'topic, payload, alias',
        );
      }
    },
  ),
  ...cases(
    'MQTT-3.3.2-7 sent',
    'Aliases towards a client end with its connection: on the next each topic comes before its alias',
    async (bench) => {
      bench.needsQoS(1);
      const topics = [bench.topic(), bench.topic()];
      const clientId = bench.clientId();
      const options = { clientId, durable: true, properties: { topicAliasMaximum: 5 } };
      const publisher = await bench.client();
      for (let connection = 0; connection < 3; connection++) {
        const peer = await bench.client(options);
        if (connection === 0) for (const topic of topics) await peer.subscribed(topic, 1);
        const known = new Map<number, string>();
        for (const topic of [...topics, ...topics]) {
          await publisher.published(topic, topic, { qos: 1 });
          const message = await peer.receive();
          const alias = message.properties?.topicAlias;
          const meant = message.topic === '' ? known.get(alias ?? 0) : message.topic;
          expectEqual(meant, topic, `topic on connection ${connection + 1}`);
          if (alias !== undefined && message.topic !== '') known.set(alias, message.topic);
        }
        await peer.ping();
        await peer.drop();
      }
    },
  ),
  ...cases(
    '5.0/3.1.2.11.4 resumed-smaller',
    'A session resumed with a smaller Maximum Packet Size is sent nothing larger',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const one = await bench.subscriber(topic, 1, { clientId, durable: true });
      const publisher = await bench.client();
      await publisher.published(topic, 'in flight '.repeat(30), { qos: 1 });
      await one.takePublish();
      await one.drop();
      await publisher.published(topic, 'queued '.repeat(30), { qos: 1 });
      await publisher.published(topic, 'small', { qos: 1 });
      const two = await bench.client({ clientId, durable: true, properties: { maximumPacketSize: 100 } });
      expectEqual(textOf(await two.receive('the small message')), 'small', 'message');
      await bench.silence(two, publisher);
    },
  ),
  ...cases(
    '5.0/4.9 resumed-lower',
    'A session resumed with a lower Receive Maximum has no more open than that',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const one = await bench.subscriber(topic, 1, { clientId, durable: true });
      const publisher = await bench.client();
      for (let i = 0; i < 4; i++) await publisher.published(topic, `${i}`, { qos: 1 });
      for (let i = 0; i < 4; i++) await one.takePublish();
      await one.drop();
      const two = await bench.client({ clientId, durable: true, properties: { receiveMaximum: 1 } });
      for (let i = 0; i < 4; i++) {
        const message = await two.takePublish();
        expectEqual(textOf(message), `${i}`, 'message');
        expectEqual(await sentSoFar(two), [], 'more messages');
        await two.acknowledge(message);
      }
      await bench.silence(two, publisher);
    },
  ),
  ...cases('5.0/4.9 retained', 'Retained messages keep to the Receive Maximum', async (bench) => {
    bench.needsWildcards();
    bench.needsQoS(1);
    bench.needsRetain();
    const root = bench.topic();
    const publisher = await bench.client();
    for (let i = 0; i < 5; i++)
      await publisher.published(bench.willBeRetained(`${root}/${i}`), `${i}`, { qos: 1, retain: true });
    const peer = await bench.client({ properties: { receiveMaximum: 2 } });
    await peer.subscribed(`${root}/+`, 1);
    const seen: string[] = [];
    for (let i = 0; i < 5; i++) {
      const message = await peer.takePublish('a retained message');
      seen.push(textOf(message));
      expectTrue((await sentSoFar(peer)).length <= 1, 'two open at most', peer.untaken);
      await peer.acknowledge(message);
    }
    expectEqual(seen.sort(), ['0', '1', '2', '3', '4'], 'retained messages');
    await bench.silence(peer, publisher);
  }),
  ...cases(
    '5.0/4.1 identifiers',
    'Subscription Identifiers are part of the session: messages queued for it carry them',
    async (bench) => {
      bench.needsIdentifiers();
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const one = await bench.client({ clientId, durable: true });
      await one.subscribe(topic, 1, { subscriptionIdentifier: 77 });
      await one.disconnect();
      const publisher = await bench.client();
      await publisher.published(topic, 'queued', { qos: 1 });
      const two = await bench.client({ clientId, durable: true });
      expectEqual((await two.receive()).properties?.subscriptionIdentifiers, [77], 'Subscription Identifiers');
      await publisher.published(topic, 'live', { qos: 1 });
      expectEqual((await two.receive()).properties?.subscriptionIdentifiers, [77], 'Subscription Identifiers');
    },
  ),
  ...cases(
    ['MQTT-3.8.4-6 twice', 'MQTT3-3.8.4-5 twice'],
    'The same filter twice in one SUBSCRIBE: two codes, the last options hold, one copy',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const peer = await bench.client();
      const codes = await peer.subscribe([
        { filter: topic, qos: 0 },
        { filter: topic, qos: 1 },
      ]);
      expectEqual(codes, [0, 1], 'SUBACK');
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 1 });
      expectEqual((await peer.receive()).qos, 1, 'QoS');
      await bench.silence(peer, publisher, 'one copy');
    },
  ),
  ...cases(
    ['5.0/4.3 large', '3.1.1/4.3 large'],
    'Messages of 100 kB arrive whole at every QoS, also when they have waited',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const payload = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 31) % 251);
      const live = await bench.subscriber(topic, 2);
      const owner = await bench.subscriber(topic, 2, { clientId, durable: true });
      await owner.disconnect();
      const publisher = await bench.client();
      for (const qos of [0, 1, 2] as const) await publisher.published(topic, payload, { qos });
      const isWhole = (seen: Uint8Array): boolean =>
        seen.length === payload.length && seen.every((byte, i) => byte === payload[i]);
      for (const qos of [0, 1, 2]) {
        const message = await live.receive();
        expectEqual([message.qos, isWhole(message.payload)], [qos, true], 'QoS, and whether it is whole');
      }
      const again = await bench.client({ clientId, durable: true });
      const waited = (await bench.received(again, publisher)).filter(({ qos }) => qos > 0);
      expectEqual(
        waited.map((message) => [message.qos, isWhole(message.payload)]),
        [
          [1, true],
          [2, true],
        ],
        'QoS, and whether it is whole',
      );
    },
  ),
  ...cases(
    '5.0/3.1.2.4 other-version',
    'A session goes on when its client comes back with another version',
    async (bench) => {
      bench.needsVersion(4);
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const one = await bench.subscriber(topic, 1, { clientId, durable: true, version: 4 });
      await one.disconnect();
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 1, properties: { contentType: 'text/plain' } });
      const two = await bench.client({ clientId, durable: true });
      expectEqual(two.connack?.sessionPresent, true, 'Session Present');
      const message = await two.receive();
      expectEqual([textOf(message), message.properties?.contentType], ['x', 'text/plain'], 'payload and Content Type');
    },
  ),
  ...cases(
    ['5.0/3.3.1 empty', '3.1.1/3.3.1 empty'],
    'An empty message without RETAIN is delivered like any other',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const peer = await bench.subscriber(topic, 2);
      const publisher = await bench.client();
      for (const qos of [0, 1, 2] as const) {
        await publisher.published(topic, '', { qos });
        const message = await peer.receive();
        expectEqual(
          [message.payload.length, message.qos, message.retain],
          [0, qos, false],
          'payload bytes, QoS, RETAIN',
        );
      }
      await bench.silence(peer, publisher);
    },
  ),
];
