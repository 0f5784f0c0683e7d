/** Every QoS published against every QoS granted, from and to every version. */

import { describe, test } from 'node:test';
import type { ProtocolVersion, QoS } from '@pipit/protocol';
import { publish, suback, subscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

const versions: readonly ProtocolVersion[] = [3, 4, 5];
const levels: readonly QoS[] = [0, 1, 2];

for (const store of storeKinds) {
  describe(`QoS, store: ${store}`, () => {
    for (const from of versions) {
      for (const to of versions) {
        test(`[MQTT-3.8.4-8] [MQTT3-3.8.4-6] delivered at the lower of published and granted, ${from} to ${to}`, () => {
          const world = new World({ store });
          const publisher = world.connect({ clientId: 'publisher', version: from });
          for (const granted of levels) {
            const subscriber = world.connect({ clientId: `subscriber-${granted}`, version: to });
            subscriber.send(subscribe(1, { filter: `t/${granted}/+`, qos: granted }));
            subscriber.expect(suback(1, granted)); // [MQTT-3.8.4-7]
            let lastId = 0;
            for (const published of levels) {
              const topic = `t/${granted}/${published}`;
              const packetId = published === 0 ? 0 : 40 + published;
              publisher.publishWhole(publish({ topic, qos: published, packetId, payload: `at ${published}` }));
              const qos = Math.min(published, granted) as QoS;
              const id = qos === 0 ? 0 : ++lastId;
              subscriber.receiveWhole(publish({ topic, qos, packetId: id, payload: `at ${published}` }));
            }
          }
          world.end();
        });
      }
    }

    test('[MQTT-3.3.1-3] DUP of the publisher is not passed on', () => {
      for (const version of versions) {
        const world = new World({ store });
        const subscriber = world.connect({ clientId: 'subscriber', version });
        subscriber.send(subscribe(1, { filter: 't', qos: 2 }));
        subscriber.expect(suback(1, 2));
        const publisher = world.connect({ clientId: 'publisher', version });
        for (const qos of [1, 2] as const) {
          publisher.publishWhole(publish({ topic: 't', qos, packetId: qos, dup: true, payload: 'x' }));
          subscriber.receiveWhole(publish({ topic: 't', qos, packetId: qos, payload: 'x' }));
        }
        world.end();
      }
    });

    test('a session that lasts gets the same, online and away', () => {
      const world = new World({ store });
      const publisher = world.connect({ clientId: 'publisher' });
      for (const granted of levels) {
        const clientId = `lasting-${granted}`;
        let subscriber = world.connect({ clientId, version: 4, cleanStart: false });
        subscriber.send(subscribe(1, { filter: `t/${granted}`, qos: granted }));
        subscriber.expect(suback(1, granted));
        let lastId = 0;
        for (const published of levels) {
          const packetId = published === 0 ? 0 : 40 + published;
          const message = publish({ topic: `t/${granted}`, qos: published, packetId, payload: 'online' });
          publisher.publishWhole(message);
          const qos = Math.min(published, granted) as QoS;
          subscriber.receiveWhole({ ...message, qos, packetId: qos === 0 ? 0 : ++lastId });
        }
        subscriber.drop();
        for (const published of levels) {
          const packetId = published === 0 ? 0 : 40 + published;
          publisher.publishWhole(
            publish({ topic: `t/${granted}`, qos: published, packetId, payload: `away ${published}` }),
          );
        }
        subscriber = world.connect({ clientId, version: 4, cleanStart: false });
        const waited = levels.filter((published) => Math.min(published, granted) > 0);
        const expected = waited.map((published) => {
          const qos = Math.min(published, granted) as QoS;
          return publish({ topic: `t/${granted}`, qos, packetId: ++lastId, payload: `away ${published}` });
        });
        subscriber.expect(...expected);
        for (const packet of expected) subscriber.acknowledgeWhole(packet);
        subscriber.drop();
        subscriber = world.connect({ clientId, version: 4, cleanStart: false });
        subscriber.expectNothing();
      }
      world.end();
    });
  });
}
