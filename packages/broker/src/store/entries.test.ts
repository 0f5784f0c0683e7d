import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Entries, type Entry } from './entries.ts';

const sequenceMax = 2 ** 53 - 1;
const wordMax = 2 ** 32 - 1;

/** One that is near all others of these. */
function plain(sequence: number): Entry {
  return { sequence, segment: 9 + Math.floor(sequence / 500), offset: wordMax, length: 140, cost: 152, messageId: 0 };
}

/** Near ones for the most part, and such as must be told apart at the ends of what 16 and 32 bits hold. */
const variety = fc.record({
  segment: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 40_000, max: 40_100 }) },
    fc.constantFrom(0, 1, 40_000 - 32_768, 40_000 - 32_769, 40_000 + 32_767, 40_000 + 32_768, wordMax),
  ),
  offset: fc.constantFrom(0, 4_000_000_000, wordMax),
  length: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 300 }) }, fc.constantFrom(70_000, wordMax)),
  difference: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: -20, max: 20 }) },
    fc.constantFrom(-32_769, -32_768, 32_767, 32_768, 200_000, wordMax),
  ),
  messageId: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.constantFrom(1, wordMax, 2 ** 32, sequenceMax)),
});

const action = fc.record({
  kind: fc.constantFrom('next', 'next', 'next', 'next', 'any', 'again', 'delete', 'first', 'first'),
  sequence: fc.nat(60),
  // How far the next one is behind the last.
  step: fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 1, max: 3 }) },
    fc.constantFrom(2 ** 32 - 2, 2 ** 32, 2 ** 40),
  ),
  // Plain ones until some step, to reach what happens only when the width changes.
  isPlain: fc.boolean(),
  isRead: fc.boolean(),
  variety,
});

type Action = typeof action extends fc.Arbitrary<infer One> ? One : never;

function entryOf({ isPlain, variety: { difference, ...rest } }: Action, sequence: number): Entry {
  if (isPlain) return { ...plain(0), sequence };
  return { sequence, ...rest, cost: Math.min(wordMax, Math.max(0, rest.length + difference)) };
}

test('entries are those of a sorted map, whatever the order in which they come and go', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200, size: 'max' }), (actions) => {
      const entries = new Entries();
      const model = new Map<number, Entry>();
      let next = 0;
      for (const each of actions) {
        const { kind, isRead } = each;
        const known = [...model.keys()].sort((a, b) => a - b);
        const some = known[each.sequence % (known.length + 1)] ?? each.sequence;
        if (kind === 'next' || kind === 'any' || kind === 'again') {
          next += kind === 'next' ? each.step : 0;
          const sequence = kind === 'next' ? next : kind === 'again' ? some : each.sequence;
          const made = entryOf(each, sequence);
          entries.put(made);
          model.set(made.sequence, made);
        } else {
          const gone = kind === 'first' ? (known[0] ?? 0) : some;
          entries.delete(gone);
          model.delete(gone);
        }
        const sorted = [...model.values()].sort((a, b) => a.sequence - b.sequence);
        assert.equal(entries.count, sorted.length);
        assert.equal(entries.first, sorted[0]?.sequence ?? Number.POSITIVE_INFINITY);
        for (const one of sorted) assert.deepEqual(entries.get(one.sequence), one);
        assert.deepEqual(entries.get(each.sequence), model.get(each.sequence) ?? null);
        if (isRead) {
          const above = sorted.filter(({ sequence }) => sequence > some);
          assert.deepEqual([...entries.above(some)], above);
        }
      }
    }),
    { numRuns: 500 },
  );
});

const bytesNarrow = 16;
const bytesWide = 24;
const bytesOfMessageId = 8;

function bytesEach(entries: Entries): number {
  return entries.bytes / entries.capacity;
}

/** A thousand plain ones, of which the middle one is replaced or comes as this. */
function filled(one: Entry, isLate: boolean): Entries {
  const entries = new Entries();
  for (let sequence = 1; sequence <= 1_000; sequence++) {
    entries.put(sequence === one.sequence && !isLate ? one : plain(sequence));
  }
  if (isLate) entries.put(one);
  return entries;
}

for (const [what, change, bytes] of [
  ['nothing special', {}, bytesNarrow],
  ['the last segment that is near', { segment: 9 + 32_767 }, bytesNarrow],
  ['a segment too far behind', { segment: 9 + 32_768 }, bytesWide],
  ['a segment of all bits', { segment: wordMax }, bytesWide],
  ['the highest cost that is near', { cost: 140 + 32_767 }, bytesNarrow],
  ['a cost too high', { cost: 140 + 32_768 }, bytesWide],
  ['the lowest cost that is near', { length: 40_000, cost: 40_000 - 32_768 }, bytesNarrow],
  ['a cost too low', { length: 40_000, cost: 40_000 - 32_769 }, bytesWide],
  ['a cost of all bits', { cost: wordMax }, bytesWide],
  ['the last sequence that is near', { sequence: 2 ** 32 }, bytesNarrow],
  ['a sequence too far behind', { sequence: 2 ** 32 + 1 }, bytesWide],
  ['the highest sequence', { sequence: sequenceMax }, bytesWide],
  ['a message', { messageId: sequenceMax }, bytesNarrow + bytesOfMessageId],
  ['a message of a high cost', { messageId: 1, cost: 200_000 }, bytesWide + bytesOfMessageId],
] as const) {
  test(`an entry with ${what} takes ${bytes} bytes, and those with it`, () => {
    const one: Entry = { ...plain(500), ...change };
    for (const isLate of [true, false]) {
      const entries = filled(one, isLate || one.sequence > 1_000);
      assert.equal(bytesEach(entries), bytes);
      for (let sequence = 1; sequence <= 1_000; sequence++) {
        assert.deepEqual(entries.get(sequence), sequence === one.sequence ? one : plain(sequence));
      }
      assert.deepEqual(entries.get(one.sequence), one);
    }
  });
}

