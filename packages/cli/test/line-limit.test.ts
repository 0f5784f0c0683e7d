import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineLimit } from '../src/line-limit.ts';

const limits = {
  linesPerSecond: 100,
  burstLines: 1_000,
  linesPerSecondPerAddress: 10,
  burstLinesPerAddress: 50,
  addressesMax: 3,
};

function take(limit: LineLimit, address: string, count: number, now: number): number {
  let taken = 0;
  for (let at = 0; at < count; at++) if (limit.takes(address, now)) taken++;
  return taken;
}

test('an address has its burst and its rate; others have theirs; what is left out is told once', () => {
  const limit = new LineLimit(limits, 0);
  assert.equal(take(limit, 'loud', 1_000, 0), 50);
  assert.equal(take(limit, 'quiet', 5, 0), 5);
  assert.deepEqual([...limit.leftOut(0)], [{ address: 'loud', lines: 950 }]);
  assert.deepEqual([...limit.leftOut(0)], []);
  assert.equal(take(limit, 'loud', 1_000, 1_000), 10);
  assert.deepEqual([...limit.leftOut(1_000)], [{ address: 'loud', lines: 990 }]);
});

test('all together have a rate, too', () => {
  const limit = new LineLimit({ ...limits, burstLines: 60, addressesMax: 100 }, 0);
  assert.equal(take(limit, 'a', 100, 0) + take(limit, 'b', 100, 0) + take(limit, 'c', 100, 0), 60);
});

test('addresses beyond those that are known count as one, and who is silent is forgotten', () => {
  const limit = new LineLimit(limits, 0);
  for (const address of ['a', 'b', 'c']) take(limit, address, 1, 0);
  assert.equal(take(limit, 'd', 30, 0) + take(limit, 'e', 30, 0), 50);
  assert.deepEqual([...limit.leftOut(0)], [{ address: 'other addresses', lines: 10 }]);
  assert.deepEqual([...limit.leftOut(10_000)], []);
  assert.equal(take(limit, 'd', 60, 10_000) + take(limit, 'e', 60, 10_000), 100);
});
