/** A second connection with the same client id: who stays, what becomes of session and will. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Verdict } from '../../src/core/index.ts';
import { announced, auth, connack, pingreq, pingresp, puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, text, World, type WorldOptions } from './world.ts';

const accept = { outcome: 'accept', principal: null } as const;

function watched(options: WorldOptions): { world: World; watcher: Client } {
  const world = new World(options);
  const watcher = world.connect({ clientId: 'watcher' });
  watcher.send(subscribe(1, 'gone'));
  watcher.expect(suback(1, 0));
  return { world, watcher };
}

function pings(client: Client): void {
  client.send(pingreq);
  client.expect(pingresp);
}

for (const store of storeKinds) {
  describe(`takeover, store: ${store}`, () => {
    for (const before of [3, 4, 5] as const) {
      for (const after of [3, 4, 5] as const) {
        test(`[MQTT-3.1.4-3] [MQTT3-3.1.4-2] the old connection is closed, the new one works: version ${before}, then ${after}`, () => {
          const world = new World({ store });
          const old = world.connect({ clientId: 'c', version: before });
          old.send(subscribe(1, 't'));
          old.expect(suback(1, 0));
          const fresh = world.connect({ clientId: 'c', version: after });
          old.expectDisconnected(ReasonCode.SessionTakenOver);
          assert.deepEqual(fresh.connack, connack(after === 5 ? { properties: announced } : {}));
          pings(fresh);
          // The old one's subscriptions ended with it, and what it still sends is not heard.
          old.send(publish({ topic: 't', payload: 'late' }));
          fresh.send(publish({ topic: 't', payload: 'x' }));
          world.end();
        });
      }
    }

    // Notes, section 6: the will of the old connection.
    for (const [title, oldExpiry, delay, cleanStart, isPublished] of [
      ['old expiry 0, no delay, Clean Start 0', 0, 0, false, true],
      ['old expiry 0, delay, Clean Start 0', 0, 10, false, true],
      ['old expiry 0, delay, Clean Start 1', 0, 10, true, true],
      ['lasting, no delay, Clean Start 0', 100, 0, false, true],
      ['lasting, no delay, Clean Start 1', 100, 0, true, true],
      ['lasting, delay, Clean Start 1', 100, 10, true, true],
      ['lasting, delay, Clean Start 0', 100, 10, false, false],
    ] as const) {
      test(`[MQTT-3.1.2-8] the will at a takeover is ${isPublished ? '' : 'not '}published: ${title}`, () => {
        const { world, watcher } = watched({ store });
        const properties = { willDelayInterval: delay };
        const old = world.connect({
          clientId: 'c',
          properties: { sessionExpiryInterval: oldExpiry },
          will: { topic: 'gone', payload: text('w'), qos: 0, retain: false, properties },
        });
        old.send(subscribe(1, 't'));
        old.expect(suback(1, 0));
        const fresh = world.connect({ clientId: 'c', cleanStart, properties: { sessionExpiryInterval: 100 } });
        old.expectDisconnected(ReasonCode.SessionTakenOver);
        watcher.expect(...(isPublished ? [publish({ topic: 'gone', payload: 'w' })] : []));
        const isResumed = oldExpiry > 0 && !cleanStart;
        assert.deepEqual(fresh.connack, connack({ sessionPresent: isResumed, properties: announced }));
        world.publish('t', 'x');
        fresh.expect(...(isResumed ? [publish({ topic: 't', payload: 'x' })] : []));
        fresh.drop();
        world.advance(1_000_000);
        watcher.expectNothing();
        world.end();
      });
    }

    for (const [oldClean, newClean] of [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ]) {
      test(`3.1.1: the will at a takeover is published, Clean Session ${oldClean}, then ${newClean}`, () => {
        const { world, watcher } = watched({ store });
        const will = { topic: 'gone', payload: text('w'), qos: 0, retain: false } as const;
        const old = world.connect({ clientId: 'c', version: 4, cleanStart: oldClean === true, will });
        const fresh = world.connect({ clientId: 'c', version: 4, cleanStart: newClean === true });
        old.expectDisconnected(null);
        watcher.expect(publish({ topic: 'gone', payload: 'w' }));
        assert.deepEqual(fresh.connack, connack({ sessionPresent: oldClean === false && newClean === false }));
        world.end();
      });
    }

    test('what was in flight at the old connection is sent again to the new one, before what came later', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 100 };
      const old = world.connect({ clientId: 'c', properties });
      old.send(subscribe(1, { filter: 't', qos: 1 }));
      old.expect(suback(1, 1));
      world.publish('t', '1', { qos: 1 });
      old.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: '1' }));
      const fresh = world.connect({ clientId: 'c', cleanStart: false, properties });
      old.expectDisconnected(ReasonCode.SessionTakenOver);
      old.send(puback(1)); // From beyond the fence: nothing.
      fresh.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: '1', dup: true }));
      world.publish('t', '2', { qos: 1 });
      fresh.expect(publish({ topic: 't', qos: 1, packetId: 2, payload: '2' }));
      fresh.send(puback(1), puback(2));
      world.end();
    });

    test('[MQTT-3.1.2-4] Clean Start takes nothing over: what was in flight is gone', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 100 };
      const old = world.connect({ clientId: 'c', properties });
      old.send(subscribe(1, { filter: 't', qos: 2 }));
      old.expect(suback(1, 2));
      world.publish('t', '1', { qos: 2 });
      old.expect(publish({ topic: 't', qos: 2, packetId: 1, payload: '1' }));
      world.connect({ clientId: 'c', cleanStart: true, properties }).expectNothing();
      old.expectDisconnected(ReasonCode.SessionTakenOver);
      const again = world.connect({ clientId: 'c', cleanStart: false, properties });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      world.clients[1]?.expectDisconnected(ReasonCode.SessionTakenOver);
      again.expectNothing();
      world.end();
    });

    test('another principal is refused with 0x85, and the owner does not notice, connected or away', () => {
      const authority = ({ username }: AuthenticationRequest) => ({ outcome: 'accept', principal: username }) as const;
      const world = new World({ store, authority });
      const properties = { sessionExpiryInterval: 100 };
      const owner = world.connect({ clientId: 'c', username: 'alice', properties });
      owner.send(subscribe(1, { filter: 't', qos: 1 }));
      owner.expect(suback(1, 1));
      const steal = () => {
        for (const cleanStart of [true, false]) {
          world
            .connecting({ clientId: 'c', username: 'bob', cleanStart })
            .expectRefused(ReasonCode.ClientIdentifierNotValid);
          world.connecting({ clientId: 'c', cleanStart }).expectRefused(ReasonCode.ClientIdentifierNotValid);
        }
        world.connecting({ clientId: 'c', version: 4, username: 'bob' }).expectRefused(2);
      };
      steal();
      pings(owner);
      owner.drop();
      steal();
      world.publish('t', 'x', { qos: 1 });
      const again = world.connect({ clientId: 'c', username: 'alice', cleanStart: false, properties });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      again.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: 'x' }));
      // When the session is over, the name is free.
      again.drop();
      world.advance(100_000);
      world.connect({ clientId: 'c', username: 'bob' });
      world.end();
    });

    const restarting = store === 'none' ? [] : [store];
    for (const kind of restarting) {
      test('a session belongs to its principal after a restart too', () => {
        const authority = ({ username }: AuthenticationRequest) =>
          ({ outcome: 'accept', principal: username }) as const;
        const world = new World({ store: kind, authority });
        const properties = { sessionExpiryInterval: 100 };
        world.connect({ clientId: 'c', username: 'alice', properties });
        const after = new World({ store: kind, authority, after: world });
        after.connecting({ clientId: 'c', username: 'bob' }).expectRefused(ReasonCode.ClientIdentifierNotValid);
        const again = after.connect({ clientId: 'c', username: 'alice', cleanStart: false, properties });
        assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
        after.end();
      });
    }

    test('two that authenticate at once: the last verdict owns the session, not the last CONNECT', () => {
      const world = new World({ store, authority: () => undefined });
      const properties = { sessionExpiryInterval: 100 };
      const first = world.connecting({ clientId: 'c', properties });
      const second = world.connecting({ clientId: 'c', cleanStart: false, properties });
      world.questions.reverse();
      world.answer(accept);
      second.expect(connack({ properties: announced }));
      second.send(subscribe(1, 't'));
      second.expect(suback(1, 0));
      first.expectNothing();
      world.answer(accept);
      second.expectDisconnected(ReasonCode.SessionTakenOver);
      first.expect(connack({ properties: announced }));
      world.publish('t', 'x');
      pings(first);
      world.end();
    });

    test('one that is still authenticating takes nothing over, and being refused leaves all as it was', () => {
      const answers: (Verdict | undefined)[] = [accept, undefined];
      const world = new World({ store, authority: () => answers.shift() });
      const owner = world.connect({ clientId: 'c' });
      const other = world.connecting({ clientId: 'c' });
      pings(owner);
      world.answer({ outcome: 'refuse', reasonCode: ReasonCode.BadUserNameOrPassword });
      other.expectRefused(ReasonCode.BadUserNameOrPassword);
      pings(owner);
      world.end();
    });

    test('during the steps of enhanced authentication the owner stays until the last of them', () => {
      const more = { outcome: 'continue', data: null } as const;
      const answers: Verdict[] = [accept, more, more, accept];
      const world = new World({ store, authority: () => answers.shift() });
      const owner = world.connect({ clientId: 'c' });
      const step = auth(0x18, { authenticationMethod: 'm' });
      const other = world.connecting({ clientId: 'c', properties: { authenticationMethod: 'm' } });
      other.expect(step);
      pings(owner);
      other.send(step);
      other.expect(step);
      pings(owner);
      other.send(step);
      other.expect(connack({ properties: { ...announced, authenticationMethod: 'm' } }));
      owner.expectDisconnected(ReasonCode.SessionTakenOver);
      world.end();
    });

    test('a client id of in-process code cannot be taken', () => {
      const world = new World({ store });
      world.subscribe({ filters: ['t'], clientId: 'inside' });
      world.connecting({ clientId: 'inside' }).expectRefused(ReasonCode.ClientIdentifierNotValid);
      world.publish('t', 'x');
      assert.equal(world.delivered.length, 1);
      world.settleLocal();
      world.end();
    });

    test('a hundred takeovers in a row leave one session, one connection and one subscription', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 100 };
      let last: Client | null = null;
      for (let i = 0; i < 100; i++) {
        const next = world.connect({ clientId: 'c', cleanStart: false, properties });
        last?.expectDisconnected(ReasonCode.SessionTakenOver);
        next.send(subscribe(1, { filter: 't', qos: 1 }));
        next.expect(suback(1, 1));
        last = next;
      }
      assert.equal(world.core.state.sessions.size, 1);
      assert.equal(world.core.state.connections.size, 1);
      world.publish('t', 'x', { qos: 1 });
      last?.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: 'x' }));
      last?.send(puback(1));
      world.end();
    });
  });
}
