import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Delivery, Message } from './message.ts';
import { Queue, QueueTotal } from './queue.ts';
import { type Topic, TopicTable } from './topic-table.ts';

const topic = new TopicTable(10, 128, 1, () => undefined).internName('t') as Topic;

function delivery(sequence: number, bytes: number, expiresAt = Number.POSITIVE_INFINITY): Delivery {
  const message = new Message(topic);
  message.own(new Uint8Array(bytes), 0);
  message.expiresAt = expiresAt;
  const made = new Delivery(message, 1, false, null, null);
  made.sequence = sequence;
  return made;
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('push' as const), bytes: fc.nat(50), lives: fc.option(fc.nat(20)) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('shift' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('load' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('extract' as const), every: fc.integer({ min: 2, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), now: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const) }) },
);

test('prefix and tail are one line; counts and bytes are those of a plain list', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const total = new QueueTotal(1_000, 100_000, 1_000);
      const queue = new Queue(total, 0);
      let prefix: Delivery[] = [];
      let tail: Delivery[] = [];
      let sequence = 0;
      const leave = (leaves: (each: Delivery) => boolean): Delivery[] => {
        const gone = prefix.filter(leaves);
        prefix = prefix.filter((each) => !leaves(each));
        return gone;
      };
      for (const each of steps) {
        if (each.kind === 'push') {
          const made = delivery(++sequence, each.bytes, each.lives ?? Number.POSITIVE_INFINITY);
          const prefixBytes = prefix.reduce((sum, { message }) => sum + message.cost, 0);
          const isWithin = prefix.length < 4 && prefixBytes < 600 && prefixBytes <= 1_000 - prefixBytes;
          assert.equal(queue.takesInMemory(4, 600), tail.length === 0 && isWithin);
          assert.equal(total.prefixBytes, prefixBytes);
          if (queue.takesInMemory(4, 600)) {
            queue.push(made);
            prefix.push(made);
          } else {
            queue.pushTail(made, 7);
            tail.push(made);
          }
        } else if (each.kind === 'shift') {
          assert.equal(queue.peek(), prefix[0]);
          assert.equal(queue.shift(), prefix.shift());
        } else if (each.kind === 'load') {
          const loaded = tail.shift();
          if (loaded === undefined) continue;
          assert.ok(loaded.sequence > queue.loadedThrough);
          queue.load(loaded);
          prefix.push(loaded);
        } else if (each.kind === 'extract') {
          const leaves = ({ sequence: at }: Delivery) => at % each.every === 0;
          assert.deepEqual(queue.extract(leaves), leave(leaves));
        } else if (each.kind === 'expire') {
          assert.deepEqual(
            queue.extractExpired(each.now),
            leave(({ message }) => message.expiresAt <= each.now),
          );
        } else {
          assert.equal(queue.loseTail(), tail.length);
          tail = [];
        }
        const all = [...prefix, ...tail];
        assert.equal(queue.count, all.length);
        assert.equal(queue.prefixCount, prefix.length);
        assert.equal(
          queue.bytes,
          all.reduce((sum, { message }) => sum + message.cost, 0),
        );
        assert.deepEqual([...queue], prefix);
        assert.deepEqual([total.messages, total.bytes], [queue.count, queue.bytes]);
        assert.deepEqual([total.freeMessages, total.freeBytes], [1_000 - queue.count, 100_000 - queue.bytes]);
      }
    }),
    { numRuns: 500 },
  );
});

test('a queue of an earlier run is all tail', () => {
  const total = new QueueTotal();
  total.add(50, 2);
  const queue = Queue.stored(total, 3, 450, 9);
  assert.deepEqual([total.messages, total.bytes], [5, 500]);
  assert.deepEqual([queue.count, queue.bytes, queue.prefixCount, queue.loadedThrough], [3, 450, 0, 9]);
  assert.equal(queue.peek(), undefined);
  assert.equal(queue.shift(), undefined);
  assert.equal(queue.takesInMemory(100, 100_000), false);
  queue.clear();
  assert.deepEqual([queue.count, queue.bytes, total.messages, total.bytes], [0, 0, 2, 50]);
});
