/** The broker as sender: QoS 1 and 2, resending, order, and flow control. Sections 4.3, 4.4, 4.6, 4.9. */
import type { PublishPacket } from '@pipit/protocol';
import { type Bench, orCode } from '../bench.ts';
import { type Case, cases, slowCases } from '../case.ts';
import { expectEqual, expectTrue, NotApplicable } from '../outcome.ts';
import { type Peer, publishPacket, textOf } from '../peer.ts';

const puback = 4;
const pubrec = 5;
const pubrel = 6;
const pubcomp = 7;

/** A durable subscriber of QoS 2 and a publisher. */
export async function pair(
  bench: Bench,
): Promise<{ topic: string; clientId: string; subscriber: Peer; publisher: Peer; resume: () => Promise<Peer> }> {
  bench.needsQoS(2);
  const topic = bench.topic();
  const clientId = bench.clientId();
  const subscriber = await bench.subscriber(topic, 2, { clientId, durable: true });
  const publisher = await bench.client();
  return { topic, clientId, subscriber, publisher, resume: () => bench.client({ clientId, durable: true }) };
}

const sending: readonly Case[] = [
  ...cases(['MQTT-3.3.1-1', 'MQTT3-3.3.1-1'], 'A PUBLISH that is sent again has DUP 1', async (bench) => {
    const { topic, subscriber, publisher, resume } = await pair(bench);
    for (const qos of [1, 2] as const) await publisher.published(topic, `${qos}`, { qos });
    for (let i = 0; i < 2; i++) expectEqual((await subscriber.takePublish()).dup, false, 'DUP of the first delivery');
    await subscriber.drop();
    const again = await resume();
    for (let i = 0; i < 2; i++) expectEqual((await again.receive('the message again')).dup, true, 'DUP');
  }),
  ...cases(
    ['MQTT-4.3.2-3', 'MQTT3-4.3.2-1'],
    'QoS 1: what was not acknowledged comes again under its identifier; what was, does not',
    async (bench) => {
      const { topic, subscriber, publisher, resume } = await pair(bench);
      for (const text of ['acked', 'open']) await publisher.published(topic, text, { qos: 1 });
      await subscriber.receive();
      const open = await subscriber.takePublish();
      // The acknowledgement has been read once a later PINGREQ is answered.
      await subscriber.ping();
      await subscriber.drop();
      const again = await resume();
      const repeated = await again.receive('the message again');
      expectEqual([textOf(repeated), repeated.packetId], ['open', open.packetId], 'payload and identifier');
      await bench.silence(again, publisher);
      await again.drop();
      await bench.silence(await resume(), publisher, 'nothing that was acknowledged');
    },
  ),
  ...cases(
    ['MQTT-4.3.3-3', 'MQTT3-4.3.3-1'],
    'QoS 2: without PUBREC the PUBLISH comes again under its identifier',
    async (bench) => {
      const { topic, subscriber, publisher, resume } = await pair(bench);
      await publisher.published(topic, 'x', { qos: 2 });
      const { packetId } = await subscriber.takePublish();
      await subscriber.drop();
      const again = await resume();
      const repeated = await again.receive('the message again');
      expectEqual([textOf(repeated), repeated.packetId, repeated.qos], ['x', packetId, 2], 'payload, identifier, QoS');
      await bench.silence(again, publisher);
    },
  ),
  ...cases(
    ['MQTT-4.3.3-5', 'MQTT-4.3.3-6', 'MQTT3-4.3.3-1 pubrel'],
    'QoS 2: without PUBCOMP the PUBREL comes again, and the PUBLISH does not',
    async (bench) => {
      const { topic, subscriber, publisher, resume } = await pair(bench);
      await publisher.published(topic, 'x', { qos: 2 });
      const { packetId } = await subscriber.takePublish();
      subscriber.ack(pubrec, packetId);
      await subscriber.takeAck(pubrel, packetId);
      for (let i = 0; i < 2; i++) {
        await subscriber.drop();
        const again = await resume();
        await again.takeAck(pubrel, packetId);
        await again.ping();
        again.expectNothing('PUBREL and nothing else');
        await again.drop();
      }
      const last = await resume();
      await last.takeAck(pubrel, packetId);
      last.ack(pubcomp, packetId);
      await bench.silence(last, publisher);
      await last.drop();
      await bench.silence(await resume(), publisher, 'nothing that was completed');
    },
  ),
  ...cases('MQTT-4.3.3-4 refused', 'QoS 2: a PUBREC of 0x80 or above gets no PUBREL', async (bench) => {
    const { topic, subscriber, publisher } = await pair(bench);
    await publisher.published(topic, 'x', { qos: 2 });
    subscriber.ack(pubrec, (await subscriber.takePublish()).packetId, 0x80);
    await bench.silence(subscriber, publisher);
  }),
  ...cases(
    'MQTT-4.3.3-4 no-subscribers',
    'QoS 2: a PUBREC of 0x10 is below 0x80 and gets its PUBREL',
    async (bench) => {
      const { topic, subscriber, publisher } = await pair(bench);
      await publisher.published(topic, 'x', { qos: 2 });
      const { packetId } = await subscriber.takePublish();
      subscriber.ack(pubrec, packetId, 0x10);
      await subscriber.takeAck(pubrel, packetId);
      subscriber.ack(pubcomp, packetId);
      await bench.silence(subscriber, publisher);
    },
  ),
  ...cases('MQTT-4.4.0-2', 'A refused delivery is settled: it is not sent again', async (bench) => {
    const { topic, subscriber, publisher, resume } = await pair(bench);
    for (const qos of [1, 2] as const) await publisher.published(topic, `${qos}`, { qos });
    for (const type of [puback, pubrec] as const) subscriber.ack(type, (await subscriber.takePublish()).packetId, 0x80);
    await subscriber.ping();
    await subscriber.drop();
    await bench.silence(await resume(), publisher);
  }),
  ...cases(
    ['MQTT-3.6.2-1', '5.0/3.5 unknown-pubrec'],
    'PUBREC for an unknown identifier gets PUBREL 0x92 or 0x00, or is an error',
    async (bench) => {
      bench.needsQoS(2);
      const peer = await bench.client();
      peer.ack(pubrec, 77);
      const answer = await peer.takeOrEnd('PUBREL');
      if (answer?.type === pubrel) expectTrue([0, 0x92].includes(answer.reasonCode), 'PUBREL 0x00 or 0x92', answer);
      else expectTrue(answer === undefined || answer.type === 14, 'PUBREL, or an end', answer);
    },
  ),
  ...cases(
    ['MQTT-4.4.0-1', 'MQTT3-4.4.0-1'],
    'On resuming, everything open is sent again in its order under its identifiers',
    async (bench) => {
      const { topic, subscriber, publisher, resume } = await pair(bench);
      const count = 8;
      for (let i = 0; i < count; i++) await publisher.published(topic, `${i}`, { qos: i % 2 === 0 ? 2 : 1 });
      const first: PublishPacket[] = [];
      for (let i = 0; i < count; i++) first.push(await subscriber.takePublish());
      // 0 gets as far as PUBREL.
      const released = first[0] as PublishPacket;
      subscriber.ack(pubrec, released.packetId);
      await subscriber.takeAck(pubrel, released.packetId);
      await subscriber.drop();
      const again = await resume();
      const repeated: PublishPacket[] = [];
      for (let i = 1; i < count; i++) repeated.push(await again.takePublish());
      await again.takeAck(pubrel, released.packetId);
      const head = (message: PublishPacket): unknown[] => [textOf(message), message.packetId, message.qos];
      expectEqual(repeated.map(head), first.slice(1).map(head), 'messages, identifiers and QoS');
      await again.ping();
      again.expectNothing();
    },
  ),
  ...slowCases('MQTT-4.4.0-1 live', 'On a live connection nothing is sent again', async (bench) => {
    const { topic, subscriber, publisher } = await pair(bench);
    for (const qos of [1, 2] as const) await publisher.published(topic, `${qos}`, { qos });
    await subscriber.takePublish();
    const two = await subscriber.takePublish();
    subscriber.ack(pubrec, two.packetId);
    await subscriber.takeAck(pubrel, two.packetId);
    await bench.wait(6);
    await bench.silence(subscriber, publisher);
  }),
  ...slowCases('MQTT-4.3.3-7', 'QoS 2: what was sent goes on although it has expired', async (bench) => {
    const { topic, subscriber, publisher, resume } = await pair(bench);
    for (const text of ['one', 'two']) {
      await publisher.published(topic, text, { qos: 2, properties: { messageExpiryInterval: 1 } });
    }
    const one = await subscriber.takePublish();
    const two = await subscriber.takePublish();
    await bench.wait(2.5);
    await subscriber.acknowledge(one);
    await subscriber.ping();
    await subscriber.drop();
    const again = await resume();
    const repeated = await again.receive('the message that was sent and has expired');
    expectEqual([textOf(repeated), repeated.packetId], ['two', two.packetId], 'payload and identifier');
  }),
];

