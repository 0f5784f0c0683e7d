import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterMatches } from '@pipit/protocol';
import fc from 'fast-check';
import { Message } from './message.ts';
import { RetainedStore } from './retained.ts';
import type { RetainedCursor } from './retained-cursor.ts';
import { type Topic, TopicTable } from './topic-table.ts';

const topics = new TopicTable(10_000, 128, 1, () => undefined);
const level = fc.constantFrom('a', 'b', '', '$s', 'c', 'a level with a long name');
const name = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/') || 'a');
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, open]) => (open ? [...levels, '#'] : levels).join('/') || '+');
const change = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('put' as const, 'restore' as const), name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('step' as const, 'other step' as const) }) },
);

function message(of: string, payloadLength = of.length * 3): Message {
  const made = new Message(topics.internName(of) as Topic);
  made.own(new Uint8Array(payloadLength), 0);
  return made;
}

function stepsOf(cursor: RetainedCursor): number {
  let steps = 0;
  while (cursor.next() !== null) steps++;
  cursor.close();
  return steps;
}

function liveNodes({ tree }: RetainedStore): number {
  const { used, free } = tree['nodes'] as unknown as { used: number; free: readonly number[] };
  return used - free.filter((row) => row < used).length;
}

interface Known {
  readonly entry: number;
  readonly order: number;
  readonly value: Message | null;
  readonly cost: number;
}

/** The store beside a plain map. */
class Bench {
  readonly store = new RetainedStore();
  readonly model = new Map<string, Known>();

  put(of: string, isCold: boolean): void {
    const value = isCold ? null : message(of);
    const { cost } = message(of);
    const entry = value === null ? this.store.restore(of, 7, cost) : this.store.put(value);
    this.model.set(of, { entry, order: this.store.orderOf(entry), value, cost: cost + 48 * of.split('/').length });
  }

  delete(of: string): void {
    const entry = this.store.find(of);
    assert.equal(entry, this.model.get(of)?.entry ?? -1);
    if (entry >= 0) this.store.delete(entry);
    this.model.delete(of);
  }

  check(): void {
    const { store, model } = this;
    assert.equal(store.count, model.size);
    assert.equal(
      store.bytes,
      [...model.values()].reduce((sum, { cost }) => sum + cost, 0),
    );
    for (const [of, { entry, order, value }] of model) {
      assert.equal(store.find(of), entry);
      assert.equal(store.topic(entry), of);
      assert.equal(store.orderOf(entry), order);
      assert.equal(store.value(entry), value);
    }
  }
}

test('a cursor gives every match that stays, once, whatever changes while it goes', () => {
  fc.assert(
    fc.property(
      fc.array(name, { maxLength: 30 }),
      fc.array(filter, { minLength: 2, maxLength: 2 }),
      fc.array(change, { maxLength: 60 }),
      (before, filters, changes) => {
        const bench = new Bench();
        const { store, model } = bench;
        for (const of of before) bench.put(of, false);
        const start = new Map(model);
        const walks = filters.map((wanted) => ({ wanted, cursor: store.cursor(wanted), got: [] as string[] }));
        const step = ({ cursor, got }: (typeof walks)[number]): boolean => {
          const entry = cursor.next();
          if (entry !== null && entry >= 0) {
            const of = store.topic(entry);
            assert.equal(model.get(of)?.entry, entry, 'the entry is what there is when its turn comes');
            assert.equal(model.get(of)?.order, start.get(of)?.order, 'nothing that came later');
            got.push(of);
          }
          return entry !== null;
        };
        for (const each of changes) {
          if (each.kind === 'put' || each.kind === 'restore') bench.put(each.name, each.kind === 'restore');
          else if (each.kind === 'delete') bench.delete(each.name);
          else step(walks[each.kind === 'step' ? 0 : 1] as (typeof walks)[number]);
          bench.check();
        }
        for (const { wanted, got, ...walk } of walks) {
          while (step({ wanted, got, ...walk }));
          walk.cursor.close();
          assert.equal(new Set(got).size, got.length, 'once');
          for (const of of got) assert.ok(filterMatches(wanted, of));
          for (const [of, { order }] of start) {
            if (model.get(of)?.order === order && filterMatches(wanted, of))
              assert.ok(got.includes(of), `${of} is missing`);
          }
        }
        assert.equal([...store].length, model.size, 'going through everything includes $ topics');
        assert.equal(store.tree.pinCount, 0);
        for (const of of [...model.keys()]) bench.delete(of);
        assert.equal(liveNodes(store), 1, 'only the root is left');
        assert.equal(store.tree.levelCount, 2);
      },
    ),
    { numRuns: 500 },
  );
});

test('a lookup costs what it matches, not what is stored', () => {
  const store = new RetainedStore();
  for (let i = 0; i < 10_000; i++) store.put(message(`d/${i}/x`));
  for (let i = 0; i < 4; i++) store.put(message(`d/${i}/rare`));
  store.put(message('$s/77/x'));
  store.put(message('d/1/2/77/rare/x'));
  for (const [wanted, most] of [
    ['d/77/x', 2],
    ['d/77/+', 4],
    ['d/77/#', 4],
    ['e/#', 1],
    ['+/+/y', 0],
    ['#/y', 0],
    ['+/+/rare', 10],
    ['d/+/rare', 10],
    ['d/+/+', 31_000],
    ['+/77/+', 8],
    ['+/77/#', 8],
    ['+/+/x', 31_000],
  ] as const) {
    const steps = stepsOf(store.cursor(wanted));
    assert.ok(steps <= most, `${wanted} took ${steps} steps`);
  }
});

