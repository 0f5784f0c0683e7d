/** DISCONNECT from the broker: the reason 5.0 clients are told, the end 3.x clients get, and the will in every case. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ConnectPacket, ReasonCode } from '@pipit/protocol';
import { announced, connack, pingreq, pingresp, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, text, World, type WorldOptions } from './world.ts';

const will = { topic: 'gone', payload: text('w'), qos: 0, retain: false } as const;
const willCame = publish({ topic: 'gone', payload: 'w' });
const lasting = { sessionExpiryInterval: 1_000 };

function watched(options: WorldOptions): { world: World; watcher: Client } {
  const world = new World(options);
  const watcher = world.connect({ clientId: 'watcher' });
  watcher.send(subscribe(1, 'gone'));
  watcher.expect(suback(1, 0));
  return { world, watcher };
}

for (const store of storeKinds) {
  describe(`DISCONNECT from the broker, store: ${store}`, () => {
    // [what the client does, in hexadecimal, the code, only 5.0]
    const errors: [string, string, number, boolean][] = [
      ['a packet type that does not exist', '0000', ReasonCode.MalformedPacket, false],
      ['wrong flags of PINGREQ', 'c100', ReasonCode.MalformedPacket, false],
      ['a PINGREQ with a body', 'c00100', ReasonCode.MalformedPacket, false],
      ['QoS 3', '36050001740001', ReasonCode.MalformedPacket, false],
      ['a Remaining Length of five bytes', 'c080808080', ReasonCode.MalformedPacket, false],
      ['a topic that is not UTF-8', '30040001ff00', ReasonCode.MalformedPacket, false],
      ['a packet only servers send: CONNACK', '2003000000', ReasonCode.ProtocolError, true],
      ['a packet only servers send: SUBACK', '900400010000', ReasonCode.ProtocolError, true],
      ['a packet only servers send: PINGRESP', 'd000', ReasonCode.ProtocolError, false],
      ['SUBSCRIBE without a filter', '8203000100', ReasonCode.ProtocolError, true],
      ['SUBSCRIBE with packet id 0', '8207000000000174 00', ReasonCode.ProtocolError, true],
      ['AUTH without a method in CONNECT', 'f006 19 04 150001 6d', ReasonCode.ProtocolError, true],
      ['AUTH without a method', 'f000', ReasonCode.ProtocolError, true],
      ['a wildcard in a topic', '30040001 2b 00', ReasonCode.TopicNameInvalid, true],
    ];
    for (const [title, bytes, code, isV5Only] of errors) {
      test(`[MQTT-4.13.1-1] [MQTT3-4.8.0-1] ${title}: the code (5.0) or just the end (3.x), and the will`, () => {
        const { world, watcher } = watched({ store });
        const bystander = world.connect({ clientId: 'bystander' });
        for (const version of isV5Only ? ([5] as const) : ([3, 4, 5] as const)) {
          const client = world.connect({ clientId: 'c', version, will });
          client.sendRaw(bytes);
          client.expectDisconnected(code);
          watcher.expect(willCame);
          assert.deepEqual(
            world.takeEvents('disconnected').map(({ by, reasonCode }) => [by, reasonCode]),
            [['server', code]],
          );
        }
        bystander.send(pingreq);
        bystander.expect(pingresp);
        world.end();
      });
    }

    test('[MQTT-4.13.1-1] [MQTT-3.14.4-1] [MQTT-3.14.4-2] what came before the error is done, what comes behind it is not', () => {
      const { world, watcher } = watched({ store });
      const client = world.connect({ clientId: 'c' });
      client.sendRaw('30080004676f6e650031 0000 30080004676f6e650032'.replaceAll(' ', ''));
      client.expectDisconnected(ReasonCode.MalformedPacket);
      watcher.expect(publish({ topic: 'gone', payload: '1' }));
      world.end();
    });

    test('0x8B at the stop, to everybody; wills without a delay are published, those with one wait', () => {
      const world = new World({ store });
      const away = world.connect({ clientId: 'away', version: 4, cleanStart: false });
      away.send(subscribe(1, { filter: 'gone/#', qos: 1 }));
      away.expect(suback(1, 1));
      away.drop();
      const own = (id: string, delay?: number): Partial<ConnectPacket> & { clientId: string } => ({
        clientId: id,
        will: {
          ...will,
          topic: `gone/${id}`,
          qos: 1,
          ...(delay === undefined ? {} : { properties: { willDelayInterval: delay } }),
        },
      });
      const clients = [
        world.connect(own('v5')),
        world.connect({ ...own('v4'), version: 4 }),
        world.connect({ ...own('v3'), version: 3 }),
        world.connect({ ...own('lasting'), properties: lasting }),
        world.connect(own('delayed and clean', 10)),
        world.connect({ ...own('delayed', 10), properties: lasting }),
      ];
      const silent = world.open();
      world.core.stop(world.now);
      for (const client of clients) client.expectDisconnected(ReasonCode.ServerShuttingDown);
      silent.expectRefused(null);
      assert.equal(world.core.isQuiet(), true);
      const waiting = world.core.state.sessions.get('away')?.queue ?? [];
      assert.deepEqual(
        [...waiting].map(({ message }) => message.topic.name),
        ['gone/v5', 'gone/v4', 'gone/v3', 'gone/lasting', 'gone/delayed and clean'],
      );
      world.end();
    });

    test('who comes after the stop is refused', () => {
      const world = new World({ store });
      world.core.stop(world.now);
      world.connecting({ clientId: 'a' }).expectRefused(ReasonCode.ServerUnavailable);
      world.connecting({ clientId: 'b', version: 4 }).expectRefused(3);
      world.connecting({ clientId: 'c', version: 3 }).expectRefused(3);
      assert.equal(world.core.state.sessions.size, 0);
      world.end();
    });

    test('a verdict that comes after the stop lets nobody in', () => {
      const world = new World({ store, authority: () => undefined });
      const client = world.connecting({ clientId: 'a' });
      world.core.stop(world.now);
      client.expectRefused(null);
      world.answer({ outcome: 'accept', principal: null });
      client.expectNothing();
      assert.equal(world.core.state.sessions.size, 0);
      world.end();
    });

    test('disconnected by the operator: the code and the reason, the will, and the session stays', () => {
      const { world, watcher } = watched({ store });
      const client = world.connect({ clientId: 'c', will, properties: lasting });
      assert.equal(world.core.disconnect('c', ReasonCode.AdministrativeAction, 'maintenance', world.now), true);
      world.settle();
      const packet = client.take('DISCONNECT');
      assert.deepEqual('properties' in packet ? packet.properties : {}, { reasonString: 'maintenance' });
      assert.equal(client.isClosed, true);
      watcher.expect(willCame);
      assert.equal(world.core.disconnect('c', ReasonCode.AdministrativeAction, 'again', world.now), false);
      assert.equal(world.core.disconnect('nobody', ReasonCode.AdministrativeAction, '', world.now), false);
      const again = world.connect({ clientId: 'c', cleanStart: false, properties: lasting });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      world.end();
    });

    test('[MQTT-3.14.2-1] a reason that DISCONNECT has no code for is Unspecified error', () => {
      const world = new World({ store });
      for (const code of [ReasonCode.ServerUnavailable, ReasonCode.PacketIdentifierInUse, 0x18, 0xff]) {
        const client = world.connect({ clientId: 'c' });
        world.core.disconnect('c', code, 'because', world.now);
        client.expectDisconnected(ReasonCode.UnspecifiedError);
      }
      const banned = world.connect({ clientId: 'c' });
      world.core.disconnect('c', ReasonCode.Banned, 'because', world.now);
      banned.expectDisconnected(ReasonCode.AdministrativeAction);
      world.end();
    });

    test('[MQTT-3.14.2-3] [MQTT-3.1.2-24] the reason is left out where it does not fit, and so is the packet', () => {
      const world = new World({ store });
      const tight = world.connect({ clientId: 'c', properties: { maximumPacketSize: 30 } });
      world.core.disconnect('c', ReasonCode.AdministrativeAction, 'x'.repeat(100), world.now);
      world.settle();
      tight.expectClosed({ type: 14, reasonCode: ReasonCode.AdministrativeAction });
      world.end();
    });

    test('[MQTT-3.1.2-29] Request Problem Information 0 does not silence a DISCONNECT', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', properties: { requestProblemInformation: false } });
      world.core.disconnect('c', ReasonCode.AdministrativeAction, 'why', world.now);
      world.settle();
      const packet = client.take('DISCONNECT');
      assert.deepEqual('properties' in packet ? packet.properties : {}, { reasonString: 'why' });
      world.end();
    });

    test('a verdict that expires: 0xA0 then, not before', () => {
      const authority = () => ({ outcome: 'accept', principal: null, expiresInMs: 5_000 }) as const;
      const { world, watcher } = watched({
        store,
        authority: ({ clientId }) => (clientId === 'watcher' ? { outcome: 'accept', principal: null } : authority()),
      });
      for (const version of [3, 4, 5] as const) {
        const client = world.connect({ clientId: 'c', version, will });
        client.send(pingreq);
        client.expect(pingresp);
        world.advance(4_500);
        assert.equal(client.isClosed, false);
        world.advance(500);
        client.expectDisconnected(ReasonCode.MaximumConnectTime);
        watcher.expect(willCame);
      }
      world.end();
    });
  });
}
