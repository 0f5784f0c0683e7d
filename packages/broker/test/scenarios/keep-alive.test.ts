/** Keep Alive: how long a silent peer stays, whose value counts, and what happens to one that is not read. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { pingreq, pingresp, puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, text, World } from './world.ts';

function pings(client: Client): void {
  client.send(pingreq);
  client.expect(pingresp);
}

for (const store of storeKinds) {
  describe(`keep alive, store: ${store}`, () => {
    for (const version of [3, 4, 5] as const) {
      test(`[MQTT-3.1.2-22] [MQTT3-3.1.2-24] 1.5 times the keep alive without a packet ends the connection, and its will is published, version ${version}`, () => {
        const world = new World({ store });
        const watcher = world.connect({ clientId: 'watcher' });
        watcher.send(subscribe(1, 'gone'));
        watcher.expect(suback(1, 0));
        const will = { topic: 'gone', payload: text('c'), qos: 0, retain: false } as const;
        const client = world.connect({ clientId: 'c', version, keepAlive: 10, will });
        pings(client); // A failing store answered later than CONNECT came.
        world.advance(14_999);
        client.expectNothing();
        assert.equal(client.isClosed, false);
        watcher.expectNothing();
        world.advance(1);
        client.expectDisconnected(ReasonCode.KeepAliveTimeout);
        watcher.expect(publish({ topic: 'gone', payload: 'c' }));
        world.end();
      });
    }

    test('[MQTT-3.1.2-22] any packet counts, not only PINGREQ', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', keepAlive: 10 });
      for (const packet of [publish({ topic: 't' }), pingreq, subscribe(1, 't')]) {
        world.advance(14_999);
        client.send(packet);
      }
      client.expect(pingresp, suback(1, 0));
      world.advance(14_999);
      assert.equal(client.isClosed, false);
      world.advance(1);
      client.expectDisconnected(ReasonCode.KeepAliveTimeout);
      world.end();
    });

    test('[MQTT-3.1.2-22] bytes that are no whole packet yet do not count', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', keepAlive: 10 });
      pings(client);
      for (const byte of ['30', '0a', '00', '01']) {
        world.advance(3_000);
        client.sendRaw(byte);
      }
      world.advance(2_999);
      assert.equal(client.isClosed, false);
      world.advance(1);
      client.expectDisconnected(ReasonCode.KeepAliveTimeout);
      world.end();
    });

    test('what the broker sends does not count', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', keepAlive: 2 });
      client.send(subscribe(1, 't'));
      client.expect(suback(1, 0));
      for (let i = 0; i < 2; i++) {
        world.advance(1_000);
        world.publish('t');
        client.expect(publish({ topic: 't' }));
      }
      world.advance(1_000);
      client.expectDisconnected(ReasonCode.KeepAliveTimeout);
      world.end();
    });

    test('keep alive 0 is no keep alive', () => {
      const world = new World({ store });
      for (const version of [3, 4, 5] as const) {
        const client = world.connect({ clientId: `c${version}`, version, keepAlive: 0 });
        world.advance(30 * 24 * 3_600_000);
        pings(client);
      }
      world.end();
    });

    test('the greatest keep alive is 18 hours, 12 minutes and 15 seconds, and a half of it more', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', keepAlive: 65_535 });
      world.advance(65_535 * 1_500 - 1);
      assert.equal(client.isClosed, false);
      world.advance(1);
      client.expectDisconnected(ReasonCode.KeepAliveTimeout);
      world.end();
    });

    test('the factor is a setting', () => {
      const world = new World({ store, limits: { keepAliveFactor: 3 } });
      const client = world.connect({ clientId: 'c', version: 4, keepAlive: 1 });
      world.advance(2_999);
      assert.equal(client.isClosed, false);
      world.advance(1);
      client.expectDisconnected(null);
      world.end();
    });

    test('[MQTT-3.2.2-22] Server Keep Alive rules 5.0 clients, and 3.x clients without telling them', () => {
      const world = new World({ store, limits: { serverKeepAliveMax: 10 } });
      const long = world.connect({ clientId: 'long', keepAlive: 100 });
      const none = world.connect({ clientId: 'none', keepAlive: 0 });
      const short = world.connect({ clientId: 'short', keepAlive: 4 });
      const old = world.connect({ clientId: 'old', version: 4, keepAlive: 100 });
      const oldNone = world.connect({ clientId: 'oldNone', version: 3, keepAlive: 0 });
      world.advance(6_000);
      short.expectDisconnected(ReasonCode.KeepAliveTimeout);
      world.advance(8_999);
      for (const client of [long, none]) assert.equal(client.isClosed, false);
      pings(old);
      world.advance(1);
      for (const client of [long, none]) client.expectDisconnected(ReasonCode.KeepAliveTimeout);
      oldNone.expectDisconnected(null);
      world.advance(14_998);
      assert.equal(old.isClosed, false);
      world.advance(1);
      old.expectDisconnected(null);
      world.end();
    });

    test('a new connection has its own keep alive, not that of the one before', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 100 };
      world.connect({ clientId: 'c', keepAlive: 2, properties }).drop();
      const again = world.connect({ clientId: 'c', keepAlive: 20, cleanStart: false, properties });
      pings(again);
      world.advance(29_999);
      assert.equal(again.isClosed, false);
      world.advance(1);
      again.expectDisconnected(ReasonCode.KeepAliveTimeout);
      world.end();
    });

    test('a peer that is not read is not blamed for its silence, and gets a whole interval when it is read again', () => {
      const world = new World({ store, limits: { claimedPublishesMax: 1 } });
      const claim = world.subscribe({ filters: ['work'], qos: 1, claim: true });
      const client = world.connect({ clientId: 'c', version: 4, keepAlive: 2 });
      client.send(publish({ topic: 'work', qos: 1, packetId: 1 }), pingreq, pingreq);
      assert.equal(client.isPaused, true);
      // Checked every 3 s; the answer comes just before a check.
      world.advance(8_999);
      assert.equal(client.isClosed, false);
      world.settleLocal();
      client.expect(puback(1), pingresp, pingresp);
      assert.equal(client.isPaused, false);
      world.advance(2_999);
      assert.equal(client.isClosed, false);
      pings(client);
      world.core.unsubscribe(claim, world.now);
      world.end();
    });
  });
}
