import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterMatches } from '@pipit/protocol';
import fc from 'fast-check';
import { Message } from './message.ts';
import { RetainedStore } from './retained.ts';
import { type Topic, TopicTable } from './topic-table.ts';

const topics = new TopicTable(10_000, 128, 1, () => undefined);
const level = fc.constantFrom('a', 'b', '', '$s', 'c');
const name = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/') || 'a');
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, open]) => (open ? [...levels, '#'] : levels).join('/') || '+');
const change = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('put' as const), name, publisher: fc.constantFrom('p', 'q') }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('step' as const) }) },
);

function message(of: string, publisher: string): Message {
  const made = new Message(topics.internName(of) as Topic);
  made.publisher = publisher;
  made.own(new Uint8Array(of.length * 3), 0);
  return made;
}

const plain = { qos: 1, identifiers: null, clientId: null } as const;

test('a cursor gives every match that stays, once, whatever changes while it goes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, fc.constantFrom('p', 'q')), { maxLength: 30 }),
      filter,
      fc.array(change, { maxLength: 60 }),
      fc.boolean(),
      (before, wanted, changes, noLocal) => {
        const store = new RetainedStore();
        const model = new Map<string, Message>();
        const put = (of: string, publisher: string) => {
          const made = message(of, publisher);
          assert.equal(store.put(made, null)?.message ?? undefined, model.get(of));
          model.set(of, made);
        };
        for (const [of, publisher] of before) put(of, publisher);
        const start = new Map(model);
        const cursor = store.cursor(wanted, noLocal ? { ...plain, clientId: 'p' } : plain);
        const got: Message[] = [];
        let isOver = false;
        const step = () => {
          const found = cursor.next();
          if (found === 'end') isOver = true;
          else if (found !== null) {
            got.push(found);
            assert.equal(model.get(found.topic.name), found, 'the value is read when its turn comes');
          }
        };
        for (const each of changes) {
          if (each.kind === 'put') put(each.name, each.publisher);
          else if (each.kind === 'delete') {
            assert.equal(store.delete(each.name)?.message, model.get(each.name));
            model.delete(each.name);
          } else step();
          assert.equal(store.count, model.size);
        }
        while (!isOver) step();
        const may = (each: Message) => filterMatches(wanted, each.topic.name) && !(noLocal && each.publisher === 'p');
        assert.equal(new Set(got).size, got.length, 'once');
        for (const each of got) assert.ok(may(each) && start.get(each.topic.name) === each);
        for (const [of, each] of start) {
          if (model.get(of) === each && may(each)) assert.ok(got.includes(each), `${of} is missing`);
        }
        assert.equal(
          store.bytes,
          [...model.values()].reduce((sum, each) => sum + each.cost, 0),
        );
        assert.equal([...store].length, model.size, 'going through everything includes $ topics');
      },
    ),
    { numRuns: 500 },
  );
});

test('finding, replacing and deleting; what leads nowhere is taken away', () => {
  const store = new RetainedStore();
  assert.equal(store.get('a/b'), null);
  assert.equal(store.delete('a/b'), null);
  const first = message('a/b', 'p');
  store.put(first, null);
  assert.equal(store.get('a'), null);
  assert.equal(store.get('a/b')?.message, first);
  assert.equal(store.delete('a'), null);
  assert.equal(store.delete('a/b')?.message, first);
  assert.deepEqual([store.count, store.bytes], [0, 0]);
  const cursor = store.cursor('#', plain);
  let steps = 0;
  while (cursor.next() !== 'end') steps++;
  assert.ok(steps <= 2, 'no empty nodes are left to walk through');
});

test('a lookup costs what it matches, not what is stored', () => {
  const store = new RetainedStore();
  for (let i = 0; i < 10_000; i++) store.put(message(`d/${i}/x`, 'p'), null);
  for (const [wanted, most] of [
    ['d/77/x', 5],
    ['d/77/+', 6],
    ['d/77/#', 8],
    ['e/#', 3],
  ] as const) {
    const cursor = store.cursor(wanted, plain);
    let steps = 0;
    while (cursor.next() !== 'end') steps++;
    assert.ok(steps <= most, `${wanted} took ${steps} steps`);
  }
});
