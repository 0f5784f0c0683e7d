/** Permissions of a verdict: at CONNECT, at resume, and when a will fires. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { type AuthenticationRequest, Permissions, type Verdict } from '../../src/core/index.ts';
import { announced, connack, disconnect, puback, publish, suback, subscribe } from './packets.ts';
import { storeKinds, text, World } from './world.ts';

const accept = { outcome: 'accept', principal: null } as const;

for (const store of storeKinds) {
  describe(`permissions of a verdict, store: ${store}`, () => {
    test('permissions: what they allow works, what they deny is answered and has no effect', () => {
      const permissions = new Permissions([
        {
          effect: 'deny',
          action: 'subscribe',
          filter: 'own/secret',
          reasonCode: ReasonCode.ImplementationSpecificError,
        },
        { effect: 'allow', action: 'all', filter: 'own/#' },
      ]);
      const authority = ({ clientId }: AuthenticationRequest): Verdict =>
        clientId === 'c' ? { ...accept, permissions } : accept;
      const world = new World({ store, authority });
      const watcher = world.connect({ clientId: 'watcher' });
      watcher.send(subscribe(1, '#'));
      watcher.expect(suback(1, 0));
      const client = world.connect({ clientId: 'c' });
      client.send(publish({ topic: 'own/a', qos: 1, packetId: 1 }), publish({ topic: 'foreign', qos: 1, packetId: 2 }));
      client.expect(puback(1), puback(2, ReasonCode.NotAuthorized));
      watcher.expect(publish({ topic: 'own/a' }));
      client.send(subscribe(2, 'own/+', 'own/secret', '#', 'foreign'));
      client.expect(
        suback(2, 0, ReasonCode.ImplementationSpecificError, ReasonCode.NotAuthorized, ReasonCode.NotAuthorized),
      );
      for (const topic of ['own/a', 'own/secret', 'foreign']) world.publish(topic);
      client.expect(publish({ topic: 'own/a' }));
      watcher.takeAll();
      world.end();
    });

    test('permissions at resume: subscriptions they do not grant are over, and what waited by them is not delivered', () => {
      const wide = new Permissions([{ effect: 'allow', action: 'all', filter: '#' }]);
      const narrow = new Permissions([{ effect: 'allow', action: 'all', filter: 'a/b' }]);
      let permissions = wide;
      const world = new World({ store, authority: () => ({ ...accept, permissions }) });
      const properties = { sessionExpiryInterval: 100 };
      const client = world.connect({ clientId: 'c', properties });
      client.send(subscribe(1, { filter: 'a/#', qos: 1 }, { filter: 'a/b', qos: 1 }));
      client.expect(suback(1, 1, 1));
      world.publish('a/c', 'in flight', { qos: 1 });
      client.expect(publish({ topic: 'a/c', qos: 1, packetId: 1, payload: 'in flight' }));
      client.drop();
      world.publish('a/b', 'allowed', { qos: 1 });
      world.publish('a/c', 'denied', { qos: 1 });
      permissions = narrow;
      const again = world.connect({ clientId: 'c', cleanStart: false, properties });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      again.expect(publish({ topic: 'a/b', qos: 1, packetId: 2, payload: 'allowed' }));
      again.send(puback(2));
      assert.deepEqual(
        world.takeEvents('subscription-revoked').map(({ filter }) => filter),
        ['a/#'],
      );
      world.publish('a/c', 'denied', { qos: 1 });
      world.publish('a/b', 'live', { qos: 1 });
      again.expect(publish({ topic: 'a/b', qos: 1, packetId: 3, payload: 'live' }));
      again.send(puback(3), disconnect());
      // Given back, the right does not bring the subscription back.
      permissions = wide;
      const last = world.connect({ clientId: 'c', cleanStart: false, properties });
      world.publish('a/c', 'denied', { qos: 1 });
      last.expectNothing();
      world.end();
    });

    test('a will passes the permissions at CONNECT', () => {
      const permissions = new Permissions([{ effect: 'allow', action: 'publish', filter: 'own/#' }]);
      const world = new World({ store, authority: () => ({ ...accept, permissions }) });
      const will = { topic: 'foreign', payload: text('w'), qos: 0, retain: false } as const;
      world.connecting({ clientId: 'c', will }).expectRefused(ReasonCode.NotAuthorized);
      world.connecting({ clientId: 'c', version: 4, will }).expectRefused(5);
      world.connect({ clientId: 'c', will: { ...will, topic: 'own/will' } });
      world.end();
    });

    test('a will passes the permissions again when it fires', () => {
      const permissions = new Permissions([{ effect: 'allow', action: 'publish', filter: 'own/#' }]);
      const authority = ({ clientId }: AuthenticationRequest): Verdict =>
        clientId === 'watcher' ? accept : { ...accept, permissions };
      const world = new World({ store, authority });
      const watcher = world.connect({ clientId: 'watcher' });
      watcher.send(subscribe(1, '#'));
      watcher.expect(suback(1, 0));
      const will = { topic: 'own/will', payload: text('w'), qos: 0, retain: true } as const;
      const properties = { sessionExpiryInterval: 100 };
      const now = world.connect({ clientId: 'now', will, properties });
      const delayed = { ...will, properties: { willDelayInterval: 10 } };
      world.connect({ clientId: 'later', will: delayed, properties }).drop();
      world.core.permissionsChanged(permissions, [{ effect: 'allow', action: 'publish', filter: 'other' }], world.now);
      now.drop();
      world.advance(10_000);
      watcher.expectNothing();
      assert.equal(world.takeEvents('will-refused').length, 2);
      watcher.send(subscribe(2, '#'));
      watcher.expect(suback(2, 0));
      world.end();
    });
  });
}
