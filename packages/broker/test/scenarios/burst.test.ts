/** A turn that brought many small chunks keeps deliveries for the next one; acknowledgements, and what is large, leave at once. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePacket, type Packet, PacketType, viewOf } from '@pipit/protocol';
import { puback, publish, suback, subscribe } from './packets.ts';
import { type Client, World } from './world.ts';

const limits = { burstInputsMin: 4, burstTurnsMax: 3 };
const all = [0, 1, 2, 3] as const;

/** Gives bytes to the core without letting it come to rest. */
function feed(client: Client, ...packets: Packet[]): void {
  const parts = packets.map((packet) => [...encodePacket(packet, client.version, 'client')]);
  const bytes = Uint8Array.from(parts.flat());
  client.world.core.received(client.connection, bytes, viewOf(bytes), 0, bytes.length, client.world.now);
}

function packetsOf(client: Client): string[] {
  return client
    .peekAll()
    .map((packet) => (packet.type === PacketType.Publish ? new TextDecoder().decode(packet.payload) : 'ack'));
}

function members(world: World, version: 4 | 5 = 5): { sub: Client; pubs: Client[] } {
  const sub = world.connect({ clientId: 'sub', version });
  sub.send(subscribe(1, { filter: 't', qos: 1 }));
  sub.expect(suback(1, 1));
  return { sub, pubs: all.map((i) => world.connect({ clientId: `pub${i}` })) };
}

const message = (i: number, round = 0) =>
  publish({ topic: 't', payload: `${round}.${i}`, qos: 1, packetId: round + 1 });

test('a burst: publishers are acknowledged at once, deliveries leave with the turn after it', () => {
  const world = new World({ limits });
  const { sub, pubs } = members(world);
  for (const [i, pub] of pubs.entries()) feed(pub, message(i));
  world.turn();
  for (const pub of pubs) assert.deepEqual(packetsOf(pub), ['ack']);
  assert.deepEqual(packetsOf(sub), []);
  assert.equal(world.core.deadline(), world.now, 'the next turn is due now');
  assert.equal(world.core.isQuiet(), false);
  world.turn();
  assert.deepEqual(packetsOf(sub), ['0.0', '0.1', '0.2', '0.3']);
  assert.equal(world.core.deadline(), Number.POSITIVE_INFINITY);
  assert.ok(world.core.isQuiet());
});

test('one chunk less is no burst', () => {
  const world = new World({ limits });
  const { sub, pubs } = members(world);
  for (const [i, pub] of pubs.slice(1).entries()) feed(pub, message(i));
  world.turn();
  assert.equal(packetsOf(sub).length, 3);
});

test('while the burst lasts, deliveries wait three turns and leave together, in order', () => {
  const world = new World({ limits });
  const { sub, pubs } = members(world);
  const expected: string[] = [];
  for (let round = 0; round < 8; round++) {
    for (const [i, pub] of pubs.entries()) feed(pub, message(i, round));
    expected.push(...all.map((i) => `${round}.${i}`));
    world.turn();
    for (const pub of pubs) assert.equal(packetsOf(pub).length, round + 1, 'an acknowledgement waits for nothing');
    assert.equal(packetsOf(sub).length, round < 3 ? 0 : round < 7 ? 16 : 32, `round ${round}`);
  }
  world.settle();
  assert.deepEqual(packetsOf(sub), expected);
});

test('deliveries leave with what does not wait: an acknowledgement on the same connection', () => {
  const world = new World({ limits });
  const { sub, pubs } = members(world);
  feed(sub, publish({ topic: 'elsewhere', qos: 1, packetId: 9 }));
  for (const [i, pub] of pubs.entries()) feed(pub, message(i));
  world.turn();
  assert.deepEqual(packetsOf(sub), ['ack', '0.0', '0.1', '0.2', '0.3']);
});

test('a burst of large chunks keeps nothing: the writes are large already', () => {
  const world = new World({ limits });
  const { sub, pubs } = members(world);
  for (const pub of pubs) feed(pub, publish({ topic: 't', payload: 'x'.repeat(1024) }));
  world.turn();
  assert.equal(packetsOf(sub).length, 4);
});

test('with burstTurnsMax 0 deliveries leave with the turn they were made in', () => {
  const world = new World({ limits: { ...limits, burstTurnsMax: 0 } });
  const { sub, pubs } = members(world);
  for (const [i, pub] of pubs.entries()) feed(pub, message(i));
  world.turn();
  assert.equal(packetsOf(sub).length, 4);
});

test('who is closed in a burst gets its deliveries before the end', () => {
  const world = new World({ limits });
  const { sub, pubs } = members(world, 4);
  for (const [i, pub] of pubs.entries()) feed(pub, message(i));
  world.core.disconnect('sub', 0x98, 'tested', world.now);
  world.turn();
  assert.ok(sub.isClosed);
  assert.deepEqual(packetsOf(sub), ['0.0', '0.1', '0.2', '0.3']);
});

test('what waited for the disk leaves when it is committed, burst or not', () => {
  const world = new World({ limits, store: 'late' });
  const { sub, pubs } = members(world);
  const keeper = world.connect({ clientId: 'keeper', cleanStart: true, properties: { sessionExpiryInterval: 100 } });
  keeper.send(subscribe(1, { filter: 't', qos: 1 }));
  keeper.expect(suback(1, 1));
  for (const [i, pub] of pubs.entries()) feed(pub, message(i));
  world.turn();
  for (const pub of pubs) assert.deepEqual(packetsOf(pub), [], 'not durable yet');
  assert.ok(world.store?.answer(world.core, world.now));
  for (const [i, pub] of pubs.entries()) feed(pub, message(i, 1));
  world.turn();
  for (const pub of pubs) assert.deepEqual(packetsOf(pub), ['ack'], 'durable, and the burst goes on');
  world.settle();
  for (const pub of pubs) pub.expect(puback(1), puback(2));
  assert.equal(packetsOf(sub).length, 8);
  assert.equal(packetsOf(keeper).length, 8);
});
