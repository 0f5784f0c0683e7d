/** The log on the simulated disk, against a model: restarts, power loss, failures, a full disk, damage. `PIPIT_SEEDS` makes it long. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Change } from '../../src/core/index.ts';
import type { Answer } from '../../src/store/log.ts';
import { KeptState } from '../kept-state.ts';
import { ChangeMaker, retaining } from './change-maker.ts';
import { LogBench } from './log-bench.ts';
import { show } from './shown.ts';

const small = { segmentBytes: 16_384, sparseSegmentBytes: 4_096, slackBytes: 32_768 };
const seeds = Number(process.env['PIPIT_SEEDS'] ?? 12);

/** Batches of changes, committed. */
function fill(bench: LogBench, model: KeptState, batches: number): ChangeMaker {
  const maker = new ChangeMaker(bench.prng, model, bench.state);
  for (let batch = 0; batch < batches; batch++) {
    assert.equal(bench.commit(maker.make(1 + bench.prng.below(30))), null);
  }
  return maker;
}

function eachSeed(body: (bench: LogBench, where: string) => void, options = small): void {
  for (let seed = 1; seed <= seeds; seed++) body(new LogBench(seed, options), `seed ${seed}`);
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
  const bench = new LogBench(7, small);
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

/** A message of so many bytes for every session, at this sequence. */
function messages(bench: LogBench, sessions: number, sequence: number, bytes: number): Change[] {
  const message = {
    id: 1_000 + sequence,
    topic: 'topic',
    qos: 1 as const,
    retain: false,
    properties: new Uint8Array(0),
    payload: new Uint8Array(bytes).fill(bench.prng.below(256)),
    expiryAt: -1,
    expiresAtClock: Number.POSITIVE_INFINITY,
    publisher: null,
  };
  const state = { qos: 1 as const, retain: false, identifiers: null, group: null, packetId: 0, released: false };
  return Array.from({ length: sessions }, (_, index) => {
    return { kind: 'queued', key: `s${index}`, incarnation: index + 1, delivery: { sequence, message, ...state } };
  });
}

function sessions(count: number): Change[] {
  return Array.from({ length: count }, (_, index) => {
    const rest = { principal: null, expirySeconds: 60, will: null, closedAtClock: 1 };
    return { kind: 'session', session: { key: `s${index}`, clientId: `s${index}`, incarnation: index + 1, ...rest } };
  });
}

test('a message for many sessions is written once, and its space comes back when the last of them has it', () => {
  const bench = new LogBench(1, small);
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
  const bench = new LogBench(1, small);
  bench.commit(sessions(2));
  const [first, second] = messages(bench, 2, 1, 100) as [Change, Change];
  assert.equal(bench.commit([first, { kind: 'settled', key: 's0', incarnation: 1, sequence: 1 }, second]), null);
  assert.deepEqual([bench.pageAll('s0', 1).length, bench.pageAll('s1', 2).length], [0, 1]);
  bench.disk.kill();
  bench.restart();
  assert.deepEqual([bench.pageAll('s0', 1).length, bench.pageAll('s1', 2).length], [0, 1]);
});

test('after a drain the disk is given back, but for what lives', () => {
  const bench = new LogBench(2, small);
  bench.commit(sessions(10));
  for (let sequence = 1; sequence <= 300; sequence++) bench.commit(messages(bench, 10, sequence, 500));
  const full = bench.disk.bytes;
  assert.ok(full > 150_000);
  for (let sequence = 1; sequence <= 300; sequence++) {
    const settled = { kind: 'settled', sequence } as const;
    bench.commit(sessions(10).map((_, index) => ({ ...settled, key: `s${index}`, incarnation: index + 1 })));
  }
  bench.rest();
  assert.ok(bench.disk.bytes < small.sparseSegmentBytes + 2_000, `${bench.disk.bytes} of ${full} bytes are left`);
});

test('pages are right while cleaning moves what they read', () => {
  const body = (bench: LogBench): void => {
    bench.commit(sessions(4));
    for (let sequence = 1; sequence <= 200; sequence++) {
      const shared = messages(bench, 4, sequence, 100);
      bench.commit([...shared, ...messages(bench, 2, 1_000 + sequence, 600).slice(1)]);
    }
    const expected = new Map<number, number>();
    // The others settle theirs, so that what session 0 keeps is moved while it is read.
    for (let sequence = 1; sequence <= 200; sequence += 2) {
      const after = bench.prng.below(180);
      expected.set(1_000 + sequence, after);
      bench.log.page({ number: 1_000 + sequence, key: 's0', incarnation: 1, after, count: 10, givesUp: false });
      const settled = [sequence, sequence + 1].flatMap((each) => [
        ...[1, 2, 3].map((index) => ({ index, sequence: each })),
        { index: 1, sequence: 1_000 + each },
      ]);
      bench.commit(
        settled.map(({ index, ...rest }) => ({ kind: 'settled', key: `s${index}`, incarnation: index + 1, ...rest })),
      );
    }
    bench.rest();
    for (const [number, after] of expected) {
      const answer = bench.taken((each) => each.kind === 'paged' && each.number === number);
      const deliveries = (answer as Extract<Answer, { kind: 'paged' }>).page?.deliveries ?? null;
      const sequences = Array.from({ length: 10 }, (_, index) => after + 1 + index);
      assert.deepEqual(
        deliveries?.map(({ sequence }) => sequence),
        sequences,
      );
    }
    assert.ok(bench.disk.counts.remove > 0);
  };
  eachSeed(body, { segmentBytes: 4_096, sparseSegmentBytes: 4_096, slackBytes: 1_024 });
});

test('what is being read in many places is all there, though cleaning removes the files it is in', () => {
  let removed = 0;
  eachSeed(
    (bench, where) => {
      bench.commit(sessions(2));
      const asked: { topic: string; id: number }[] = [];
      for (let sequence = 1; sequence <= 24; sequence++) {
        // So much lies between that each is read on its own.
        bench.commit(messages(bench, 2, 2 * sequence, 100).slice(0, 1));
        const [kept] = messages(bench, 1, 1_000 + sequence, 100);
        const { message } = (kept as Extract<Change, { kind: 'queued' }>).delivery;
        const topic = `kept/${sequence}`;
        bench.commit([retaining({ ...message, topic })]);
        bench.commit(messages(bench, 2, 2 * sequence + 1, 70_000).slice(1));
        asked.push({ topic, id: message.id });
      }
      const before = bench.disk.counts.remove;
      bench.log.page({ number: 1_001, key: 's0', incarnation: 1, after: 0, count: 24, givesUp: false });
      bench.log.fetch({ number: 1_002, messages: asked, givesUp: false });
      const settled = { kind: 'settled', key: 's1', incarnation: 2 } as const;
      bench.commit(Array.from({ length: 24 }, (_, index) => ({ ...settled, sequence: 2 * index + 3 })));
      bench.rest();
      removed += bench.disk.counts.remove - before;
      const paged = bench.taken((each) => each.kind === 'paged' && each.number === 1_001);
      assert.equal((paged as Extract<Answer, { kind: 'paged' }>).page?.deliveries.length, 24, where);
      const fetched = bench.taken((each) => each.kind === 'fetched' && each.number === 1_002);
      const { messages: found } = fetched as Extract<Answer, { kind: 'fetched' }>;
      assert.deepEqual(
        found?.map((message) => message?.id),
        asked.map(({ id }) => id),
        where,
      );
    },
    { segmentBytes: 100_000, sparseSegmentBytes: 50_000, slackBytes: 50_000 },
  );
  assert.ok(removed > 0);
});

test('retained messages are fetched by topic and id: not another one, not one that is damaged or unreadable', () => {
  const bench = new LogBench(8, { ...small, segmentBytes: 4_096 });
  bench.commit(sessions(1));
  const made = ['plain', 'shared', 'replaced', 'cleared', 'damaged'].map((topic, index) => {
    const [queued] = messages(bench, 1, 1 + index, 300) as [Extract<Change, { kind: 'queued' }>];
    const message = { ...queued.delivery.message, topic, payload: new TextEncoder().encode(`of ${topic}`) };
    const retained = retaining(message);
    const delivery = { ...queued.delivery, message };
    // Fills a segment, so that the next one stands elsewhere.
    bench.commit([topic === 'shared' ? { ...queued, delivery } : retained, retained]);
    bench.commit(messages(bench, 1, 100 + index, 5_000));
    return message;
  });
  const wanted = made.map(({ topic, id }) => ({ topic, id }));
  const found = (givesUp = false) => {
    const messages = bench.fetch(wanted, givesUp);
    return typeof messages === 'string' ? messages : messages.map((message) => message ?? false);
  };
  assert.deepEqual(found(), made);
  const { id, ...rest } = made[2] as (typeof made)[number];
  bench.commit([retaining({ ...rest, topic: 'replaced', id: id + 500 }), { kind: 'unretained', topic: 'cleared' }]);
  for (const [name, { bytes }] of bench.disk.files) {
    const at = Buffer.from(bytes).indexOf('of damaged');
    if (at >= 0) bench.disk.flipBit(name, at, 0);
  }
  const [plain, shared] = made;
  assert.deepEqual(found(), [plain, shared, false, false, false]);
  assert.deepEqual(bench.fetch([{ topic: 'nothing', id: 1 }]), [null]);
  const [bad] = [...bench.disk.files].find(([, { bytes }]) => Buffer.from(bytes).includes('of plain')) ?? [];
  bench.disk.badFiles.add(bad as string);
  assert.equal(typeof found(), 'string');
  assert.deepEqual(found(true), [false, shared, false, false, false]);
});

test('a page is bounded in bytes, and one for an older incarnation is empty', () => {
  const bench = new LogBench(3, { segmentBytes: 64 * 1024 * 1024 });
  bench.commit(sessions(2));
  for (let sequence = 1; sequence <= 6; sequence++) bench.commit(messages(bench, 1, sequence, 1_500_000));
  assert.equal(bench.page('s0', 1, 0, 100).length, 2);
  assert.equal(bench.page('s0', 9, 0, 100).length, 0);
  assert.equal(bench.page('nobody', 1, 0, 100).length, 0);
});

/** Twenty messages of 1,000 bytes for session 0, and where the record of each stands in the one segment. */
function twenty(seed: number): { bench: LogBench; spots: { file: string; from: number; to: number }[] } {
  const bench = new LogBench(seed, { segmentBytes: 1024 * 1024 });
  bench.commit(sessions(1));
  const spots: { file: string; from: number; to: number }[] = [];
  const [file = ''] = bench.disk.files.keys();
  for (let sequence = 1; sequence <= 20; sequence++) {
    const from = bench.disk.bytes;
    bench.commit(messages(bench, 1, sequence, 1_000));
    spots.push({ file, from: from + 200, to: from + 201 });
  }
  return { bench, spots };
}

function shown(page: ReturnType<LogBench['pageOrLoss']>): string | { read: number[]; lost: number[] } {
  if (typeof page === 'string') return page;
  return {
    read: page.deliveries.map(({ sequence }) => sequence),
    lost: page.lost.map(({ sequence }) => sequence),
  };
}

test('what is damaged is left out of a page and named, also when that is all of it', () => {
  const { bench, spots } = twenty(5);
  for (const at of [2, 5, 6, 7]) bench.disk.flipBit(spots[at]?.file ?? '', spots[at]?.from ?? 0, 3);
  assert.deepEqual(shown(bench.pageOrLoss('s0', 1, 0, 4)), { read: [1, 2, 4], lost: [3] });
  assert.deepEqual(shown(bench.pageOrLoss('s0', 1, 4, 4)), { read: [5], lost: [6, 7, 8] });
  assert.deepEqual(shown(bench.pageOrLoss('s0', 1, 5, 3)), { read: [], lost: [6, 7, 8] });
  const page = bench.pageOrLoss('s0', 1, 2, 1);
  const cost = 1_000 + 128 + 2;
  assert.ok(typeof page !== 'string' && (page.lost[0]?.cost ?? 0) > cost && (page.lost[0]?.cost ?? 0) < cost + 100);
});

test('what the disk does not read fails a page; it is lost when the store is told to give up and the disk reads other things', () => {
  for (let seed = 1; seed <= seeds; seed++) {
    const { bench, spots } = twenty(seed);
    bench.disk.badSpots.push(spots[9] as (typeof spots)[0], spots[10] as (typeof spots)[0]);
    assert.equal(shown(bench.pageOrLoss('s0', 1, 7, 6)), 'input/output error');
    assert.equal(shown(bench.pageOrLoss('s0', 1, 9, 2)), 'input/output error');
    assert.deepEqual(shown(bench.pageOrLoss('s0', 1, 7, 6, true)), { read: [8, 9, 12, 13], lost: [10, 11] });
    // Nothing of the page can be read: something else tells that the disk does read.
    assert.deepEqual(shown(bench.pageOrLoss('s0', 1, 9, 2, true)), { read: [], lost: [10, 11] });
    bench.disk.badFiles.add(spots[0]?.file ?? '');
    assert.equal(shown(bench.pageOrLoss('s0', 1, 0, 20, true)), 'input/output error', 'a disk that reads nothing');
    bench.disk.badFiles.clear();
    bench.disk.badSpots.length = 0;
    assert.deepEqual(shown(bench.pageOrLoss('s0', 1, 9, 2)), { read: [10, 11], lost: [] });
  }
});

test('a store over its limit fails what adds to it, and takes what gives back', () => {
  const bench = new LogBench(4, { ...small, liveBytesMax: 20_000 });
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
  const bench = new LogBench(5, small);
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
  const bench = new LogBench(6, small);
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
