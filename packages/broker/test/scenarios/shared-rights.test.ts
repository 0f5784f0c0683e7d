/** A shared message stays with the member that leaves when nobody else can take it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { Permissions, type Rule, type Verdict } from '../../src/core/index.ts';
import { puback, publish, suback, subscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

const filter = '$share/g/+';
const lasting = { properties: { sessionExpiryInterval: 1000 } } as const;
const message = publish({ topic: 't', qos: 1, packetId: 1, payload: 'kept' });

for (const store of storeKinds) {
  describe(`shared messages and rights, store: ${store}`, () => {
    test('the only other member online may not receive it: it waits for the one that was given it', () => {
      const denied = new Permissions([
        { effect: 'deny', action: 'subscribe', filter: 't' },
        { effect: 'allow', action: 'all', filter: '#' },
      ]);
      const world = new World({
        store,
        authority: ({ clientId }) => ({
          outcome: 'accept',
          principal: null,
          ...(clientId === 'barred' ? { permissions: denied } : {}),
        }),
      });
      const barred = world.connect({ clientId: 'barred' });
      const first = world.connect({ clientId: 'first', ...lasting });
      for (const client of [barred, first]) {
        client.send(subscribe(1, { filter, qos: 1 }));
        client.expect(suback(1, 1));
      }
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(message);
      publisher.expect(puback(1));
      first.expect(message);
      first.drop();
      barred.expectNothing();
      const again = world.connect({ clientId: 'first', cleanStart: false, ...lasting });
      again.expect({ ...message, dup: true });
      again.send(puback(1));
      world.end();
    });

    test('its session ends and the only other member gets QoS 0: told as lost with the session, no right is in question', () => {
      const world = new World({ store });
      const other = world.connect({ clientId: 'other', ...lasting });
      const first = world.connect({ clientId: 'first', ...lasting });
      other.send(subscribe(1, { filter, qos: 0 }));
      other.expect(suback(1, 0));
      other.drop();
      first.send(subscribe(1, { filter, qos: 1 }));
      first.expect(suback(1, 1));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(message);
      publisher.expect(puback(1));
      first.expect(message);
      first.drop();
      world.connect({ clientId: 'first' });
      assert.deepEqual(world.takeEvents('dropped'), []);
      const ended = world.takeEvents('session-ended').map(({ reason, dropped }) => ({ reason, dropped }));
      assert.deepEqual(ended, [{ reason: 'clean-start', dropped: 1 }]);
      world.end();
    });

    test('a right by share name alone: what is shared is delivered, live, queued and after a restart, and nothing else', () => {
      const rules: Rule[] = [
        { effect: 'deny', action: 'subscribe', filter: '$share/g/jobs/secret' },
        { effect: 'allow', action: 'subscribe', filter: '$share/g/jobs/#' },
      ];
      // Kept with the session: they count before the client is back.
      const permissions = new Permissions(rules, {}, { isOwn: true });
      const authority = ({ clientId }: { clientId: string }): Verdict => ({
        outcome: 'accept',
        principal: null,
        ...(clientId === 'worker' && {
          permissions: permissions.for({ name: '', groups: [], values: {}, via: 'open' }),
        }),
      });
      const world = new World({ store, authority });
      const worker = world.connect({ clientId: 'worker', ...lasting });
      const none = ReasonCode.NotAuthorized;
      const asked = ['$share/g/jobs/#', '$share/h/jobs/#', 'jobs/#', '$share/g/jobs/secret'];
      worker.send(subscribe(1, ...asked.map((each) => ({ filter: each, qos: 1 as const }))));
      worker.expect(suback(1, 1, none, none, none));
      world.publish('jobs/1', 'live', { qos: 1 });
      world.publish('jobs/secret', 'denied', { qos: 1 });
      worker.receiveWhole(publish({ topic: 'jobs/1', qos: 1, packetId: 1, payload: 'live' }));
      worker.drop();
      world.publish('jobs/2', 'queued', { qos: 1 });
      world.core.permissionsChanged(permissions, rules, world.now);
      world.settle();
      const after = store === 'none' ? world : new World({ store, after: world, authority });
      const again = after.connect({ clientId: 'worker', cleanStart: false, ...lasting });
      again.receiveWhole(publish({ topic: 'jobs/2', qos: 1, packetId: store === 'none' ? 2 : 1, payload: 'queued' }));
      assert.equal(after.core.inspect(after.now).mayReceive('worker', 'jobs/2')?.reasonCode, 0);
      assert.equal(after.core.inspect(after.now).mayReceive('worker', 'jobs/secret')?.reasonCode, none);
      after.core.permissionsChanged(again.connection.session?.permissions as Permissions, [], after.now);
      after.settle();
      after.publish('jobs/3', 'too late', { qos: 1 });
      again.expectNothing();
    });
  });
}
