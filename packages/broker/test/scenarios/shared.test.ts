/** Shared subscriptions: each message to one member of each group. Who gets it when members leave is shared-leaving.test.ts. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PacketType, type QoS, ReasonCode } from '@pipit/protocol';
import { publish, suback, subscribe, subscribeWith } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const lasting = { properties: { sessionExpiryInterval: 1000 } } as const;

function join(client: Client, filter = '$share/g/t', qos: QoS = 1): Client {
  client.send(subscribe(1, { filter, qos }));
  client.expect(suback(1, qos));
  return client;
}

const message = (payload: string, packetId: number, qos: QoS = 1) => publish({ topic: 't', qos, packetId, payload });

for (const store of storeKinds) {
  describe(`shared subscriptions, store: ${store}`, () => {
    test('each message to one member, in turn, whatever their versions', () => {
      const world = new World({ store });
      const members = ([3, 4, 5] as const).map((version) =>
        join(world.connect({ clientId: `member-${version}`, version })),
      );
      const publisher = world.connect({ clientId: 'publisher' });
      for (let round = 1; round <= 4; round++) {
        for (const [i, member] of members.entries()) {
          publisher.publishWhole(message(`${round}/${i}`, 1));
          member.receiveWhole(message(`${round}/${i}`, round));
          for (const other of members) other.expectNothing();
        }
      }
      world.end();
    });

    test('a member that leaves takes nobody else’s turn with it', () => {
      const world = new World({ store });
      const members = ['a', 'b', 'c'].map((clientId) => join(world.connect({ clientId })));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('a', 1));
      members[0]?.receiveWhole(message('a', 1));
      members[0]?.drop();
      for (const round of [1, 2]) {
        for (const member of members.slice(1)) {
          publisher.publishWhole(message('x', 1));
          member.receiveWhole(message('x', round));
        }
      }
      world.end();
    });

    test('at the lower QoS of published and granted to the member that gets it', () => {
      const world = new World({ store });
      const members = ([0, 1, 2] as const).map((qos) => join(world.connect({ clientId: `${qos}` }), '$share/g/t', qos));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const [i, member] of members.entries()) {
        publisher.publishWhole(message('x', 1, 2));
        member.receiveWhole(message('x', i === 0 ? 0 : 1, i as QoS));
      }
      world.end();
    });

    test('members that are online come before those that are away', () => {
      const world = new World({ store });
      const away = join(world.connect({ clientId: 'away', ...lasting }));
      away.drop();
      const online = join(world.connect({ clientId: 'online' }));
      const publisher = world.connect({ clientId: 'publisher' });
      for (let i = 1; i <= 5; i++) {
        publisher.publishWhole(message(`${i}`, i));
        online.receiveWhole(message(`${i}`, i));
      }
      world.connect({ clientId: 'away', cleanStart: false, ...lasting }).expectNothing();
      world.end();
    });

    test('members with room come before those whose window is full', () => {
      const world = new World({ store });
      const full = join(world.connect({ clientId: 'full', properties: { receiveMaximum: 1 } }));
      const free = join(world.connect({ clientId: 'free' }));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of [1, 2, 3, 4]) publisher.publishWhole(message(`${i}`, i));
      full.expect(message('1', 1));
      free.expect(message('2', 1), message('3', 2), message('4', 3));
      world.end();
    });

    test('with nobody online one session that lasts keeps it; QoS 0 goes to nobody', () => {
      const world = new World({ store });
      for (const clientId of ['one', 'two']) join(world.connect({ clientId, ...lasting })).drop();
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('kept', 1));
      publisher.publishWhole(message('kept too', 2));
      publisher.send(publish({ topic: 't', payload: 'not kept' }));
      const got = ['one', 'two'].map((clientId) =>
        world
          .connect({ clientId, cleanStart: false, ...lasting })
          .takeAll()
          .map((packet) => (packet.type === PacketType.Publish ? new TextDecoder().decode(packet.payload) : '?')),
      );
      assert.deepEqual(got.flat().sort(), ['kept', 'kept too']);
      world.end();
    });

    test('with nobody there at all: 0x10', () => {
      const world = new World({ store });
      join(world.connect({ clientId: 'short' })).drop();
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('x', 1), ReasonCode.NoMatchingSubscribers);
      world.end();
    });

    test('[MQTT-3.3.1-9] no retained messages, whatever Retain Handling says; the flag of live ones by the option', () => {
      const world = new World({ store });
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(publish({ topic: 't', retain: true, payload: 'kept' }));
      const member = join(world.connect({ clientId: 'member' }));
      member.send(subscribe(2, { filter: '$share/g/t', retainAsPublished: true }));
      member.expect(suback(2, 0));
      publisher.send(publish({ topic: 't', retain: true, payload: 'live' }));
      member.expect(publish({ topic: 't', retain: true, payload: 'live' }));
      world.end();
    });

    test('the Subscription Identifier is that of the member that gets it, and is replaced with the subscription', () => {
      const world = new World({ store });
      const member = world.connect({ clientId: 'member' });
      const publisher = world.connect({ clientId: 'publisher' });
      for (const identifier of [3, 4]) {
        member.send(subscribeWith(1, { subscriptionIdentifier: identifier }, '$share/g/t'));
        member.expect(suback(1, 0));
        publisher.send(publish({ topic: 't' }));
        member.expect(publish({ topic: 't', properties: { subscriptionIdentifiers: [identifier] } }));
      }
      world.end();
    });

    test('the same filter in two groups: one copy for each', () => {
      const world = new World({ store });
      const both = world.connect({ clientId: 'both' });
      both.send(subscribeWith(1, { subscriptionIdentifier: 1 }, '$share/g/t'));
      both.send(subscribeWith(2, { subscriptionIdentifier: 2 }, '$share/h/t'));
      both.expect(suback(1, 0), suback(2, 0));
      const inH = join(world.connect({ clientId: 'in h' }), '$share/h/t', 0);
      const publisher = world.connect({ clientId: 'publisher' });
      for (let i = 0; i < 2; i++) publisher.send(publish({ topic: 't' }));
      const identifiers = both
        .takeAll()
        .map((packet) => (packet.type === PacketType.Publish ? packet.properties?.subscriptionIdentifiers?.[0] : 0));
      assert.deepEqual(identifiers.sort(), [1, 1, 2]);
      inH.expect(publish({ topic: 't' }));
      world.end();
    });

    test('a shared and a plain subscription of one client: both', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client' });
      client.send(subscribeWith(1, { subscriptionIdentifier: 1 }, 't'));
      client.send(subscribeWith(2, { subscriptionIdentifier: 2 }, '$share/g/t'));
      client.expect(suback(1, 0), suback(2, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(publish({ topic: 't' }));
      client.expect(
        publish({ topic: 't', properties: { subscriptionIdentifiers: [1] } }),
        publish({ topic: 't', properties: { subscriptionIdentifiers: [2] } }),
      );
      world.end();
    });

    test('wildcards, $ topics and levels are those of the filter behind the share name', () => {
      const world = new World({ store });
      const all = join(world.connect({ clientId: 'all' }), '$share/g/#', 0);
      const empty = join(world.connect({ clientId: 'empty' }), '$share/g//+', 0);
      const system = join(world.connect({ clientId: 'system' }), '$share/g/$x/#', 0);
      const named = join(world.connect({ clientId: 'named' }), '$SHARE/g/t', 0);
      const publisher = world.connect({ clientId: 'publisher' });
      for (const topic of ['a/b', '/c', '$x/d', '$SHARE/g/t', 't']) publisher.send(publish({ topic }));
      all.expect(publish({ topic: 'a/b' }), publish({ topic: '/c' }), publish({ topic: 't' }));
      empty.expect(publish({ topic: '/c' }));
      system.expect(publish({ topic: '$x/d' }));
      named.expect(publish({ topic: '$SHARE/g/t' }));
      world.end();
    });

    test('a client gets what it publishes itself: there is no No Local here', () => {
      const world = new World({ store });
      const client = join(world.connect({ clientId: 'client' }));
      client.send(publish({ topic: 't', payload: 'mine' }));
      client.expect(publish({ topic: 't', payload: 'mine' }));
      world.end();
    });
  });
}
