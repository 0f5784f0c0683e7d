/** The packet identifiers the broker gives: in sequence, never 0, never one in use. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, PacketType } from '@pipit/protocol';
import { puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

function packetIds(packets: readonly Packet[]): number[] {
  return packets.map((packet) => (packet.type === PacketType.Publish ? packet.packetId : -1));
}

/** Publishes `count` messages at QoS 1. */
function flood(publisher: Client, count: number): void {
  const packets = Array.from({ length: count }, (_, i) => publish({ topic: 't', qos: 1, packetId: i + 1 }));
  publisher.send(...packets);
  assert.equal(publisher.takeAll().length, count);
}

for (const store of storeKinds) {
  describe(`packet ids, store: ${store}`, () => {
    test('[MQTT-2.2.1-3] [MQTT-2.2.1-4] ids go round at 65,535 without 0 and without one in use', () => {
      const world = new World({ store });
      const subscriber = world.connect({ clientId: 'subscriber', version: 4 });
      subscriber.send(subscribe(1, { filter: 't', qos: 1 }));
      subscriber.expect(suback(1, 1));
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      let expected = 1;
      for (let sent = 0; sent < 66_000; sent += 1_000) {
        flood(publisher, 1_000);
        const ids = packetIds(subscriber.takeAll());
        assert.equal(ids.length, 1_000);
        for (const id of ids) {
          assert.equal(id, expected);
          expected = expected === 65_535 ? 1 : expected + 1;
        }
        subscriber.send(...ids.map((id) => puback(id)));
      }
      assert.equal(expected, 466);
      world.end();
    });

    test('an id not acknowledged is not given again: the line waits for it, and goes on with it', () => {
      const world = new World({ store });
      const subscriber = world.connect({ clientId: 'subscriber', version: 4 });
      subscriber.send(subscribe(1, { filter: 't', qos: 1 }));
      subscriber.expect(suback(1, 1));
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      const given: number[] = [];
      for (let sent = 0; sent < 66_000; sent += 500) {
        flood(publisher, 500);
        const ids = packetIds(subscriber.takeAll());
        given.push(...ids);
        subscriber.send(...ids.filter((id) => id !== 1).map((id) => puback(id)));
      }
      given.push(...packetIds(subscriber.takeAll()));
      assert.equal(given.length, 65_535);
      assert.equal(new Set(given).size, 65_535);
      subscriber.send(puback(1));
      const rest = packetIds(subscriber.takeAll());
      assert.deepEqual(
        rest,
        Array.from({ length: 465 }, (_, i) => i + 1),
      );
      world.end();
    });
  });
}
