/** QoS 2 towards the broker and from it: once, whatever is repeated. */

import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const lasting = { properties: { sessionExpiryInterval: 1000 } } as const;
const message = publish({ topic: 't', qos: 2, packetId: 9, payload: 'once' });

function withSubscriber(world: World): Client {
  const subscriber = world.connect({ clientId: 'subscriber' });
  subscriber.send(subscribe(1, { filter: '#', qos: 0 }));
  subscriber.expect(suback(1, 0));
  return subscriber;
}

for (const store of storeKinds) {
  describe(`exactly once, store: ${store}`, () => {
    test('[MQTT-4.3.3-10] [MQTT3-4.3.3-2] the same id again before PUBREL is the same message, PUBREC each time', () => {
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store });
        const subscriber = withSubscriber(world);
        const publisher = world.connect({ clientId: 'publisher', version });
        publisher.send(message);
        publisher.expect(pubrec(9));
        subscriber.expect(publish({ topic: 't', payload: 'once' }));
        publisher.send({ ...message, dup: true }, message, { ...message, dup: true });
        publisher.expect(pubrec(9), pubrec(9), pubrec(9));
        subscriber.expectNothing();
        publisher.releaseWhole(9);
        world.end();
      }
    });

    test('[MQTT-4.3.3-12] after PUBREL the id belongs to a new message, DUP or not', () => {
      const world = new World({ store });
      const subscriber = withSubscriber(world);
      const publisher = world.connect({ clientId: 'publisher' });
      for (const dup of [false, true, false]) {
        publisher.publishWhole({ ...message, dup });
        subscriber.expect(publish({ topic: 't', payload: 'once' }));
      }
      world.end();
    });

    test('[MQTT-4.3.3-11] a repeated PUBREL is answered 0x92, and changes nothing', () => {
      const world = new World({ store });
      const subscriber = withSubscriber(world);
      const publisher = world.connect({ clientId: 'publisher' });
      const old = world.connect({ clientId: 'old', version: 4 });
      publisher.publishWhole(message);
      old.publishWhole(message);
      subscriber.expect(publish({ topic: 't', payload: 'once' }), publish({ topic: 't', payload: 'once' }));
      publisher.send(pubrel(9), pubrel(1234));
      publisher.expect(
        pubcomp(9, ReasonCode.PacketIdentifierNotFound),
        pubcomp(1234, ReasonCode.PacketIdentifierNotFound),
      );
      old.send(pubrel(9), pubrel(1234));
      old.expect(pubcomp(9), pubcomp(1234));
      world.end();
    });

    test('[MQTT-3.6.1-1] PUBREL has flags 0010; 3.1 may set DUP when it repeats it', () => {
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store });
        const publisher = world.connect({ clientId: 'publisher', version });
        publisher.send(message);
        publisher.expect(pubrec(9, version === 5 ? ReasonCode.NoMatchingSubscribers : 0));
        publisher.sendRaw('6a02 0009');
        if (version === 3) publisher.expect(pubcomp(9));
        else publisher.expectDisconnected(ReasonCode.MalformedPacket);
        world.end();
      }
    });

    test('a PUBLISH repeated after a resume is known, also when its PUBREC was lost', () => {
      const world = new World({ store });
      const subscriber = withSubscriber(world);
      let publisher = world.connect({ clientId: 'publisher', ...lasting });
      publisher.send(message);
      publisher.expect(pubrec(9));
      subscriber.expect(publish({ topic: 't', payload: 'once' }));
      publisher.drop();
      publisher = world.connect({ clientId: 'publisher', cleanStart: false, ...lasting });
      publisher.publishWhole({ ...message, dup: true });
      subscriber.expectNothing();
      // The id is free now: another message.
      publisher.publishWhole(message);
      subscriber.expect(publish({ topic: 't', payload: 'once' }));
      world.end();
    });

    test('a PUBREL after a resume completes what was received before', () => {
      const world = new World({ store });
      const subscriber = withSubscriber(world);
      let publisher = world.connect({ clientId: 'publisher', version: 4, cleanStart: false });
      publisher.send(message);
      publisher.expect(pubrec(9));
      publisher.drop();
      publisher = world.connect({ clientId: 'publisher', version: 4, cleanStart: false });
      publisher.releaseWhole(9);
      subscriber.expect(publish({ topic: 't', payload: 'once' }));
      world.end();
    });

    test('[MQTT-3.1.2-4] Clean Start forgets the ids: the same PUBLISH is a new message', () => {
      const world = new World({ store });
      const subscriber = withSubscriber(world);
      let publisher = world.connect({ clientId: 'publisher', ...lasting });
      publisher.send(message);
      publisher.expect(pubrec(9));
      publisher.drop();
      publisher = world.connect({ clientId: 'publisher', cleanStart: true });
      publisher.send(pubrel(9));
      publisher.expect(pubcomp(9, ReasonCode.PacketIdentifierNotFound));
      publisher.publishWhole({ ...message, dup: true });
      subscriber.expect(publish({ topic: 't', payload: 'once' }), publish({ topic: 't', payload: 'once' }));
      world.end();
    });

    test('[MQTT-4.3.3-9] a refused PUBLISH opens no exchange: the id is free at once', () => {
      const world = new World({ store });
      const subscriber = withSubscriber(world);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole({ ...message, topic: '$SYS/x' }, ReasonCode.NotAuthorized);
      publisher.send(pubrel(9));
      publisher.expect(pubcomp(9, ReasonCode.PacketIdentifierNotFound));
      publisher.publishWhole(message);
      subscriber.expect(publish({ topic: 't', payload: 'once' }));
      world.end();
    });

    test('[MQTT-4.4.0-1] what was in flight to a subscriber goes on where it was: PUBLISH with DUP, or PUBREL', () => {
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store });
        const connect = () =>
          world.connect({
            clientId: 'subscriber',
            version,
            cleanStart: false,
            ...(version === 5 ? lasting : {}),
          });
        let subscriber = connect();
        subscriber.send(subscribe(1, { filter: 't', qos: 2 }));
        subscriber.expect(suback(1, 2));
        const publisher = world.connect({ clientId: 'publisher' });
        publisher.publishWhole(publish({ topic: 't', qos: 2, packetId: 1, payload: 'first' }));
        publisher.publishWhole(publish({ topic: 't', qos: 2, packetId: 2, payload: 'second' }));
        subscriber.expect(
          publish({ topic: 't', qos: 2, packetId: 1, payload: 'first' }),
          publish({ topic: 't', qos: 2, packetId: 2, payload: 'second' }),
        );
        subscriber.send(pubrec(1));
        subscriber.expect(pubrel(1));
        subscriber.drop();
        subscriber = connect();
        subscriber.expect(pubrel(1), publish({ topic: 't', qos: 2, packetId: 2, payload: 'second', dup: true }));
        subscriber.drop();
        // Once more: nothing was acknowledged in between.
        subscriber = connect();
        const again = publish({ topic: 't', qos: 2, packetId: 2, payload: 'second', dup: true });
        subscriber.expect(pubrel(1), again);
        subscriber.send(pubcomp(1));
        subscriber.acknowledgeWhole(again);
        subscriber.drop();
        subscriber = connect();
        subscriber.expectNothing();
        world.end();
      }
    });

    test('[MQTT-4.4.0-1] nothing is sent again on a live connection', () => {
      const world = new World({ store });
      const subscriber = world.connect({ clientId: 'subscriber', version: 4, cleanStart: false });
      subscriber.send(subscribe(1, { filter: 't', qos: 2 }));
      subscriber.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message);
      subscriber.expect({ ...message, packetId: 1 });
      world.advance(3_600_000);
      subscriber.expectNothing();
      subscriber.acknowledgeWhole({ ...message, packetId: 1 });
      world.end();
    });
  });
}

