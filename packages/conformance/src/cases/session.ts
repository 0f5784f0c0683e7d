/** Sessions: Clean Start and Clean Session, Session Present, expiry, takeover. Sections 3.1.2.4, 3.1.2.11.2, 3.2.2.1, 4.1. */

import type { Bench } from '../bench.ts';
import { type Case, cases, slowCases } from '../case.ts';
import { expectEqual } from '../outcome.ts';
import { type Peer, textOf } from '../peer.ts';

const present = (peer: Peer): boolean | undefined => peer.connack?.sessionPresent;

/** A session with a subscription and a message waiting; its owner is gone. */
async function waiting(bench: Bench, topic: string): Promise<{ clientId: string; publisher: Peer }> {
  bench.needsQoS(1);
  const clientId = bench.clientId();
  const owner = await bench.subscriber(topic, 1, { clientId, durable: true });
  await owner.disconnect();
  const publisher = await bench.client();
  await publisher.published(topic, 'waiting', { qos: 1 });
  return { clientId, publisher };
}

export const sessionCases: readonly Case[] = [
  ...cases(
    ['MQTT-3.1.2-4', 'MQTT-3.2.2-2', 'MQTT-3.1.4-4', 'MQTT3-3.1.2-6', 'MQTT3-3.2.2-1', 'MQTT3-3.1.4-3'],
    'A clean start throws the old session away: Session Present 0, no messages, no subscriptions',
    async (bench) => {
      const topic = bench.topic();
      const { clientId, publisher } = await waiting(bench, topic);
      const clean = await bench.client({ clientId, cleanStart: true });
      expectEqual(present(clean), false, 'Session Present');
      await publisher.published(topic, 'later', { qos: 1 });
      await bench.silence(clean, publisher);
      await clean.disconnect();
      const again = await bench.client({ clientId, durable: true });
      expectEqual(present(again), false, 'Session Present after the clean session');
      await bench.silence(again, publisher);
    },
  ),
  ...cases(
    ['MQTT-3.1.2-5', 'MQTT3-3.1.2-4', 'MQTT3-3.2.2-2'],
    'A session goes on: Session Present 1, its messages and subscriptions are there',
    async (bench) => {
      const topic = bench.topic();
      const { clientId, publisher } = await waiting(bench, topic);
      const again = await bench.client({ clientId, durable: true });
      expectEqual(present(again), true, 'Session Present');
      expectEqual(textOf(await again.receive()), 'waiting', 'message');
      await publisher.published(topic, 'live', { qos: 1 });
      expectEqual(textOf(await again.receive()), 'live', 'message');
      await bench.silence(again, publisher);
    },
  ),
  ...cases(
    ['MQTT-3.1.2-6', 'MQTT3-3.2.2-3', 'MQTT3-3.1.2-4 new'],
    'Without a session to go on with, a new one begins: Session Present 0, and it works',
    async (bench) => {
      const topic = bench.topic();
      const peer = await bench.client({ durable: true });
      expectEqual(present(peer), false, 'Session Present');
      await peer.subscribed(topic, 0);
      peer.sendPublish(topic, 'x');
      await peer.takePublish();
      await bench.silence(peer);
    },
  ),
  ...cases('MQTT-3.2.2-3', 'Session Present says whether there is a session, be it empty', async (bench) => {
    const clientId = bench.clientId();
    const one = await bench.client({ clientId, durable: true });
    expectEqual(present(one), false, 'Session Present at first');
    await one.disconnect();
    const two = await bench.client({ clientId, durable: true });
    expectEqual(present(two), true, 'Session Present of an empty session');
    await two.disconnect(0, 0);
    const three = await bench.client({ clientId, durable: true });
    expectEqual(present(three), false, 'Session Present after expiry 0 in DISCONNECT');
  }),
  ...cases(
    ['MQTT-3.1.2-23', 'MQTT3-4.1.0-1'],
    'A session outlives several connections, however they end',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      let owner = await bench.subscriber(topic, 1, { clientId, durable: true });
      const publisher = await bench.client();
      for (let round = 0; round < 3; round++) {
        if (round % 2 === 0) await owner.drop();
        else await owner.disconnect();
        await publisher.published(topic, `${round}`, { qos: 1 });
        owner = await bench.client({ clientId, durable: true });
        expectEqual(present(owner), true, 'Session Present');
        expectEqual(textOf(await owner.receive()), `${round}`, 'message');
      }
      await bench.silence(owner, publisher);
    },
  ),
  ...cases(
    '5.0/3.1.2.11.2 session-expiry-maximum',
    'Session Expiry 0xFFFFFFFF is no shorter than any other',
    async (bench) => {
      const clientId = bench.clientId();
      const one = await bench.client({ clientId, cleanStart: false, expiry: 0xffff_ffff });
      await one.drop();
      const two = await bench.client({ clientId, cleanStart: false, expiry: 600 });
      expectEqual(present(two), true, 'Session Present');
    },
  ),
  ...cases(
    ['MQTT3-3.1.2-5', '5.0/4.5 queued-qos'],
    'QoS 1 and 2 messages are kept for an absent session',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const owner = await bench.subscriber(topic, 2, { clientId, durable: true });
      await owner.disconnect();
      const publisher = await bench.client();
      for (const qos of [0, 1, 2] as const) await publisher.published(topic, `${qos}`, { qos });
      const again = await bench.client({ clientId, durable: true });
      const messages = await bench.received(again, publisher);
      const kept = messages.filter(({ qos }) => qos > 0).map((message) => [textOf(message), message.qos]);
      expectEqual(
        kept,
        [
          ['1', 1],
          ['2', 2],
        ],
        'messages of QoS 1 and 2',
      );
    },
  ),
  ...cases(
    ['MQTT-4.5.0-1', 'MQTT3-4.5.0-1'],
    'A message goes to every session with a matching subscription, connected or not',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const ids = Array.from({ length: 4 }, () => bench.clientId());
      const owners = await Promise.all(ids.map((clientId) => bench.subscriber(topic, 1, { clientId, durable: true })));
      await Promise.all(owners.slice(2).map((owner) => owner.disconnect()));
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 1 });
      for (const owner of owners.slice(0, 2)) {
        await owner.receive();
        await bench.silence(owner, publisher);
      }
      for (const clientId of ids.slice(2)) {
        const again = await bench.client({ clientId, durable: true });
        await again.receive();
        await bench.silence(again, publisher);
      }
    },
  ),
  ...cases(['MQTT-3.1.3-2', 'MQTT3-3.1.3-2'], 'Each client id has its own session', async (bench) => {
    bench.needsQoS(1);
    const topics = [bench.topic(), bench.topic()];
    const ids = [bench.clientId(), bench.clientId()];
    for (let i = 0; i < 2; i++) {
      const options = { clientId: ids[i] as string, durable: true };
      const owner = await bench.subscriber(topics[i] as string, 1, options);
      await owner.disconnect();
    }
    const publisher = await bench.client();
    for (const topic of topics) await publisher.published(topic, topic, { qos: 1 });
    for (let i = 0; i < 2; i++) {
      const again = await bench.client({ clientId: ids[i] as string, durable: true });
      expectEqual((await again.receive()).topic, topics[i], 'topic');
      await bench.silence(again, publisher);
    }
  }),
  ...cases(
    ['MQTT-3.1.4-3', 'MQTT3-3.1.4-2'],
    'A second connection of a client id closes the first, and takes its session over',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const one = await bench.subscriber(topic, 1, { clientId, durable: true });
      const two = await bench.client({ clientId, durable: true });
      await bench.refused(one, 'taken over', { isCode: (code) => code === 0x8e });
      expectEqual(present(two), true, 'Session Present');
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 1 });
      expectEqual(textOf(await two.receive()), 'x', 'message');
      await bench.silence(two, publisher);
    },
  ),
  ...cases(
    ['5.0/3.1.4 takeover-clean', 'MQTT3-3.1.4-2 clean'],
    'A clean takeover closes the first connection and leaves nothing of its session',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const one = await bench.subscriber(topic, 1, { clientId, durable: true });
      const publisher = await bench.client();
      await publisher.published(topic, 'open', { qos: 1 });
      await one.takePublish();
      const two = await bench.client({ clientId, cleanStart: true });
      await bench.refused(one, 'taken over', { isCode: (code) => code === 0x8e });
      expectEqual(present(two), false, 'Session Present');
      await publisher.published(topic, 'later', { qos: 1 });
      await bench.silence(two, publisher);
    },
  ),
  ...slowCases('MQTT-4.1.0-2', 'When its expiry has run out a session is gone, with its messages', async (bench) => {
    bench.needsQoS(1);
    const topic = bench.topic();
    const clientId = bench.clientId();
    const owner = await bench.subscriber(topic, 1, { clientId, cleanStart: false, expiry: 1 });
    await owner.drop();
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1 });
    await bench.wait(3);
    const again = await bench.client({ clientId, durable: true });
    expectEqual(present(again), false, 'Session Present');
    await bench.silence(again, publisher);
  }),
  ...cases('MQTT-4.1.0-2 at-once', 'A session of expiry 0, or none, ends with its connection', async (bench) => {
    bench.needsQoS(1);
    for (const expiry of [0, undefined]) {
      const topic = bench.topic();
      const clientId = bench.clientId();
      const options = { clientId, cleanStart: false, ...(expiry !== undefined && { expiry }) };
      const owner = await bench.subscriber(topic, 1, options);
      await owner.disconnect();
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 1 });
      const again = await bench.client({ clientId, durable: true });
      expectEqual(present(again), false, 'Session Present');
      await bench.silence(again, publisher);
    }
  }),
  ...slowCases(
    'MQTT-4.1.0-1',
    'As long as the connection is open the session stays, whatever its expiry says',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const owner = await bench.subscriber(topic, 2, { expiry: 1 });
      const publisher = await bench.client();
      await publisher.published(topic, 'before', { qos: 2 });
      const open = await owner.takePublish();
      owner.ack(5, open.packetId);
      await owner.takeAck(6, open.packetId);
      await bench.wait(2.5);
      owner.ack(7, open.packetId);
      await publisher.published(topic, 'after', { qos: 2 });
      expectEqual(textOf(await owner.receive()), 'after', 'message');
      await bench.silence(owner, publisher);
    },
  ),
  ...slowCases('MQTT3-4.1.0-2', 'A session does not end before its connection', async (bench) => {
    const topic = bench.topic();
    const owner = await bench.subscriber(topic, 0);
    for (let i = 0; i < 3; i++) {
      await bench.wait(1);
      await owner.ping();
    }
    owner.sendPublish(topic, 'x');
    await owner.takePublish();
    await bench.silence(owner);
  }),
  ...slowCases(
    '5.0/3.14.2.2.2 expiry-in-disconnect',
    'DISCONNECT may change the Session Expiry Interval',
    async (bench) => {
      const shorter = bench.clientId();
      const longer = bench.clientId();
      const one = await bench.client({ clientId: shorter, cleanStart: false, expiry: 600 });
      await one.disconnect(0, 1);
      const two = await bench.client({ clientId: longer, cleanStart: false, expiry: 1 });
      await two.disconnect(0, 600);
      await bench.wait(2.5);
      const oneAgain = await bench.client({ clientId: shorter, durable: true });
      expectEqual(present(oneAgain), false, 'Session Present after DISCONNECT with expiry 1');
      const twoAgain = await bench.client({ clientId: longer, durable: true });
      expectEqual(present(twoAgain), true, 'Session Present after DISCONNECT with expiry 600');
    },
  ),
  ...cases('MQTT3-3.1.2-7', 'Retained messages are no part of a session', async (bench) => {
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, 'kept', { retain: true });
    await publisher.ping();
    await publisher.disconnect();
    const reader = await bench.subscriber(topic, 0);
    expectEqual(textOf(await reader.takePublish()), 'kept', 'retained message');
  }),
];
