/** Everything that is refused, dropped, closed or changed owner is told, with its reason, and floods are counted. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { type BrokerEvent, Permissions } from '../../src/core/index.ts';
import { Counter } from '../../src/core/metrics.ts';
import { disconnect, publish, suback, subscribe } from './packets.ts';
import { storeKinds, text, World } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

/** Type, client and reason of all that was told since the last call. */
function told(world: World): string[] {
  const events = world.events.splice(0).filter(({ type }) => !type.startsWith('commit-'));
  return events.map((event: BrokerEvent) => {
    const { type } = event;
    const client = 'clientId' in event ? event.clientId : '-';
    const reason = 'reason' in event ? event.reason : 'topic' in event ? event.topic : '';
    return `${type} ${client} ${reason}`.trim();
  });
}

for (const store of storeKinds) {
  test(`connections and sessions, ${store}`, () => {
    const world = new World({ store });
    world.connect({ clientId: 'a', username: 'u' });
    const [event] = world.events;
    assert.deepEqual(event, {
      type: 'connected',
      clientId: 'a',
      username: 'u',
      peer: { transport: 'memory', address: 'peer-1', listener: 'memory' },
      version: 5,
      sessionPresent: false,
    });
    world.events.length = 0;
    const b = world.connect({ clientId: 'b', ...lasting });
    assert.deepEqual(told(world), ['session-created b', 'connected b']);
    b.send(disconnect());
    assert.deepEqual(told(world), ['disconnected b Normal disconnection']);
    const again = world.connect({ clientId: 'b', ...lasting });
    const over = world.connect({ clientId: 'b', ...lasting });
    assert.equal(again.takeAll().length, 1);
    assert.deepEqual(told(world), [
      'connected b',
      'disconnected b another connection took the session over',
      'connected b',
    ]);
    over.drop();
    assert.deepEqual(told(world), ['disconnected b reset']);
    world.connect({ clientId: 'b', cleanStart: true });
    assert.deepEqual(told(world), ['session-ended b clean-start', 'connected b']);
    world.connect({ clientId: 'c', properties: { sessionExpiryInterval: 10 } }).drop();
    world.events.length = 0;
    world.advance(10_000);
    assert.deepEqual(told(world), ['session-ended c expired']);
    world.connect({ clientId: 'd', ...lasting }).send(disconnect(0, { sessionExpiryInterval: 0 }));
    assert.equal(told(world).at(-1), 'session-ended d closed');
    world.open().sendRaw('c000');
    assert.deepEqual(told(world), ['refused null the first packet is not CONNECT']);
    world.open().drop();
    assert.deepEqual(told(world), ['refused null reset']);
    world.end();
  });

  test(`what a peer does wrong is told with its code, ${store}`, () => {
    const world = new World({ store });
    const client = world.connect({ clientId: 'bad' });
    world.events.length = 0;
    client.sendRaw('00 00');
    const [event] = world.takeEvents('disconnected');
    assert.equal(event?.by, 'server');
    assert.equal(event?.reasonCode, ReasonCode.MalformedPacket);
    assert.ok((event?.reason.length ?? 0) > 5);
    client.takeAll();
    world.end();
  });

  test(`wills, ${store}`, () => {
    const world = new World({ store });
    const will = (willDelayInterval: number) => ({
      will: {
        topic: 'w',
        payload: new Uint8Array(),
        qos: 0,
        retain: false,
        properties: { willDelayInterval },
      } as const,
    });
    world.connect({ clientId: 'a', ...lasting, ...will(0) }).drop();
    world.connect({ clientId: 'b', ...lasting, ...will(60) }).drop();
    assert.deepEqual(world.takeEvents('will-published'), [{ type: 'will-published', clientId: 'a', topic: 'w' }]);
    world.connect({ clientId: 'b', ...lasting });
    assert.deepEqual(world.takeEvents('will-cancelled'), [{ type: 'will-cancelled', clientId: 'b', topic: 'w' }]);
    world.advance(100_000);
    assert.deepEqual(world.takeEvents('will-published'), []);
    assert.equal(world.core.metrics.get(Counter.WillsPublished), 1);
  });

  test(`refused publishes and subscriptions, revoked ones, ${store}`, () => {
    const permissions = new Permissions([{ effect: 'allow', action: 'all', filter: 'ok' }]);
    const world = new World({ store, authority: () => ({ outcome: 'accept', principal: null, permissions }) });
    const client = world.connect({ clientId: 'c' });
    world.events.length = 0;
    client.send(publish({ topic: 'no' }), subscribe(1, 'no', 'ok'));
    client.expect(suback(1, ReasonCode.NotAuthorized, 0));
    assert.deepEqual(world.events.splice(0), [
      {
        type: 'publish-refused',
        clientId: 'c',
        topic: 'no',
        reasonCode: ReasonCode.NotAuthorized,
        reason: 'publishing to this topic is not allowed',
        count: 1,
      },
      {
        type: 'subscribe-refused',
        clientId: 'c',
        filter: 'no',
        reasonCode: ReasonCode.NotAuthorized,
        reason: 'subscribing to this filter is not allowed',
        count: 1,
      },
    ]);
    world.core.permissionsChanged(permissions, [], world.now);
    world.settle();
    assert.deepEqual(world.events.splice(0), [{ type: 'subscription-revoked', clientId: 'c', filter: 'ok' }]);
    world.end();
  });

  test(`drops: too large for the peer, expired, queue full, session ended, retained full, ${store}`, () => {
    const world = new World({ store, limits: { queueMessagesMax: 2, retainedMessagesMax: 1 } });
    const small = world.connect({
      clientId: 'small',
      cleanStart: false,
      properties: { sessionExpiryInterval: 60, maximumPacketSize: 50 },
    });
    small.send(subscribe(1, { filter: 't', qos: 1 }));
    small.expect(suback(1, 1));
    const pub = world.connect({ clientId: 'pub' });
    world.events.length = 0;
    pub.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, payload: 'x'.repeat(100) }));
    pub.send(publish({ topic: 't', payload: 'x'.repeat(100) }));
    small.expectNothing();
    assert.equal(world.core.metrics.drops.get('packet-too-large'), 2);
    small.drop();
    for (let i = 1; i <= 3; i++) pub.publishWhole(publish({ topic: 't', qos: 1, packetId: i }));
    pub.send(publish({ topic: 't', payload: 'lost: it is away' }));
    pub.send(publish({ topic: 'r1', retain: true, payload: 'x' }));
    // Only a will is delivered without being retained: its publisher cannot be told.
    const will = { topic: 'r2', payload: text('x'), qos: 0, retain: true } as const;
    world.connect({ clientId: 'gone', will }).drop();
    const dropped = () => world.takeEvents('dropped').map(({ clientId, reason }) => `${clientId} ${reason}`);
    assert.deepEqual(dropped(), ['small packet-too-large', 'small queue-full', 'gone retained-full']);
    assert.equal(world.core.metrics.drops.get('offline-qos0'), 1, 'counted, not told');
    world.advance(60_000);
    assert.deepEqual(
      world.takeEvents('session-ended').map(({ clientId, reason, dropped: count }) => [clientId, reason, count]),
      [['small', 'expired', 2]],
    );
    assert.equal(world.core.metrics.drops.get('session-ended'), 2);
    assert.equal(world.core.state.retained.count, 1);
    world.end();
  });
}

