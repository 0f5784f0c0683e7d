/**
 * Attacks in virtual time: how many turns of the event loop an honest pair waits for while a hundred others have more to do than a
 * turn takes. A turn has a budget, and who has spent it goes to the back of the ring.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePacket, type Packet, PacketType, ReasonCode, viewOf } from '@pipit/protocol';
import { publish, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const hostiles = 100;
/** One in which everybody has a part, and one more where a packet takes more than its part. */
const turnsMax = 2;
const limits = { turnDeliveriesMax: 10_000, queueMessagesMax: 5_000, receiveMaximum: 65_535 };

/** Puts bytes into the core as a read would, and takes no turn. */
function push(world: World, client: Client, packets: readonly Packet[]): void {
  const parts = packets.map((packet) => encodePacket(packet, client.version, 'client'));
  const bytes = new Uint8Array(Buffer.concat(parts));
  if (!client.isClosed) world.core.received(client.connection, bytes, viewOf(bytes), 0, bytes.length, world.now);
}

const floods: readonly (readonly [string, (at: number) => readonly Packet[]])[] = [
  ['QoS 0 publishes', (at) => many(2_000, () => publish({ topic: `flood/${at}`, payload: 'x' }))],
  [
    'QoS 2 that is never released',
    (at) => many(2_000, (i) => publish({ topic: `flood/${at}`, qos: 2, packetId: i + 1 })),
  ],
  ['retained messages', (at) => many(100, (i) => publish({ topic: `r/${at}/${i}`, retain: true, payload: 'x' }))],
  ['subscriptions', (at) => many(4, (i) => subscribe(i + 1, ...many(50, (j) => `${at}/${i}/${j}/+/#`)))],
  ['subscriptions to everything', () => many(200, (i) => subscribe(i + 1, '#', '+/#', '+/+'))],
  ['pings', () => many(2_000, () => ({ type: PacketType.Pingreq }))],
];

/** Pushes bytes and takes turns until all is read: how much of it one turn read at most. */
function mostInATurn(world: World, client: Client, packets: readonly Packet[], read: () => number): number {
  let most = 0;
  let before = read();
  push(world, client, packets);
  for (let turns = 0; turns < 10_000; turns++) {
    most = Math.max(most, read() - before);
    before = read();
    if (world.core.isQuiet()) return most;
    world.turn();
  }
  assert.fail('it never ends');
}

const small = { turnDeliveriesMax: 1_000 };

