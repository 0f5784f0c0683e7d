/** A shared message stays with the member that leaves when nobody else can take it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Permissions } from '../../src/core/index.ts';
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
  });
}
