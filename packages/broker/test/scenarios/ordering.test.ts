/** Messages of one topic and QoS arrive in the order in which they were published, whatever they waited for. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, PacketType, type QoS, ReasonCode } from '@pipit/protocol';
import { puback, pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const lasting = { properties: { sessionExpiryInterval: 1000 } } as const;

function payloads(packets: readonly Packet[]): string[] {
  return packets.map((packet) =>
    packet.type === PacketType.Publish ? new TextDecoder().decode(packet.payload) : `type ${packet.type}`,
  );
}

/** Reads and acknowledges until nothing comes any more; the payloads of each QoS, in order, without repeats of PUBREL. */
function drain(subscriber: Client): Record<QoS, string[]> {
  const seen: Record<QoS, string[]> = { 0: [], 1: [], 2: [] };
  for (let packets = subscriber.takeAll(); packets.length > 0; packets = subscriber.takeAll()) {
    const answers: Packet[] = [];
    for (const packet of packets) {
      if (packet.type === PacketType.Pubrel) answers.push(pubcomp(packet.packetId));
      if (packet.type !== PacketType.Publish) continue;
      seen[packet.qos].push(...payloads([packet]));
      if (packet.qos === 1) answers.push(puback(packet.packetId));
      if (packet.qos === 2) answers.push(pubrec(packet.packetId));
    }
    if (answers.length > 0) subscriber.send(...answers);
  }
  return seen;
}

function mixed(count: number): Packet[] {
  return Array.from({ length: count }, (_, i) => {
    const qos = (i % 3) as QoS;
    return publish({ topic: 't', qos, packetId: qos === 0 ? 0 : i + 1, payload: `${i}` });
  });
}

const every3rd = (count: number, from: number) =>
  Array.from({ length: count }, (_, i) => i)
    .filter((i) => i % 3 === from)
    .map(String);

