/** What the start makes of a log that lost something: what is missing is told, and what belongs elsewhere is not taken. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Change, StoredSession } from '../../src/core/index.ts';
import { headerBytes, mark } from '../../src/store/frame.ts';
import { RecordType } from '../../src/store/record.ts';
import { segmentFile } from '../../src/store/segments.ts';
import { KeptState } from '../kept-state.ts';
import { ChangeMaker } from './change-maker.ts';
import { LogBench } from './log-bench.ts';
import { show } from './shown.ts';

const small = { segmentBytes: 8_192, sparseSegmentBytes: 8_192, slackBytes: 1_000_000 };

/** A log of several segments, and a model of what is in it. */
function filled(seed: number): { bench: LogBench; model: KeptState; names: string[] } {
  const bench = new LogBench(seed, small);
  const model = new KeptState();
  const maker = new ChangeMaker(bench.prng, model, bench.state);
  const segments = (): string[] => [...bench.disk.files.keys()].filter((each) => each.startsWith('segment-')).sort();
  while (segments().length < 5) assert.equal(bench.commit(maker.make(1 + bench.prng.below(20))), null);
  bench.disk.kill();
  const names = segments();
  return { bench, model, names };
}

function bytesOf(bench: LogBench, name: string): Uint8Array {
  return bench.disk.files.get(name)?.bytes ?? new Uint8Array(0);
}

/** Where the commit records of a file begin and end. */
function commits(bytes: Uint8Array): { from: number; to: number }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: { from: number; to: number }[] = [];
  for (let at = 0; at < bytes.length; ) {
    assert.equal(view.getUint32(at), mark);
    const end = at + headerBytes + view.getUint32(at + 8);
    if (bytes[at + 4] === RecordType.Commit) found.push({ from: at, to: end });
    at = end;
  }
  return found;
}

test('a sealed segment that was cut off between two batches is reported as missing from there', () => {
  let losses = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const { bench, model, names } = filled(seed);
    const name = names[1] as string;
    const { length } = bytesOf(bench, name);
    const ends = commits(bytesOf(bench, name));
    const cut = ends.at(-2)?.to ?? 0;
    bench.disk.truncate(name, cut);
    bench.restart();
    if (!isDeepStrictEqual(bench.shown(), show(model))) losses++;
    assert.deepEqual(bench.report.damage, [{ file: name, from: cut, to: length, kind: 'missing', copy: null }]);
    assert.equal(bench.report.isLossUnknown, true, 'the commit record with the count is gone too');
  }
  assert.ok(losses > 0);
});

test('a segment that is gone is reported, unless it is the oldest, which cleaning may have taken', () => {
  const { bench, names } = filled(1);
  const name = names[2] as string;
  const { length } = bytesOf(bench, name);
  bench.disk.files.delete(name);
  bench.restart();
  assert.deepEqual(bench.report.damage, [{ file: name, from: 0, to: length, kind: 'missing', copy: null }]);
});

function session(key: string, incarnation: number): Change {
  const about = { key, clientId: key, principal: null, incarnation, expirySeconds: 100, will: null };
  return { kind: 'session', session: { ...about, closedAtClock: Number.POSITIVE_INFINITY } };
}

function keys(bench: LogBench): string[] {
  return bench.shown().sessions.map((each) => (each as { session: StoredSession }).session.key);
}

test('what counts although no batch of the log is whole counts at the next start too', () => {
  const bench = new LogBench(5, small);
  assert.equal(bench.commit([session('a', 1), session('b', 2)]), null);
  assert.equal(bench.commit([session('c', 3)]), null);
  bench.disk.kill();
  const name = segmentFile(1);
  const [first] = commits(bytesOf(bench, name));
  bench.disk.flipBit(name, headerBytes, 0);
  bench.disk.flipBit(name, (first?.to ?? 0) + headerBytes, 0);
  bench.restart();
  assert.deepEqual(keys(bench), ['b']);
  assert.ok(bench.state.clock > 0, 'the time is known');
  assert.equal(bench.commit([session('d', 4)]), null);
  bench.disk.kill();
  bench.restart();
  assert.deepEqual(keys(bench), ['b', 'd']);
});

test('when no commit record of a batch that counts is left, that of the batch that does not count tells the time', () => {
  const bench = new LogBench(5, small);
  assert.equal(bench.commit([session('a', 1)]), null);
  assert.equal(bench.commit([session('b', 2), session('c', 3)]), null);
  bench.disk.kill();
  const name = segmentFile(1);
  const [first] = commits(bytesOf(bench, name));
  bench.disk.flipBit(name, (first?.from ?? 0) + headerBytes, 0);
  bench.disk.flipBit(name, (first?.to ?? 0) + headerBytes, 0);
  bench.restart();
  assert.deepEqual(keys(bench), ['a']);
  assert.deepEqual([bench.state.wall, bench.state.clock], [1_000_002, 1_000_002]);
});

