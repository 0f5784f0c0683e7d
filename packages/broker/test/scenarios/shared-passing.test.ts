/** A member that leaves has more shared messages than fit in memory or in a turn: they move on in steps, also from the store. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePacket, type Packet, PacketType, viewOf } from '@pipit/protocol';
import { puback, publish, suback, subscribe } from './packets.ts';
import type { StoreDouble } from './store-double.ts';
import { type Client, type StoreKind, storeKinds, World, type WorldOptions } from './world.ts';

const filter = '$share/g/s';
const expiry = { sessionExpiryInterval: 1_000 };

const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, i) => i + from);

const numberOf = (packet: Packet) =>
  packet.type === PacketType.Publish ? Number(new TextDecoder().decode(packet.payload)) : Number.NaN;

/** Acknowledges until nothing more comes, and says what came. */
function drain(client: Client): number[] {
  const numbers: number[] = [];
  for (let packets = client.takeAll(); packets.length > 0; packets = client.takeAll()) {
    for (const packet of packets) {
      if (packet.type !== PacketType.Publish) continue;
      numbers.push(numberOf(packet));
      client.send(puback(packet.packetId));
    }
  }
  return numbers;
}

function join(world: World, clientId: string, receiveMaximum: number, properties: object = expiry): Client {
  const client = world.connect({ clientId, cleanStart: false, properties: { ...properties, receiveMaximum } });
  client.send(subscribe(1, { filter, qos: 1 }));
  client.expect(suback(1, 1));
  return client;
}

function queueOf(world: World, clientId: string): { prefix: number; tail: number } {
  const queue = world.core.state.sessions.get(clientId)?.queue;
  return { prefix: queue?.prefixCount ?? 0, tail: queue?.tailCount ?? 0 };
}

/** `first` has 1 in flight and 2 to 30 waiting: multiples of 3 by a subscription of its own, the others shared. */
function loaded(options: WorldOptions): { world: World; first: Client; publisher: Client } {
  const world = new World({ ...options, limits: { queuePrefixMessages: 4, ...options.limits } });
  const first = join(world, 'first', 1);
  first.send(subscribe(2, { filter: 'own', qos: 1 }));
  first.expect(suback(2, 1));
  const publisher = world.connect({ clientId: 'publisher' });
  for (const i of upTo(30)) {
    publisher.publishWhole(publish({ topic: i % 3 === 0 ? 'own' : 's', qos: 1, packetId: 1, payload: `${i}` }));
  }
  assert.equal(numberOf(first.takeAll()[0] as Packet), 1);
  return { world, first, publisher };
}

const own = upTo(30).filter((i) => i % 3 === 0);
const shared = upTo(30).filter((i) => i % 3 !== 0);
const keeping = storeKinds.filter((kind) => kind !== 'none');

for (const store of storeKinds) {
  describe(`shared messages move on in steps, store: ${store}`, () => {
    for (const turnDeliveriesMax of [20_000, 7, 1]) {
      test(`in order, ${turnDeliveriesMax} a turn; what is not shared stays`, () => {
        const { world, first } = loaded({ store, limits: { turnDeliveriesMax } });
        if (store !== 'none') assert.deepEqual(queueOf(world, 'first'), { prefix: 4, tail: 25 });
        const second = join(world, 'second', 65_535);
        const { turns } = world;
        first.drop();
        assert.deepEqual(drain(second), shared);
        const least = Math.floor(shared.length / turnDeliveriesMax);
        assert.ok(world.turns - turns >= least, `${world.turns - turns} turns`);
        const again = world.connect({ clientId: 'first', cleanStart: false, properties: expiry });
        assert.deepEqual(drain(again), own);
        assert.deepEqual(world.store?.queued('first') ?? [], []);
        assert.deepEqual(world.store?.queued('second') ?? [], []);
        assert.equal(world.core.state.queueTotal.messages, 0);
        world.end();
      });
    }

    test('to several, each as much as it has room for; the rest stays where it is', () => {
      const { world, first, publisher } = loaded({ store, limits: { queueMessagesMax: 30 } });
      const others = ['second', 'third'].map((id) => {
        const client = join(world, id, 1);
        client.send(subscribe(2, { filter: id, qos: 1 }));
        client.expect(suback(2, 1));
        for (const i of upTo(25)) {
          publisher.publishWhole(publish({ topic: id, qos: 1, packetId: 1, payload: `${100 + i}` }));
        }
        return client;
      });
      first.drop();
      assert.deepEqual(world.takeEvents('dropped'), []);
      const moved = others.flatMap((each) => drain(each)).filter((i) => i <= 30);
      assert.equal(moved.length, 2 * 5);
      const again = world.connect({ clientId: 'first', cleanStart: false, properties: expiry });
      const stayed = drain(again);
      assert.deepEqual(
        [...moved, ...stayed].sort((a, b) => a - b),
        upTo(30),
      );
      world.end();
    });

    test('with nobody else online they stay; with somebody who may not have them, too', () => {
      const { world, first } = loaded({ store });
      join(world, 'away', 10).drop();
      first.drop();
      const again = world.connect({ clientId: 'first', cleanStart: false, properties: expiry });
      assert.deepEqual(drain(again), upTo(30));
      world.end();
    });
  });
}