test('a flood of one kind is one event an interval with their number, per client and reason', () => {
  const permissions = new Permissions([]);
  const world = new World({ authority: () => ({ outcome: 'accept', principal: null, permissions }) });
  const one = world.connect({ clientId: 'one' });
  const two = world.connect({ clientId: 'two' });
  const counts = () => world.takeEvents('publish-refused').map(({ clientId, count }) => `${clientId} ${count}`);
  for (let i = 0; i < 100; i++) one.send(publish({ topic: 'no' }));
  two.send(publish({ topic: 'no' }));
  assert.deepEqual(counts(), ['one 1', 'two 1']);
  world.advance(9_999);
  assert.deepEqual(counts(), []);
  world.advance(1);
  assert.deepEqual(counts(), ['one 99']);
  // It goes on: still one an interval, and none of them is lost.
  for (let i = 0; i < 7; i++) one.send(publish({ topic: 'no' }));
  two.send(publish({ topic: 'no' }));
  assert.deepEqual(counts(), ['two 1'], 'who had been quiet is told at once');
  world.advance(10_000);
  assert.deepEqual(counts(), ['one 7']);
  world.advance(10_000);
  assert.equal(world.core.deadline(), Number.POSITIVE_INFINITY, 'nothing is left to be told');
  one.send(publish({ topic: 'no' }));
  assert.deepEqual(counts(), ['one 1']);
});

test('commits that fail and recover, and counters beside every event', () => {
  const world = new World({ store: 'failing' });
  world.connect({ clientId: 'a', ...lasting });
  assert.deepEqual(
    world.events.filter(({ type }) => type.startsWith('commit')),
    [
      { type: 'commit-failed', reason: 'the disk is full', attempts: 1 },
      { type: 'commit-recovered', attempts: 1 },
    ],
  );
  assert.equal(world.core.metrics.get(Counter.CommitsFailed), 1);
  assert.equal(world.core.metrics.packetsSent(PacketType.Connack), 1);
});
