/** A replay of retained messages is a cursor: paced by the window, values read in their turn, resumed after a disconnect. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, PacketType } from '@pipit/protocol';
import { puback, publish, suback, subscribe, subscribeWith, unsuback, unsubscribe } from './packets.ts';
import type { StoreDouble } from './store-double.ts';
import { type Client, retainedKinds, World } from './world.ts';

const lasting = (receiveMaximum: number) => ({
  clientId: 'reader',
  cleanStart: false,
  properties: { sessionExpiryInterval: 1000, receiveMaximum },
});

function shown(packets: readonly Packet[]): string[] {
  return packets.map((packet) =>
    packet.type === PacketType.Publish
      ? `${packet.topic}=${new TextDecoder().decode(packet.payload)}${packet.retain ? ' kept' : ''}`
      : `type ${packet.type}`,
  );
}

for (const [store, limits, where] of retainedKinds) {
  describe(`retained replay, store: ${store}, values ${where}`, () => {
    /** `t/1` to `t/n` are retained at QoS 1. */
    function open(n: number): { world: World; publisher: Client } {
      const world = new World({ store, limits });
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      for (let i = 1; i <= n; i++) keep(publisher, i, 'old');
      return { world, publisher };
    }

    function keep(publisher: Client, i: number, payload: string, qos: 0 | 1 = 1): void {
      publisher.publishWhole(publish({ topic: `t/${i}`, qos, packetId: qos, retain: true, payload }));
    }

    function start(world: World, receiveMaximum: number): Client {
      const reader = world.connect(lasting(receiveMaximum));
      reader.send(subscribe(1, { filter: 't/+', qos: 1 }));
      return reader;
    }

    /** What came but for SUBACK, which may be late when it waits for the disk. */
    function got(reader: Client): string[] {
      return shown(reader.takeAll().filter((packet) => packet.type !== PacketType.Suback));
    }

    test('[MQTT-3.3.4-9] never more than the window allows', () => {
      const { world } = open(5);
      const reader = start(world, 2);
      assert.deepEqual(got(reader), ['t/1=old kept', 't/2=old kept']);
      reader.send(puback(2));
      assert.deepEqual(got(reader), ['t/3=old kept']);
      reader.send(puback(1), puback(3));
      assert.deepEqual(got(reader), ['t/4=old kept', 't/5=old kept']);
      reader.send(puback(4), puback(5));
      reader.expectNothing();
      world.end();
    });

    test('a value replaced before its turn was delivered live, and is not sent again', () => {
      const { world, publisher } = open(3);
      const reader = start(world, 1);
      assert.deepEqual(got(reader), ['t/1=old kept']);
      keep(publisher, 2, 'new', 0);
      keep(publisher, 3, 'new', 1);
      assert.deepEqual(got(reader), ['t/2=new']);
      reader.send(puback(1));
      assert.deepEqual(got(reader), ['t/3=new']);
      reader.send(puback(2));
      reader.expectNothing();
      world.end();
    });

    test('one cleared or expired before its turn is not sent', () => {
      const { world, publisher } = open(2);
      const timed = world.connect({ clientId: 'timed' });
      timed.send(publish({ topic: 't/3', retain: true, payload: 'brief', properties: { messageExpiryInterval: 5 } }));
      const reader = start(world, 1);
      assert.deepEqual(got(reader), ['t/1=old kept']);
      publisher.send(publish({ topic: 't/2', retain: true }));
      assert.deepEqual(got(reader), ['t/2=']);
      world.advance(5_000);
      reader.send(puback(1));
      reader.expectNothing();
      world.end();
    });

    test('new topics that come while it goes on are delivered live, once', () => {
      const { world, publisher } = open(2);
      const reader = start(world, 1);
      assert.deepEqual(got(reader), ['t/1=old kept']);
      keep(publisher, 9, 'new', 0);
      assert.deepEqual(got(reader), ['t/9=new']);
      reader.send(puback(1));
      assert.deepEqual(got(reader), ['t/2=old kept']);
      reader.send(puback(2));
      reader.expectNothing();
      world.end();
    });

    test('cut off by a disconnect it goes on with the session: in flight again, then the rest', () => {
      const { world } = open(4);
      let reader = start(world, 2);
      assert.deepEqual(got(reader), ['t/1=old kept', 't/2=old kept']);
      reader.send(puback(1));
      assert.deepEqual(got(reader), ['t/3=old kept']);
      reader.drop();
      world.advance(1_000);
      reader = world.connect(lasting(10));
      assert.deepEqual(got(reader), ['t/2=old kept', 't/3=old kept', 't/4=old kept']);
      world.end();
    });

    test('what came while it was away comes first, and what that replaced not at all', () => {
      const { world, publisher } = open(3);
      let reader = start(world, 1);
      assert.deepEqual(got(reader), ['t/1=old kept']);
      reader.drop();
      keep(publisher, 2, 'new');
      reader = world.connect(lasting(10));
      assert.deepEqual(got(reader), ['t/1=old kept', 't/2=new', 't/3=old kept']);
      world.end();
    });

    test('a session that ends takes its replay with it', () => {
      const { world } = open(3);
      let reader = start(world, 1);
      assert.deepEqual(got(reader), ['t/1=old kept']);
      reader.drop();
      reader = world.connect({ ...lasting(10), cleanStart: true });
      reader.expectNothing();
      world.end();
    });

    test('subscribing again begins it anew', () => {
      const { world } = open(3);
      const reader = start(world, 1);
      assert.deepEqual(got(reader), ['t/1=old kept']);
      reader.send(subscribe(2, { filter: 't/+', qos: 1 }));
      reader.send(puback(1));
      assert.deepEqual(got(reader), ['t/1=old kept']);
      for (const id of [2, 3]) reader.send(puback(id));
      assert.deepEqual(got(reader), ['t/2=old kept', 't/3=old kept']);
      world.end();
    });

    test('each filter is replayed with its own identifier', () => {
      const { world } = open(1);
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribeWith(1, { subscriptionIdentifier: 1 }, 't/+'));
      reader.send(subscribeWith(2, { subscriptionIdentifier: 2 }, 't/#'));
      const kept = publish({ topic: 't/1', retain: true, payload: 'old' });
      reader.expect(suback(1, 0), { ...kept, properties: { subscriptionIdentifiers: [1] } }, suback(2, 0), {
        ...kept,
        properties: { subscriptionIdentifiers: [2] },
      });
      world.end();
    });

    test('thousands of them go in steps: others are served in between', () => {
      const world = new World({ store, limits: { ...limits, turnDeliveriesMax: 100 } });
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      publisher.send(
        ...Array.from({ length: 5_000 }, (_, i) => publish({ topic: `t/${i}`, retain: true, payload: 'x' })),
      );
      const other = world.connect({ clientId: 'other', version: 4 });
      other.send(subscribe(1, 'live'));
      other.expect(suback(1, 0));
      const reader = world.connect({ clientId: 'reader', version: 4 });
      const turnsBefore = world.turns;
      reader.send(subscribe(1, 't/+'));
      assert.equal(reader.takeAll().length, 5_001);
      assert.ok(world.turns - turnsBefore >= 50);
      world.end();
    });
  });
}

