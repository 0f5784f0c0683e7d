/** Clocks across a restart: downtime counts, a wall clock that was set back or far ahead does not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PublishPacket, ReasonCode } from '@pipit/protocol';
import { publish, suback, subscribe } from './packets.ts';
import { type Client, World } from './world.ts';

const lasting = (seconds: number) => ({ cleanStart: false, properties: { sessionExpiryInterval: seconds } });
const day = 86_400_000;

/** Session 'sub' of one hour is away with a message of 100 s; a retained message of 100 s is there. Then a restart. */
function restarted(downtimeMs: number, aliveMs = 0): World {
  const world = new World({ store: 'late' });
  const sub = world.connect({ clientId: 'sub', ...lasting(3600) });
  sub.send(subscribe(1, { filter: 't', qos: 1 }));
  sub.expect(suback(1, 1));
  sub.drop();
  const pub = world.connect({ clientId: 'pub' });
  const properties = { messageExpiryInterval: 100 };
  pub.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, properties }));
  pub.publishWhole(publish({ topic: 'r', qos: 1, packetId: 2, retain: true, payload: 'r', properties }), 0x10);
  world.advance(aliveMs);
  world.end();
  return new World({ store: 'late', after: world, downtimeMs });
}

function resume(world: World): Client {
  return world.connect({ clientId: 'sub', ...lasting(3600) });
}

function expiryOf(client: Client): number | undefined {
  return (client.take() as PublishPacket).properties?.messageExpiryInterval;
}

test('downtime counts against Message Expiry, queued and retained [MQTT-3.3.2-6]', () => {
  const world = restarted(30_000);
  const sub = resume(world);
  assert.equal(expiryOf(sub), 70);
  sub.send(subscribe(2, 'r'));
  sub.expect(
    suback(2, 0),
    publish({ topic: 'r', retain: true, payload: 'r', properties: { messageExpiryInterval: 70 } }),
  );
  world.end();
});

for (const [downtimeMs, remains] of [
  [99_999, 1],
  [100_000, undefined],
] as const) {
  test(`after ${downtimeMs} ms down a message of 100 s is ${remains === undefined ? 'gone' : 'there'}`, () => {
    const world = restarted(downtimeMs);
    const sub = resume(world);
    if (remains !== undefined) assert.equal(expiryOf(sub), remains);
    assert.equal(world.core.state.retained.count, remains === undefined ? 0 : 1);
    world.settle();
    assert.deepEqual(world.store?.retainedTopics, remains === undefined ? [] : ['r'], 'gone from the store too');
    assert.deepEqual(world.store?.queued('sub'), remains === undefined ? [] : [1]);
    world.end();
  });
}

for (const [downtimeMs, isThere] of [
  [3_599_999, true],
  [3_600_000, false],
] as const) {
  test(`after ${downtimeMs} ms down a session of one hour is ${isThere ? 'there' : 'gone'} [MQTT-4.1.0-2]`, () => {
    const world = restarted(downtimeMs);
    assert.equal(world.core.state.sessions.has('sub'), isThere);
    assert.equal(world.store?.sessionKeys.includes('sub'), isThere);
    assert.equal(world.core.state.router.count, isThere ? 1 : 0);
  });
}

test('a wall clock set back counts as no downtime', () => {
  const world = restarted(-3 * day);
  const sub = resume(world);
  assert.equal(expiryOf(sub), 100);
  assert.equal(world.core.state.retained.count, 1);
  world.advance(100_000);
  assert.equal(world.core.state.retained.count, 0);
});

test('an absurd downtime counts as none: a clock that began at 1970 must not end every session', () => {
  const world = restarted(50 * 365 * day);
  assert.equal(expiryOf(resume(world)), 100);
  assert.equal(world.core.state.retained.count, 1);
});

test('time that passed before the last commit counted already', () => {
  // The downtime is counted from the last commit, which was 40 s before the crash.
  const world = restarted(10_000, 40_000);
  assert.equal(expiryOf(resume(world)), 50);
});

test('the expiry of a session that was connected runs from the first start, however often it starts again', () => {
  const first = new World({ store: 'late' });
  first.connect({ clientId: 'sub', ...lasting(3600) });
  first.end();
  const second = new World({ store: 'late', after: first, downtimeMs: 10_000_000 });
  assert.ok(second.core.state.sessions.has('sub'), 'closed at this start, not before');
  second.advance(2_000_000);
  second.end();
  const third = new World({ store: 'late', after: second, downtimeMs: 1_000_000 });
  assert.ok(third.core.state.sessions.has('sub'));
  third.advance(600_000 - 1);
  assert.ok(third.core.state.sessions.has('sub'));
  third.advance(1);
  assert.ok(!third.core.state.sessions.has('sub'));
});

