/** The store is full and not broken: what would make it fuller is refused, and everything that empties it goes on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProtocolVersion, ReasonCode } from '@pipit/protocol';
import { puback, pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import type { StoreDouble } from './store-double.ts';
import { World } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

/** `sleeper` is away and has one message waiting; then the store is full. */
function full(): { world: World; store: StoreDouble } {
  const world = new World({ store: 'late' });
  const sleeper = world.connect({ clientId: 'sleeper', ...lasting });
  sleeper.send(subscribe(1, { filter: 'd/#', qos: 2 }));
  sleeper.expect(suback(1, 2));
  sleeper.drop();
  const pub = world.connect({ clientId: 'before' });
  pub.publishWhole(publish({ topic: 'd/waits', qos: 1, packetId: 1 }));
  pub.publishWhole(publish({ topic: 'kept', qos: 1, packetId: 1, retain: true }), ReasonCode.NoMatchingSubscribers);
  world.core.storeRoom(0, world.now);
  world.settle();
  assert.deepEqual(world.takeEvents('store-full'), [{ type: 'store-full' }]);
  return { world, store: world.store as StoreDouble };
}

for (const version of [3, 4, 5] satisfies ProtocolVersion[]) {
  test(`what would be kept is refused before it touches anything, version ${version}`, () => {
    const { world, store } = full();
    const before = store.committed.length;
    const refused = [
      publish({ topic: 'd/x', qos: 1, packetId: 1 }),
      publish({ topic: 'd/x', qos: 2, packetId: 1 }),
      publish({ topic: 'kept', qos: 1, packetId: 1, retain: true, payload: 'more' }),
    ];
    for (const [i, packet] of refused.entries()) {
      const client = world.connect({ clientId: `c${i}`, version });
      client.send(packet);
      if (version < 5) client.expectClosed();
      else client.expect((packet.qos === 2 ? pubrec : puback)(1, ReasonCode.QuotaExceeded));
    }
    assert.equal(store.committed.length, before);
    assert.equal(world.takeEvents('publish-refused').length, 3);
    const client = world.connect({ clientId: 'again', version });
    world.core.storeRoom(100_000, world.now);
    world.settle();
    assert.deepEqual(world.takeEvents('store-has-room'), [{ type: 'store-has-room' }]);
    client.publishWhole(publish({ topic: 'd/x', qos: 2, packetId: 1 }));
    assert.equal(store.queued('sleeper').length, 2);
  });
}

test('the session that fills it comes back, drains and is there after a restart', () => {
  const { world, store } = full();
  const sleeper = world.connect({ clientId: 'sleeper', ...lasting });
  assert.equal(sleeper.connack?.type === 2 && sleeper.connack.sessionPresent, true);
  sleeper.receiveWhole(publish({ topic: 'd/waits', qos: 1, packetId: 1 }));
  assert.deepEqual(store.queued('sleeper'), []);
  sleeper.send(subscribe(2, 'more'));
  sleeper.expect(suback(2, 0));
  world.end();
});

test('clearing a retained message, QoS 0 and what nobody keeps go on', () => {
  const { world, store } = full();
  const reader = world.connect({ clientId: 'reader' });
  reader.send(subscribe(1, { filter: 'v/#', qos: 2 }));
  reader.expect(suback(1, 2));
  const pub = world.connect({ clientId: 'pub' });
  pub.publishWhole(
    publish({ topic: 'kept', qos: 1, packetId: 1, retain: true, payload: '' }),
    ReasonCode.NoMatchingSubscribers,
  );
  assert.deepEqual(store.retainedTopics, []);
  pub.send(publish({ topic: 'v/zero', payload: '0' }));
  reader.expect(publish({ topic: 'v/zero', payload: '0' }));
  pub.publishWhole(publish({ topic: 'v/one', qos: 1, packetId: 1 }));
  reader.receiveWhole(publish({ topic: 'v/one', qos: 1, packetId: 1 }));
  assert.equal(world.publish('d/inside', 'x', { qos: 1 })(), ReasonCode.QuotaExceeded);
  world.end();
});

test('a QoS 2 message taken before is completed', () => {
  const world = new World({ store: 'late' });
  const pub = world.connect({ clientId: 'pub', ...lasting });
  pub.send(publish({ topic: 't', qos: 2, packetId: 1 }));
  pub.expect(pubrec(1, ReasonCode.NoMatchingSubscribers));
  world.core.storeRoom(0, world.now);
  pub.send(publish({ topic: 't', qos: 2, packetId: 2 }));
  pub.expect(pubrec(2, ReasonCode.QuotaExceeded));
  pub.send(pubrel(1));
  pub.expect(pubcomp(1));
  world.end();
});

test('a burst is taken as far as there is room, whatever its commit takes, and what was refused may come again', () => {
  const { world, store } = full();
  world.core.storeRoom(10_000, world.now);
  store.isStalled = true;
  const pub = world.connect({ clientId: 'burst' });
  const payload = 'x'.repeat(1_000);
  const packets = Array.from({ length: 20 }, (_, i) => publish({ topic: 'd/x', qos: 1, packetId: i + 1, payload }));
  pub.send(...packets);
  store.isStalled = false;
  world.settle();
  const codes = packets.map(() => pub.take('PUBACK')).map((packet) => (packet as { reasonCode: number }).reasonCode);
  const taken = codes.filter((code) => code === 0).length;
  assert.ok(taken > 5 && taken < 10, `${taken} messages of 1,000 bytes and what they cost beside`);
  assert.deepEqual(codes, [...Array(taken).fill(0), ...Array(20 - taken).fill(ReasonCode.QuotaExceeded)]);
  assert.equal(store.queued('sleeper').length, 1 + taken);
  pub.send(publish({ topic: 'd/x', qos: 1, packetId: 1, payload }));
  pub.expect(puback(1, ReasonCode.QuotaExceeded));
  world.core.storeRoom(10_000, world.now);
  pub.publishWhole(publish({ topic: 'd/x', qos: 1, packetId: 1, payload }));
  world.end();
});
