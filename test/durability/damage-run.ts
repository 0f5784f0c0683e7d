/**
 * Damages a data directory at random places and looks what becomes of it: every start succeeds, what is reported good is right, and
 * what is missing was reported, with its damaged bytes in the quarantine.
 */

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBroker, type LogReport, openStore, readStore, repairStore } from '@pipit/broker';
import { Prng } from '../../packages/broker/test/sim/prng.ts';
import { type Content, connect, type History, makeStore, segmentBytes, take } from './damaged-store.ts';

const kinds = ['truncated', 'a bit', 'some bits', 'a sector', 'a page', 'noise', 'zeros to the end'] as const;
/** One of so many starts is that of a whole broker, with clients; one of so many stores is repaired. */
const servedOf = 10;
const repairedOf = 4;

export interface Outcome {
  readonly places: number;
  /** How often something was missing, and how much in all. */
  lossy: number;
  messages: number;
  sessions: number;
  /** How often more was back than there should be, because the record that ended it was lost. */
  resurrected: number;
  readonly ranges: Map<string, number>;
}

interface Damaged {
  readonly kind: (typeof kinds)[number];
  readonly file: string;
  readonly at: number;
}

/** Throws an AssertionError that names seed and place. `told` hears how far it is. */
export async function damageStores(places: number, seed: number, told: (line: string) => void): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-damage-'));
  const outcome: Outcome = { places, lossy: 0, messages: 0, sessions: 0, resurrected: 0, ranges: new Map() };
  try {
    const source = join(folder, 'source');
    const prng = new Prng(seed);
    const history = await makeStore(source, prng);
    const whole = await contentOf(source, history);
    checkWhole(whole.content, history, whole.report);
    const segments = segmentsOf(source);
    assert.ok(segments.length >= 4, `${segments.length} segments`);
    for (let place = 1; place <= places; place++) {
      const directory = join(folder, `${place}`);
      cpSync(source, directory, { recursive: true });
      const damaged = hurt(directory, segments, new Prng(seed, place));
      try {
        await look(directory, place, damaged, whole.content, history, outcome);
      } catch (error) {
        told(`seed ${seed}, place ${place}: ${damaged.kind} at byte ${damaged.at} of ${damaged.file}`);
        throw error;
      }
      rmSync(directory, { recursive: true });
      if (place % 100 === 0) told(`${place} places`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return outcome;
}

export function segmentsOf(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith('segment-'))
    .sort();
}

export async function contentOf(directory: string, history: History): Promise<{ content: Content; report: LogReport }> {
  const reader = await readStore(directory);
  try {
    return { content: await history.read(reader), report: reader.report };
  } finally {
    await reader.close();
  }
}

/** What the clients and publishers know of it is in the store, before anything is damaged. */
function checkWhole(content: Content, history: History, report: LogReport): void {
  assert.deepEqual(report.damage, []);
  for (const [key, numbers] of history.queues) {
    const queue = [...(content.queues.get(key)?.values() ?? [])].map((entry) => Number(entry.split(' ')[0]));
    const own = queue.filter((number) => history.topics[number] !== 'jobs');
    assert.deepEqual(own, numbers, key);
    assert.ok(!content.subscriptions.get(key)?.has('given up'));
    assert.deepEqual([...(content.received.get(key) ?? [])], key.startsWith('once') ? [] : [9]);
  }
  assert.deepEqual(sorted(content.retained), sorted(history.retained));
}

function sorted(map: ReadonlyMap<string, number>): [string, number][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function hurt(directory: string, segments: readonly string[], prng: Prng): Damaged {
  const kind = prng.pick(kinds);
  const file = prng.pick(segments);
  const path = join(directory, file);
  const at = prng.below(statSync(path).size);
  if (kind === 'truncated') {
    truncateSync(path, at);
    return { kind, file, at };
  }
  const bytes = readFileSync(path);
  const flip = (where: number): void => {
    bytes[where] = (bytes[where] as number) ^ (1 << prng.below(8));
  };
  if (kind === 'a bit') flip(at);
  else if (kind === 'some bits') for (let bits = 8; bits > 0; bits--) flip(prng.below(bytes.length));
  else if (kind === 'a sector' || kind === 'a page') {
    const size = kind === 'a sector' ? 512 : 4_096;
    bytes.fill(0, at - (at % size), Math.min(bytes.length, at - (at % size) + size));
  } else if (kind === 'zeros to the end') bytes.fill(0, at);
  else for (let i = at; i < Math.min(bytes.length, at + 200); i++) bytes[i] = prng.below(256);
  writeFileSync(path, bytes);
  return { kind, file, at };
}

async function look(
  directory: string,
  place: number,
  damaged: Damaged,
  whole: Content,
  history: History,
  outcome: Outcome,
): Promise<void> {
  const bytes = readFileSync(join(directory, damaged.file));
  // Reading changes nothing, and says what a start will say.
  const { content, report } = await contentOf(directory, history);
  assert.deepEqual(readFileSync(join(directory, damaged.file)), bytes);
  const difference = differenceOf(whole, content);
  checkTold(difference, report, damaged, bytes, directory);
  count(outcome, difference, report);
  if (place % servedOf === 0) await serve(directory, content, history);
  else await load(directory, report);
  const after = await contentOf(directory, history);
  if (place % servedOf !== 0) assert.deepEqual(after.content, content);
  for (const { kind, file, from, to, copy } of after.report.damage) {
    if (kind === 'missing' || file !== damaged.file) continue;
    assert.ok(copy !== null, `${kind} range without a copy`);
    assert.deepEqual(readFileSync(join(directory, copy)), bytes.subarray(from, to));
  }
  if (place % repairedOf !== 0) return;
  await repairStore(directory);
  const repaired = await contentOf(directory, history);
  const left = repaired.report.damage.filter(({ kind }) => kind !== 'unfinished');
  assert.deepEqual([left, repaired.report.lostSessions, repaired.report.lostMessages], [[], 0, 0]);
  assert.deepEqual(repaired.content, after.content);
}

interface Difference {
  readonly sessions: number;
  readonly messages: number;
  readonly others: number;
  readonly extra: number;
}

function differenceOf(whole: Content, found: Content): Difference {
  let messages = 0;
  let others = 0;
  let extra = 0;
  for (const [topic, number] of whole.retained) {
    const value = found.retained.get(topic);
    if (value === undefined) messages++;
    // An older value is back: that of now was lost.
    else if (value !== number) messages++;
  }
  for (const topic of found.retained.keys()) if (!whole.retained.has(topic)) extra++;
  const compare = <Item>(all: Iterable<Item>, those: ReadonlySet<Item>): number => {
    let missing = 0;
    for (const item of all) if (!those.has(item)) missing++;
    return missing;
  };
  for (const [key, queue] of whole.queues) {
    const there = found.queues.get(key);
    messages += compare(queue.keys(), new Set(there?.keys()));
    if (there === undefined) continue;
    extra += compare(there.keys(), new Set(queue.keys()));
    const states = [...there].filter(([sequence, state]) => queue.has(sequence) && queue.get(sequence) !== state);
    others += states.length;
    others += compare(whole.subscriptions.get(key) ?? [], found.subscriptions.get(key) ?? new Set());
    extra += compare(found.subscriptions.get(key) ?? [], whole.subscriptions.get(key) ?? new Set());
    others += compare(whole.received.get(key) ?? [], found.received.get(key) ?? new Set());
    const sequences = [...there.keys()];
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => a - b),
    );
  }
  const sessions = compare(whole.queues.keys(), new Set(found.queues.keys()));
  return { sessions, messages, others, extra };
}

