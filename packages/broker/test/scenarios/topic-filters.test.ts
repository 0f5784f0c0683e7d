/** Which topics a filter matches, which filters and topics are not valid, and how long they may be. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { puback, publish, suback, subscribe, unsuback, unsubscribe } from './packets.ts';
import { storeKinds, text, World } from './world.ts';

/** filter: topics it matches | topics it does not. */
const table: readonly [filter: string, matched: readonly string[], unmatched: readonly string[]][] = [
  ['a', ['a'], ['A', 'b', 'a/', '/a', 'a/b', 'aa']],
  ['a/b', ['a/b'], ['a', 'a/b/', 'a/b/c', 'A/b', 'a/B', 'a//b']],
  ['#', ['a', 'a/b', '/', '//', '/a', ' ', 'a/$SYS'], ['$x', '$x/a', '$SYS/x']],
  ['+', ['a', ' ', 'ä'], ['a/b', '/', '/a', '$x']],
  ['+/+', ['/a', 'a/', '/', 'a/b'], ['a', 'a/b/c', '$x/a']],
  ['/+', ['/a', '/', '/$x'], ['a', 'a/b', '/a/b']],
  ['a/#', ['a', 'a/', 'a/b', 'a/b/c', 'a//', 'a/$x'], ['b', 'aa', 'A', '/a']],
  ['a/+', ['a/b', 'a/'], ['a', 'a/b/c', 'a/b/']],
  ['a/+/c', ['a/b/c', 'a//c'], ['a/c', 'a/b/c/d', 'a/b/b/c']],
  ['+/b/#', ['a/b', '/b', 'a/b/c/d'], ['b', 'a/c', '$x/b']],
  ['a/+/#', ['a/b', 'a/', 'a/b/c'], ['a', 'b/a']],
  ['+/#', ['a', 'a/b', '/', '/a'], ['$x', '$x/a']],
  ['//', ['//'], ['/', '///', 'a//']],
  ['//#', ['/', '//', '///', '//a'], ['a', '/a/b']],
  ['$x/#', ['$x', '$x/a', '$x/a/b'], ['x', 'a/$x', '$X']],
  ['$x/+', ['$x/a', '$x/'], ['$x', '$x/a/b', '$y/a']],
  ['\uFEFFa', ['\uFEFFa'], ['a', 'a\uFEFF']],
  ['ä/+', ['ä/€', 'ä/😀'], ['a/€', 'a\u0308/€']],
  ['sport/tennis/player1/#', ['sport/tennis/player1', 'sport/tennis/player1/score/wimbledon'], ['sport/tennis']],
];

const levels = (count: number) => Array.from({ length: count }, (_, i) => (i % 2 === 0 ? '' : 'l')).join('/');

