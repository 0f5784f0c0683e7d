/** Payloads that are copied and payloads that travel by reference reach every reader whole. */

import { describe, test } from 'node:test';
import { type QoS, ReasonCode } from '@pipit/protocol';
import { publish, suback, subscribe, subscribeWith } from './packets.ts';
import { storeKinds, World } from './world.ts';

const kB = 1024;
const noSubscribers = ReasonCode.NoMatchingSubscribers;
/** On both sides of where a payload travels by reference, of a slab's size classes, and of a turn's usual read. */
const sizes = [31 * kB, 32 * kB - 1, 32 * kB, 33 * kB, 64 * kB, 256 * kB, kB * kB] as const;

const noise = new Uint8Array(kB * kB);
for (let i = 0, state = 1; i < noise.length; i++) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  noise[i] = state >>> 16;
}

/** No two places in it look alike, and no two of these. */
function payloadOf(size: number, number: number): Uint8Array {
  const payload = noise.slice(0, size);
  payload[0] = number;
  payload[size - 1] = number;
  return payload;
}

for (const store of storeKinds) {
  describe(`large payloads, store: ${store}`, () => {
    for (const from of [4, 5] as const) {
      for (const qos of [0, 1, 2] as const) {
        test(`QoS ${qos} from version ${from} to readers of all versions, twice over`, () => {
          const world = new World({ store });
          const readers = [
            world.connect({ clientId: 'v3', version: 3 }),
            world.connect({ clientId: 'v4', version: 4, cleanStart: false }),
            world.connect({ clientId: 'v5' }),
            world.connect({ clientId: 'lasting', properties: { sessionExpiryInterval: 100 } }),
            world.connect({ clientId: 'aliased', properties: { topicAliasMaximum: 1 } }),
          ];
          for (const reader of readers) {
            reader.send(subscribe(1, { filter: 't', qos }));
            reader.expect(suback(1, qos));
          }
          const identified = world.connect({ clientId: 'identified' });
          identified.send(subscribeWith(1, { subscriptionIdentifier: 7 }, { filter: 't', qos }));
          identified.expect(suback(1, qos));
          const publisher = world.connect({ clientId: 'publisher', version: from });
          let round = 0;
          for (const size of [...sizes, ...sizes.slice(0, 5)]) {
            round++;
            const payload = payloadOf(size, round);
            const packet = publish({ topic: 't', qos, packetId: qos === 0 ? 0 : 3, payload });
            publisher.publishWhole(packet);
            const expected = { ...packet, packetId: qos === 0 ? 0 : round };
            for (const reader of readers.slice(0, 4)) reader.receiveWhole(expected);
            const aliased = readers[4] as (typeof readers)[number];
            const topic = round === 1 ? 't' : '';
            aliased.receiveWhole({ ...expected, topic, properties: { topicAlias: 1 } });
            identified.receiveWhole({ ...expected, properties: { subscriptionIdentifiers: [7] } });
          }
          world.end();
        });
      }
    }

    test('to one reader alone, whose copy differs from what came in', () => {
      const world = new World({ store });
      const aliased = world.connect({ clientId: 'aliased', properties: { topicAliasMaximum: 1 } });
      aliased.send(subscribe(1, 'a'));
      aliased.expect(suback(1, 0));
      const identified = world.connect({ clientId: 'identified' });
      identified.send(subscribeWith(1, { subscriptionIdentifier: 7 }, 'i'));
      identified.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const [i, size] of sizes.entries()) {
        const payload = payloadOf(size, i + 1);
        publisher.send(publish({ topic: 'a', payload }), publish({ topic: 'i', payload }));
        aliased.expect(publish({ topic: i === 0 ? 'a' : '', payload, properties: { topicAlias: 1 } }));
        identified.expect(publish({ topic: 'i', payload, properties: { subscriptionIdentifiers: [7] } }));
      }
      world.end();
    });

    test('a slow reader gets what was published, not what came after it', () => {
      const world = new World({ store });
      const slow = world.connect({ clientId: 'slow' });
      const fast = world.connect({ clientId: 'fast', version: 4 });
      for (const reader of [slow, fast]) {
        reader.send(subscribe(1, 't'));
        reader.expect(suback(1, 0));
      }
      const publisher = world.connect({ clientId: 'publisher' });
      slow.freeze();
      const packets = sizes.slice(0, 6).map((size, i) => publish({ topic: 't', payload: payloadOf(size, i + 1) }));
      for (const packet of packets) {
        publisher.send(packet);
        fast.expect(packet);
      }
      slow.thaw();
      slow.expect(...packets);
      world.end();
    });

    test('retained, and queued for a session that is away', () => {
      const world = new World({ store });
      const away = world.connect({ clientId: 'away', version: 4, cleanStart: false });
      away.send(subscribe(1, { filter: 'q/#', qos: 1 }));
      away.expect(suback(1, 1));
      away.drop();
      const publisher = world.connect({ clientId: 'publisher' });
      for (const [i, size] of sizes.entries()) {
        const payload = payloadOf(size, i + 1);
        publisher.publishWhole(publish({ topic: `r/${i}`, qos: 1, packetId: 1, retain: true, payload }), noSubscribers);
        publisher.publishWhole(publish({ topic: `q/${i}`, qos: 1, packetId: 1, payload }));
      }
      const late = world.connect({ clientId: 'late', version: 4 });
      late.send(subscribe(1, 'r/#'));
      const resumed = world.connect({ clientId: 'away', version: 4, cleanStart: false });
      const all = (prefix: string, qos: QoS) =>
        sizes.map((size, i) => {
          const packetId = qos === 0 ? 0 : i + 1;
          return publish({
            topic: `${prefix}/${i}`,
            qos,
            packetId,
            retain: qos === 0,
            payload: payloadOf(size, i + 1),
          });
        });
      late.expect(suback(1, 0), ...all('r', 0));
      resumed.expect(...all('q', 1));
      world.end();
    });
  });
}
