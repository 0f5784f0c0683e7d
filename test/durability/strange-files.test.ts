/** What else may become of a data directory: files that are gone, swapped, empty, foreign, or may not be read. */

import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createBroker, type Damage, type LogReport, openStore, repairStore } from '@pipit/broker';
import { Prng } from '../../packages/broker/test/sim/prng.ts';
import { contentOf, segmentsOf } from './damage-run.ts';
import { type Content, type History, makeStore, segmentBytes } from './damaged-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-strange-'));
const source = join(folder, 'source');
let history: History;
let whole: Content;
let segments: string[];

before(async () => {
  history = await makeStore(source, new Prng(1));
  ({ content: whole } = await contentOf(source, history));
  segments = segmentsOf(source);
  assert.ok(segments.length >= 4);
});
after(() => rmSync(folder, { recursive: true }));

/** A copy of the store, in which `change` did something. */
function changed(name: string, change: (directory: string) => void): string {
  const directory = join(folder, name);
  cpSync(source, directory, { recursive: true });
  change(directory);
  return directory;
}

/** Starts a broker, publishes, stops; what it reported. What was read before is what is there after another start, and the new message. */
async function serve(directory: string): Promise<LogReport> {
  const { content, report: read } = await contentOf(directory, history);
  let report: LogReport | undefined;
  const store = openStore(directory, {
    segmentBytes,
    onReport: (found) => {
      report = found;
    },
  });
  const broker = createBroker({ store, sysIntervalMs: null });
  await broker.start();
  await broker.publish('news', history.payload('news', 10), { qos: 1, retain: true });
  await broker.stop();
  const places = ({ damage }: LogReport): object[] => damage.map(({ copy: _, ...place }) => place);
  assert.deepEqual(places(report as LogReport), places(read));
  const { content: later } = await contentOf(directory, history);
  assert.ok(later.retained.has('news'));
  assert.deepEqual(later.queues, content.queues);
  assert.deepEqual(later.subscriptions, content.subscriptions);
  return report as LogReport;
}

/** Root may read everything: the directory is given to somebody else, who does `body`. */
async function asOrdinaryUser(directory: string, body: () => Promise<void>): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    chmodSync(folder, 0o755);
    for (const each of ['', ...readdirSync(directory)]) chownSync(join(directory, each), 65_534, 65_534);
    process.seteuid?.(65_534);
  }
  await body().finally(() => {
    if (isRoot) process.seteuid?.(0);
  });
}

function filesOf(damage: readonly Damage[]): [string, string][] {
  return damage.map(({ kind, file }): [string, string] => [kind, file]).sort();
}

test('a segment that is gone is missing from its first byte to its last', async () => {
  const name = segments[2] as string;
  const { size } = statSync(join(source, name));
  const directory = changed('gone', (path) => rmSync(join(path, name)));
  const { damage } = await serve(directory);
  assert.deepEqual(
    damage.map(({ kind, file, from, to }) => ({ kind, file, from, to })),
    [{ kind: 'missing', file: name, from: 0, to: size }],
  );
});

test('two segments that were swapped are both set aside', async () => {
  const [, one = '', other = ''] = segments;
  const directory = changed('swapped', (path) => {
    renameSync(join(path, one), join(path, 'x'));
    renameSync(join(path, other), join(path, one));
    renameSync(join(path, 'x'), join(path, other));
  });
  const { damage } = await serve(directory);
  const misplaced = damage.filter(({ kind }) => kind === 'misplaced');
  assert.deepEqual(filesOf(misplaced), [
    ['misplaced', one],
    ['misplaced', other],
  ]);
  for (const { file, copy } of misplaced) {
    const original = readFileSync(join(source, file === one ? other : one));
    assert.deepEqual(readFileSync(join(directory, copy ?? '')), original);
  }
});

