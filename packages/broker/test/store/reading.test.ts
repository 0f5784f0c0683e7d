/** What is read back of a log that goes on: pages of queues and retained messages, while it is cleaned, damaged, or read by a bad disk. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change } from '../../src/core/index.ts';
import type { Answer } from '../../src/store/log.ts';
import { retaining } from './change-maker.ts';
import { eachSeed, LogBench, seedCount, smallLog } from './log-bench.ts';
import { messages, sessions } from './queue-changes.ts';

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
  const bench = new LogBench(8, { ...smallLog, segmentBytes: 4_096 });
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
  for (let seed = 1; seed <= seedCount; seed++) {
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
