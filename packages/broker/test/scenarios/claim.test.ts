/** In-process code claims a filter: publishes go to it alone, and its answers decide the acknowledgements, in order. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProtocolVersion, ReasonCode } from '@pipit/protocol';
import { pingreq, pingresp, puback, pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World, type WorldOptions } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

function claimed(options: WorldOptions = {}, version: ProtocolVersion = 5): { world: World; pub: Client; sub: Client } {
  const world = new World(options);
  const sub = world.connect({ clientId: 'sub', ...lasting });
  sub.send(subscribe(1, { filter: '#', qos: 2 }));
  sub.expect(suback(1, 2));
  world.subscribe({ filters: ['c/#'], claim: true, clientId: 'claimer' });
  return { world, sub, pub: world.connect({ clientId: 'pub', version }) };
}

for (const store of storeKinds) {
  for (const version of [3, 4, 5] satisfies ProtocolVersion[]) {
    test(`the answer decides PUBACK and PUBREC, version ${version}, ${store}`, () => {
      const { world, pub, sub } = claimed({ store }, version);
      const code = (reasonCode: number) => (version === 5 ? reasonCode : 0);
      pub.send(publish({ topic: 'c/0', payload: 'zero' }));
      assert.equal(world.settleLocal(ReasonCode.QuotaExceeded).topic, 'c/0');
      pub.expectNothing();
      pub.send(publish({ topic: 'c/1', qos: 1, packetId: 1 }));
      pub.expectNothing();
      assert.equal(world.settleLocal().qos, 1);
      pub.expect(puback(1));
      pub.send(publish({ topic: 'c/1', qos: 1, packetId: 1 }));
      world.settleLocal(ReasonCode.PayloadFormatInvalid);
      pub.expect(puback(1, code(ReasonCode.PayloadFormatInvalid)));
      pub.send(publish({ topic: 'c/1', qos: 1, packetId: 1 }));
      world.settleLocal(0x05);
      pub.expect(puback(1, code(ReasonCode.ImplementationSpecificError)));
      pub.send(publish({ topic: 'c/2', qos: 2, packetId: 2 }));
      pub.expectNothing();
      world.settleLocal();
      pub.expect(pubrec(2));
      pub.releaseWhole(2);
      pub.send(publish({ topic: 'c/2', qos: 2, packetId: 3 }));
      world.settleLocal(ReasonCode.ImplementationSpecificError);
      pub.expect(pubrec(3, code(ReasonCode.ImplementationSpecificError)));
      if (version === 5) {
        // The exchange ended with the refusal: the id is a new message [MQTT-4.3.3-9].
        pub.send(publish({ topic: 'c/2', qos: 2, packetId: 3 }));
        world.settleLocal();
        pub.expect(pubrec(3));
      }
      pub.releaseWhole(3);
      sub.expectNothing();
      world.end();
    });
  }

  test(`a claimed publish goes to nobody else and is not retained; others are as ever, ${store}`, () => {
    const { world, pub, sub } = claimed({ store });
    pub.send(publish({ topic: 'c', retain: true, payload: 'x' }));
    world.settleLocal();
    assert.equal(world.core.state.retained.count, 0);
    sub.expectNothing();
    pub.publishWhole(publish({ topic: 'd', qos: 1, packetId: 1 }));
    sub.receiveWhole(publish({ topic: 'd', qos: 1, packetId: 1 }));
    world.end();
  });

  test(`acknowledgements leave in the order of the publishes [MQTT-4.6.0-2] [MQTT-4.6.0-3], ${store}`, () => {
    const { world, pub, sub } = claimed({ store });
    pub.send(
      publish({ topic: 'c/1', qos: 1, packetId: 1 }),
      publish({ topic: 'free', qos: 1, packetId: 2 }),
      publish({ topic: 'c/3', qos: 2, packetId: 3 }),
      publish({ topic: 'c/zero' }),
      publish({ topic: 'nobody', qos: 2, packetId: 4 }),
    );
    sub.expect(publish({ topic: 'free', qos: 1, packetId: 1 }), publish({ topic: 'nobody', qos: 2, packetId: 2 }));
    pub.send(pingreq);
    pub.expect(pingresp);
    const [first, second, zero] = world.delivered.splice(0).map(({ subscriber, token }) => () => {
      world.core.settled(subscriber, token, 0, world.now);
      world.settle();
    });
    second?.();
    pub.expectNothing();
    first?.();
    pub.expect(puback(1), puback(2), pubrec(3));
    zero?.();
    pub.expect(pubrec(4));
    pub.send(pubrel(3));
    pub.expect(pubcomp(3));
    world.end();
  });

  test(`a QoS 2 id that a claim has is the same message when it comes again [MQTT-4.3.3-10], ${store}`, () => {
    const { world } = claimed({ store });
    const pub = world.connect({ clientId: 'p', ...lasting });
    pub.send(publish({ topic: 'c/x', qos: 2, packetId: 1 }));
    world.settleLocal();
    pub.expect(pubrec(1));
    pub.drop();
    const again = world.connect({ clientId: 'p', ...lasting });
    again.send(publish({ topic: 'c/x', qos: 2, packetId: 1, dup: true }));
    again.expect(pubrec(1));
    again.releaseWhole(1);
    world.end();
  });

  test(`closed with unanswered publishes: they are answered with a failure, later ones go elsewhere, ${store}`, () => {
    const world = new World({ store });
    const claimer = world.subscribe({ filters: ['c/#'], claim: true });
    const pub = world.connect({ clientId: 'pub' });
    pub.send(publish({ topic: 'c/1', qos: 1, packetId: 1 }), publish({ topic: 'c/2', qos: 2, packetId: 2 }));
    world.core.unsubscribe(claimer, world.now);
    pub.expect(puback(1, ReasonCode.UnspecifiedError), pubrec(2, ReasonCode.UnspecifiedError));
    world.delivered.length = 0;
    pub.publishWhole(publish({ topic: 'c/1', qos: 1, packetId: 3 }), ReasonCode.NoMatchingSubscribers);
    world.end();
  });

  test(`many unanswered stop the reading of that connection and of no other, ${store}`, () => {
    const { world, pub, sub } = claimed({ store, limits: { claimedPublishesMax: 3 } });
    pub.send(...[1, 2, 3, 4, 5].map((packetId) => publish({ topic: 'c', qos: 1, packetId })), pingreq);
    assert.equal(world.delivered.length, 3);
    assert.ok(pub.isPaused);
    pub.expectNothing();
    const other = world.connect({ clientId: 'other' });
    other.publishWhole(publish({ topic: 'd', qos: 1, packetId: 1 }));
    sub.receiveWhole(publish({ topic: 'd', qos: 1, packetId: 1 }));
    world.settleLocal();
    pub.expect(puback(1));
    assert.equal(world.delivered.length, 3);
    while (world.delivered.length > 0) world.settleLocal();
    assert.equal(pub.isPaused, false);
    assert.deepEqual(
      pub.takeAll().sort((a, b) => a.type - b.type),
      [puback(2), puback(3), puback(4), puback(5), pingresp],
    );
    world.end();
  });

  test(`the publisher goes before the answer: nothing happens to anybody, ${store}`, () => {
    const { world, pub } = claimed({ store });
    pub.send(publish({ topic: 'c', qos: 1, packetId: 1 }), publish({ topic: 'c', qos: 2, packetId: 2 }));
    pub.drop();
    world.settleLocal(ReasonCode.NotAuthorized);
    world.settleLocal(ReasonCode.NotAuthorized);
    world.end();
  });

  test(`the claim made first wins; an in-process publish is claimed too, ${store}`, () => {
    const { world } = claimed({ store });
    const second = world.subscribe({ filters: ['c/+', 'e'], claim: true });
    const first = world.publish('c/1', 'x', { qos: 1 });
    assert.notEqual(world.delivered[0]?.subscriber, second);
    assert.equal(first(), undefined, 'the promise waits for the answer');
    world.settleLocal(ReasonCode.NotAuthorized);
    assert.equal(first(), ReasonCode.NotAuthorized);
    const other = world.publish('e', 'x');
    assert.equal(world.delivered[0]?.subscriber, second);
    world.core.unsubscribe(second, world.now);
    world.settle();
    assert.equal(other(), ReasonCode.UnspecifiedError, 'a claim that goes answers for what it had');
    world.delivered.length = 0;
    world.end();
  });
}
