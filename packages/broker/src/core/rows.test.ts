import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PairIndex, Rows } from './rows.ts';

const step = fc.record({ isTake: fc.boolean(), pick: fc.nat(10_000) });

test('rows keep what is in them, are not given twice, and their memory comes back; pairs find them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ steps: fc.array(step, { maxLength: 60 }), grow: fc.nat(3_000), shrink: fc.nat(3_000) }), {
        maxLength: 5,
      }),
      (phases) => {
        const rows = new Rows(2, 1);
        const index = new PairIndex(rows, 0, 1);
        const model = new Map<number, number>();
        let stamp = 0;
        const take = () => {
          const row = rows.take();
          assert.ok(!model.has(row), 'it was taken already');
          model.set(row, ++stamp);
          rows.set(row, 0, stamp);
          rows.set(row, 1, -stamp);
          rows.setWide(row, 0, stamp * 2 ** 40);
          index.add(row);
        };
        const give = (pick: number) => {
          const row = [...model.keys()][pick % model.size];
          if (row === undefined) return;
          index.remove(row);
          model.delete(row);
          rows.give(row);
        };
        for (const { steps, grow, shrink } of phases) {
          for (let i = 0; i < grow; i++) take();
          for (const { isTake, pick } of steps) isTake ? take() : give(pick);
          for (let i = 0; i < shrink; i++) give(0);
          for (const [row, value] of model) {
            assert.deepEqual(
              [rows.get(row, 0), rows.get(row, 1), rows.wide(row, 0), index.find(value, -value)],
              [value, -value, value * 2 ** 40, row],
            );
          }
          assert.equal(rows.used, Math.max(-1, ...model.keys()) + 1);
          assert.equal(index.find(1, -2), -1);
        }
        for (const row of [...model.keys()]) {
          index.remove(row);
          rows.give(row);
        }
        assert.ok(rows.used === 0 && rows['capacity'] <= 1_024 && rows.cells.length <= 2 * 1_024);
        assert.ok(index['slots'].length <= 1_024);
      },
    ),
    { numRuns: 30 },
  );
});

test('pairs chosen to look for the same slot do so with one seed only', () => {
  const rows = new Rows(2);
  const known = new PairIndex(rows, 0, 1, 0);
  const seeded = new PairIndex(rows, 0, 1, 0x5eed1234);
  const wanted = 400;
  // As many slots as there will be: what is chosen for fewer scatters when the table grows.
  const slots = 1_024;
  known['resize'](slots);
  for (let a = 0; rows.used < wanted; a++) {
    const row = rows.take();
    rows.set(row, 0, a);
    rows.set(row, 1, a % 97);
    if (known['home'](row) !== 0) rows.give(row);
  }
  for (let row = 0; row < wanted; row++) {
    known.add(row);
    seeded.add(row);
  }
  assert.equal(longestRun(known['slots']), wanted, 'the attack');
  assert.ok(longestRun(seeded['slots']) < 40, `a run of ${longestRun(seeded['slots'])}`);
});

/** Of slots in use side by side: how far a search may have to go. */
function longestRun(slots: Int32Array): number {
  let longest = 0;
  let run = 0;
  for (const slot of [...slots, ...slots]) {
    run = slot < 0 ? 0 : run + 1;
    longest = Math.max(longest, run);
  }
  return Math.min(longest, slots.length);
}

test('a row that was given back is given again before there is a new one', () => {
  const rows = new Rows(1, 0);
  const taken = Array.from({ length: 10 }, () => rows.take());
  const [first = -1, , third = -1] = taken;
  rows.give(third);
  rows.give(first);
  assert.deepEqual([rows.take(), rows.take()].sort(), [first, third]);
  assert.equal(rows.used, 10);
  assert.equal(rows.take(), 10);
});
