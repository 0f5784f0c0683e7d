/** Maximum Packet Size of the client: nothing larger is sent. Sections 3.1.2.11.4 and the Reason Strings of all answers. */
import type { Bench } from '../bench.ts';
import { field, hex } from '../bytes.ts';
import { type Case, cases } from '../case.ts';
import { expectEqual, expectTrue, NotApplicable } from '../outcome.ts';
import { type Peer, textOf } from '../peer.ts';

/** The sizes of all packets a peer was sent, from its log. */
function sizes(peer: Peer): number[] {
  return peer.log.flatMap((line) => {
    if (!line.startsWith('< ')) return [];
    const told = /\((\d+) bytes\)$/.exec(line)?.[1];
    return [told === undefined ? line.slice(2).split(' ').length : Number(told)];
  });
}

/** A client whose Maximum Packet Size leaves no room for text: what answers it must do without. */
async function narrow(bench: Bench, maximumPacketSize: number): Promise<Peer> {
  const peer = bench.open();
  // CONNACK itself may need more room than the answers: then the statement cannot be seen at this broker.
  peer.send(bench.connectPacket({ properties: { maximumPacketSize } }));
  const connack = await peer.takeOrEnd('CONNACK');
  if (connack?.type !== 2 || connack.reasonCode !== 0) {
    throw new NotApplicable(`the broker does not accept Maximum Packet Size ${maximumPacketSize}`);
  }
  return peer;
}

function expectSizes(peer: Peer, maximum: number): void {
  const largest = Math.max(...sizes(peer));
  expectTrue(largest <= maximum, `no packet of more than ${maximum} bytes`, sizes(peer));
}

export const packetSizeCases: readonly Case[] = [
  ...cases(
    ['MQTT-3.1.2-24', 'MQTT-3.1.2-25'],
    'A message too large for its client is dropped as if it had been delivered',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const options = { clientId, durable: true, properties: { maximumPacketSize: 100, receiveMaximum: 1 } };
      const peer = await bench.subscriber(topic, 1, options);
      const publisher = await bench.client();
      await publisher.published(topic, new Uint8Array(200), { qos: 1 });
      await publisher.published(topic, 'small', { qos: 1 });
      await publisher.published(topic, new Uint8Array(100), { qos: 0 });
      expectEqual(textOf(await peer.receive('the small message')), 'small', 'message');
      await bench.silence(peer, publisher);
      expectSizes(peer, 100);
      await peer.drop();
      const again = await bench.client({ clientId, durable: true });
      await bench.silence(again, publisher, 'nothing that was dropped');
    },
  ),
  ...cases('MQTT-3.1.2-24 exact', 'A message of just the maximum is delivered, one byte more is not', async (bench) => {
    const topic = bench.topic();
    const peer = await bench.subscriber(topic, 0, { properties: { maximumPacketSize: 120 } });
    const publisher = await bench.client();
    const room = 120 - 2 - 2 - topic.length - 1;
    publisher.sendPublish(topic, 'x'.repeat(room + 1));
    publisher.sendPublish(topic, 'y'.repeat(room));
    expectEqual((await peer.takePublish()).payload.length, room, 'payload bytes');
    await bench.silence(peer, publisher);
  }),
  ...cases(
    ['MQTT-3.4.2-2', 'MQTT-3.4.2-3', 'MQTT-3.5.2-2', 'MQTT-3.5.2-3'],
    'PUBACK and PUBREC leave Reason String and User Properties out where they do not fit',
    async (bench) => {
      bench.needsQoS(2);
      const maximum = 40;
      const peer = await narrow(bench, maximum);
      const topics = [bench.topic(), ...(bench.facts.deniedTopic === undefined ? [] : [bench.facts.deniedTopic])];
      for (const topic of topics) for (const qos of [1, 2] as const) await peer.publish(topic, 'x', { qos });
      expectSizes(peer, maximum);
    },
  ),
  ...cases(
    ['MQTT-3.6.2-2', 'MQTT-3.6.2-3', 'MQTT-3.7.2-2', 'MQTT-3.7.2-3'],
    'PUBREL and PUBCOMP leave Reason String and User Properties out where they do not fit',
    async (bench) => {
      bench.needsQoS(2);
      const maximum = 40;
      const peer = await narrow(bench, maximum);
      peer.ack(6, 4242);
      await peer.takeAck(7, 4242);
      peer.ack(5, 4243);
      await peer.takeOrEnd('PUBREL');
      expectSizes(peer, maximum);
    },
  ),
  ...cases(
    ['MQTT-3.9.2-1', 'MQTT-3.9.2-2', 'MQTT-3.11.2-1', 'MQTT-3.11.2-2'],
    'SUBACK and UNSUBACK leave Reason String and User Properties out where they do not fit',
    async (bench) => {
      const maximum = 40;
      const peer = await narrow(bench, maximum);
      await peer.unsubscribe(bench.topic());
      if (bench.facts.deniedTopic !== undefined) await peer.subscribe(bench.facts.deniedTopic, 1);
      peer.send({
        type: 10,
        packetId: 99,
        filters: [bench.topic(), bench.topic()],
      });
      await peer.take(11, 'UNSUBACK');
      expectSizes(peer, maximum);
    },
  ),
  ...cases(
    ['MQTT-3.14.2-3', 'MQTT-3.14.2-4'],
    'DISCONNECT leaves Reason String and User Properties out where they do not fit',
    async (bench) => {
      const maximum = 40;
      for (const bytes of [hex('36 07 00 01 61 00 01 00 78'), hex('80 02 00 01'), hex('30 03 00 00 00')]) {
        const peer = await narrow(bench, maximum);
        peer.sendBytes(bytes);
        await bench.refused(peer, 'a packet that is an error');
        expectSizes(peer, maximum);
      }
    },
  ),
  ...cases(
    ['MQTT-3.2.2-19', 'MQTT-3.2.2-20'],
    'A refusing CONNACK leaves Reason String and User Properties out where they do not fit',
    async (bench) => {
      const maximumPacketSize = 8;
      const { rejected } = bench.facts;
      const packets = [
        bench.connectPacket({ properties: { maximumPacketSize, authenticationMethod: 'no-such-method' } }),
      ];
      if (rejected !== undefined) {
        const { username } = rejected;
        const password = new TextEncoder().encode(rejected.password);
        packets.push(bench.connectPacket({ username, password, properties: { maximumPacketSize } }));
      }
      for (const packet of packets) {
        const peer = bench.open();
        peer.send(packet);
        await bench.connectRefused(peer, 'a refusal with a tiny Maximum Packet Size');
        for (const size of sizes(peer)) expectTrue(size <= maximumPacketSize, 'a CONNACK of 8 bytes at most', size);
      }
    },
  ),
  ...cases('5.0/3.2.2.3.6 too-large', 'A packet above the announced Maximum Packet Size is refused', async (bench) => {
    const maximum = bench.connack.maximumPacketSize;
    if (maximum === undefined) throw new NotApplicable('CONNACK announces no Maximum Packet Size');
    const peer = await bench.client();
    // The header alone tells the size.
    const length = maximum + 1;
    if (length > 268_435_455) throw new NotApplicable('no packet is larger');
    const bytes = [0x30];
    for (let rest = length; ; rest = Math.floor(rest / 128)) {
      bytes.push(rest >= 128 ? (rest % 128) | 0x80 : rest);
      if (rest < 128) break;
    }
    peer.sendBytes([...bytes, ...field(bench.topic()), 0, 1]);
    await bench.refused(peer, 'a packet too large', {
      isCode: (code) => code === 0x95 || code === 0x81 || code === 0x82,
    });
  }),
];
