/** A queue longer than its prefix in memory: the rest is only in the store and is read back page by page, in order. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType } from '@pipit/protocol';
import { type BrokerEvent, Permissions } from '../../src/core/index.ts';
import { puback, publish, suback, subscribe } from './packets.ts';
import type { StoreDouble } from './store-double.ts';
import { type Client, type StoreKind, World, type WorldOptions } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };
const storing: readonly StoreKind[] = ['instant', 'late', 'failing'];
const limits = { queuePrefixMessages: 4 };

interface SetUp {
  readonly world: World;
  readonly store: StoreDouble;
  readonly pub: Client;
}

/** `count` QoS 1 messages '1', '2', … wait for the session 'sub', which is away. */
function waiting(count: number, options: WorldOptions = {}, expiry?: number): SetUp {
  const world = new World({ store: 'late', limits, ...options });
  const sub = world.connect({ clientId: 'sub', ...lasting });
  sub.send(subscribe(1, { filter: 'q/#', qos: 2 }));
  sub.expect(suback(1, 2));
  sub.drop();
  const pub = world.connect({ clientId: 'pub' });
  fill(pub, 1, count, expiry);
  return { world, store: world.store as StoreDouble, pub };
}

function fill(pub: Client, first: number, last: number, expiry?: number): void {
  const properties = expiry === undefined ? {} : { properties: { messageExpiryInterval: expiry } };
  for (let i = first; i <= last; i++) {
    pub.publishWhole(publish({ topic: 'q/t', qos: 1, packetId: i, payload: String(i), ...properties }));
  }
}

function numbers(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => String(first + i));
}

/** Acknowledges everything that comes, and says what it was. */
function drain(client: Client): string[] {
  const payloads: string[] = [];
  for (let more = client.takeAll(); more.length > 0; more = client.takeAll()) {
    for (const packet of more) {
      if (packet.type === PacketType.Pubrel) client.send({ ...packet, type: PacketType.Pubcomp });
      if (packet.type !== PacketType.Publish) continue;
      payloads.push(new TextDecoder().decode(packet.payload));
      const { packetId, qos } = packet;
      if (qos === 1) client.send({ type: PacketType.Puback, packetId, reasonCode: 0 });
      if (qos === 2) client.send({ type: PacketType.Pubrec, packetId, reasonCode: 0 });
    }
  }
  return payloads;
}

function resume(world: World, receiveMaximum = 65_535): Client {
  return world.connect({
    clientId: 'sub',
    cleanStart: false,
    properties: { sessionExpiryInterval: 3600, receiveMaximum },
  });
}

function sessionOf(world: World): NonNullable<ReturnType<World['core']['state']['sessions']['get']>> {
  const session = world.core.state.sessions.get('sub');
  assert.ok(session);
  return session;
}

function drops(events: readonly BrokerEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'dropped' ? [`${event.count} ${event.reason}`] : []));
}

for (const store of storing) {
  for (const receiveMaximum of [1, 3, 65_535]) {
    test(`order stays from memory through the store, ${store}, Receive Maximum ${receiveMaximum} [MQTT-4.6.0-5]`, () => {
      const { world } = waiting(25, { store });
      assert.equal(sessionOf(world).queue?.prefixCount, 4);
      assert.equal(sessionOf(world).queue?.count, 25);
      assert.deepEqual(drain(resume(world, receiveMaximum)), numbers(1, 25));
      assert.deepEqual(world.store?.queued('sub'), []);
      assert.equal(sessionOf(world).queue, null);
      world.end();
    });
  }

  test(`while anything is only in the store, a new message goes there too, ${store}`, () => {
    const { world, pub } = waiting(10, { store });
    const sub = resume(world, 1);
    // Four were in memory; one is in flight. New ones join behind what is still to be read.
    for (let i = 11; i <= 16; i++) {
      pub.publishWhole(publish({ topic: 'q/t', qos: (i % 2) + 1 === 1 ? 1 : 2, packetId: i, payload: String(i) }));
    }
    assert.deepEqual(drain(sub), numbers(1, 16));
    world.end();
  });
}

for (const [count, prefix] of [
  [4, 4],
  [5, 4],
] as const) {
  test(`${count} messages with a prefix of 4: ${prefix} in memory, ${count - prefix} only in the store`, () => {
    const { world } = waiting(count);
    assert.equal(sessionOf(world).queue?.prefixCount, prefix);
    assert.equal(sessionOf(world).queue?.tailCount, count - prefix);
    const sub = resume(world);
    assert.deepEqual(drain(sub), numbers(1, count));
    world.end();
  });
}

test('the prefix is limited in bytes too, and counts and bytes are known without loading', () => {
  const { world } = waiting(6, { limits: { queuePrefixBytes: 200 } });
  const queue = sessionOf(world).queue;
  // A message costs its topic (2 + 3 bytes), its payload and 128 bytes: the second one crosses 200.
  assert.equal(queue?.prefixCount, 2);
  assert.equal(queue?.bytes, 6 * 134);
  assert.deepEqual(drain(resume(world)), numbers(1, 6));
  world.end();
});

