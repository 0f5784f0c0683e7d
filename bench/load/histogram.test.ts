import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Histogram } from './histogram.ts';

function filled(values: Iterable<number>): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

function* upTo(last: number): Generator<number> {
  for (let value = 1; value <= last; value++) yield value;
}

describe('Histogram', () => {
  test('is 0 everywhere when nothing was counted', () => {
    const { count, max } = new Histogram();
    assert.deepEqual([count, max, new Histogram().at(0.5)], [0, 0, 0]);
  });

  test('gives small values back exactly', () => {
    const histogram = filled(upTo(50));
    assert.equal(histogram.count, 50);
    assert.deepEqual([histogram.at(0), histogram.at(0.5), histogram.at(0.98), histogram.at(1)], [1, 26, 50, 50]);
  });

  test('is off by less than 1.6 % above, and never too high', () => {
    const histogram = filled(upTo(1_000_000));
    for (const quantile of [0.01, 0.5, 0.9, 0.99, 0.999]) {
      const exact = Math.floor(quantile * 1_000_000) + 1;
      const found = histogram.at(quantile);
      assert.ok(found <= exact && found > exact * (1 - 1 / 64), `${quantile}: ${found} for ${exact}`);
    }
    assert.equal(histogram.max, 1_000_000);
  });

  test('a value at each edge of a bucket is in that bucket', () => {
    for (const value of [0, 1, 63, 64, 65, 127, 128, 130, 254, 256, 4096, 2 ** 20, 2 ** 30]) {
      assert.equal(filled([value]).at(0.5), value);
    }
  });

  test('takes values that fit no bucket', () => {
    assert.equal(filled([-5]).at(0.5), 0);
    const huge = filled([1e12]);
    assert.equal(huge.max, 1e12);
    assert.ok(huge.at(0.5) > 2 ** 30);
  });

  test('sees one slow message among a thousand', () => {
    const histogram = filled([...new Array<number>(999).fill(10), 5000]);
    assert.equal(histogram.at(0.99), 10);
    assert.ok(histogram.at(0.999) > 4900);
  });
});
