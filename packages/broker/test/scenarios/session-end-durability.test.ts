/**
 * The end of a session lasts before anybody is told of it: a CONNACK that says there is none, and the answer to an operator who ended
 * one, or all of a user.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { connack, disconnect, subscribe } from './packets.ts';
import { type Client, World, type WorldOptions } from './world.ts';

for (const store of ['instant', 'late'] as const) {
  describe(`the end of a session, store: ${store}`, () => {
    test('what a power cut could bring back is not yet gone: CONNACK waits', () => {
      const world = new World({ store });
      world.connect({ clientId: 'c', version: 5, properties: { sessionExpiryInterval: 1 } }).drop();
      if (world.store !== null) world.store.isBroken = true;
      world.advance(2_000);
      const again = world.connecting({ clientId: 'c', version: 4 });
      again.expectNothing();
      if (world.store !== null) world.store.isBroken = false;
      world.advance(10_000);
      again.expect(connack());
      world.end();
    });

    test('another client does not wait', () => {
      const world = new World({ store });
      world.connect({ clientId: 'c', version: 5, properties: { sessionExpiryInterval: 1 } }).drop();
      if (world.store !== null) world.store.isBroken = true;
      world.advance(2_000);
      world.connecting({ clientId: 'other', version: 4 }).expect(connack());
      world.end();
    });
  });
}

const lasting = { properties: { sessionExpiryInterval: 3600 } };

for (const store of ['none', 'late', 'failing'] as const) {
  test(`an operator who ends a session is answered when that lasts, store: ${store}`, () => {
    const world = new World({ store });
    const client = world.connect({ clientId: 'c', ...lasting });
    world.connect({ clientId: 'other', ...lasting });
    if (world.store !== null) world.store.isCommitStalled = true;
    world.core.endSession('c', 101, world.now);
    world.core.endSession('nobody', 102, world.now);
    world.settle();
    client.expect(disconnect(ReasonCode.AdministrativeAction, { reasonString: 'an operator ended the session' }));
    assert.equal(world.published.get(102), ReasonCode.NoMatchingSubscribers);
    assert.equal(world.published.get(101), store === 'none' ? 0 : undefined);
    const isOnDisk = (): boolean =>
      world.store?.committed.some(({ changes }) => changes.some(({ kind }) => kind === 'session-ended')) === true;
    assert.equal(isOnDisk(), false);
    if (world.store !== null) world.store.isCommitStalled = false;
    world.settle();
    assert.equal(world.published.get(101), 0);
    assert.equal(isOnDisk(), store !== 'none');
    world.end();
    if (world.store === null) return;
    const next = new World({ store, after: world });
    assert.deepEqual([...next.core.state.sessions.keys()], ['other']);
    next.end();
  });

  test(`all sessions of a user end in steps, and the answer comes when the last of it lasts, store: ${store}`, () => {
    const authority: WorldOptions['authority'] = ({ clientId }) => ({
      outcome: 'accept',
      principal: clientId.replace(/\d+$/, ''),
    });
    const world = new World({ store, authority, limits: { turnDeliveriesMax: 250 } });
    const clients = [...Array.from({ length: 10 }, (_, i) => `ada${i}`), 'bob1', 'bob2'].map((clientId) =>
      world.connect({ clientId, ...lasting }),
    ) as [Client, ...Client[]];
    for (const client of clients.slice(0, 5)) client.drop();
    for (const client of clients.slice(5)) client.send(subscribe(1, 't'));
    for (const client of clients.slice(5)) client.takeAll();
    const { turns } = world;
    if (world.store !== null) world.store.isCommitStalled = true;
    world.core.endSessions(({ principal }) => principal === 'ada', ReasonCode.Banned, 'banned', 7, world.now);
    world.settle();
    assert.ok(world.turns - turns >= 4, 'no more than the budget in a turn');
    for (const client of clients.slice(5, 10)) {
      client.expect(disconnect(ReasonCode.AdministrativeAction, { reasonString: 'banned' }));
    }
    assert.deepEqual([...world.core.state.sessions.keys()], ['bob1', 'bob2']);
    assert.equal(world.takeEvents('session-ended').length, 10);
    assert.equal(world.published.get(7), store === 'none' ? 0 : undefined);
    if (world.store !== null) world.store.isCommitStalled = false;
    world.settle();
    assert.equal(world.published.get(7), 0);
    world.core.endSessions(({ principal }) => principal === 'ada', ReasonCode.Banned, 'banned', 8, world.now);
    world.settle();
    assert.equal(world.published.get(8), ReasonCode.NoMatchingSubscribers);
    world.end();
  });
}
