/** A turn ends when its budget of deliveries or bytes is spent; what is left goes on in a ring, and nobody waits for it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePacket, type Packet, PacketType, viewOf } from '@pipit/protocol';
import { pingreq, pingresp, puback, publish, suback, subscribe, unsuback, unsubscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

/** Gives bytes to the core without letting it come to rest. The array is reused afterwards, as a driver would. */
function feed(client: Client, ...packets: Packet[]): void {
  const parts = packets.map((packet) => encodePacket(packet, client.version, 'client'));
  feedBytes(client, Uint8Array.from(parts.flatMap((part) => [...part])));
}

function feedBytes(client: Client, bytes: Uint8Array): void {
  const { world } = client;
  world.core.received(client.connection, bytes, viewOf(bytes), 0, bytes.length, world.now);
  bytes.fill(0xee);
}

function reader(world: World, clientId: string, filter: string, qos: 0 | 1 = 0): Client {
  const client = world.connect({ clientId });
  client.send(subscribe(1, { filter, qos }));
  client.expect(suback(1, qos));
  return client;
}

/** The plan of a topic has its price, once. */
function plan(world: World, topic: string, ...readers: readonly Client[]): void {
  world.publish(topic);
  for (const each of readers) each.expect(publish({ topic }));
}

/** Takes turns one by one; what each of them brought to whom. */
function turns<Result>(world: World, look: () => Result): Result[] {
  const seen: Result[] = [];
  do {
    world.turn();
    seen.push(look());
  } while (world.core.deadline() <= world.now);
  return seen;
}

function received(client: Client): string[] {
  const packets: Packet[] = [];
  // Not `takeAll`, which lets the core come to rest.
  for (const packet of client.peekAll()) packets.push(packet);
  return packets.flatMap((packet) =>
    packet.type === PacketType.Publish ? [new TextDecoder().decode(packet.payload)] : [],
  );
}

const many = (count: number, topic = 't', payload = (i: number) => String(i)) =>
  Array.from({ length: count }, (_, i) => publish({ topic, payload: payload(i) }));

test('deliveries: the rest of a chunk stays unparsed, reading is paused, and resumed at its end', () => {
  const world = new World({ limits: { turnDeliveriesMax: 10 } });
  const sub = reader(world, 'sub', 't');
  const pub = world.connect({ clientId: 'pub' });
  plan(world, 't', sub);
  feed(pub, ...many(45));
  assert.ok(world.core.deadline() <= world.now, 'work waits: now');
  world.turn();
  // What came in had a budget, and what waits has one in each turn.
  assert.equal(received(sub).length, 20);
  assert.ok(pub.isPaused);
  assert.ok(world.core.deadline() <= world.now);
  world.turn();
  assert.equal(received(sub).length, 30);
  assert.ok(pub.isPaused);
  world.settle();
  assert.equal(pub.isPaused, false);
  assert.equal(world.core.deadline(), Number.POSITIVE_INFINITY);
  sub.expect(...many(45));
  world.end();
});

for (const [count, isPaused] of [
  [10, false],
  [11, true],
] as const) {
  test(`${count} deliveries under a budget of 10 ${isPaused ? 'pause' : 'do not pause'} their publisher`, () => {
    const world = new World({ limits: { turnDeliveriesMax: 10 } });
    const sub = reader(world, 'sub', 't');
    const pub = world.connect({ clientId: 'pub' });
    plan(world, 't', sub);
    feed(pub, ...many(count));
    assert.equal(
      world.core.state.effects.some(({ kind }) => kind === 'pause'),
      isPaused,
    );
    world.settle();
    assert.equal(pub.isPaused, false);
    sub.expect(...many(count));
    world.end();
  });
}

test('bytes: a turn ends by them, too', () => {
  const world = new World({ limits: { turnBytesMax: 1_000 } });
  const sub = reader(world, 'sub', 't');
  const pub = world.connect({ clientId: 'pub' });
  const payload = (i: number) => String(i).padEnd(290, '.');
  feed(pub, ...many(12, 't', payload));
  const perTurn = turns(world, () => received(sub).length);
  // Four packets of 296 bytes spend 1,000.
  assert.deepEqual(perTurn, [8, 12]);
  sub.expect(...many(12, 't', payload));
  world.end();
});

