import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Change } from '../../src/core/index.ts';
import { LogBench } from './log-bench.ts';
import { ChangeMaker, Model, showStored } from './model.ts';

const small = { segmentBytes: 16_384, sparseSegmentBytes: 4_096, slackBytes: 32_768 };

test('what was committed is there after any number of restarts, cleaning included', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const bench = new LogBench(seed, small);
    const model = new Model();
    for (let run = 0; run < 6; run++) {
      const maker = new ChangeMaker(bench.prng, model, bench.state);
      for (let batch = 0; batch < 60; batch++) {
        assert.equal(bench.commit(maker.make(1 + bench.prng.below(30))), null);
      }
      if (bench.prng.chance(50)) bench.rest();
      bench.disk.kill();
      bench.restart();
      assert.deepEqual(bench.report.damage, []);
      assert.deepEqual(
        showStored(bench.state, (key, incarnation) => bench.pageAll(key, incarnation)),
        model.show(),
        `seed ${seed}, run ${run}`,
      );
    }
    assert.ok(bench.disk.counts.remove > 0, 'something was cleaned');
  }
});

test('power loss at any point: the state is that of the last answered batch, or of the one under way', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const bench = new LogBench(seed, small);
    let model = new Model();
    for (let run = 0; run < 8; run++) {
      let ahead = model.copy();
      const maker = new ChangeMaker(bench.prng, ahead, bench.state);
      let changes: Change[] = [];
      for (let steps = bench.prng.below(120); steps > 0; steps--) {
        changes = maker.make(1 + bench.prng.below(30));
        const { number } = bench.begin(changes);
        let isAnswered = false;
        for (let left = bench.prng.below(40); left > 0 || steps > 1; left--) {
          isAnswered = bench.taken((answer) => answer.kind === 'committed' && answer.number === number) !== undefined;
          if (isAnswered || !bench.step()) break;
        }
        if (!isAnswered) break;
        model = ahead.copy();
      }
      bench.disk.losePower();
      bench.restart();
      for (const { kind } of bench.report.damage) assert.equal(kind, 'unfinished');
      const shown = showStored(bench.state, (key, incarnation) => bench.pageAll(key, incarnation));
      const isAhead = !isDeepStrictEqual(shown, model.show());
      assert.deepEqual(shown, (isAhead ? ahead : model).show(), `seed ${seed}, run ${run}`);
      if (isAhead) model = ahead;
      else ahead = model;
    }
  }
});