for (const store of storeKinds) {
  describe(`ordering, store: ${store}`, () => {
    test('[MQTT-4.6.0-6] [MQTT-4.6.0-5] per topic and QoS, with windows of every size', () => {
      const world = new World({ store });
      const subscribers = [1, 2, 7, 1000].flatMap((receiveMaximum) =>
        [0, 1000].map((sessionExpiryInterval) =>
          world.connect({
            clientId: `${receiveMaximum} ${sessionExpiryInterval}`,
            properties: { receiveMaximum, sessionExpiryInterval },
          }),
        ),
      );
      for (const subscriber of subscribers) {
        subscriber.send(subscribe(1, { filter: 't', qos: 2 }));
        subscriber.expect(suback(1, 2));
      }
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(...mixed(90));
      publisher.takeAll();
      for (const subscriber of subscribers) {
        assert.deepEqual(drain(subscriber), { 0: every3rd(90, 0), 1: every3rd(90, 1), 2: every3rd(90, 2) });
      }
      world.end();
    });

    test('[MQTT-4.6.0-1] after a resume: in flight first, then what waited, then what is live', () => {
      const world = new World({ store });
      let subscriber = world.connect({ clientId: 'subscriber', ...lasting });
      subscriber.send(subscribe(1, { filter: 't', qos: 1 }));
      subscriber.expect(suback(1, 1));
      const publisher = world.connect({ clientId: 'publisher' });
      const send = (from: number, to: number) => {
        for (let i = from; i < to; i++)
          publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, payload: `${i}` }));
      };
      send(0, 5);
      assert.deepEqual(payloads(subscriber.takeAll()), ['0', '1', '2', '3', '4']);
      subscriber.drop();
      send(5, 10);
      subscriber = world.connect({
        clientId: 'subscriber',
        cleanStart: false,
        properties: { sessionExpiryInterval: 1000, receiveMaximum: 3 },
      });
      send(10, 12);
      const first = subscriber.takeAll();
      assert.deepEqual(payloads(first), ['0', '1', '2']);
      subscriber.send(puback(1), puback(2), puback(3));
      send(12, 14);
      const second = subscriber.takeAll();
      assert.deepEqual(payloads(second), ['3', '4', '5']);
      assert.deepEqual(
        [...first, ...second].map((packet) => packet.type === PacketType.Publish && packet.dup),
        [true, true, true, true, true, false],
      );
      subscriber.send(puback(4), puback(5), puback(6));
      assert.deepEqual(drain(subscriber)[1], ['6', '7', '8', '9', '10', '11', '12', '13']);
      world.end();
    });

    test('[MQTT-4.6.0-2] [MQTT-4.6.0-3] acknowledgements come in the order of the publishes, of every kind', () => {
      const world = new World({ store });
      const away = world.connect({ clientId: 'away', ...lasting });
      away.send(subscribe(1, { filter: 'kept', qos: 2 }));
      away.expect(suback(1, 2));
      away.drop();
      const publisher = world.connect({ clientId: 'publisher', ...lasting });
      // Some need the disk, some do not.
      const topics = ['kept', 'nobody', '$SYS/no', 'kept', 'nobody', 'kept'];
      const packets = topics.map((topic, i) => publish({ topic, qos: i % 2 === 0 ? 1 : 2, packetId: i + 1 }));
      publisher.send(...packets);
      const none = ReasonCode.NoMatchingSubscribers;
      publisher.expect(
        puback(1),
        pubrec(2, none),
        puback(3, ReasonCode.NotAuthorized),
        pubrec(4),
        puback(5, none),
        pubrec(6),
      );
      publisher.send(pubrel(6), pubrel(2), pubrel(4));
      publisher.expect(pubcomp(6), pubcomp(2), pubcomp(4));
      world.end();
    });

    test('[MQTT-4.6.0-4] PUBREL in the order of PUBREC', () => {
      const world = new World({ store });
      const subscriber = world.connect({ clientId: 'subscriber', ...lasting });
      subscriber.send(subscribe(1, { filter: 't', qos: 2 }));
      subscriber.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(...[1, 2, 3].map((packetId) => publish({ topic: 't', qos: 2, packetId })));
      assert.equal(publisher.takeAll().length, 3);
      assert.equal(subscriber.takeAll().length, 3);
      subscriber.send(pubrec(2), pubrec(1), pubrec(3));
      subscriber.expect(pubrel(2), pubrel(1), pubrel(3));
      world.end();
    });
  });
}

describe('ordering while the store is slow', () => {
  test('[MQTT-4.6.0-6] what came before CONNACK had left is not overtaken by what came after', () => {
    const world = new World({ store: 'late' });
    const store = world.store as NonNullable<World['store']>;
    const publisher = world.connect({ clientId: 'publisher', version: 4 });
    const noise = world.connect({ clientId: 'noise', ...lasting });
    const setup = world.connect({ clientId: 'subscriber', ...lasting });
    setup.send(subscribe(1, { filter: 't', qos: 1 }));
    setup.expect(suback(1, 1));
    setup.drop();
    store.isStalled = true;
    const subscriber = world.connecting({ clientId: 'subscriber', cleanStart: false, ...lasting });
    subscriber.expectNothing();
    publisher.send(
      publish({ topic: 't', payload: 'one' }),
      publish({ topic: 't', qos: 1, packetId: 1, payload: 'one' }),
    );
    noise.send(subscribe(1, 'x'));
    subscriber.expectNothing();
    store.isStalled = false;
    store.answer(world.core, world.now); // CONNACK may leave; the batch behind it is still open.
    store.isStalled = true;
    publisher.send(
      publish({ topic: 't', payload: 'two' }),
      publish({ topic: 't', qos: 1, packetId: 2, payload: 'two' }),
    );
    store.isStalled = false;
    world.settle();
    assert.equal(subscriber.take().type, PacketType.Connack);
    assert.deepEqual(drain(subscriber), { 0: ['one', 'two'], 1: ['one', 'two'], 2: [] });
    noise.expect(suback(1, 0));
    publisher.expect(puback(1), puback(2));
    world.end();
  });
});
