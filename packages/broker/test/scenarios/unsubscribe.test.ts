/** UNSUBSCRIBE: the answer, and the silence after it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { puback, publish, suback, subscribe, unsuback, unsubscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

for (const store of storeKinds) {
  describe(`UNSUBSCRIBE, store: ${store}`, () => {
    test('[MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-5] each filter compared character by character, each with its code', () => {
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store });
        const client = world.connect({ clientId: 'client', version });
        const publisher = world.connect({ clientId: 'publisher' });
        client.send(subscribe(1, 'a', 'b/+', '$share/g/c', 'd'));
        client.expect(suback(1, 0, 0, 0, 0));
        client.send(unsubscribe(2, 'b/x', 'B/+', 'a/', 'c', '#', '$share/h/c', 'b/+', 'a', 'a', '$share/g/c'));
        const no = ReasonCode.NoSubscriptionExisted;
        client.expect(unsuback(2, ...(version === 5 ? [no, no, no, no, no, no, 0, 0, no, 0] : [])));
        for (const topic of ['a', 'b/x', 'c', 'd']) publisher.send(publish({ topic }));
        client.expect(publish({ topic: 'd' }));
        assert.equal(world.core.state.router.count, 1);
        world.end();
      }
    });

    test('[MQTT-3.10.4-2] nothing new comes, live or after a resume', () => {
      const world = new World({ store });
      const lasting = { clientId: 'client', cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      let client = world.connect(lasting);
      client.send(subscribe(1, { filter: 't', qos: 1 }));
      client.expect(suback(1, 1));
      client.send(unsubscribe(2, 't'));
      client.expect(unsuback(2, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      const message = publish({ topic: 't', qos: 1, packetId: 1 });
      publisher.publishWhole(message, ReasonCode.NoMatchingSubscribers);
      client.drop();
      publisher.publishWhole(message, ReasonCode.NoMatchingSubscribers);
      client = world.connect(lasting);
      client.expectNothing();
      world.end();
    });

    test('[MQTT-3.10.4-3] what was sent before is finished', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client', properties: { receiveMaximum: 1 } });
      client.send(subscribe(1, { filter: 't', qos: 2 }));
      client.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      const message = publish({ topic: 't', qos: 2, packetId: 1, payload: 'x' });
      publisher.publishWhole(message);
      client.expect(message);
      client.send(unsubscribe(2, 't'));
      client.expect(unsuback(2, 0));
      client.acknowledgeWhole(message);
      publisher.publishWhole(message, ReasonCode.NoMatchingSubscribers);
      world.end();
    });

    test('a pending replay of retained messages stops', () => {
      const world = new World({ store });
      const publisher = world.connect({ clientId: 'publisher' });
      for (const n of [1, 2, 3]) {
        const packet = publish({ topic: `t/${n}`, qos: 1, packetId: 1, retain: true, payload: 'x' });
        publisher.publishWhole(packet, ReasonCode.NoMatchingSubscribers);
      }
      const client = world.connect({ clientId: 'client', properties: { receiveMaximum: 1 } });
      client.send(subscribe(1, { filter: 't/#', qos: 1 }));
      client.expect(suback(1, 1), publish({ topic: 't/1', qos: 1, packetId: 1, retain: true, payload: 'x' }));
      client.send(unsubscribe(2, 't/#'));
      client.expect(unsuback(2, 0));
      client.send(puback(1));
      client.expectNothing();
      world.end();
    });

    test('the other of two overlapping subscriptions goes on', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client', version: 4 });
      client.send(subscribe(1, 't', { filter: '#', qos: 1 }));
      client.expect(suback(1, 0, 1));
      client.send(unsubscribe(2, '#'));
      client.expect(unsuback(2));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(publish({ topic: 't' }), publish({ topic: 'x' }));
      client.expect(publish({ topic: 't' }));
      world.end();
    });

    test('[MQTT-3.10.3-2] no filter: 0x82, 3.1.1 is closed', () => {
      for (const version of [4, 5] as const) {
        const world = new World({ store });
        const client = world.connect({ clientId: 'client', version });
        client.sendRaw(version === 5 ? 'a203 0001 00' : 'a202 0001');
        client.expectDisconnected(ReasonCode.ProtocolError);
        world.end();
      }
    });

    test('a filter that cannot exist: 0x8F', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client' });
      client.sendRaw('a207 0001 00 0002 612b');
      client.expect(unsuback(1, ReasonCode.TopicFilterInvalid));
      world.end();
    });
  });
}