test('a page that comes late: nothing is lost, nothing comes twice, live messages queue behind', () => {
  const { world, store, pub } = waiting(10);
  store.isPagingStalled = true;
  const sub = resume(world);
  assert.deepEqual(drain(sub), numbers(1, 4));
  assert.equal(store.pagesWaiting, 1, 'one request at a time');
  fill(pub, 11, 12);
  sub.expectNothing();
  store.isPagingStalled = false;
  world.settle();
  assert.deepEqual(drain(sub), numbers(5, 12));
  world.end();
});

test('a page that fails is told and asked for again', () => {
  const { world, store } = waiting(10);
  store.isPagingBroken = true;
  const sub = resume(world);
  assert.deepEqual(drain(sub), numbers(1, 4));
  world.advance(2_000);
  sub.expectNothing();
  const failed = world.takeEvents('page-failed');
  assert.ok(failed.length >= 2, 'tried again');
  assert.deepEqual(failed[0], { type: 'page-failed', clientId: 'sub', reason: 'unreadable', attempts: 1 });
  store.isPagingBroken = false;
  world.advance(1_000);
  assert.deepEqual(drain(sub), numbers(5, 10));
  world.end();
});

test('a page that fails is asked for ever more slowly, whatever wakes the session meanwhile', () => {
  const { world, store, pub } = waiting(10);
  store.isPagingBroken = true;
  const sub = resume(world);
  assert.deepEqual(drain(sub), numbers(1, 4));
  const from = world.now;
  const at: number[] = [];
  for (let i = 0; i < 90; i++) {
    fill(pub, 11 + i, 11 + i);
    world.advance(1_000);
    for (const { attempts } of world.takeEvents('page-failed')) at[attempts - 1] = (world.now - from) / 1_000;
  }
  assert.deepEqual(at.slice(1), [1, 3, 7, 15, 31, 61]);
  store.isPagingBroken = false;
  world.advance(30_000);
  assert.deepEqual(drain(sub), numbers(5, 100));
  world.end();
});

test('what cannot be read for a minute is dropped and told, and the rest goes on', () => {
  for (const lost of [[5], [7, 8], [10], [5, 6, 7, 8, 9, 10]]) {
    const { world, store, pub } = waiting(10);
    store.unreadable.set('sub', lost);
    const sub = resume(world);
    const first = drain(sub);
    assert.ok(first.length < 10 - lost.length || lost.length === 6, 'it waits');
    world.advance(59_000);
    sub.expectNothing();
    assert.deepEqual(drops(world.takeEvents('dropped')), []);
    world.advance(60_000);
    fill(pub, 11, 12);
    const rest = drain(sub);
    assert.deepEqual(
      [...first, ...rest],
      numbers(1, 12).filter((each) => !lost.includes(Number(each))),
    );
    world.advance(20_000);
    const told = world.takeEvents('dropped');
    assert.ok(told.every(({ reason }) => reason === 'store-lost'));
    assert.equal(
      told.reduce((sum, { count }) => sum + count, 0),
      lost.length,
    );
    assert.deepEqual(store.queued('sub'), [], 'the store need not keep it');
    assert.equal(world.core.state.queueTotal.messages, 0);
    world.end();
  }
});

test('the session was left and resumed while a page was under way: the page still counts', () => {
  const { world, store } = waiting(10);
  store.isPagingStalled = true;
  const sub = resume(world);
  assert.deepEqual(drain(sub), numbers(1, 4));
  sub.drop();
  const again = resume(world);
  again.expectNothing();
  store.isPagingStalled = false;
  world.settle();
  assert.deepEqual(drain(again), numbers(5, 10));
  world.end();
});

test('taken over while a page was under way: the new connection gets the rest', () => {
  const { world, store } = waiting(10);
  store.isPagingStalled = true;
  const sub = resume(world);
  assert.deepEqual(drain(sub), numbers(1, 4));
  const next = resume(world);
  assert.equal(sub.takeAll().length, 1, 'DISCONNECT 0x8E');
  store.isPagingStalled = false;
  world.settle();
  assert.deepEqual(drain(next), numbers(5, 10));
  world.end();
});

test('a page for an older incarnation is thrown away', () => {
  const { world, store, pub } = waiting(10);
  store.isPagingStalled = true;
  const sub = resume(world);
  assert.deepEqual(drain(sub), numbers(1, 4));
  sub.drop();
  const fresh = world.connect({ clientId: 'sub', ...lasting, cleanStart: true });
  fresh.send(subscribe(1, { filter: 'q/#', qos: 1 }));
  fresh.expect(suback(1, 1));
  fresh.drop();
  fill(pub, 100, 105);
  const again = resume(world);
  store.isPagingStalled = false;
  world.settle();
  assert.deepEqual(drain(again), numbers(100, 105));
  assert.equal(world.core.state.pages.size, 0);
  world.end();
});

