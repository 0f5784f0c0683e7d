/** A queue is full: what is dropped, what is refused, and who has to suffer for it when all queues together are too many. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Packet, PacketType, type ProtocolVersion, type QoS, ReasonCode } from '@pipit/protocol';
import type { Limits } from '../../src/core/index.ts';
import { puback, publish, suback, subscribe, unsubscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const expiry = { sessionExpiryInterval: 10_000 };
/** What a message to a topic of one letter with a payload of ten bytes counts for. */
const cost = 2 + 1 + 10 + 128;

const message = (topic: string, i: number, qos: QoS = 1) =>
  publish({ topic, qos, packetId: qos === 0 ? 0 : 1, payload: `${i}`.padStart(10, '0') });

const numbersOf = (packets: readonly Packet[]) =>
  packets.flatMap((packet) =>
    packet.type === PacketType.Publish ? [Number(new TextDecoder().decode(packet.payload))] : [],
  );

const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, i) => i + from);

function subscribed(world: World, clientId: string, filter: string, qos: QoS = 2): Client {
  const client = world.connect({ clientId, cleanStart: false, properties: expiry });
  client.send(subscribe(1, { filter, qos }));
  client.expect(suback(1, qos));
  return client;
}

function resumed(world: World, clientId: string, receiveMaximum = 65_535): Client {
  return world.connect({ clientId, cleanStart: false, properties: { ...expiry, receiveMaximum } });
}

function drops(world: World): string[] {
  return world.takeEvents('dropped').map(({ clientId, reason, count }) => `${clientId} ${reason} ${count}`);
}

/** Acknowledges until nothing more comes, and says what came. */
function drain(client: Client): number[] {
  const numbers: number[] = [];
  for (let packets = client.takeAll(); packets.length > 0; packets = client.takeAll()) {
    numbers.push(...numbersOf(packets));
    for (const packet of packets) if (packet.type === PacketType.Publish) client.acknowledgeWhole(packet);
  }
  return numbers;
}

