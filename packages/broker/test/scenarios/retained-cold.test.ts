/** Retained messages that are only in the store: read in their turn, in batches, and nobody else waits for that. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, PacketType } from '@pipit/protocol';
import { Permissions } from '../../src/core/index.ts';
import { puback, publish, pubrec, pubrel, suback, subscribe, subscribeWith } from './packets.ts';
import type { StoreDouble } from './store-double.ts';
import { type Client, type StoreKind, storeKinds, World, type WorldOptions } from './world.ts';

const storing: readonly StoreKind[] = storeKinds.filter((kind) => kind !== 'none');
const limits = { retainedBytesInMemoryMax: 0 };
const lasting = { clientId: 'reader', cleanStart: false, properties: { sessionExpiryInterval: 1000 } };

function storeOf(world: World): StoreDouble {
  assert.ok(world.store);
  return world.store;
}

function keep(world: World, topic: string, payload: string, more: object = {}): void {
  const publisher = world.connect({ clientId: 'publisher' });
  publisher.publishWhole(publish({ topic, payload, retain: true, qos: 1, packetId: 1, ...more }), 0x10);
  publisher.drop();
}

/** `t/1` to `t/n` are retained at QoS 1, and nothing of them is in memory. */
function open(store: StoreKind, n: number, options: WorldOptions = {}): World {
  const world = new World({ store, ...options, limits: { ...limits, ...options.limits } });
  for (let i = 1; i <= n; i++) keep(world, `t/${i}`, `value ${i}`);
  assert.equal(world.core.state.retained.bytesInMemory, 0);
  return world;
}

function kept(i: number, packetId: number): Packet {
  return publish({ topic: `t/${i}`, payload: `value ${i}`, retain: true, qos: packetId === 0 ? 0 : 1, packetId });
}

function publishes(client: Client): string[] {
  return client
    .takeAll()
    .flatMap((packet) => (packet.type === PacketType.Publish ? [new TextDecoder().decode(packet.payload)] : []));
}

/** All bounds are given back. */
function end(world: World): void {
  world.end();
  const { retained, fetches } = world.core.state;
  assert.deepEqual([fetches.open.size, fetches.activeBytes, fetches.stalledBytes], [0, 0, 0]);
  assert.equal(retained.tree.pinCount, 0);
}