test('a disk that cannot be read for a moment at the start has lost nothing', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { bench, model, names } = filled(seed);
    // From the first read on, or from one in the midst.
    let stepsBefore = bench.prng.below(8);
    bench.beginRestart();
    while (stepsBefore-- > 0 && !bench.isStarted) bench.step();
    for (const name of names) bench.disk.badFiles.add(name);
    const waited = bench.disk.counts.wait;
    while (!bench.isStarted && bench.disk.counts.wait < waited + 2) assert.ok(bench.step(), 'it gave up');
    bench.disk.badFiles.clear();
    bench.endRestart();
    assert.deepEqual(bench.report.damage, []);
    assert.deepEqual(bench.shown(), show(model));
  }
});

test('one that never gives some of it is waited for so often, and no more', () => {
  const { bench, names } = filled(1);
  for (const name of names.slice(1, -1)) bench.disk.badFiles.add(name);
  bench.restart();
  assert.ok(bench.disk.counts.wait >= 3 && bench.disk.counts.wait <= 16, `${bench.disk.counts.wait}`);
  const unreadable = bench.report.damage.filter(({ kind }) => kind === 'unreadable').map(({ file }) => file);
  assert.deepEqual(unreadable, names.slice(1, -1));
});

test('an id in a batch that does not count is not given out again: a later damage may bring its records back', () => {
  const bench = new LogBench(3, small);
  assert.equal(bench.commit([session('a', 1)]), null);
  assert.equal(bench.commit([session('b', 2), session('c', 3)]), null);
  bench.disk.kill();
  const name = segmentFile(1);
  const [, last] = commits(bytesOf(bench, name));
  bench.disk.flipBit(name, (last?.from ?? 0) + headerBytes, 0);
  bench.restart();
  assert.deepEqual(keys(bench), ['a']);
  assert.equal(bench.state.lastId, 3);
});

test('records missing from a batch are counted by its commit record', () => {
  const { bench, names } = filled(2);
  const name = names[1] as string;
  const [, second] = commits(bytesOf(bench, name));
  const [first] = commits(bytesOf(bench, name));
  // The first record of the second batch of the file.
  bench.disk.flipBit(name, (first?.to ?? 0) + headerBytes + 1, 3);
  bench.restart();
  assert.ok((second?.from ?? 0) > (first?.to ?? 0));
  assert.deepEqual([bench.report.lostRecords, bench.report.isLossUnknown], [1, false]);
});

test('two segments that changed their names are set aside: nothing is taken in the wrong order', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { bench, names } = filled(seed);
    const [, one = '', other = ''] = names;
    const file = (name: string) => bench.disk.files.get(name) as NonNullable<ReturnType<typeof bench.disk.files.get>>;
    const [oneFile, otherFile] = [file(one), file(other)];
    bench.disk.files.set(one, otherFile);
    bench.disk.files.set(other, oneFile);
    bench.restart();
    const misplaced = bench.report.damage.filter(({ kind }) => kind === 'misplaced');
    assert.deepEqual(misplaced.map(({ file: name, from, to }) => ({ name, from, to })).sort(byName), [
      { name: one, from: 0, to: otherFile.bytes.length },
      { name: other, from: 0, to: oneFile.bytes.length },
    ]);
    for (const { copy, from, to } of misplaced) assert.equal(bytesOf(bench, copy ?? '').length, to - from);
    goesOn(bench);
  }
});

test('a segment from another place in the row behind all others is not taken', () => {
  const { bench, model, names } = filled(3);
  const foreign = segmentFile(99);
  bench.disk.files.set(foreign, {
    bytes: bytesOf(bench, names[1] as string).slice(),
    synced: 0,
    isNamed: true,
    isPoisoned: false,
  });
  bench.restart();
  assert.deepEqual(bench.shown(), show(model));
  assert.deepEqual(
    bench.report.damage.map(({ file, kind }) => ({ file, kind })),
    [{ file: foreign, kind: 'misplaced' }],
  );
  goesOn(bench);
});