test('a value that was in memory when others were asked for, and was not on the disk then, is given all the same', () => {
  const world = new World({ store: 'late', limits: { retainedBytesInMemoryMax: 0 } });
  const store = world.store as StoreDouble;
  const publisher = world.connect({ clientId: 'publisher' });
  publisher.publishWhole(publish({ topic: 't/1', payload: 'old', retain: true, qos: 1, packetId: 1 }), 0x10);
  const reader = world.connect({ clientId: 'reader' });
  store.isCommitStalled = true;
  store.isPagingStalled = true;
  publisher.send(publish({ topic: 't/2', payload: 'new', retain: true }));
  reader.send(subscribe(1, { filter: 't/#', qos: 0 }));
  world.settle();
  assert.equal(store.fetchesWaiting.length, 1);
  store.isCommitStalled = false;
  world.settle();
  store.isPagingStalled = false;
  const retained = (topic: string, payload: string) => publish({ topic, payload, retain: true });
  reader.expect(suback(1, 0), retained('t/1', 'old'), retained('t/2', 'new'));
  assert.deepEqual(store.retainedTopics, ['t/1', 't/2']);
  world.end();
});

test('who unsubscribes while a replay waits for the store leaves the next one to its turn', () => {
  const world = new World({ store: 'late', limits: { retainedBytesInMemoryMax: 0 } });
  const publisher = world.connect({ clientId: 'publisher' });
  publisher.publishWhole(publish({ topic: 't/1', payload: 'value', retain: true, qos: 1, packetId: 1 }), 0x10);
  const { store } = world;
  assert.ok(store !== null);
  store.isPagingBroken = true;
  const reader = world.connect({ clientId: 'reader' });
  reader.send(subscribe(1, { filter: 't/+', qos: 1 }, { filter: 't/1', qos: 1 }));
  reader.expect(suback(1, 1, 1));
  assert.equal(world.takeEvents('fetch-failed').length, 1);
  store.isPagingBroken = false;
  reader.send(unsubscribe(2, 't/+'));
  const value = publish({ topic: 't/1', payload: 'value', retain: true, qos: 1, packetId: 1 });
  reader.expect(unsuback(2, 0), value);
  world.end();
});
