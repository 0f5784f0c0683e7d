/** CONNECT: what it may look like in each version, and what answers one that may not. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PacketType, type ProtocolVersion, ReasonCode } from '@pipit/protocol';
import { announced, connack, pingreq, pingresp, publish, suback, subscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

/** A CONNECT by hand: everything from the protocol name to the end of the payload, in hexadecimal. */
function connectBytes(body: string, first = '10'): string {
  const bytes = body.replaceAll(' ', '');
  return first + (bytes.length / 2).toString(16).padStart(2, '0') + bytes;
}

const mqtt = '00044d515454';
const mqisdp = '00064d5149736470';
/** Client id `a`. */
const idA = '0001 61';

for (const store of storeKinds) {
  describe(`CONNECT rules, store: ${store}`, () => {
    for (const [title, version, body] of [
      ['3.1', 3, `${mqisdp} 03 02 0000 ${idA}`],
      ['3.1.1', 4, `${mqtt} 04 02 0000 ${idA}`],
      ['5.0', 5, `${mqtt} 05 02 0000 00 ${idA}`],
    ] as const) {
      test(`[MQTT-3.1.4-5] [MQTT-3.2.0-2] [MQTT3-3.1.4-4] the least CONNECT of ${title} is accepted, once, and the connection works`, () => {
        const world = new World({ store });
        const client = world.open(version);
        client.sendRaw(connectBytes(body));
        client.expect(connack(version === 5 ? { properties: announced } : {}));
        client.send(subscribe(1, 't'));
        client.expect(suback(1, 0));
        client.send(publish({ topic: 't', payload: 'x' }), pingreq);
        client.expect(publish({ topic: 't', payload: 'x' }), pingresp);
        world.end();
      });
    }

    test('[MQTT-3.1.0-1] [MQTT3-3.1.0-1] [MQTT-3.14.0-1] a connection whose first packet is not CONNECT is closed without a word', () => {
      const world = new World({ store });
      const watcher = world.connect({ clientId: 'watcher' });
      watcher.send(subscribe(1, '#'));
      watcher.expect(suback(1, 0));
      const firsts = ['c000', 'e000', '3003000174', '82060001000174 00', '4002 0001', '2003000000', 'f0020000', '0000'];
      for (const first of firsts) {
        const client = world.open(5);
        client.sendRaw(first);
        client.expectRefused(null);
      }
      assert.equal(world.takeEvents('refused').length, firsts.length);
      world.end();
    });

    for (const version of [3, 4, 5] as const) {
      test(`[MQTT-3.1.0-2] [MQTT-3.2.0-2] [MQTT3-3.1.0-2] a second CONNECT ends the connection and its will is published, version ${version}`, () => {
        const world = new World({ store });
        const watcher = world.connect({ clientId: 'watcher' });
        watcher.send(subscribe(1, 'gone'));
        watcher.expect(suback(1, 0));
        const will = { topic: 'gone', payload: new Uint8Array(), qos: 0, retain: false } as const;
        const client = world.connect({ clientId: 'c', version, will });
        client.send({ type: PacketType.Connect, version, clientId: 'c', cleanStart: true, keepAlive: 0 });
        client.expectDisconnected(ReasonCode.ProtocolError);
        watcher.expect(publish({ topic: 'gone' }));
        world.end();
      });
    }

    test('[MQTT-3.1.0-2] a second CONNECT that is not even valid is a Protocol Error all the same', () => {
      const world = new World({ store });
      for (const again of [`${mqtt} 07 02 0000 00 ${idA}`, '00044d51545a 05 02 0000 00 0000', `${mqtt} 05 03`, '00']) {
        const client = world.connect({ clientId: 'c' });
        client.sendRaw(connectBytes(again));
        client.expectDisconnected(ReasonCode.ProtocolError);
      }
      world.end();
    });

    test('[MQTT-3.1.2-1] another protocol name is closed without an answer', () => {
      const world = new World({ store });
      for (const name of ['00044d515474', '0000', '00046d717474', '00054d51545454', '0006 4d5149736450']) {
        const client = world.open(5);
        client.sendRaw(connectBytes(`${name} 05 02 0000 00 ${idA}`));
        client.expectRefused(null);
      }
      world.end();
    });

    test('[MQTT-3.1.2-2] [MQTT3-3.1.2-2] an unknown level is answered in the form that its version most likely reads', () => {
      const world = new World({ store });
      const cases: [string, ProtocolVersion, number][] = [
        [`${mqtt} 06`, 5, ReasonCode.UnsupportedProtocolVersion],
        [`${mqtt} 85`, 5, ReasonCode.UnsupportedProtocolVersion],
        [`${mqtt} ff`, 5, ReasonCode.UnsupportedProtocolVersion],
        [`${mqtt} 00`, 4, 1],
        [`${mqtt} 02`, 4, 1],
        [`${mqtt} 03`, 4, 1],
        [`${mqisdp} 02`, 4, 1],
        [`${mqisdp} 04`, 4, 1],
        [`${mqisdp} 05`, 4, 1],
      ];
      for (const [start, version, code] of cases) {
        const client = world.open(version);
        client.sendRaw(connectBytes(`${start} 02 0000 00 ${idA}`));
        client.expectRefused(code);
      }
      world.end();
    });

    test('a 3.x bridge, level bit 7, is let in; its own messages do not come back, and RETAIN stays as it was', () => {
      for (const [version, start] of [
        [3, `${mqisdp} 83`],
        [4, `${mqtt} 84`],
      ] as const) {
        const world = new World({ store });
        const bridge = world.open(version);
        bridge.sendRaw(connectBytes(`${start} 02 0000 ${idA}`));
        bridge.expect(connack());
        bridge.send(subscribe(1, 't'));
        bridge.expect(suback(1, 0));
        bridge.send(publish({ topic: 't', payload: 'own' }));
        bridge.expectNothing();
        world.publish('t', 'x', { retain: true });
        bridge.expect(publish({ topic: 't', payload: 'x', retain: true }));
        world.end();
      }
    });

    test('a CONNECT at the size limit is accepted, one byte more is closed before it is whole', () => {
      const world = new World({ store, limits: { connectPacketBytesMax: 100 } });
      // 10 62 + 12 bytes before the client id: 100 bytes with an id of 84.
      const fits = world.open(4);
      fits.sendRaw(connectBytes(`${mqtt} 04 02 0000 0056 ${'61'.repeat(86)}`));
      fits.expect(connack());
      const exceeds = world.open(4);
      exceeds.sendRaw(connectBytes(`${mqtt} 04 02 0000 0057 ${'61'.repeat(87)}`).slice(0, 8));
      exceeds.expectRefused(null);
      assert.deepEqual(
        world.takeEvents('refused').map(({ reasonCode }) => reasonCode),
        [ReasonCode.PacketTooLarge],
      );
      // Accepted, it may send more than that.
      fits.send(publish({ topic: 't', payload: 'x'.repeat(200) }), pingreq);
      fits.expect(pingresp);
      world.end();
    });

    test('CONNECT byte by byte, with what is behind it', () => {
      const world = new World({ store });
      const client = world.open(4);
      for (const byte of `${connectBytes(`${mqtt} 04 02 0000 ${idA}`)}c000`.match(/../g) ?? []) client.sendRaw(byte);
      client.expect(connack(), pingresp);
      world.end();
    });

    test('packets behind CONNECT wait for the verdict, and are then handled in order', () => {
      const world = new World({ store, authority: () => undefined });
      const client = world.open(4);
      const connect = { type: PacketType.Connect, version: 4, clientId: 'a', cleanStart: true, keepAlive: 0 } as const;
      client.send(connect, subscribe(1, 't'), publish({ topic: 't', payload: '1' }), pingreq);
      client.expectNothing();
      assert.equal(client.isPaused, true);
      client.send(publish({ topic: 't', payload: '2' }));
      client.expectNothing();
      world.answer({ outcome: 'accept', principal: null });
      const [one, two] = [publish({ topic: 't', payload: '1' }), publish({ topic: 't', payload: '2' })];
      const all = client.takeAll();
      // QoS 0 messages and PINGRESP need not wait for the commit of a SUBACK; after CONNACK their order among themselves counts.
      assert.equal(all[0]?.type, PacketType.Connack);
      assert.deepEqual(
        all.slice(1).map(({ type }) => type),
        [PacketType.Suback, PacketType.Publish, PacketType.Pingresp, PacketType.Publish],
      );
      assert.deepEqual(
        all.filter(({ type }) => type === PacketType.Publish),
        [one, two],
      );
      assert.equal(client.isPaused, false);
      world.end();
    });

    test('[MQTT-3.1.4-6] [MQTT3-3.1.4-5] what is behind a refused CONNECT is not looked at', () => {
      const world = new World({ store, authority: ({ clientId }) => (clientId === 'watcher' ? accept : refuse) });
      for (const version of [3, 4, 5] as const) {
        const client = world.open(version);
        const connect = { type: PacketType.Connect, version, clientId: 'bad', cleanStart: true, keepAlive: 0 } as const;
        client.send(connect, publish({ topic: 'secret', retain: true, payload: 'x' }), subscribe(1, '#'));
        client.expectRefused(version === 5 ? ReasonCode.NotAuthorized : 5);
        client.send(pingreq);
        client.expectNothing();
      }
      const watcher = world.connect({ clientId: 'watcher' });
      watcher.send(subscribe(1, '#'));
      watcher.expect(suback(1, 0));
      world.end();
    });
  });
}

const accept = { outcome: 'accept', principal: null } as const;
const refuse = { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized } as const;
