/** What waits for its commit, what does not, and in which order it leaves afterwards (design, section 1). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType, type ProtocolVersion, ReasonCode } from '@pipit/protocol';
import {
  connack,
  pingreq,
  pingresp,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  suback,
  subscribe,
  unsuback,
  unsubscribe,
} from './packets.ts';
import type { StoreDouble } from './store-double.ts';
import { type Client, World } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };
const versions: readonly ProtocolVersion[] = [3, 4, 5];

function durable(world: World, clientId: string, version: ProtocolVersion = 5): Client {
  return world.connect({ clientId, version, ...(version === 5 ? lasting : { cleanStart: false }) });
}

function subscriber(world: World, clientId: string, filter: string, qos: 0 | 1 | 2 = 2): Client {
  const client = durable(world, clientId);
  client.send(subscribe(1, { filter, qos }));
  client.expect(suback(1, qos));
  return client;
}

function stall(world: World): StoreDouble {
  const store = world.store as StoreDouble;
  store.isStalled = true;
  return store;
}

function recover(world: World): void {
  (world.store as StoreDouble).isStalled = false;
  world.settle();
}

for (const version of versions) {
  test(`CONNACK of a session that lasts waits, and everything behind it, version ${version}`, () => {
    const world = new World({ store: 'late' });
    stall(world);
    const client = world.connecting({
      clientId: 'c',
      version,
      ...(version === 5 ? lasting : { cleanStart: false }),
    });
    client.send(pingreq);
    client.expectNothing();
    recover(world);
    assert.deepEqual({ ...client.take(), properties: {} }, { ...connack(), properties: {} });
    client.expect(pingresp);
    world.end();
  });

  test(`SUBACK and UNSUBACK of a session that lasts wait, version ${version}`, () => {
    const world = new World({ store: 'late' });
    const client = durable(world, 'c', version);
    stall(world);
    client.send(subscribe(1, { filter: 't', qos: 1 }));
    client.expectNothing();
    recover(world);
    client.expect(suback(1, 1));
    stall(world);
    client.send(unsubscribe(2, 't'));
    client.expectNothing();
    recover(world);
    client.expect(unsuback(2, ...(version === 5 ? [0] : [])));
    world.end();
  });

  test(`PUBACK, PUBREC and PUBCOMP wait when something durable depends on them, version ${version}`, () => {
    const world = new World({ store: 'late' });
    const sub = subscriber(world, 'sub', 't', 1);
    const pub = durable(world, 'pub', version);
    stall(world);
    pub.send(publish({ topic: 't', qos: 1, packetId: 1, payload: 'a' }));
    pub.expectNothing();
    sub.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: 'a' }));
    recover(world);
    pub.expect(puback(1));
    stall(world);
    pub.send(publish({ topic: 't', qos: 2, packetId: 2, payload: 'b' }));
    pub.expectNothing();
    sub.expect(publish({ topic: 't', qos: 1, packetId: 2, payload: 'b' }));
    recover(world);
    pub.expect(pubrec(2));
    stall(world);
    pub.send(pubrel(2));
    pub.expectNothing();
    recover(world);
    pub.expect(pubcomp(2));
    world.end();
  });
}

test('a QoS 2 PUBLISH to a session that lasts waits for its packet id, and PUBREL for its state', () => {
  const world = new World({ store: 'late' });
  const sub = subscriber(world, 'sub', 't', 2);
  const pub = world.connect({ clientId: 'pub' });
  stall(world);
  pub.send(publish({ topic: 't', qos: 2, packetId: 1, payload: 'x' }));
  pub.expectNothing();
  sub.expectNothing();
  recover(world);
  pub.expect(pubrec(1));
  sub.expect(publish({ topic: 't', qos: 2, packetId: 1, payload: 'x' }));
  const queued = world.store?.committed.flatMap(({ changes }) => changes).findLast(({ kind }) => kind === 'queued');
  assert.equal(queued?.kind === 'queued' && queued.delivery.packetId, 1, 'message and packet id are in one commit');
  stall(world);
  sub.send(pubrec(1));
  sub.expectNothing();
  recover(world);
  sub.expect(pubrel(1));
  sub.send(pubcomp(1));
  assert.deepEqual(world.store?.queued('sub'), []);
  world.end();
});

test('QoS 0 and 1 PUBLISH and PINGRESP overtake what is held for their connection', () => {
  const world = new World({ store: 'late' });
  const sub = subscriber(world, 'sub', 't', 2);
  const pub = world.connect({ clientId: 'pub' });
  stall(world);
  sub.send(subscribe(2, { filter: 'u', qos: 0 }));
  pub.send(publish({ topic: 't', qos: 2, packetId: 1, payload: 'two' }));
  pub.send(publish({ topic: 't', qos: 0, payload: 'zero' }));
  pub.send(publish({ topic: 't', qos: 1, packetId: 2, payload: 'one' }));
  sub.send(pingreq);
  sub.expect(
    publish({ topic: 't', qos: 0, payload: 'zero' }),
    publish({ topic: 't', qos: 1, packetId: 2, payload: 'one' }),
    pingresp,
  );
  pub.expectNothing();
  recover(world);
  sub.expect(suback(2, 0), publish({ topic: 't', qos: 2, packetId: 1, payload: 'two' }));
  pub.expect(pubrec(1), puback(2));
  world.end();
});

test('later acknowledgements never overtake held ones [MQTT-4.6.0-2]', () => {
  const world = new World({ store: 'late' });
  subscriber(world, 'away', 'd', 1).drop();
  const pub = world.connect({ clientId: 'pub' });
  stall(world);
  pub.send(publish({ topic: 'd', qos: 1, packetId: 1 }));
  // Nothing of these lasts: alone they would be answered at once.
  pub.send(publish({ topic: 'nobody', qos: 1, packetId: 2 }));
  pub.send(publish({ topic: 'nobody', qos: 2, packetId: 3 }));
  pub.send(pubrel(3));
  pub.send(subscribe(4, 'v'));
  pub.send(unsubscribe(5, 'v'));
  pub.send(pubrec(77));
  pub.expectNothing();
  recover(world);
  pub.expect(
    puback(1),
    puback(2, ReasonCode.NoMatchingSubscribers),
    pubrec(3, ReasonCode.NoMatchingSubscribers),
    pubcomp(3),
    suback(4, 0),
    unsuback(5, 0),
    pubrel(77, ReasonCode.PacketIdentifierNotFound),
  );
  world.end();
});

test('what touches nothing that lasts does not wait', () => {
  const world = new World({ store: 'late' });
  stall(world);
  const sub = world.connect({ clientId: 'sub' });
  const pub = world.connect({ clientId: 'pub' });
  sub.send(subscribe(1, { filter: 't', qos: 2 }));
  sub.expect(suback(1, 2));
  pub.publishWhole(publish({ topic: 't', qos: 1, packetId: 1 }));
  sub.receiveWhole(publish({ topic: 't', qos: 1, packetId: 1 }));
  pub.publishWhole(publish({ topic: 't', qos: 2, packetId: 2 }));
  sub.receiveWhole(publish({ topic: 't', qos: 2, packetId: 2 }));
  sub.send(unsubscribe(3, 't'));
  sub.expect(unsuback(3, 0));
  assert.equal(world.publish('nobody', 'x', { qos: 1 })(), ReasonCode.NoMatchingSubscribers);
  assert.deepEqual(world.store?.committed, []);
  world.end();
});

test('the promise of an in-process publish waits when something durable depends on it', () => {
  const world = new World({ store: 'late' });
  const away = subscriber(world, 'away', 'd', 1);
  stall(world);
  const toAway = world.publish('d', 'x', { qos: 1 });
  const retained = world.publish('r', 'x', { retain: true });
  const toNobody = world.publish('nobody', 'x', { qos: 1 });
  assert.equal(toAway(), undefined);
  assert.equal(retained(), undefined);
  assert.equal(toNobody(), ReasonCode.NoMatchingSubscribers);
  away.expect(publish({ topic: 'd', qos: 1, packetId: 1, payload: 'x' }));
  recover(world);
  assert.equal(toAway(), 0);
  assert.equal(retained(), ReasonCode.NoMatchingSubscribers);
  world.end();
});

test('the promise of an in-process send waits when the session lasts', () => {
  const world = new World({ store: 'late' });
  const there = durable(world, 'there');
  stall(world);
  const message = { topic: 't', payload: new Uint8Array(), qos: 1, retain: false } as const;
  world.core.send('there', message, 900, world.now);
  world.core.send('nobody', message, 901, world.now);
  world.settle();
  there.expect(publish({ topic: 't', qos: 1, packetId: 1 }));
  assert.equal(world.published.get(900), undefined);
  assert.equal(world.published.get(901), ReasonCode.NoMatchingSubscribers);
  recover(world);
  assert.equal(world.published.get(900), 0);
  world.end();
});

test('all of a turn is one batch; what later turns change is the next one', () => {
  const world = new World({ store: 'late' });
  const sub = subscriber(world, 'sub', '#', 1);
  const pub = world.connect({ clientId: 'pub' });
  const before = world.store?.committed.length as number;
  stall(world);
  pub.send(...[1, 2, 3].map((packetId) => publish({ topic: 't', qos: 1, packetId })));
  pub.send(publish({ topic: 't', qos: 1, packetId: 4 }));
  pub.send(publish({ topic: 't', qos: 1, packetId: 5 }));
  pub.expectNothing();
  recover(world);
  pub.expect(...[1, 2, 3, 4, 5].map((packetId) => puback(packetId)));
  assert.equal(sub.takeAll().length, 5);
  const batches = world.store?.committed.slice(before).map(({ changes }) => changes.length);
  assert.deepEqual(batches, [3, 2]);
  world.end();
});

test('acknowledgements of the open batch stay when the batch in flight is committed', () => {
  const world = new World({ store: 'late' });
  subscriber(world, 'away', '#', 1).drop();
  const pub = world.connect({ clientId: 'pub' });
  const store = stall(world);
  pub.send(publish({ topic: 't', qos: 1, packetId: 1 }));
  pub.send(publish({ topic: 't', qos: 1, packetId: 2 }));
  store.isStalled = false;
  assert.ok(store.answer(world.core, world.now));
  store.isStalled = true;
  pub.expect(puback(1));
  recover(world);
  pub.expect(puback(2));
  world.end();
});

test('what everybody acknowledged before its commit is not written', () => {
  const world = new World({ store: 'late' });
  const sub = subscriber(world, 'sub', '#', 1);
  const pub = world.connect({ clientId: 'pub' });
  const store = stall(world);
  const before = store.committed.length;
  pub.send(publish({ topic: 'first', qos: 1, packetId: 1 }));
  pub.send(publish({ topic: 'second', qos: 1, packetId: 2 }));
  sub.expect(publish({ topic: 'first', qos: 1, packetId: 1 }), publish({ topic: 'second', qos: 1, packetId: 2 }));
  sub.send(puback(2));
  recover(world);
  pub.expect(puback(1), puback(2));
  const written = store.committed.slice(before).flatMap(({ changes }) => changes);
  const topics = written.map((change) => (change.kind === 'queued' ? change.delivery.message.topic : change.kind));
  assert.deepEqual(topics, ['first']);
  world.end();
});

test('a topic alias never leaves before the packet that sets it, whatever is held [MQTT-3.3.2-8]', () => {
  const world = new World({ store: 'late' });
  const sub = world.connect({
    clientId: 'sub',
    cleanStart: false,
    properties: { sessionExpiryInterval: 3600, topicAliasMaximum: 5 },
  });
  sub.send(subscribe(1, { filter: 't', qos: 2 }));
  sub.expect(suback(1, 2));
  const pub = world.connect({ clientId: 'pub' });
  stall(world);
  pub.send(publish({ topic: 't', qos: 2, packetId: 1, payload: 'held' }));
  pub.send(publish({ topic: 't', payload: 'now' }));
  const known = new Map<number, string>();
  const names = (): string[] =>
    sub.takeAll().flatMap((packet) => {
      if (packet.type !== PacketType.Publish) return [];
      const alias = packet.properties?.topicAlias ?? 0;
      if (alias > 0 && packet.topic !== '') known.set(alias, packet.topic);
      return [packet.topic === '' ? (known.get(alias) ?? 'an alias never set') : packet.topic];
    });
  assert.deepEqual(names(), ['t']);
  recover(world);
  pub.expect(pubrec(1));
  pub.send(publish({ topic: 't', payload: 'later' }));
  assert.deepEqual(names(), ['t', 't']);
  world.end();
});

test('while CONNACK is held the order of QoS 0 stays [MQTT-4.6.0-5]', () => {
  const world = new World({ store: 'late' });
  subscriber(world, 'sub', 't', 0).drop();
  const store = stall(world);
  const pub = world.connect({ clientId: 'pub' });
  const sub = world.connecting({ clientId: 'sub', ...lasting });
  pub.send(publish({ topic: 't', payload: '1' }));
  pub.send(publish({ topic: 't', payload: '2' }));
  sub.send(pingreq);
  sub.expectNothing();
  // A commit of before is in flight: CONNACK's batch is the next one.
  for (let commits = 0; commits < 2; commits++) {
    store.isStalled = false;
    store.answer(world.core, world.now);
    store.isStalled = true;
    // Before the turn ends: this one must not overtake what is still held.
    pub.send(publish({ topic: 't', payload: String(3 + commits) }));
  }
  recover(world);
  const received = sub.takeAll();
  assert.equal(received[0]?.type, PacketType.Connack);
  const payloads = received.flatMap((packet) =>
    packet.type === PacketType.Publish ? [new TextDecoder().decode(packet.payload)] : [],
  );
  assert.deepEqual(payloads, ['1', '2', '3', '4']);
  world.end();
});