test('one PUBLISH is the atom, however many get it', () => {
  const world = new World({ limits: { turnDeliveriesMax: 4 } });
  const subs = Array.from({ length: 20 }, (_, i) => reader(world, `s${i}`, 't'));
  const pub = world.connect({ clientId: 'pub' });
  feed(pub, ...many(4));
  const perTurn = turns(world, () => subs.map((sub) => received(sub).length));
  assert.deepEqual(
    perTurn[0],
    subs.map(() => 2),
  );
  assert.deepEqual(
    perTurn.at(-1),
    subs.map(() => 4),
  );
  for (const sub of subs) sub.expect(...many(4));
  world.end();
});

test('the ring is fair: publishers with much to say take turns, one with little is not behind them', () => {
  const world = new World({ limits: { turnDeliveriesMax: 10 } });
  const sub = reader(world, 'sub', '#');
  const pubs = ['a', 'b', 'c'].map((clientId) => world.connect({ clientId }));
  for (const pub of pubs) feed(pub, ...many(100, pub.connection.clientId));
  const little = world.connect({ clientId: 'little' });
  little.send(pingreq);
  const order = sub.takeAll().map((packet) => (packet as { topic: string }).topic);
  assert.equal(order.length, 300);
  for (let upTo = 30; upTo <= 300; upTo += 30) {
    const counts = ['a', 'b', 'c'].map((topic) => order.slice(0, upTo).filter((each) => each === topic).length);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 20, `after ${upTo}: ${counts}`);
  }
  little.expect(pingresp);
  world.end();
});

test('a newcomer is answered within one round of the ring', () => {
  const world = new World({ limits: { turnDeliveriesMax: 5 } });
  const sub = reader(world, 'sub', 't');
  const pubs = ['a', 'b', 'c'].map((clientId) => world.connect({ clientId }));
  const pinger = world.connect({ clientId: 'pinger' });
  for (const pub of pubs) feed(pub, ...many(200));
  feed(pinger, pingreq);
  for (let turn = 0; turn < 4; turn++) world.turn();
  assert.deepEqual(pinger.peekAll(), [pingresp]);
  assert.ok(received(sub).length < 60);
  world.settle();
  pinger.expect(pingresp);
  assert.equal(sub.takeAll().length, 600);
  world.end();
});

test('the budget is spent in the middle of a packet: its rest may come later', () => {
  const world = new World({ limits: { turnDeliveriesMax: 3 } });
  const sub = reader(world, 'sub', 't');
  const pub = world.connect({ clientId: 'pub' });
  const bytes = Uint8Array.from(many(8).flatMap((packet) => [...encodePacket(packet, 5, 'client')]));
  feedBytes(pub, bytes.slice(0, bytes.length - 3));
  world.turn();
  feedBytes(pub, bytes.slice(bytes.length - 3, bytes.length - 1));
  world.settle();
  assert.equal(received(sub).length, 7);
  feedBytes(pub, bytes.slice(bytes.length - 1));
  world.settle();
  sub.expect(...many(8));
  world.end();
});

test('a connection closed while its bytes wait: they are forgotten', () => {
  const world = new World({ limits: { turnDeliveriesMax: 3 } });
  const sub = reader(world, 'sub', 't');
  const pub = world.connect({ clientId: 'pub' });
  plan(world, 't', sub);
  feed(pub, ...many(30));
  world.core.closed(pub.connection, world.now);
  world.settle();
  sub.expect(...many(3));
  world.end();
});