const order: readonly Case[] = [
  ...cases(
    ['MQTT-4.6.0-5', 'MQTT-4.6.0-6', 'MQTT3-4.6.0-5', 'MQTT3-4.6.0-6'],
    'Messages of one publisher, topic and QoS arrive in their order, at once or later',
    async (bench) => {
      const { topic, subscriber, publisher, resume, clientId } = await pair(bench);
      const live = await bench.subscriber(topic, 2);
      await subscriber.disconnect();
      const count = 90;
      for (let i = 0; i < count; i++) {
        const qos = (i % 3) as 0 | 1 | 2;
        if (qos === 0) publisher.sendPublish(topic, `${i}`);
        else await publisher.published(topic, `${i}`, { qos });
      }
      const again = await resume();
      for (const peer of [live, again]) {
        const messages = await bench.received(peer, publisher);
        for (const qos of [0, 1, 2] as const) {
          const seen = messages.filter((message) => message.qos === qos).map((message) => Number(textOf(message)));
          const sent = Array.from({ length: count / 3 }, (_, i) => 3 * i + qos);
          // QoS 0 need not be kept for the absent.
          if (qos > 0 || peer === live)
            expectEqual(seen, sent, `QoS ${qos} messages of ${peer === live ? 'the live' : clientId}`);
          else
            expectEqual(
              seen,
              seen.toSorted((a, b) => a - b),
              'QoS 0 messages',
            );
        }
      }
    },
  ),
  ...cases(
    ['5.0/4.6 acknowledgement-order', '3.1.1/4.6 acknowledgement-order'],
    'The broker acknowledges in the order of the PUBLISHes, and releases in the order of the PUBRECs',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const peer = await bench.client();
      const count = Math.min(16, bench.connack.receiveMaximum ?? 16);
      const ids = Array.from({ length: count }, (_, i) => 100 - i);
      peer.send(...ids.map((packetId) => publishPacket(topic, 'x', { qos: packetId % 2 === 0 ? 1 : 2, packetId })));
      const acks: number[] = [];
      const recs: number[] = [];
      for (let i = 0; i < count; i++) {
        const packet = await peer.takeOrEnd('PUBACK or PUBREC');
        if (packet?.type === puback) acks.push(packet.packetId);
        if (packet?.type === pubrec) recs.push(packet.packetId);
      }
      expectEqual(
        acks,
        ids.filter((id) => id % 2 === 0),
        'identifiers of PUBACKs',
      );
      expectEqual(
        recs,
        ids.filter((id) => id % 2 === 1),
        'identifiers of PUBRECs',
      );
    },
  ),
];

