/** Maximum Packet Size both ways: larger ones end the sender's connection, and are dropped for the reader that cannot take them. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePacket, type Packet, type ProtocolVersion, ReasonCode } from '@pipit/protocol';
import { puback, publish, suback, subscribe, subscribeWith } from './packets.ts';
import { storeKinds, World } from './world.ts';

const sizeOf = (packet: Packet, version: ProtocolVersion = 5) => encodePacket(packet, version, 'server').length;

for (const store of storeKinds) {
  describe(`Maximum Packet Size, store: ${store}`, () => {
    test('[MQTT-3.2.2-15] ours: at it is read, one more is 0x95, 3.x is closed; others go on', () => {
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store, limits: { packetBytesMax: 1_000 } });
        const reader = world.connect({ clientId: 'reader' });
        reader.send(subscribe(1, 't'));
        reader.expect(suback(1, 0));
        const publisher = world.connect({ clientId: 'publisher', version });
        const room = 1_000 - sizeOf(publish({ topic: 't', payload: 'x'.repeat(200) }), version) + 200;
        const largest = publish({ topic: 't', payload: 'x'.repeat(room) });
        assert.equal(sizeOf(largest, version), 1_000);
        publisher.send(largest);
        reader.expect(largest);
        publisher.send({ ...largest, topic: 'tt' });
        publisher.expectDisconnected(ReasonCode.PacketTooLarge);
        reader.expectNothing();
        world.end();
      }
    });

    for (const qos of [0, 1, 2] as const) {
      for (const sessionExpiryInterval of [0, 1000]) {
        test(`[MQTT-3.1.2-24] [MQTT-3.1.2-25] theirs, QoS ${qos}, session ${sessionExpiryInterval} s: at it is sent, one more is dropped for that reader alone`, () => {
          const world = new World({ store });
          const packetId = qos === 0 ? 0 : 1;
          const fits = publish({ topic: 't', qos, packetId, payload: 'x'.repeat(100) });
          const tooLarge = publish({ topic: 't', qos, packetId, payload: 'x'.repeat(101) });
          const small = world.connect({
            clientId: 'small',
            properties: { sessionExpiryInterval, maximumPacketSize: sizeOf(fits), receiveMaximum: 1 },
          });
          const old = world.connect({ clientId: 'old', version: 4 });
          for (const reader of [small, old]) {
            reader.send(subscribe(1, { filter: 't', qos }));
            reader.expect(suback(1, qos));
          }
          const publisher = world.connect({ clientId: 'publisher' });
          publisher.publishWhole(tooLarge);
          small.expectNothing();
          old.receiveWhole(tooLarge);
          publisher.publishWhole(fits);
          old.receiveWhole({ ...fits, packetId: packetId * 2 });
          const got = small.take() as typeof fits;
          small.acknowledgeWhole(got);
          assert.equal(got.payload.length, 100);
          assert.equal(world.core.metrics.drops.get('packet-too-large'), 1);
          const [event] = world.takeEvents('dropped');
          assert.deepEqual(event?.clientId, 'small');
          assert.deepEqual(event?.reason, 'packet-too-large');
          assert.ok(!small.isClosed);
          world.end();
        });
      }
    }

    test('what waited, and what was in flight, is dropped when the next connection takes less', () => {
      const world = new World({ store });
      const lasting = (maximumPacketSize: number) => ({
        clientId: 'reader',
        cleanStart: false,
        properties: { sessionExpiryInterval: 1000, maximumPacketSize },
      });
      let reader = world.connect(lasting(10_000));
      reader.send(subscribe(1, { filter: 't', qos: 2 }));
      reader.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      const large = publish({ topic: 't', qos: 1, packetId: 1, payload: 'x'.repeat(500) });
      const small = publish({ topic: 't', qos: 1, packetId: 2, payload: 'x' });
      publisher.publishWhole(large);
      publisher.publishWhole(small);
      reader.expect(large, small);
      reader.drop();
      publisher.publishWhole({ ...large, qos: 2, packetId: 1 });
      publisher.publishWhole({ ...small, qos: 2, packetId: 1 });
      reader = world.connect(lasting(200));
      const packets = reader.takeAll() as (typeof small)[];
      assert.deepEqual(
        packets.map(({ qos, payload, dup }) => ({ qos, length: payload.length, dup })),
        [
          { qos: 1, length: 1, dup: true },
          { qos: 2, length: 1, dup: false },
        ],
      );
      for (const packet of packets) reader.acknowledgeWhole(packet);
      reader.drop();
      reader = world.connect(lasting(10_000));
      reader.expectNothing();
      assert.equal(world.core.metrics.drops.get('packet-too-large'), 2);
      world.end();
    });

    test('what its copy has more than others counts: identifiers, aliases', () => {
      const world = new World({ store });
      const message = publish({ topic: 't', payload: 'x'.repeat(100) });
      const size = sizeOf(message);
      const identified = world.connect({ clientId: 'identified', properties: { maximumPacketSize: size } });
      identified.send(subscribeWith(1, { subscriptionIdentifier: 1 }, 't'));
      identified.expect(suback(1, 0));
      const aliased = world.connect({
        clientId: 'aliased',
        properties: { maximumPacketSize: size, topicAliasMaximum: 1 },
      });
      aliased.send(subscribe(1, 't'));
      aliased.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      publisher.send(message);
      identified.expectNothing();
      aliased.expect(message); // No room for an alias: none.
      publisher.send(publish({ topic: 't', payload: 'x' }));
      identified.expect(publish({ topic: 't', payload: 'x', properties: { subscriptionIdentifiers: [1] } }));
      aliased.expect(publish({ topic: 't', payload: 'x', properties: { topicAlias: 1 } }));
      world.end();
    });

    test('[MQTT-3.1.2-25] a group: the member whose turn it is cannot take it, the next message goes on', () => {
      const world = new World({ store });
      const small = world.connect({ clientId: 'small', properties: { maximumPacketSize: 100 } });
      const other = world.connect({ clientId: 'other' });
      for (const member of [small, other]) {
        member.send(subscribe(1, { filter: '$share/g/t', qos: 1 }));
        member.expect(suback(1, 1));
      }
      const publisher = world.connect({ clientId: 'publisher' });
      for (const [packetId, length] of [200, 1, 1].entries()) {
        publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: packetId + 1, payload: 'x'.repeat(length) }));
      }
      other.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: 'x' }));
      const got = small.take() as ReturnType<typeof publish>;
      assert.equal(got.payload.length, 1);
      world.end();
    });

    test('retained messages, one of which is too large', () => {
      const world = new World({ store });
      const publisher = world.connect({ clientId: 'publisher' });
      for (const [topic, length] of [
        ['t/1', 10],
        ['t/2', 200],
        ['t/3', 10],
      ] as const) {
        publisher.send(publish({ topic, retain: true, payload: 'x'.repeat(length) }));
      }
      const reader = world.connect({ clientId: 'reader', properties: { maximumPacketSize: 100 } });
      reader.send(subscribe(1, { filter: 't/#', qos: 1 }));
      const kept = (topic: string) => publish({ topic, retain: true, payload: 'x'.repeat(10) });
      reader.expect(suback(1, 1), kept('t/1'), kept('t/3'));
      world.end();
    });

    test('acknowledgements fit into the least a client may allow', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client', properties: { maximumPacketSize: 60 } });
      client.send(subscribe(1, { filter: 't', qos: 1 }));
      client.expect(suback(1, 1));
      client.send(publish({ topic: 't', qos: 1, packetId: 1 }));
      client.expect(publish({ topic: 't', qos: 1, packetId: 1 }), puback(1));
      world.end();
    });
  });
}
