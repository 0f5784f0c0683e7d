import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterMatches } from '@pipit/protocol';
import fc from 'fast-check';
import { SubscriptionTree } from './subscription-tree.ts';

/** Few names, so that nodes are shared, freed and used again. */
const level = fc.constantFrom('a', 'b', '', '$s', 'c');
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/') || 'a');
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, open]) => (open ? [...levels, '#'] : levels).join('/') || '+');
const owner = fc.nat(5);

type Step =
  | { kind: 'put'; owner: number; filter: string; options: number; identifier: number }
  | { kind: 'remove'; owner: number; filter: string }
  | { kind: 'forget'; owner: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      owner,
      filter,
      options: fc.nat(15),
      identifier: fc.nat(9),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('remove' as const), owner, filter }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), owner }) },
);

test('adds, replaces, removes and matches as a plain list would', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 120 }),
      fc.array(topic, { minLength: 3, maxLength: 10 }),
      (steps, topics) => {
        const tree = new SubscriptionTree();
        const model = new Map<string, { owner: number; filter: string; options: number; identifier: number }>();
        for (const each of steps) {
          if (each.kind === 'put') {
            const key = `${each.owner} ${each.filter}`;
            assert.equal(tree.put(each.owner, each.filter, each.options, each.identifier), !model.has(key));
            model.set(key, each);
          } else if (each.kind === 'remove') {
            const sub = tree.find(each.owner, each.filter);
            assert.equal(sub >= 0, model.delete(`${each.owner} ${each.filter}`));
            if (sub >= 0) tree.remove(sub);
          } else {
            for (let sub = tree.firstOf(each.owner); sub >= 0; sub = tree.firstOf(each.owner)) tree.remove(sub);
            for (const [key, entry] of model) if (entry.owner === each.owner) model.delete(key);
          }
          assert.equal(tree.count, model.size);
        }
        const seen = (subs: readonly number[]) =>
          subs
            .map((sub) => `${tree.owner(sub)} ${tree.filter(sub)} ${tree.options(sub)} ${tree.identifier(sub)}`)
            .sort();
        const wanted = (matches: (filter: string) => boolean) =>
          [...model.values()]
            .filter((entry) => matches(entry.filter))
            .map((entry) => `${entry.owner} ${entry.filter} ${entry.options} ${entry.identifier}`)
            .sort();
        for (const name of topics) {
          const into: number[] = [];
          tree.match(name, into);
          assert.deepEqual(
            seen(into),
            wanted((each) => filterMatches(each, name)),
            name,
          );
        }
        for (let of = 0; of <= 5; of++) {
          const subs: number[] = [];
          for (let sub = tree.firstOf(of); sub >= 0; sub = tree.nextOf(sub)) subs.push(sub);
          assert.deepEqual(
            seen(subs),
            [...model.values()]
              .filter((entry) => entry.owner === of)
              .map((entry) => `${entry.owner} ${entry.filter} ${entry.options} ${entry.identifier}`)
              .sort(),
          );
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('what was removed takes no memory', () => {
  const tree = new SubscriptionTree();
  const size = (): number => {
    let bytes = 0;
    const rest = JSON.stringify(tree, (_, value: unknown) => {
      if (!ArrayBuffer.isView(value)) return value;
      bytes += value.byteLength;
      return 0;
    });
    return bytes + rest.length;
  };
  let full = 0;
  const round = (from: number) => {
    for (let i = 0; i < 2_000; i++) tree.put(i % 7, `x/${i + from}/y/${i}`, 0, 0);
    full = size();
    for (let i = 0; i < 2_000; i++) tree.remove(tree.find(i % 7, `x/${i + from}/y/${i}`));
    assert.equal(tree.count, 0);
  };
  round(100_000);
  const after = size();
  for (let i = 0; i < 10; i++) round(200_000 + i * 10_000);
  assert.ok(full > 100_000 && after < 10_000 && size() <= after * 1.01, `${full}, ${after}, ${size()}`);
  const into: number[] = [];
  tree.match('x/200000/y/0', into);
  assert.deepEqual(into, []);
});

test('a hundred thousand subscriptions are all found', () => {
  const tree = new SubscriptionTree();
  for (let i = 0; i < 100_000; i++) tree.put(i, `d/${i % 1_000}/s/${Math.floor(i / 1_000)}`, i & 3, i);
  const into: number[] = [];
  for (let i = 0; i < 100_000; i += 37) {
    into.length = 0;
    tree.match(`d/${i % 1_000}/s/${Math.floor(i / 1_000)}`, into);
    assert.deepEqual(
      into.map((sub) => tree.owner(sub)),
      [i],
    );
  }
});
