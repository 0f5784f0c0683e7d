/** What MQTT 3.1 does otherwise than 3.1.1, and that the rest works there too. It has no ids: these are ours. */
import { connectBytes } from '../bench.ts';
import { field, frame, hex, uint16 } from '../bytes.ts';
import { type Case, cases, slowCases } from '../case.ts';
import { expectEqual, expectTrue } from '../outcome.ts';
import { textOf } from '../peer.ts';

export const mqtt31Cases: readonly Case[] = [
  ...cases('3.1/connect', '"MQIsdp" of level 3 is accepted: 20 02 00 00', async (bench) => {
    const peer = bench.open();
    peer.send(bench.connectPacket());
    expectEqual((await peer.takeFirst('CONNACK')).bytes, Uint8Array.from(hex('20 02 00 00')), 'CONNACK');
    await peer.ping();
  }),
  ...cases('3.1/wrong-level', 'Another level under "MQIsdp" gets return code 1 or none, and a close', (bench) => {
    const level = (byte: number): Uint8Array => connectBytes(3, bench.clientId(), { level: byte });
    return bench.refusesConnect(
      { 'level 2': level(2), 'level 4': level(4), 'level 9': level(9) },
      { returnCodes: [1] },
    );
  }),
  ...cases('3.1/empty-client-id', 'An empty client id gets return code 2, whatever Clean Session says', (bench) =>
    bench.refusesConnect(
      { 'Clean Session 1': connectBytes(3, ''), 'Clean Session 0': connectBytes(3, '', { flags: 0 }) },
      { returnCodes: [2] },
    ),
  ),
  ...cases(
    '3.1/no-session-present',
    'CONNACK says nothing about the session, also when it is resumed',
    async (bench) => {
      const clientId = bench.clientId();
      const topic = bench.topic();
      const one = await bench.subscriber(topic, 1, { clientId, durable: true });
      await one.disconnect();
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 1 });
      const two = bench.open();
      two.send(bench.connectPacket({ clientId, durable: true }));
      expectEqual((await two.takeFirst('CONNACK')).bytes, Uint8Array.from(hex('20 02 00 00')), 'CONNACK');
      expectEqual(textOf(await two.receive()), 'x', 'message of the resumed session');
    },
  ),
  ...cases(
    '3.1/reserved-connect-flags',
    'The reserved connect flag, and flags of a will that is not there, are not looked at',
    async (bench) => {
      for (const flags of [0x03, 0x0a, 0x22]) {
        const peer = bench.open();
        peer.sendBytes(connectBytes(3, bench.clientId(), { flags }));
        const connack = await peer.take(2, `CONNACK for flags ${flags}`);
        expectEqual(connack.reasonCode, 0, 'return code');
      }
    },
  ),
  ...cases(
    '3.1/missing-credentials',
    'A user name or password announced but not there counts as absent',
    async (bench) => {
      const peer = bench.open();
      peer.sendBytes(connectBytes(3, bench.clientId(), { flags: 0x82 }));
      const connack = await peer.take(2, 'CONNACK');
      expectTrue(
        [0, 4, 5].includes(connack.reasonCode),
        'return code 0, or 4 or 5 where a name is needed',
        connack.reasonCode,
      );
    },
  ),
  ...cases('3.1/dup-flags', 'SUBSCRIBE, UNSUBSCRIBE and PUBREL may repeat with DUP 1', async (bench) => {
    bench.needsQoS(2);
    const topic = bench.topic();
    const peer = await bench.client();
    peer.sendBytes(frame(0x8a, uint16(5), field(topic), [1]));
    expectEqual((await peer.take(9, 'SUBACK')).packetId, 5, 'SUBACK identifier');
    peer.sendPublish(topic, 'x', { qos: 2, packetId: 7 });
    await peer.takeAck(5, 7);
    peer.sendBytes(frame(0x6a, uint16(7)));
    await peer.takeAck(7, 7);
    expectEqual(textOf(await peer.receive()), 'x', 'message');
    peer.sendBytes(frame(0xaa, uint16(6), field(topic)));
    expectEqual((await peer.take(11, 'UNSUBACK')).packetId, 6, 'UNSUBACK identifier');
    await bench.silence(peer);
  }),
  ...cases('3.1/return-codes', 'Wrong credentials get return code 4 or 5, and a close', async (bench) => {
    bench.needs('rejected', 'of credentials that are refused');
    const { username, password } = bench.facts.rejected as NonNullable<typeof bench.facts.rejected>;
    const peer = bench.open();
    peer.send(bench.connectPacket({ username, password: new TextEncoder().encode(password) }));
    await bench.connectRefused(peer, 'credentials', { returnCodes: [4, 5] });
  }),
  ...cases('3.1/denied-publish', 'A denied PUBLISH is acknowledged, or closes the connection', async (bench) => {
    bench.needs('deniedTopic', 'of a topic that is denied');
    for (const qos of [1, 2] as const) {
      const peer = await bench.client();
      peer.sendPublish(bench.facts.deniedTopic as string, 'x', { qos, packetId: 3 });
      const answer = await peer.takeOrEnd('an acknowledgement, or a close');
      if (answer !== undefined) expectEqual(answer.type, qos === 1 ? 4 : 5, 'packet type');
    }
  }),
  ...cases('3.1/text', 'Topics of any UTF-8 arrive as they were sent', async (bench) => {
    const topics = ['ä', '\u{1F600}', '\uFEFF', 'a b'].map((end) => `${bench.topic()}/${end}`);
    const peer = await bench.client();
    for (const topic of topics) await peer.subscribed(topic, 0);
    for (const topic of topics) peer.sendPublish(topic, topic);
    const seen = (await bench.received(peer, peer)).map(({ topic }) => topic);
    expectEqual(seen, topics, 'topics');
  }),
  ...cases('3.1/clean-session', 'Clean Session 1 begins afresh, and ends with its connection', async (bench) => {
    const topic = bench.topic();
    const clientId = bench.clientId();
    const one = await bench.subscriber(topic, 1, { clientId, durable: true });
    await one.disconnect();
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1 });
    const two = await bench.client({ clientId });
    await publisher.published(topic, 'y', { qos: 1 });
    await bench.silence(two, publisher);
    await two.disconnect();
    const three = await bench.client({ clientId, durable: true });
    await bench.silence(three, publisher);
  }),
  ...cases('3.1/takeover', 'A second connection of a client id closes the first', async (bench) => {
    const clientId = bench.clientId();
    const one = await bench.client({ clientId });
    const two = await bench.client({ clientId });
    await one.over('the first connection to be closed');
    expectEqual(one.untaken, [], 'packets before the close');
    await two.ping();
  }),
  ...cases('3.1/unsubscribe', 'After UNSUBACK nothing more is delivered', async (bench) => {
    const topic = bench.topic();
    const peer = await bench.subscriber(topic, 1);
    await peer.unsubscribe(topic);
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1 });
    await bench.silence(peer, publisher);
  }),
  ...cases('3.1/suback-failure', 'A refused subscription is not told as 0x80', async (bench) => {
    bench.needs('deniedTopic', 'of a topic that is denied');
    const peer = await bench.client();
    const codes = await peer.subscribe(bench.facts.deniedTopic as string, 1);
    expectTrue((codes[0] as number) <= 2, 'a granted QoS, 3.1 having no other codes', codes);
  }),
  ...cases(
    '3.1/subscribe-without-filter',
    'SUBSCRIBE without filters gets an empty SUBACK, or a close',
    async (bench) => {
      const peer = await bench.client();
      peer.sendBytes(frame(0x82, uint16(1)));
      const answer = await peer.takeOrEnd('SUBACK, or a close');
      if (answer !== undefined)
        expectEqual([answer.type, answer.type === 9 && answer.reasonCodes.length], [9, 0], 'SUBACK of no codes:');
    },
  ),
  ...cases('3.1/qos-flows', 'QoS 0, 1 and 2 in both directions, each message once', async (bench) => {
    bench.needsQoS(2);
    const topic = bench.topic();
    const peer = await bench.subscriber(topic, 2);
    const publisher = await bench.client();
    for (const qos of [0, 1, 2] as const) {
      await publisher.published(topic, `${qos}`, { qos });
      const message = await peer.receive();
      expectEqual([textOf(message), message.qos], [`${qos}`, qos], 'payload and QoS');
    }
    await bench.silence(peer, publisher);
  }),
  ...cases('3.1/resend', 'A resumed session is sent again what was open', async (bench) => {
    bench.needsQoS(2);
    const topic = bench.topic();
    const clientId = bench.clientId();
    const one = await bench.subscriber(topic, 2, { clientId, durable: true });
    const publisher = await bench.client();
    for (const qos of [1, 2] as const) await publisher.published(topic, `${qos}`, { qos });
    const first = [await one.takePublish(), await one.takePublish()];
    await one.drop();
    const two = await bench.client({ clientId, durable: true });
    for (const { packetId, payload } of first) {
      const again = await two.receive('the message again');
      expectEqual([again.packetId, again.payload], [packetId, payload], 'identifier and payload');
    }
    await bench.silence(two, publisher);
  }),
  ...cases('3.1/retained', 'Retained messages reach a new subscription with RETAIN 1', async (bench) => {
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, 'kept', { qos: 1, retain: true });
    const reader = await bench.subscriber(topic, 0);
    const message = await reader.takePublish('the retained message');
    expectEqual([textOf(message), message.retain], ['kept', true], 'payload and RETAIN');
  }),
  ...cases('3.1/will', 'The will is published when the connection is lost, not after DISCONNECT', async (bench) => {
    const topic = bench.topic();
    const watcher = await bench.subscriber(topic, 0);
    const will = { topic, payload: Uint8Array.of(0x77), qos: 0, retain: false } as const;
    const lost = await bench.client({ will });
    await lost.drop();
    await watcher.takePublish('the will');
    const leaving = await bench.client({ will });
    await leaving.disconnect();
    await bench.silence(watcher, undefined, 'no second will');
  }),
  ...slowCases('3.1/keep-alive', 'A silent client is disconnected after 1.5 times its Keep Alive', async (bench) => {
    const peer = await bench.client({ keepAlive: 1 });
    await peer.over('the silent connection to be closed', 1500 + 2 * bench.timeoutMs);
    expectEqual(peer.untaken, [], 'packets before the close');
  }),
  ...cases(
    '3.1/long-client-id',
    'A client id of more than 23 characters is accepted, or gets return code 2',
    async (bench) => {
      const peer = bench.open();
      peer.send(bench.connectPacket({ clientId: bench.clientId().padEnd(60, 'x') }));
      const connack = await peer.take(2, 'CONNACK');
      expectTrue([0, 2].includes(connack.reasonCode), 'return code 0 or 2', connack.reasonCode);
    },
  ),
  ...cases('3.1/cross-version', 'Messages pass between 3.1, 3.1.1 and 5.0', async (bench) => {
    const topic = bench.topic();
    const readers = await Promise.all(bench.served.map((version) => bench.subscriber(topic, 1, { version })));
    for (const version of bench.served) {
      const publisher = await bench.client({ version });
      await publisher.published(topic, `${version}`, { qos: 1 });
      for (const reader of readers) expectEqual(textOf(await reader.receive()), `${version}`, 'payload');
    }
  }),
];
