/** PUBLISH as it passes through: flags, topic, properties, aliases, expiry. Sections 3.3.1 to 3.3.4. */
import type { PublishProperties } from '@pipit/protocol';
import { type Bench, orCode } from '../bench.ts';
import { type Bytes, field, frame, properties, uint16 } from '../bytes.ts';
import { type Case, cases, slowCases } from '../case.ts';
import { expectEqual, expectTrue, NotApplicable } from '../outcome.ts';
import { type Peer, textOf } from '../peer.ts';

const none = (version: number): number[] => (version === 5 ? [0] : []);

/** What a subscriber gets of a message with these properties. */
async function forwarded(bench: Bench, list: PublishProperties): Promise<PublishProperties> {
  const topic = bench.topic();
  const subscriber = await bench.subscriber(topic, 0);
  const publisher = await bench.client();
  publisher.sendPublish(topic, 'text', { properties: list });
  const { properties: seen = {} } = await subscriber.takePublish();
  await bench.silence(subscriber, publisher);
  return seen;
}

/** Sends illegal PUBLISHes to a topic that is watched: cut off, or refused by an acknowledgement, and never delivered. */
async function neverDelivered(
  bench: Bench,
  filter: string,
  inputs: Readonly<Record<string, Bytes>>,
  isCode: (code: number) => boolean,
): Promise<void> {
  const watcher = await bench.subscriber(filter, 0);
  await bench.refuses(inputs, {
    isCode,
    isAnswer: (packet) => bench.version === 5 && (packet.type === 4 || packet.type === 5) && packet.reasonCode >= 0x80,
  });
  await bench.silence(watcher, undefined, 'nothing delivered');
}

const flags: readonly Case[] = [
  ...cases(
    ['MQTT-3.3.1-2', 'MQTT-4.3.1-1', 'MQTT3-3.3.1-2', 'MQTT3-4.3.1-1'],
    'A QoS 0 delivery has DUP 0 and QoS 0',
    async (bench) => {
      const topic = bench.topic();
      const subscriber = await bench.client();
      await subscriber.subscribe(topic, 2);
      const publisher = await bench.client();
      publisher.sendPublish(topic, 'x');
      const { bytes } = await subscriber.takeFirst('PUBLISH');
      expectEqual(bytes[0], 0x30, 'first byte');
      await bench.silence(subscriber, publisher);
    },
  ),
  ...cases(['MQTT-3.3.1-3', 'MQTT3-3.3.1-3'], 'DUP of an incoming PUBLISH is not passed on', async (bench) => {
    bench.needsQoS(2);
    const topic = bench.topic();
    const subscriber = await bench.subscriber(topic, 2);
    const publisher = await bench.client();
    for (const qos of [1, 2] as const) {
      await publisher.published(topic, 'x', { qos, dup: true });
      expectEqual((await subscriber.receive()).dup, false, `DUP at QoS ${qos}`);
    }
    await bench.silence(subscriber, publisher);
  }),
  ...cases(
    ['MQTT-4.3.2-2', 'MQTT-4.3.3-2', 'MQTT3-4.3.2-1 first', 'MQTT3-4.3.3-1 first'],
    'The first delivery has its QoS and DUP 0',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const subscriber = await bench.subscriber(topic, 2);
      const publisher = await bench.client();
      for (const qos of [1, 2] as const) {
        await publisher.published(topic, 'x', { qos });
        const { bytes } = await subscriber.takeFirst('PUBLISH');
        expectEqual(bytes[0], 0x30 | (qos << 1), 'first byte');
      }
    },
  ),
  ...cases(['MQTT-3.3.1-4', 'MQTT3-3.3.1-4'], 'A PUBLISH of QoS 3 is refused', async (bench) => {
    const topic = bench.topic();
    const body = [...field(topic), ...uint16(1), ...none(bench.version), 1];
    const inputs = { 'header 36': frame(0x36, body), 'header 3E': frame(0x3e, body) };
    await neverDelivered(bench, topic, inputs, orCode(0x9b));
  }),
  ...cases(
    ['MQTT-3.3.2-2', 'MQTT-4.7.0-1', 'MQTT3-3.3.2-2', 'MQTT3-4.7.1-1'],
    'A topic name has no wildcards',
    async (bench) => {
      bench.needsWildcards();
      const root = bench.topic();
      const inputs: Record<string, Bytes> = {};
      for (const topic of [`${root}/+`, `${root}/#`, `${root}/a+`, `${root}/#/b`]) {
        inputs[`${topic} at QoS 0`] = frame(0x30, field(topic), none(bench.version), [1]);
        inputs[`${topic} at QoS 1`] = frame(0x32, field(topic), uint16(1), none(bench.version), [1]);
      }
      await neverDelivered(bench, `${root}/#`, inputs, orCode(0x90));
    },
  ),
  ...cases(['MQTT-4.7.3-1', 'MQTT3-4.7.3-1'], 'A topic name has at least one character', async (bench) => {
    const inputs = {
      'at QoS 0': frame(0x30, field(''), none(bench.version), [1]),
      'at QoS 1': frame(0x32, field(''), uint16(1), none(bench.version), [1]),
    };
    const isAnswer = (packet: { type: number; reasonCode?: number }): boolean =>
      bench.version === 5 && packet.type === 4 && (packet.reasonCode ?? 0) >= 0x80;
    await bench.refuses(inputs, { isCode: orCode(0x90), isAnswer });
  }),
];

