/** Permissions are one gate: publish, will, subscribe, delivery live and queued, retained, resume; a change counts at once. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProtocolVersion, ReasonCode } from '@pipit/protocol';
import { Permissions, type Rule, type Verdict } from '../../src/core/index.ts';
import { connack, puback, publish, pubrec, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World, type WorldOptions } from './world.ts';

const everything: Rule = { effect: 'allow', action: 'all', filter: '#' };
const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };

/** Clients whose id begins with `r` are under the rules, others may do everything. */
function ruled(rules: readonly Rule[], options: WorldOptions = {}): { world: World; permissions: Permissions } {
  const permissions = new Permissions(rules);
  const authority = ({ clientId }: { clientId: string }): Verdict =>
    clientId.startsWith('r')
      ? { outcome: 'accept', principal: 'r', permissions }
      : { outcome: 'accept', principal: null };
  return { world: new World({ authority, ...options }), permissions };
}

function change(world: World, permissions: Permissions, ...rules: Rule[]): void {
  world.core.permissionsChanged(permissions, rules, world.now);
}

function listen(world: World, filter: string): Client {
  const client = world.connect({ clientId: 'listener' });
  client.send(subscribe(1, { filter, qos: 2 }));
  client.expect(suback(1, 2));
  return client;
}

for (const store of storeKinds) {
  for (const version of [3, 4, 5] satisfies ProtocolVersion[]) {
    test(`publish: the first rule that applies decides, none means no, version ${version}, ${store}`, () => {
      const { world } = ruled(
        [
          { effect: 'deny', action: 'publish', filter: 'a/secret', reasonCode: ReasonCode.QuotaExceeded },
          { effect: 'allow', action: 'publish', filter: 'a/#' },
          { effect: 'deny', action: 'all', filter: 'a/b' },
        ],
        { store },
      );
      const all = listen(world, '#');
      const client = world.connect({ clientId: 'r', version });
      const no = version === 5;
      client.send(publish({ topic: 'a/secret', payload: 'x' }));
      client.expectNothing();
      client.send(publish({ topic: 'a/secret', qos: 1, packetId: 1 }));
      client.expect(puback(1, no ? ReasonCode.QuotaExceeded : 0));
      client.send(publish({ topic: 'elsewhere', qos: 1, packetId: 2 }));
      client.expect(puback(2, no ? ReasonCode.NotAuthorized : 0));
      client.send(publish({ topic: 'elsewhere', qos: 2, packetId: 3 }));
      client.expect(pubrec(3, no ? ReasonCode.NotAuthorized : 0));
      client.send(publish({ topic: 'elsewhere', retain: true, payload: 'x' }));
      all.expectNothing();
      client.send(publish({ topic: 'a/b', qos: 1, packetId: 4 }));
      client.expect(puback(4));
      all.receiveWhole(publish({ topic: 'a/b', qos: 1, packetId: 1 }));
      assert.equal(world.core.state.retained.count, 0);
      world.end();
    });

    test(`the same topic may be allowed at one QoS and not at another, or with RETAIN, version ${version}, ${store}`, () => {
      const { world } = ruled(
        [
          { effect: 'deny', action: 'publish', filter: 'a', retain: true },
          { effect: 'allow', action: 'publish', filter: 'a', qos: [0, 1] },
          { effect: 'allow', action: 'subscribe', filter: 'a', qos: [0, 1] },
        ],
        { store },
      );
      const all = listen(world, '#');
      const client = world.connect({ clientId: 'r', version });
      const code = version === 5 ? ReasonCode.NotAuthorized : 0;
      client.send(publish({ topic: 'a', qos: 1, packetId: 1, payload: 'x' }));
      client.expect(puback(1));
      all.receiveWhole(publish({ topic: 'a', qos: 1, packetId: 1, payload: 'x' }));
      client.send(publish({ topic: 'a', qos: 1, packetId: 2, retain: true, payload: 'x' }));
      client.expect(puback(2, code));
      client.send(publish({ topic: 'a', qos: 2, packetId: 3, payload: 'x' }));
      client.expect(pubrec(3, code));
      client.send(publish({ topic: 'a', payload: 'y' }));
      all.expect(publish({ topic: 'a', payload: 'y' }));
      assert.equal(world.core.state.retained.count, 0);
      client.send(subscribe(4, { filter: 'a', qos: 2 }));
      client.expect(suback(4, 1));
      world.end();
    });

    test(`subscribe: a rule must cover the whole filter, version ${version}, ${store}`, () => {
      const { world } = ruled(
        [
          { effect: 'deny', action: 'subscribe', filter: 'a/x/#', reasonCode: ReasonCode.TopicFilterInvalid },
          { effect: 'allow', action: 'subscribe', filter: 'a/#' },
        ],
        { store },
      );
      const client = world.connect({ clientId: 'r', version });
      const pub = world.connect({ clientId: 'pub' });
      const refused = version === 5 ? ReasonCode.NotAuthorized : version === 4 ? 0x80 : 1;
      const denied = version === 5 ? ReasonCode.TopicFilterInvalid : refused;
      client.send(subscribe(1, { filter: '#', qos: 1 }, { filter: 'a/x/y', qos: 1 }, { filter: 'a/+', qos: 1 }));
      client.expect(suback(1, refused, denied, 1));
      pub.send(publish({ topic: 'b' }), publish({ topic: 'a/x/y' }), publish({ topic: 'a/b' }));
      client.expect(publish({ topic: 'a/b' }));
      // Granted as a whole, one topic below it is still denied [MQTT-3.8.4-8 leaves the gate to the server].
      client.send(subscribe(2, { filter: 'a/#', qos: 1 }));
      client.expect(suback(2, 1));
      pub.send(publish({ topic: 'a/x/y' }), publish({ topic: 'a/b/c' }));
      client.expect(publish({ topic: 'a/b/c' }));
      world.end();
    });
  }

  test(`shared filters are judged without their share name, ${store}`, () => {
    const { world } = ruled([{ effect: 'allow', action: 'all', filter: 'a/#' }], { store });
    const client = world.connect({ clientId: 'r' });
    client.send(subscribe(1, '$share/g/a/b', '$share/g/b'));
    client.expect(suback(1, 0, ReasonCode.NotAuthorized));
    world.connect({ clientId: 'pub' }).send(publish({ topic: 'a/b' }), publish({ topic: 'b' }));
    client.expect(publish({ topic: 'a/b' }));
    world.end();
  });

  test(`a change counts for the very next publish and delivery, then the subscription goes, ${store}`, () => {
    const { world, permissions } = ruled([everything], { store });
    const client = world.connect({ clientId: 'r' });
    const pub = world.connect({ clientId: 'pub' });
    client.send(subscribe(1, { filter: 'a/#', qos: 1 }, { filter: 'b', qos: 1 }, { filter: '$share/g/a/+', qos: 1 }));
    client.expect(suback(1, 1, 1, 1));
    client.publishWhole(publish({ topic: 'p', qos: 1, packetId: 1 }), ReasonCode.NoMatchingSubscribers);
    change(world, permissions, { effect: 'allow', action: 'subscribe', filter: 'b' });
    // No turn has been taken in between: the sweep has not run.
    pub.send(publish({ topic: 'a/1', payload: 'x' }), publish({ topic: 'b', payload: 'y' }));
    client.expect(publish({ topic: 'b', payload: 'y' }));
    client.send(publish({ topic: 'p', qos: 1, packetId: 2 }));
    client.expect(puback(2, ReasonCode.NotAuthorized));
    assert.deepEqual(
      world
        .takeEvents('subscription-revoked')
        .map(({ filter }) => filter)
        .sort(),
      ['a/#', 'a/+'],
    );
    assert.equal(world.core.state.router.count, 1);
    // Given back, the right does not bring the subscription back.
    change(world, permissions, everything);
    pub.send(publish({ topic: 'a/1', payload: 'z' }));
    client.expectNothing();
    client.send(subscribe(2, { filter: 'a/#', qos: 0 }));
    client.expect(suback(2, 0));
    pub.send(publish({ topic: 'a/1', payload: 'z' }));
    client.expect(publish({ topic: 'a/1', payload: 'z' }));
    world.end();
  });

  test(`a subscription that loses its right is sent no more of what is retained, ${store}`, () => {
    const { world, permissions } = ruled([everything], { store });
    const pub = world.connect({ clientId: 'pub' });
    for (let i = 1; i <= 3; i++) {
      const kept = publish({ topic: `a/${i}`, qos: 1, packetId: i, retain: true, payload: 'kept' });
      pub.publishWhole(kept, ReasonCode.NoMatchingSubscribers);
    }
    const client = world.connect({ clientId: 'r', properties: { receiveMaximum: 1 } });
    client.send(subscribe(1, { filter: 'a/#', qos: 1 }));
    client.expect(suback(1, 1), publish({ topic: 'a/1', qos: 1, packetId: 1, retain: true, payload: 'kept' }));
    // Each topic may still be received, but not by this subscription.
    change(world, permissions, { effect: 'allow', action: 'subscribe', filter: 'a/+' });
    world.settle();
    client.send(puback(1));
    client.expectNothing();
    assert.equal(world.core.state.sessions.get('r')?.replays ?? null, null);
    world.end();
  });

  test(`sleeping sessions lose subscriptions and queued messages, ${store}`, () => {
    const { world, permissions } = ruled([everything], { store });
    const client = world.connect({ clientId: 'r', ...lasting });
    client.send(subscribe(1, { filter: 'a', qos: 1 }, { filter: 'b', qos: 1 }));
    client.expect(suback(1, 1, 1));
    client.drop();
    const pub = world.connect({ clientId: 'pub' });
    pub.publishWhole(publish({ topic: 'a', qos: 1, packetId: 1, payload: '1' }));
    pub.publishWhole(publish({ topic: 'b', qos: 1, packetId: 2, payload: '2' }));
    pub.publishWhole(publish({ topic: 'a', qos: 1, packetId: 3, payload: '3' }));
    change(world, permissions, { effect: 'allow', action: 'subscribe', filter: 'b' });
    world.settle();
    assert.deepEqual(
      world.takeEvents('subscription-revoked').map(({ filter }) => filter),
      ['a'],
    );
    assert.equal(world.core.metrics.drops.get('not-authorized'), 2);
    change(world, permissions, everything);
    world.settle();
    const again = world.connect({ clientId: 'r', ...lasting });
    again.receiveWhole(publish({ topic: 'b', qos: 1, packetId: 1, payload: '2' }));
    pub.publishWhole(publish({ topic: 'a', qos: 1, packetId: 4 }), ReasonCode.NoMatchingSubscribers);
    world.end();
    if (store === 'none') return;
    const next = new World({ store, after: world });
    const resumed = next.connecting({ clientId: 'r', ...lasting });
    // The principal is not the same here: the session is somebody else's.
    resumed.expectClosed(
      connack({
        reasonCode: ReasonCode.ClientIdentifierNotValid,
        properties: { reasonString: 'the client id belongs to somebody else' },
      }),
    );
    assert.deepEqual([...next.core.state.router.subscriptionsOf(next.core.state.sessions.get('r') as never)].length, 1);
  });

  test(`what is in flight is not sent again without the right; what was released still ends, ${store}`, () => {
    const { world, permissions } = ruled([everything], { store });
    const client = world.connect({ clientId: 'r', ...lasting });
    client.send(subscribe(1, { filter: 'a', qos: 2 }));
    client.expect(suback(1, 2));
    const pub = world.connect({ clientId: 'pub' });
    for (const packetId of [1, 2, 3]) pub.publishWhole(publish({ topic: 'a', qos: packetId === 3 ? 1 : 2, packetId }));
    assert.equal(client.takeAll().length, 3);
    client.send(pubrec(1));
    assert.equal(client.takeAll().length, 1);
    client.drop();
    change(world, permissions);
    const again = world.connect({ clientId: 'r', ...lasting });
    assert.deepEqual(
      again.takeAll().map((packet) => 'packetId' in packet && packet.packetId),
      [1],
    );
    assert.equal(world.core.metrics.drops.get('not-authorized'), 2);
    again.send({ type: 7, packetId: 1, reasonCode: 0 });
    assert.equal(world.core.state.sessions.get('r')?.window?.inUse, 0);
    world.end();
  });

  test(`retained messages pass the gate one by one, ${store}`, () => {
    const { world } = ruled(
      [
        { effect: 'deny', action: 'subscribe', filter: 's/2' },
        { effect: 'allow', action: 'subscribe', filter: 's/#' },
      ],
      { store },
    );
    const pub = world.connect({ clientId: 'pub' });
    for (const i of [1, 2, 3]) pub.send(publish({ topic: `s/${i}`, retain: true, payload: String(i) }));
    const client = world.connect({ clientId: 'r' });
    client.send(subscribe(1, 's/#'));
    client.expect(
      suback(1, 0),
      publish({ topic: 's/1', retain: true, payload: '1' }),
      publish({ topic: 's/3', retain: true, payload: '3' }),
    );
    world.end();
  });

  test(`a replay under way stops when the right goes, ${store}`, () => {
    const { world, permissions } = ruled([everything], { store });
    const pub = world.connect({ clientId: 'pub' });
    for (const i of [1, 2, 3])
      pub.publishWhole(publish({ topic: `s/${i}`, qos: 1, packetId: i, retain: true, payload: '.' }), 0x10);
    const client = world.connect({ clientId: 'r', properties: { receiveMaximum: 1 } });
    client.send(subscribe(1, { filter: 's/#', qos: 1 }));
    client.expect(suback(1, 1), publish({ topic: 's/1', qos: 1, packetId: 1, retain: true, payload: '.' }));
    change(world, permissions);
    client.send(puback(1));
    client.expectNothing();
    world.end();
  });

  test(`the will passes the gate at CONNECT and when it fires, ${store}`, () => {
    const { world, permissions } = ruled([{ effect: 'allow', action: 'publish', filter: 'w' }], { store });
    const all = listen(world, '#');
    const will = (topic: string) => ({ topic, payload: new Uint8Array(), qos: 1, retain: false }) as const;
    const refused = world.connecting({ clientId: 'r1', will: will('x') });
    assert.equal((refused.take() as { reasonCode: number }).reasonCode, ReasonCode.NotAuthorized);
    refused.expectClosed();
    const one = world.connect({ clientId: 'r2', will: will('w') });
    const two = world.connect({ clientId: 'r3', will: will('w') });
    one.drop();
    all.receiveWhole(publish({ topic: 'w', qos: 1, packetId: 1 }));
    change(world, permissions);
    two.drop();
    all.expectNothing();
    assert.deepEqual(world.takeEvents('will-refused'), [{ type: 'will-refused', clientId: 'r3', topic: 'w' }]);
    world.end();
  });
}

test('the sweep goes in steps under the budget, and others are served meanwhile', () => {
  const { world, permissions } = ruled([everything], { limits: { turnDeliveriesMax: 4 } });
  const clients = Array.from({ length: 20 }, (_, i) => {
    const client = world.connect({ clientId: `r${i}` });
    client.send(subscribe(1, 'a', 'b'));
    client.expect(suback(1, 0, 0));
    return client;
  });
  change(world, permissions, { effect: 'allow', action: 'subscribe', filter: 'b' });
  world.turn();
  const afterOne = world.core.state.router.count;
  assert.ok(afterOne < 40 && afterOne > 20, `some are gone after one turn, not all: ${afterOne}`);
  assert.ok(world.core.deadline() <= world.now, 'more is to be done now');
  world.settle();
  assert.equal(world.core.state.router.count, 20);
  world.connect({ clientId: 'pub' }).send(publish({ topic: 'a' }), publish({ topic: 'b' }));
  for (const client of clients) client.expect(publish({ topic: 'b' }));
  world.end();
});
