/** Retain As Published, Retain Handling, and a subscription that replaces another whole. */

import { describe, test } from 'node:test';
import { publish, suback, subscribe, subscribeWith } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

for (const store of storeKinds) {
  describe(`subscription options, store: ${store}`, () => {
    /** A world where `t/1` is retained. */
    function withRetained(): { world: World; publisher: Client } {
      const world = new World({ store });
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(publish({ topic: 't/1', retain: true, payload: 'kept' }));
      return { world, publisher };
    }

    const kept = publish({ topic: 't/1', retain: true, payload: 'kept' });

    test('[MQTT-3.3.1-12] [MQTT-3.3.1-13] Retain As Published: the flag of a live message is cleared, or kept', () => {
      const { world, publisher } = withRetained();
      const plain = world.connect({ clientId: 'plain' });
      plain.send(subscribe(1, { filter: '#', qos: 1 }));
      plain.expect(suback(1, 1), kept);
      const same = world.connect({ clientId: 'same' });
      same.send(subscribe(1, { filter: '#', qos: 1, retainAsPublished: true, retainHandling: 2 }));
      same.expect(suback(1, 1));
      const old = world.connect({ clientId: 'old', version: 4 });
      old.send(subscribe(1, { filter: '#', qos: 1 }));
      old.expect(suback(1, 1), kept);
      publisher.publishWhole(publish({ topic: 't/2', qos: 1, packetId: 1, retain: true, payload: 'x' }));
      plain.expect(publish({ topic: 't/2', qos: 1, packetId: 1, payload: 'x' }));
      old.expect(publish({ topic: 't/2', qos: 1, packetId: 1, payload: 'x' }));
      same.expect(publish({ topic: 't/2', qos: 1, packetId: 1, retain: true, payload: 'x' }));
      publisher.send(publish({ topic: 't/2', payload: 'y' }));
      for (const each of [plain, old, same]) each.expect(publish({ topic: 't/2', payload: 'y' }));
      world.end();
    });

    test('Retain As Published lasts through the queue', () => {
      const { world, publisher } = withRetained();
      const lasting = { clientId: 'away', cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      const away = world.connect(lasting);
      away.send(subscribe(1, { filter: 'q', qos: 1, retainAsPublished: true }));
      away.expect(suback(1, 1));
      away.drop();
      publisher.publishWhole(publish({ topic: 'q', qos: 1, packetId: 1, retain: true, payload: 'x' }));
      const back = world.connect(lasting);
      back.receiveWhole(publish({ topic: 'q', qos: 1, packetId: 1, retain: true, payload: 'x' }));
      world.end();
    });

    test('[MQTT-3.3.1-9] Retain Handling 0: with every SUBSCRIBE; 3.x always', () => {
      for (const version of [3, 4, 5] as const) {
        const { world } = withRetained();
        const client = world.connect({ clientId: 'client', version });
        for (const packetId of [1, 2, 3]) {
          client.send(subscribe(packetId, 't/#'));
          client.expect(suback(packetId, 0), kept);
        }
        world.end();
      }
    });

    test('[MQTT-3.3.1-10] Retain Handling 1: only when the subscription is new', () => {
      const { world } = withRetained();
      const lasting = { clientId: 'client', cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      let client = world.connect({ clientId: 'client' });
      const again = (packetId: number) => client.send(subscribe(packetId, { filter: 't/#', retainHandling: 1 }));
      again(1);
      client.expect(suback(1, 0), kept);
      again(2);
      client.expect(suback(2, 0));
      client.drop();
      client = world.connect(lasting);
      client.send(subscribe(3, { filter: 't/#', retainHandling: 2 }));
      client.expect(suback(3, 0));
      again(4);
      client.expect(suback(4, 0));
      client.drop();
      client = world.connect(lasting); // Resumed: the subscription is still there.
      client.expectNothing();
      again(5);
      client.expect(suback(5, 0));
      world.end();
    });

    test('[MQTT-3.3.1-11] Retain Handling 2: never', () => {
      const { world, publisher } = withRetained();
      const client = world.connect({ clientId: 'client' });
      for (const packetId of [1, 2]) {
        client.send(subscribe(packetId, { filter: 't/#', retainHandling: 2 }));
        client.expect(suback(packetId, 0));
      }
      publisher.send(publish({ topic: 't/1', payload: 'live' }));
      client.expect(publish({ topic: 't/1', payload: 'live' }));
      world.end();
    });

    test('[MQTT-3.8.4-3] [MQTT3-3.8.4-3] the same filter again replaces QoS, identifier, No Local and Retain As Published', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client' });
      const publisher = world.connect({ clientId: 'publisher' });
      const retained = publish({ topic: 't', qos: 2, packetId: 1, retain: true, payload: 'x' });
      client.send(
        subscribeWith(
          1,
          { subscriptionIdentifier: 5 },
          { filter: 't', qos: 2, retainAsPublished: true, noLocal: true },
        ),
      );
      client.expect(suback(1, 2));
      publisher.publishWhole(retained);
      client.receiveWhole({ ...retained, properties: { subscriptionIdentifiers: [5] } });
      client.send(publish({ topic: 't', payload: 'mine' }));
      client.expectNothing();
      client.send(subscribe(2, { filter: 't', qos: 1, retainHandling: 2 }));
      client.expect(suback(2, 1));
      publisher.publishWhole(retained);
      client.receiveWhole({ ...retained, qos: 1, packetId: 2, retain: false });
      client.send(publish({ topic: 't', payload: 'mine' }));
      client.expect(publish({ topic: 't', payload: 'mine' }));
      // And back.
      client.send(
        subscribeWith(3, { subscriptionIdentifier: 6 }, { filter: 't', qos: 0, noLocal: true, retainHandling: 2 }),
      );
      client.expect(suback(3, 0));
      client.send(publish({ topic: 't', payload: 'mine' }));
      publisher.publishWhole(retained);
      client.expect(publish({ topic: 't', payload: 'x', properties: { subscriptionIdentifiers: [6] } }));
      world.end();
    });

    test('the same filter twice in one SUBSCRIBE: two codes, the last options win', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client' });
      client.send(subscribe(1, { filter: 't', qos: 2 }, { filter: 't', qos: 1 }));
      client.expect(suback(1, 2, 1));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(publish({ topic: 't', qos: 2, packetId: 1 }));
      client.receiveWhole(publish({ topic: 't', qos: 1, packetId: 1 }));
      world.end();
    });

    test('[MQTT-3.8.4-4] a subscription replaced in the middle of its replay loses none of it', () => {
      const { world, publisher } = withRetained();
      const setup = (n: number) => publish({ topic: `t/${n}`, qos: 1, packetId: 1, retain: true, payload: `${n}` });
      for (const n of [1, 2, 3, 4]) publisher.publishWhole(setup(n), 0x10);
      const client = world.connect({ clientId: 'client', properties: { receiveMaximum: 1 } });
      client.send(subscribeWith(1, { subscriptionIdentifier: 1 }, { filter: 't/+', qos: 1 }));
      const replayed = (n: number, packetId: number, identifier: number) =>
        publish({
          topic: `t/${n}`,
          qos: 1,
          packetId,
          retain: true,
          payload: `${n}`,
          properties: { subscriptionIdentifiers: [identifier] },
        });
      client.expect(suback(1, 1), replayed(1, 1, 1));
      client.send(subscribeWith(2, { subscriptionIdentifier: 2 }, { filter: 't/+', qos: 1, retainHandling: 1 }));
      client.expect(suback(2, 1));
      client.acknowledgeWhole(replayed(1, 1, 1));
      client.receiveWhole(replayed(2, 2, 2));
      client.receiveWhole(replayed(3, 3, 2));
      client.receiveWhole(replayed(4, 4, 2));
      world.end();
    });
  });
}