for (const store of storing) {
  describe(`cold retained messages, store: ${store}`, () => {
    test('the values are those that were published, properties too, after a restart and before', () => {
      const first = new World({ store, limits });
      const properties = {
        payloadFormatIndicator: 1 as const,
        contentType: 'text/plain',
        userProperties: [['a', 'b'] as [string, string]],
        messageExpiryInterval: 100,
      };
      keep(first, 'a/b', 'one', { properties });
      keep(first, 'a', 'two');
      keep(first, 'b', 'three');
      const expected = (seconds: number) => [
        publish({ topic: 'a', payload: 'two', retain: true, qos: 1, packetId: 1 }),
        publish({
          topic: 'a/b',
          payload: 'one',
          retain: true,
          qos: 1,
          packetId: 2,
          properties: { ...properties, messageExpiryInterval: seconds },
        }),
      ];
      for (const world of [first, new World({ store, limits, after: first, downtimeMs: 30_000 })]) {
        const seconds = world === first ? 100 : 70;
        const before = storeOf(world).fetched;
        const reader = world.connect({ clientId: 'reader' });
        reader.send(subscribe(1, { filter: 'a/#', qos: 1 }));
        reader.expect(suback(1, 1), ...expected(seconds));
        assert.equal(storeOf(world).fetched - before, 2, 'what does not match is not read');
        reader.drop();
        end(world);
      }
    });

    test('[MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] nothing is read for Retain Handling 2, nor for 1 on a known subscription', () => {
      const world = open(store, 2);
      const reader = world.connect({ clientId: 'reader' });
      for (const [retainHandling, wanted] of [
        [2, 0],
        [1, 0],
        [0, 2],
      ] as const) {
        reader.send(subscribe(1, { filter: 't/+', retainHandling }));
        reader.expect(suback(1, 0), ...(wanted === 0 ? [] : [kept(1, 0), kept(2, 0)]));
      }
      reader.send(subscribe(2, { filter: '$share/g/t/+' }), subscribe(3, { filter: 't/1', retainHandling: 1 }));
      reader.expect(suback(2, 0), suback(3, 0), kept(1, 0));
      assert.equal(storeOf(world).fetched, 3);
      end(world);
    });

    test('[MQTT-3.8.3-3] No Local leaves out what the client itself published', () => {
      const world = open(store, 1);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(subscribe(1, { filter: 't/+', noLocal: true }));
      publisher.expect(suback(1, 0));
      const other = world.connect({ clientId: 'other' });
      other.send(subscribe(1, { filter: 't/+', noLocal: true }));
      other.expect(suback(1, 0), kept(1, 0));
      end(world);
    });

    test('with a window of one each waits for the acknowledgement of the one before', () => {
      const world = open(store, 3);
      const reader = world.connect({ clientId: 'reader', properties: { receiveMaximum: 1 } });
      reader.send(subscribe(1, { filter: 't/+', qos: 1 }));
      reader.expect(suback(1, 1), kept(1, 1));
      reader.send(puback(1));
      reader.expect(kept(2, 2));
      reader.send(puback(2));
      reader.expect(kept(3, 3));
      reader.send(puback(3));
      reader.expectNothing();
      end(world);
    });

    test('[MQTT-4.3.3-2] at QoS 2 to a session that lasts: each is on the disk before it leaves, and once', () => {
      const world = new World({ store, limits });
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of [1, 2]) {
        publisher.publishWhole(publish({ topic: `t/${i}`, payload: `${i}`, retain: true, qos: 2, packetId: i }), 0x10);
      }
      const reader = world.connect(lasting);
      reader.send(subscribe(1, { filter: 't/+', qos: 2 }));
      const got = reader.takeAll().filter((packet) => packet.type === PacketType.Publish);
      assert.deepEqual(
        got.map(({ packetId }) => packetId),
        [1, 2],
      );
      assert.equal(storeOf(world).queued('reader').length, 2);
      reader.send(pubrec(1));
      reader.expect(pubrel(1));
      reader.drop();
      const again = world.connect(lasting);
      assert.deepEqual(
        again.takeAll().map(({ type }) => type),
        [PacketType.Pubrel, PacketType.Publish],
      );
      again.drop();
      end(world);
    });

    test('cut off by a disconnect, it goes on with the session and reads again what was not sent', () => {
      const world = open(store, 5);
      let reader = world.connect({ ...lasting, properties: { sessionExpiryInterval: 1000, receiveMaximum: 2 } });
      reader.send(subscribe(1, { filter: 't/+', qos: 1 }));
      assert.deepEqual(publishes(reader), ['value 1', 'value 2']);
      reader.drop();
      const { fetches } = world.core.state;
      assert.deepEqual([fetches.activeBytes, fetches.stalledBytes], [0, 0], 'nothing is kept for who is not there');
      reader = world.connect(lasting);
      assert.deepEqual(publishes(reader), ['value 1', 'value 2', 'value 3', 'value 4', 'value 5']);
      end(world);
    });
  });
}

