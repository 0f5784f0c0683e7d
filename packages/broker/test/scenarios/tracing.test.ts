/** Following messages live, and looking at what there is: bounded, and nothing else changes by it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType } from '@pipit/protocol';
import type { BrokerEvent, TraceRequest } from '../../src/core/index.ts';
import { publish, subscribe } from './packets.ts';
import { World } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };
const enough = { eventsMax: 1000, durationMs: 60_000 };

function begin(world: World, request: Partial<TraceRequest>): number {
  const trace = world.core.trace({ ...enough, ...request }, world.now);
  world.turn();
  world.events.length = 0;
  return trace ?? -1;
}

/** Steps and ends of traces told since the last call. */
function steps(world: World): string[] {
  return world.events.splice(0).flatMap((event: BrokerEvent) => {
    if (event.type === 'traced') return [`${event.step} ${event.clientId} ${event.topic} ${event.detail}`.trim()];
    return event.type === 'trace-ended' ? [`ended ${event.reason}`] : [];
  });
}

test('a trace tells as much as it was asked for, and ends', () => {
  const world = new World();
  const a = world.connect({ clientId: 'a' });
  const b = world.connect({ clientId: 'b' });
  a.send(subscribe(1, 'x/#'));
  begin(world, { filter: 'x/+', eventsMax: 3 });
  b.send(publish({ topic: 'x/1', payload: '1' }));
  b.send(publish({ topic: 'y', payload: '1' }));
  assert.deepEqual(steps(world), ['sent a x/1', 'published b x/1 to 1 sessions']);
  b.send(publish({ topic: 'x/2', payload: '1' }));
  assert.deepEqual(steps(world), ['sent a x/2', 'ended count']);
  assert.equal(world.core.state.traces, null);
  b.send(publish({ topic: 'x/3', payload: '1' }));
  assert.deepEqual(steps(world), []);
});

test('a trace ends by time, and when it is asked to; others go on', () => {
  const world = new World();
  const a = world.connect({ clientId: 'a' });
  begin(world, { clientId: 'a', durationMs: 5000 });
  const second = begin(world, { clientId: 'a' });
  a.send(publish({ topic: 'x', payload: '1' }));
  assert.deepEqual(steps(world), ['published a x to 0 sessions', 'published a x to 0 sessions']);
  world.advance(5000);
  assert.deepEqual(steps(world), ['ended time']);
  a.send(publish({ topic: 'x', payload: '1' }));
  assert.deepEqual(steps(world), ['published a x to 0 sessions']);
  world.core.endTrace(second, world.now);
  world.core.endTrace(second, world.now);
  world.turn();
  assert.deepEqual(steps(world), ['ended asked']);
  assert.equal(world.core.state.traces, null);
});

test('a list goes on over turns: it has all that stays, none twice, and what comes meanwhile at its end', () => {
  const world = new World();
  for (let i = 0; i < 10; i++) world.connect({ clientId: `c${i}`, ...lasting });
  const listing = world.core.inspect(world.now).sessions(() => true);
  const seen: string[] = [];
  const draw = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const { value, done } = listing.next();
      if (done !== true && value !== null) seen.push(value.clientId);
    }
  };
  draw(4);
  for (const clientId of ['c0', 'c5', 'c6']) world.core.endSession(clientId, 0, world.now);
  world.turn();
  world.connect({ clientId: 'late', ...lasting });
  draw(20);
  assert.deepEqual(seen, ['c0', 'c1', 'c2', 'c3', 'c4', 'c7', 'c8', 'c9', 'late']);
});

test('a list of subscriptions goes on over turns: all that stay, none twice, none that is over', () => {
  const world = new World();
  const client = world.connect({ clientId: 'c', ...lasting });
  const names = Array.from({ length: 900 }, (_, i) => `t/${i}`);
  for (let at = 0; at < names.length; at += 100) client.send(subscribe(1, ...names.slice(at, at + 100)));
  client.send(subscribe(2, '$share/g/s', '$share/g/gone'));
  const listing = world.core.inspect(world.now).subscriptionsOf('c');
  const seen: string[] = [];
  for (let i = 0; i < 300; i++) seen.push(listing.next().value?.filter ?? '');
  // Some that were shown and some that were not; new ones take their places.
  const over = [...seen.slice(0, 50), ...names.filter((name) => !seen.includes(name)).slice(0, 50)];
  client.send({ type: PacketType.Unsubscribe, packetId: 3, filters: [...over, '$share/g/gone'] });
  client.send(subscribe(4, ...over.map((name) => `new/${name}`)));
  for (const each of listing) if (each !== null) seen.push(each.filter);
  const expected = [...names.filter((name) => !over.slice(50).includes(name)), 's'];
  const isNew = (filter: string): boolean => filter.startsWith('new/');
  assert.deepEqual(seen.filter((filter) => !isNew(filter)).sort(), expected.sort());
  assert.equal(new Set(seen).size, seen.length);
  client.takeAll();
});

test('a list of retained messages lets go of its place when it is left', () => {
  const world = new World();
  const a = world.connect({ clientId: 'a' });
  for (let i = 0; i < 5; i++) a.send(publish({ topic: `r/${i}`, payload: 'x', retain: true }));
  const listing = world.core.inspect(world.now).retained('r/+');
  while (listing.next().value === null);
  assert.equal(world.core.state.retained.cursors, 1);
  listing.return(undefined);
  assert.equal(world.core.state.retained.cursors, 0);
  const topics = [...world.core.inspect(world.now).retained('r/#')].flatMap((each) => each?.topic ?? []);
  assert.deepEqual(topics.sort(), ['r/0', 'r/1', 'r/2', 'r/3', 'r/4']);
  assert.equal(world.core.state.retained.cursors, 0);
});
