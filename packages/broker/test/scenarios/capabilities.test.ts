/** Capabilities of a verdict: announced (connack.test.ts) and enforced for this connection alone. */

import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import type { Acceptance, AuthenticationRequest, Verdict } from '../../src/core/index.ts';
import { pingreq, pingresp, puback, publish, pubrec, suback, subscribe, subscribeWith } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

/** A world in which everybody but `free` has only these capabilities. */
function limited(store: (typeof storeKinds)[number], capabilities: NonNullable<Acceptance['capabilities']>): World {
  const authority = ({ clientId }: AuthenticationRequest): Verdict =>
    clientId === 'free' ? { outcome: 'accept', principal: null } : { outcome: 'accept', principal: null, capabilities };
  return new World({ store, authority });
}

function watcher(world: World): Client {
  const client = world.connect({ clientId: 'free' });
  client.send(subscribe(1, { filter: '#', qos: 2, retainAsPublished: true }));
  client.expect(suback(1, 2));
  return client;
}

for (const store of storeKinds) {
  describe(`capabilities, store: ${store}`, () => {
    test('[MQTT-3.2.2-9] a PUBLISH above the Maximum QoS ends the connection with 0x9B, at it is fine', () => {
      const world = limited(store, { maximumQoS: 1 });
      const free = watcher(world);
      for (const version of [3, 4, 5] as const) {
        const client = world.connect({ clientId: 'c', version });
        client.send(publish({ topic: 't', qos: 1, packetId: 1 }));
        client.expect(puback(1));
        free.receiveWhole(publish({ topic: 't', qos: 1, packetId: version - 2 }));
        client.send(publish({ topic: 't', qos: 2, packetId: 2 }));
        client.expectDisconnected(ReasonCode.QoSNotSupported);
        free.expectNothing();
      }
      world.end();
    });

    test('Maximum QoS 0', () => {
      const world = limited(store, { maximumQoS: 0 });
      const free = watcher(world);
      const client = world.connect({ clientId: 'c' });
      client.send(publish({ topic: 't' }));
      free.expect(publish({ topic: 't' }));
      client.send(publish({ topic: 't', qos: 1, packetId: 1 }));
      client.expectDisconnected(ReasonCode.QoSNotSupported);
      world.end();
    });

    test('[MQTT-3.2.2-10] subscriptions are granted up to the Maximum QoS, and delivered so', () => {
      const world = limited(store, { maximumQoS: 1 });
      const client = world.connect({ clientId: 'c' });
      client.send(subscribe(1, { filter: 'a', qos: 2 }, { filter: 'b', qos: 0 }));
      client.expect(suback(1, 1, 0));
      world.publish('a', 'x', { qos: 2 });
      client.expect(publish({ topic: 'a', qos: 1, packetId: 1, payload: 'x' }));
      client.send(puback(1));
      world.end();
    });

    test('[MQTT-3.2.2-14] RETAIN where it is not available ends the connection with 0x9A, and nothing is retained', () => {
      const world = limited(store, { retain: false });
      for (const version of [3, 4, 5] as const) {
        const client = world.connect({ clientId: 'c', version });
        client.send(publish({ topic: 't' }), pingreq);
        client.expect(pingresp);
        client.send(publish({ topic: 't', retain: true, payload: 'x' }));
        client.expectDisconnected(ReasonCode.RetainNotSupported);
      }
      const free = watcher(world);
      free.expectNothing();
      world.end();
    });

    test('wildcards where they are not available: 0xA2, and no subscription', () => {
      const world = limited(store, { wildcards: false });
      const client = world.connect({ clientId: 'c' });
      client.send(subscribe(1, 'a/b', '$share/g/a/b'));
      client.expect(suback(1, 0, 0));
      for (const filter of ['#', 'a/+', '$share/g/+']) {
        const next = world.connect({ clientId: 'd' });
        next.send(subscribe(1, filter));
        next.expectDisconnected(ReasonCode.WildcardSubscriptionsNotSupported);
      }
      world.end();
    });

    test('shared subscriptions where they are not available: 0x9E', () => {
      const world = limited(store, { shared: false });
      const client = world.connect({ clientId: 'c' });
      client.send(subscribe(1, '#'));
      client.expect(suback(1, 0));
      client.send(subscribe(2, '$share/g/t'));
      client.expectDisconnected(ReasonCode.SharedSubscriptionsNotSupported);
      const v4 = world.connect({ clientId: 'c', version: 4 });
      v4.send(subscribe(2, '$share/g/t'));
      v4.expectDisconnected(null);
      world.end();
    });

    test('subscription identifiers where they are not available: 0xA1', () => {
      const world = limited(store, { subscriptionIdentifiers: false });
      const client = world.connect({ clientId: 'c' });
      client.send(subscribeWith(1, { subscriptionIdentifier: 7 }, 't'));
      client.expectDisconnected(ReasonCode.SubscriptionIdentifiersNotSupported);
      world.end();
    });

    test('delivered QoS as published: whatever was granted', () => {
      const world = limited(store, { deliveredQoS: 'published' });
      const client = world.connect({ clientId: 'c' });
      client.send(subscribe(1, { filter: 't', qos: 0 }));
      client.expect(suback(1, 0));
      world.publish('t', '2', { qos: 2 });
      world.publish('t', '1', { qos: 1 });
      world.publish('t', '0', { qos: 0 });
      client.expect(
        publish({ topic: 't', qos: 2, packetId: 1, payload: '2' }),
        publish({ topic: 't', qos: 1, packetId: 2, payload: '1' }),
        publish({ topic: 't', payload: '0' }),
      );
      client.send(pubrec(1, 0x80), puback(2));
      const free = world.connect({ clientId: 'free' });
      free.send(subscribe(1, { filter: 't', qos: 0 }));
      free.expect(suback(1, 0));
      world.publish('t', '2', { qos: 2 });
      free.expect(publish({ topic: 't', payload: '2' }));
      client.receiveWhole(publish({ topic: 't', qos: 2, packetId: 3, payload: '2' }));
      world.end();
    });
  });
}