for (const store of keeping) {
  describe(`shared messages that are only in the store, ${store}`, () => {
    test('the member comes back in the midst of it: what has not moved is its own again, and nothing comes twice', () => {
      for (const turns of upTo(14)) {
        const { world, first } = loaded({ store, limits: { turnDeliveriesMax: 3 } });
        const second = join(world, 'second', 65_535);
        world.core.closed(first.connection, world.now, 'reset');
        for (let i = 0; i < turns; i++) {
          world.turn();
          world.store?.answer(world.core, world.now);
        }
        const again = world.connect({ clientId: 'first', cleanStart: false, properties: expiry });
        const back = drain(again);
        const moved = drain(second);
        assert.deepEqual(
          back.filter((i) => i % 3 === 0),
          own,
        );
        assert.deepEqual(
          [...back, ...moved].sort((a, b) => a - b),
          upTo(30),
          `after ${turns} turns`,
        );
        assert.deepEqual(moved, shared.slice(0, moved.length));
        assert.deepEqual(world.store?.queued('first') ?? [], []);
        assert.equal(world.core.state.queueTotal.messages, 0);
        world.end();
      }
    });

    test('the member comes and goes again while the disk does not answer: nothing moves twice', () => {
      const { world, first, publisher } = loaded({ store, limits: { queueMessagesMax: 30 } });
      const double = world.store as StoreDouble;
      // With room for five: four that were in memory, and one that was not.
      const second = join(world, 'second', 1);
      second.send(subscribe(2, { filter: 'second', qos: 1 }));
      second.expect(suback(2, 1));
      for (const i of upTo(25)) {
        publisher.publishWhole(publish({ topic: 'second', qos: 1, packetId: 1, payload: `${100 + i}` }));
      }
      double.isCommitStalled = true;
      first.drop();
      assert.equal(drain(second).length, 25);
      const back = world.connecting({ clientId: 'first', cleanStart: false, properties: expiry });
      world.settle();
      back.drop();
      world.settle();
      double.isCommitStalled = false;
      assert.deepEqual(drain(second), shared);
      const again = world.connect({ clientId: 'first', cleanStart: false, properties: expiry });
      assert.deepEqual(drain(again), own);
      assert.equal(world.core.state.queueTotal.messages, 0);
      for (const client of world.clients) client.takeAll();
      world.end();
    });

    test('the power goes in the midst of it: nothing is lost, and nothing is there twice for one that lasts', () => {
      for (const turns of upTo(14)) {
        const { world, first } = loaded({ store, limits: { turnDeliveriesMax: 3 } });
        const second = join(world, 'second', 1);
        world.core.closed(first.connection, world.now, 'reset');
        for (let i = 0; i < turns; i++) {
          world.turn();
          world.store?.answer(world.core, world.now);
        }
        second.takeAll();
        const next = new World({ store, after: world });
        const got = ['first', 'second'].flatMap((clientId) =>
          drain(next.connect({ clientId, cleanStart: false, properties: expiry })),
        );
        assert.deepEqual(
          got.sort((a, b) => a - b),
          upTo(30),
          `after ${turns} turns`,
        );
        next.end();
      }
    });

    test('after a restart, too: what is shared is found where nobody has read it yet', () => {
      const { world } = loaded({ store });
      const next = new World({ store, after: world, limits: { queuePrefixMessages: 4 } });
      const first = next.connect({
        clientId: 'first',
        cleanStart: false,
        properties: { ...expiry, receiveMaximum: 1 },
      });
      first.takeAll();
      const second = join(next, 'second', 65_535, {});
      first.drop();
      assert.deepEqual(drain(second), shared);
      assert.deepEqual(drain(next.connect({ clientId: 'first', cleanStart: false, properties: expiry })), own);
      next.end();
    });
  });
}

