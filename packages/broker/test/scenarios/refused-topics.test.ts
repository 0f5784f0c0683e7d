/** PUBLISH that is refused, or that nobody wants. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { pingreq, pingresp, publish, suback, subscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

for (const store of storeKinds) {
  describe(`refused topics, store: ${store}`, () => {
    test('$SYS is the broker’s: 0x87; 3.x is acknowledged; nobody gets it and nothing is kept', () => {
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store });
        const reader = world.connect({ clientId: 'reader' });
        reader.send(subscribe(1, '#', '$SYS/#'));
        reader.expect(suback(1, 0, 0));
        const publisher = world.connect({ clientId: 'publisher', version });
        const code = version === 5 ? ReasonCode.NotAuthorized : 0;
        for (const topic of ['$SYS', '$SYS/', '$SYS/broker/version']) {
          for (const qos of [0, 1, 2] as const) {
            const packetId = qos === 0 ? 0 : 3;
            const packet = publish({ topic, qos, packetId, retain: true, payload: 'x' });
            publisher.send(packet);
            if (qos > 0) publisher.expect({ type: qos + 3, packetId, reasonCode: code } as never);
            if (qos === 2) publisher.send({ type: 6, packetId, reasonCode: 0 } as never);
            if (qos === 2) publisher.takeAll();
          }
        }
        reader.expectNothing();
        reader.send(subscribe(2, '$SYS/#'));
        reader.expect(suback(2, 0));
        publisher.send(pingreq);
        publisher.expect(pingresp);
        const [first] = world.takeEvents('publish-refused');
        assert.equal(first?.clientId, 'publisher');
        assert.equal(first?.reasonCode, ReasonCode.NotAuthorized);
        world.end();
      }
    });

    test('other $ topics are allowed', () => {
      const world = new World({ store });
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribe(1, '$SYSTEM/#', '$other', '$share'));
      reader.expect(suback(1, 0, 0, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const topic of ['$SYSTEM/x', '$other', '$share']) {
        publisher.publishWhole(publish({ topic, qos: 1, packetId: 1 }));
        reader.expect(publish({ topic }));
      }
      world.end();
    });

    test('nobody matches: 0x10 in PUBACK and PUBREC, 3.x is not told', () => {
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store });
        const code = version === 5 ? ReasonCode.NoMatchingSubscribers : 0;
        const publisher = world.connect({ clientId: 'publisher', version });
        for (const qos of [1, 2] as const) publisher.publishWhole(publish({ topic: 't', qos, packetId: 4 }), code);
        const away = world.connect({ clientId: 'away', version: 4, cleanStart: false });
        away.send(subscribe(1, { filter: 't', qos: 1 }));
        away.expect(suback(1, 1));
        away.drop();
        // Somebody who is away matches.
        for (const qos of [1, 2] as const) publisher.publishWhole(publish({ topic: 't', qos, packetId: 4 }));
        world.end();
      }
    });

    test('[MQTT-3.2.2-11] a QoS that is not available: 0x9B', () => {
      const world = new World({
        store,
        authority: () => ({ outcome: 'accept', principal: null, capabilities: { maximumQoS: 1 } }),
      });
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribe(1, 't'));
      reader.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 1 }));
      reader.expect(publish({ topic: 't' }));
      publisher.send(publish({ topic: 't', qos: 2, packetId: 1 }));
      publisher.expectDisconnected(ReasonCode.QoSNotSupported);
      reader.expectNothing();
      world.end();
    });

    test('[MQTT-3.3.1-4] QoS 3, [MQTT-3.3.1-2] DUP at QoS 0: 0x81; [MQTT-2.2.1-3] packet id 0: 0x82', () => {
      for (const [hex, reasonCode] of [
        ['3606 0001 74 0001 00', ReasonCode.MalformedPacket],
        ['3804 0001 74 00', ReasonCode.MalformedPacket],
        ['3206 0001 74 0000 00', ReasonCode.ProtocolError],
      ] as const) {
        const world = new World({ store });
        const publisher = world.connect({ clientId: 'publisher' });
        publisher.sendRaw(hex);
        publisher.expectDisconnected(reasonCode);
        world.end();
      }
    });
  });
}