test('entries that were read behind later ones are merged with what is special of them', () => {
  const moved = [
    { ...plain(3), segment: 500_000 },
    { ...plain(2), cost: 500_000 },
    { ...plain(1), messageId: 7 },
  ];
  const entries = new Entries();
  for (let sequence = 4; sequence < 100; sequence++) entries.put(plain(sequence));
  for (const entry of moved) entries.put(entry);
  const rest = Array.from({ length: 96 }, (_, index) => plain(index + 4));
  assert.deepEqual([...entries.above(0)], [...moved.reverse(), ...rest]);
});

test('entries at both ends of the segments that are near stay right when one comes that names a message', () => {
  const segments = [40_000, 40_000 - 32_768, 40_000 + 32_767];
  const [gone, ...rest] = segments.map((segment, index) => ({ ...plain(index), segment }));
  const named = { ...plain(3), segment: 40_000, messageId: 1 };
  const entries = new Entries();
  for (const entry of [gone as Entry, ...rest]) entries.put(entry);
  entries.delete(0);
  entries.put(named);
  assert.deepEqual([...entries.above(0)], [...rest, named]);
});

test('entries take 16 bytes again when the one that did not fit is gone', () => {
  const entries = filled({ ...plain(500), segment: wordMax, cost: wordMax, messageId: 1 }, true);
  assert.equal(bytesEach(entries), bytesWide + bytesOfMessageId);
  entries.delete(500);
  for (let sequence = 1_001; sequence < 5_000; sequence++) entries.put(plain(sequence));
  assert.equal(bytesEach(entries), bytesNarrow);
  for (let sequence = 1; sequence < 5_000; sequence++) {
    assert.deepEqual(entries.get(sequence), sequence === 500 ? null : plain(sequence));
  }
});

test('a queue that goes on far beyond its first sequence and segment takes 16 bytes again', () => {
  const entries = new Entries();
  const far = (sequence: number): Entry => ({ ...plain(0), sequence, segment: Math.floor(sequence / 2 ** 20) });
  const step = 2 ** 20;
  let isEverWide = false;
  for (let index = 1; index < 40_000; index++) {
    entries.put(far(index * step));
    entries.delete((index - 100) * step);
    isEverWide ||= bytesEach(entries) === bytesWide;
  }
  assert.ok(isEverWide);
  assert.ok(bytesEach(entries) < bytesWide);
  const last = Array.from({ length: 100 }, (_, index) => far((39_900 + index) * step));
  assert.deepEqual([...entries.above(0)], last);
});

test('a short queue that empties again and again does not grow, whatever its entries are', () => {
  const entries = new Entries();
  for (let sequence = 1; sequence < 1_000; sequence++) {
    const messageId = sequence % 3 === 0 ? sequence : 0;
    entries.put({ ...plain(sequence), messageId, cost: sequence % 2 === 0 ? 140 : 140_000 });
    entries.delete(sequence);
  }
  assert.ok(entries.bytes <= 4 * (bytesWide + bytesOfMessageId), `${entries.bytes} bytes`);
});

test('an entry that was read behind a later one is replaced, also when the later one is gone', () => {
  const entries = new Entries();
  for (const sequence of [2, 1]) entries.put(plain(sequence));
  entries.delete(2);
  entries.put(plain(1));
  assert.equal(entries.count, 1);
  entries.delete(1);
  assert.equal(entries.get(1), null);
});

test('a long queue takes 16 to 20 bytes an entry, whatever its length, also when it moves on', () => {
  const entries = new Entries();
  for (let sequence = 1; sequence < 400_000; sequence++) {
    entries.put(plain(sequence));
    if (sequence > 200_000) entries.delete(sequence - 200_000);
    if (entries.count < 140_000) continue;
    assert.ok(
      entries.bytes <= entries.count * 1.25 * bytesNarrow + bytesNarrow,
      `${entries.bytes} for ${entries.count}`,
    );
  }
});

test('one entry that stays does not make those that pass by it cost memory', () => {
  const entries = new Entries();
  entries.put(plain(1));
  for (let sequence = 2; sequence < 200_000; sequence++) {
    entries.put(plain(sequence));
    if (sequence > 100) entries.delete(sequence - 50);
  }
  assert.equal(entries.count, 100);
  assert.ok(entries.capacity < 1_000, `${entries.capacity} places for 100 entries`);
});
