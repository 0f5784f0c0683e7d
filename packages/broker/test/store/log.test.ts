/** The log on the simulated disk, against a model: restarts, power loss, failures, a full disk, damage; and the room it takes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Change } from '../../src/core/index.ts';
import { KeptState } from '../kept-state.ts';
import { ChangeMaker } from './change-maker.ts';
import { eachSeed, LogBench, smallLog } from './log-bench.ts';
import { messages, sessions } from './queue-changes.ts';
import { show } from './shown.ts';

/** Batches of changes, committed. */
function fill(bench: LogBench, model: KeptState, batches: number): ChangeMaker {
  const maker = new ChangeMaker(bench.prng, model, bench.state);
  for (let batch = 0; batch < batches; batch++) {
    assert.equal(bench.commit(maker.make(1 + bench.prng.below(30))), null);
  }
  return maker;
}

test('what was committed is there after any number of restarts, cleaning included', () => {
  eachSeed((bench, where) => {
    const model = new KeptState();
    for (let run = 0; run < 5; run++) {
      fill(bench, model, 60);
      if (bench.prng.chance(50)) bench.rest();
      bench.disk.kill();
      bench.restart();
      assert.deepEqual(bench.report.damage, []);
      assert.deepEqual(bench.shown(), show(model), `${where}, run ${run}`);
    }
    assert.ok(bench.disk.counts.remove > 0, 'something was cleaned');
  });
});

test('power loss at any point: the state is that of the last answered batch, or of the one under way', () => {
  let ends = { answered: 0, ahead: 0 };
  eachSeed((bench, where) => {
    let model = new KeptState();
    for (let run = 0; run < 8; run++) {
      let ahead = model.copy();
      const maker = new ChangeMaker(bench.prng, ahead, bench.state);
      for (let batches = bench.prng.below(60); batches >= 0; batches--) {
        const { number } = bench.begin(maker.make(1 + bench.prng.below(30)));
        const isDone = (): boolean =>
          bench.taken((answer) => answer.kind === 'committed' && answer.number === number) !== undefined;
        let isAnswered = isDone();
        for (let steps = batches > 0 ? 10_000 : bench.prng.below(6); steps > 0 && !isAnswered; steps--) {
          assert.ok(bench.step());
          isAnswered = isDone();
        }
        if (isAnswered) model = ahead.copy();
      }
      bench.disk.losePower();
      bench.restart();
      for (const { kind } of bench.report.damage) assert.equal(kind, 'unfinished');
      const shown = bench.shown();
      const isAhead = !isDeepStrictEqual(shown, show(model));
      assert.deepEqual(shown, show(isAhead ? ahead : model), `${where}, run ${run}`);
      ends = { answered: ends.answered + (isAhead ? 0 : 1), ahead: ends.ahead + (isAhead ? 1 : 0) };
      if (isAhead) model = ahead;
      else ahead = model;
    }
  });
  assert.ok(ends.answered > 0 && ends.ahead > 0, 'both ends were seen');
});

test('failing appends and syncs: a batch is tried again with what came since, and nothing is lost or half there', () => {
  let failures = 0;
  eachSeed((bench, where) => {
    const model = new KeptState();
    for (let run = 0; run < 4; run++) {
      let lasting = model.copy();
      const tried: KeptState[] = [];
      const maker = new ChangeMaker(bench.prng, model, bench.state);
      let retrying: Change[] = [];
      bench.disk.failures.append = 20;
      bench.disk.failures.sync = 20;
      bench.disk.failures.remove = 30;
      for (let batch = 0; batch < 30; batch++) {
        retrying.push(...maker.make(1 + bench.prng.below(10)));
        tried.push(model.copy());
        if (bench.commit(retrying) !== null) {
          failures++;
          continue;
        }
        retrying = [];
        tried.length = 0;
        lasting = model.copy();
      }
      if (bench.prng.chance(50)) bench.disk.losePower();
      else bench.disk.kill();
      for (const kind of ['append', 'sync', 'remove'] as const) bench.disk.failures[kind] = 0;
      bench.restart();
      const shown = bench.shown();
      const found = [lasting, ...tried].find((each) => isDeepStrictEqual(shown, show(each)));
      assert.ok(found !== undefined, `${where}, run ${run}: the state is none that was tried`);
      model.become(bench.state, bench);
    }
  });
  assert.ok(failures > 0);
});

