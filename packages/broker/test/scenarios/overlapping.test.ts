/** Several subscriptions of one client that match: one copy, at the highest QoS, with every Subscription Identifier. */

import { deepEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { publish, suback, subscribe, subscribeWith, unsuback, unsubscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

for (const store of storeKinds) {
  describe(`overlapping subscriptions, store: ${store}`, () => {
    test('[MQTT-3.3.4-2] [MQTT3-3.3.5-1] one copy, at the highest QoS of those that match', () => {
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store });
        const subscriber = world.connect({ clientId: 'subscriber', version });
        subscriber.send(subscribe(1, { filter: 'a/b', qos: 0 }, { filter: 'a/+', qos: 2 }, { filter: '#', qos: 1 }));
        subscriber.expect(suback(1, 0, 2, 1));
        const publisher = world.connect({ clientId: 'publisher' });
        publisher.publishWhole(publish({ topic: 'a/b', qos: 2, packetId: 1, payload: 'all three' }));
        subscriber.receiveWhole(publish({ topic: 'a/b', qos: 2, packetId: 1, payload: 'all three' }));
        publisher.publishWhole(publish({ topic: 'c', qos: 2, packetId: 1, payload: 'one' }));
        subscriber.receiveWhole(publish({ topic: 'c', qos: 1, packetId: 2, payload: 'one' }));
        subscriber.send(unsubscribe(2, 'a/+'));
        subscriber.expect(unsuback(2, ...(version === 5 ? [0] : [])));
        publisher.publishWhole(publish({ topic: 'a/b', qos: 2, packetId: 1, payload: 'two' }));
        subscriber.receiveWhole(publish({ topic: 'a/b', qos: 1, packetId: 3, payload: 'two' }));
        world.end();
      }
    });

    test('[MQTT-3.3.4-3] [MQTT-3.3.4-4] every identifier of those that match, also equal ones; none of the others', () => {
      const world = new World({ store });
      const subscriber = world.connect({ clientId: 'subscriber', properties: { sessionExpiryInterval: 100 } });
      subscriber.send(subscribeWith(1, { subscriptionIdentifier: 1 }, { filter: 'a/b', qos: 1 }));
      subscriber.send(subscribeWith(2, { subscriptionIdentifier: 268_435_455 }, { filter: 'a/+', qos: 1 }));
      subscriber.send(subscribeWith(3, { subscriptionIdentifier: 1 }, { filter: 'a/#', qos: 1 }));
      subscriber.send(subscribeWith(4, { subscriptionIdentifier: 9 }, { filter: 'other', qos: 1 }));
      subscriber.send(subscribe(5, { filter: '+/b', qos: 2 }));
      subscriber.expect(suback(1, 1), suback(2, 1), suback(3, 1), suback(4, 1), suback(5, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(publish({ topic: 'a/b', qos: 1, packetId: 1 }));
      const got = subscriber.take() as ReturnType<typeof publish>;
      const identifiers = [...(got.properties?.subscriptionIdentifiers ?? [])].sort((a, b) => a - b);
      const expected = publish({ topic: 'a/b', qos: 1, packetId: 1 });
      const same = { ...got, properties: { subscriptionIdentifiers: identifiers } };
      sameAs(same, { ...expected, properties: { subscriptionIdentifiers: [1, 1, 268_435_455] } });
      subscriber.acknowledgeWhole(expected);
      publisher.publishWhole(publish({ topic: 'other', qos: 1, packetId: 1 }));
      subscriber.receiveWhole(
        publish({ topic: 'other', qos: 1, packetId: 2, properties: { subscriptionIdentifiers: [9] } }),
      );
      publisher.publishWhole(publish({ topic: 'x/b', qos: 1, packetId: 1 }));
      subscriber.receiveWhole(publish({ topic: 'x/b', qos: 1, packetId: 3 }));
      world.end();
    });

    test('identifiers survive the queue and a resume', () => {
      const world = new World({ store });
      const lasting = { clientId: 'subscriber', cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      let subscriber = world.connect(lasting);
      subscriber.send(subscribeWith(1, { subscriptionIdentifier: 7 }, { filter: 't', qos: 1 }));
      subscriber.expect(suback(1, 1));
      subscriber.drop();
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 1 }));
      const expected = publish({ topic: 't', qos: 1, packetId: 1, properties: { subscriptionIdentifiers: [7] } });
      subscriber = world.connect(lasting);
      subscriber.expect(expected);
      subscriber.drop();
      subscriber = world.connect(lasting);
      subscriber.receiveWhole({ ...expected, dup: true });
      world.end();
    });

    test('[MQTT-3.8.3-3] with No Local on some: what the client publishes itself goes by the others alone', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client' });
      client.send(subscribeWith(1, { subscriptionIdentifier: 1 }, { filter: 'a/#', qos: 2, noLocal: true }));
      client.send(subscribeWith(2, { subscriptionIdentifier: 2 }, { filter: 'a/b', qos: 1, noLocal: false }));
      client.expect(suback(1, 2), suback(2, 1));
      const other = world.connect({ clientId: 'other' });
      other.publishWhole(publish({ topic: 'a/b', qos: 2, packetId: 1, payload: 'theirs' }));
      const properties = { subscriptionIdentifiers: [1, 2] };
      const both = client.take() as ReturnType<typeof publish>;
      both.properties?.subscriptionIdentifiers?.sort();
      sameAs(both, publish({ topic: 'a/b', qos: 2, packetId: 1, payload: 'theirs', properties }));
      client.acknowledgeWhole(both);
      client.send(publish({ topic: 'a/b', qos: 0, payload: 'mine' }), publish({ topic: 'a/c', payload: 'not for me' }));
      client.expect(publish({ topic: 'a/b', payload: 'mine', properties: { subscriptionIdentifiers: [2] } }));
      client.publishWhole(publish({ topic: 'a/c', qos: 1, packetId: 1 }), ReasonCode.NoMatchingSubscribers);
      world.end();
    });

    test('Retain As Published on one of them is enough', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client' });
      client.send(subscribe(1, { filter: 'a/#' }, { filter: 'a/b', retainAsPublished: true }));
      client.expect(suback(1, 0, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(
        publish({ topic: 'a/b', retain: true, payload: 'x' }),
        publish({ topic: 'a/c', retain: true, payload: 'x' }),
      );
      client.expect(publish({ topic: 'a/b', retain: true, payload: 'x' }), publish({ topic: 'a/c', payload: 'x' }));
      world.end();
    });
  });
}

function sameAs(actual: unknown, expected: unknown): void {
  deepEqual(shown(actual), shown(expected));
}

function shown(packet: unknown): unknown {
  return { ...(packet as object), payload: [...(packet as { payload: Uint8Array }).payload] };
}