test('a session that ended while its page was under way gets nothing and keeps nothing', () => {
  const { world, store } = waiting(10);
  store.isPagingStalled = true;
  const sub = resume(world);
  assert.deepEqual(drain(sub), numbers(1, 4));
  sub.drop();
  world.advance(3_600_000);
  assert.deepEqual(
    world.takeEvents('session-ended').map(({ reason, dropped }) => [reason, dropped]),
    [['expired', 6]],
  );
  store.isPagingStalled = false;
  world.settle();
  assert.equal(world.core.state.pages.size, 0);
  assert.deepEqual(store.queued('sub'), []);
  assert.deepEqual(store.sessionKeys, []);
  world.end();
});

test('what expired while it was only in the store is not sent [MQTT-3.3.2-5]', () => {
  const { world, pub } = waiting(8, {}, 60);
  fill(pub, 9, 10);
  world.advance(60_000);
  const sub = resume(world);
  assert.deepEqual(drain(sub), ['9', '10']);
  world.advance(10_000);
  assert.deepEqual(drops(world.events), ['1 expired', '7 expired']);
  assert.equal(world.core.metrics.drops.get('expired'), 8);
  assert.deepEqual(world.store?.queued('sub'), []);
  world.end();
});

test('the expiry of what was only in the store is counted down when it is sent [MQTT-3.3.2-6]', () => {
  const { world } = waiting(6, {}, 60);
  world.advance(45_000);
  const sub = resume(world);
  const intervals = sub
    .takeAll()
    .map((packet) => packet.type === PacketType.Publish && packet.properties?.messageExpiryInterval);
  assert.deepEqual(intervals, [15, 15, 15, 15, 15, 15]);
});

test('what was revoked while it was only in the store is not sent', () => {
  const permissions = new Permissions([{ effect: 'allow', action: 'all', filter: '#' }]);
  const { world } = waiting(8, { authority: () => ({ outcome: 'accept', principal: null, permissions }) });
  world.core.permissionsChanged(
    permissions,
    [
      { effect: 'deny', action: 'subscribe', filter: 'q/t' },
      { effect: 'allow', action: 'all', filter: '#' },
    ],
    world.now,
  );
  world.settle();
  const sub = resume(world);
  sub.expectNothing();
  assert.equal(world.core.metrics.drops.get('not-authorized'), 8);
  assert.deepEqual(world.store?.queued('sub'), []);
  world.end();
});

test('a tail the store has lost is told, counted and passed over', () => {
  const { world, store, pub } = waiting(10);
  store.lose('sub', 7);
  const sub = resume(world);
  assert.deepEqual(drain(sub), numbers(1, 7));
  assert.deepEqual(drops(world.takeEvents('dropped')), ['3 store-lost']);
  assert.equal(world.core.metrics.drops.get('store-lost'), 3);
  fill(pub, 11, 12);
  assert.deepEqual(drain(sub), ['11', '12']);
  world.end();
});

test('what is not committed yet is waited for, not taken for lost', () => {
  const { world, store, pub } = waiting(5);
  const sub = resume(world, 1);
  store.isCommitStalled = true;
  pub.send(publish({ topic: 'q/t', qos: 1, packetId: 6, payload: '6' }));
  // Page after page is answered, and this message is in none of them.
  assert.deepEqual(drain(sub), numbers(1, 5));
  world.advance(10_000);
  sub.expectNothing();
  store.isCommitStalled = false;
  world.settle();
  pub.expect(puback(6));
  assert.deepEqual(drain(sub), ['6']);
  assert.equal(world.core.metrics.drops.get('store-lost'), undefined);
  world.end();
});

test('a queue only in the store holds its limit: the newest is dropped', () => {
  const { world, pub } = waiting(7, { limits: { queuePrefixMessages: 4, queueMessagesMax: 6 } });
  assert.deepEqual(drops(world.takeEvents('dropped')), ['1 queue-full']);
  const sub = resume(world, 1);
  assert.deepEqual(drain(sub), numbers(1, 6));
  fill(pub, 8, 8);
  assert.deepEqual(drain(sub), ['8']);
  world.end();
});

for (const store of storing) {
  test(`after a restart everything is only in the store and comes in order, ${store}`, () => {
    const { world } = waiting(10, { store });
    world.end();
    const next = new World({ store, limits, after: world });
    assert.equal(sessionOf(next).queue?.prefixCount, 0);
    assert.equal(sessionOf(next).queue?.count, 10);
    const pub = next.connect({ clientId: 'pub' });
    fill(pub, 11, 12);
    assert.deepEqual(drain(resume(next, 2)), numbers(1, 12));
    assert.deepEqual(next.store?.queued('sub'), []);
    next.end();
  });
}
