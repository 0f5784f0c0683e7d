/** Wills: when one is published, when not, and as what. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { announced, connack, disconnect, puback, publish, pubrec, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, text, World, type WorldOptions } from './world.ts';

const will = { topic: 'gone', payload: text('w'), qos: 0, retain: false } as const;
const willCame = publish({ topic: 'gone', payload: 'w' });
const lasting = { sessionExpiryInterval: 1_000 };

/** A world with somebody who sees every will, at QoS 2. */
function watched(options: WorldOptions): { world: World; watcher: Client } {
  const world = new World(options);
  const watcher = world.connect({ clientId: 'watcher' });
  watcher.send(subscribe(1, { filter: '#', qos: 2 }));
  watcher.expect(suback(1, 2));
  return { world, watcher };
}

for (const store of storeKinds) {
  describe(`wills, store: ${store}`, () => {
    for (const version of [3, 4, 5] as const) {
      for (const isLasting of [false, true]) {
        const title = `version ${version}, ${isLasting ? 'lasting' : 'clean'} session`;
        const properties = isLasting && version === 5 ? lasting : {};
        const connecting = {
          clientId: 'c',
          version,
          cleanStart: version === 5 || !isLasting,
          will,
          properties,
        } as const;

        test(`[MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT3-3.1.2-8] published when the connection is lost, once: ${title}`, () => {
          const { world, watcher } = watched({ store });
          const client = world.connect(connecting);
          watcher.expectNothing();
          client.drop();
          watcher.expect(willCame);
          world.advance(10_000_000);
          watcher.expectNothing();
          assert.equal(world.takeEvents('will-published').length, 1);
          world.end();
        });

        test(`published when the client breaks the rules: ${title}`, () => {
          const { world, watcher } = watched({ store });
          const client = world.connect(connecting);
          client.sendRaw('f000');
          assert.equal(client.isClosed, true);
          client.takeAll();
          watcher.expect(willCame);
          world.end();
        });

        test(`[MQTT-3.1.2-10] [MQTT3-3.14.4-3] not published after a normal DISCONNECT, then or later: ${title}`, () => {
          const { world, watcher } = watched({ store });
          const client = world.connect(connecting);
          client.send(disconnect());
          client.expectDisconnected(null);
          world.advance(10_000_000);
          watcher.expectNothing();
          world.end();
        });
      }
    }

    test('[MQTT-3.1.2-10] [MQTT3-3.1.2-10] a will is gone once published: the session resumed without one has none', () => {
      for (const version of [3, 4, 5] as const) {
        const { world, watcher } = watched({ store });
        const terms = version === 5 ? { version, properties: lasting } : { version, cleanStart: false };
        world.connect({ clientId: 'c', will, ...terms }).drop();
        watcher.expect(willCame);
        const again = world.connect({ clientId: 'c', ...terms, cleanStart: false });
        const properties = version === 5 ? { properties: announced } : {};
        assert.deepEqual(again.connack, connack({ sessionPresent: version > 3, ...properties }));
        again.drop();
        world.advance(1_000);
        watcher.expectNothing();
        world.end();
      }
    });

    test('[MQTT3-3.1.2-12] no will, no message', () => {
      const { world, watcher } = watched({ store });
      for (const version of [3, 4, 5] as const) world.connect({ clientId: 'c', version }).drop();
      watcher.expectNothing();
      world.end();
    });

    test('[MQTT-3.1.2-12] a will goes out at its QoS', () => {
      const { world, watcher } = watched({ store });
      world.connect({ clientId: 'c', will: { ...will, qos: 1 } }).drop();
      watcher.expect(publish({ topic: 'gone', payload: 'w', qos: 1, packetId: 1 }));
      watcher.send(puback(1));
      world.connect({ clientId: 'c', version: 4, will: { ...will, qos: 2 } }).drop();
      watcher.expect(publish({ topic: 'gone', payload: 'w', qos: 2, packetId: 2 }));
      watcher.send(pubrec(2, ReasonCode.UnspecifiedError));
      world.end();
    });

    test('[MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17] a will with RETAIN is retained, one without is not', () => {
      const { world, watcher } = watched({ store });
      for (const version of [4, 5] as const) {
        const topic = `kept/${version}`;
        world.connect({ clientId: 'c', version, will: { ...will, topic, retain: true } }).drop();
        watcher.expect(publish({ topic, payload: 'w' }));
      }
      world.connect({ clientId: 'c', will }).drop();
      watcher.expect(willCame);
      const late = world.connect({ clientId: 'late' });
      late.send(subscribe(1, 'gone', 'kept/+'));
      late.expect(
        suback(1, 0, 0),
        publish({ topic: 'kept/4', payload: 'w', retain: true }),
        publish({ topic: 'kept/5', payload: 'w', retain: true }),
      );
      world.end();
    });

    test('a retained will of no bytes clears the retained message', () => {
      const { world, watcher } = watched({ store });
      world.publish('state', 'online', { retain: true });
      watcher.expect(publish({ topic: 'state', payload: 'online' }));
      world
        .connect({ clientId: 'c', will: { topic: 'state', payload: new Uint8Array(), qos: 0, retain: true } })
        .drop();
      watcher.expect(publish({ topic: 'state' }));
      watcher.send(subscribe(2, { filter: '#', qos: 2 }));
      watcher.expect(suback(2, 2));
      world.end();
    });

    test('[MQTT-3.1.3-10] the properties of a will arrive whole, its User Properties in order', () => {
      const { world, watcher } = watched({ store });
      const properties = {
        payloadFormatIndicator: 1 as const,
        contentType: 'text/plain',
        responseTopic: 'answers',
        correlationData: text('42'),
        userProperties: [
          ['b', '1'],
          ['a', '2'],
          ['b', '3'],
        ] as [string, string][],
      };
      world.connect({ clientId: 'c', will: { ...will, properties: { ...properties, willDelayInterval: 0 } } }).drop();
      watcher.expect(publish({ topic: 'gone', payload: 'w', properties }));
      world.end();
    });

    test('the expiry of a will counts from when it is published', () => {
      const { world, watcher } = watched({ store });
      const properties = { messageExpiryInterval: 100, willDelayInterval: 50 };
      const away = world.connect({ clientId: 'away', properties: { sessionExpiryInterval: 10_000 } });
      away.send(subscribe(1, { filter: 'gone', qos: 1 }));
      away.expect(suback(1, 1));
      away.drop();
      const client = world.connect({ clientId: 'c', properties: lasting, will: { ...will, qos: 1, properties } });
      world.advance(200_000);
      client.drop();
      world.advance(50_000);
      const came = publish({
        topic: 'gone',
        payload: 'w',
        qos: 1,
        packetId: 1,
        properties: { messageExpiryInterval: 100 },
      });
      watcher.expect(came);
      watcher.send(puback(1));
      world.advance(60_000);
      const back = world.connect({
        clientId: 'away',
        cleanStart: false,
        properties: { sessionExpiryInterval: 10_000 },
      });
      back.expect({ ...came, properties: { messageExpiryInterval: 40 } });
      back.send(puback(1));
      world.end();
    });

    test('a will waits in the queue of a session that is away', () => {
      const world = new World({ store });
      const away = world.connect({ clientId: 'away', version: 4, cleanStart: false });
      away.send(subscribe(1, { filter: 'gone', qos: 1 }));
      away.expect(suback(1, 1));
      away.drop();
      world.connect({ clientId: 'c', will: { ...will, qos: 1 } }).drop();
      const back = world.connect({ clientId: 'away', version: 4, cleanStart: false });
      back.expect(publish({ topic: 'gone', payload: 'w', qos: 1, packetId: 1 }));
      back.send(puback(1));
      world.end();
    });

    test('a client does not get its own will by a No Local subscription of its session', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', properties: lasting, will: { ...will, qos: 1 } });
      client.send(subscribe(1, { filter: '#', qos: 1, noLocal: true }));
      client.expect(suback(1, 1));
      client.drop();
      const again = world.connect({ clientId: 'c', cleanStart: false, properties: lasting });
      again.expectNothing();
      world.end();
    });

    test('a refused connection has no will', () => {
      const refuse = { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized } as const;
      const accept = { outcome: 'accept', principal: null } as const;
      const { world, watcher } = watched({ store, authority: ({ clientId }) => (clientId === 'c' ? refuse : accept) });
      world.connecting({ clientId: 'c', will }).expectRefused(ReasonCode.NotAuthorized);
      world.advance(10_000_000);
      watcher.expectNothing();
      world.end();
    });

    test('[MQTT-3.2.2-12] [MQTT-3.2.2-13] a will beyond the capabilities is refused, one within them is not', () => {
      const capabilities = { maximumQoS: 1, retain: false } as const;
      const world = new World({ store, authority: () => ({ outcome: 'accept', principal: null, capabilities }) });
      world.connect({ clientId: 'c', will: { ...will, qos: 1 } });
      world.connecting({ clientId: 'd', will: { ...will, qos: 2 } }).expectRefused(ReasonCode.QoSNotSupported);
      world.connecting({ clientId: 'd', will: { ...will, retain: true } }).expectRefused(ReasonCode.RetainNotSupported);
      world.connecting({ clientId: 'd', version: 4, will: { ...will, qos: 2 } }).expectRefused(null);
      assert.equal(world.core.state.sessions.size, 1);
      world.end();
    });

    test('a will for $SYS is not allowed', () => {
      const world = new World({ store });
      const sys = { ...will, topic: '$SYS/broker/uptime' };
      world.connecting({ clientId: 'c', will: sys }).expectRefused(ReasonCode.NotAuthorized);
      world.connecting({ clientId: 'c', version: 4, will: sys }).expectRefused(5);
      world.end();
    });

    test('a will topic has as many levels as any topic', () => {
      const { world, watcher } = watched({ store, limits: { topicLevelsMax: 3 } });
      world.connect({ clientId: 'c', will: { ...will, topic: 'a/b/c' } }).drop();
      watcher.expect(publish({ topic: 'a/b/c', payload: 'w' }));
      world
        .connecting({ clientId: 'c', will: { ...will, topic: 'a/b/c/d' } })
        .expectRefused(ReasonCode.TopicNameInvalid);
      world.end();
    });
  });
}
