/** Resume: what was in flight is sent again, in order and under its ids, and what waited comes behind it. */

import { describe, test } from 'node:test';
import type { ConnectPacket, QoS } from '@pipit/protocol';
import { disconnect, puback, pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const properties = { sessionExpiryInterval: 1_000 };

function subscriber(world: World, qos: QoS = 2): Client {
  const client = world.connect({ clientId: 'c', properties });
  client.send(subscribe(1, { filter: 't/#', qos }));
  client.expect(suback(1, qos));
  return client;
}

function back(world: World, connect: Partial<ConnectPacket> = {}): Client {
  return world.connect({ clientId: 'c', cleanStart: false, properties, ...connect });
}

const m = (payload: string, qos: QoS, packetId: number, dup = false) =>
  publish({ topic: `t/${qos}`, qos, packetId, payload, dup });

for (const store of storeKinds) {
  describe(`resume, store: ${store}`, () => {
    for (const version of [3, 4, 5] as const) {
      test(`[MQTT-4.4.0-1] [MQTT3-4.4.0-1] in flight, then queued, in order, same ids, DUP, version ${version}`, () => {
        const world = new World({ store });
        const own = version === 5 ? { version, properties } : { version, properties: {} };
        const client = world.connect({ clientId: 'c', cleanStart: false, ...own });
        client.send(subscribe(1, { filter: 't/#', qos: 2 }));
        client.expect(suback(1, 2));
        for (const [payload, qos] of [
          ['a', 1],
          ['b', 2],
          ['c', 1],
          ['d', 2],
        ] as const)
          world.publish(`t/${qos}`, payload, { qos });
        client.expect(m('a', 1, 1), m('b', 2, 2), m('c', 1, 3), m('d', 2, 4));
        client.send(pubrec(4));
        client.expect(pubrel(4));
        client.send(puback(1));
        client.drop();
        world.publish('t/1', 'e', { qos: 1 });
        world.publish('t/2', 'f', { qos: 2 });
        const again = back(world, own);
        again.expect(m('b', 2, 2, true), m('c', 1, 3, true), pubrel(4), m('e', 1, 5), m('f', 2, 6));
        again.send(pubrec(2), puback(3), pubcomp(4), puback(5), pubrec(6));
        again.expect(pubrel(2), pubrel(6));
        again.send(pubcomp(2), pubcomp(6));
        again.drop();
        back(world, own).expectNothing();
        world.end();
      });
    }

    test('again and again: the same ids, until they are acknowledged', () => {
      const world = new World({ store });
      const client = subscriber(world);
      world.publish('t/1', 'a', { qos: 1 });
      world.publish('t/2', 'b', { qos: 2 });
      client.expect(m('a', 1, 1), m('b', 2, 2));
      client.drop();
      for (let i = 0; i < 3; i++) {
        const again = back(world);
        again.expect(m('a', 1, 1, true), m('b', 2, 2, true));
        again.drop();
      }
      const last = back(world);
      last.expect(m('a', 1, 1, true), m('b', 2, 2, true));
      last.send(puback(1), pubrec(2));
      last.expect(pubrel(2));
      last.drop();
      const released = back(world);
      released.expect(pubrel(2));
      released.send(pubcomp(2));
      released.drop();
      back(world).expectNothing();
      world.end();
    });

    test('[MQTT-4.4.0-1] nothing is sent again on a connection that lives', () => {
      const world = new World({ store });
      const client = subscriber(world);
      world.publish('t/1', 'a', { qos: 1 });
      client.expect(m('a', 1, 1));
      world.advance(3_600_000);
      client.expectNothing();
      world.end();
    });

    test('[MQTT-4.4.0-2] what was refused is not sent again, and its place is free', () => {
      const world = new World({ store });
      const client = subscriber(world);
      world.publish('t/1', 'a', { qos: 1 });
      world.publish('t/2', 'b', { qos: 2 });
      client.expect(m('a', 1, 1), m('b', 2, 2));
      client.send(puback(1, 0x80), pubrec(2, 0x97));
      client.drop();
      const again = back(world, { properties: { ...properties, receiveMaximum: 1 } });
      again.expectNothing();
      world.publish('t/1', 'c', { qos: 1 });
      again.expect(m('c', 1, 3));
      world.end();
    });

    test('[MQTT-4.9.0-2] a Receive Maximum smaller than what is in flight: sent again as room comes, live messages behind', () => {
      const world = new World({ store });
      const client = subscriber(world);
      for (const payload of ['a', 'b', 'c', 'd']) world.publish('t/1', payload, { qos: 1 });
      client.expect(m('a', 1, 1), m('b', 1, 2), m('c', 1, 3), m('d', 1, 4));
      client.drop();
      const again = back(world, { properties: { ...properties, receiveMaximum: 2 } });
      again.expect(m('a', 1, 1, true), m('b', 1, 2, true));
      world.publish('t/1', 'e', { qos: 1 });
      again.expectNothing();
      again.send(puback(2));
      again.expect(m('c', 1, 3, true));
      again.send(puback(1), puback(3));
      again.expect(m('d', 1, 4, true), m('e', 1, 5));
      again.send(puback(4), puback(5));
      world.publish('t/1', 'f', { qos: 1 });
      again.expect(m('f', 1, 6));
      world.end();
    });

    test('[MQTT-4.9.0-3] PUBREL sent again needs no room, PUBLISH does, and nothing overtakes', () => {
      const world = new World({ store });
      const client = subscriber(world);
      for (const payload of ['a', 'b', 'c']) world.publish('t/2', payload, { qos: 2 });
      client.expect(m('a', 2, 1), m('b', 2, 2), m('c', 2, 3));
      client.send(pubrec(1));
      client.expect(pubrel(1));
      client.drop();
      const again = back(world, { properties: { ...properties, receiveMaximum: 1 } });
      again.expect(pubrel(1), m('b', 2, 2, true));
      again.send(pubrec(2));
      again.expect(pubrel(2));
      again.send(pubcomp(2));
      again.expect(m('c', 2, 3, true));
      again.send(pubcomp(1));
      again.send(pubrec(3));
      again.expect(pubrel(3));
      again.send(pubcomp(3));
      world.end();
    });

    test('cut short while sending again, and once more: the order stays', () => {
      const world = new World({ store });
      const client = subscriber(world);
      for (const payload of ['a', 'b', 'c']) world.publish('t/1', payload, { qos: 1 });
      client.expect(m('a', 1, 1), m('b', 1, 2), m('c', 1, 3));
      client.drop();
      const narrow = { properties: { ...properties, receiveMaximum: 1 } };
      const again = back(world, narrow);
      again.expect(m('a', 1, 1, true));
      again.send(puback(1));
      again.expect(m('b', 1, 2, true));
      again.drop();
      world.publish('t/1', 'd', { qos: 1 });
      back(world).expect(m('b', 1, 2, true), m('c', 1, 3, true), m('d', 1, 4));
      world.end();
    });

    test('[MQTT-4.3.3-10] the receiving half is resumed too: a QoS 2 message sent again is not handed on again', () => {
      const world = new World({ store });
      const watcher = world.connect({ clientId: 'watcher' });
      watcher.send(subscribe(1, 't/2'));
      watcher.expect(suback(1, 0));
      const client = world.connect({ clientId: 'c', properties });
      client.send(publish({ topic: 't/2', qos: 2, packetId: 7, payload: 'x' }));
      client.expect(pubrec(7));
      watcher.expect(publish({ topic: 't/2', payload: 'x' }));
      client.drop();
      const again = back(world);
      again.send(publish({ topic: 't/2', qos: 2, packetId: 7, payload: 'x', dup: true }));
      again.expect(pubrec(7));
      watcher.expectNothing();
      again.send(pubrel(7));
      again.expect(pubcomp(7));
      again.send(publish({ topic: 't/2', qos: 2, packetId: 7, payload: 'y' }));
      again.expect(pubrec(7));
      watcher.expect(publish({ topic: 't/2', payload: 'y' }));
      again.drop();
      const clean = back(world, { cleanStart: true });
      clean.send(publish({ topic: 't/2', qos: 2, packetId: 7, payload: 'z' }));
      clean.expect(pubrec(7));
      watcher.expect(publish({ topic: 't/2', payload: 'z' }));
      world.end();
    });

    test('PUBREL of a session that is gone finds nothing', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c' });
      client.send(publish({ topic: 't', qos: 2, packetId: 7 }));
      client.expect(pubrec(7, 0x10));
      client.send(disconnect());
      const again = back(world);
      again.send(pubrel(7));
      again.expect(pubcomp(7, 0x92));
      world.end();
    });

    test('what does not fit the new Maximum Packet Size is dropped, the rest goes on', () => {
      const world = new World({ store });
      const client = subscriber(world);
      world.publish('t/1', 'x'.repeat(100), { qos: 1 });
      client.expect(m('x'.repeat(100), 1, 1));
      client.drop();
      world.publish('t/1', 'y'.repeat(100), { qos: 1 });
      world.publish('t/1', 'small', { qos: 1 });
      const again = back(world, { properties: { ...properties, maximumPacketSize: 100, receiveMaximum: 1 } });
      again.expect(m('small', 1, 3));
      again.send(puback(3));
      again.drop();
      back(world).expectNothing();
      world.end();
    });
  });
}
