/** Clean Session, Clean Start, Session Expiry and Session Present: which state lives how long. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConnectPacket } from '@pipit/protocol';
import { Counter } from '../../src/core/index.ts';
import { announced, connack, disconnect, puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const week = 7 * 24 * 3_600;

/** Connects `c`, subscribes it to `t`, and leaves without DISCONNECT. */
function leaveSession(world: World, connect: Partial<ConnectPacket>): void {
  const client = world.connect({ clientId: 'c', ...connect });
  client.send(subscribe(1, { filter: 't', qos: 1 }));
  client.expect(suback(1, 1));
  client.drop();
}

/** Connects `c` again and says whether its session was there: by CONNACK, by the subscription, by what waited. */
function comesBack(world: World, connect: Partial<ConnectPacket>, wasKept: boolean, version = 5): Client {
  world.publish('t', 'meanwhile', { qos: 1 });
  const client = world.connect({ clientId: 'c', cleanStart: false, ...connect });
  const sessionPresent = wasKept && version > 3;
  assert.deepEqual(client.connack, connack({ sessionPresent, ...(version === 5 ? { properties: announced } : {}) }));
  if (wasKept) {
    client.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: 'meanwhile' }));
    client.send(puback(1));
  }
  world.publish('t', 'live', { qos: 1 });
  if (wasKept) {
    client.expect(publish({ topic: 't', qos: 1, packetId: 2, payload: 'live' }));
    client.send(puback(2));
  }
  client.expectNothing();
  return client;
}

