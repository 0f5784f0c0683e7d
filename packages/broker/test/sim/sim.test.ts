/** A short run of the simulator: the first seeds are clean, reach what they should, and mean the same every time. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadEngine } from './engine.ts';
import { Marks, markNames } from './marks.ts';
import { runSeed, shorten } from './run.ts';

const seeds = 60;
const steps = 500;
/** Rare branches that even so few seeds reach. */
const marksMin = 35;

describe('simulation', () => {
  test(`seeds 1 to ${seeds} keep every invariant`, async () => {
    const engine = await loadEngine();
    const marks = new Marks();
    for (let seed = 1; seed <= seeds; seed++) {
      const { failure, marks: reached } = runSeed(seed, engine, steps);
      assert.equal(failure?.rule, undefined, `npm run sim -- ${seed} --steps ${steps}`);
      marks.include(reached);
    }
    assert.ok(marks.counts.size >= marksMin, `not reached: ${marks.missing(markNames).join('; ')}`);
  });

  test('the same seed gives the same trace, another seed another', async () => {
    const engine = await loadEngine();
    const first = runSeed(7, engine, 300);
    assert.equal(runSeed(7, engine, 300).checksum, first.checksum);
    assert.notEqual(runSeed(8, engine, 300).checksum, first.checksum);
  });

  test('a failure is found, and made short', async () => {
    const engine = await loadEngine();
    // A broker that takes every commit for done.
    class Credulous extends engine.Core {
      override committed(batch: number, _: string | null, now: number): void {
        super.committed(batch, null, now);
      }
    }
    const faulty = { ...engine, Core: Credulous };
    let seed = 1;
    while (runSeed(seed, faulty).failure === null) seed++;
    const outcome = runSeed(seed, faulty);
    const shortest = shorten(outcome, faulty);
    assert.ok(shortest.failure !== null && shortest.steps <= outcome.steps);
    assert.ok(shortest.failure.tail.length > 0);
  });
});