test('a full disk fails commits with its reason, and serves again once there is room', () => {
  eachSeed((bench, where) => {
    const model = new KeptState();
    const maker = fill(bench, model, 20);
    bench.rest();
    bench.disk.capacityBytes = bench.disk.bytes + 500;
    const changes = maker.make(200);
    for (let attempt = 0; attempt < 5; attempt++) assert.match(bench.commit(changes) ?? 'no failure', /no space left/);
    assert.ok(bench.disk.files.size < 20, 'failed attempts leave no files behind');
    bench.disk.capacityBytes = Number.POSITIVE_INFINITY;
    assert.equal(bench.commit(changes), null);
    bench.disk.kill();
    bench.restart();
    assert.deepEqual(bench.shown(), show(model), where);
  });
});

test('damage anywhere: the start succeeds, names what it could not read, and works on with what is right', () => {
  let damaged = 0;
  eachSeed((bench, where) => {
    const written = new KeptState();
    fill(bench, written, 60);
    bench.disk.kill();
    const names = [...bench.disk.files.keys()].filter((each) => each.startsWith('segment-'));
    for (let hits = 1 + bench.prng.below(3); hits > 0; hits--) hurt(bench, bench.prng.pick(names));
    bench.restart();
    const isWhole = isDeepStrictEqual(bench.shown(), show(written));
    if (!isWhole) damaged++;
    assert.ok(isWhole || bench.report.damage.length > 0, `${where}: something is missing and nothing is reported`);
    for (const { copy, from, to } of bench.report.damage) {
      assert.equal(bench.disk.files.get(copy ?? '')?.bytes.length, to - from, 'a copy is in the quarantine');
    }
    // What was read is the state from here on, whatever cleaning does to it.
    const model = new KeptState().become(bench.state, bench);
    assert.deepEqual(bench.shown(), show(model));
    fill(bench, model, 60);
    bench.rest();
    bench.disk.kill();
    bench.restart();
    assert.deepEqual(bench.shown(), show(model), where);
  });
  assert.ok(damaged > 0);
});

test('a copy for the quarantine that a crash cut off is made again, and one that is whole is not', () => {
  const bench = new LogBench(7, smallLog);
  fill(bench, new KeptState(), 40);
  bench.disk.kill();
  const [name = ''] = bench.disk.files.keys();
  bench.disk.fill(name, 500, 900, 0);
  bench.restart();
  const copy = bench.report.damage[0]?.copy ?? '';
  const whole = bench.disk.files.get(copy)?.bytes ?? new Uint8Array(0);
  assert.ok(whole.length >= 400);
  bench.disk.truncate(copy, 100);
  bench.restart();
  assert.deepEqual(bench.disk.files.get(copy)?.bytes, whole);
  const { append } = bench.disk.counts;
  bench.restart();
  assert.equal(bench.disk.counts.append, append);
});

/** Bits that flip, ranges that are zero or noise. */
function hurt({ disk, prng }: LogBench, name: string): void {
  const length = disk.files.get(name)?.bytes.length ?? 0;
  const at = prng.below(length);
  switch (prng.below(3)) {
    case 0:
      return disk.flipBit(name, at, prng.below(8));
    case 1:
      return disk.fill(name, at, Math.min(length, at + prng.below(2_000)), 0);
    default:
      for (let i = at; i < Math.min(length, at + prng.below(200)); i++) disk.fill(name, i, i + 1, prng.below(256));
  }
}

test('a message for many sessions is written once, and its space comes back when the last of them has it', () => {
  const bench = new LogBench(1, smallLog);
  bench.commit(sessions(50));
  const before = bench.log.liveBytes;
  bench.commit(messages(bench, 50, 1, 10_000));
  assert.ok(bench.log.liveBytes - before < 10_000 + 50 * 60);
  for (let index = 0; index < 50; index++) {
    assert.ok(bench.log.liveBytes - before > 10_000);
    bench.commit([{ kind: 'settled', key: `s${index}`, incarnation: index + 1, sequence: 1 }]);
  }
  assert.equal(bench.log.liveBytes, before);
});

