/** Message Expiry Interval: forwarded, counted down while it waits, the end of what waits too long. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { puback, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const lasting = { clientId: 'reader', cleanStart: false, properties: { sessionExpiryInterval: 10_000 } } as const;

for (const store of storeKinds) {
  describe(`message expiry, store: ${store}`, () => {
    function open(): { world: World; publisher: Client; away: Client } {
      const world = new World({ store });
      const publisher = world.connect({ clientId: 'publisher' });
      const away = world.connect(lasting);
      away.send(subscribe(1, { filter: 't', qos: 2 }));
      away.expect(suback(1, 2));
      return { world, publisher, away };
    }

    const expiring = (payload: string, messageExpiryInterval: number, packetId = 1, qos: 1 | 2 = 1) =>
      publish({ topic: 't', qos, packetId, payload, properties: { messageExpiryInterval } });

    test('[MQTT-3.3.2-6] forwarded as it is to who is there, whatever it is', () => {
      const { world, publisher, away } = open();
      for (const [i, interval] of [1, 0, 100, 0xffff_ffff].entries()) {
        publisher.publishWhole(expiring('x', interval));
        away.receiveWhole(expiring('x', interval, i + 1));
        publisher.send({ ...expiring('zero', interval, 0), qos: 0 });
        away.expect({ ...expiring('zero', interval, 0), qos: 0 });
      }
      world.end();
    });

    test('[MQTT-3.3.2-6] counted down in the queue, rounded up to whole seconds', () => {
      const { world, publisher, away } = open();
      away.drop();
      publisher.publishWhole(expiring('x', 100));
      world.advance(40_000);
      publisher.publishWhole(expiring('y', 100));
      world.advance(20_500);
      const reader = world.connect(lasting);
      reader.expect(expiring('x', 40, 1), expiring('y', 80, 2));
      world.end();
    });

    test('[MQTT-3.3.2-5] what expires in the queue is not sent, counted and told; the rest is', () => {
      const { world, publisher, away } = open();
      away.drop();
      publisher.publishWhole(expiring('gone', 10));
      publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, payload: 'stays' }));
      publisher.publishWhole(expiring('gone, too', 10, 1, 2));
      publisher.publishWhole(expiring('just', 11));
      world.advance(10_000);
      const reader = world.connect(lasting);
      reader.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: 'stays' }), expiring('just', 1, 2));
      assert.equal(world.core.metrics.drops.get('expired'), 2);
      assert.deepEqual(
        world.takeEvents('dropped').map(({ reason, clientId }) => ({ reason, clientId })),
        [{ reason: 'expired', clientId: 'reader' }],
      );
      world.end();
    });

    test('[MQTT-3.3.2-5] the same behind a window that is full', () => {
      const { world, publisher, away } = open();
      away.drop();
      const reader = world.connect({ ...lasting, properties: { ...lasting.properties, receiveMaximum: 1 } });
      publisher.publishWhole(expiring('first', 10));
      publisher.publishWhole(expiring('gone', 10));
      publisher.publishWhole(expiring('left', 100));
      reader.expect(expiring('first', 10));
      world.advance(30_000);
      reader.send(puback(1));
      reader.expect(expiring('left', 70, 2));
      world.end();
    });

    test('0: for who is there, never queued', () => {
      const { world, publisher, away } = open();
      publisher.publishWhole(expiring('here', 0));
      away.receiveWhole(expiring('here', 0));
      away.drop();
      publisher.publishWhole(expiring('away', 0));
      const reader = world.connect(lasting);
      reader.expectNothing();
      assert.equal(world.core.metrics.drops.get('expired'), 1);
      world.end();
    });

    test('[MQTT-4.3.3-7] what was sent is kept, however long it takes: the interval stops at 0', () => {
      const { world, publisher, away } = open();
      publisher.publishWhole(expiring('one', 10, 1));
      publisher.publishWhole(expiring('two', 10, 2, 2));
      publisher.publishWhole(expiring('three', 10, 3, 2));
      away.expect(expiring('one', 10, 1), expiring('two', 10, 2, 2), expiring('three', 10, 3, 2));
      away.send(pubrec(2));
      away.expect(pubrel(2));
      world.advance(4_000);
      away.drop();
      let reader = world.connect(lasting);
      const again = [{ ...expiring('one', 6, 1), dup: true }, pubrel(2), { ...expiring('three', 6, 3, 2), dup: true }];
      reader.expect(...again);
      world.advance(60_000);
      reader.drop();
      reader = world.connect(lasting);
      reader.expect({ ...expiring('one', 0, 1), dup: true }, pubrel(2), { ...expiring('three', 0, 3, 2), dup: true });
      world.end();
    });

    test('it ends what waits for a 3.x reader, too, which is not told of it', () => {
      const { world, publisher } = open();
      const old = { clientId: 'old', version: 4, cleanStart: false } as const;
      const first = world.connect(old);
      first.send(subscribe(1, { filter: 'o', qos: 1 }));
      first.expect(suback(1, 1));
      first.drop();
      publisher.publishWhole({ ...expiring('gone', 10), topic: 'o' });
      publisher.publishWhole({ ...expiring('left', 100), topic: 'o' });
      world.advance(10_000);
      const second = world.connect(old);
      second.expect(publish({ topic: 'o', qos: 1, packetId: 1, payload: 'left' }));
      world.end();
    });

    test('among other properties, in front of and behind them', () => {
      const { world, publisher, away } = open();
      away.drop();
      // Content Type "a", the interval, User Property "k" = "v".
      publisher.sendRaw('3216 0001 74 0007 10 03 0001 61 02 00000064 26 0001 6b 0001 76');
      publisher.expect(puback(7));
      world.advance(30_000);
      const reader = world.connect(lasting);
      reader.expect(
        publish({
          topic: 't',
          qos: 1,
          packetId: 1,
          properties: { contentType: 'a', messageExpiryInterval: 70, userProperties: [['k', 'v']] },
        }),
      );
      world.end();
    });
  });
}

for (const store of ['instant', 'late', 'failing'] as const) {
  test(`a restart counts the time that it took, store: ${store}`, () => {
    const before = new World({ store });
    const reader = before.connect(lasting);
    reader.send(subscribe(1, { filter: 't', qos: 1 }));
    reader.expect(suback(1, 1));
    reader.drop();
    const publisher = before.connect({ clientId: 'publisher' });
    for (const interval of [10, 100]) {
      publisher.publishWhole(
        publish({ topic: 't', qos: 1, packetId: 1, properties: { messageExpiryInterval: interval } }),
      );
    }
    before.advance(30_000);
    const world = new World({ store, after: before });
    const resumed = world.connect(lasting);
    resumed.expect(publish({ topic: 't', qos: 1, packetId: 1, properties: { messageExpiryInterval: 70 } }));
    world.end();
  });
}
