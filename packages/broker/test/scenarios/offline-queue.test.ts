/** What waits for a session that is away, or behind a window that is full: within its limits, the newest dropped beyond. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, PacketType, type QoS } from '@pipit/protocol';
import { puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World, type WorldOptions } from './world.ts';

const lasting = { clientId: 'reader', cleanStart: false, properties: { sessionExpiryInterval: 10_000 } } as const;

const numbersOf = (packets: readonly Packet[]) =>
  packets.map((packet) => (packet.type === PacketType.Publish ? Number(String.fromCharCode(...packet.payload)) : -1));

const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, i) => i + from);

for (const store of storeKinds) {
  describe(`offline queue, store: ${store}`, () => {
    function away(options: WorldOptions): { world: World; publisher: Client } {
      const world = new World({ store, ...options });
      const reader = world.connect(lasting);
      reader.send(subscribe(1, { filter: 't', qos: 2 }));
      reader.expect(suback(1, 2));
      reader.drop();
      return { world, publisher: world.connect({ clientId: 'publisher' }) };
    }

    const message = (i: number, qos: QoS = 1) =>
      publish({ topic: 't', qos, packetId: qos === 0 ? 0 : 1, payload: `${i}` });

    test('as many messages as there may be, then the newest is dropped, counted and told once an interval', () => {
      const { world, publisher } = away({ limits: { queueMessagesMax: 5 } });
      for (const i of upTo(5)) publisher.publishWhole(message(i, i % 2 === 0 ? 1 : 2));
      assert.deepEqual(world.takeEvents('dropped'), []);
      for (const i of upTo(3, 6)) publisher.publishWhole(message(i)); // Acknowledged all the same.
      world.advance(10_000);
      const told = world.takeEvents('dropped').map(({ reason, clientId, count }) => ({ reason, clientId, count }));
      assert.deepEqual(told, [
        { reason: 'queue-full', clientId: 'reader', count: 1 },
        { reason: 'queue-full', clientId: 'reader', count: 2 },
      ]);
      assert.equal(world.core.metrics.drops.get('queue-full'), 3);
      const reader = world.connect(lasting);
      assert.deepEqual(numbersOf(reader.takeAll()), upTo(5));
      world.end();
    });

    test('what is in flight counts, too', () => {
      const { world, publisher } = away({ limits: { queueMessagesMax: 5 } });
      const reader = world.connect({ ...lasting, properties: { ...lasting.properties, receiveMaximum: 2 } });
      for (const i of upTo(7)) publisher.publishWhole(message(i));
      assert.deepEqual(numbersOf(reader.takeAll()), [1, 2]);
      reader.send(puback(1));
      assert.deepEqual(numbersOf(reader.takeAll()), [3]);
      publisher.publishWhole(message(8));
      publisher.publishWhole(message(9));
      for (let id = 2; id <= 6; id++) reader.send(puback(id));
      assert.deepEqual(numbersOf(reader.takeAll()), [4, 5, 8]);
      world.end();
    });

    test('as many bytes as there may be, and one more', () => {
      // Topic (with its length), payload, and 128 bytes for every message.
      const { world, publisher } = away({ limits: { queueBytesMax: 2 * (3 + 10 + 128) } });
      const sized = (length: number, last: string) =>
        publish({ topic: 't', qos: 1, packetId: 1, payload: last.padStart(length, '0') });
      publisher.publishWhole(sized(10, '1'));
      publisher.publishWhole(sized(11, '2'));
      publisher.publishWhole(sized(10, '3'));
      publisher.publishWhole(sized(1, '4'));
      const reader = world.connect(lasting);
      assert.deepEqual(numbersOf(reader.takeAll()), [1, 3]);
      assert.equal(world.core.metrics.drops.get('queue-full'), 2);
      world.end();
    });

    test('[MQTT-3.3.2-5] what has expired makes room first', () => {
      const { world, publisher } = away({ limits: { queueMessagesMax: 3 } });
      publisher.publishWhole(message(1));
      publisher.publishWhole({ ...message(2), properties: { messageExpiryInterval: 5 } });
      publisher.publishWhole(message(3));
      publisher.publishWhole(message(4)); // Not expired yet.
      world.advance(5_000);
      publisher.publishWhole(message(5));
      publisher.publishWhole(message(6));
      const reader = world.connect(lasting);
      assert.deepEqual(numbersOf(reader.takeAll()), [1, 3, 5]);
      assert.equal(world.core.metrics.drops.get('expired'), 1);
      assert.equal(world.core.metrics.drops.get('queue-full'), 2);
      world.end();
    });

    test('one full queue is nobody else’s', () => {
      const { world, publisher } = away({ limits: { queueMessagesMax: 1 } });
      const other = world.connect({ clientId: 'other' });
      other.send(subscribe(1, { filter: 't', qos: 1 }));
      other.expect(suback(1, 1));
      for (const i of upTo(3)) {
        publisher.publishWhole(message(i));
        other.receiveWhole({ ...message(i), packetId: i });
      }
      const reader = world.connect(lasting);
      assert.deepEqual(numbersOf(reader.takeAll()), [1]);
      world.end();
    });

    test('QoS 0 is dropped for who is away, published so or granted so', () => {
      const { world, publisher } = away({});
      const zero = world.connect({ ...lasting, clientId: 'zero' });
      zero.send(subscribe(1, { filter: 't', qos: 0 }));
      zero.expect(suback(1, 0));
      zero.drop();
      publisher.publishWhole(message(1, 0));
      publisher.publishWhole(message(2, 1));
      const reader = world.connect(lasting);
      assert.deepEqual(numbersOf(reader.takeAll()), [2]);
      world.connect({ ...lasting, clientId: 'zero' }).expectNothing();
      assert.equal(world.core.metrics.drops.get('offline-qos0'), 3); // One for `reader`, both for `zero`.
      assert.deepEqual(world.takeEvents('dropped'), []);
      world.end();
    });

    test('QoS 0 is queued where the setting says so, in its place in the line', () => {
      const { world, publisher } = away({ queueQos0: true, limits: { queueMessagesMax: 4 } });
      for (const i of upTo(5)) publisher.publishWhole(message(i, i % 2 === 0 ? 0 : 1));
      const reader = world.connect(lasting);
      const packets = reader.takeAll();
      assert.deepEqual(numbersOf(packets), [1, 2, 3, 4]);
      for (const packet of packets) if (packet.type === PacketType.Publish) reader.acknowledgeWhole(packet);
      reader.drop();
      world.connect(lasting).expectNothing();
      world.end();
    });

    test('[MQTT-4.6.0-5] QoS 0 that was queued is not overtaken by what is live', () => {
      const { world, publisher } = away({ queueQos0: true });
      publisher.publishWhole(message(1, 1));
      publisher.publishWhole(message(2, 1));
      publisher.publishWhole(message(3, 0));
      const reader = world.connect({ ...lasting, properties: { ...lasting.properties, receiveMaximum: 1 } });
      publisher.publishWhole(message(4, 0));
      assert.deepEqual(numbersOf(reader.takeAll()), [1]);
      reader.send(puback(1));
      assert.deepEqual(numbersOf(reader.takeAll()), [2, 3, 4]);
      reader.send(puback(2));
      publisher.publishWhole(message(5, 0));
      assert.deepEqual(numbersOf(reader.takeAll()), [5]);
      world.end();
    });

    test('a queue longer than what is kept in memory comes whole and in order', () => {
      const { world, publisher } = away({ limits: { queuePrefixMessages: 10 } });
      for (const i of upTo(100)) publisher.publishWhole(message(i));
      let reader = world.connect({ ...lasting, properties: { ...lasting.properties, receiveMaximum: 7 } });
      const got: number[] = [];
      for (let packets = reader.takeAll(); got.length < 50; packets = reader.takeAll()) {
        got.push(...numbersOf(packets));
        for (const packet of packets) if (packet.type === PacketType.Publish) reader.send(puback(packet.packetId));
      }
      const unacknowledged = numbersOf(reader.takeAll());
      reader.drop();
      reader = world.connect(lasting);
      const rest = reader.takeAll();
      assert.deepEqual([...got, ...numbersOf(rest)], upTo(100));
      assert.deepEqual(numbersOf(rest).slice(0, unacknowledged.length), unacknowledged);
      world.end();
    });
  });
}
