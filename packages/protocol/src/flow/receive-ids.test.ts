import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReceiveIds } from './receive-ids.ts';

const id = fc.oneof(
  fc.integer({ min: 1, max: 40 }),
  fc.constantFrom(1, 17, 33, 65_535, 65_519, 32_769),
  fc.integer({ min: 1, max: 65_535 }),
);
const step = fc.record({ kind: fc.constantFrom('add', 'delete', 'has'), id });

test('a set of identifiers, whatever collides', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const ids = new ReceiveIds();
      const model = new Set<number>();
      for (const each of steps) {
        if (each.kind === 'add') {
          assert.equal(ids.add(each.id), !model.has(each.id));
          model.add(each.id);
        } else if (each.kind === 'delete') assert.equal(ids.delete(each.id), model.delete(each.id));
        assert.equal(ids.has(each.id), model.has(each.id));
        assert.equal(ids.count, model.size);
      }
      assert.deepEqual(ids.values().sort(), [...model].sort());
    }),
    { numRuns: 500 },
  );
});

test('all 65,535 at once; 0 never', () => {
  const ids = new ReceiveIds();
  for (let each = 65_535; each >= 1; each--) assert.equal(ids.add(each), true);
  assert.equal(ids.count, 65_535);
  assert.equal(ids.delete(0), false);
  for (let each = 1; each <= 65_535; each++) assert.equal(ids.add(each), false);
  for (let each = 1; each <= 65_535; each++) assert.equal(ids.delete(each), true);
  assert.equal(ids.count, 0);
  assert.deepEqual(ids.values(), []);
});
