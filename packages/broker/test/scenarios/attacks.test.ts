/**
 * Attacks in virtual time: how many turns of the event loop an honest pair waits for while a hundred others have more to do than a
 * turn takes. A turn has a budget, and who has spent it goes to the back of the ring.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePacket, type Packet, PacketType, viewOf } from '@pipit/protocol';
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