for (const store of ['instant', 'late', 'failing'] as const) {
  describe(`exactly once across a restart, store: ${store}`, () => {
    test('an id received is still known, and what was in flight goes on', () => {
      const before = new World({ store });
      const away = before.connect({ clientId: 'reader', version: 4, cleanStart: false });
      away.send(subscribe(1, { filter: 't', qos: 2 }));
      away.expect(suback(1, 2));
      const first = before.connect({ clientId: 'publisher', version: 4, cleanStart: false });
      first.send(message, publish({ topic: 't', qos: 2, packetId: 10, payload: 'two' }));
      first.expect(pubrec(9), pubrec(10));
      away.expect({ ...message, packetId: 1 }, publish({ topic: 't', qos: 2, packetId: 2, payload: 'two' }));
      away.send(pubrec(1));
      away.expect(pubrel(1));
      const world = new World({ store, after: before });
      const publisher = world.connect({ clientId: 'publisher', version: 4, cleanStart: false });
      publisher.publishWhole({ ...message, dup: true });
      publisher.releaseWhole(10);
      const reader = world.connect({ clientId: 'reader', version: 4, cleanStart: false });
      const again = publish({ topic: 't', qos: 2, packetId: 2, payload: 'two', dup: true });
      reader.expect(pubrel(1), again);
      reader.send(pubcomp(1));
      reader.acknowledgeWhole(again);
      world.end();
    });
  });
}
