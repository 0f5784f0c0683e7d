/** No Local: a client does not get what it published itself, live, queued or retained. */

import { deepEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, ReasonCode } from '@pipit/protocol';
import { publish, suback, subscribe } from './packets.ts';
import { storeKinds, text, World } from './world.ts';

/** A SUBACK that waits for the disk may come behind the retained messages. */
function equalAnyOrder(actual: readonly Packet[], expected: readonly Packet[]): void {
  const sorted = (packets: readonly Packet[]) => packets.map((packet) => JSON.stringify(shown(packet))).sort();
  deepEqual(sorted(actual), sorted(expected));
}

function shown(packet: Packet): unknown {
  const keys = Object.keys(packet).sort() as (keyof Packet)[];
  return keys.map((key) => [
    key,
    (packet[key] as unknown) instanceof Uint8Array ? [...(packet[key] as never)] : packet[key],
  ]);
}

for (const store of storeKinds) {
  describe(`No Local, store: ${store}`, () => {
    test('[MQTT-3.8.3-3] its own messages are kept from it, those of others are not', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client' });
      const other = world.connect({ clientId: 'other' });
      for (const each of [client, other]) {
        each.send(subscribe(1, { filter: 't', qos: 1, noLocal: each === client }));
        each.expect(suback(1, 1));
      }
      client.send(publish({ topic: 't', payload: 'mine' }));
      client.expectNothing();
      other.expect(publish({ topic: 't', payload: 'mine' }));
      other.send(publish({ topic: 't', payload: 'theirs' }));
      for (const each of [client, other]) each.expect(publish({ topic: 't', payload: 'theirs' }));
      world.end();
    });

    test('with nobody else there, its own message matches nobody: 0x10', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client' });
      client.send(subscribe(1, { filter: 't', qos: 1, noLocal: true }));
      client.expect(suback(1, 1));
      client.publishWhole(publish({ topic: 't', qos: 1, packetId: 1 }), ReasonCode.NoMatchingSubscribers);
      world.end();
    });

    test('it is the client id that counts: not what it published on an earlier connection, queued or retained', () => {
      const world = new World({ store });
      const lasting = { clientId: 'client', cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      let client = world.connect(lasting);
      client.send(publish({ topic: 't/mine', retain: true, payload: 'mine' }));
      const other = world.connect({ clientId: 'other' });
      other.send(publish({ topic: 't/theirs', retain: true, payload: 'theirs' }));
      client.drop();
      client = world.connect(lasting);
      client.send(subscribe(1, { filter: 't/#', noLocal: true }));
      const replay = publish({ topic: 't/theirs', retain: true, payload: 'theirs' });
      const got = client.takeAll();
      other.send(publish({ topic: 't/theirs', retain: true, payload: 'later' }));
      client.expect(publish({ topic: 't/theirs', payload: 'later' }));
      client.send(subscribe(2, { filter: 't/#', noLocal: false }));
      const again = client.takeAll();
      equalAnyOrder(got, [suback(1, 0), replay]);
      equalAnyOrder(again, [
        suback(2, 0),
        publish({ topic: 't/mine', retain: true, payload: 'mine' }),
        { ...replay, payload: text('later') },
      ]);
      world.end();
    });

    test('[MQTT-3.8.3-4] on a shared subscription it is 0x82, and nothing of the packet is subscribed', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'client', properties: { sessionExpiryInterval: 100 } });
      const filter = text('$share/g/t');
      client.sendRaw(Uint8Array.from([0x82, 6 + filter.length, 0, 1, 0, 0, filter.length, ...filter, 4]));
      client.expectDisconnected(ReasonCode.ProtocolError);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 1 }), ReasonCode.NoMatchingSubscribers);
      world.end();
    });
  });
}
