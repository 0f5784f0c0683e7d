/** Flags of the fixed header and packet identifiers: sections 2.1 and 2.2, and the flags of single packets. */
import type { Bench } from '../bench.ts';
import { type Bytes, field, frame, hex, properties, uint16 } from '../bytes.ts';
import { type Case, cases, slowCases } from '../case.ts';
import { expectEqual, expectTrue } from '../outcome.ts';
import { type Peer, publishPacket, subscribePacket, textOf } from '../peer.ts';

const nibbles = Array.from({ length: 16 }, (_, nibble) => nibble);

/** A legal body under each wrong low nibble. */
function wrongFlags(name: string, type: number, right: number, body: Bytes): Record<string, Bytes> {
  const wrong = nibbles.filter((nibble) => nibble !== right);
  return Object.fromEntries(wrong.map((nibble) => [`${name} with flags ${nibble}`, frame((type << 4) | nibble, body)]));
}

const none = (version: number): number[] => (version === 5 ? hex('00') : []);
const subscribeBody = (version: number, filter: string): number[] => [
  ...uint16(1),
  ...none(version),
  ...field(filter),
  0,
];
const unsubscribeBody = (version: number, filter: string): number[] => [
  ...uint16(1),
  ...none(version),
  ...field(filter),
];

interface Watch {
  /** Identifiers of messages that came, and are acknowledged now. */
  took(ids: readonly number[]): void;
  /** Nothing comes for a while. */
  stalled(): void;
}

const stallMs = 2000;

/** Waits for a message, and acknowledges it and all that came with it. Returns their number. */
async function acknowledgeAll(subscriber: Peer, watch?: Watch): Promise<number> {
  const first = subscriber.takePublish(undefined, watch === undefined ? undefined : stallMs).catch((error) => {
    if (watch === undefined) throw error;
    watch.stalled();
    return subscriber.takePublish();
  });
  const messages = [await first];
  while (subscriber.untaken.length > 0) messages.push(await subscriber.takePublish());
  const ids = messages.map(({ packetId }) => packetId);
  watch?.took(ids);
  subscriber.send(...ids.map((packetId) => ({ type: 4 as const, packetId, reasonCode: 0 })));
  return messages.length;
}

/** More QoS 1 messages than there are identifiers, in bursts, each acknowledged. */
async function manyMessages(
  bench: Bench,
  { publisher, subscriber, topic }: { publisher: Peer; subscriber: Peer; topic: string },
  watch?: Watch,
): Promise<void> {
  const burst = Math.min(400, bench.connack.receiveMaximum ?? 400);
  // The publisher's identifiers need only differ from what is open, and nothing else is.
  const packets = Array.from({ length: burst }, (_, i) => publishPacket(topic, 'x', { qos: 1, packetId: i + 1 }));
  for (let sent = 0; sent < 65_600; sent += burst) {
    publisher.send(...packets);
    for (let count = 0; count < burst; ) count += await acknowledgeAll(subscriber, watch);
    for (const { packetId } of packets) await publisher.takeAck(4, packetId);
  }
}

