/** A new core on the store of an earlier one: everything that lasted is there, and nothing else. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConnectPacket, PacketType, type PublishPacket, ReasonCode } from '@pipit/protocol';
import { disconnect, puback, pubcomp, publish, pubrec, pubrel, suback, subscribe, subscribeWith } from './packets.ts';
import type { StoreDouble } from './store-double.ts';
import { type Client, type StoreKind, World, type WorldOptions } from './world.ts';

const storing: readonly StoreKind[] = ['instant', 'late', 'failing'];
const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

function durable(world: World, clientId: string, more: Partial<ConnectPacket> = {}): Client {
  return world.connect({ clientId, ...lasting, ...more });
}

function restart(world: World, options: WorldOptions = {}): World {
  world.end();
  return new World({ ...(world.store === null ? {} : { store: world.store.kind }), after: world, ...options });
}

function session(world: World, key: string): NonNullable<ReturnType<World['core']['state']['sessions']['get']>> {
  const found = world.core.state.sessions.get(key);
  assert.ok(found, `session ${key}`);
  return found;
}

for (const store of storing) {
  test(`sessions that last are present again, others are not, ${store} [MQTT-3.2.2-3]`, () => {
    const world = new World({ store });
    durable(world, 'five');
    world.connect({ clientId: 'four', version: 4, cleanStart: false });
    world.connect({ clientId: 'three', version: 3, cleanStart: false });
    world.connect({ clientId: 'gone' });
    durable(world, 'ended').send(disconnect(0, { sessionExpiryInterval: 0 }));
    const next = restart(world);
    assert.deepEqual([...next.core.state.sessions.keys()].sort(), ['five', 'four', 'three']);
    const present = (client: Client) => client.connack?.type === PacketType.Connack && client.connack.sessionPresent;
    assert.equal(present(durable(next, 'five')), true);
    assert.equal(present(next.connect({ clientId: 'four', version: 4, cleanStart: false })), true);
    assert.equal(present(durable(next, 'gone')), false);
    assert.equal(present(durable(next, 'ended')), false);
    next.end();
  });

  test(`subscriptions come back with their options and identifiers, ${store}`, () => {
    const world = new World({ store });
    const sub = durable(world, 'sub');
    sub.send(subscribeWith(1, { subscriptionIdentifier: 7 }, { filter: 'a/#', qos: 2, noLocal: true }));
    sub.send(subscribeWith(2, { subscriptionIdentifier: 8 }, { filter: 'r', qos: 1, retainAsPublished: true }));
    sub.send(subscribe(3, 'replaced', 'dropped'));
    sub.send(subscribe(4, { filter: 'replaced', qos: 2 }));
    sub.send({ type: PacketType.Unsubscribe, packetId: 5, filters: ['dropped'] });
    assert.equal(sub.takeAll().length, 5);
    const next = restart(world);
    const found = [...next.core.state.router.subscriptionsOf(session(next, 'sub'))];
    assert.deepEqual(
      found.sort((a, b) => (a.filter < b.filter ? -1 : 1)),
      [
        { filter: 'a/#', shareName: undefined, qos: 2, noLocal: true, retainAsPublished: false, identifier: 7 },
        { filter: 'r', shareName: undefined, qos: 1, noLocal: false, retainAsPublished: true, identifier: 8 },
        { filter: 'replaced', shareName: undefined, qos: 2, noLocal: false, retainAsPublished: false, identifier: 0 },
      ],
    );
    const again = durable(next, 'sub');
    again.publishWhole(publish({ topic: 'a/own', qos: 1, packetId: 1 }), ReasonCode.NoMatchingSubscribers);
    const pub = next.connect({ clientId: 'pub' });
    pub.send(publish({ topic: 'r', retain: true, payload: 'x' }), publish({ topic: 'dropped' }));
    again.expect(publish({ topic: 'r', retain: true, payload: 'x', properties: { subscriptionIdentifiers: [8] } }));
    next.end();
  });

  test(`queued and in flight: in order, in-flight ones under their ids with DUP, ${store} [MQTT-4.4.0-1]`, () => {
    const world = new World({ store });
    const sub = durable(world, 'sub', { properties: { sessionExpiryInterval: 3600, receiveMaximum: 3 } });
    sub.send(subscribe(1, { filter: 't', qos: 2 }));
    sub.expect(suback(1, 2));
    const pub = world.connect({ clientId: 'pub' });
    const sent: PublishPacket[] = [];
    for (let i = 1; i <= 6; i++) {
      const qos = i % 2 === 0 ? 2 : 1;
      pub.publishWhole(publish({ topic: 't', qos, packetId: i, payload: String(i) }));
      sent.push(publish({ topic: 't', qos, packetId: i, payload: String(i) }));
    }
    sub.expect(...sent.slice(0, 3));
    sub.send(puback(1));
    sub.expect(sent[3] as PublishPacket);
    const next = restart(world);
    const again = durable(next, 'sub');
    const dup = (packet: PublishPacket | undefined) => ({ ...(packet as PublishPacket), dup: true });
    again.expect(dup(sent[1]), dup(sent[2]), dup(sent[3]), sent[4] as PublishPacket, sent[5] as PublishPacket);
    for (const packet of sent.slice(1)) again.acknowledgeWhole(packet);
    assert.deepEqual(next.store?.queued('sub'), []);
    next.end();
  });

  test(`QoS 2 both halves go on where they were, ${store} [MQTT-4.3.3-10]`, () => {
    const world = new World({ store });
    const sub = durable(world, 'sub');
    sub.send(subscribe(1, { filter: 't', qos: 2 }));
    sub.expect(suback(1, 2));
    const pub = durable(world, 'pub');
    pub.send(publish({ topic: 't', qos: 2, packetId: 11, payload: 'x' }));
    pub.expect(pubrec(11));
    sub.expect(publish({ topic: 't', qos: 2, packetId: 1, payload: 'x' }));
    sub.send(pubrec(1));
    sub.expect(pubrel(1));
    const next = restart(world);
    const sender = durable(next, 'pub');
    const reader = durable(next, 'sub');
    reader.expect(pubrel(1));
    // The same message once more: answered, and not delivered again.
    sender.send(publish({ topic: 't', qos: 2, packetId: 11, payload: 'x', dup: true }));
    sender.expect(pubrec(11));
    reader.expectNothing();
    sender.releaseWhole(11);
    reader.send(pubcomp(1));
    assert.deepEqual(next.store?.queued('sub'), []);
    // The id is free: a new message.
    sender.publishWhole(publish({ topic: 't', qos: 2, packetId: 11, payload: 'y' }));
    reader.receiveWhole(publish({ topic: 't', qos: 2, packetId: 2, payload: 'y' }));
    const third = restart(next);
    durable(third, 'sub').expectNothing();
    third.end();
  });

  test(`a takeover in the middle of QoS 2 delivers once, ${store}`, () => {
    const world = new World({ store });
    const sub = durable(world, 'sub');
    sub.send(subscribe(1, { filter: 't', qos: 2 }));
    sub.expect(suback(1, 2));
    const pub = durable(world, 'pub');
    pub.send(publish({ topic: 't', qos: 2, packetId: 5, payload: 'x' }));
    pub.expect(pubrec(5));
    sub.expect(publish({ topic: 't', qos: 2, packetId: 1, payload: 'x' }));
    sub.send(pubrec(1));
    sub.expect(pubrel(1));
    const over = disconnect(ReasonCode.SessionTakenOver, { reasonString: 'another connection took the session over' });
    const pub2 = durable(world, 'pub');
    pub.expectClosed(over);
    pub2.send(publish({ topic: 't', qos: 2, packetId: 5, payload: 'x', dup: true }));
    pub2.expect(pubrec(5));
    const sub2 = durable(world, 'sub');
    sub.expectClosed(over);
    sub2.expect(pubrel(1));
    sub2.send(pubcomp(1));
    pub2.releaseWhole(5);
    world.end();
  });

  test(`retained messages come back with their properties; cleared ones do not, ${store}`, () => {
    const world = new World({ store });
    const pub = world.connect({ clientId: 'pub' });
    const properties = {
      contentType: 'text/plain',
      userProperties: [
        ['b', '1'],
        ['a', '2'],
      ] as [string, string][],
    };
    const kept = publish({ topic: 'r/1', qos: 1, packetId: 1, retain: true, payload: 'one', properties });
    pub.publishWhole(kept, ReasonCode.NoMatchingSubscribers);
    for (const payload of ['old', 'new']) pub.send(publish({ topic: 'r/2', retain: true, payload }));
    for (const payload of ['here', '']) pub.send(publish({ topic: 'r/3', retain: true, payload }));
    const next = restart(world);
    const sub = next.connect({ clientId: 'sub' });
    sub.send(subscribe(1, { filter: 'r/#', qos: 1 }));
    sub.expect(suback(1, 1), kept, publish({ topic: 'r/2', retain: true, payload: 'new' }));
    next.end();
  });

  test(`shared groups come back; their messages wait with one member, ${store} [MQTT-4.8.2-4]`, () => {
    const world = new World({ store });
    for (const clientId of ['a', 'b']) {
      const member = durable(world, clientId);
      member.send(subscribe(1, { filter: '$share/g/t', qos: 1 }));
      member.expect(suback(1, 1));
      member.drop();
    }
    const pub = world.connect({ clientId: 'pub' });
    for (let i = 1; i <= 4; i++) pub.publishWhole(publish({ topic: 't', qos: 1, packetId: i, payload: String(i) }));
    const next = restart(world);
    assert.equal(next.core.state.router.sharedCount, 2);
    const payloads = ['a', 'b'].flatMap((clientId) => {
      const member = durable(next, clientId);
      return member.takeAll().map((packet) => new TextDecoder().decode((packet as PublishPacket).payload));
    });
    assert.deepEqual(payloads.sort(), ['1', '2', '3', '4']);
  });

  test(`what waited and was finished on the last connection is gone from the store, ${store}`, () => {
    const world = new World({ store });
    const sub = durable(world, 'sub');
    sub.send(subscribe(1, { filter: 't', qos: 1 }));
    sub.expect(suback(1, 1));
    sub.drop();
    const pub = world.connect({ clientId: 'pub' });
    for (const payload of ['1', '2']) pub.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, payload }));
    // Its session ends with this connection, and the store keeps it so long for its will.
    const will = { topic: 'w', payload: new Uint8Array(0), qos: 0, retain: false } as const;
    const last = world.connect({ clientId: 'sub', cleanStart: false, will });
    last.expect(...['1', '2'].map((payload) => publish({ topic: 't', qos: 1, packetId: Number(payload), payload })));
    last.send(puback(1), puback(2));
    world.settle();
    assert.deepEqual(world.store?.queued('sub'), []);
    world.end();
  });

  test(`what a shared member finished on its last connection does not move on after a power cut, ${store}`, () => {
    const world = new World({ store });
    const join = (client: Client) => {
      client.send(subscribe(1, { filter: '$share/g/t', qos: 1 }));
      client.expect(suback(1, 1));
    };
    const message = (payload: string, packetId: number) => publish({ topic: 't', qos: 1, packetId, payload });
    const first = durable(world, 'first');
    join(first);
    const pub = world.connect({ clientId: 'pub' });
    pub.publishWhole(message('finished', 1));
    pub.publishWhole(message('unfinished', 2));
    first.expect(message('finished', 1), message('unfinished', 2));
    first.drop();
    // Its session ends with this connection, and the store keeps it so long for its will.
    const will = { topic: 'w', payload: new Uint8Array(0), qos: 0, retain: false } as const;
    const last = world.connect({ clientId: 'first', cleanStart: false, will });
    last.expect({ ...message('finished', 1), dup: true }, { ...message('unfinished', 2), dup: true });
    last.send(puback(1));
    const second = durable(world, 'second');
    join(second);
    world.settle();
    const next = restart(world);
    durable(next, 'second').receiveWhole(message('unfinished', 1));
    next.end();
  });

  test(`every connection counts as closed at the start: its will is published then, ${store}`, () => {
    const world = new World({ store });
    const will = (topic: string, properties = {}) => ({
      will: { topic, payload: new Uint8Array([0x77]), qos: 1, retain: false, properties } as const,
    });
    durable(world, 'now', will('w/now'));
    durable(world, 'later', will('w/later', { willDelayInterval: 60 }));
    world.connect({ clientId: 'volatile', ...will('w/volatile') });
    world.connect({ clientId: 'old', version: 4, ...will('w/old') });
    durable(world, 'left', will('w/left')).send(disconnect());
    const sub = durable(world, 'sub');
    sub.send(subscribe(1, { filter: 'w/#', qos: 1 }));
    sub.expect(suback(1, 1));
    const next = restart(world);
    const again = durable(next, 'sub');
    const topics = () => again.takeAll().map((packet) => (packet as PublishPacket).topic);
    assert.deepEqual(topics().sort(), ['w/now', 'w/old', 'w/volatile']);
    next.advance(59_000);
    assert.deepEqual(topics(), []);
    next.advance(1_000);
    assert.deepEqual(topics(), ['w/later']);
    assert.deepEqual([...next.core.state.sessions.keys()].sort(), ['later', 'left', 'now', 'sub']);
    // Published once: another restart does not repeat them, and what ended is gone from the store.
    assert.deepEqual(next.store?.sessionKeys.sort(), ['later', 'left', 'now', 'sub']);
    const third = restart(next);
    const reader = durable(third, 'sub');
    const repeated = reader.takeAll().filter((packet) => packet.type === PacketType.Publish && !packet.dup);
    assert.deepEqual(repeated, []);
  });

  test(`a will at the start joins the end of a queue that is still in the store, ${store}`, () => {
    const world = new World({ store });
    const will = { topic: 't', payload: new Uint8Array([0x77]), qos: 1, retain: false } as const;
    durable(world, 'a-dies-first', { will });
    const sub = durable(world, 'sub');
    sub.send(subscribe(1, { filter: 't', qos: 1 }));
    sub.expect(suback(1, 1));
    sub.drop();
    const pub = world.connect({ clientId: 'pub' });
    for (let i = 1; i <= 3; i++) pub.publishWhole(publish({ topic: 't', qos: 1, packetId: i, payload: String(i) }));
    const next = restart(world);
    const again = durable(next, 'sub');
    const payloads = again.takeAll().map((packet) => new TextDecoder().decode((packet as PublishPacket).payload));
    assert.deepEqual(payloads, ['1', '2', '3', 'w']);
    for (let packetId = 1; packetId <= 4; packetId++) again.send(puback(packetId));
    assert.deepEqual(next.store?.queued('sub'), []);
    next.end();
  });

  test(`what was not committed is not there after a crash, and was not acknowledged, ${store}`, () => {
    const world = new World({ store });
    const sub = durable(world, 'sub');
    sub.send(subscribe(1, { filter: 't', qos: 1 }));
    sub.expect(suback(1, 1));
    sub.drop();
    const pub = world.connect({ clientId: 'pub' });
    (world.store as StoreDouble).isStalled = true;
    pub.send(publish({ topic: 't', qos: 1, packetId: 1 }));
    pub.expectNothing();
    const next = restart(world);
    (next.store as StoreDouble).isStalled = false;
    const again = durable(next, 'sub');
    again.expectNothing();
    next.connect({ clientId: 'pub' }).publishWhole(publish({ topic: 't', qos: 1, packetId: 1 }));
    again.receiveWhole(publish({ topic: 't', qos: 1, packetId: 1 }));
    next.end();
  });
}
