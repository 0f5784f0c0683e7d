/** Subscriptions: batches, answers filter by filter, made again when the server has forgotten them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Packet, PacketType } from '@pipit/protocol';
import { MqttError } from '../../src/core/failure.ts';
import { Interest, SubscribeCall } from '../../src/core/interests.ts';
import { ClientWorld, publish } from './client-world.ts';

function suback(packetId: number, ...reasonCodes: number[]): Packet {
  return { type: PacketType.Suback, packetId, reasonCodes };
}

/** The filters of each SUBSCRIBE that came. */
function asked(world: ClientWorld): string[][] {
  return world.take().map((packet) => {
    assert.equal(packet.type, PacketType.Subscribe);
    return packet.type === PacketType.Subscribe ? packet.subscriptions.map(({ filter }) => filter) : [];
  });
}

test('Many filters go out in batches, and each has its own answer', () => {
  const world = new ClientWorld({ limits: { filtersPerSubscribeMax: 2 } });
  world.accept();
  const answer = world.subscribe(['a', 'b', 'c'], { qos: 1 });
  assert.deepEqual(asked(world), [['a', 'b'], ['c']]);
  world.send(suback(1, 1, 0x87));
  assert.equal(answer(), undefined);
  world.send(suback(2, 0));
  const interests = answer();
  assert.ok(Array.isArray(interests));
  assert.deepEqual(
    interests.map(({ filter, reasonCode, state }) => [filter, reasonCode, state]),
    [
      ['a', 1, 'granted'],
      ['b', 0x87, 'gone'],
      ['c', 0, 'granted'],
    ],
  );
});

test('The call fails when every filter is refused', () => {
  const world = new ClientWorld();
  world.accept();
  const answer = world.subscribe(['a', 'b']);
  world.take();
  world.send(suback(1, 0x87, 0x8f));
  const failure = answer();
  assert.ok(failure instanceof MqttError && failure.kind === 'refused' && failure.reasonCode === 0x8f);
});

test('After a reconnect without the session all is asked for again, with it only what was not answered', () => {
  const world = new ClientWorld();
  world.subscribe('early');
  world.accept();
  assert.deepEqual(asked(world), [['early']]);
  world.send(suback(1, 0));
  world.subscribe('late');
  assert.deepEqual(asked(world), [['late']]);
  world.cut();
  world.redial();
  world.accept({ sessionPresent: true });
  assert.deepEqual(asked(world), [['late']]);
  world.send(suback(3, 0));
  world.cut();
  world.redial();
  world.accept();
  assert.deepEqual(asked(world), [['early', 'late']]);
  world.send(suback(1, 0, 0x87));
  assert.deepEqual(
    world.unsubscribed.map(({ filter, failure }) => [filter, failure.reasonCode]),
    [['late', 0x87]],
  );
});

test('UNSUBSCRIBE leaves a filter that another subscription wants', () => {
  const world = new ClientWorld();
  world.accept();
  const first = world.subscribe(['a', 'b']);
  world.send(suback(1, 0, 0));
  world.subscribe('a');
  world.send(suback(2, 0));
  world.take();
  const call = world.unsubscribe(first() as never);
  world.expect({ type: PacketType.Unsubscribe, packetId: 3, filters: ['b'] });
  world.send({ type: PacketType.Unsuback, packetId: 3, reasonCodes: [0] });
  assert.ok(call.isSettled && call.failure === null);
  world.send(publish({ topic: 'a' }), publish({ topic: 'b' }));
  const plans = world.messages.map(({ topic, plan }) => [topic, plan.length]);
  assert.deepEqual(plans, [
    ['a', 1],
    ['b', 0],
  ]);
});

test('UNSUBSCRIBE is said again after a lost connection, and needless without the session', () => {
  const world = new ClientWorld();
  world.accept();
  const first = world.subscribe('a');
  world.send(suback(1, 0));
  world.take();
  world.unsubscribe(first() as never);
  world.expect({ type: PacketType.Unsubscribe, packetId: 2, filters: ['a'] });
  world.cut();
  world.redial();
  world.accept({ sessionPresent: true });
  assert.equal(world.take()[0]?.type, PacketType.Unsubscribe);
  world.cut();
  world.redial();
  world.accept();
  world.end();
});