describe('cold retained messages while they are being read', () => {
  /** A reader of `t/+` at QoS 1 whose replay waits for the store. */
  function reading(n: number, options: WorldOptions = {}): { world: World; store: StoreDouble; reader: Client } {
    const world = open('late', n, options);
    const store = storeOf(world);
    store.isPagingStalled = true;
    const reader = world.connect(lasting);
    reader.send(subscribe(1, { filter: 't/+', qos: 1 }));
    reader.expect(suback(1, 1));
    assert.deepEqual(store.fetchesWaiting, [Array.from({ length: n }, (_, i) => `t/${i + 1}`)]);
    return { world, store, reader };
  }

  function flow(world: World): void {
    storeOf(world).isPagingStalled = false;
    world.settle();
  }

  test('everything else of the connection goes on', () => {
    const { world, reader } = reading(2);
    keep(world, 'other', 'x');
    reader.send(subscribe(2, { filter: 'live', qos: 1 }), { type: PacketType.Pingreq });
    reader.expect({ type: PacketType.Pingresp }, suback(2, 1));
    const publisher = world.connect({ clientId: 'live publisher' });
    publisher.send(publish({ topic: 'live', payload: 'now' }));
    reader.expect(publish({ topic: 'live', payload: 'now' }));
    flow(world);
    assert.deepEqual(publishes(reader), ['value 1', 'value 2']);
    end(world);
  });

  test('one that is replaced meanwhile came live, and the value that was read for it is not sent', () => {
    const { world, reader } = reading(3);
    const publisher = world.connect({ clientId: 'publisher' });
    publisher.send(publish({ topic: 't/2', payload: 'new', retain: true }));
    assert.deepEqual(publishes(reader), ['new']);
    flow(world);
    assert.deepEqual(publishes(reader), ['value 1', 'value 3']);
    end(world);
  });

  test('one that is cleared meanwhile is not sent, nor one that expires', () => {
    const world = open('late', 2);
    keep(world, 't/3', 'brief', { properties: { messageExpiryInterval: 5 } });
    const store = storeOf(world);
    store.isPagingStalled = true;
    const reader = world.connect(lasting);
    reader.send(subscribe(1, { filter: 't/+', qos: 1 }));
    reader.expect(suback(1, 1));
    world.connect({ clientId: 'publisher' }).send(publish({ topic: 't/1', retain: true }));
    reader.expect(publish({ topic: 't/1' }));
    world.advance(5_000);
    assert.deepEqual(world.core.state.retained.count, 1);
    flow(world);
    assert.deepEqual(publishes(reader), ['value 2']);
    assert.deepEqual(world.takeEvents('dropped'), [], 'they are not lost');
    end(world);
  });

  test('one that is cleared and set again is another', () => {
    const { world, reader } = reading(2);
    const publisher = world.connect({ clientId: 'publisher' });
    publisher.send(publish({ topic: 't/1', retain: true }), publish({ topic: 't/1', payload: 'again', retain: true }));
    assert.deepEqual(publishes(reader), ['', 'again']);
    flow(world);
    assert.deepEqual(publishes(reader), ['value 2']);
    end(world);
  });

  test('unsubscribing ends it', () => {
    const { world, reader } = reading(2);
    reader.send({ type: PacketType.Unsubscribe, packetId: 2, filters: ['t/+'] });
    reader.expect({ type: PacketType.Unsuback, packetId: 2, reasonCodes: [0] });
    flow(world);
    reader.expectNothing();
    end(world);
  });

  test('the right to receive is asked when the value is there', () => {
    const permissions = new Permissions([{ effect: 'allow', action: 'all', filter: '#' }]);
    const { world, reader } = reading(2, {
      authority: () => ({ outcome: 'accept', principal: null, permissions }),
    });
    const everything = { effect: 'allow', action: 'all', filter: '#' } as const;
    world.core.permissionsChanged(
      permissions,
      [{ ...everything, effect: 'deny', filter: 't/1' }, everything],
      world.now,
    );
    world.settle();
    flow(world);
    assert.deepEqual(publishes(reader), ['value 2']);
    end(world);
  });

  test('the session goes and comes back before the answer', () => {
    const { world, reader } = reading(2);
    reader.drop();
    const again = world.connect(lasting);
    again.expectNothing();
    flow(world);
    assert.deepEqual(publishes(again), ['value 1', 'value 2']);
    end(world);
  });

  test('the answer finds nobody: it is asked for again when the session is resumed', () => {
    const { world, store, reader } = reading(2);
    reader.drop();
    flow(world);
    assert.equal(store.fetched, 2);
    const again = world.connect(lasting);
    assert.deepEqual(publishes(again), ['value 1', 'value 2']);
    assert.equal(store.fetched, 4);
    end(world);
  });

  test('the session ends before the answer', () => {
    const { world, reader } = reading(2);
    reader.drop();
    world.connect({ clientId: 'reader', cleanStart: true });
    flow(world);
    end(world);
  });

  test('a store that cannot read is told of, and asked again a second later', () => {
    const { world, store, reader } = reading(2);
    store.isPagingBroken = true;
    flow(world);
    const failed = { type: 'fetch-failed', clientId: 'reader', reason: 'unreadable' } as const;
    assert.deepEqual(world.takeEvents('fetch-failed'), [failed]);
    // Nothing that happens to the session makes it ask earlier.
    reader.send(subscribe(2, { filter: 'other', qos: 1 }));
    reader.expect(suback(2, 1));
    assert.deepEqual(world.takeEvents('fetch-failed'), []);
    world.advance(1_000);
    assert.deepEqual(world.takeEvents('fetch-failed'), [failed]);
    store.isPagingBroken = false;
    world.advance(1_000);
    assert.deepEqual(publishes(reader), ['value 1', 'value 2']);
    end(world);
  });

  test('after a minute it gives up what cannot be read although other things can', () => {
    const { world, store, reader } = reading(2);
    store.unreadableTopics.add('t/1');
    flow(world);
    world.advance(59_999);
    reader.expectNothing();
    assert.equal(world.core.state.retained.count, 2);
    world.advance(1);
    assert.deepEqual(publishes(reader), ['value 2']);
    assert.equal(world.core.state.retained.count, 1);
    assert.deepEqual(
      world.takeEvents('dropped').map(({ topic, reason }) => `${topic} ${reason}`),
      ['t/1 store-lost'],
    );
    end(world);
  });

  test('left while it waits to ask again: it asks at once when it is resumed', () => {
    const { world, store, reader } = reading(2);
    store.isPagingBroken = true;
    flow(world);
    reader.drop();
    store.isPagingBroken = false;
    assert.deepEqual(publishes(world.connect(lasting)), ['value 1', 'value 2']);
    end(world);
  });

  test('what the store has lost is reported, and cleared there, so that nothing older comes back', () => {
    const { world, store, reader } = reading(3);
    store.loseRetained('t/2');
    flow(world);
    assert.deepEqual(publishes(reader), ['value 1', 'value 3']);
    const lost = { type: 'dropped', clientId: 'reader', topic: 't/2', reason: 'store-lost', count: 1 } as const;
    assert.deepEqual(world.takeEvents('dropped'), [lost]);
    assert.equal(world.core.state.retained.count, 2);
    const changes = store.committed.flatMap((batch) => batch.changes);
    assert.deepEqual(
      changes.filter(({ kind }) => kind === 'unretained'),
      [{ kind: 'unretained', topic: 't/2' }],
    );
    end(world);
  });
});