test('a cursor that is closed on its way lets go of its place', () => {
  const store = new RetainedStore();
  const entries = ['a/b/c', 'a/b/d', 'e'].map((of) => store.put(message(of)));
  const cursor = store.cursor('#');
  for (let steps = 0; steps < 3; steps++) cursor.next();
  for (const entry of entries) store.delete(entry);
  assert.ok(liveNodes(store) > 1);
  cursor.close();
  cursor.close();
  assert.equal(liveNodes(store), 1);
  assert.equal(store.cursors, 0);
  assert.equal(cursor.next(), null);
});

test('memory is given back when nearly everything was deleted', () => {
  const store = new RetainedStore();
  const kept = store.put(message('kept'));
  for (let i = 0; i < 50_000; i++) store.restore(`topic/${i}/of a device`, i + 1, 100);
  const capacity = () => store.tree['nodes']['capacity'] + store['rows']['capacity'];
  assert.ok(capacity() > 150_000);
  for (let i = 0; i < 50_000; i++) store.delete(store.find(`topic/${i}/of a device`));
  assert.ok(capacity() < 2_000, `room for ${capacity()} rows is left`);
  assert.ok(store['values'].length < 1_000);
  assert.ok(store.tree['children']['slots'].length < 2_000);
  assert.equal(store.topic(kept), 'kept');
  assert.equal(store.count, 1);
});

test('what is in memory goes cold from its limit on, oldest first, and not before it lasts', () => {
  const payload = 1_000;
  const weight = message('t/0', payload).cost + 2 * 48 + 1024;
  const store = new RetainedStore(3 * weight);
  const put = (i: number) => store.put(message(`t/${i}`, payload));
  const entries = [0, 1, 2, 3, 4].map(put);
  const isWarm = () => entries.map((entry) => store.value(entry) !== null);
  assert.deepEqual(isWarm(), [true, true, true, true, true], 'nothing lasts yet');
  store.sealed();
  entries[0] = put(0);
  store.lasts();
  assert.deepEqual(isWarm(), [true, false, false, true, true], 'the one put again is the youngest');
  assert.equal(store.bytesInMemory, 3 * weight);
  store.warm(entries[1] as number, message('t/1', payload));
  assert.equal(store.value(entries[1] as number), null, 'there is no room');
  store.delete(entries[3] as number);
  store.warm(entries[1] as number, message('t/1', payload));
  assert.deepEqual(
    [1, 0, 4].map((i) => store.value(entries[i] as number) !== null),
    [true, true, true],
  );
  put(5);
  assert.equal(store.value(entries[4] as number), null, 'the oldest that lasts goes first');
  put(6);
  assert.notEqual(store.value(entries[0] as number), null, 'this one does not last yet');
  store.sealed();
  store.lasts();
  assert.equal(store.bytesInMemory, 3 * weight);
});

test('system topics stay in memory', () => {
  const store = new RetainedStore(0);
  const entry = store.put(message('$SYS/broker/uptime'));
  store.sealed();
  store.lasts();
  assert.notEqual(store.value(entry), null);
});

test('what has no room: one topic too many, or bytes too many; replacing counts the difference', () => {
  const store = new RetainedStore();
  store.put(message('a', 100));
  const { bytes } = store;
  assert.ok(store.hasRoom(message('b', 100), 2, bytes * 2));
  assert.ok(!store.hasRoom(message('b', 100), 1, bytes * 2));
  assert.ok(!store.hasRoom(message('b', 101), 2, bytes * 2));
  assert.ok(store.hasRoom(message('a', 100), 1, bytes));
  assert.ok(!store.hasRoom(message('a', 101), 1, bytes));
  // Levels take room, too.
  assert.ok(!store.hasRoom(message('/', 99), 2, bytes * 2));
});

test('what is counted in memory is what may go cold and is there, whatever happens', () => {
  const payload = 200;
  const max = 3 * (message('a', payload).cost + 48 + 1024);
  const step = fc.record({
    kind: fc.constantFrom('put', 'put', 'put', 'restore', 'delete', 'warm', 'sealed', 'lasts'),
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', '$SYS/x'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const store = new RetainedStore(max);
      /** In which batch each was stored, and how far these are. */
      const batches = new Map<string, number>();
      let sealed = 0;
      let lasting = 0;
      for (const { kind, name: of } of steps) {
        const entry = store.find(of);
        if (kind === 'put') {
          store.put(message(of, payload));
          batches.set(of, sealed + 1);
        } else if (kind === 'restore' && of !== '$SYS/x') {
          store.restore(of, 1, message(of, payload).cost);
          batches.set(of, 0);
        } else if (kind === 'delete' && entry >= 0) store.delete(entry);
        else if (kind === 'warm' && entry >= 0 && store.value(entry) === null) store.warm(entry, message(of, payload));
        else if (kind === 'sealed') {
          sealed++;
          store.sealed();
        } else if (kind === 'lasts') {
          lasting = sealed;
          store.lasts();
        }
        let bytes = 0;
        let isStuck = false;
        for (const { topic, entry: each, value } of store) {
          const doesLast = (batches.get(topic) ?? 0) <= lasting;
          assert.ok(value !== null || doesLast, `${topic} is not on the disk yet, and not in memory`);
          if (topic === '$SYS/x') assert.notEqual(value, null);
          else if (value !== null) {
            bytes += store.cost(each) + 1024;
            isStuck ||= !doesLast;
          }
        }
        assert.equal(store.bytesInMemory, bytes);
        assert.ok(bytes <= max || isStuck, 'only what does not last yet is above the limit');
      }
    }),
    { numRuns: 500 },
  );
});