test('An aborted subscription is taken back', () => {
  const world = new ClientWorld();
  world.accept();
  const answer = world.subscribe('a');
  world.take();
  const failure = new MqttError('aborted', 'enough');
  world.core.abort(answer.call, failure, world.now);
  world.expect({ type: PacketType.Unsubscribe, packetId: 2, filters: ['a'] });
  assert.equal(answer(), failure);
  world.send(suback(1, 0), { type: PacketType.Unsuback, packetId: 2, reasonCodes: [0] });
  world.send(publish({ topic: 'a' }));
  assert.equal(world.messages.shift()?.plan.length, 0);
});

test('Subscription Identifiers keep overlapping subscriptions apart, and go out alone', () => {
  const world = new ClientWorld();
  world.accept();
  world.subscribe('a/#', { identifier: 1 });
  world.subscribe('a/+', { identifier: 2 });
  world.subscribe('a/b');
  world.send(suback(1, 0), suback(2, 0), suback(3, 0));
  assert.deepEqual(asked(world), [['a/#'], ['a/+'], ['a/b']]);
  const owners = (...subscriptionIdentifiers: number[]): unknown[] => {
    const properties = subscriptionIdentifiers.length === 0 ? {} : { properties: { subscriptionIdentifiers } };
    world.send(publish({ topic: 'a/b', ...properties }));
    return world.messages.shift()?.plan.map(({ owner }) => owner) ?? [];
  };
  assert.deepEqual(owners(1), ['a/#', 'a/b']);
  assert.deepEqual(owners(1, 2), ['a/#', 'a/+', 'a/b']);
  assert.deepEqual(owners(), ['a/#', 'a/+', 'a/b'], 'a server that sends none');
  assert.deepEqual(owners(9), ['a/b'], 'one of an earlier run');
});

test('Shared subscriptions match by the filter behind the share name; what a server cannot do is not asked for', () => {
  const world = new ClientWorld();
  world.accept({ wildcardSubscriptionAvailable: false });
  const refused = world.subscribe('a/#')();
  assert.ok(refused instanceof MqttError && refused.reasonCode === 0xa2);
  world.subscribe('$share/g/a/b');
  assert.deepEqual(asked(world), [['$share/g/a/b']]);
  world.send(suback(1, 0), publish({ topic: 'a/b' }));
  assert.equal(world.messages.shift()?.plan.length, 1);
});

test('A SUBSCRIBE that the server finds too large is split, and a filter that does not fit alone refused', () => {
  const world = new ClientWorld();
  world.accept({ maximumPacketSize: 30 });
  const answer = world.subscribe(['aaaaaaaa', 'bbbbbbbb', 'cccccccc', 'd'.repeat(40)]);
  const packets = world.take().filter((packet) => packet.type === PacketType.Subscribe);
  assert.deepEqual(
    packets.map(({ subscriptions }) => subscriptions.length),
    [2, 1],
  );
  for (const { packetId, subscriptions } of packets) world.send(suback(packetId, ...subscriptions.map(() => 0)));
  const codes = (answer() as readonly { reasonCode: number }[]).map(({ reasonCode }) => reasonCode);
  assert.deepEqual(codes, [0, 0, 0, 0x95]);
});

test('A SUBACK that does not fit closes', () => {
  const world = new ClientWorld();
  world.accept();
  world.subscribe(['a', 'b']);
  world.take();
  world.send(suback(1, 0));
  world.expect({ type: PacketType.Disconnect, reasonCode: 0x82 });
});

test('A shared subscription without what is published here is refused before it is asked for [MQTT-3.8.3-4]', () => {
  const world = new ClientWorld();
  world.accept();
  const request = { filter: '$share/g/t', qos: 0, noLocal: true, retainAsPublished: false, retainHandling: 0 } as const;
  const call = new SubscribeCall([new Interest(request, null, [], null)]);
  world.core.subscribe(call, world.now);
  world.settle();
  assert.equal(call.failure?.kind, 'not-allowed');
  assert.match(call.failure?.message ?? '', /No Local/);
  world.end();
});
