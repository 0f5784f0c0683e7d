/** Wills and restarts: durable from CONNACK on; after a crash every connection counts as closed at the start. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConnectPacket } from '@pipit/protocol';
import type { Limits } from '../../src/core/index.ts';
import { announced, connack, disconnect, puback, publish, suback, subscribe } from './packets.ts';
import { type StoreKind, storeKinds, text, World } from './world.ts';

const lasting = { sessionExpiryInterval: 1_000 };
const willCame = (packetId: number, payload = 'w') => publish({ topic: 'gone', qos: 1, packetId, payload });

/** A world with a session that keeps every will, away. */
function keeping(store: StoreKind, limits: Partial<Limits> = {}): World {
  const world = new World({ store, limits });
  const keeper = world.connect({ clientId: 'keeper', properties: lasting });
  keeper.send(subscribe(1, { filter: 'gone', qos: 1 }));
  keeper.expect(suback(1, 1));
  keeper.send(disconnect());
  return world;
}

/** The wills that the keeper finds, in order, all acknowledged. */
function expectKept(world: World, payloads: readonly string[], from = 1): void {
  const keeper = world.connect({ clientId: 'keeper', cleanStart: false, properties: lasting });
  keeper.expect(...payloads.map((payload, i) => willCame(from + i, payload)));
  keeper.send(...payloads.map((_, i) => puback(from + i)), disconnect());
}

function withWill(delay: number, expiry: number): Partial<ConnectPacket> & { clientId: string } {
  const properties = { willDelayInterval: delay };
  return {
    clientId: 'c',
    properties: { sessionExpiryInterval: expiry },
    will: { topic: 'gone', payload: text('w'), qos: 1, retain: false, properties },
  };
}

