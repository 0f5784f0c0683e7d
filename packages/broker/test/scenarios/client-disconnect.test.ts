/** DISCONNECT from the client: every reason it may give, what it does to the will and to the session, and what is behind it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PacketType, ReasonCode, reasonCodeAllowed } from '@pipit/protocol';
import { announced, connack, disconnect, puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, text, World } from './world.ts';

const will = { topic: 'gone', payload: text('w'), qos: 0, retain: false } as const;
const clientCodes = Array.from({ length: 256 }, (_, code) => code).filter((code) =>
  reasonCodeAllowed(code, PacketType.Disconnect, 'client'),
);

function watch(world: World): Client {
  const watcher = world.connect({ clientId: 'watcher' });
  watcher.send(subscribe(1, 'gone'));
  watcher.expect(suback(1, 0));
  return watcher;
}

for (const store of storeKinds) {
  describe(`DISCONNECT from the client, store: ${store}`, () => {
    test('[MQTT-3.14.4-3] 0x00 ends the connection without its will, whatever form it has', () => {
      const world = new World({ store });
      const watcher = watch(world);
      for (const form of ['e000', 'e00100', 'e0020000']) {
        const client = world.connect({ clientId: 'c', will });
        client.sendRaw(form);
        client.expectDisconnected(null);
      }
      for (const version of [3, 4] as const) {
        const client = world.connect({ clientId: 'c', version, will });
        client.send(disconnect());
        client.expectDisconnected(null);
      }
      watcher.expectNothing();
      assert.equal(world.core.state.sessions.size, 1);
      assert.equal(
        world.takeEvents('disconnected').every(({ by, reasonCode }) => by === 'client' && reasonCode === 0),
        true,
      );
      world.end();
    });

    test('every other reason a client may give publishes the will', () => {
      const world = new World({ store });
      const watcher = watch(world);
      assert.ok(clientCodes.includes(ReasonCode.DisconnectWithWill) && clientCodes.length > 10);
      for (const code of clientCodes.filter((each) => each !== 0)) {
        const client = world.connect({ clientId: 'c', will });
        client.send(disconnect(code));
        client.expectDisconnected(null);
        watcher.expect(publish({ topic: 'gone', payload: 'w' }));
        assert.deepEqual(
          world.takeEvents('disconnected').map(({ by, reasonCode }) => [by, reasonCode]),
          [['client', code]],
        );
      }
      world.end();
    });

    test('[MQTT-3.14.2-1] a reason that only servers may give, or none at all, is an error, and the will is published', () => {
      const world = new World({ store });
      const watcher = watch(world);
      for (const code of ['8b', '8e', '8d', '87', '9c', '01', '18', 'ff']) {
        const client = world.connect({ clientId: 'c', will });
        client.sendRaw(`e001${code}`);
        client.expectDisconnected(ReasonCode.ProtocolError);
        watcher.expect(publish({ topic: 'gone', payload: 'w' }));
      }
      world.end();
    });

    test('[MQTT-3.14.1-1] [MQTT3-3.14.1-1] reserved flags make it malformed, and the will is published', () => {
      const world = new World({ store });
      const watcher = watch(world);
      for (const version of [3, 4, 5] as const) {
        for (const first of ['e1', 'e2', 'e4', 'e8']) {
          const client = world.connect({ clientId: 'c', version, will });
          client.sendRaw(`${first}00`);
          client.expectDisconnected(ReasonCode.MalformedPacket);
          watcher.expect(publish({ topic: 'gone', payload: 'w' }));
        }
      }
      world.end();
    });

    test('a DISCONNECT that is malformed or carries what is not its own does not count', () => {
      const world = new World({ store });
      const watcher = watch(world);
      const cases: [string, number][] = [
        ['e0020001', ReasonCode.MalformedPacket],
        ['e003000000', ReasonCode.MalformedPacket],
        ['e00600041c000173', ReasonCode.ProtocolError],
        ['e00c000a11000000001100000000', ReasonCode.ProtocolError],
      ];
      for (const [bytes, code] of cases) {
        const client = world.connect({ clientId: 'c', will, properties: { sessionExpiryInterval: 0 } });
        client.sendRaw(bytes);
        client.expectDisconnected(code);
        watcher.expect(publish({ topic: 'gone', payload: 'w' }));
      }
      for (const version of [3, 4] as const) {
        const client = world.connect({ clientId: 'c', version, will });
        client.sendRaw('e00100');
        client.expectDisconnected(null);
        watcher.expect(publish({ topic: 'gone', payload: 'w' }));
      }
      world.end();
    });

    test('what is behind DISCONNECT is not looked at', () => {
      const world = new World({ store });
      const watcher = watch(world);
      const client = world.connect({ clientId: 'c' });
      client.send(
        publish({ topic: 'gone', payload: 'before' }),
        disconnect(),
        publish({ topic: 'gone', payload: 'after' }),
      );
      client.expectDisconnected(null);
      client.send(publish({ topic: 'gone', payload: 'later' }));
      client.expectNothing();
      client.drop();
      watcher.expect(publish({ topic: 'gone', payload: 'before' }));
      assert.equal(world.takeEvents('disconnected').length, 1);
      world.end();
    });

    test('Session Expiry in DISCONNECT replaces that of CONNECT: shorter, longer, none', () => {
      for (const [inConnect, inDisconnect, lastsMs] of [
        [100, 10, 10_000],
        [10, 100, 100_000],
        [100, 0, 0],
        [100, undefined, 100_000],
      ] as const) {
        const world = new World({ store });
        const properties = { sessionExpiryInterval: inConnect };
        const client = world.connect({ clientId: 'c', properties });
        client.send(subscribe(1, { filter: 't', qos: 1 }));
        client.expect(suback(1, 1));
        client.send(disconnect(0, inDisconnect === undefined ? undefined : { sessionExpiryInterval: inDisconnect }));
        client.expectDisconnected(null);
        if (lastsMs > 0) {
          world.advance(lastsMs - 1_000);
          assert.equal(world.core.state.sessions.size, 1);
          world.publish('t', 'kept', { qos: 1 });
        }
        world.advance(1_000);
        assert.equal(world.core.state.sessions.size, 0);
        const again = world.connect({ clientId: 'c', cleanStart: false, properties });
        assert.deepEqual(again.connack, connack({ properties: announced }));
        world.publish('t', 'new', { qos: 1 });
        world.end();
      }
    });

    test('a session with an expiry that DISCONNECT prolonged is resumed whole', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 10 };
      const client = world.connect({ clientId: 'c', properties });
      client.send(subscribe(1, { filter: 't', qos: 1 }));
      client.expect(suback(1, 1));
      client.send(disconnect(ReasonCode.DisconnectWithWill, { sessionExpiryInterval: 100 }));
      world.publish('t', 'm', { qos: 1 });
      world.advance(90_000);
      const again = world.connect({ clientId: 'c', cleanStart: false, properties });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      again.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: 'm' }));
      again.send(puback(1));
      world.end();
    });

    test('from none to some is a Protocol Error: the DISCONNECT does not count, so the will is published', () => {
      const world = new World({ store });
      const watcher = watch(world);
      for (const properties of [{}, { sessionExpiryInterval: 0 }]) {
        const client = world.connect({ clientId: 'c', will, properties });
        client.send(disconnect(0, { sessionExpiryInterval: 1 }));
        client.expectDisconnected(ReasonCode.ProtocolError);
        watcher.expect(publish({ topic: 'gone', payload: 'w' }));
        assert.equal(world.core.state.sessions.size, 1);
      }
      const none = world.connect({ clientId: 'c', will });
      none.send(disconnect(0, { sessionExpiryInterval: 0 }));
      none.expectDisconnected(null);
      world.end();
    });

    test('the caps on session expiry hold in DISCONNECT too, of the server and of the verdict', () => {
      const authority = ({ clientId }: { clientId: string }) =>
        ({ outcome: 'accept', principal: null, limits: clientId === 'short' ? { sessionExpiryMax: 20 } : {} }) as const;
      const world = new World({ store, authority, limits: { sessionExpiryMax: 50 } });
      for (const clientId of ['short', 'long']) {
        const client = world.connect({ clientId, properties: { sessionExpiryInterval: 10 } });
        client.send(disconnect(0, { sessionExpiryInterval: 0xffff_ffff }));
        client.expectDisconnected(null);
      }
      const keys = () => [...world.core.state.sessions.keys()];
      world.advance(19_000);
      assert.deepEqual(keys(), ['short', 'long']);
      world.advance(1_000);
      assert.deepEqual(keys(), ['long']);
      world.advance(29_000);
      assert.deepEqual(keys(), ['long']);
      world.advance(1_000);
      assert.deepEqual(keys(), []);
      world.end();
    });

    test('an expiry that the server cut to none was asked for all the same: asking again is no error', () => {
      const world = new World({ store, limits: { sessionExpiryMax: 0 } });
      const watcher = watch(world);
      const client = world.connect({ clientId: 'c', will, properties: { sessionExpiryInterval: 10 } });
      client.send(disconnect(0, { sessionExpiryInterval: 10 }));
      client.expectDisconnected(null);
      watcher.expectNothing();
      assert.equal(world.core.state.sessions.size, 1);
      world.end();
    });
  });
}
