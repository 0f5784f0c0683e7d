import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cursors } from './cursors.ts';

/** Yields every tenth of `count` numbers; notes in `closed` that it was let go of. */
function* tenths(count: number, closed: number[] = []): Generator<number | null, void, void> {
  try {
    for (let i = 0; i < count; i++) yield i % 10 === 0 ? i : null;
  } finally {
    closed.push(count);
  }
}

test('pages go on where the one before ended, each once', () => {
  const cursors = new Cursors();
  const first = cursors.begin('a', tenths(45), 3);
  assert.deepEqual(first.items, [0, 10, 20]);
  const second = cursors.resume('a', first.next ?? '', 3);
  assert.deepEqual(second, { items: [30, 40], next: null });
  assert.equal(cursors.resume('a', first.next ?? '', 3), null);
  assert.equal(cursors.size, 0);
});

test('a cursor of one list leads nowhere in another, and stays good in its own', () => {
  const cursors = new Cursors();
  const { next } = cursors.begin('a', tenths(45), 3);
  assert.equal(cursors.resume('b', next ?? '', 3), null);
  assert.deepEqual(cursors.resume('a', next ?? '', 1)?.items, [30]);
  cursors.close();
});

test('a page ends after ten thousand steps, whatever it has', () => {
  const cursors = new Cursors();
  const { items, next } = cursors.begin('a', tenths(15_000), 10_000);
  assert.equal(items.length, 1000);
  assert.equal(cursors.resume('a', next ?? '', 10_000)?.items.length, 500);
});

test('of too many places the oldest is let go of, and all of them at the end', () => {
  const cursors = new Cursors();
  const closed: number[] = [];
  const { next } = cursors.begin('a', tenths(1000, closed), 1);
  for (let i = 0; i < 64; i++) cursors.begin('a', tenths(2000, closed), 1);
  assert.equal(cursors.size, 64);
  assert.deepEqual(closed, [1000]);
  assert.equal(cursors.resume('a', next ?? '', 1), null);
  cursors.close();
  assert.deepEqual([cursors.size, closed.length], [0, 65]);
});
