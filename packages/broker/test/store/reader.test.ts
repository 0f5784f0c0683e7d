/** A store is read while it is written to and cleaned: what is seen is what was there at one moment. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { readStore, type StoredMessage } from '../../src/index.ts';
import { waiting } from './reader-changes.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-reader-'));
after(() => rmSync(folder, { recursive: true }));

/** At least so many readings, and so many segments seen that came and went meanwhile. */
const reads = 60;
const segments = 15;

function numberOf({ payload }: StoredMessage): number {
  return Number(Buffer.from(payload).toString().split(' ')[0]);
}

test('each reading of a running store is whole, and is a state that the store was in', {
  timeout: 120_000,
}, async () => {
  /** The number of the last batch, and whether it is to end. */
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL('./reader-writer.ts', import.meta.url), { workerData: { folder, shared } });
  const ended = once(worker, 'exit');
  await once(worker, 'message');
  const files = new Set<string>();
  let last = 0;
  for (let read = 0; read < reads || files.size <= segments; read++) {
    const before = Atomics.load(shared, 0);
    const reader = await readStore(folder);
    const { damage, lostRecords, isLossUnknown, lostSessions, lostMessages } = reader.report;
    assert.equal(reader.processId, process.pid);
    assert.deepEqual([lostRecords, isLossUnknown, lostSessions, lostMessages], [0, false, 0, 0]);
    for (const { kind } of damage) assert.equal(kind, 'unfinished');
    for (const { file } of reader.segments) files.add(file);
    // Long after the files were opened: some of them are gone from the directory by now.
    const retained = new Map<string, number>();
    for await (const { topic, message: held } of reader.retained(reader.topics())) retained.set(topic, numberOf(held));
    const queue: number[] = [];
    for await (const { sequence, message: held } of reader.queue('s')) {
      assert.equal(numberOf(held), sequence);
      queue.push(sequence);
    }
    await reader.close();
    const number = retained.get('one') ?? 0;
    assert.ok(number >= before, `${before} was committed, ${number} was read`);
    assert.ok(number >= last);
    last = number;
    assert.deepEqual([retained.get('other') ?? 0, retained.get('kept')], [number, 0], 'both changed in one batch');
    const first = Math.max(1, number - waiting + 1);
    const expected = number === 0 ? [] : Array.from({ length: number - first + 1 }, (_, index) => first + index);
    assert.deepEqual(queue, expected);
  }
  Atomics.store(shared, 1, 1);
  assert.deepEqual(await ended, [0]);
  assert.ok(last > waiting);
});