for (const store of storeKinds.filter((kind) => kind !== 'none')) {
  describe(`wills over a restart, store: ${store}`, () => {
    test('a crash closes every connection: wills without a delay are published at the start, also of clean sessions', () => {
      const plain = { topic: 'gone', payload: text('w'), qos: 1, retain: false } as const;
      const v4 = { clientId: 'c', version: 4, will: plain } as const;
      for (const connect of [withWill(0, 0), withWill(0, 100), withWill(10, 0), v4, { ...v4, cleanStart: false }]) {
        const before = keeping(store);
        before.connect(connect);
        const after = new World({ store, after: before });
        expectKept(after, ['w']);
        assert.equal(after.takeEvents('will-published').length, 1);
        // Once: another crash finds nothing left to publish.
        const later = new World({ store, after });
        expectKept(later, []);
        later.end();
      }
    });

    test('a delayed will runs from the start, and is due then', () => {
      const before = keeping(store);
      before.connect(withWill(10, 100));
      const after = new World({ store, after: before, downtimeMs: 60_000 });
      after.advance(9_000);
      expectKept(after, []);
      after.advance(1_000);
      expectKept(after, ['w']);
      after.end();
    });

    test('a connection that had ended before the crash: its delay goes on through the downtime', () => {
      for (const [downtimeMs, isDue] of [
        [5_000, false],
        [60_000, true],
      ] as const) {
        const before = keeping(store);
        before.connect(withWill(10, 100)).drop();
        const after = new World({ store, after: before, downtimeMs });
        expectKept(after, isDue ? ['w'] : []);
        after.advance(10_000);
        expectKept(after, isDue ? [] : ['w']);
        after.end();
      }
    });

    test('[MQTT-3.1.3-9] resumed after the restart and before the delay: not published', () => {
      const before = keeping(store);
      before.connect(withWill(10, 100));
      const after = new World({ store, after: before });
      const client = after.connect({ clientId: 'c', cleanStart: false, properties: lasting });
      assert.deepEqual(client.connack, connack({ sessionPresent: true, properties: announced }));
      after.advance(100_000);
      expectKept(after, []);
      client.drop();
      const later = new World({ store, after });
      expectKept(later, []);
      later.end();
    });

    test('[MQTT-3.1.2-10] left by DISCONNECT 0x00 before the crash: no will after it', () => {
      const before = keeping(store);
      for (const expiry of [0, 100]) before.connect(withWill(0, expiry)).send(disconnect());
      const after = new World({ store, after: before, downtimeMs: 200_000 });
      after.advance(1_000_000 - 200_000 - 10_000);
      expectKept(after, []);
      after.end();
    });

    test('a session that expired while the broker was down publishes its will at the start', () => {
      const before = keeping(store);
      before.connect(withWill(1_000, 50)).drop();
      const after = new World({ store, after: before, downtimeMs: 60_000 });
      expectKept(after, ['w']);
      const client = after.connect({ clientId: 'c', cleanStart: false });
      assert.deepEqual(client.connack, connack({ properties: announced }));
      after.end();
    });

    test('a session that expired while the broker was down has no part in the wills of the start', () => {
      const limits = { queueMessagesTotalMax: 6 };
      const before = keeping(store, limits);
      // Together they keep all but one of what may wait.
      for (const clientId of ['old', 'older']) {
        const client = before.connect({ clientId, properties: { sessionExpiryInterval: 10 } });
        client.send(subscribe(1, { filter: 'gone', qos: 1 }, { filter: clientId, qos: 1 }));
        client.expect(suback(1, 1, 1));
        client.send(disconnect());
      }
      const publisher = before.connect({ clientId: 'publisher' });
      for (const topic of ['old', 'old', 'old', 'older', 'older']) {
        publisher.send(publish({ topic, qos: 1, packetId: 1 }));
        publisher.expect(puback(1));
      }
      for (const clientId of ['c', 'd']) before.connect({ ...withWill(0, 0), clientId });
      const after = new World({ store, after: before, limits, downtimeMs: 60_000 });
      assert.deepEqual(after.takeEvents('dropped'), []);
      expectKept(after, ['w', 'w']);
      after.end();
    });

    test('a graceful stop publishes what has no delay before the store closes; the rest waits for its time', () => {
      const before = keeping(store);
      before.connect({ ...withWill(0, 100), clientId: 'now' });
      const later = withWill(10, 100);
      before.connect({
        ...later,
        will: { ...(later.will as NonNullable<ConnectPacket['will']>), payload: text('later') },
      });
      before.core.stop(before.now);
      before.settle();
      assert.equal(before.takeEvents('will-published').length, 1);
      const after = new World({ store, after: before });
      expectKept(after, ['w']);
      assert.equal(after.takeEvents('will-published').length, 0);
      after.advance(10_000);
      expectKept(after, ['later'], 2);
      after.end();
    });

    test('a retained will with properties and an expiry of its own arrives as it was meant', () => {
      const before = keeping(store);
      const properties = { contentType: 'x', messageExpiryInterval: 30, willDelayInterval: 5 };
      const will = { topic: 'state', payload: text('w'), qos: 1, retain: true, properties } as const;
      before.connect({ ...withWill(5, 100), will });
      const after = new World({ store, after: before, downtimeMs: 50_000 });
      after.advance(5_000);
      const seen = publish({
        topic: 'state',
        retain: true,
        payload: 'w',
        properties: { contentType: 'x', messageExpiryInterval: 20 },
      });
      after.advance(10_000);
      const late = after.connect({ clientId: 'late' });
      late.send(subscribe(1, 'state'));
      late.expect(suback(1, 0), seen);
      after.advance(20_000);
      late.send(subscribe(2, 'state'));
      late.expect(suback(2, 0));
      after.end();
    });

    test('a CONNECT whose CONNACK never left has no will', () => {
      const before = keeping(store);
      assert.ok(before.store);
      before.store.isStalled = true;
      before.connecting(withWill(0, 100)).expectNothing();
      before.store.isStalled = false;
      const after = new World({ store, after: before });
      expectKept(after, []);
      after.end();
    });
  });
}