for (const store of storeKinds) {
  describe(`sessions, store: ${store}`, () => {
    test('[MQTT-3.1.2-6] [MQTT-3.2.2-3] [MQTT3-3.2.2-3] without a session Clean Start 0 makes one, and Session Present is 0', () => {
      const world = new World({ store });
      for (const version of [3, 4, 5] as const) {
        const client = world.connect({ clientId: `c${version}`, version, cleanStart: false });
        assert.deepEqual(client.connack, connack(version === 5 ? { properties: announced } : {}));
      }
      world.end();
    });

    test('[MQTT-3.1.2-5] [MQTT-3.2.2-3] an empty session is a session too', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 10 };
      world.connect({ clientId: 'c', properties }).send(disconnect());
      const again = world.connect({ clientId: 'c', cleanStart: false, properties });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      world.end();
    });

    for (const version of [3, 4] as const) {
      test(`[MQTT3-3.1.2-4] [MQTT3-3.1.2-5] [MQTT3-3.2.2-2] [MQTT3-4.1.0-1] Clean Session 0 keeps the session, with what was missed, version ${version}`, () => {
        const world = new World({ store });
        leaveSession(world, { version, cleanStart: false });
        world.advance((week - 1) * 1_000);
        comesBack(world, { version }, true, version);
        world.end();
      });

      test(`[MQTT3-3.1.2-6] [MQTT3-3.2.2-1] [MQTT3-3.1.4-3] Clean Session 1 throws an old session away and leaves none, version ${version}`, () => {
        const world = new World({ store });
        leaveSession(world, { version, cleanStart: false });
        world.publish('t', 'missed', { qos: 1 });
        const clean = world.connect({ clientId: 'c', version, cleanStart: true });
        assert.deepEqual(clean.connack, connack());
        world.publish('t', 'x', { qos: 1 });
        clean.expectNothing();
        clean.send(subscribe(1, 't'));
        clean.expect(suback(1, 0));
        clean.drop();
        assert.equal(world.core.state.sessions.size, 0);
        comesBack(world, { version }, false, version);
        world.end();
      });

      test(`a session of 3.x lives as long as the cap lets it, version ${version}`, () => {
        const world = new World({ store, limits: { sessionExpiryMax: 60 } });
        leaveSession(world, { version, cleanStart: false });
        world.advance(59_000);
        assert.equal(world.core.state.sessions.size, 1);
        world.advance(1_000);
        assert.equal(world.core.state.sessions.size, 0);
        comesBack(world, { version }, false, version);
        world.end();
      });
    }

    test('[MQTT-3.1.2-23] [MQTT-4.1.0-2] a session lives through its expiry and not beyond', () => {
      for (const [afterMs, isKept] of [
        [9_000, true],
        [10_000, false],
      ] as const) {
        const world = new World({ store });
        const properties = { sessionExpiryInterval: 10 };
        leaveSession(world, { properties });
        world.advance(afterMs);
        comesBack(world, { properties }, isKept);
        world.end();
      }
    });

    test('an expiry of 0, or none, ends the session with its connection', () => {
      const world = new World({ store });
      for (const properties of [{}, { sessionExpiryInterval: 0 }]) {
        leaveSession(world, { properties, cleanStart: false });
        assert.equal(world.core.state.sessions.size, 0);
        comesBack(world, { properties }, false).send(disconnect());
      }
      world.end();
    });

    test('0xFFFFFFFF is for ever where the cap allows it, and the cap where not', () => {
      const properties = { sessionExpiryInterval: 0xffff_ffff };
      const free = new World({ store, limits: { sessionExpiryMax: 0xffff_ffff } });
      leaveSession(free, { properties });
      free.advance(50 * 365 * 24 * 3_600_000);
      comesBack(free, { properties }, true);
      free.end();

      const capped = new World({ store, limits: { sessionExpiryMax: 10 } });
      const client = capped.connect({ clientId: 'c', properties });
      assert.deepEqual(client.connack, connack({ properties: { ...announced, sessionExpiryInterval: 10 } }));
      client.drop();
      capped.advance(10_000);
      assert.equal(capped.core.state.sessions.size, 0);
      capped.end();
    });

    test('[MQTT-4.1.0-1] [MQTT3-4.1.0-2] while the connection is open the session does not expire', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', properties: { sessionExpiryInterval: 1 } });
      client.send(subscribe(1, 't'));
      client.expect(suback(1, 0));
      world.advance(1_000_000);
      world.publish('t', 'x');
      client.expect(publish({ topic: 't', payload: 'x' }));
      world.end();
    });

    test('the expiry of the last connection counts, longer, shorter or none', () => {
      const world = new World({ store });
      leaveSession(world, { properties: { sessionExpiryInterval: 10 } });
      world.advance(5_000);
      comesBack(world, { properties: { sessionExpiryInterval: 100 } }, true).drop();
      world.advance(99_000);
      assert.equal(world.core.state.sessions.size, 1);
      // What the new connection does not ask for ends with it.
      const last = world.connect({ clientId: 'c', cleanStart: false });
      assert.deepEqual(last.connack, connack({ sessionPresent: true, properties: announced }));
      last.drop();
      assert.equal(world.core.state.sessions.size, 0);
      comesBack(world, {}, false);
      world.end();
    });

    test('a session resumed with an expiry of 0 still gets everything that waited, however little of it was in memory', () => {
      const world = new World({ store, limits: { queuePrefixMessages: 2 } });
      leaveSession(world, { properties: { sessionExpiryInterval: 10 } });
      for (let i = 1; i <= 10; i++) world.publish('t', `${i}`, { qos: 1 });
      const last = world.connect({ clientId: 'c', cleanStart: false, properties: { receiveMaximum: 1 } });
      assert.deepEqual(last.connack, connack({ sessionPresent: true, properties: announced }));
      const came = (i: number) => publish({ topic: 't', qos: 1, packetId: i, payload: `${i}` });
      for (let i = 1; i <= 5; i++) {
        last.expect(came(i));
        world.publish('t', `${i + 10}`, { qos: 1 }); // The line goes on behind what waits.
        last.send(puback(i));
      }
      for (let i = 6; i <= 15; i++) {
        last.expect(came(i));
        last.send(puback(i));
      }
      world.end();
    });

    test('[MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] Clean Start 1 begins anew: no subscription, nothing that waited', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 100 };
      leaveSession(world, { properties });
      comesBack(world, { properties, cleanStart: true }, false).drop();
      // And what it began is a session of its own.
      const again = world.connect({ clientId: 'c', cleanStart: false, properties });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      world.end();
    });

    test('a session moves between versions', () => {
      const world = new World({ store });
      leaveSession(world, { properties: { sessionExpiryInterval: 100 } });
      comesBack(world, { version: 4 }, true, 4).drop();
      world.publish('t', 'later', { qos: 1 });
      const old = world.connect({ clientId: 'c', version: 3, cleanStart: false });
      assert.deepEqual(old.connack, connack());
      old.expect(publish({ topic: 't', qos: 1, packetId: 3, payload: 'later' }));
      old.drop();
      const v5 = world.connect({ clientId: 'c', cleanStart: false, properties: { sessionExpiryInterval: 100 } });
      v5.expect(publish({ topic: 't', qos: 1, packetId: 3, payload: 'later', dup: true }));
      v5.send(puback(3));
      world.end();
    });

    test('[MQTT3-3.1.2-7] retained messages are not part of a session', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', version: 4 });
      client.send(publish({ topic: 't', retain: true, payload: 'r' }));
      client.send(disconnect());
      world.connect({ clientId: 'c', version: 4 }).drop();
      const other = world.connect({ clientId: 'd' });
      other.send(subscribe(1, 't'));
      other.expect(suback(1, 0), publish({ topic: 't', retain: true, payload: 'r' }));
      world.end();
    });

    test('[MQTT-3.2.2-6] [MQTT3-3.2.2-4] a refusal never says that a session is present', () => {
      const refuse = { outcome: 'refuse', reasonCode: 0x87 } as const;
      const accept = { outcome: 'accept', principal: null } as const;
      const world = new World({ store, authority: ({ username }) => (username === 'bad' ? refuse : accept) });
      leaveSession(world, { version: 4, cleanStart: false });
      for (const version of [4, 5] as const) {
        const client = world.connecting({ clientId: 'c', version, cleanStart: false, username: 'bad' });
        const packet = client.take('CONNACK');
        assert.equal('sessionPresent' in packet && packet.sessionPresent, false);
        assert.equal(client.isClosed, true);
      }
      comesBack(world, { version: 4 }, true, 4);
      world.end();
    });

    test('sessions end with an event: how long nobody came for them, and how much they still had', () => {
      const world = new World({ store });
      leaveSession(world, { properties: { sessionExpiryInterval: 10 } });
      for (let i = 0; i < 3; i++) world.publish('t', 'x', { qos: 1 });
      world.advance(10_000);
      // Topic with its length, payload, and 128 for each.
      const bytes = 3 * (3 + 1 + 128);
      const [ended, ...rest] = world.takeEvents('session-ended');
      assert.deepEqual(rest, []);
      assert.ok(ended !== undefined && ended.awayMs >= 10_000 && ended.awayMs < 11_000, `away ${ended?.awayMs} ms`);
      assert.deepEqual(
        { ...ended, awayMs: 0 },
        { type: 'session-ended', clientId: 'c', reason: 'expired', awayMs: 0, dropped: 3, bytes },
      );
      assert.deepEqual(
        [world.core.metrics.drops.get('session-ended'), world.core.metrics.get(Counter.EndedBytes)],
        [3, bytes],
      );
      world.end();
    });
  });
}