const flow: readonly Case[] = [
  ...cases(
    ['MQTT-3.3.4-9', 'MQTT-4.9.0-2'],
    'No more PUBLISHes are open than Receive Maximum; each acknowledgement makes room for one',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const peer = await bench.subscriber(topic, 2, { properties: { receiveMaximum: 2 } });
      const publisher = await bench.client();
      for (let i = 0; i < 6; i++) await publisher.published(topic, `${i}`, { qos: i < 2 ? 1 : 2 });
      const takeOnly = async (count: number): Promise<PublishPacket[]> => {
        const messages: PublishPacket[] = [];
        for (let i = 0; i < count; i++) messages.push(await peer.takePublish());
        await peer.ping();
        peer.expectNothing('no more PUBLISHes than Receive Maximum');
        return messages;
      };
      const [zero, one] = (await takeOnly(2)) as [PublishPacket, PublishPacket];
      peer.ack(puback, zero.packetId);
      const [two] = (await takeOnly(1)) as [PublishPacket];
      peer.ack(pubrec, two.packetId);
      await peer.takeAck(pubrel, two.packetId);
      await takeOnly(0);
      peer.ack(pubcomp, two.packetId);
      const [three] = (await takeOnly(1)) as [PublishPacket];
      peer.ack(pubrec, three.packetId, 0x80);
      await takeOnly(1);
      peer.ack(puback, one.packetId);
      await takeOnly(1);
    },
  ),
  ...cases('MQTT-4.9.0-1', 'With Receive Maximum 1 one PUBLISH is open at a time', async (bench) => {
    bench.needsQoS(1);
    const topic = bench.topic();
    const peer = await bench.subscriber(topic, 1, { properties: { receiveMaximum: 1 } });
    const publisher = await bench.client();
    for (let i = 0; i < 3; i++) await publisher.published(topic, `${i}`, { qos: 1 });
    for (let i = 0; i < 3; i++) {
      const message = await peer.takePublish();
      expectEqual(textOf(message), `${i}`, 'message');
      await peer.ping();
      peer.expectNothing('one PUBLISH at a time');
      await peer.acknowledge(message);
    }
    await bench.silence(peer, publisher);
  }),
  ...cases(
    ['MQTT-3.3.4-10', 'MQTT-4.9.0-3'],
    'At Receive Maximum every other packet is still answered, and QoS 0 flows',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const peer = await bench.subscriber(topic, 1, { properties: { receiveMaximum: 1 } });
      const publisher = await bench.client();
      for (let i = 0; i < 3; i++) await publisher.published(topic, `${i}`, { qos: 1 });
      await peer.takePublish();
      await peer.ping();
      const other = bench.topic();
      await peer.subscribed(other, 0);
      await peer.published(bench.topic(), 'x', { qos: 1 });
      await peer.published(bench.topic(), 'x', { qos: 2 });
      await peer.unsubscribe(other);
      peer.expectNothing();
    },
  ),
  ...cases(
    '5.0/4.9 quota-of-a-connection',
    'The quota starts afresh with a resumed session, and what is sent again counts',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const options = { clientId, durable: true, properties: { receiveMaximum: 2 } };
      const peer = await bench.subscriber(topic, 1, options);
      const publisher = await bench.client();
      for (let i = 0; i < 4; i++) await publisher.published(topic, `${i}`, { qos: 1 });
      for (let i = 0; i < 2; i++) await peer.takePublish();
      await peer.drop();
      const again = await bench.client(options);
      for (const text of ['0', '1']) expectEqual(textOf(await again.takePublish()), text, 'message');
      await again.ping();
      again.expectNothing('no more PUBLISHes than Receive Maximum');
    },
  ),
  ...cases(
    '5.0/3.3.4 receive-maximum-exceeded',
    'A client beyond the announced Receive Maximum is refused',
    async (bench) => {
      bench.needsQoS(2);
      const maximum = bench.connack.receiveMaximum ?? 65_535;
      if (maximum > 5000) throw new NotApplicable(`CONNACK says Receive Maximum ${maximum}`);
      const peer = await bench.client();
      const topic = bench.topic();
      // QoS 2 without PUBREL stays open, whatever is acknowledged.
      const packets = Array.from({ length: maximum + 1 }, (_, i) =>
        publishPacket(topic, '', { qos: 2, packetId: i + 1 }),
      );
      peer.send(...packets);
      const isOver = (packet: { type: number; reasonCode?: number }): boolean =>
        packet.type === 14 || (packet.type === pubrec && (packet.reasonCode ?? 0) >= 0x80);
      const answer = await peer.takeWhere('DISCONNECT 0x93, or PUBREC of 0x80 or above', isOver).catch((error) => {
        if (peer.isOver) return undefined;
        throw error;
      });
      if (answer?.type === 14) expectTrue(orCode(0x93, 0x97)(answer.reasonCode), 'DISCONNECT 0x93', answer);
    },
  ),
  ...cases(
    ['5.0/3.3.4 receive-maximum', 'MQTT3-4.3.3-2 many'],
    'As many QoS 2 exchanges as announced may be open, and each is completed',
    async (bench) => {
      const { topic, subscriber, publisher } = await pair(bench);
      // Before 5.0 nothing is announced; ten is what any broker must stand.
      const count = bench.version === 5 ? Math.min(bench.connack.receiveMaximum ?? 200, 200) : 10;
      for (let id = 1; id <= count; id++) publisher.sendPublish(topic, `${id}`, { qos: 2, packetId: id });
      for (let id = 1; id <= count; id++) await publisher.takeAck(pubrec, id);
      for (let id = count; id >= 1; id--) publisher.ack(pubrel, id);
      for (let id = 1; id <= count; id++) await publisher.takeAck(pubcomp, id);
      const texts = (await bench.received(subscriber, publisher)).map((message) => Number(textOf(message)));
      expectEqual(
        texts.toSorted((a, b) => a - b),
        Array.from({ length: count }, (_, i) => i + 1),
        'messages',
      );
    },
  ),
];

export const deliveryCases: readonly Case[] = [...sending, ...order, ...flow];
