/** One slow or hostile reader hurts only itself (promise 3). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { disconnect, pingreq, pingresp, puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

function reader(world: World, clientId: string, qos: 0 | 1 | 2, filter = 't'): Client {
  const client = world.connect({ clientId });
  client.send(subscribe(1, { filter, qos }));
  client.expect(suback(1, qos));
  return client;
}

/** A PUBLISH of exactly 100 bytes at QoS 0 in 5.0: 2 + 3 (topic) + 1 (properties) + 94. */
const hundred = (i: number, topic = 't') => publish({ topic, payload: String(i).padEnd(94, '.') });

function numbersOf(packets: readonly Packet[]): number[] {
  return packets.flatMap((packet) =>
    packet.type === PacketType.Publish ? [Number.parseInt(new TextDecoder().decode(packet.payload), 10)] : [],
  );
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

for (const store of storeKinds) {
  test(`QoS 0 beyond the unsent limit is dropped for the frozen reader alone, counted and told, ${store}`, () => {
    const world = new World({ store, limits: { unsentBytesMax: 10_000, unsentBytesStalledMax: 10_000 } });
    const others = ['a', 'b', 'c'].map((clientId) => reader(world, clientId, 0));
    const frozen = reader(world, 'frozen', 0);
    frozen.freeze();
    const pub = world.connect({ clientId: 'pub' });
    for (let i = 1; i <= 200; i++) pub.send(hundred(i));
    for (const other of others) other.expect(...range(1, 200).map((i) => hundred(i)));
    // At the limit one more goes, past it none.
    assert.equal(frozen.connection.unsent, 10_100);
    assert.equal(world.core.metrics.drops.get('unsent-full'), 99);
    const told = world.takeEvents('dropped');
    assert.deepEqual(told, [{ type: 'dropped', clientId: 'frozen', topic: 't', reason: 'unsent-full', count: 1 }]);
    world.advance(10_000);
    assert.equal(world.takeEvents('dropped')[0]?.count, 98);
    frozen.thaw();
    frozen.expect(...range(1, 101).map((i) => hundred(i)));
    pub.send(hundred(201));
    frozen.expect(hundred(201));
    for (const other of others) other.expect(hundred(201));
    world.end();
  });

  test(`QoS 1 waits in the session and comes in order when the reader goes on, ${store}`, () => {
    const world = new World({ store, limits: { unsentBytesMax: 2_000, unsentBytesStalledMax: 2_000 } });
    const other = reader(world, 'other', 1);
    const frozen = reader(world, 'frozen', 1);
    frozen.freeze();
    const pub = world.connect({ clientId: 'pub' });
    for (let i = 1; i <= 60; i++) {
      pub.publishWhole({ ...hundred(i), qos: 1, packetId: i });
      other.receiveWhole({ ...hundred(i), qos: 1, packetId: i });
    }
    assert.equal(numbersOf(frozen.peekAll()).length, 20);
    assert.equal(world.core.state.sessions.get('frozen')?.queue?.count, 40);
    frozen.thaw();
    assert.deepEqual(numbersOf(frozen.takeAll()), range(1, 60));
    assert.equal(world.core.metrics.drops.size, 0);
    world.end();
  });
}

test('what frozen readers miss is counted by reader, names the last topic, and is told anew after a quiet interval', () => {
  const limits = { unsentBytesMax: 1_000, unsentBytesStalledMax: 1_000, eventIntervalMs: 1_000 };
  const world = new World({ limits });
  const readers = ['a', 'b'].map((clientId) => reader(world, clientId, 0, '+'));
  for (const each of readers) each.freeze();
  const pub = world.connect({ clientId: 'pub' });
  const dropped = (clientId: string, topic: string, count: number) =>
    ({ type: 'dropped', clientId, topic, reason: 'unsent-full', count }) as const;
  for (let i = 1; i <= 12; i++) pub.send(hundred(i));
  assert.deepEqual(world.takeEvents('dropped'), [dropped('b', 't', 1), dropped('a', 't', 1)]);
  for (let i = 13; i <= 20; i++) pub.send(hundred(i));
  for (let i = 21; i <= 25; i++) pub.send(hundred(i, 'u'));
  assert.equal(world.core.metrics.drops.get('unsent-full'), 2 * 14);
  world.advance(1_000);
  assert.deepEqual(world.takeEvents('dropped'), [dropped('b', 'u', 13), dropped('a', 'u', 13)]);
  world.advance(3_000);
  assert.deepEqual(world.takeEvents('dropped'), []);
  for (let i = 26; i <= 28; i++) pub.send(hundred(i));
  assert.deepEqual(world.takeEvents('dropped'), [dropped('b', 't', 1), dropped('a', 't', 1)]);
  world.advance(1_000);
  assert.deepEqual(world.takeEvents('dropped'), [dropped('b', 't', 2), dropped('a', 't', 2)]);
  for (const each of readers) {
    each.thaw();
    assert.deepEqual(numbersOf(each.takeAll()), range(1, 11));
  }
  world.end();
});

test('QoS 1 beyond the queue: the newest is dropped for this session, counted and told', () => {
  const world = new World({ limits: { unsentBytesMax: 1_000, unsentBytesStalledMax: 1_000, queueMessagesMax: 20 } });
  const frozen = reader(world, 'frozen', 1);
  frozen.freeze();
  const pub = world.connect({ clientId: 'pub' });
  for (let i = 1; i <= 25; i++) pub.publishWhole({ ...hundred(i), qos: 1, packetId: i });
  assert.equal(world.takeEvents('dropped')[0]?.reason, 'queue-full');
  assert.equal(world.core.metrics.drops.get('queue-full'), 5);
  frozen.thaw();
  const got = numbersOf(frozen.takeAll());
  assert.deepEqual(got, range(1, 20));
  world.end();
});

test('a reader that takes nothing for a second has a lower limit', () => {
  const limits = { unsentBytesMax: 100_000, unsentBytesStalledMax: 1_000, stalledAfterMs: 1_000 };
  const world = new World({ limits });
  const frozen = reader(world, 'frozen', 0);
  frozen.freeze();
  const pub = world.connect({ clientId: 'pub' });
  for (let i = 1; i <= 20; i++) pub.send(hundred(i));
  world.advance(1_000);
  pub.send(hundred(21));
  assert.equal(world.core.metrics.drops.get('unsent-full'), undefined, 'at one second: not yet');
  world.advance(1);
  pub.send(hundred(22));
  assert.equal(world.core.metrics.drops.get('unsent-full'), 1, 'past it');
  // It takes a little: the second begins anew.
  world.core.written(frozen.connection, null, 1_500, world.now);
  pub.send(hundred(23));
  frozen.thaw();
  assert.deepEqual(numbersOf(frozen.takeAll()), [...range(1, 21), 23]);
  world.end();
});

test('below the stalled limit nothing is dropped, however long it lasts', () => {
  const world = new World({ limits: { unsentBytesStalledMax: 1_000 } });
  const frozen = reader(world, 'frozen', 0);
  frozen.freeze();
  const pub = world.connect({ clientId: 'pub' });
  for (let i = 1; i <= 10; i++) {
    pub.send(hundred(i));
    world.advance(10_000);
  }
  assert.equal(frozen.connection.unsent, 1_000);
  pub.send(hundred(11));
  frozen.thaw();
  assert.deepEqual(numbersOf(frozen.takeAll()), range(1, 11));
  world.end();
});

test('all readers together: the one with the most is shed, with its reason', () => {
  const world = new World({ limits: { unsentBytesTotalMax: 5_000 } });
  const small = reader(world, 'small', 0, 's');
  small.freeze();
  const pub = world.connect({ clientId: 'pub' });
  for (let i = 1; i <= 20; i++) pub.send(hundred(i, 's'));
  const fast = reader(world, 'fast', 0);
  const big = reader(world, 'big', 0);
  big.freeze();
  for (let i = 21; i <= 50; i++) pub.send(hundred(i));
  assert.equal(world.core.state.unsentTotal, 5_000);
  assert.equal(big.isClosed, false, 'at the limit');
  pub.send(hundred(51));
  assert.equal(big.isClosed, true, 'past it');
  assert.equal(small.isClosed, false);
  assert.deepEqual(
    world.takeEvents('disconnected').map(({ clientId, reasonCode }) => [clientId, reasonCode]),
    [['big', ReasonCode.QuotaExceeded]],
  );
  assert.equal(world.core.state.unsentTotal, 2_000);
  fast.expect(...range(21, 51).map((i) => hundred(i)));
  const last = big.takeAll().at(-1);
  assert.deepEqual(
    last,
    disconnect(ReasonCode.QuotaExceeded, {
      reasonString: 'reads too slowly: all readers together have too many bytes unsent',
    }),
  );
  small.expect(...range(1, 20).map((i) => hundred(i, 's')));
  world.end();
});

test('a peer that asks and does not take the answers is not read any more, until it takes them', () => {
  const world = new World({ limits: { unsentBytesMax: 100, unsentBytesStalledMax: 100 } });
  const asking = world.connect({ clientId: 'asking' });
  asking.freeze();
  for (let i = 0; i < 200; i++) asking.send(pingreq);
  assert.ok(asking.isPaused);
  assert.ok(asking.connection.backlog <= 104, `${asking.connection.backlog} bytes`);
  const calm = world.connect({ clientId: 'calm' });
  calm.send(pingreq);
  calm.expect(pingresp);
  asking.thaw();
  assert.equal(asking.isPaused, false);
  assert.equal(asking.takeAll().length, 200);
  world.end();
});

test('a resume into a reader that does not take it goes on when it does', () => {
  const world = new World({ limits: { unsentBytesMax: 1_000, unsentBytesStalledMax: 1_000 } });
  const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 100 } };
  const sub = world.connect({ clientId: 'sub', ...lasting });
  sub.send(subscribe(1, { filter: 't', qos: 1 }));
  sub.expect(suback(1, 1));
  sub.drop();
  const pub = world.connect({ clientId: 'pub' });
  for (let i = 1; i <= 30; i++) pub.publishWhole({ ...hundred(i), qos: 1, packetId: i });
  const again = world.open();
  again.freeze();
  again.send({ type: PacketType.Connect, clientId: 'sub', keepAlive: 0, version: 5, ...lasting });
  assert.ok(numbersOf(again.peekAll()).length < 12);
  again.thaw();
  assert.deepEqual(numbersOf(again.takeAll()), range(1, 30));
  for (let i = 1; i <= 30; i++) again.send(puback(i));
  world.end();
});

test('more in one turn than the limit: QoS 1 goes on in the next one, without being asked', () => {
  const world = new World({ limits: { unsentBytesMax: 1_000, unsentBytesStalledMax: 1_000 } });
  const sub = reader(world, 'sub', 1);
  const pub = world.connect({ clientId: 'pub' });
  // The QoS 0 ones fill the output: no acknowledgement of the peer will wake what waits behind them.
  pub.send(
    ...range(1, 12).map((i) => hundred(i)),
    ...range(13, 40).map((i) => ({ ...hundred(i), qos: 1, packetId: i }) as const),
  );
  assert.deepEqual(numbersOf(sub.takeAll()), [...range(1, 11), ...range(13, 40)]);
  assert.equal(pub.takeAll().length, 28);
  world.end();
});