test('a batch of more records than a call takes arguments is read back without its commit record', () => {
  const bench = new LogBench(4, { segmentBytes: 64 * 1024 * 1024 });
  const session: StoredSession = {
    key: 's',
    clientId: 's',
    principal: null,
    incarnation: 1,
    expirySeconds: 60,
    will: null,
    closedAtClock: 1,
  };
  bench.commit([{ kind: 'session', session }]);
  const from = bench.disk.bytes;
  const count = 200_000;
  const subscribed = (filter: string): Change => ({
    kind: 'subscribed',
    key: 's',
    subscription: {
      filter,
      shareName: undefined,
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      identifier: 0,
    },
  });
  bench.commit(Array.from({ length: count }, (_, index) => subscribed(`f/${index}`)));
  const to = bench.disk.bytes;
  bench.commit([subscribed('last')]);
  bench.disk.kill();
  const [name = ''] = bench.disk.files.keys();
  bench.disk.flipBit(name, to - 1, 0);
  bench.restart();
  const [loaded] = bench.state.sessions;
  assert.equal(loaded?.subscriptions.length, count + 1);
  assert.equal(bench.report.damage.length, 1);
  assert.ok((bench.report.damage[0]?.from ?? 0) > from);
});

/** What was read is the state from here on, also after another start. */
function goesOn(bench: LogBench): void {
  const model = new KeptState().become(bench.state, bench);
  const maker = new ChangeMaker(bench.prng, model, bench.state);
  for (let batch = 0; batch < 20; batch++) assert.equal(bench.commit(maker.make(10)), null);
  bench.rest();
  bench.disk.kill();
  bench.restart();
  assert.deepEqual(bench.shown(), show(model));
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}

test('what is lost with a session record, or with a message that others name, is told by name', () => {
  const bench = new LogBench(5, small);
  const session = (key: string, incarnation: number): Change => {
    const rest = { clientId: key, principal: null, expirySeconds: 60, will: null, closedAtClock: 1 };
    return { kind: 'session', session: { key, incarnation, ...rest } };
  };
  const message = {
    id: 10,
    topic: 'shared',
    qos: 1,
    retain: true,
    properties: new Uint8Array(0),
    payload: new Uint8Array(100),
    expiryAt: -1,
    expiresAtClock: Number.POSITIVE_INFINITY,
    publisher: null,
  } as const;
  const queued = (key: string, incarnation: number, sequence: number, id: number): Change => {
    const state = { qos: 1, retain: false, identifiers: null, group: null, packetId: 0, released: false } as const;
    const delivery = { sequence, message: { ...message, id }, ...state };
    return { kind: 'queued', key, incarnation, delivery };
  };
  bench.commit([session('gone', 1)]);
  bench.commit([session('there', 2)]);
  const options = { qos: 1, noLocal: false, retainAsPublished: false, identifier: 0, shareName: undefined } as const;
  bench.commit([{ kind: 'subscribed', key: 'gone', subscription: { filter: 'a/#', ...options } }]);
  bench.commit([queued('gone', 1, 1, 20), queued('gone', 1, 2, 21), queued('there', 2, 1, 22)]);
  const shared = bench.disk.bytes;
  bench.commit([
    queued('there', 2, 2, 10),
    { kind: 'retained', principal: null, topic: 'shared', message, expiresAtClock: Number.POSITIVE_INFINITY },
  ]);
  bench.commit([queued('there', 2, 3, 30)]);
  bench.disk.kill();
  const name = segmentFile(1);
  // The first record of the log is a session, the first of its batch a message for two.
  bench.disk.flipBit(name, headerBytes + 1, 0);
  bench.disk.flipBit(name, shared + headerBytes + 20, 0);
  bench.restart();
  assert.deepEqual(bench.report.losses, [
    { kind: 'session', filters: ['a/#'], messages: 2 },
    { kind: 'queued', session: 'there', sequence: 2 },
    { kind: 'retained', topic: 'shared' },
  ]);
  const { lostSessions, lostMessages, lostRecords } = bench.report;
  assert.deepEqual([lostSessions, lostMessages, lostRecords], [1, 4, 2]);
});

test('asked to, a log writes damaged segments anew: the next start finds nothing wrong, and nothing more is missing', () => {
  let rewritten = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const { bench, names } = filled(seed);
    const name = bench.prng.pick(names.slice(0, -1));
    const at = bench.prng.below(bytesOf(bench, name).length - 500);
    if (bench.prng.chance(50)) bench.disk.fill(name, at, at + 500, 0);
    else bench.disk.truncate(name, at);
    bench.restart();
    const read = bench.shown();
    const { damage } = bench.report;
    assert.ok(damage.length > 0);
    bench.options = { ...small, rewritesDamaged: true };
    bench.restart();
    bench.rest();
    for (const { copy, from, to, kind } of bench.report.damage) {
      assert.equal(bytesOf(bench, copy ?? '').length, kind === 'missing' ? 0 : to - from);
    }
    bench.options = small;
    bench.disk.kill();
    bench.restart();
    assert.deepEqual(bench.report.damage, [], `seed ${seed}`);
    assert.deepEqual(bench.shown(), read);
    if (!bench.disk.files.has(name)) rewritten++;
  }
  assert.equal(rewritten, 10);
});