for (const store of storeKinds) {
  describe(`all queues together, store: ${store}`, () => {
    test('one that hoards gets half of the messages, and another still finds room', () => {
      const world = new World({ store, limits: { queueMessagesTotalMax: 12 } });
      for (const [id, topic] of ['ah', 'bi', 'cj'].map((each) => [...each] as [string, string]))
        subscribed(world, id, topic).drop();
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of upTo(20)) publisher.publishWhole(message('h', i));
      for (const i of upTo(20)) publisher.publishWhole(message('i', i));
      for (const i of upTo(20)) publisher.publishWhole(message('j', i));
      assert.equal(world.core.state.queueTotal.messages, 6 + 3 + 2);
      assert.deepEqual(drops(world), ['a queue-full 1', 'b queue-full 1', 'c queue-full 1']);
      // What is given back may be had by the others.
      assert.deepEqual(drain(resumed(world, 'a')), upTo(6));
      for (const i of upTo(20, 11)) publisher.publishWhole(message('j', i));
      assert.deepEqual(drain(resumed(world, 'c')), [1, 2, 11, 12, 13]);
      assert.deepEqual(drain(resumed(world, 'b')), upTo(3));
      assert.deepEqual([world.core.state.queueTotal.messages, world.core.state.queueTotal.bytes], [0, 0]);
      world.end();
    });

    test('the same in bytes; large messages are no way around it', () => {
      const world = new World({ store, limits: { queueBytesTotalMax: 8 * cost } });
      subscribed(world, 'a', 'h').drop();
      subscribed(world, 'b', 'i').drop();
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of upTo(6)) publisher.publishWhole(message('h', i));
      publisher.publishWhole(publish({ topic: 'i', qos: 1, packetId: 1, payload: 'x'.repeat(4 * cost) }));
      for (const i of upTo(6)) publisher.publishWhole(message('i', i));
      assert.equal(world.core.state.queueTotal.bytes, 6 * cost);
      assert.deepEqual(drain(resumed(world, 'a')), upTo(4));
      assert.deepEqual(drain(resumed(world, 'b')), upTo(2));
      world.end();
    });

    test('what is in flight is part of it, and who keeps up is never hurt', () => {
      const world = new World({ store, limits: { queueMessagesTotalMax: 6 } });
      const hoarder = subscribed(world, 'hoarder', 'h');
      const reader = subscribed(world, 'reader', 'i');
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of upTo(10)) publisher.publishWhole(message('h', i));
      assert.deepEqual(numbersOf(hoarder.takeAll()), upTo(3), 'half, and it acknowledges nothing');
      assert.deepEqual(drops(world), ['hoarder queue-full 1']);
      for (const i of upTo(10)) {
        publisher.publishWhole(message('i', i));
        assert.deepEqual(drain(reader), [i]);
      }
      hoarder.drop();
      assert.equal(world.core.state.queueTotal.messages, 3);
      world.advance(10_000_000);
      assert.equal(world.core.state.queueTotal.messages, 0);
      world.end();
    });

    test('a session that ends gives back all it had, whatever of it was in flight', () => {
      const world = new World({ store, limits: { queuePrefixMessages: 2 } });
      const reader = world.connect({ clientId: 'a', cleanStart: false, properties: { ...expiry, receiveMaximum: 3 } });
      reader.send(subscribe(1, { filter: 't', qos: 2 }));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of upTo(10)) publisher.publishWhole(message('t', i, i % 2 === 0 ? 1 : 2));
      assert.equal(world.core.state.queueTotal.messages, 10);
      assert.equal(world.core.state.queueTotal.bytes, 10 * cost);
      reader.takeAll();
      reader.drop();
      world.connect({ clientId: 'a', cleanStart: true });
      assert.deepEqual([world.core.state.queueTotal.messages, world.core.state.queueTotal.bytes], [0, 0]);
    });
  });

  describe(`drop-oldest, store: ${store}`, () => {
    const full = (limits: Partial<Limits>) => {
      const world = new World({ store, queueOverflow: 'drop-oldest', limits });
      subscribed(world, 'reader', 't').drop();
      return { world, publisher: world.connect({ clientId: 'publisher' }) };
    };

    for (const queuePrefixMessages of [2_000, 10, 3, 1]) {
      test(`the newest are kept in order, ${queuePrefixMessages} of them in memory`, () => {
        const { world, publisher } = full({ queueMessagesMax: 10, queuePrefixMessages });
        for (const i of upTo(57)) publisher.publishWhole(message('t', i, i % 3 === 0 ? 2 : 1));
        world.advance(20_000);
        assert.equal(world.core.metrics.drops.get('displaced'), 47);
        assert.deepEqual(drops(world).at(0), 'reader displaced 1');
        assert.equal(world.core.state.sessions.get('reader')?.queue?.count, 10);
        assert.deepEqual(drain(resumed(world, 'reader', 1)), upTo(57, 48));
        assert.deepEqual(world.store?.queued('reader') ?? [], []);
        world.end();
      });
    }

    test('a burst in one packet stream, faster than the oldest can be read back', () => {
      const { world, publisher } = full({ queueMessagesMax: 10, queuePrefixMessages: 2 });
      publisher.send(...upTo(18).map((i) => ({ ...message('t', i), packetId: i })));
      publisher.expect(...upTo(18).map((i) => puback(i)));
      assert.deepEqual(drain(resumed(world, 'reader')), upTo(18, 9));
      world.end();
    });

    test('while no page comes back a queue has twice its limit at most; then the newest are dropped', () => {
      // With every other commit failing nothing is acknowledged while no page is answered.
      if (store === 'none' || store === 'failing') return;
      const { world, publisher } = full({ queueMessagesMax: 10, queuePrefixMessages: 2 });
      const session = world.core.state.sessions.get('reader');
      assert.ok(world.store !== null);
      world.store.isPagingStalled = true;
      for (const i of upTo(57)) publisher.publishWhole(message('t', i));
      assert.equal(session?.queue?.count, 20);
      assert.equal(world.core.metrics.drops.get('queue-full'), 35);
      world.store.isPagingStalled = false;
      world.settle();
      assert.equal(session?.queue?.count, 10);
      assert.deepEqual(drain(resumed(world, 'reader')), upTo(22, 13));
      world.end();
    });

    test('a lower limit after a restart: the oldest go, although they are only in the store', () => {
      if (store === 'none') return;
      const { world, publisher } = full({ queueMessagesMax: 10 });
      for (const i of upTo(10)) publisher.publishWhole(message('t', i));
      const limits = { queueMessagesMax: 5, queuePrefixMessages: 3 };
      const next = new World({ store, queueOverflow: 'drop-oldest', limits, after: world });
      assert.equal(next.core.metrics.drops.get('displaced'), 5);
      assert.deepEqual(drain(resumed(next, 'reader')), upTo(10, 6));
      next.end();
    });

    test('by bytes: as many of the oldest as it takes; what would never fit is dropped itself', () => {
      const { world, publisher } = full({ queueBytesMax: 1024 * 2, queuePrefixMessages: 4 });
      for (const i of upTo(14)) publisher.publishWhole(message('t', i));
      publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, payload: '0000000099'.padStart(1_000, '0') }));
      publisher.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, payload: 'x'.repeat(2_048) }));
      assert.deepEqual(drain(resumed(world, 'reader')), [...upTo(14, 9), 99]);
      world.end();
    });

    test('what is in flight is never dropped: when nothing else waits, the newest goes', () => {
      const world = new World({ store, queueOverflow: 'drop-oldest', limits: { queueMessagesMax: 3 } });
      let reader = subscribed(world, 'reader', 't');
      reader.drop();
      reader = resumed(world, 'reader', 2);
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of upTo(6)) publisher.publishWhole(message('t', i));
      assert.deepEqual(numbersOf(reader.takeAll()), [1, 2]);
      reader.drop();
      reader = resumed(world, 'reader', 3);
      assert.deepEqual(numbersOf(reader.takeAll()), [1, 2, 6]);
      publisher.publishWhole(message('t', 7));
      for (const id of [1, 2, 3]) reader.send(puback(id));
      reader.expectNothing();
      assert.deepEqual(
        [...world.core.metrics.drops],
        [
          ['displaced', 3],
          ['queue-full', 1],
        ],
      );
      world.end();
    });

    test('the total is shared fairly then, too: a hoarder loses its own', () => {
      const world = new World({ store, queueOverflow: 'drop-oldest', limits: { queueMessagesTotalMax: 8 } });
      subscribed(world, 'a', 'h').drop();
      subscribed(world, 'b', 'i').drop();
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of upTo(9)) publisher.publishWhole(message('h', i));
      for (const i of upTo(9)) publisher.publishWhole(message('i', i));
      assert.deepEqual(drain(resumed(world, 'a')), upTo(9, 6));
      assert.deepEqual(drain(resumed(world, 'b')), upTo(9, 8));
      world.end();
    });
  });

  describe(`refuse, store: ${store}`, () => {
    const full = (version: ProtocolVersion = 5) => {
      const limits = { queueMessagesMax: 2 };
      const world = new World({ store, queueOverflow: 'refuse', limits });
      subscribed(world, 'away', 't').drop();
      const other = subscribed(world, 'other', 't');
      const publisher = world.connect({ clientId: 'publisher', version });
      for (const i of upTo(2)) {
        publisher.publishWhole(message('t', i));
        assert.deepEqual(drain(other), [i]);
      }
      return { world, other, publisher };
    };

    test('the PUBLISH is refused whole with 0x97: nobody gets it, nothing is retained, no packet id is taken', () => {
      const { world, other, publisher } = full();
      publisher.publishWhole(message('t', 3, 1), ReasonCode.QuotaExceeded);
      publisher.publishWhole({ ...message('t', 4, 2), retain: true }, ReasonCode.QuotaExceeded);
      other.expectNothing();
      assert.equal(world.core.state.retained.count, 0);
      assert.equal(world.core.state.sessions.get('publisher')?.received?.has(1) === true, false);
      const [first] = world.takeEvents('publish-refused');
      assert.deepEqual(
        [first?.clientId, first?.reasonCode, first?.reason],
        ['publisher', 0x97, 'the queue of a subscriber is full'],
      );
      assert.deepEqual(drops(world), []);
      const away = resumed(world, 'away');
      assert.deepEqual(drain(away), [1, 2]);
      publisher.publishWhole(message('t', 5, 2));
      assert.deepEqual([drain(away), drain(other)], [[5], [5]]);
      world.end();
    });

    for (const version of [3, 4] as const) {
      test(`a publisher of level ${version} is closed without an acknowledgement`, () => {
        for (const qos of [1, 2] as const) {
          const { world, other, publisher } = full(version);
          publisher.send(message('t', 3, qos));
          publisher.expectClosed();
          other.expectNothing();
          assert.deepEqual(drain(resumed(world, 'away')), [1, 2]);
          world.end();
        }
      });
    }

    test('before 5.0 what was accepted before is acknowledged first: who sends the rest again gets further', () => {
      const world = new World({ store, queueOverflow: 'refuse', limits: { queueMessagesMax: 2 } });
      subscribed(world, 'away', 't').drop();
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      publisher.send(...upTo(4).map((i) => ({ ...message('t', i), packetId: i })));
      publisher.expectClosed(puback(1), puback(2));
      assert.deepEqual(drain(resumed(world, 'away')), [1, 2]);
      world.end();
    });

    test('before 5.0 two with full queues that publish to each other still come to read theirs', () => {
      const world = new World({ store, queueOverflow: 'refuse', limits: { queueMessagesMax: 2 } });
      const again = (clientId: string) => world.connect({ clientId, version: 4, cleanStart: false });
      for (const [id, topic] of [
        ['a', 'h'],
        ['b', 'i'],
      ] as const) {
        const client = again(id);
        client.send(subscribe(1, { filter: topic, qos: 1 }));
        client.expect(suback(1, 1));
        client.drop();
        const publisher = world.connect({ clientId: 'publisher' });
        for (const i of upTo(2)) publisher.publishWhole(message(topic, i));
      }
      const a = again('a');
      a.send({ ...message('i', 3), packetId: 7 });
      const [first, ...rest] = a.takeAll();
      assert.deepEqual([numbersOf([first as Packet]), numbersOf(rest)], [[1], [2]]);
      assert.deepEqual(rest.at(-1), puback(7));
      assert.deepEqual(drops(world), ['b queue-full 1']);
      assert.deepEqual(drain(again('b')), [1, 2]);
      for (const client of world.clients) client.takeAll();
    });

    test('QoS 0, a will and what matches somebody at QoS 0 only are not refused', () => {
      const { world, other, publisher } = full();
      publisher.send(message('t', 3, 0));
      assert.deepEqual(drain(other), [3]);
      const will = { topic: 't', payload: message('t', 4).payload, qos: 1, retain: false } as const;
      world.connect({ clientId: 'dying', will }).drop();
      assert.deepEqual(drain(other), [4]);
      assert.deepEqual(drops(world), ['away queue-full 1']);
      const zero = world.connect({ clientId: 'zero', cleanStart: false, properties: expiry });
      zero.send(subscribe(1, { filter: 'z', qos: 0 }));
      zero.expect(suback(1, 0));
      zero.drop();
      publisher.publishWhole(message('z', 5));
      world.end();
    });

    test('an in-process publisher is told so, and an in-process subscriber that lags refuses like any other', () => {
      const { world } = full();
      const answer = world.publish('t', '3', { qos: 1 });
      assert.equal(answer(), ReasonCode.QuotaExceeded);
      world.subscribe({ filters: ['l'], window: 1 });
      const answers = upTo(4).map((i) => world.publish('l', `${i}`, { qos: 1 }));
      assert.deepEqual(
        answers.map((each) => each()),
        [0, 0, 0, ReasonCode.QuotaExceeded],
      );
      for (let i = 1; i <= 3; i++) world.settleLocal();
      world.connect({ clientId: 'other', cleanStart: true });
      world.clients.at(-3)?.takeAll();
    });

    test('No Local: who would not get it does not refuse it', () => {
      const world = new World({ store, queueOverflow: 'refuse', limits: { queueMessagesMax: 1 } });
      const client = world.connect({
        clientId: 'client',
        cleanStart: false,
        properties: { ...expiry, receiveMaximum: 1 },
      });
      client.send(subscribe(1, { filter: 't', qos: 1, noLocal: true }));
      client.expect(suback(1, 1));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('t', 1));
      assert.deepEqual(numbersOf(client.takeAll()), [1]);
      publisher.publishWhole(message('t', 2), ReasonCode.QuotaExceeded);
      client.send({ ...message('t', 3), packetId: 9 });
      client.expect(puback(9, ReasonCode.NoMatchingSubscribers));
      world.end();
    });

    test('a shared subscription refuses only when none of its members has room', () => {
      const world = new World({ store, queueOverflow: 'refuse', limits: { queueMessagesMax: 2 } });
      for (const id of ['a', 'b']) subscribed(world, id, '$share/g/t').drop();
      const publisher = world.connect({ clientId: 'publisher' });
      const answers = upTo(6).map((i) => {
        publisher.send(message('t', i));
        return (publisher.takeAll()[0] as { reasonCode: number }).reasonCode;
      });
      assert.deepEqual(answers, [0, 0, 0, 0, ReasonCode.QuotaExceeded, ReasonCode.QuotaExceeded]);
      const got = ['a', 'b'].map((id) => drain(resumed(world, id)));
      assert.deepEqual(got.flat().sort(), upTo(4));
      world.end();
    });

    test('a member that may get a message twice must have room for both', () => {
      const world = new World({ store, queueOverflow: 'refuse', limits: { queueMessagesMax: 3 } });
      const member = subscribed(world, 'member', '$share/g/t');
      member.send(subscribe(2, { filter: 't', qos: 1 }));
      member.expect(suback(2, 1));
      member.drop();
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('t', 1));
      publisher.publishWhole(message('t', 2), ReasonCode.QuotaExceeded);
      assert.deepEqual(drops(world), []);
      assert.deepEqual(drain(resumed(world, 'member')), [1, 1]);
      world.end();
    });

    test('all copies of one message must fit together', () => {
      const world = new World({
        store,
        queueOverflow: 'refuse',
        limits: { queueMessagesMax: 100, queueMessagesTotalMax: 5 },
      });
      for (const id of ['a', 'b', 'c']) subscribed(world, id, 't').drop();
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('t', 1));
      // There is room for two more, but not for three.
      publisher.publishWhole(message('t', 2), ReasonCode.QuotaExceeded);
      assert.equal(world.core.state.queueTotal.messages, 3);
      for (const id of ['a', 'b', 'c']) assert.deepEqual(drain(resumed(world, id)), [1]);
      world.end();
    });
  });
}

test('a window with room is not a queue: a refusing limit of one message lets three in flight out', () => {
  const world = new World({ queueOverflow: 'refuse', limits: { queueMessagesMax: 1 } });
  const reader = subscribed(world, 'reader', 't');
  const publisher = world.connect({ clientId: 'publisher' });
  for (const i of upTo(3)) publisher.publishWhole(message('t', i));
  assert.deepEqual(numbersOf(reader.takeAll()), [1, 2, 3]);
  reader.send(unsubscribe(2, 't'));
  reader.takeAll();
  world.end();
});