const passedOn: readonly Case[] = [
  ...cases('MQTT-3.3.2-4', 'The Payload Format Indicator arrives unchanged', async (bench) => {
    for (const value of [0, 1] as const) {
      const seen = await forwarded(bench, { payloadFormatIndicator: value });
      // Absent is 0.
      expectEqual(seen.payloadFormatIndicator ?? 0, value, 'Payload Format Indicator');
    }
    expectEqual((await forwarded(bench, {})).payloadFormatIndicator ?? 0, 0, 'Payload Format Indicator');
  }),
  ...cases('MQTT-3.3.2-15', 'The Response Topic arrives unchanged', async (bench) => {
    for (const responseTopic of ['r', `${bench.topic()}/ä/\uFEFF`, '/']) {
      expectEqual((await forwarded(bench, { responseTopic })).responseTopic, responseTopic, 'Response Topic');
    }
  }),
  ...cases('MQTT-3.3.2-16', 'The Correlation Data arrive unchanged', async (bench) => {
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    for (const correlationData of [
      Uint8Array.of(0),
      Uint8Array.of(0xff, 0xfe),
      every,
      new Uint8Array(65_535).fill(7),
    ]) {
      const { correlationData: seen = new Uint8Array(0) } = await forwarded(bench, { correlationData });
      expectTrue(seen.length === correlationData.length, `${correlationData.length} bytes of Correlation Data`, seen);
      expectTrue(
        seen.every((byte, i) => byte === correlationData[i]),
        'the same Correlation Data',
        seen,
      );
    }
    const empty = await forwarded(bench, { correlationData: new Uint8Array(0) });
    expectEqual(empty.correlationData, new Uint8Array(0), 'empty Correlation Data');
  }),
  ...cases(
    ['MQTT-3.3.2-17', 'MQTT-3.3.2-18'],
    'All User Properties arrive, unchanged and in their order',
    async (bench) => {
      const userProperties: [string, string][] = [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
        ['', ''],
        ['b', '1'],
        ['\uFEFFä', '\u{1F600}'],
      ];
      expectEqual((await forwarded(bench, { userProperties })).userProperties, userProperties, 'User Properties');
    },
  ),
  ...cases('MQTT-3.3.2-20', 'The Content Type arrives unchanged', async (bench) => {
    for (const contentType of ['application/json', 'ä', '']) {
      expectEqual((await forwarded(bench, { contentType })).contentType, contentType, 'Content Type');
    }
  }),
  ...cases(
    '5.0/3.3.2.3 to-3.1.1',
    'A 3.1.1 subscriber gets topic and payload of a 5.0 message, and no properties',
    async (bench) => {
      bench.needsVersion(4);
      const topic = bench.topic();
      const subscriber = await bench.subscriber(topic, 1, { version: 4 });
      const publisher = await bench.client();
      const list = { contentType: 'x', userProperties: [['a', 'b']] as [string, string][], messageExpiryInterval: 60 };
      await publisher.published(topic, 'payload', { qos: 1, properties: list });
      const message = await subscriber.receive();
      expectEqual([message.topic, textOf(message)], [topic, 'payload'], 'topic and payload');
    },
  ),
  ...cases('5.0/3.3.2.3 from-3.1.1', 'A 5.0 subscriber gets a 3.1.1 message', async (bench) => {
    bench.needsVersion(4);
    bench.needsQoS(2);
    const topic = bench.topic();
    const subscriber = await bench.subscriber(topic, 2);
    const publisher = await bench.client({ version: 4 });
    for (const qos of [0, 1, 2] as const) {
      await publisher.published(topic, 'payload', { qos });
      const message = await subscriber.receive();
      expectEqual([textOf(message), message.properties ?? {}], ['payload', {}], 'payload and properties');
    }
  }),
  ...cases('MQTT-3.3.2-14', 'A Response Topic has no wildcards', async (bench) => {
    const topic = bench.topic();
    const withResponse = (response: string): Uint8Array =>
      frame(0x32, field(topic), uint16(1), properties([0x08], field(response)), [1]);
    const inputs = { 'a/#': withResponse('a/#'), 'a/+': withResponse('a/+'), '#': withResponse('#') };
    await neverDelivered(bench, topic, inputs, orCode(0x90));
  }),
];

