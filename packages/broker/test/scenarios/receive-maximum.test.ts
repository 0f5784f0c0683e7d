/** Receive Maximum both ways: never more open towards the client than it allows, never more from it than we announced. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { puback, pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

const message = (payload: number, packetId: number, qos: 1 | 2 = 1) =>
  publish({ topic: 't', qos, packetId, payload: `${payload}` });

for (const store of storeKinds) {
  describe(`Receive Maximum, store: ${store}`, () => {
    test("[MQTT-3.3.4-9] the client's 1: one at a time, QoS 0 goes by", () => {
      const world = new World({ store });
      const subscriber = world.connect({ clientId: 'subscriber', properties: { receiveMaximum: 1 } });
      subscriber.send(subscribe(1, { filter: '#', qos: 2 }));
      subscriber.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message(1, 1, 1));
      publisher.publishWhole(message(2, 2, 2));
      publisher.publishWhole(message(3, 3, 1));
      publisher.publishWhole(publish({ topic: 't', payload: 'zero' }));
      subscriber.expect(message(1, 1, 1), publish({ topic: 't', payload: 'zero' }));
      subscriber.send(puback(1));
      subscriber.expect(message(2, 2, 2));
      subscriber.send(pubrec(2));
      subscriber.expect(pubrel(2)); // Open until PUBCOMP (4.9).
      subscriber.send(pubcomp(2));
      subscriber.receiveWhole(message(3, 3, 1));
      world.end();
    });

    test("[MQTT-3.3.4-9] the client's 2, at it and one past it", () => {
      const world = new World({ store });
      const subscriber = world.connect({ clientId: 'subscriber', properties: { receiveMaximum: 2 } });
      subscriber.send(subscribe(1, { filter: '#', qos: 2 }));
      subscriber.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of [1, 2, 3, 4]) publisher.publishWhole(message(i, i, i === 2 ? 2 : 1));
      subscriber.expect(message(1, 1), message(2, 2, 2));
      subscriber.send(pubrec(2));
      subscriber.expect(pubrel(2));
      subscriber.send(puback(1));
      subscriber.expect(message(3, 3));
      subscriber.send(pubcomp(2), puback(3));
      subscriber.expect(message(4, 4));
      world.end();
    });

    test('65,535 and none: as many as the broker sends at once', () => {
      for (const properties of [{ receiveMaximum: 65_535 }, {}]) {
        const world = new World({ store, limits: { sendMaximum: 20 } });
        const subscriber = world.connect({ clientId: 'subscriber', properties });
        subscriber.send(subscribe(1, { filter: '#', qos: 1 }));
        subscriber.expect(suback(1, 1));
        const publisher = world.connect({ clientId: 'publisher', version: 4 });
        for (let i = 1; i <= 21; i++) publisher.publishWhole(message(i, i));
        subscriber.expect(...Array.from({ length: 20 }, (_, i) => message(i + 1, i + 1)));
        subscriber.send(puback(7));
        subscriber.expect(message(21, 21));
        world.end();
      }
    });

    test('it belongs to the connection: a resume with less sends less again, PUBREL whatever it is', () => {
      const world = new World({ store });
      const connect = (receiveMaximum: number) =>
        world.connect({
          clientId: 'subscriber',
          cleanStart: false,
          properties: { sessionExpiryInterval: 100, receiveMaximum },
        });
      let subscriber = connect(10);
      subscriber.send(subscribe(1, { filter: '#', qos: 2 }));
      subscriber.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of [1, 2, 3, 4]) publisher.publishWhole(message(i, i, 2));
      subscriber.expect(...[1, 2, 3, 4].map((i) => message(i, i, 2)));
      subscriber.send(pubrec(1), pubrec(2));
      subscriber.expect(pubrel(1), pubrel(2));
      subscriber.drop();
      subscriber = connect(1);
      subscriber.expect(pubrel(1), pubrel(2), { ...message(3, 3, 2), dup: true });
      subscriber.send(pubrec(3));
      subscriber.expect(pubrel(3));
      subscriber.send(pubcomp(3));
      subscriber.expect({ ...message(4, 4, 2), dup: true });
      world.end();
    });

    test('ours: QoS 2 messages are open until PUBREL; one more than announced is 0x93', () => {
      const world = new World({ store, limits: { receiveMaximum: 2 } });
      const publisher = world.connect({ clientId: 'publisher' });
      const none = ReasonCode.NoMatchingSubscribers;
      publisher.send(message(1, 1, 2), message(2, 2, 2));
      publisher.expect(pubrec(1, none), pubrec(2, none));
      publisher.send(message(1, 1, 2)); // Again: not one more.
      publisher.expect(pubrec(1));
      publisher.releaseWhole(1);
      publisher.send(message(3, 1, 2));
      publisher.expect(pubrec(1, none));
      publisher.send(message(4, 4, 2));
      publisher.expectDisconnected(ReasonCode.ReceiveMaximumExceeded);
      const other = world.connect({ clientId: 'other' });
      other.send(message(1, 1, 2), message(2, 2, 2));
      other.expect(pubrec(1, none), pubrec(2, none));
      other.send(message(3, 3, 1));
      other.expectDisconnected(ReasonCode.ReceiveMaximumExceeded);
      world.end();
    });

    test('ours: QoS 0, refused messages and acknowledged ones do not count', () => {
      const world = new World({ store, limits: { receiveMaximum: 1 } });
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of [1, 2, 3]) {
        publisher.publishWhole(publish({ topic: 't' }));
        publisher.publishWhole(message(i, i, 1), ReasonCode.NoMatchingSubscribers);
        publisher.publishWhole({ ...message(i, i, 2), topic: '$SYS/no' }, ReasonCode.NotAuthorized);
      }
      publisher.send(message(9, 9, 2));
      publisher.expect(pubrec(9, ReasonCode.NoMatchingSubscribers));
      publisher.publishWhole(publish({ topic: 't' }));
      world.end();
    });

    test('ours: a 3.x client may have as many QoS 2 messages open as it has ids', () => {
      // A small budget: its bytes are read on in many turns.
      const world = new World({ store, limits: { receiveMaximum: 2, turnDeliveriesMax: 1 } });
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribe(1, 't'));
      reader.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      const ids = [1, 2, 3, 4, 5, 6];
      publisher.send(...ids.map((id) => message(id, id, 2)));
      publisher.expect(...ids.map((id) => pubrec(id)));
      reader.expect(...ids.map((id) => publish({ topic: 't', payload: `${id}` })));
      for (const id of ids) publisher.releaseWhole(id);
      world.end();
    });

    test('the PUBCOMP of a PUBREL that was sent again gives back nothing that was not taken', () => {
      const world = new World({ store });
      const connect = () =>
        world.connect({
          clientId: 'subscriber',
          cleanStart: false,
          properties: { sessionExpiryInterval: 100, receiveMaximum: 2 },
        });
      let subscriber = connect();
      subscriber.send(subscribe(1, { filter: '#', qos: 2 }));
      subscriber.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message(1, 1, 2));
      subscriber.expect(message(1, 1, 2));
      subscriber.send(pubrec(1));
      subscriber.expect(pubrel(1));
      subscriber.drop();
      subscriber = connect();
      subscriber.expect(pubrel(1));
      for (const id of [2, 3, 4]) publisher.publishWhole(message(id, id, 1));
      subscriber.expect(message(2, 2, 1), message(3, 3, 1));
      subscriber.send(pubcomp(1));
      subscriber.expectNothing();
      subscriber.send(puback(2));
      subscriber.expect(message(4, 4, 1));
      world.end();
    });
  });
}

describe('Receive Maximum while acknowledgements wait for the disk', () => {
  function worldWithReader(): World {
    const world = new World({ store: 'late', limits: { receiveMaximum: 2 } });
    const reader = world.connect({ clientId: 'reader', version: 4, cleanStart: false });
    reader.send(subscribe(1, { filter: 't', qos: 1 }));
    reader.expect(suback(1, 1));
    reader.drop();
    return world;
  }

  test('5.0: what has no PUBACK yet is open; one more is 0x93', () => {
    const world = worldWithReader();
    const store = world.store as NonNullable<World['store']>;
    const publisher = world.connect({ clientId: 'publisher' });
    store.isStalled = true;
    publisher.send(message(1, 1), message(2, 2));
    publisher.expectNothing();
    publisher.send(message(3, 3));
    publisher.expectDisconnected(ReasonCode.ReceiveMaximumExceeded);
    store.isStalled = false;
    world.end();
  });

  test('5.0: acknowledged, the next may come', () => {
    const world = worldWithReader();
    const store = world.store as NonNullable<World['store']>;
    const publisher = world.connect({ clientId: 'publisher' });
    for (const round of [1, 2, 3]) {
      store.isStalled = true;
      publisher.send(message(round, 1), message(round, 2));
      publisher.expectNothing();
      store.isStalled = false;
      publisher.expect(puback(1), puback(2));
    }
    world.end();
  });

  test('3.x: paused, never closed; nothing is lost', () => {
    for (const version of [3, 4] as const) {
      const world = worldWithReader();
      const store = world.store as NonNullable<World['store']>;
      const publisher = world.connect({ clientId: 'publisher', version });
      store.isStalled = true;
      publisher.send(...[1, 2, 3, 4, 5].map((i) => message(i, i)));
      publisher.expectNothing();
      assert.ok(publisher.isPaused);
      assert.ok(!publisher.isClosed);
      store.isStalled = false;
      publisher.expect(...[1, 2, 3, 4, 5].map((i) => puback(i)));
      assert.ok(!publisher.isPaused);
      const reader = world.connect({ clientId: 'reader', version: 4, cleanStart: false });
      const got: Packet[] = reader.takeAll();
      assert.deepEqual(
        got.map((packet) => packet.type === PacketType.Publish && String.fromCharCode(...packet.payload)),
        ['1', '2', '3', '4', '5'],
      );
      world.end();
    }
  });
});