describe('cold retained messages: how much is read', () => {
  const batch = 128;

  test('so many messages at once, and the next when they were sent', () => {
    const world = open('late', 2 * batch + 1);
    const store = storeOf(world);
    store.isPagingStalled = true;
    const reader = world.connect({ clientId: 'reader' });
    reader.send(subscribe(1, 't/+'));
    for (const size of [batch, batch, 1]) {
      assert.deepEqual(
        store.fetchesWaiting.map(({ length }) => length),
        [size],
      );
      store.isPagingStalled = false;
      store.answer(world.core, world.now);
      store.isPagingStalled = true;
      world.settle();
    }
    assert.equal(publishes(reader).length, 2 * batch + 1);
    end(world);
  });

  test('so many bytes at once; one message whatever its size', () => {
    const world = new World({ store: 'late', limits });
    const large = 'x'.repeat(100_000);
    for (let i = 1; i <= 5; i++) keep(world, `t/${i}`, large);
    const store = storeOf(world);
    store.isPagingStalled = true;
    const reader = world.connect({ clientId: 'reader' });
    reader.send(subscribe(1, 't/+'));
    assert.deepEqual(store.fetchesWaiting, [['t/1', 't/2']]);
    store.isPagingStalled = false;
    assert.equal(publishes(reader).length, 5);
    end(world);
  });

  test('all replays together: the others wait for their turn, and get it', () => {
    const world = new World({ store: 'late', limits });
    const large = 'x'.repeat(1_500_000);
    for (let i = 1; i <= 2; i++) keep(world, `t/${i}`, large);
    const store = storeOf(world);
    store.isPagingStalled = true;
    const readers = Array.from({ length: 6 }, (_, i) => world.connect({ clientId: `reader ${i}` }));
    for (const reader of readers) reader.send(subscribe(1, 't/+'));
    assert.equal(store.fetchesWaiting.length, 2);
    // One of those that wait goes, one leaves its subscription.
    readers[3]?.drop();
    readers[4]?.send({ type: PacketType.Unsubscribe, packetId: 2, filters: ['t/+'] });
    store.isPagingStalled = false;
    world.settle();
    assert.deepEqual(
      readers.map((reader) => publishes(reader).length),
      [2, 2, 2, 0, 0, 2],
    );
    end(world);
  });

  test('who takes nothing holds up nobody: what was read for it waits within a bound, or is let go and read again', () => {
    const world = new World({ store: 'late', limits });
    keep(world, 't/1', 'small');
    keep(world, 't/2', 'x'.repeat(1_500_000));
    const stuck = Array.from({ length: 20 }, (_, i) =>
      world.connect({ clientId: `stuck ${i}`, properties: { receiveMaximum: 1 } }),
    );
    for (const reader of stuck) reader.send(subscribe(1, { filter: 't/+', qos: 1 }));
    for (const reader of stuck) assert.equal(publishes(reader).length, 1);
    const { fetches } = world.core.state;
    assert.equal(fetches.activeBytes, 0);
    assert.ok(fetches.stalledBytes > 0 && fetches.stalledBytes <= 16 * 1024 * 1024, `${fetches.stalledBytes}`);
    const reader = world.connect({ clientId: 'reader' });
    reader.send(subscribe(1, 't/+'));
    assert.equal(publishes(reader).length, 2);
    for (const each of stuck) each.send(puback(1));
    for (const each of stuck) assert.equal(publishes(each).length, 1);
    end(world);
  });

  test('what was read stays in memory while there is room', () => {
    const world = open('late', 3, { limits: { retainedBytesInMemoryMax: 0 } });
    const warm = new World({ store: 'late', after: world, limits: { retainedBytesInMemoryMax: 2_800 } });
    const store = storeOf(warm);
    for (const fetched of [3, 4]) {
      const reader = warm.connect({ clientId: 'reader' });
      reader.send(subscribe(1, 't/+'));
      assert.deepEqual(publishes(reader), ['value 1', 'value 2', 'value 3']);
      assert.equal(store.fetched, fetched, 'two of them have room');
      reader.drop();
    }
    // What is published takes the room of the oldest.
    keep(warm, 't/1', 'newer');
    assert.ok(warm.core.state.retained.bytesInMemory <= 2_800);
    end(warm);
  });

  test('in-process subscribers are replayed to in the same way', () => {
    const world = open('late', 5);
    const subscriber = world.subscribe({ filters: ['t/+'], window: 2 });
    const got: string[] = [];
    while (world.delivered.length > 0) {
      assert.ok(world.delivered.length <= 2);
      got.push(new TextDecoder().decode(world.settleLocal().payload));
    }
    assert.deepEqual(got, ['value 1', 'value 2', 'value 3', 'value 4', 'value 5']);
    world.core.unsubscribe(subscriber, world.now);
    end(world);
  });

  test('each subscription has its own replay, with its identifier', () => {
    const world = open('late', 1);
    const reader = world.connect({ clientId: 'reader' });
    reader.send(
      subscribeWith(1, { subscriptionIdentifier: 1 }, 't/+'),
      subscribeWith(2, { subscriptionIdentifier: 2 }, 't/#'),
    );
    const of = (identifier: number) =>
      publish({
        topic: 't/1',
        payload: 'value 1',
        retain: true,
        properties: { subscriptionIdentifiers: [identifier] },
      });
    reader.expect(suback(1, 0), suback(2, 0), of(1), of(2));
    end(world);
  });
});

test('damage of a retained record is found when it is read: the others come, the loss is told', () => {
  const world = open('log', 3);
  const store = storeOf(world);
  store.damage('value 2');
  const reader = world.connect({ clientId: 'reader' });
  reader.send(subscribe(1, 't/+'));
  assert.deepEqual(publishes(reader), ['value 1', 'value 3']);
  assert.deepEqual(
    world.takeEvents('dropped').map(({ topic, reason }) => `${topic} ${reason}`),
    ['t/2 store-lost'],
  );
  end(world);
});
