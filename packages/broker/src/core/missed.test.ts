import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Missed, MissedByClient, missedClientsMax, missedTopicsMax } from './missed.ts';

test('topics are told apart by reason, with number and time', () => {
  const missed = new Missed(5);
  missed.add('a', 'expired', 10);
  missed.add('b', 'expired', 11);
  missed.add('a', 'queue-full', 12);
  missed.add('a', 'expired', 13);
  assert.deepEqual(
    [...missed],
    [
      { topic: 'a', reason: 'expired', count: 2, firstAt: 10, lastAt: 13 },
      { topic: 'b', reason: 'expired', count: 1, firstAt: 11, lastAt: 11 },
      { topic: 'a', reason: 'queue-full', count: 1, firstAt: 12, lastAt: 12 },
    ],
  );
  assert.equal(missed.othersOf('expired'), 0);
});

test('of more topics than there is room for the latest are known, and how many were of the others', () => {
  const missed = new Missed(0);
  for (let i = 0; i < missedTopicsMax; i++) missed.add(`t/${i}`, i % 2 === 0 ? 'expired' : 'queue-full', i);
  missed.add('t/0', 'expired', 50);
  assert.equal([...missed].length, missedTopicsMax);
  for (let i = 0; i < 3; i++) missed.add(`late/${i}`, 'queue-full', 100 + i);
  const topics = [...missed].map(({ topic }) => topic);
  assert.equal(topics.length, missedTopicsMax);
  for (const gone of ['t/0', 't/1', 't/2']) assert.ok(!topics.includes(gone), gone);
  for (const there of ['t/3', 'late/0', 'late/1', 'late/2']) assert.ok(topics.includes(there), there);
  assert.deepEqual([missed.othersOf('expired'), missed.othersOf('queue-full')], [3, 1]);
  missed.add('x'.repeat(1_025), 'queue-full', 200);
  assert.equal(missed.othersOf('queue-full'), 2);
});

test('in one turn topics are looked for 32 times at most; what is beyond is counted', () => {
  const missed = new Missed(0);
  for (let i = 0; i < 100; i++) missed.add(`t/${i}`, 'unsent-full', 7);
  assert.ok([...missed].some(({ topic }) => topic === 't/31'));
  assert.equal(missed.othersOf('unsent-full'), 100 - missedTopicsMax);
  missed.add('t/99', 'unsent-full', 8);
  assert.ok([...missed].some(({ topic, count }) => topic === 't/99' && count === 1));
});

test('clients are bounded in number: who missed nothing since is forgotten first, one every 10 ms at most', () => {
  const all = new MissedByClient();
  for (let i = 0; i < missedClientsMax; i++) all.add(null, `c${i}`, 't', 'expired', 0);
  assert.equal(all.isComplete, true);
  // All were used: a first look at each clears that, and the first of them goes.
  assert.ok(all.add(null, 'new', 't', 'expired', 100));
  assert.equal(all.find('c0'), null);
  assert.equal(all.isComplete, false);
  assert.equal(all.add(null, 'another', 't', 'expired', 109), null);
  const kept = all.find('c1');
  assert.equal(all.add(kept, 'c1', 't', 'expired', 109), kept);
  assert.ok(all.add(null, 'another', 't', 'expired', 110));
  assert.deepEqual([all.find('c1') !== null, all.find('c2'), all.size], [true, null, missedClientsMax]);
  // A session that still has what was forgotten begins anew.
  const forgotten = new Missed(0);
  forgotten.isForgotten = true;
  assert.notEqual(all.add(forgotten, 'c3', 't', 'expired', 120), forgotten);
});

test('topics are bounded in characters, over all clients', () => {
  const all = new MissedByClient();
  const long = (number: number): string => `${number}`.padEnd(1_024, 'x');
  for (let client = 0; client < 1_000; client++) {
    for (let i = 0; i < missedTopicsMax; i++) all.add(null, `c${client}`, long(i), 'expired', client * 100);
  }
  assert.ok(all.size * missedTopicsMax * 1_024 <= 8 * 1024 * 1024, `${all.size} clients`);
  assert.ok(all.size > 400);
  assert.ok(all.find('c999'));
});
