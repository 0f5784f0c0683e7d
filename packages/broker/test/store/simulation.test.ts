/** The broker's simulation on the log over a simulated disk. `PIPIT_SEEDS` makes it long. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEngine } from '../sim/engine.ts';
import { Marks } from '../sim/marks.ts';
import { runSeed } from '../sim/run.ts';
import { onLog } from './log-disk.ts';

const seeds = Number(process.env['PIPIT_SEEDS'] ?? 40);

test(`seeds 1 to ${seeds} keep every invariant on the log, and the log knows what was committed`, async () => {
  const engine = onLog(await loadEngine());
  const marks = new Marks();
  const failures: string[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const { failure, marks: reached } = runSeed(seed, engine, 500);
    if (failure !== null) failures.push(`seed ${seed}: ${failure.rule}`);
    marks.include(reached);
  }
  assert.deepEqual(failures, []);
  for (const mark of ['power lost in mid-commit', 'queue paged in from the store', 'graceful restart'] as const) {
    assert.ok(marks.counts.has(mark), `not reached: ${mark}`);
  }
});