export const fixedHeaderCases: readonly Case[] = [
  ...cases(
    ['MQTT-2.1.3-1', 'MQTT3-2.2.2-2', 'MQTT3-2.2.2-1'],
    'Flags that are reserved must have their value in every packet',
    async (bench) => {
      const ack = uint16(1);
      await bench.refuses({
        ...wrongFlags('PUBACK', 4, 0, ack),
        ...wrongFlags('PUBREC', 5, 0, ack),
        ...wrongFlags('PUBCOMP', 7, 0, ack),
        ...wrongFlags('PINGREQ', 12, 0, []),
      });
    },
  ),
  ...cases(
    ['MQTT-2.1.3-1 connect', 'MQTT3-2.2.2-2 connect'],
    'CONNECT with a reserved flag set is refused',
    async (bench) => {
      const legal = bench.connectPacket();
      const name = field('MQTT');
      const body = [...name, bench.version, 2, ...uint16(60), ...none(bench.version), ...field(legal.clientId)];
      await bench.refusesConnect(wrongFlags('CONNECT', 1, 0, body));
    },
  ),
  ...cases(['MQTT-3.6.1-1', 'MQTT3-3.6.1-1'], 'PUBREL must have flags 0010', (bench) =>
    bench.refuses(wrongFlags('PUBREL', 6, 2, uint16(1))),
  ),
  ...cases(['MQTT-3.8.1-1', 'MQTT3-3.8.1-1'], 'SUBSCRIBE must have flags 0010', (bench) =>
    bench.refuses(wrongFlags('SUBSCRIBE', 8, 2, subscribeBody(bench.version, bench.topic()))),
  ),
  ...cases(['MQTT-3.10.1-1', 'MQTT3-3.10.1-1'], 'UNSUBSCRIBE must have flags 0010', (bench) =>
    bench.refuses(wrongFlags('UNSUBSCRIBE', 10, 2, unsubscribeBody(bench.version, bench.topic()))),
  ),
  ...cases(
    ['MQTT-3.14.1-1', 'MQTT3-3.14.1-1'],
    'DISCONNECT with a reserved flag set is an error, not a farewell: the will is published',
    async (bench) => {
      const topic = bench.topic();
      const watcher = await bench.subscriber(topic, 0);
      const flags = nibbles.slice(1);
      await bench.each(flags, async (nibble) => {
        const will = { topic, payload: Uint8Array.of(nibble), qos: 0, retain: false } as const;
        const peer = await bench.client({ will });
        peer.sendBytes([0xe0 | nibble, 0]);
        await bench.refused(peer, `DISCONNECT with flags ${nibble}`);
      });
      const wills = await Promise.all(flags.map(() => watcher.takePublish('the will')));
      expectEqual(
        wills.map(({ payload }) => payload[0] as number).sort((a, b) => a - b),
        flags,
        'wills',
      );
      await bench.silence(watcher);
    },
  ),
  ...cases('MQTT-3.15.1-1', 'AUTH must have flags 0000', async (bench) => {
    bench.needs('enhanced', 'of an authentication method');
    const { method, data } = bench.facts.enhanced as NonNullable<typeof bench.facts.enhanced>;
    const exchange = properties([0x15], field(method), [0x16], field(data));
    await bench.each(nibbles.slice(1), async (nibble) => {
      const peer = bench.open();
      const authentication = { authenticationMethod: method, authenticationData: data };
      peer.send(bench.connectPacket({ properties: authentication }));
      await peer.take(15, 'AUTH');
      peer.sendBytes(frame(0xf0 | nibble, [0x18], exchange));
      await bench.connectRefused(peer, `AUTH with flags ${nibble}`);
    });
  }),
  ...cases(
    ['MQTT-2.2.1-2', 'MQTT3-2.3.1-5'],
    'A QoS 0 PUBLISH has no packet identifier: every byte of its payload arrives',
    async (bench) => {
      const topic = bench.topic();
      const subscriber = await bench.subscriber(topic, 0);
      const publisher = await bench.client();
      const payload = Uint8Array.of(0, 1, 2, 0xff, 0);
      publisher.sendPublish(topic, payload);
      const { bytes } = await subscriber.takeFirst('PUBLISH');
      expectEqual(bytes.slice(-payload.length), payload, 'payload');
      const length = 2 + 2 + topic.length + none(bench.version).length + payload.length;
      expectEqual(bytes.length, length, 'bytes of the whole packet');
      await bench.silence(subscriber, publisher);
    },
  ),
  ...cases(
    ['MQTT-2.2.1-4', 'MQTT-4.3.2-1', 'MQTT-4.3.3-1', 'MQTT3-2.3.1-4', 'MQTT3-2.3.1-1 sent'],
    'Identifiers of what is open towards a client are not 0 and differ',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const subscriber = await bench.subscriber(topic, 2);
      const publisher = await bench.client();
      const count = 20;
      for (let i = 0; i < count; i++) await publisher.published(topic, `${i}`, { qos: i % 2 === 0 ? 1 : 2 });
      const ids = new Set<number>();
      for (let i = 0; i < count; i++) {
        const { packetId } = await subscriber.takePublish(`message ${i} of ${count}, none being acknowledged`);
        expectTrue(packetId !== 0 && !ids.has(packetId), 'an identifier not in use', packetId);
        ids.add(packetId);
      }
    },
  ),
  ...slowCases(
    ['MQTT-2.2.1-4 wrap', 'MQTT3-2.3.1-4 wrap'],
    'After 65,535 messages identifiers start again, skip 0, and nothing is lost',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const subscriber = await bench.subscriber(topic, 1);
      const publisher = await bench.client();
      await manyMessages(bench, { publisher, subscriber, topic });
      await bench.silence(subscriber, publisher);
    },
  ),
  ...slowCases(
    ['MQTT-2.2.1-4 wrap-in-use', 'MQTT3-2.3.1-4 wrap-in-use'],
    'An identifier that is in use is not used again, though 65,535 others were',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const subscriber = await bench.subscriber(topic, 1);
      const publisher = await bench.client();
      await publisher.published(topic, 'held', { qos: 1 });
      const { packetId } = await subscriber.takePublish('the message that is not acknowledged');
      let isHeld = true;
      let again = 0;
      // A broker may also wait for the acknowledgement rather than pass an identifier over.
      const acknowledge = (): void => {
        if (isHeld) subscriber.ack(4, packetId);
        isHeld = false;
      };
      const took = (ids: readonly number[]): void => {
        if (isHeld) again += ids.filter((id) => id === packetId).length;
      };
      await manyMessages(bench, { publisher, subscriber, topic }, { took, stalled: acknowledge });
      expectEqual(again, 0, `messages under identifier ${packetId}, which is in use:`);
      acknowledge();
      await bench.silence(subscriber, publisher);
    },
  ),
  ...cases(
    ['MQTT-2.2.1-5', 'MQTT-3.3.4-1', 'MQTT3-2.3.1-6', 'MQTT3-3.3.4-1'],
    'Acknowledgements repeat the identifier of their PUBLISH, and QoS 0 has none',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const peer = await bench.client();
      peer.sendPublish(topic, 'a', { qos: 1, packetId: 65_535 });
      peer.sendPublish(topic, 'b', { qos: 2, packetId: 0x1234 });
      peer.sendPublish(topic, 'c', { qos: 1, packetId: 1 });
      peer.sendPublish(topic, 'd');
      for (const packetId of [65_535, 1]) await peer.takeAck(4, packetId);
      await peer.takeAck(5, 0x1234);
      peer.ack(6, 0x1234);
      await peer.takeAck(7, 0x1234);
      await peer.ping();
      peer.expectNothing();
    },
  ),
  ...cases(
    ['MQTT-2.2.1-5 sent', 'MQTT-4.3.3-4', 'MQTT3-2.3.1-6 sent'],
    'PUBREL repeats the identifier of its PUBLISH when exchanges overlap',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const subscriber = await bench.subscriber(topic, 2);
      const publisher = await bench.client();
      for (const payload of ['a', 'b', 'c']) await publisher.published(topic, payload, { qos: 2 });
      const messages = [];
      for (let i = 0; i < 3; i++) messages.push(await subscriber.takePublish());
      for (const { packetId } of messages.toReversed()) subscriber.ack(5, packetId);
      for (const { packetId } of messages) await subscriber.takeAck(6, packetId);
      for (const { packetId } of messages) subscriber.ack(7, packetId);
      expectEqual(messages.map(textOf), ['a', 'b', 'c'], 'payloads');
      await bench.silence(subscriber, publisher);
    },
  ),
  ...cases(
    ['MQTT-2.2.1-6', 'MQTT-3.8.4-2', 'MQTT3-2.3.1-7', 'MQTT3-3.8.4-2'],
    'SUBACK and UNSUBACK repeat the identifiers of requests sent back to back',
    async (bench) => {
      const peer = await bench.client();
      const filter = bench.topic();
      const ids = [7, 65_535, 300, 1];
      peer.send(
        ...ids.map((packetId) => subscribePacket(packetId, filter)),
        ...ids.map((packetId) => ({ type: 10 as const, packetId, filters: [filter] })),
      );
      const subacks: number[] = [];
      const unsubacks: number[] = [];
      for (const _ of ids) subacks.push((await peer.take(9, 'SUBACK')).packetId);
      for (const _ of ids) unsubacks.push((await peer.take(11, 'UNSUBACK')).packetId);
      expectEqual(subacks.sort(), ids.toSorted(), 'identifiers of SUBACKs');
      expectEqual(unsubacks.sort(), ids.toSorted(), 'identifiers of UNSUBACKs');
    },
  ),
  ...cases(['5.0/2.2.1 packet-identifier-0', 'MQTT3-2.3.1-1'], 'A packet identifier of 0 is refused', (bench) =>
    bench.refuses({
      SUBSCRIBE: frame(0x82, uint16(0), none(bench.version), field(bench.topic()), [0]),
      UNSUBSCRIBE: frame(0xa2, uint16(0), none(bench.version), field(bench.topic())),
      'PUBLISH of QoS 1': frame(0x32, field(bench.topic()), uint16(0), none(bench.version), [1]),
      'PUBLISH of QoS 2': frame(0x34, field(bench.topic()), uint16(0), none(bench.version), [1]),
    }),
  ),
];
