/** Retained messages: section 3.3.1.3, and what a subscription gets of them. */
import { type Case, cases } from '../case.ts';
import { expectEqual } from '../outcome.ts';
import { textOf } from '../peer.ts';

export const retainCases: readonly Case[] = [
  ...cases(
    ['MQTT-3.3.1-5', 'MQTT3-3.3.1-5', 'MQTT3-3.3.1-8'],
    'A retained message replaces the one before, with its QoS, and comes with RETAIN 1',
    async (bench) => {
      bench.needsQoS(2);
      const publisher = await bench.client();
      for (const qos of [0, 1, 2] as const) {
        const topic = bench.retainedTopic();
        await publisher.published(topic, 'old', { qos: 1, retain: true });
        await publisher.published(topic, 'new', { qos, retain: true });
        await publisher.ping();
        const reader = await bench.subscriber(topic, 2);
        const message = await reader.receive('the retained message');
        expectEqual([textOf(message), message.qos, message.retain], ['new', qos, true], 'payload, QoS, RETAIN');
        await bench.silence(reader, publisher);
      }
    },
  ),
  ...cases('MQTT-3.3.1-5 properties', 'A retained message keeps its properties', async (bench) => {
    const topic = bench.retainedTopic();
    const properties = {
      payloadFormatIndicator: 1,
      contentType: 'text/plain',
      responseTopic: 'r',
      correlationData: Uint8Array.of(0, 1),
      userProperties: [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
      ] as [string, string][],
    } as const;
    const publisher = await bench.client();
    await publisher.published(topic, 'x', {
      retain: true,
      properties: { ...properties, userProperties: [...properties.userProperties] },
    });
    await publisher.ping();
    const reader = await bench.subscriber(topic, 0);
    const { properties: seen = {} } = await reader.takePublish('the retained message');
    for (const name of Object.keys(properties) as (keyof typeof properties)[]) {
      expectEqual(seen[name], properties[name], name);
    }
  }),
  ...cases(
    ['MQTT3-3.3.1-6', '5.0/3.3.1.3 wildcard'],
    'A new subscription gets the last retained message of every matching topic',
    async (bench) => {
      bench.needsWildcards();
      const root = bench.topic();
      const publisher = await bench.client();
      const topics = ['a', 'a/b', 'a/b/c', 'd'].map((end) => bench.willBeRetained(`${root}/${end}`));
      bench.needsRetain();
      for (const topic of topics) await publisher.published(topic, topic, { retain: true });
      await publisher.ping();
      const reader = await bench.client();
      const matches = async (filter: string): Promise<string[]> => {
        await reader.subscribed(filter, 0);
        const messages = await bench.received(reader, publisher);
        for (const message of messages)
          expectEqual([textOf(message), message.retain], [message.topic, true], 'payload, RETAIN');
        return messages.map(({ topic }) => topic.slice(root.length + 1)).sort();
      };
      expectEqual(await matches(`${root}/#`), ['a', 'a/b', 'a/b/c', 'd'], 'topics of #');
      expectEqual(await matches(`${root}/+`), ['a', 'd'], 'topics of +');
      expectEqual(await matches(`${root}/a/#`), ['a', 'a/b', 'a/b/c'], 'topics of a/#');
      expectEqual(await matches(`${root}/+/b`), ['a/b'], 'topics of +/b');
      expectEqual(await matches(`${root}/b`), [], 'topics of b');
    },
  ),
  ...cases('MQTT3-3.3.1-7', 'A retained message of QoS 0 takes the place of one of QoS 1', async (bench) => {
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, 'A', { qos: 1, retain: true });
    await publisher.published(topic, 'B', { qos: 0, retain: true });
    await publisher.ping();
    const reader = await bench.subscriber(topic, 1);
    const texts = (await bench.received(reader, publisher)).map(textOf);
    if (texts.length > 0) expectEqual(texts, ['B'], 'retained messages');
  }),
  ...cases(
    ['MQTT-3.3.1-6', 'MQTT3-3.3.1-10'],
    'An empty retained message is delivered to who is there, and clears the topic',
    async (bench) => {
      const topic = bench.retainedTopic();
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 1, retain: true });
      const live = await bench.subscriber(topic, 0);
      await live.takePublish('the retained message');
      await publisher.published(topic, '', { qos: 1, retain: true });
      const empty = await live.takePublish('the empty message');
      expectEqual([empty.payload.length, empty.retain], [0, false], 'payload length, RETAIN');
      await bench.silence(live, publisher);
      const late = await bench.subscriber(topic, 0);
      await bench.silence(late, publisher, 'nothing retained');
    },
  ),
  ...cases(['MQTT-3.3.1-7', 'MQTT3-3.3.1-11'], 'An empty message is never retained', async (bench) => {
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, '', { qos: 1, retain: true });
    const late = await bench.subscriber(topic, 1);
    await bench.silence(late, publisher, 'nothing retained');
  }),
  ...cases(
    ['MQTT-3.3.1-8', 'MQTT3-3.3.1-12'],
    'A message with RETAIN 0 neither is retained nor touches what is, empty or not',
    async (bench) => {
      const topic = bench.retainedTopic();
      const never = bench.retainedTopic();
      const publisher = await bench.client();
      await publisher.published(topic, 'A', { qos: 1, retain: true });
      await publisher.published(topic, 'B', { qos: 1 });
      await publisher.published(topic, '', { qos: 1 });
      await publisher.published(never, 'C', { qos: 1 });
      const reader = await bench.subscriber(topic, 0);
      expectEqual(textOf(await reader.takePublish('the retained message')), 'A', 'payload');
      await reader.subscribed(never, 0);
      await bench.silence(reader, publisher);
    },
  ),
  ...cases('MQTT-3.3.1-9', 'Retain Handling 0: retained messages at every SUBSCRIBE', async (bench) => {
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1, retain: true });
    const reader = await bench.client();
    for (let i = 0; i < 3; i++) {
      await reader.subscribed(topic, 0, { retainHandling: 0 });
      expectEqual((await reader.takePublish('the retained message')).retain, true, 'RETAIN');
    }
    await bench.silence(reader, publisher);
  }),
  ...cases('MQTT-3.3.1-10', 'Retain Handling 1: retained messages for a new subscription only', async (bench) => {
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1, retain: true });
    const clientId = bench.clientId();
    const reader = await bench.client({ clientId, durable: true });
    await reader.subscribed(topic, 0, { retainHandling: 1 });
    await reader.takePublish('the retained message of the new subscription');
    await reader.subscribed(topic, 1, { retainHandling: 1 });
    await bench.silence(reader, publisher, 'nothing for a subscription that exists');
    await reader.unsubscribe(topic);
    await reader.subscribed(topic, 0, { retainHandling: 1 });
    await reader.takePublish('the retained message of the subscription that is new again');
    await reader.disconnect();
    const again = await bench.client({ clientId, durable: true });
    await again.subscribed(topic, 0, { retainHandling: 1 });
    await bench.silence(again, publisher, 'nothing for a subscription that the session has');
  }),
  ...cases('MQTT-3.3.1-11', 'Retain Handling 2: no retained messages', async (bench) => {
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1, retain: true });
    const reader = await bench.subscriber(topic, 0);
    await reader.takePublish('the retained message, which is there');
    const other = await bench.client();
    await other.subscribed(topic, 0, { retainHandling: 2 });
    await bench.silence(other, publisher, 'nothing retained');
    await publisher.published(topic, 'live', { qos: 1 });
    expectEqual(textOf(await other.takePublish()), 'live', 'payload');
  }),
  ...cases(
    ['MQTT-3.3.1-12', 'MQTT3-3.3.1-9'],
    'Without Retain As Published a forwarded message has RETAIN 0',
    async (bench) => {
      const topic = bench.retainedTopic();
      const live = await bench.subscriber(topic, 1);
      const publisher = await bench.client();
      for (const retain of [true, false]) {
        await publisher.published(topic, 'x', { qos: 1, retain });
        expectEqual((await live.receive()).retain, false, `RETAIN of a message published with ${retain ? 1 : 0}`);
      }
      await bench.silence(live, publisher);
    },
  ),
  ...cases(
    'MQTT-3.3.1-13',
    'With Retain As Published a forwarded message has the RETAIN it was published with',
    async (bench) => {
      const topic = bench.retainedTopic();
      const live = await bench.client();
      await live.subscribed(topic, 1, { retainAsPublished: true });
      const publisher = await bench.client();
      for (const retain of [true, false, true]) {
        await publisher.published(topic, 'x', { qos: 1, retain });
        expectEqual((await live.receive()).retain, retain, 'RETAIN');
      }
      await bench.silence(live, publisher);
    },
  ),
  ...cases(
    '5.0/3.3.1.3 granted-qos',
    'A retained message comes at the lower of its QoS and the granted one',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.retainedTopic();
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 2, retain: true });
      for (const qos of [0, 1, 2] as const) {
        const reader = await bench.subscriber(topic, qos);
        expectEqual((await reader.receive('the retained message')).qos, qos, 'QoS');
      }
    },
  ),
  ...cases('5.0/4.8.2 no-retained', 'A shared subscription gets no retained messages', async (bench) => {
    bench.needsShared();
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1, retain: true });
    const reader = await bench.subscriber(`$share/${bench.clientId()}/${topic}`, 1);
    await bench.silence(reader, publisher, 'nothing retained');
  }),
];
