import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ledger } from './ledger.ts';

function counts(ledger: Ledger, ...messages: (readonly [publisher: number, sequence: number])[]): number[] {
  for (const [publisher, sequence] of messages) ledger.record(publisher, sequence);
  return [ledger.received, ledger.missing, ledger.misplaced];
}

describe('Ledger', () => {
  test('finds nothing wrong with what comes whole and in order, publisher by publisher', () => {
    assert.deepEqual(counts(new Ledger(2, false), [0, 0], [1, 0], [0, 1], [0, 2], [1, 1]), [5, 0, 0]);
  });

  test('counts what was passed over', () => {
    assert.deepEqual(counts(new Ledger(1, false), [0, 0], [0, 3], [0, 4]), [3, 2, 0]);
  });

  test('counts the first messages when they are missing', () => {
    assert.deepEqual(counts(new Ledger(1, false), [0, 2]), [1, 2, 0]);
  });

  test('counts what came again', () => {
    assert.deepEqual(counts(new Ledger(1, false), [0, 0], [0, 0], [0, 1]), [3, 0, 1]);
  });

  test('counts what was overtaken, as missing and as misplaced', () => {
    assert.deepEqual(counts(new Ledger(1, false), [0, 0], [0, 2], [0, 1], [0, 3]), [4, 1, 1]);
  });

  test('a member of a shared subscription misses what others get, but order holds', () => {
    assert.deepEqual(counts(new Ledger(1, true), [0, 5], [0, 9], [0, 7]), [3, 0, 1]);
  });
});
