/** The properties of a PUBLISH: all of them to 5.0 readers as they came, none to others. */

import { describe, test } from 'node:test';
import { type PublishPacket, ReasonCode } from '@pipit/protocol';
import { publish, suback, subscribe } from './packets.ts';
import { storeKinds, text, World } from './world.ts';

type Properties = NonNullable<PublishPacket['properties']>;

const everything: Properties = {
  payloadFormatIndicator: 1,
  messageExpiryInterval: 4_000_000_000,
  contentType: 'text/ünicode',
  responseTopic: 'answer/to/me',
  correlationData: Uint8Array.of(0, 1, 255, 0),
  userProperties: [
    ['b', '2'],
    ['a', '1'],
    ['b', '2'],
    ['', ''],
    ['long', 'x'.repeat(1000)],
  ],
};

for (const store of storeKinds) {
  describe(`PUBLISH properties, store: ${store}`, () => {
    test('[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] forwarded unaltered, live, queued and retained', () => {
      const world = new World({ store });
      const lasting = { clientId: 'away', cleanStart: false, properties: { sessionExpiryInterval: 1000 } };
      world.connect(lasting).send(subscribe(1, { filter: 't', qos: 2 }));
      (world.clients[0] as World['clients'][number]).expect(suback(1, 2));
      world.clients[0]?.drop();
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribe(1, { filter: 't', qos: 2 }));
      reader.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const qos of [0, 1, 2] as const) {
        const packet = publish({ topic: 't', qos, packetId: qos, payload: 'päyload', properties: everything });
        publisher.publishWhole({ ...packet, packetId: qos === 0 ? 0 : 7, retain: qos === 2 });
        reader.receiveWhole(packet);
      }
      const late = world.connect({ clientId: 'late' });
      late.send(subscribe(1, 't'));
      late.expect(suback(1, 0), publish({ topic: 't', retain: true, payload: 'päyload', properties: everything }));
      const away = world.connect(lasting);
      away.expect(
        publish({ topic: 't', qos: 1, packetId: 1, payload: 'päyload', properties: everything }),
        publish({ topic: 't', qos: 2, packetId: 2, payload: 'päyload', properties: everything }),
      );
      world.end();
    });

    test('each of them alone, and none', () => {
      const world = new World({ store });
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribe(1, 't'));
      reader.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      const each: Properties[] = Object.entries(everything).map(([name, value]) => ({ [name]: value }));
      for (const properties of [...each, { payloadFormatIndicator: 0 as const }, {}]) {
        publisher.send(publish({ topic: 't', payload: 'x', properties }));
        reader.expect(publish({ topic: 't', payload: 'x', properties }));
      }
      world.end();
    });

    test('3.x readers get none, and nothing else in their place', () => {
      const world = new World({ store });
      for (const version of [3, 4] as const) {
        const old = world.connect({ clientId: `old-${version}`, version });
        old.send(subscribe(1, { filter: 't', qos: 2 }));
        old.expect(suback(1, 2));
      }
      const publisher = world.connect({ clientId: 'publisher' });
      for (const qos of [0, 1, 2] as const) {
        const packet = publish({ topic: 't', qos, packetId: qos, payload: 'x', properties: everything });
        publisher.publishWhole({ ...packet, packetId: qos === 0 ? 0 : 7 });
        for (const old of world.clients.slice(0, 2)) {
          old.receiveWhole(publish({ topic: 't', qos, packetId: qos, payload: 'x' }));
        }
      }
      world.end();
    });

    test('what comes from 3.x has none', () => {
      const world = new World({ store });
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribe(1, { filter: 't', qos: 2 }));
      reader.expect(suback(1, 2));
      for (const version of [3, 4] as const) {
        const old = world.connect({ clientId: `old-${version}`, version });
        old.send(publish({ topic: 't', payload: 'x' }));
        reader.expect(publish({ topic: 't', payload: 'x' }));
      }
      world.end();
    });

    test('[MQTT-3.3.4-6] a Subscription Identifier from a client: 0x82, and nobody gets the message', () => {
      const world = new World({ store });
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribe(1, '#'));
      reader.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.sendRaw('3006 0001 74 02 0b01');
      publisher.expectDisconnected(ReasonCode.ProtocolError);
      reader.expectNothing();
      world.end();
    });

    test('[MQTT-3.3.2-14] a wildcard in the Response Topic: 0x82; a property twice: 0x82; a foreign one: 0x81', () => {
      for (const [properties, reasonCode] of [
        ['08 0003 612f2b', ReasonCode.ProtocolError],
        ['01 01 01 01', ReasonCode.ProtocolError],
        ['01 02', ReasonCode.ProtocolError],
        ['11 00000001', ReasonCode.MalformedPacket],
        ['7f', ReasonCode.MalformedPacket],
      ] as const) {
        const world = new World({ store });
        const publisher = world.connect({ clientId: 'publisher' });
        const hex = properties.replaceAll(' ', '');
        const length = hex.length / 2;
        const byte = (value: number) => value.toString(16).padStart(2, '0');
        publisher.sendRaw(`30 ${byte(4 + length)} 0001 74 ${byte(length)} ${hex}`);
        publisher.expectDisconnected(reasonCode);
        world.end();
      }
    });

    test('the payload is not looked at: bytes that are not text arrive as they are', () => {
      const world = new World({ store });
      const payload = Uint8Array.from({ length: 256 }, (_, i) => i);
      const readers = ([3, 4, 5] as const).map((version) => world.connect({ clientId: `${version}`, version }));
      for (const reader of readers) {
        reader.send(subscribe(1, 't'));
        reader.expect(suback(1, 0));
      }
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      for (const bytes of [payload, text(''), Uint8Array.of(0xef, 0xbb, 0xbf), Uint8Array.of(0xff)]) {
        publisher.send(publish({ topic: 't', payload: bytes }));
        for (const reader of readers) reader.expect(publish({ topic: 't', payload: bytes }));
      }
      world.end();
    });
  });
}