for (const store of storeKinds) {
  describe(`topic filters, store: ${store}`, () => {
    for (const [filter, matched, unmatched] of table) {
      test(`[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT-4.7.3-4] ${JSON.stringify(filter)}`, () => {
        const world = new World({ store });
        const publisher = world.connect({ clientId: 'publisher' });
        for (const version of [3, 4, 5] as const) {
          const subscriber = world.connect({ clientId: `${version}`, version });
          subscriber.send(subscribe(1, filter));
          subscriber.expect(suback(1, 0));
          for (const topic of matched) {
            publisher.send(publish({ topic, payload: topic }));
            subscriber.expect(publish({ topic, payload: topic }));
          }
          for (const topic of unmatched) {
            publisher.send(publish({ topic, payload: topic }));
            subscriber.expectNothing();
          }
          subscriber.send(unsubscribe(2, filter));
          subscriber.expect(unsuback(2, ...(version === 5 ? [0] : [])));
          for (const topic of matched) publisher.send(publish({ topic }));
          subscriber.expectNothing();
        }
        world.end();
      });
    }

    test('all filters at once, of one client each: each topic reaches exactly those it should', () => {
      const world = new World({ store });
      const subscribers = table.map(([filter]) => {
        const subscriber = world.connect({ clientId: filter, version: 4 });
        subscriber.send(subscribe(1, { filter, qos: 1 }));
        subscriber.expect(suback(1, 1));
        return subscriber;
      });
      const publisher = world.connect({ clientId: 'publisher' });
      const topics = new Set(table.flatMap(([, matched, unmatched]) => [...matched, ...unmatched]));
      for (const topic of topics) {
        publisher.send(publish({ topic, payload: 'x' }));
        for (const [i, [, matched, unmatched]] of table.entries()) {
          const subscriber = subscribers[i] as (typeof subscribers)[number];
          if (matched.includes(topic)) subscriber.expect(publish({ topic, payload: 'x' }));
          else if (unmatched.includes(topic)) subscriber.expectNothing();
          else subscriber.takeAll();
        }
      }
      world.end();
    });

    test('[MQTT-4.7.1-1] filters that are not valid are refused in SUBACK, beside good ones: 0x8F, 0x80, silence', () => {
      const bad = ['a#', 'a/#/b', '#/a', 'a+', '+a', 'a/b+/c', '', '$share/', '$share/g', '$share/g/', '$share//a']
        .concat(['$share/+/a', '$share/g#/a', '$share/g/a#'])
        .map((filter) => text(filter));
      for (const version of [3, 4, 5] as const) {
        const world = new World({ store });
        const publisher = world.connect({ clientId: 'publisher' });
        const subscriber = world.connect({ clientId: 'subscriber', version });
        for (const filter of bad) {
          const good = text('good');
          const body = [0, 1, ...(version === 5 ? [0] : []), 0, filter.length, ...filter, 0, 0, 4, ...good, 0];
          subscriber.sendRaw(Uint8Array.from([0x82, body.length, ...body]));
          subscriber.expect(suback(1, version === 5 ? ReasonCode.TopicFilterInvalid : version === 4 ? 0x80 : 0, 0));
        }
        for (const topic of ['a', 'a/b', 'g', 'g/a']) publisher.send(publish({ topic }));
        publisher.send(publish({ topic: 'good' }));
        subscriber.expect(publish({ topic: 'good' }));
        world.end();
      }
    });

    test('128 levels are enough, 129 are not: 0x8F for a filter, 0x90 for a topic', () => {
      for (const version of [4, 5] as const) {
        const world = new World({ store });
        const subscriber = world.connect({ clientId: 'subscriber', version });
        subscriber.send(subscribe(1, levels(128), levels(129), `$share/g/${levels(128)}`, `$share/g/${levels(129)}`));
        const refused = version === 5 ? ReasonCode.TopicFilterInvalid : 0x80;
        subscriber.expect(suback(1, 0, refused, 0, refused));
        const publisher = world.connect({ clientId: 'publisher', version });
        const packet = publish({ topic: levels(128), payload: 'deep' });
        publisher.send(packet);
        subscriber.expect(packet, packet);
        publisher.send({ ...packet, topic: levels(129) });
        publisher.expectDisconnected(ReasonCode.TopicNameInvalid);
        world.end();
      }
    });

    test('[MQTT-4.7.3-3] names and filters of 65,535 bytes', () => {
      const world = new World({ store });
      const topic = 'x'.repeat(65_535);
      for (const version of [3, 4, 5] as const) {
        const subscriber = world.connect({ clientId: `${version}`, version });
        subscriber.send(subscribe(1, { filter: topic, qos: 1 }));
        subscriber.expect(suback(1, 1));
        const publisher = world.connect({ clientId: 'publisher', version });
        publisher.publishWhole(publish({ topic, qos: 1, packetId: 1 }));
        subscriber.receiveWhole(publish({ topic, qos: 1, packetId: 1 }));
        subscriber.drop();
      }
      world.end();
    });

    test('[MQTT-4.7.0-1] [MQTT-3.3.2-2] a wildcard in a topic name: 0x90, 3.x is closed', () => {
      for (const version of [3, 4, 5] as const) {
        for (const topic of ['a/+', '#', 'a#']) {
          const world = new World({ store });
          const publisher = world.connect({ clientId: 'publisher', version });
          const name = text(topic);
          const body = [0, name.length, ...name, ...(version === 5 ? [0] : [])];
          publisher.sendRaw(Uint8Array.from([0x30, body.length, ...body]));
          publisher.expectDisconnected(ReasonCode.TopicNameInvalid);
          world.end();
        }
      }
    });

    test('the same bytes always mean the same topic: a thousand topics, their plans forgotten in between', () => {
      const world = new World({ store, limits: { internedTopicsMax: 10, plannedRecipientsMax: 5 } });
      const subscriber = world.connect({ clientId: 'subscriber' });
      subscriber.send(subscribe(1, 'n/+/x'));
      subscriber.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      for (let i = 0; i < 1_000; i++) {
        const packet = publish({ topic: `n/${i % 37}/x`, payload: `${i}` });
        publisher.send(packet, { ...packet, topic: `n/${i}/y` });
        subscriber.expect(packet);
      }
      publisher.send(publish({ topic: 'n/1/x', qos: 1, packetId: 1 }));
      publisher.expect(puback(1));
      assert.equal(subscriber.takeAll().length, 1);
      world.end();
    });
  });
}
