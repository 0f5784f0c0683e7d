import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Entries, type Entry } from './entries.ts';

function entry(sequence: number, mark: number): Entry {
  const messageId = mark % 3 === 0 ? 2 ** 40 + mark : 0;
  return { sequence, segment: mark, offset: 4_000_000_000, length: 1 + mark, cost: mark * 7, messageId };
}

test('entries are those of a sorted map, whatever the order in which they come and go', () => {
  const action = fc.record({
    kind: fc.constantFrom('next', 'next', 'next', 'any', 'delete', 'first'),
    sequence: fc.nat(60),
    mark: fc.nat(1000),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const entries = new Entries();
      const model = new Map<number, Entry>();
      let next = 0;
      for (const { kind, sequence, mark } of actions) {
        if (kind === 'next' || kind === 'any') {
          next += kind === 'next' ? 1 + (mark % 3) : 0;
          const made = entry(kind === 'next' ? next : sequence, mark);
          entries.put(made);
          model.set(made.sequence, made);
        } else {
          const gone = kind === 'first' ? Math.min(...model.keys()) : sequence;
          entries.delete(gone);
          model.delete(gone);
        }
        const sorted = [...model.values()].sort((a, b) => a.sequence - b.sequence);
        assert.equal(entries.count, sorted.length);
        assert.equal(entries.first, sorted[0]?.sequence ?? Number.POSITIVE_INFINITY);
        assert.deepEqual(entries.get(sequence), model.get(sequence) ?? null);
        if (mark % 5 === 0) {
          const above = sorted.filter((each) => each.sequence > sequence);
          assert.deepEqual([...entries.above(sequence)], above);
        }
      }
    }),
  );
});

test('an entry that was read behind a later one is replaced, also when the later one is gone', () => {
  const entries = new Entries();
  for (const sequence of [2, 1]) entries.put(entry(sequence, 1));
  entries.delete(2);
  entries.put(entry(1, 3));
  assert.equal(entries.count, 1);
  entries.delete(1);
  assert.equal(entries.get(1), null);
});

test('one entry that stays does not make those that pass by it cost memory', () => {
  const entries = new Entries();
  entries.put(entry(1, 1));
  for (let sequence = 2; sequence < 200_000; sequence++) {
    entries.put(entry(sequence, 3));
    if (sequence > 100) entries.delete(sequence - 50);
  }
  assert.equal(entries.count, 100);
  assert.ok(entries.capacity < 1_000, `${entries.capacity} places for 100 entries`);
});
