/** What waits in the store for a session that may not have it any more is looked through in steps, while its client is away. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Permissions, type Rule } from '../../src/core/index.ts';
import { suback, subscribe } from './packets.ts';
import { type Client, type StoreKind, storeKinds, World, type WorldOptions } from './world.ts';

const everything: Rule = { effect: 'allow', action: 'all', filter: '#' };
const withoutA: readonly Rule[] = [{ ...everything, effect: 'deny', filter: 'a/#' }, everything];
const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

/** A sleeper with `count` messages of a/# behind `inMemory` of b/#, and its rules. */
function sleeper(store: StoreKind, count: number, limits: WorldOptions['limits'] = {}) {
  const rules = new Permissions([everything]);
  const authority = () => ({ outcome: 'accept', principal: null, permissions: rules }) as const;
  const world = new World({ store, authority, limits });
  const client = world.connect({ clientId: 'c', ...lasting });
  client.send(subscribe(1, { filter: '#', qos: 1 }));
  client.expect(suback(1, 1));
  client.drop();
  const inMemory = limits.queuePrefixMessages ?? 0;
  for (let i = 0; i < inMemory; i++) world.publish(`b/${i}`, 'waits', { qos: 1 });
  for (let i = 0; i < count; i++) world.publish(`a/${i}`, 'waits', { qos: 1 });
  const { store: double } = world;
  const session = world.core.state.sessions.get('c');
  assert.ok(double !== null && session !== undefined);
  const change = (to: readonly Rule[]) => world.core.permissionsChanged(rules, to, world.now);
  const dropped = () => world.core.metrics.drops.get('not-authorized') ?? 0;
  return { world, double, session, change, dropped };
}

function topicsOf(client: Client): unknown[] {
  return client.takeAll().map((packet) => 'topic' in packet && packet.topic);
}

for (const store of storeKinds.slice(1)) {
  test(`a page is looked through within the budget of turns, and an empty queue is no queue, ${store}`, () => {
    const { world, double, session, change, dropped } = sleeper(store, 60, {
      queuePrefixMessages: 30,
      turnDeliveriesMax: 10,
    });
    change([{ ...everything, filter: 'nothing' }]);
    let most = 0;
    for (let before = dropped(); dropped() < 90; before = dropped()) {
      if (!world.turn() && world.core.deadline() > world.now && !double.answer(world.core, world.now)) break;
      // What is in memory is the atom; of what is in the store a turn takes what it may.
      if (before >= 30) most = Math.max(most, dropped() - before);
    }
    world.settle();
    assert.equal(dropped(), 90);
    assert.ok(most > 0 && most <= 10, `${most} in one turn`);
    assert.equal(session.queue, null);
    world.end();
  });

  // With every other commit failing nobody is let in while no page is answered.
  if (store === 'failing') continue;
  test(`a client that comes and goes while its queue is looked through does not end that, ${store}`, () => {
    const { world, double, session, change, dropped } = sleeper(store, 10, { queuePrefixMessages: 2 });
    double.isPagingStalled = true;
    change(withoutA);
    world.settle();
    assert.equal(double.pagesWaiting, 1);
    const properties = { sessionExpiryInterval: 3600, receiveMaximum: 1 };
    const visit = world.connect({ clientId: 'c', cleanStart: false, properties });
    assert.deepEqual(topicsOf(visit), ['b/0']);
    visit.drop();
    double.isPagingStalled = false;
    world.settle();
    assert.equal(dropped(), 10);
    assert.equal(session.queue?.count, 1, 'b/1');
    world.end();
  });

  test(`what was taken out is not found again before that lasts, ${store}`, () => {
    const { world, double, session, change, dropped } = sleeper(store, 4, { queuePrefixMessages: 2 });
    // The batch in flight is an earlier one; what is taken out is in the next.
    double.isCommitStalled = true;
    const other = world.connecting({ clientId: 'other', ...lasting });
    change(withoutA);
    world.settle();
    assert.equal(dropped(), 2, 'the first page was looked through');
    change([{ ...everything, effect: 'deny', filter: 'c' }, ...withoutA]);
    world.settle();
    assert.equal(dropped(), 2);
    double.isCommitStalled = false;
    world.settle();
    other.takeAll();
    assert.equal(dropped(), 4);
    assert.equal(session.queue?.count, 2, 'b/0 and b/1');
    world.end();
  });
}
