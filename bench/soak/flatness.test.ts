import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { flatness } from './flatness.ts';

const allowance = { share: 0.05, absolute: 2 };

describe('flatness', () => {
  test('what stays, falls, or rises no further than it may is flat', () => {
    assert.equal(flatness(new Array<number>(20).fill(100), allowance).isFlat, true);
    assert.equal(flatness([9, 9, 9, 9, 8, 8, 8, 8], allowance).isFlat, true);
    assert.deepEqual(flatness([0, 0, 100, 100, 100, 105, 105, 105], allowance), {
      before: 100,
      after: 105,
      isFlat: true,
    });
    assert.equal(flatness([0, 0, 1, 1, 1, 3, 3, 3], allowance).isFlat, true);
  });

  test('what goes on growing is not', () => {
    const growing = Array.from({ length: 20 }, (_, i) => 100 + i);
    assert.equal(flatness(growing, allowance).isFlat, false);
    assert.equal(flatness([0, 0, 1, 1, 1, 4, 4, 4], allowance).isFlat, false);
  });

  test('what grows in the warm-up alone is', () => {
    assert.equal(flatness([1, 50, 100, 100, 100, 100, 100, 100], allowance).isFlat, true);
  });

  test('of teeth the heights are compared', () => {
    const teeth = Array.from({ length: 24 }, (_, i) => 100 + 10 * (i % 5));
    assert.equal(flatness(teeth, allowance).isFlat, true);
  });

  test('too few readings say nothing', () => {
    assert.throws(() => flatness([1, 1, 1, 1, 1, 1, 1], allowance), RangeError);
  });
});