/** The broker's Topic Alias Maximum, 1 at least. */
function aliasMaximum(bench: Bench): number {
  const maximum = bench.connack.topicAliasMaximum ?? 0;
  if (maximum === 0) throw new NotApplicable('CONNACK says no Topic Alias Maximum, or 0');
  return maximum;
}

const aliases: readonly Case[] = [
  ...cases('MQTT-3.3.2-12', 'Every alias up to the announced maximum is accepted', async (bench) => {
    const count = Math.min(aliasMaximum(bench), 100);
    const topics = Array.from({ length: count }, () => bench.topic());
    const subscriber = await bench.client();
    for (const topic of topics) await subscriber.subscribed(topic, 0);
    const publisher = await bench.client();
    topics.forEach((topic, i) => {
      publisher.sendPublish(topic, 'set', { properties: { topicAlias: i + 1 } });
    });
    topics.forEach((_, i) => {
      publisher.sendPublish('', 'used', { properties: { topicAlias: i + 1 } });
    });
    const messages = await bench.received(subscriber, publisher);
    expectEqual(
      messages.map(({ topic }) => topic),
      [...topics, ...topics],
      'topics',
    );
  }),
  ...cases('5.0/3.3.2.3.4 alias-reset', 'An alias can be given another topic', async (bench) => {
    aliasMaximum(bench);
    const [one, two] = [bench.topic(), bench.topic()];
    const subscriber = await bench.client();
    for (const topic of [one, two]) await subscriber.subscribed(topic, 0);
    const publisher = await bench.client();
    const topicAlias = 1;
    for (const topic of [one, '', two, '']) publisher.sendPublish(topic, 'x', { properties: { topicAlias } });
    const messages = await bench.received(subscriber, publisher);
    expectEqual(
      messages.map(({ topic }) => topic),
      [one, one, two, two],
      'topics',
    );
  }),
  ...cases('MQTT-3.3.2-7', 'Aliases end with their connection, even when the session goes on', async (bench) => {
    aliasMaximum(bench);
    const topic = bench.topic();
    const watcher = await bench.subscriber(topic, 0);
    const clientId = bench.clientId();
    const one = await bench.client({ clientId, durable: true });
    one.sendPublish(topic, 'x', { properties: { topicAlias: 1 } });
    await watcher.takePublish();
    await one.disconnect();
    const two = await bench.client({ clientId, durable: true });
    two.sendPublish('', 'y', { properties: { topicAlias: 1 } });
    await bench.refused(two, 'an alias of an earlier connection', { isCode: orCode(0x94) });
    await bench.silence(watcher);
  }),
  ...cases(['MQTT-3.3.2-8', 'MQTT-3.3.2-8 zero'], 'Alias 0 is refused', async (bench) => {
    const topic = bench.topic();
    const zero = frame(0x30, field(topic), properties([0x23], uint16(0)), [1]);
    await neverDelivered(bench, topic, { 'alias 0': zero }, orCode(0x94));
  }),
  ...cases('5.0/3.3.4 alias-above-maximum', 'An alias above the announced maximum is refused', async (bench) => {
    const maximum = bench.connack.topicAliasMaximum ?? 0;
    if (maximum === 65_535) throw new NotApplicable('every alias is allowed');
    const topic = bench.topic();
    const above = frame(0x30, field(topic), properties([0x23], uint16(maximum + 1)), [1]);
    await neverDelivered(bench, topic, { 'alias maximum + 1': above }, orCode(0x94));
  }),
  ...cases('5.0/3.3.4 alias-unknown', 'An empty topic with an alias that was never set is refused', async (bench) => {
    aliasMaximum(bench);
    await bench.refuses(
      { 'alias 1': frame(0x30, field(''), properties([0x23], uint16(1)), [1]) },
      { isCode: orCode(0x90, 0x94) },
    );
  }),
  ...cases(['MQTT-3.1.2-27'], 'A client that allows no aliases gets none', async (bench) => {
    const topic = bench.topic();
    const quiet = await bench.subscriber(topic, 0);
    const zero = await bench.subscriber(topic, 0, { properties: { topicAliasMaximum: 0 } });
    const publisher = await bench.client();
    const canAlias = (bench.connack.topicAliasMaximum ?? 0) > 0;
    for (let i = 0; i < 3; i++) {
      publisher.sendPublish(i > 0 && canAlias ? '' : topic, 'x', canAlias ? { properties: { topicAlias: 1 } } : {});
    }
    for (const subscriber of [quiet, zero]) {
      const messages = await bench.received(subscriber, publisher);
      expectEqual(
        messages.map((message) => [message.topic, message.properties?.topicAlias]),
        Array(3).fill([topic, undefined]),
        'topics and aliases',
      );
    }
  }),
  ...cases(
    ['MQTT-3.1.2-26', 'MQTT-3.3.2-11'],
    'Aliases towards a client stay within its maximum, and stand for the right topics',
    async (bench) => {
      const topics = Array.from({ length: 5 }, () => bench.topic());
      const subscriber = await bench.client({ properties: { topicAliasMaximum: 2 } });
      for (const topic of topics) await subscriber.subscribed(topic, 0);
      const publisher = await bench.client();
      for (let round = 0; round < 3; round++) for (const topic of topics) publisher.sendPublish(topic, topic);
      publisher.sendPublish(topics[0] as string, 'end');
      const known = new Map<number, string>();
      for (let text = ''; text !== 'end'; ) {
        const message: Awaited<ReturnType<Peer['takePublish']>> = await subscriber.takePublish();
        const alias = message.properties?.topicAlias;
        expectTrue(alias === undefined || alias <= 2, 'an alias of 2 at most', message);
        if (alias !== undefined && message.topic !== '') known.set(alias, message.topic);
        text = textOf(message);
        const topic = message.topic === '' ? known.get(alias as number) : message.topic;
        expectEqual(topic, text === 'end' ? topics[0] : text, 'topic');
      }
    },
  ),
];

