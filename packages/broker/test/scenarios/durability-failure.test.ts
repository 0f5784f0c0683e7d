/** The store fails, stalls and recovers: nothing is acknowledged that does not last, and everybody else goes on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProtocolVersion, ReasonCode } from '@pipit/protocol';
import {
  connack,
  disconnect,
  pingreq,
  pingresp,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  suback,
  subscribe,
} from './packets.ts';
import type { StoreDouble } from './store-double.ts';
import { type Client, World, type WorldOptions } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

function setUp(options: WorldOptions = {}): { world: World; store: StoreDouble; sub: Client; pub: Client } {
  const world = new World({ store: 'late', ...options });
  const sub = world.connect({ clientId: 'sub', ...lasting });
  sub.send(subscribe(1, { filter: 'd/#', qos: 2 }));
  sub.expect(suback(1, 2));
  return { world, store: world.store as StoreDouble, sub, pub: world.connect({ clientId: 'pub' }) };
}

/** The store has refused one commit, of a message that `pub` still waits for under packet id 1. */
function failing(options: WorldOptions = {}): ReturnType<typeof setUp> {
  const all = setUp(options);
  all.store.isBroken = true;
  all.pub.send(publish({ topic: 'd/held', qos: 1, packetId: 1 }));
  all.sub.receiveWhole(publish({ topic: 'd/held', qos: 1, packetId: 1 }));
  all.pub.expectNothing();
  assert.deepEqual(all.world.takeEvents('commit-failed'), [
    { type: 'commit-failed', reason: 'the disk is full', attempts: 1 },
  ]);
  return all;
}

test('a failed commit is tried again with what came since, and only then acknowledged', () => {
  const { world, store, sub, pub } = failing();
  const before = store.committed.length;
  world.connect({ clientId: 'other', properties: { receiveMaximum: 5 } });
  sub.send(subscribe(2, 'e'));
  world.advance(3_000);
  pub.expectNothing();
  sub.expectNothing();
  assert.ok(world.takeEvents('commit-failed').length >= 3);
  store.isBroken = false;
  world.advance(5_000);
  pub.expect(puback(1));
  sub.expect(suback(2, 0));
  assert.deepEqual(
    store.committed.slice(before).map(({ changes }) => changes.map(({ kind }) => kind)),
    [['queued', 'settled', 'subscribed']],
  );
  assert.equal(world.takeEvents('commit-recovered').length, 1);
  world.end();
});

test('retries back off: 100 ms, doubled to 5 s', () => {
  const { world, store } = failing();
  const at: number[] = [];
  const from = world.now;
  for (let i = 0; i < 8; i++) {
    const due = world.core.deadline();
    world.advance(due - world.now);
    at.push(world.now - from);
  }
  assert.deepEqual(at, [100, 300, 700, 1_500, 3_100, 6_300, 11_300, 16_300]);
  store.isBroken = false;
  world.advance(5_000);
  assert.equal(world.takeEvents('commit-recovered')[0]?.attempts, 9);
});

for (const version of [3, 4, 5] satisfies ProtocolVersion[]) {
  test(`while it fails, what needs the disk is refused before it touches anything, version ${version}`, () => {
    const { world, store, sub } = failing();
    const connect = (clientId: string): Client => world.connect({ clientId, version });
    const refused = version === 5 ? ReasonCode.QuotaExceeded : null;
    const one = connect('one');
    one.send(publish({ topic: 'd/x', qos: 1, packetId: 1, payload: 'refused' }));
    if (refused === null) one.expectClosed();
    else one.expect(puback(1, refused));
    const two = connect('two');
    two.send(publish({ topic: 'd/x', qos: 2, packetId: 1, payload: 'refused' }));
    if (refused === null) two.expectClosed();
    else two.expect(pubrec(1, refused));
    const retained = connect('retained');
    retained.send(publish({ topic: 'r', qos: 1, packetId: 1, retain: true, payload: 'refused' }));
    if (refused === null) retained.expectClosed();
    else retained.expect(puback(1, refused));
    sub.expectNothing();
    store.isBroken = false;
    world.advance(5_000);
    sub.expectNothing();
    assert.deepEqual(store.queued('sub'), []);
    assert.deepEqual(store.retainedTopics, []);
    // Recovered: admitted again, under the same packet id.
    const again = connect('again');
    again.publishWhole(publish({ topic: 'd/x', qos: 2, packetId: 1, payload: 'taken' }));
    sub.receiveWhole(publish({ topic: 'd/x', qos: 2, packetId: 2, payload: 'taken' }));
    again.publishWhole(
      publish({ topic: 'r', qos: 1, packetId: 1, retain: true }),
      version === 5 ? ReasonCode.NoMatchingSubscribers : 0,
    );
    assert.equal(world.takeEvents('publish-refused').length, 3);
  });
}