describe('what makes work pays for it: a turn takes as many packets as its budget has room for', () => {
  const published = (world: World) => () => world.core.metrics.packetsReceived(PacketType.Publish);
  const subscribed = (world: World) => () => world.core.metrics.packetsReceived(PacketType.Subscribe);

  test('topics that lead to thousands of places in the tree of filters, and to nobody', () => {
    const world = new World({ limits: small });
    const explosive = world.connect({ clientId: 'explosive' });
    const filters = many(1_024, (at) => `${many(10, (bit) => ((at >> bit) & 1 ? '+' : 'a')).join('/')}/end`);
    for (let at = 0; at < filters.length; at += 64) {
      explosive.send(subscribe(at + 1, ...filters.slice(at, at + 64)));
      explosive.takeAll();
    }
    const writer = world.connect({ clientId: 'hostile' });
    const floodOf = many(100, (at) => publish({ topic: `${'a/'.repeat(10)}${at}` }));
    assert.ok(mostInATurn(world, writer, floodOf, published(world)) <= 3);
    world.end();
  });

  test('topics and filters of 32 kB, each another', () => {
    const world = new World({ limits: small });
    const hostile = world.connect({ clientId: 'hostile' });
    const long = 'x'.repeat(32_000);
    const topics = many(50, (at) => publish({ topic: `${long}${at}` }));
    assert.ok(mostInATurn(world, hostile, topics, published(world)) <= 3);
    const filters = many(50, (at) => subscribe(at + 1, `${long}${at}`));
    assert.ok(mostInATurn(world, hostile, filters, subscribed(world)) <= 2);
    hostile.takeAll();
    world.end();
  });

  test('User Properties', () => {
    const world = new World({ limits: small });
    const hostile = world.connect({ clientId: 'hostile' });
    const userProperties = many(100, (at): [string, string] => [`${at}`, 'v'.repeat(300)]);
    const bombs = many(50, () => publish({ topic: 't', properties: { userProperties } }));
    assert.ok(mostInATurn(world, hostile, bombs, published(world)) <= 3);
    world.end();
  });

  test('subscriptions, the same again and again', () => {
    const world = new World({ limits: small });
    const hostile = world.connect({ clientId: 'hostile' });
    const flood = many(1_000, (at) => subscribe(at + 1, 'a/+/#'));
    assert.ok(mostInATurn(world, hostile, flood, subscribed(world)) <= 51);
    hostile.takeAll();
    world.end();
  });

  test('messages to a shared subscription of thousands of whom nobody can take one', () => {
    const world = new World({ limits: small });
    const members = many(400, (at) => world.connect({ clientId: `member-${at}`, properties: { receiveMaximum: 1 } }));
    for (const member of members) member.send(subscribe(1, { filter: '$share/g/t', qos: 1 }));
    const writer = world.connect({ clientId: 'hostile' });
    const once = (from: number) => many(400, (at) => publish({ topic: 't', qos: 1, packetId: from + at }));
    push(world, writer, once(1));
    world.settle();
    assert.ok(mostInATurn(world, writer, once(401), published(world)) <= 12);
    for (const each of [writer, ...members]) each.takeAll();
    world.end();
  });

  test('sessions with thousands of subscriptions that end: they match no more at once, and go in steps', () => {
    const world = new World({ limits: small });
    const hostiles = many(10, (at) => world.connect({ clientId: `hostile-${at}` }));
    for (const each of hostiles) {
      for (let packetId = 1; packetId <= 10; packetId++) {
        each.send(subscribe(packetId, ...many(100, (at) => ({ filter: `f/${packetId}/${at}/#`, qos: 1 as const }))));
        each.takeAll();
      }
    }
    const { router } = world.core.state;
    const { tree } = router as unknown as { tree: { readonly count: number } };
    assert.equal(tree.count, 10_000);
    for (const { connection } of hostiles) world.core.closed(connection, world.now);
    assert.equal(router.count, 0);
    let matched: number | undefined;
    world.core.publish({ topic: 'f/1/1/x', payload: new Uint8Array(0), qos: 1, retain: false }, 99, world.now);
    for (const effect of world.core.state.effects) if (effect.kind === 'published') matched = effect.reasonCode;
    assert.equal(matched, ReasonCode.NoMatchingSubscribers);
    let most = 0;
    for (let before = tree.count; before > 0; before = tree.count) {
      world.turn();
      most = Math.max(most, before - tree.count);
    }
    assert.ok(most > 0 && most <= 300, `${most} in one turn`);
    assert.equal(tree.count, 0);
  });
});

function many<Value>(count: number, make: (at: number) => Value): Value[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

for (const store of storeKinds.filter((kind) => kind === 'none' || kind === 'instant')) {
  describe(`while a hundred flood, an honest pair waits for turns, not for them, store: ${store}`, () => {
    for (const [name, flood] of floods) {
      test(name, () => {
        const world = new World({ store, limits });
        const reader = world.connect({ clientId: 'reader' });
        reader.send(subscribe(1, { filter: 'honest', qos: 0 }));
        reader.takeAll();
        const writer = world.connect({ clientId: 'writer' });
        const attackers = many(hostiles, (at) => world.connect({ clientId: `hostile-${at}` }));
        for (const attacker of attackers) attacker.isDeaf = true;
        for (const [at, attacker] of attackers.entries()) push(world, attacker, flood(at));
        let longest = 0;
        for (let message = 0; message < 20; message++) {
          push(world, writer, [publish({ topic: 'honest', payload: `${message}` })]);
          let turns = 0;
          while (reader.peekAll().length === 0 && turns <= turnsMax) {
            world.turn();
            turns++;
          }
          longest = Math.max(longest, turns);
          const [packet] = reader.takeNow();
          assert.ok(packet?.type === PacketType.Publish && Buffer.from(packet.payload).toString() === `${message}`);
        }
        assert.ok(longest <= turnsMax, `${longest} turns`);
        for (const attacker of attackers) attacker.drop();
        world.settle();
        assert.equal(world.core.state.router.count, 1);
        assert.equal(world.core.state.connections.size, 2);
      });
    }
  });
}
