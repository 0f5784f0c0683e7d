/** How long a socket may stay without CONNECT, and a CONNECT without its verdict; how many sockets there may be. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { announced, auth, connack, pingreq, pingresp } from './packets.ts';
import { storeKinds, World } from './world.ts';

const limits = { connectTimeoutMs: 10_000 };
const accept = { outcome: 'accept', principal: null } as const;
const connect = { type: PacketType.Connect, cleanStart: true, keepAlive: 0 } as const;

for (const store of storeKinds) {
  describe(`CONNECT deadlines, store: ${store}`, () => {
    test('a socket that says nothing, or half a CONNECT, is closed at the deadline and not before', () => {
      const world = new World({ store, limits });
      const silent = world.open();
      const slow = world.open(4);
      world.advance(5_000);
      slow.sendRaw('10 0d 0004 4d51');
      world.advance(4_999);
      for (const client of [silent, slow]) assert.equal(client.isClosed, false);
      world.advance(1);
      silent.expectRefused(null);
      slow.expectRefused(null);
      assert.equal(world.takeEvents('refused').length, 2);
      assert.equal(world.core.state.connections.size, 0);
      world.end();
    });

    test('a CONNECT in time is let in, and the deadline is over', () => {
      const world = new World({ store, limits });
      const client = world.open(4);
      world.advance(9_999);
      client.send({ ...connect, version: 4, clientId: 'c' });
      client.expect(connack());
      world.advance(100_000);
      client.send(pingreq);
      client.expect(pingresp);
      world.end();
    });

    test('the verdict has a deadline of its own, counted from CONNECT', () => {
      for (const [version, code] of [
        [3, 3],
        [4, 3],
        [5, ReasonCode.ServerUnavailable],
      ] as const) {
        const world = new World({ store, limits, authority: () => undefined });
        const client = world.open(version);
        world.advance(9_000);
        client.send({ ...connect, version, clientId: 'c' });
        world.advance(9_999);
        client.expectNothing();
        assert.equal(client.isClosed, false);
        world.advance(1);
        client.expectRefused(code);
        // The verdict comes after all: too late.
        world.answer(accept);
        assert.equal(world.core.state.sessions.size, 0);
        client.expectNothing();
        world.end();
      }
    });

    test('a verdict just in time counts', () => {
      const world = new World({ store, limits, authority: () => undefined });
      const client = world.connecting({ clientId: 'c' });
      world.advance(9_999);
      world.answer(accept);
      client.expect(connack({ properties: announced }));
      world.advance(100_000);
      client.send(pingreq);
      client.expect(pingresp);
      world.end();
    });

    test('steps of enhanced authentication do not push the deadline off', () => {
      const world = new World({ store, limits, authority: () => ({ outcome: 'continue', data: null }) });
      const client = world.connecting({ clientId: 'c', properties: { authenticationMethod: 'm' } });
      client.expect(auth(0x18, { authenticationMethod: 'm' }));
      for (let i = 0; i < 3; i++) {
        world.advance(3_000);
        client.send(auth(0x18, { authenticationMethod: 'm' }));
        client.expect(auth(0x18, { authenticationMethod: 'm' }));
      }
      world.advance(999);
      client.expectNothing();
      world.advance(1);
      client.expectRefused(ReasonCode.ServerUnavailable);
      world.end();
    });

    test('a client that leaves before its verdict is forgotten', () => {
      const world = new World({ store, limits, authority: () => undefined });
      const client = world.connecting({ clientId: 'c' });
      client.drop();
      world.answer(accept);
      assert.equal(world.core.state.sessions.size, 0);
      assert.equal(world.core.state.connections.size, 0);
      client.expectNothing();
      world.end();
    });

    test('as many connections as the limit says, and not one more', () => {
      const world = new World({ store, limits: { connectionsMax: 2 } });
      const first = world.connect({ clientId: 'a' });
      const silent = world.open(5);
      const third = world.open(5);
      third.expectRefused(null);
      assert.deepEqual(
        world.takeEvents('refused').map(({ reasonCode }) => reasonCode),
        [ReasonCode.ServerBusy],
      );
      silent.drop();
      const fourth = world.connect({ clientId: 'b' });
      for (const client of [first, fourth]) {
        client.send(pingreq);
        client.expect(pingresp);
      }
      world.end();
    });

    test('as many sessions as the limit says: a new one is refused, a known one is resumed', () => {
      const world = new World({ store, limits: { sessionsMax: 2 } });
      const properties = { sessionExpiryInterval: 100 };
      world.connect({ clientId: 'a', properties }).drop();
      world.connect({ clientId: 'b', properties }).drop();
      world.connecting({ clientId: 'c' }).expectRefused(ReasonCode.QuotaExceeded);
      world.connecting({ clientId: 'c', version: 4 }).expectRefused(null);
      const again = world.connect({ clientId: 'a', cleanStart: false, properties });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      world.advance(100_000);
      world.connect({ clientId: 'c' });
      world.end();
    });
  });
}