test('a page that cannot be read holds up nothing: it is asked for again, and then the rest moves', () => {
  const store: StoreKind = 'late';
  const { world, first } = loaded({ store });
  const second = join(world, 'second', 65_535);
  if (world.store !== null) world.store.isPagingBroken = true;
  first.drop();
  const before = drain(second);
  assert.deepEqual(before, shared.slice(0, before.length));
  assert.equal(before.length, 4, 'what was in flight and in memory');
  world.advance(5_000);
  second.expectNothing();
  if (world.store !== null) world.store.isPagingBroken = false;
  world.advance(30_000);
  assert.deepEqual([...before, ...drain(second)], shared);
  world.end();
});

for (const store of storeKinds) {
  describe(`a session with shared messages ends, store: ${store}`, () => {
    for (const how of ['expires', 'is ended by Clean Start']) {
      for (const turnDeliveriesMax of [20_000, 3]) {
        test(`when it ${how} they move on, ${turnDeliveriesMax} a turn, and what was its own is told`, () => {
          const { world, first } = loaded({ store, limits: { turnDeliveriesMax } });
          // Nobody is online when it is left; somebody who lasts is a member.
          join(world, 'second', 65_535, { sessionExpiryInterval: 100_000 }).drop();
          if (how !== 'expires') world.connect({ clientId: 'first', cleanStart: true });
          else {
            first.drop();
            world.advance(1_000_000);
          }
          const second = world.connect({ clientId: 'second', cleanStart: false, properties: expiry });
          assert.deepEqual(drain(second), shared);
          world.advance(20_000);
          const ended = world.takeEvents('session-ended').filter(({ clientId }) => clientId === 'first');
          const told = world.takeEvents('dropped').filter(({ reason }) => reason === 'session-ended');
          const count = [...ended.map(({ dropped }) => dropped), ...told.map((each) => each.count)];
          assert.equal(
            count.reduce((sum, each) => sum + each, 0),
            own.length,
          );
          assert.equal(world.core.metrics.drops.get('session-ended'), own.length);
          assert.equal(world.core.state.queueTotal.messages, 0);
          assert.deepEqual(
            [...world.core.state.sessions.keys()].filter((key) => key.startsWith('\u0000')),
            [],
          );
          for (const client of world.clients) client.takeAll();
        });
      }
    }

    test('one that does not last: all it had moves on, in as many turns as it takes, and its client begins anew at once', () => {
      const world = new World({ store, limits: { turnDeliveriesMax: 2 } });
      const first = join(world, 'first', 5, {});
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of upTo(30)) {
        publisher.publishWhole(publish({ topic: 's', qos: 1, packetId: 1, payload: `${i}` }));
      }
      const second = join(world, 'second', 65_535);
      world.core.closed(first.connection, world.now, 'reset');
      const again = world.connect({ clientId: 'first', cleanStart: true });
      assert.deepEqual(drain(second), upTo(30));
      again.expectNothing();
      first.takeAll();
      world.end();
    });
  });
}

for (const store of keeping) {
  test(`the power goes while an ended session’s messages move: its client has begun anew, and nothing is lost, ${store}`, () => {
    for (const turns of upTo(16)) {
      const { world } = loaded({ store, limits: { turnDeliveriesMax: 3 } });
      join(world, 'second', 1, { sessionExpiryInterval: 100_000 }).drop();
      const connecting = world.open();
      connecting.isDeaf = true;
      const connect = { clientId: 'first', version: 5, cleanStart: true, keepAlive: 0, properties: expiry } as const;
      const bytes = encodePacket({ type: PacketType.Connect, ...connect }, 5, 'client');
      world.core.received(connecting.connection, bytes, viewOf(bytes), 0, bytes.length, world.now);
      for (let i = 0; i < turns; i++) {
        world.turn();
        world.store?.answer(world.core, world.now);
      }
      const next = new World({ store, after: world });
      const [first, second] = ['first', 'second'].map((clientId) =>
        drain(next.connect({ clientId, cleanStart: false, properties: expiry })),
      ) as [number[], number[]];
      // Either the old session is there as it was, or all that is shared has moved.
      if (first.length > 0) assert.deepEqual([first, second], [upTo(30), []]);
      else assert.deepEqual(second, shared, `after ${turns} turns`);
      assert.deepEqual(
        (next.store?.sessionKeys ?? []).filter((key) => key.startsWith('\u0000')),
        [],
      );
      next.end();
    }
  });
}