test('while it fails, the QoS 2 id of a session that lasts is refused; a known one is answered again', () => {
  const { world, store, sub } = setUp();
  const pub = world.connect({ clientId: 'p2', ...lasting });
  pub.send(publish({ topic: 'v', qos: 2, packetId: 1 }));
  pub.expect(pubrec(1, ReasonCode.NoMatchingSubscribers));
  store.isBroken = true;
  sub.send(subscribe(9, 'x'));
  pub.send(publish({ topic: 'v', qos: 2, packetId: 2 }));
  pub.expect(pubrec(2, ReasonCode.QuotaExceeded));
  pub.send(publish({ topic: 'v', qos: 2, packetId: 1, dup: true }));
  pub.expect(pubrec(1));
  pub.send(pubrel(1));
  pub.expectNothing();
  store.isBroken = false;
  world.advance(5_000);
  pub.expect(pubcomp(1));
  sub.expect(suback(9, 0));
  world.end();
});

test('while it fails, QoS 0 and volatile traffic go on', () => {
  const { world, sub } = failing();
  const reader = world.connect({ clientId: 'reader' });
  reader.send(subscribe(1, { filter: 'v/#', qos: 2 }));
  reader.expect(suback(1, 2));
  const writer = world.connect({ clientId: 'writer' });
  writer.send(publish({ topic: 'd/zero', payload: '0' }));
  sub.expect(publish({ topic: 'd/zero', payload: '0' }));
  writer.publishWhole(publish({ topic: 'v/one', qos: 1, packetId: 1 }));
  reader.receiveWhole(publish({ topic: 'v/one', qos: 1, packetId: 1 }));
  writer.publishWhole(publish({ topic: 'v/two', qos: 2, packetId: 1 }));
  reader.receiveWhole(publish({ topic: 'v/two', qos: 2, packetId: 2 }));
  assert.equal(world.publish('d/inside', 'x', { qos: 1 })(), ReasonCode.QuotaExceeded);
  assert.equal(world.publish('d/inside', 'y')(), 0);
  sub.expect(publish({ topic: 'd/inside', payload: 'y' }));
  sub.send(pingreq);
  sub.expect(pingresp);
});

test('what is held too long closes its connection without the acknowledgement; nobody else', () => {
  const { world, store, sub, pub } = setUp();
  store.isStalled = true;
  pub.send(publish({ topic: 'd/x', qos: 1, packetId: 1 }));
  sub.expect(publish({ topic: 'd/x', qos: 1, packetId: 1 }));
  world.advance(29_999);
  pub.expectNothing();
  assert.equal(pub.isClosed, false);
  world.advance(1);
  pub.expectClosed(disconnect(ReasonCode.UnspecifiedError, { reasonString: 'the store has not answered in time' }));
  assert.equal(sub.isClosed, false);
  sub.expectNothing();
  // It lasts after all: nothing is undone, and the message is not sent twice to a session that has it.
  store.isStalled = false;
  world.settle();
  assert.deepEqual(store.queued('sub'), [1]);
  sub.send(puback(1));
  assert.deepEqual(store.queued('sub'), []);
  world.end();
});

test('3.x: held too long closes without a word', () => {
  const { world, store, sub } = setUp();
  const pub = world.connect({ clientId: 'p4', version: 4 });
  store.isStalled = true;
  pub.send(publish({ topic: 'd/x', qos: 1, packetId: 1 }));
  sub.expect(publish({ topic: 'd/x', qos: 1, packetId: 1 }));
  world.advance(30_000);
  pub.expectClosed();
});

