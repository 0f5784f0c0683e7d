/** The broker as receiver: QoS 1 and 2, and what it acknowledges how. Sections 3.3.4 to 3.7, 4.3. */
import { type Case, cases, slowCases } from '../case.ts';
import { expectEqual, expectTrue } from '../outcome.ts';
import { textOf } from '../peer.ts';
import { pair } from './delivery.ts';

const puback = 4;
const pubrec = 5;
const pubrel = 6;
const pubcomp = 7;

export const receivingCases: readonly Case[] = [
  ...cases(
    ['MQTT-4.3.2-4', 'MQTT-4.3.2-5', 'MQTT3-4.3.2-2'],
    'QoS 1: PUBACK of the same identifier; then a PUBLISH with it is a new message, whatever its DUP',
    async (bench) => {
      const { topic, subscriber, publisher } = await pair(bench);
      for (const dup of [false, true]) {
        publisher.sendPublish(topic, dup ? 'two' : 'one', { qos: 1, packetId: 5, dup });
        await publisher.takeAck(puback, 5);
      }
      const texts = [textOf(await subscriber.receive()), textOf(await subscriber.receive())];
      expectEqual(texts, ['one', 'two'], 'messages');
      await bench.silence(subscriber, publisher);
    },
  ),
  ...cases(
    ['MQTT-4.3.3-8', 'MQTT-4.3.3-10', 'MQTT3-4.3.3-2'],
    'QoS 2: every repetition before PUBREL gets PUBREC, and the message is delivered once',
    async (bench) => {
      const { topic, subscriber, publisher } = await pair(bench);
      publisher.sendPublish(topic, 'x', { qos: 2, packetId: 7 });
      await publisher.takeAck(pubrec, 7);
      publisher.sendPublish(topic, 'x', { qos: 2, packetId: 7, dup: true });
      await publisher.takeAck(pubrec, 7);
      publisher.ack(pubrel, 7);
      await publisher.takeAck(pubcomp, 7);
      expectEqual((await bench.received(subscriber, publisher)).map(textOf), ['x'], 'messages');
      publisher.expectNothing();
    },
  ),
  ...cases(
    ['MQTT-4.3.3-10 resumed', 'MQTT3-4.3.3-2 resumed'],
    'QoS 2: a repetition after the publisher resumed its session is a duplicate too',
    async (bench) => {
      const { topic, subscriber } = await pair(bench);
      const clientId = bench.clientId();
      const one = await bench.client({ clientId, durable: true });
      one.sendPublish(topic, 'x', { qos: 2, packetId: 7 });
      await one.takeAck(pubrec, 7);
      await one.drop();
      const two = await bench.client({ clientId, durable: true });
      two.sendPublish(topic, 'x', { qos: 2, packetId: 7, dup: true });
      await two.takeAck(pubrec, 7);
      two.ack(pubrel, 7);
      await two.takeAck(pubcomp, 7);
      expectEqual((await bench.received(subscriber, two)).map(textOf), ['x'], 'messages');
    },
  ),
  ...cases(
    ['MQTT-4.3.3-11', 'MQTT-3.7.2-1', '5.0/3.6 unknown-pubrel'],
    'PUBREL is answered by PUBCOMP of its identifier, known (0x00) or not (0x92)',
    async (bench) => {
      bench.needsQoS(2);
      const peer = await bench.client();
      peer.sendPublish(bench.topic(), 'x', { qos: 2, packetId: 9 });
      await peer.takeAck(pubrec, 9);
      peer.ack(pubrel, 9);
      expectEqual((await peer.takeAck(pubcomp, 9)).reasonCode, 0, 'PUBCOMP code');
      peer.ack(pubrel, 9);
      // 0x92 is what the code is for; 0x00 is also in PUBCOMP's table.
      await peer.takeAck(pubcomp, 9);
      await peer.ping();
      peer.expectNothing();
    },
  ),
  ...cases('MQTT3-4.3.3-2 pubrel', 'PUBREL is answered by PUBCOMP, again when it is repeated', async (bench) => {
    bench.needsQoS(2);
    const peer = await bench.client();
    peer.sendPublish(bench.topic(), 'x', { qos: 2, packetId: 9 });
    await peer.takeAck(pubrec, 9);
    for (let i = 0; i < 2; i++) {
      peer.ack(pubrel, 9);
      await peer.takeAck(pubcomp, 9);
    }
    await peer.ping();
    peer.expectNothing();
  }),
  ...cases(
    ['MQTT-4.3.3-12', 'MQTT3-4.3.3-2 reuse'],
    'QoS 2: after PUBCOMP the identifier stands for a new message',
    async (bench) => {
      const { topic, subscriber, publisher } = await pair(bench);
      for (const text of ['one', 'two']) await publisher.published(topic, text, { qos: 2, packetId: 7 });
      expectEqual((await bench.received(subscriber, publisher)).map(textOf), ['one', 'two'], 'messages');
    },
  ),
  ...cases('MQTT-4.3.3-9', 'QoS 2: after a refusing PUBREC the identifier stands for a new message', async (bench) => {
    bench.needs('deniedTopic', 'of a topic that is denied');
    const { topic, subscriber, publisher } = await pair(bench);
    const code = await publisher.publish(bench.facts.deniedTopic as string, 'x', { qos: 2, packetId: 7 });
    expectTrue(code >= 0x80, 'PUBREC of 0x80 or above', code);
    await publisher.published(topic, 'y', { qos: 2, packetId: 7 });
    expectEqual((await bench.received(subscriber, publisher)).map(textOf), ['y'], 'messages');
  }),
  ...slowCases('MQTT-4.3.3-13', 'QoS 2: the exchange goes on although the message has expired', async (bench) => {
    bench.needsQoS(2);
    const peer = await bench.client();
    peer.sendPublish(bench.topic(), 'x', { qos: 2, packetId: 7, properties: { messageExpiryInterval: 1 } });
    await peer.takeAck(pubrec, 7);
    await bench.wait(2);
    peer.ack(pubrel, 7);
    expectEqual((await peer.takeAck(pubcomp, 7)).reasonCode, 0, 'PUBCOMP code');
  }),
  ...cases(
    ['MQTT-3.4.2-1', 'MQTT-3.5.2-1'],
    'PUBACK and PUBREC have codes of their own tables, in success and failure',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const peer = await bench.client();
      const legal = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
      const topics = [topic, ...(bench.facts.deniedTopic === undefined ? [] : [bench.facts.deniedTopic])];
      for (const qos of [1, 2] as const) {
        for (const name of topics) {
          const code = await peer.publish(name, 'x', { qos });
          expectTrue(legal.includes(code), 'a code of the table', code);
          const isDenied = name !== topic;
          expectTrue(code >= 0x80 === isDenied, isDenied ? 'a failure' : 'success', code);
        }
      }
    },
  ),
  ...cases(
    '5.0/3.3.4 denied',
    'A denied PUBLISH is refused and not delivered, and the connection stays',
    async (bench) => {
      bench.needs('deniedTopic', 'of a topic that is denied');
      const peer = await bench.client();
      const code = await peer.publish(bench.facts.deniedTopic as string, 'x', { qos: 1 });
      expectTrue(code >= 0x80, 'PUBACK of 0x80 or above', code);
      await peer.ping();
      peer.expectNothing();
    },
  ),
  ...cases('MQTT3-3.3.5-2', 'A denied PUBLISH is acknowledged, or closes the connection', async (bench) => {
    bench.needs('deniedTopic', 'of a topic that is denied');
    for (const qos of [1, 2] as const) {
      const peer = await bench.client();
      peer.sendPublish(bench.facts.deniedTopic as string, 'x', { qos, packetId: 3 });
      const answer = await peer.takeOrEnd('an acknowledgement, or a close');
      if (answer !== undefined) expectEqual(answer.type, qos === 1 ? puback : pubrec, 'packet type');
    }
  }),
];