test('a message that moves from session to session within a batch is not lost on the way', () => {
  const bench = new LogBench(1, smallLog);
  bench.commit(sessions(2));
  const [first, second] = messages(bench, 2, 1, 100) as [Change, Change];
  assert.equal(bench.commit([first, { kind: 'settled', key: 's0', incarnation: 1, sequence: 1 }, second]), null);
  assert.deepEqual([bench.pageAll('s0', 1).length, bench.pageAll('s1', 2).length], [0, 1]);
  bench.disk.kill();
  bench.restart();
  assert.deepEqual([bench.pageAll('s0', 1).length, bench.pageAll('s1', 2).length], [0, 1]);
});

test('after a drain the disk is given back, but for what lives', () => {
  const bench = new LogBench(2, smallLog);
  bench.commit(sessions(10));
  for (let sequence = 1; sequence <= 300; sequence++) bench.commit(messages(bench, 10, sequence, 500));
  const full = bench.disk.bytes;
  assert.ok(full > 150_000);
  for (let sequence = 1; sequence <= 300; sequence++) {
    const settled = { kind: 'settled', sequence } as const;
    bench.commit(sessions(10).map((_, index) => ({ ...settled, key: `s${index}`, incarnation: index + 1 })));
  }
  bench.rest();
  assert.ok(bench.disk.bytes < smallLog.sparseSegmentBytes + 2_000, `${bench.disk.bytes} of ${full} bytes are left`);
});

test('a store over its limit fails what adds to it, and takes what gives back', () => {
  const bench = new LogBench(4, { ...smallLog, liveBytesMax: 20_000 });
  bench.commit(sessions(1));
  let sequence = 0;
  const failing: Change[] = [];
  while (failing.length === 0) {
    const change = messages(bench, 1, ++sequence, 1_000);
    if (bench.commit(change) !== null) failing.push(...change);
  }
  assert.ok(bench.log.liveBytes > 20_000 && bench.log.liveBytes < 22_000);
  // The batch that failed comes again with what was settled since.
  failing.push({ kind: 'settled', key: 's0', incarnation: 1, sequence });
  assert.equal(bench.commit(failing), null);
  const more = messages(bench, 1, ++sequence, 1_000);
  assert.match(bench.commit(more) ?? '', /the store is full/);
  for (let settled = 1; settled <= 3; settled++)
    more.push({ kind: 'settled', key: 's0', incarnation: 1, sequence: settled });
  assert.equal(bench.commit(more), null);
});

test('a stalled disk delays answers, and nothing else', () => {
  const bench = new LogBench(5, smallLog);
  bench.commit(sessions(1));
  bench.disk.isStalled = true;
  const { number } = bench.begin(messages(bench, 1, 1, 10));
  bench.rest();
  assert.equal(
    bench.taken((answer) => answer.kind === 'committed' && answer.number === number),
    undefined,
  );
  bench.disk.isStalled = false;
  bench.rest();
  assert.ok(bench.taken((answer) => answer.kind === 'committed' && answer.number === number && answer.error === null));
});

test('a read that fails now and then while cleaning costs nothing', () => {
  eachSeed((bench, where) => {
    const model = new KeptState();
    bench.disk.failures.read = 40;
    fill(bench, model, 200);
    bench.rest();
    assert.ok(bench.disk.counts.remove > 0, 'something was cleaned');
    assert.deepEqual(bench.damage, []);
    bench.disk.failures = {};
    bench.disk.kill();
    bench.restart();
    assert.deepEqual(bench.report.damage, []);
    assert.deepEqual(bench.shown(), show(model), where);
  });
});

test('a file that cannot be read is set aside, and the rest of the log is there', () => {
  const bench = new LogBench(6, smallLog);
  const model = new KeptState();
  fill(bench, model, 60);
  bench.disk.kill();
  const [name] = [...bench.disk.files.keys()];
  bench.disk.badFiles.add(name as string);
  bench.restart();
  assert.ok(
    bench.report.damage.some(({ file, kind, copy }) => file === name && kind === 'unreadable' && copy === null),
  );
  const read = new KeptState().become(bench.state, bench);
  fill(bench, read, 100);
  bench.rest();
  assert.ok(bench.disk.files.has(`quarantine/${name}`) && !bench.disk.files.has(name as string), 'moved, not removed');
  bench.disk.kill();
  bench.restart();
  assert.deepEqual(bench.shown(), show(read));
});
