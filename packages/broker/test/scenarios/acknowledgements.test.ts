/** What a subscriber's acknowledgements do: the right ones, those of the wrong kind, unknown ones, refusals. */

import { describe, test } from 'node:test';
import { type Packet, ReasonCode } from '@pipit/protocol';
import { puback, pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

for (const store of storeKinds) {
  describe(`acknowledgements, store: ${store}`, () => {
    /** A world with one message of this QoS, packet id 1, sent to `subscriber` and not acknowledged. */
    function inFlight(qos: 1 | 2, version: 3 | 4 | 5): { world: World; publisher: Client; subscriber: Client } {
      const world = new World({ store });
      const subscriber = world.connect({ clientId: 'subscriber', version });
      subscriber.send(subscribe(1, { filter: 't', qos }));
      subscriber.expect(suback(1, qos));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(publish({ topic: 't', qos, packetId: 5, payload: 'x' }));
      subscriber.expect(publish({ topic: 't', qos, packetId: 1, payload: 'x' }));
      return { world, publisher, subscriber };
    }

    const wrong: readonly [1 | 2, string, Packet][] = [
      [1, 'PUBREC', pubrec(1)],
      [1, 'PUBCOMP', pubcomp(1)],
      [2, 'PUBACK', puback(1)],
      [2, 'PUBCOMP', pubcomp(1)],
    ];
    for (const [qos, name, packet] of wrong) {
      test(`[MQTT-4.13.1-1] ${name} for a QoS ${qos} message: 0x82, 3.x is closed; others go on`, () => {
        for (const version of [3, 4, 5] as const) {
          const { world, publisher, subscriber } = inFlight(qos, version);
          const other = world.connect({ clientId: 'other' });
          other.send(subscribe(1, 't'));
          other.expect(suback(1, 0));
          subscriber.send(packet);
          subscriber.expectDisconnected(ReasonCode.ProtocolError);
          publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 6, payload: 'y' }));
          other.expect(publish({ topic: 't', payload: 'y' }));
          world.end();
        }
      });
    }

    test('PUBACK after PUBREC: 0x82', () => {
      const { world, subscriber } = inFlight(2, 5);
      subscriber.send(pubrec(1));
      subscriber.expect(pubrel(1));
      subscriber.send(puback(1));
      subscriber.expectDisconnected(ReasonCode.ProtocolError);
      world.end();
    });

    test('PUBREC for an unknown id is answered PUBREL 0x92; PUBACK and PUBCOMP are ignored', () => {
      for (const version of [3, 4, 5] as const) {
        const { world, publisher, subscriber } = inFlight(1, version);
        subscriber.send(pubrec(77), puback(78), pubcomp(79));
        subscriber.expect(pubrel(77, version === 5 ? ReasonCode.PacketIdentifierNotFound : 0));
        subscriber.send(puback(1));
        publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 6, payload: 'y' }));
        subscriber.receiveWhole(publish({ topic: 't', qos: 1, packetId: 2, payload: 'y' }));
        subscriber.send(puback(2)); // A second time: unknown by now.
        subscriber.expectNothing();
        world.end();
      }
    });

    test('5.0 acknowledgements in their long forms do the same', () => {
      const { world, subscriber } = inFlight(2, 5);
      const properties = { reasonString: 'fine', userProperties: [['a', 'b']] as [string, string][] };
      subscriber.send({ ...pubrec(1), properties } as Packet);
      subscriber.expect(pubrel(1));
      subscriber.sendRaw('7003 0001 00');
      subscriber.sendRaw('7004 0001 92 00'); // Once more: unknown by now.
      subscriber.expectNothing();
      world.end();
    });

    test('[MQTT-4.3.3-4] a repeated PUBREC is answered with PUBREL again', () => {
      const { world, subscriber } = inFlight(2, 5);
      subscriber.send(pubrec(1), pubrec(1));
      subscriber.expect(pubrel(1), pubrel(1));
      subscriber.send(pubcomp(1));
      world.end();
    });

    test('[MQTT-4.3.3-4] PUBREC with 0x80 or more ends the exchange: no PUBREL, and it is not sent again', () => {
      const world = new World({ store });
      const lasting = { clientId: 'subscriber', properties: { sessionExpiryInterval: 1000, receiveMaximum: 1 } };
      let subscriber = world.connect(lasting);
      subscriber.send(subscribe(1, { filter: 't', qos: 2 }));
      subscriber.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(publish({ topic: 't', qos: 2, packetId: 5, payload: 'refused' }));
      publisher.publishWhole(publish({ topic: 't', qos: 2, packetId: 6, payload: 'next' }));
      subscriber.expect(publish({ topic: 't', qos: 2, packetId: 1, payload: 'refused' }));
      // The slot of Receive Maximum is free with it (4.9).
      subscriber.send(pubrec(1, ReasonCode.QuotaExceeded));
      subscriber.expect(publish({ topic: 't', qos: 2, packetId: 2, payload: 'next' }));
      subscriber.drop();
      subscriber = world.connect({ ...lasting, cleanStart: false });
      const again = publish({ topic: 't', qos: 2, packetId: 2, payload: 'next', dup: true });
      subscriber.receiveWhole(again);
      world.end();
    });

    test('PUBACK with 0x80 or more ends it, too', () => {
      const world = new World({ store });
      const lasting = { clientId: 'subscriber', properties: { sessionExpiryInterval: 1000 } };
      let subscriber = world.connect(lasting);
      subscriber.send(subscribe(1, { filter: 't', qos: 1 }));
      subscriber.expect(suback(1, 1));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 5 }));
      subscriber.expect(publish({ topic: 't', qos: 1, packetId: 1 }));
      subscriber.send(puback(1, ReasonCode.ImplementationSpecificError));
      subscriber.drop();
      subscriber = world.connect({ ...lasting, cleanStart: false });
      subscriber.expectNothing();
      world.end();
    });
  });
}