test('a delayed will runs from the first start too', () => {
  const first = new World({ store: 'late' });
  const will = {
    topic: 'w',
    payload: new Uint8Array(),
    qos: 0,
    retain: false,
    properties: { willDelayInterval: 100 },
  } as const;
  first.connect({ clientId: 'dies', ...lasting(3600), will });
  first.end();
  const second = new World({ store: 'late', after: first });
  second.advance(60_000);
  second.end();
  const third = new World({ store: 'late', after: second, downtimeMs: 30_000 });
  const sub = third.connect({ clientId: 'sub' });
  sub.send(subscribe(1, 'w'));
  sub.expect(suback(1, 0));
  third.advance(9_999);
  sub.expectNothing();
  third.advance(1);
  sub.expect(publish({ topic: 'w' }));
});

test('a wall clock that steps while running changes nothing that is running', () => {
  const world = new World({ store: 'late' });
  const sub = world.connect({ clientId: 'sub', ...lasting(3600) });
  sub.send(subscribe(1, { filter: 't', qos: 1 }));
  sub.expect(suback(1, 1));
  sub.drop();
  const pub = world.connect({ clientId: 'pub' });
  pub.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, properties: { messageExpiryInterval: 100 } }));
  world.core.wallStepped(world.wallOffsetMs - 3 * day, world.now);
  world.advance(40_000);
  assert.equal(expiryOf(resume(world)), 60);
  assert.equal(world.publish('nobody', 'x', { qos: 1 })(), ReasonCode.NoMatchingSubscribers);
});

test('a wall clock that stepped while running: what is read back from the store still means the same moment', () => {
  const world = new World({ store: 'late', limits: { queuePrefixMessages: 1 } });
  const sub = world.connect({ clientId: 'sub', ...lasting(3600) });
  sub.send(subscribe(1, { filter: 't', qos: 1 }));
  sub.expect(suback(1, 1));
  sub.drop();
  const pub = world.connect({ clientId: 'pub' });
  for (const packetId of [1, 2, 3]) {
    pub.publishWhole(publish({ topic: 't', qos: 1, packetId, properties: { messageExpiryInterval: 100 } }));
    if (packetId === 2) world.core.wallStepped(world.wallOffsetMs + 3 * day, world.now);
  }
  world.advance(40_000);
  const again = resume(world);
  assert.deepEqual([expiryOf(again), expiryOf(again), expiryOf(again)], [60, 60, 60]);
  world.end();
});

test('the lifetime the server gives retained messages goes on across a restart', () => {
  const limits = { retainedExpiryMax: 100 };
  const world = new World({ store: 'late', limits });
  const pub = world.connect({ clientId: 'pub' });
  pub.publishWhole(publish({ topic: 'r', qos: 1, packetId: 2, retain: true, payload: 'r' }), 0x10);
  world.advance(60_000);
  const next = new World({ store: 'late', limits, after: world, downtimeMs: 30_000 });
  next.advance(9_999);
  assert.equal(next.core.state.retained.count, 1);
  next.advance(1);
  assert.equal(next.core.state.retained.count, 0);
});

for (const store of ['late', 'log'] as const) {
  for (const isQueued of [false, true]) {
    const what = isQueued ? 'beside a queue that has it, too' : 'alone';
    test(`a lifetime of the server does not change what the message says of its own [MQTT-3.3.2-6]: ${what}, ${store}`, () => {
      const limits = { retainedExpiryMax: 100 };
      const world = new World({ store, limits });
      if (isQueued) {
        const sub = world.connect({ clientId: 'sub', ...lasting(3600) });
        sub.send(subscribe(1, { filter: 'r', qos: 1 }));
        sub.expect(suback(1, 1));
        sub.drop();
      }
      const pub = world.connect({ clientId: 'pub' });
      const properties = { messageExpiryInterval: 1000 };
      pub.publishWhole(
        publish({ topic: 'r', qos: 1, packetId: 2, retain: true, payload: 'r', properties }),
        isQueued ? 0 : 0x10,
      );
      world.advance(60_000);
      const next = new World({ store, limits, after: world, downtimeMs: 30_000 });
      const late = next.connect({ clientId: 'late' });
      late.send(subscribe(1, 'r'));
      late.expect(
        suback(1, 0),
        publish({ topic: 'r', payload: 'r', retain: true, properties: { messageExpiryInterval: 910 } }),
      );
      next.advance(10_000);
      assert.equal(next.core.state.retained.count, 0);
      if (isQueued) assert.equal(expiryOf(resume(next)), 900);
    });
  }
}