const expiry: readonly Case[] = [
  ...slowCases('MQTT-3.3.2-5', 'A message that expired while its session was away is not delivered', async (bench) => {
    const topic = bench.topic();
    const clientId = bench.clientId();
    const owner = await bench.subscriber(topic, 1, { clientId, durable: true });
    await owner.disconnect();
    const publisher = await bench.client();
    await publisher.published(topic, 'short', { qos: 1, properties: { messageExpiryInterval: 1 } });
    await publisher.published(topic, 'long', { qos: 1, properties: { messageExpiryInterval: 600 } });
    await bench.wait(2.5);
    const again = await bench.client({ clientId, durable: true });
    expectEqual(textOf(await again.receive()), 'long', 'message');
    await bench.silence(again, publisher);
  }),
  ...slowCases(
    'MQTT-3.3.2-5 waiting',
    'A message that expired while it waited for Receive Maximum is not delivered',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const subscriber = await bench.subscriber(topic, 1, { properties: { receiveMaximum: 1 } });
      const publisher = await bench.client();
      await publisher.published(topic, 'open', { qos: 1 });
      await publisher.published(topic, 'short', { qos: 1, properties: { messageExpiryInterval: 1 } });
      await publisher.published(topic, 'long', { qos: 1, properties: { messageExpiryInterval: 600 } });
      const open = await subscriber.takePublish();
      await bench.wait(2.5);
      await subscriber.acknowledge(open);
      const { payload, properties: list } = await subscriber.receive();
      const left = list?.messageExpiryInterval ?? -1;
      expectEqual(new TextDecoder().decode(payload), 'long', 'message');
      expectTrue(left > 0 && left <= 598, 'a Message Expiry Interval of 598 at most', left);
      await bench.silence(subscriber, publisher);
    },
  ),
  ...slowCases('MQTT-3.3.2-6', 'The expiry is passed on less the time the message waited', async (bench) => {
    const topic = bench.topic();
    const clientId = bench.clientId();
    const owner = await bench.subscriber(topic, 1, { clientId, durable: true });
    await owner.disconnect();
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1, properties: { messageExpiryInterval: 600 } });
    await bench.wait(2.2);
    const again = await bench.client({ clientId, durable: true });
    const left = (await again.receive()).properties?.messageExpiryInterval ?? -1;
    expectTrue(left > 0 && left <= 598, 'a Message Expiry Interval of 598 at most', left);
  }),
  ...slowCases(
    ['MQTT-3.3.2-6 retained', '5.0/3.3.2.3.3 retained'],
    'The expiry of a retained message counts down, and ends it',
    async (bench) => {
      const short = bench.retainedTopic();
      const long = bench.retainedTopic();
      const publisher = await bench.client();
      await publisher.published(short, 'x', { qos: 1, retain: true, properties: { messageExpiryInterval: 1 } });
      await publisher.published(long, 'y', { qos: 1, retain: true, properties: { messageExpiryInterval: 600 } });
      await bench.wait(2.5);
      const reader = await bench.subscriber(short, 0);
      await bench.silence(reader, publisher, 'nothing that has expired');
      await reader.subscribed(long, 0);
      const left = (await reader.takePublish('the retained message')).properties?.messageExpiryInterval ?? -1;
      expectTrue(left > 0 && left <= 598, 'a Message Expiry Interval of 598 at most', left);
    },
  ),
  ...cases('5.0/3.3.2.3.3 passed-on', 'A message delivered at once keeps its expiry', async (bench) => {
    const { messageExpiryInterval = -1 } = await forwarded(bench, { messageExpiryInterval: 600 });
    expectTrue(messageExpiryInterval > 590 && messageExpiryInterval <= 600, 'about 600', messageExpiryInterval);
    expectEqual((await forwarded(bench, {})).messageExpiryInterval, undefined, 'Message Expiry Interval');
  }),
];

export const publishCases: readonly Case[] = [...flags, ...passedOn, ...aliases, ...expiry];
