/** Cleaning on a disk of which some cannot be read, and the end of a log that trusted the operating system. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Change } from '../../src/core/index.ts';
import { KeptState } from '../kept-state.ts';
import { ChangeMaker } from './change-maker.ts';
import { LogBench } from './log-bench.ts';
import { show } from './shown.ts';

const mebibyte = 1024 * 1024;
const about = { key: 's', incarnation: 1 };

function session(): Change {
  const rest = { clientId: 's', principal: null, expirySeconds: 100, will: null };
  return { kind: 'session', session: { ...about, ...rest, closedAtClock: Number.POSITIVE_INFINITY } };
}

function queued(sequence: number): Change {
  const message = {
    id: 10 + sequence,
    topic: 't',
    qos: 1,
    retain: false,
    properties: new Uint8Array(0),
    payload: new Uint8Array(1_000).fill(sequence),
    expiryAt: -1,
    expiresAtClock: Number.POSITIVE_INFINITY,
    publisher: null,
  } as const;
  const state = { qos: 1, retain: false, identifiers: null, group: null, packetId: 0, released: false } as const;
  return { kind: 'queued', ...about, delivery: { sequence, message, ...state } };
}

test('a place that cannot be read costs what lies next to it, not a whole chunk, and the file is kept', () => {
  const options = { segmentBytes: 2 * mebibyte, sparseSegmentBytes: 2 * mebibyte, slackBytes: 64 * 1024 };
  const bench = new LogBench(1, options);
  bench.commit([session()]);
  const count = 1_900;
  for (let sequence = 1; sequence <= count; sequence++) bench.commit([queued(sequence)]);
  const [name = ''] = bench.disk.files.keys();
  bench.disk.badSpots.push({ file: name, from: 500_000, to: 500_001 });
  // What was queued first and last stays; what dies in between makes the log clean its oldest file.
  const stays = (sequence: number): boolean => sequence <= 900;
  for (let sequence = 1; sequence <= count; sequence++) {
    if (!stays(sequence)) bench.commit([{ kind: 'settled', ...about, sequence }]);
  }
  for (let sequence = count + 1; sequence <= count + 1_500; sequence++) {
    bench.commit([queued(sequence)]);
    bench.commit([{ kind: 'settled', ...about, sequence }]);
  }
  bench.rest();
  assert.ok(bench.disk.files.has(`quarantine/${name}`), 'what could not be read is not deleted');
  const left = bench.pageAll('s', 1).map(({ sequence }) => sequence);
  const lost = 900 - left.length;
  assert.ok(lost > 0 && lost < 80, `${lost} messages of a thousand bytes next to one bad spot`);
  assert.ok(left.every(stays));
});

test('a closed log is on the disk, also one that left its appends to the operating system', () => {
  const options = { segmentBytes: 16_384, sparseSegmentBytes: 4_096, slackBytes: 32_768, syncs: false };
  let forgotten = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const [closed, cut] = [true, false].map((closes) => {
      const bench = new LogBench(seed, options);
      const model = new KeptState();
      const maker = new ChangeMaker(bench.prng, model, bench.state);
      for (let batch = 0; batch < 40; batch++) assert.equal(bench.commit(maker.make(1 + bench.prng.below(30))), null);
      if (closes) bench.log.close();
      if (closes) bench.rest();
      assert.equal(bench.disk.counts.sync > 0, closes);
      bench.disk.losePower();
      bench.restart();
      return isDeepStrictEqual(bench.shown(), show(model));
    });
    assert.ok(closed);
    if (!cut) forgotten++;
  }
  assert.ok(forgotten > 10, 'a power cut before that may take it back');
});
