/** Will Delay Interval: a will is due at min(connection closed + delay, session end), unless the session is resumed before. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConnectPacket } from '@pipit/protocol';
import { announced, connack, disconnect, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, text, World, type WorldOptions } from './world.ts';

const willCame = publish({ topic: 'gone', payload: 'w' });

function watched(options: WorldOptions): { world: World; watcher: Client } {
  const world = new World(options);
  const watcher = world.connect({ clientId: 'watcher' });
  watcher.send(subscribe(1, 'gone'));
  watcher.expect(suback(1, 0));
  return { world, watcher };
}

/** CONNECT of `c` with a will that waits `delay` seconds, in a session that lasts `expiry` seconds. */
function withDelay(delay: number, expiry: number): Partial<ConnectPacket> & { clientId: string } {
  const properties = { willDelayInterval: delay };
  return {
    clientId: 'c',
    properties: { sessionExpiryInterval: expiry },
    will: { topic: 'gone', payload: text('w'), qos: 0, retain: false, properties },
  };
}

for (const store of storeKinds) {
  describe(`will delay, store: ${store}`, () => {
    for (const [delay, expiry, dueMs] of [
      [10, 100, 10_000],
      [10, 10, 10_000],
      [100, 10, 10_000],
      [0xffff_ffff, 10, 10_000],
      [10, 0xffff_ffff, 10_000],
    ] as const) {
      test(`[MQTT-3.1.2-8] delay ${delay} s, expiry ${expiry} s: due ${dueMs / 1_000} s after the end, not before`, () => {
        const { world, watcher } = watched({ store });
        const client = world.connect(withDelay(delay, expiry));
        world.advance(5_000_000);
        const closedAt = world.now;
        client.drop();
        world.advance(closedAt + dueMs - 1 - world.now); // A failing store took some of the time already.
        watcher.expectNothing();
        world.advance(1);
        watcher.expect(willCame);
        world.advance(10_000_000);
        watcher.expectNothing();
        world.end();
      });
    }

    test('delay without a session that lasts: published at once', () => {
      const { world, watcher } = watched({ store });
      world.connect(withDelay(100, 0)).drop();
      watcher.expect(willCame);
      world.end();
    });

    test('[MQTT-3.1.3-9] cancelled when the session is resumed before; the new connection has its own will or none', () => {
      const { world, watcher } = watched({ store });
      world.connect(withDelay(10, 100)).drop();
      world.advance(9_000);
      const again = world.connect({ clientId: 'c', cleanStart: false, properties: { sessionExpiryInterval: 100 } });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      assert.equal(world.takeEvents('will-cancelled').length, 1);
      again.drop();
      world.advance(1_000_000);
      watcher.expectNothing();
      world.end();
    });

    test('the will of the connection that resumed replaces the one that waited', () => {
      const { world, watcher } = watched({ store });
      world.connect(withDelay(10, 100)).drop();
      world.advance(5_000);
      const other = { topic: 'gone', payload: text('other'), qos: 0, retain: false } as const;
      const again = world.connect({ ...withDelay(10, 100), cleanStart: false, will: other });
      world.advance(50_000);
      watcher.expectNothing();
      again.drop();
      watcher.expect(publish({ topic: 'gone', payload: 'other' }));
      world.advance(1_000_000);
      watcher.expectNothing();
      world.end();
    });

    test('Clean Start within the delay ends the session: published at once', () => {
      const { world, watcher } = watched({ store });
      world.connect(withDelay(10, 100)).drop();
      world.advance(5_000);
      watcher.expectNothing();
      const fresh = world.connect({ clientId: 'c', cleanStart: true });
      assert.deepEqual(fresh.connack, connack({ properties: announced }));
      watcher.expect(willCame);
      world.advance(1_000_000);
      watcher.expectNothing();
      world.end();
    });

    test('an attempt to reconnect that is refused cancels nothing', () => {
      const refuse = { outcome: 'refuse', reasonCode: 0x87 } as const;
      const accept = { outcome: 'accept', principal: null } as const;
      const { world, watcher } = watched({
        store,
        authority: ({ username }) => (username === 'bad' ? refuse : accept),
      });
      world.connect(withDelay(10, 100)).drop();
      for (const cleanStart of [true, false]) {
        world.connecting({ clientId: 'c', cleanStart, username: 'bad' }).expectRefused(0x87);
      }
      watcher.expectNothing();
      world.advance(10_000);
      watcher.expect(willCame);
      world.end();
    });

    test('DISCONNECT 0x04 keeps the delay; DISCONNECT with a shorter expiry brings the will forward', () => {
      const { world, watcher } = watched({ store });
      const first = world.connect(withDelay(10, 100));
      first.send(disconnect(0x04));
      world.advance(9_000);
      watcher.expectNothing();
      world.advance(1_000);
      watcher.expect(willCame);

      const second = world.connect(withDelay(10, 100));
      second.send(disconnect(0x04, { sessionExpiryInterval: 2 }));
      world.advance(1_000);
      watcher.expectNothing();
      world.advance(1_000);
      watcher.expect(willCame);

      const third = world.connect(withDelay(10, 100));
      third.send(disconnect(0x04, { sessionExpiryInterval: 0 }));
      watcher.expect(willCame);
      world.end();
    });

    test('DISCONNECT 0x00 deletes a delayed will, also with a new expiry', () => {
      const { world, watcher } = watched({ store });
      world.connect(withDelay(10, 100)).send(disconnect(0));
      world.connect(withDelay(10, 100)).send(disconnect(0, { sessionExpiryInterval: 0 }));
      world.advance(1_000_000);
      watcher.expectNothing();
      world.end();
    });

    test('keep alive runs out, then the delay', () => {
      const { world, watcher } = watched({ store });
      const client = world.connect({ ...withDelay(10, 100), keepAlive: 10 });
      world.advance(15_000);
      client.expectDisconnected(0x8d);
      watcher.expectNothing();
      world.advance(10_000);
      watcher.expect(willCame);
      world.end();
    });

    test('the cap on session expiry caps the delay', () => {
      const { world, watcher } = watched({ store, limits: { sessionExpiryMax: 5 } });
      world.connect(withDelay(100, 100)).drop();
      world.advance(4_000);
      watcher.expectNothing();
      world.advance(1_000);
      watcher.expect(willCame);
      world.end();
    });

    test('a delayed will is retained only when it is published', () => {
      const { world } = watched({ store });
      const packet = withDelay(10, 100);
      const will = { ...(packet.will as NonNullable<ConnectPacket['will']>), topic: 'state', retain: true };
      world.connect({ ...packet, will }).drop();
      const late = world.connect({ clientId: 'late' });
      late.send(subscribe(1, 'state'));
      late.expect(suback(1, 0));
      world.advance(10_000);
      late.expect(publish({ topic: 'state', payload: 'w' }));
      late.send(subscribe(2, 'state'));
      late.expect(suback(2, 0), publish({ topic: 'state', payload: 'w', retain: true }));
      world.end();
    });
  });
}
