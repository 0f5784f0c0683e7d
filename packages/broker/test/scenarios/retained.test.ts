/** Retained messages: set, replaced, cleared, looked up, expired, within their limits. How they are replayed is retained-replay.test.ts. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, type QoS, ReasonCode } from '@pipit/protocol';
import { puback, publish, suback, subscribe } from './packets.ts';
import { type Client, retainedKinds, World, type WorldOptions } from './world.ts';

/** What a new subscriber to this filter is sent at once, at QoS 2 at most. */
function replayTo(world: World, filter: string, version: 3 | 4 | 5 = 5, qos: QoS = 0): Packet[] {
  const client = world.connect({ clientId: `reader of ${filter}`, version });
  client.send(subscribe(1, { filter, qos }));
  const [first, ...rest] = client.takeAll();
  assert.deepEqual(first, suback(1, qos));
  client.drop();
  return rest;
}

const topicsOf = (packets: readonly Packet[]) =>
  packets.map((packet) => ('topic' in packet ? packet.topic : '?')).sort();

for (const [store, limits, where] of retainedKinds) {
  describe(`retained, store: ${store}, values ${where}`, () => {
    function open(options: WorldOptions = {}): { world: World; publisher: Client; keep: Keep } {
      const world = new World({ store, ...options, limits: { ...limits, ...options.limits } });
      const publisher = world.connect({ clientId: 'publisher' });
      const keep: Keep = (topic, payload, more = {}) =>
        publisher.send(publish({ topic, payload, retain: true, ...more }));
      return { world, publisher, keep };
    }
    type Keep = (topic: string, payload: string, more?: object) => void;

    test('[MQTT-3.3.1-5] [MQTT-3.3.1-8] [MQTT3-3.3.1-8] the last one is kept, and sent with RETAIN 1', () => {
      for (const version of [3, 4, 5] as const) {
        const { world, keep } = open();
        keep('t', 'one');
        keep('t', 'two');
        assert.deepEqual(replayTo(world, 't', version), [publish({ topic: 't', payload: 'two', retain: true })]);
        world.end();
      }
    });

    test('[MQTT-3.3.1-9] [MQTT-3.3.1-12] a live subscriber gets it with RETAIN 0', () => {
      const { world, keep } = open();
      const live = world.connect({ clientId: 'live', version: 4 });
      live.send(subscribe(1, 't'));
      live.expect(suback(1, 0));
      keep('t', 'x');
      live.expect(publish({ topic: 't', payload: 'x' }));
      world.end();
    });

    test('a message without RETAIN changes nothing that is kept', () => {
      const { world, publisher, keep } = open();
      keep('t', 'kept');
      publisher.send(publish({ topic: 't', payload: 'passing' }), publish({ topic: 't' }));
      assert.deepEqual(replayTo(world, 't'), [publish({ topic: 't', payload: 'kept', retain: true })]);
      world.end();
    });

    test('[MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty payload clears it, goes to who is there, and is not kept', () => {
      const { world, publisher, keep } = open();
      const live = world.connect({ clientId: 'live' });
      live.send(subscribe(1, 't'));
      live.expect(suback(1, 0));
      keep('t', 'x');
      publisher.publishWhole(publish({ topic: 't', retain: true, qos: 1, packetId: 1 }));
      publisher.publishWhole(publish({ topic: 't', retain: true, qos: 2, packetId: 1 })); // There is nothing to clear.
      live.expect(publish({ topic: 't', payload: 'x' }), publish({ topic: 't' }), publish({ topic: 't' }));
      assert.deepEqual(replayTo(world, '#'), []);
      assert.equal(world.core.state.retained.count, 0);
      assert.equal(world.core.state.retained.bytes, 0);
      world.end();
    });

    test('at the lower QoS of stored and granted', () => {
      const { world, publisher } = open();
      for (const qos of [0, 1, 2] as const) {
        const packet = publish({ topic: `t/${qos}`, payload: 'x', retain: true, qos, packetId: qos });
        publisher.publishWhole(packet, qos === 0 ? 0 : 0x10);
      }
      for (const granted of [0, 1, 2] as const) {
        const got = replayTo(world, 't/+', 4, granted).map((packet) => ('qos' in packet ? packet.qos : -1));
        assert.deepEqual(got, [0, Math.min(1, granted), Math.min(2, granted)]);
      }
      world.end();
    });

    test('wildcards find what they match, $ topics only by name', () => {
      const { world, keep } = open();
      for (const topic of ['a', 'a/b', 'a/b/c', 'a//c', '/', '/a', '$x', '$x/a', 'b', '\uFEFFa']) keep(topic, 'x');
      const found = (filter: string) => topicsOf(replayTo(world, filter));
      assert.deepEqual(found('#'), ['/', '/a', 'a', 'a/b', 'a/b/c', 'a//c', 'b', '\uFEFFa'].sort());
      assert.deepEqual(found('+'), ['a', 'b', '\uFEFFa']);
      assert.deepEqual(found('a/#'), ['a', 'a/b', 'a/b/c', 'a//c'].sort());
      assert.deepEqual(found('a/+'), ['a/b']);
      assert.deepEqual(found('a/+/c'), ['a//c', 'a/b/c']);
      assert.deepEqual(found('+/+'), ['/', '/a', 'a/b']);
      assert.deepEqual(found('+/b/#'), ['a/b', 'a/b/c']);
      assert.deepEqual(found('$x/#'), ['$x', '$x/a']);
      assert.deepEqual(found('$x/+'), ['$x/a']);
      assert.deepEqual(found('+/a'), ['/a']);
      assert.deepEqual(found('a/b'), ['a/b']);
      assert.deepEqual(found('nothing/#'), []);
      world.end();
    });

    test('looking up costs what matches, not what there is', () => {
      const { world, publisher } = open({ limits: { turnDeliveriesMax: 50 } });
      const packets = Array.from({ length: 3_000 }, (_, i) =>
        publish({ topic: `other/${i}/x`, payload: 'x', retain: true }),
      );
      publisher.send(...packets, publish({ topic: 'mine/1/x', payload: 'x', retain: true }));
      const reader = world.connect({ clientId: 'reader' });
      const before = world.turns;
      reader.send(subscribe(1, 'mine/+/x'));
      reader.expect(suback(1, 0), publish({ topic: 'mine/1/x', payload: 'x', retain: true }));
      assert.ok(world.turns - before < 10);
      world.end();
    });

    test('a retained message that matches two subscriptions of one packet is sent for each', () => {
      const { world, keep } = open();
      keep('t', 'x');
      const client = world.connect({ clientId: 'client' });
      client.send(subscribe(1, 't', '#'));
      const kept = publish({ topic: 't', payload: 'x', retain: true });
      client.expect(suback(1, 0, 0), kept, kept);
      world.end();
    });

    test('[MQTT-3.3.2-5] [MQTT-3.3.2-6] it expires, and is counted down until then', () => {
      const { world, keep } = open();
      keep('t', 'x', { properties: { messageExpiryInterval: 100 } });
      world.advance(40_000);
      const left = publish({ topic: 't', payload: 'x', retain: true, properties: { messageExpiryInterval: 60 } });
      assert.deepEqual(replayTo(world, 't'), [left]);
      assert.equal(replayTo(world, 't', 4).length, 1);
      world.advance(59_000);
      assert.equal(replayTo(world, 't').length, 1);
      world.advance(1_000);
      assert.deepEqual(replayTo(world, 't'), []);
      assert.equal(world.core.state.retained.count, 0);
      world.end();
    });

    test('replaced before it expires, the new one has its own time', () => {
      const { world, keep } = open();
      keep('t', 'short', { properties: { messageExpiryInterval: 10 } });
      world.advance(5_000);
      keep('t', 'for ever');
      world.advance(1_000_000);
      assert.deepEqual(replayTo(world, 't'), [publish({ topic: 't', payload: 'for ever', retain: true })]);
      world.end();
    });

    test('a lifetime of the server caps all of them, and adds no property', () => {
      const { world, keep } = open({ limits: { retainedExpiryMax: 10 } });
      keep('for ever', 'x');
      keep('long', 'x', { properties: { messageExpiryInterval: 1000 } });
      keep('short', 'x', { properties: { messageExpiryInterval: 5 } });
      world.advance(6_000);
      const properties = { messageExpiryInterval: 994 };
      const left = [
        publish({ topic: 'for ever', payload: 'x', retain: true }),
        publish({ topic: 'long', payload: 'x', retain: true, properties }),
      ];
      assert.deepEqual(replayTo(world, '#'), left);
      world.advance(4_000);
      assert.deepEqual(replayTo(world, '#'), []);
      world.end();
    });

    test('as many as there may be, and one more: refused whole, counted and told; replacing goes on', () => {
      const { world, publisher, keep } = open({ limits: { retainedMessagesMax: 2 } });
      const live = world.connect({ clientId: 'live' });
      live.send(subscribe(1, 'c'));
      live.expect(suback(1, 0));
      keep('a', 'x');
      keep('b', 'x');
      publisher.send(publish({ topic: 'c', qos: 1, packetId: 1, retain: true, payload: 'x' }));
      publisher.expect(puback(1, ReasonCode.QuotaExceeded));
      live.expectNothing();
      keep('b', 'y');
      assert.deepEqual(topicsOf(replayTo(world, '#')), ['a', 'b']);
      assert.deepEqual(replayTo(world, 'b'), [publish({ topic: 'b', payload: 'y', retain: true })]);
      const told = world.takeEvents('publish-refused').map(({ reason, topic, count }) => ({ reason, topic, count }));
      assert.deepEqual(told, [{ reason: 'no more messages can be retained', topic: 'c', count: 1 }]);
      keep('a', '');
      keep('c', 'now');
      live.expect(publish({ topic: 'c', payload: 'now' }));
      assert.deepEqual(topicsOf(replayTo(world, '#')), ['b', 'c']);
      world.end();
    });

    test('as many bytes as there may be, and one more', () => {
      // Topic (with its length), payload, 128 bytes for every message, and 48 for every level.
      const { world, keep } = open({ limits: { retainedBytesMax: 3 + 100 + 128 + 48 + (3 + 10 + 128 + 48) } });
      keep('a', 'x'.repeat(100));
      keep('b', 'x'.repeat(11));
      assert.deepEqual(topicsOf(replayTo(world, '#')), ['a']);
      keep('b', 'x'.repeat(10));
      assert.deepEqual(topicsOf(replayTo(world, '#')), ['a', 'b']);
      world.end();
    });

    test('with RETAIN not available: 0x9A', () => {
      const world = new World({
        store,
        authority: () => ({ outcome: 'accept', principal: null, capabilities: { retain: false } }),
      });
      const client = world.connect({ clientId: 'client' });
      client.send(publish({ topic: 't', retain: true, payload: 'x' }));
      client.expectDisconnected(0x9a);
      assert.deepEqual(replayTo(world, '#'), []);
      world.end();
    });
  });
}

describe('retained $SYS topics', () => {
  test('# and + do not reach them, $SYS/# does; nobody else writes there', () => {
    const world = new World({ sysIntervalMs: 1_000, version: '1.2.3' });
    world.advance(2_000);
    assert.deepEqual(replayTo(world, '#'), []);
    assert.deepEqual(replayTo(world, '+/broker/version'), []);
    const found = topicsOf(replayTo(world, '$SYS/#'));
    assert.ok(found.includes('$SYS/broker/version'));
    const client = world.connect({ clientId: 'client' });
    client.publishWhole(publish({ topic: '$SYS/broker/version', qos: 1, packetId: 1, retain: true }), 0x87);
    assert.equal(replayTo(world, '$SYS/broker/version').length, 1);
    world.end();
  });
});