test('what was appended to a segment is set aside, and nothing is missing', async () => {
  const garbage = Buffer.from('garbage '.repeat(100));
  for (const name of [segments[1] as string, segments.at(-1) as string]) {
    const directory = changed(`appended to ${name}`, (path) => appendFileSync(join(path, name), garbage));
    const { content } = await contentOf(directory, history);
    assert.deepEqual(content, whole);
    const { damage } = await serve(directory);
    // In the middle of the log a later batch says that this was never part of it: it needs no copy, and no report.
    if (name !== segments.at(-1)) assert.deepEqual(damage, []);
    else {
      assert.deepEqual(filesOf(damage), [['unfinished', name]]);
      assert.deepEqual(readFileSync(join(directory, damage[0]?.copy ?? '')), garbage);
    }
  }
});

test('empty segments: one that had something is missing, one that is new is nothing', async () => {
  const name = segments[1] as string;
  const emptied = changed('emptied', (path) => truncateSync(join(path, name)));
  assert.deepEqual(filesOf((await serve(emptied)).damage), [['missing', name]]);
  const added = changed('added', (path) => writeFileSync(join(path, 'segment-0000009999.log'), ''));
  assert.deepEqual((await serve(added)).damage, []);
});

test('an empty or torn lock is no obstacle', async () => {
  for (const text of ['', `${process.pid}`]) {
    const directory = changed(`lock ${text.length}`, (path) => writeFileSync(join(path, 'lock'), text));
    assert.deepEqual((await serve(directory)).damage, []);
    assert.ok(!readdirSync(directory).includes('lock'));
  }
});

test('foreign files are left alone', async () => {
  const segmentLike = ['segment-1.log', 'segment-0000000001.log.bak', 'segment-9999999999.log'];
  const names = ['notes.txt', ...segmentLike, '.DS_Store', 'quarantine/of the operator'];
  const directory = changed('foreign', (path) => {
    mkdirSync(join(path, 'quarantine'), { recursive: true });
    mkdirSync(join(path, 'folder', 'deep'), { recursive: true });
    for (const name of [...names, 'folder/deep/segment-0000000003.log']) writeFileSync(join(path, name), name);
  });
  const { content } = await contentOf(directory, history);
  assert.deepEqual(content, whole);
  assert.deepEqual((await serve(directory)).damage, []);
  for (const name of names) assert.equal(readFileSync(join(directory, name), 'utf8'), name);
});

test('a folder that may not be read, as lost+found is where a disk is mounted, is no obstacle', async () => {
  const directory = changed('mounted', (path) => mkdirSync(join(path, 'lost+found'), 0));
  await asOrdinaryUser(directory, async () => {
    const { content } = await contentOf(directory, history);
    assert.deepEqual(content, whole);
    assert.deepEqual((await serve(directory)).damage, []);
  });
  assert.ok(existsSync(join(directory, 'lost+found')));
});

test('a directory in the place of a segment: what was there is missing, and the log goes on', async () => {
  const name = segments[2] as string;
  const directory = changed('directory', (path) => {
    rmSync(join(path, name));
    mkdirSync(join(path, name));
  });
  assert.deepEqual(filesOf((await serve(directory)).damage), [['missing', name]]);
  assert.ok(statSync(join(directory, name)).isDirectory());
});

test('a segment that may not be read is told, kept, and moved to the quarantine by a repair or before', async () => {
  const name = segments[1] as string;
  const directory = changed('unreadable', (path) => chmodSync(join(path, name), 0));
  await asOrdinaryUser(directory, async () => {
    const { damage } = await serve(directory);
    assert.ok(damage.some(({ kind, file, copy }) => kind === 'unreadable' && file === name && copy === null));
    // Cleaning moves it itself, when the log is due for it before the broker stops.
    const places = [join(directory, name), join(directory, 'quarantine', name)];
    assert.equal(places.filter((place) => existsSync(place)).length, 1, 'nothing that could not be read is deleted');
    await repairStore(directory);
    assert.ok(existsSync(join(directory, 'quarantine', name)) && !existsSync(join(directory, name)));
    assert.deepEqual((await contentOf(directory, history)).report.damage, []);
  });
});
