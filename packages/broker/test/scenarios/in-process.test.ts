/** In-process code as a peer: publish, subscribe with a window, direct sends. Nothing is re-entrant, everything is an input. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EncodeError, ReasonCode } from '@pipit/protocol';
import { connack, puback, publish, pubrel, suback, subscribe } from './packets.ts';
import { storeKinds, text, World } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

/** Settles everything delivered; what it was, in order. */
function drain(world: World): string[] {
  const payloads: string[] = [];
  while (world.delivered.length > 0) payloads.push(new TextDecoder().decode(world.settleLocal().payload));
  return payloads;
}

for (const store of storeKinds) {
  test(`publish reaches clients like a client's own, and says whether anybody matched, ${store}`, () => {
    const world = new World({ store });
    const sub = world.connect({ clientId: 'sub', ...lasting });
    sub.send(subscribe(1, { filter: 't', qos: 2 }, { filter: 'n', qos: 0, noLocal: true }));
    sub.expect(suback(1, 2, 0));
    assert.equal(world.publish('t', 'zero')(), 0);
    assert.equal(world.publish('t', 'one', { qos: 1 })(), 0);
    assert.equal(world.publish('t', 'two', { qos: 2 })(), 0);
    assert.equal(world.publish('nobody', 'x', { qos: 1 })(), ReasonCode.NoMatchingSubscribers);
    assert.equal(world.publish('n', 'own', { clientId: 'sub' })(), ReasonCode.NoMatchingSubscribers);
    assert.equal(world.publish('n', 'other', { clientId: 'else' })(), 0);
    sub.expect(
      publish({ topic: 't', payload: 'zero' }),
      publish({ topic: 't', payload: 'one', qos: 1, packetId: 1 }),
      publish({ topic: 't', payload: 'two', qos: 2, packetId: 2 }),
      publish({ topic: 'n', payload: 'other' }),
    );
    world.end();
  });

  test(`what is not legal is thrown and changes nothing, ${store}`, () => {
    const world = new World({ store });
    const message = { payload: text('x'), qos: 1, retain: true } as const;
    for (const topic of ['', 'a/+', '#', 'nul\0']) {
      assert.throws(() => world.core.publish({ ...message, topic }, 1, world.now), { reasonCode: 0x90 });
      assert.throws(() => world.core.send('c', { ...message, topic }, 1, world.now), { reasonCode: 0x90 });
    }
    const properties = { responseTopic: 'a/#' };
    assert.throws(() => world.core.publish({ ...message, topic: 't', properties }, 1, world.now), EncodeError);
    for (const filter of ['', 'a/#/b', 'a+', '$share/g', '$share/+/a'])
      assert.throws(() => world.core.subscribe({ filters: ['ok', filter] }, world.now), { reasonCode: 0x8f });
    assert.equal(world.core.state.retained.count, 0);
    assert.equal(world.core.state.sessions.size, 0);
    assert.equal(world.core.state.router.count, 0);
    world.settle();
    assert.equal(world.published.size, 0);
  });

  test(`a subscriber's window is its unsettled messages; the rest waits in order, ${store}`, () => {
    const world = new World({ store });
    const subscriber = world.subscribe({ filters: ['t'], window: 3 });
    const pub = world.connect({ clientId: 'pub' });
    for (let i = 1; i <= 10; i++) pub.publishWhole(publish({ topic: 't', qos: 1, packetId: i, payload: `${i}` }));
    assert.equal(world.delivered.length, 3);
    assert.equal(subscriber.session.queue?.count, 7);
    const first = world.delivered[0];
    assert.deepEqual(
      [first?.message.topic, first?.message.qos, first?.message.retain, first?.message.clientId],
      ['t', 1, false, 'pub'],
    );
    assert.deepEqual(
      drain(world),
      Array.from({ length: 10 }, (_, i) => `${i + 1}`),
    );
    assert.equal(subscriber.session.queue, null);
    world.end();
  });

  test(`beyond window and queue the newest is dropped, counted and told; what expired is too, ${store}`, () => {
    const world = new World({ store, limits: { queueMessagesMax: 2 } });
    world.subscribe({ filters: ['t'], window: 1, clientId: 'inside' });
    const pub = world.connect({ clientId: 'pub' });
    const soon = { properties: { messageExpiryInterval: 5 } };
    pub.send(publish({ topic: 't', payload: '1' }), publish({ topic: 't', payload: '2', ...soon }));
    pub.send(publish({ topic: 't', payload: '3' }), publish({ topic: 't', payload: '4' }));
    assert.equal(world.core.metrics.drops.get('queue-full'), 1);
    assert.deepEqual(
      world.takeEvents('dropped').map(({ clientId, reason }) => [clientId, reason]),
      [['inside', 'queue-full']],
    );
    world.advance(5_000);
    assert.deepEqual(drain(world), ['1', '3']);
    assert.equal(world.core.metrics.drops.get('expired'), 1);
    assert.deepEqual(
      world.takeEvents('dropped').map(({ clientId, reason }) => [clientId, reason]),
      [['inside', 'expired']],
    );
    world.end();
  });

  test(`retained messages are replayed through the window, or not at all if it says so, ${store}`, () => {
    const world = new World({ store });
    for (let i = 1; i <= 5; i++) world.publish(`r/${i}`, `${i}`, { retain: true, qos: 1 });
    world.subscribe({ filters: ['r/#'], window: 2, qos: 1 });
    assert.equal(world.delivered.length, 2);
    assert.ok(world.delivered.every(({ message }) => message.retain && message.qos === 1));
    assert.deepEqual(drain(world), ['1', '2', '3', '4', '5']);
    world.subscribe({ filters: ['r/#'], retainHandling: 2 });
    world.subscribe({ filters: ['$share/g/r/#'] });
    world.settle();
    assert.equal(world.delivered.length, 0);
    world.end();
  });

  test(`options: QoS, No Local, Retain As Published; properties arrive as objects, ${store}`, () => {
    const world = new World({ store });
    world.subscribe({ filters: ['t'], qos: 1, noLocal: true, retainAsPublished: true, clientId: 'me' });
    const pub = world.connect({ clientId: 'pub' });
    const properties = {
      contentType: 'c',
      correlationData: Uint8Array.of(1, 2),
      userProperties: [
        ['k', 'v'],
        ['k', 'w'],
      ] as [string, string][],
    };
    pub.publishWhole(publish({ topic: 't', qos: 2, packetId: 1, retain: true, payload: 'x', properties }));
    world.publish('t', 'own', { clientId: 'me' });
    const message = world.settleLocal();
    assert.deepEqual([message.qos, message.retain], [1, true]);
    assert.deepEqual(message.properties, properties);
    world.end();
  });

  test(`a subscriber that is closed gets nothing more, and its name is free again, ${store}`, () => {
    const world = new World({ store });
    const subscriber = world.subscribe({ filters: ['t'], clientId: 'name', window: 1 });
    assert.throws(() => world.core.subscribe({ filters: ['t'], clientId: 'name' }, world.now), { reasonCode: 0x85 });
    const refused = world.connecting({ clientId: 'name' });
    refused.expectClosed(
      connack({
        reasonCode: ReasonCode.ClientIdentifierNotValid,
        properties: { reasonString: 'the client id belongs to somebody else' },
      }),
    );
    world.publish('t', '1');
    world.publish('t', '2');
    const token = world.delivered.shift()?.token as number;
    world.core.unsubscribe(subscriber, world.now);
    world.core.unsubscribe(subscriber, world.now);
    world.core.settled(subscriber, token, 0, world.now);
    assert.equal(world.publish('t', '3', { qos: 1 })(), ReasonCode.NoMatchingSubscribers);
    assert.equal(world.core.state.router.count, 0);
    world.connect({ clientId: 'name' });
    world.end();
  });

  test(`send goes to one connection outside any subscription, ${store}`, () => {
    const world = new World({ store });
    const one = world.connect({
      clientId: 'one',
      ...lasting,
      properties: { sessionExpiryInterval: 9, receiveMaximum: 1 },
    });
    const two = world.connect({ clientId: 'two' });
    const send = (clientId: string, payload: string, qos: 0 | 1 | 2) => {
      world.core.send(clientId, { topic: 'down', payload: text(payload), qos, retain: false }, 500, world.now);
      world.settle();
      return world.published.get(500);
    };
    assert.equal(send('one', 'a', 1), 0);
    assert.equal(send('one', 'b', 2), 0);
    assert.equal(send('one', 'c', 0), 0);
    one.expect(publish({ topic: 'down', payload: 'a', qos: 1, packetId: 1 }), publish({ topic: 'down', payload: 'c' }));
    one.send(puback(1));
    one.expect(publish({ topic: 'down', payload: 'b', qos: 2, packetId: 2 }));
    one.send({ type: 5, packetId: 2, reasonCode: 0 });
    one.expect(pubrel(2));
    one.send({ type: 7, packetId: 2, reasonCode: 0 });
    assert.equal(send('nobody', 'x', 1), ReasonCode.NoMatchingSubscribers);
    one.drop();
    assert.equal(send('one', 'x', 1), ReasonCode.NoMatchingSubscribers);
    two.expectNothing();
    assert.equal(world.core.disconnect('two', 0x98, 'out', world.now), true);
    assert.equal(world.core.disconnect('two', 0x98, 'out', world.now), false);
    world.settle();
    assert.ok(two.isClosed);
    assert.equal(two.takeAll().length, 1);
    world.end();
  });
}
