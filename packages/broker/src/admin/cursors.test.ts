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

test('pages go on where the one before ended, each once', async () => {
  const cursors = new Cursors();
  const first = await cursors.begin('a', tenths(45), 3);
  assert.deepEqual(first.items, [0, 10, 20]);
  const second = await cursors.resume('a', first.next ?? '', 3);
  assert.deepEqual(second, { items: [30, 40], next: null });
  assert.equal(await cursors.resume('a', first.next ?? '', 3), null);
  assert.equal(cursors.size, 0);
});

test('a cursor of one list leads nowhere in another, and stays good in its own', async () => {
  const cursors = new Cursors();
  const { next } = await cursors.begin('a', tenths(45), 3);
  assert.equal(await cursors.resume('b', next ?? '', 3), null);
  assert.deepEqual((await cursors.resume('a', next ?? '', 1))?.items, [30]);
  cursors.close();
});

test('a page ends after ten thousand steps, whatever it has', async () => {
  const cursors = new Cursors();
  const { items, next } = await cursors.begin('a', tenths(15_000), 10_000);
  assert.equal(items.length, 1000);
  assert.equal((await cursors.resume('a', next ?? '', 10_000))?.items.length, 500);
});

test('of too many places the oldest is let go of, and all of them at the end', async () => {
  const cursors = new Cursors();
  const closed: number[] = [];
  const { next } = await cursors.begin('a', tenths(1000, closed), 1);
  for (let i = 0; i < 64; i++) await cursors.begin('a', tenths(2000, closed), 1);
  assert.equal(cursors.size, 64);
  assert.deepEqual(closed, [1000]);
  assert.equal(await cursors.resume('a', next ?? '', 1), null);
  cursors.close();
  assert.deepEqual([cursors.size, closed.length], [0, 65]);
});

test('a million entries are looked at once each, and at most 500 between two turns of the event loop', async () => {
  const cursors = new Cursors();
  let [drawn, drawnAtTurn, mostInTurn, isOver] = [0, 0, 0, false];
  const turn = (): void => {
    mostInTurn = Math.max(mostInTurn, drawn - drawnAtTurn);
    drawnAtTurn = drawn;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  function* numbers(): Generator<number | null, void, void> {
    for (let i = 0; i < 1_000_000; i++) {
      drawn++;
      yield i % 1000 === 0 ? i : null;
    }
  }
  let items = 0;
  let page = await cursors.begin('a', numbers(), 1000);
  for (;;) {
    items += page.items.length;
    if (page.next === null) break;
    page = (await cursors.resume<number>('a', page.next, 1000)) ?? assert.fail('a cursor is not known any more');
    // The next request comes in another turn.
    await new Promise((done) => setImmediate(done));
  }
  isOver = true;
  assert.deepEqual([drawn, items], [1_000_000, 1_000]);
  assert.ok(mostInTurn <= 1_000, `${mostInTurn} in one turn`);
});