test('a connection that always has something held is not closed while each commit is quick', () => {
  const { world, store, sub, pub } = setUp();
  store.isStalled = true;
  for (let packetId = 1; packetId <= 100; packetId++) {
    pub.send(publish({ topic: 'd/x', qos: 1, packetId }));
    world.advance(1_000);
    store.isStalled = false;
    store.answer(world.core, world.now);
    store.isStalled = true;
    // The next one is held before the last is released: something always waits, but never for long.
    world.settle();
    sub.send(puback(packetId));
  }
  assert.equal(pub.isClosed, false);
  assert.equal(sub.isClosed, false);
  store.isStalled = false;
  world.settle();
  pub.expect(...Array.from({ length: 100 }, (_, i) => puback(i + 1)));
  assert.equal(sub.takeAll().length, 100);
  world.end();
});

test('a CONNACK held too long: closed with nothing sent, and the session is there later', () => {
  const { world, store } = setUp();
  store.isStalled = true;
  const late = world.connecting({ clientId: 'late', ...lasting });
  world.advance(30_000);
  late.expectClosed();
  store.isStalled = false;
  world.settle();
  assert.deepEqual(world.connect({ clientId: 'late', ...lasting }).connack?.type, connack().type);
});

test('a 5.0 publisher may have Receive Maximum held; one more is its error, and 3.x is paused instead', () => {
  const limits = { receiveMaximum: 3 };
  const { world, store, sub, pub } = setUp({ limits });
  store.isStalled = true;
  pub.send(...[1, 2, 3].map((packetId) => publish({ topic: 'd/x', qos: 1, packetId })));
  assert.equal(pub.isClosed, false);
  const old = world.connect({ clientId: 'old', version: 4 });
  old.send(...[1, 2, 3, 4].map((packetId) => publish({ topic: 'd/y', qos: 1, packetId })));
  assert.ok(old.isPaused, 'not read until the disk has caught up');
  assert.equal(sub.takeAll().length, 6);
  pub.send(publish({ topic: 'd/x', qos: 1, packetId: 4 }));
  pub.expectClosed(disconnect(ReasonCode.ReceiveMaximumExceeded, { reasonString: 'more than 3 messages are open' }));
  store.isStalled = false;
  world.settle();
  old.expect(puback(1), puback(2), puback(3), puback(4));
  assert.equal(old.isPaused, false);
  sub.expect(publish({ topic: 'd/y', qos: 1, packetId: 7 }));
  const fresh = world.connect({ clientId: 'fresh' });
  for (let packetId = 1; packetId <= 4; packetId++) fresh.publishWhole(publish({ topic: 'd/z', qos: 1, packetId }));
  assert.equal(sub.takeAll().length, 4);
  world.end();
});

test('many bytes held pause the connection', () => {
  const { world, store, sub, pub } = setUp({ limits: { heldBytesMax: 10 } });
  store.isStalled = true;
  pub.send(...[1, 2, 3, 4].map((packetId) => publish({ topic: 'd/x', qos: 1, packetId })));
  assert.ok(pub.isPaused);
  assert.equal(sub.takeAll().length, 3);
  store.isStalled = false;
  world.settle();
  pub.expect(puback(1), puback(2), puback(3), puback(4));
  assert.equal(pub.isPaused, false);
  assert.equal(sub.takeAll().length, 1);
  world.end();
});

test('while it fails, what is claimed goes on: nobody who lasts would get it', () => {
  const { world, sub } = failing();
  world.subscribe({ filters: ['d/claimed'], claim: true });
  const client = world.connect({ clientId: 'c' });
  client.send(publish({ topic: 'd/claimed', qos: 1, packetId: 1, retain: true }));
  world.settleLocal();
  client.expect(puback(1));
  client.send(publish({ topic: 'd/claimed', qos: 2, packetId: 2 }));
  world.settleLocal();
  client.expect(pubrec(2));
  sub.expectNothing();
});