for (const store of storeKinds) {
  test(`retained replay goes in steps, and others are served between them, ${store}`, () => {
    const world = new World({ store, limits: { turnDeliveriesMax: 5 } });
    const pub = world.connect({ clientId: 'pub' });
    const retained = Array.from({ length: 40 }, (_, i) => publish({ topic: `r/${i}`, retain: true, payload: `${i}` }));
    pub.send(...retained);
    const sub = world.connect({ clientId: 'sub' });
    feed(sub, subscribe(1, 'r/#'));
    world.turn();
    assert.ok(received(sub).length <= 5);
    assert.ok(world.core.deadline() <= world.now);
    feed(pub, pingreq);
    world.turn();
    assert.deepEqual(pub.peekAll(), [pingresp], 'others are served in between');
    assert.ok(received(sub).length < 40);
    world.settle();
    pub.expect(pingresp);
    sub.expect(suback(1, 0), ...retained);
    world.end();
  });

  test(`a resume goes in steps, ${store}`, () => {
    const world = new World({ store, limits: { turnDeliveriesMax: 5 } });
    const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 100 } };
    const sub = world.connect({ clientId: 'sub', ...lasting });
    sub.send(subscribe(1, { filter: 't', qos: 1 }));
    sub.expect(suback(1, 1));
    const pub = world.connect({ clientId: 'pub' });
    const messages = Array.from({ length: 40 }, (_, i) => publish({ topic: 't', qos: 1, packetId: i + 1 }));
    pub.send(...messages.slice(0, 20));
    assert.equal(sub.takeAll().length, 20);
    sub.drop();
    pub.send(...messages.slice(20));
    pub.expect(...messages.map(({ packetId }) => puback(packetId)));
    const again = world.open();
    feed(again, { type: PacketType.Connect, clientId: 'sub', keepAlive: 0, version: 5, ...lasting });
    let most = 0;
    let before = 0;
    for (let turn = 0; turn < 500 && before < 40; turn++) {
      world.turn();
      if (world.core.deadline() > world.now) world.settle();
      const now = received(again).length;
      if (store === 'none') most = Math.max(most, now - before);
      before = now;
    }
    assert.ok(most <= 5, `${most} in one turn`);
    again.take('CONNACK');
    again.expect(...messages.slice(0, 20).map((packet) => ({ ...packet, dup: true })), ...messages.slice(20));
    world.end();
  });

  test(`sessions that expire together go in steps, ${store}`, () => {
    const world = new World({ store, limits: { turnDeliveriesMax: 5 } });
    for (let i = 0; i < 30; i++) {
      world.connect({ clientId: `c${i}`, properties: { sessionExpiryInterval: 10 } });
    }
    for (const client of world.clients) client.drop();
    world.now += 20_000;
    world.turn();
    assert.ok(world.core.state.sessions.size >= 25);
    assert.ok(world.core.deadline() <= world.now);
    world.settle();
    assert.equal(world.core.state.sessions.size, 0);
    assert.deepEqual(world.store?.sessionKeys ?? [], []);
    world.end();
  });
}

for (const store of storeKinds) {
  test(`a SUBSCRIBE of a hundred filters goes in steps, as does its UNSUBSCRIBE; what is behind waits, others do not, ${store}`, () => {
    const world = new World({ store, limits: { turnDeliveriesMax: 500 } });
    const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 100 } };
    const client = world.connect({ clientId: 'client', ...lasting });
    const other = world.connect({ clientId: 'other' });
    const filters = Array.from({ length: 100 }, (_, at) => `f/${at}`);
    const { router } = world.core.state;
    feed(client, subscribe(1, ...filters), subscribe(2, 'z'));
    const [first] = turns(world, () => router.count);
    assert.ok(first !== undefined && first > 0 && first < 100, `${first} in the first turn`);
    client.expect(suback(1, ...filters.map(() => 0)), suback(2, 0));
    feed(client, unsubscribe(3, ...filters, 'none'), subscribe(4, 'z'));
    feed(other, pingreq);
    world.turn();
    assert.ok(router.count > 1);
    assert.deepEqual(other.takeNow(), [pingresp]);
    client.expect(unsuback(3, ...filters.map(() => 0), 0x11), suback(4, 0));
    assert.equal(router.count, 1);
    if (store === 'none') return world.end();
    const after = new World({ store, after: world });
    assert.equal(after.core.state.router.count, 1);
    after.end();
  });
}

test('a client that goes in the midst of its SUBSCRIBE leaves nothing behind', () => {
  const world = new World({ limits: { turnDeliveriesMax: 50 } });
  const client = world.connect({ clientId: 'client' });
  feed(client, subscribe(1, ...Array.from({ length: 100 }, (_, at) => `f/${at}`)));
  world.turn();
  client.drop();
  world.settle();
  assert.equal(world.core.state.router.count, 0);
  assert.equal(world.core.isQuiet(), true);
  world.end();
});
