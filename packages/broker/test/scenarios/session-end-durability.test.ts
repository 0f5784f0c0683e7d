/** A CONNACK that says there is no session waits until the end of the one before is on the disk. */

import { describe, test } from 'node:test';
import { connack } from './packets.ts';
import { World } from './world.ts';

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