/** Nothing is missing without a word, and the numbers of the report cover what is. */
function checkTold(
  { sessions, messages, others, extra }: Difference,
  report: LogReport,
  { file, at, kind }: Damaged,
  bytes: Uint8Array,
  directory: string,
): void {
  const isDifferent = sessions + messages + others + extra > 0;
  if (report.damage.length === 0) {
    // The end of the log, cut off between two records: the one thing that no log can know.
    const isEnd = kind === 'truncated' && file === segmentsOf(directory).at(-1) && bytes.length === at;
    assert.ok(!isDifferent || isEnd, 'something is missing, and nothing is reported');
    return;
  }
  if (kind === 'truncated' && file !== segmentsOf(directory).at(-1)) {
    assert.ok(
      report.damage.some((range) => range.kind === 'missing' && range.file === file && range.from === at),
      'what was cut off is not reported',
    );
  }
  const isCounted = !report.isLossUnknown && report.damage.every((range) => range.kind === 'damaged');
  if (!isCounted) return;
  assert.ok(messages <= report.lostRecords + report.lostMessages, `${messages} messages are missing`);
  assert.ok(sessions <= report.lostSessions, `${sessions} sessions are missing, ${report.lostSessions} reported`);
  assert.ok(extra + others <= report.lostRecords, `${extra} things are back, and ${others} another`);
}

function count(outcome: Outcome, { sessions, messages, others, extra }: Difference, report: LogReport): void {
  if (sessions + messages + others > 0) outcome.lossy++;
  if (extra > 0) outcome.resurrected++;
  outcome.messages += messages;
  outcome.sessions += sessions;
  for (const { kind } of report.damage) outcome.ranges.set(kind, (outcome.ranges.get(kind) ?? 0) + 1);
}

/** The start of a broker says what reading said. */
async function load(directory: string, read: LogReport): Promise<void> {
  let report: LogReport | undefined;
  const store = openStore(directory, {
    segmentBytes,
    onReport: (found) => {
      report = found;
    },
  });
  await store.load();
  await store.close();
  const told = ({ damage, ...rest }: LogReport): object => ({
    ...rest,
    damage: damage.map(({ copy: _, ...range }) => range),
  });
  assert.deepEqual(told(report as LogReport), told(read));
}

/** A broker starts on it, and its clients get what is there, in order. */
async function serve(directory: string, { queues }: Content, history: History): Promise<void> {
  const broker = createBroker({ store: openStore(directory, { segmentBytes }), sysIntervalMs: null });
  await broker.start();
  for (const [key, queue] of queues) {
    const peer = await connect(broker, key);
    const expected = [...queue.values()].map((entry) => entry.split(' '));
    const settled = await take(peer, history, queue.size);
    // One whose PUBREC was sent before comes as PUBREL alone, without saying which message it was.
    const waiting = expected.filter(([, , released]) => released === 'false').map(([number]) => Number(number));
    assert.deepEqual(
      settled.filter((number) => number >= 0).sort((a, b) => a - b),
      waiting.sort((a, b) => a - b),
    );
    peer.stream.destroy();
  }
  await broker.stop();
}
