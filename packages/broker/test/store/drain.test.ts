/** Disk use on real files: what a queue took is given back when it was drained, also when one message of it stays. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Change, type LogStore, openStore, type StoredMessage } from '../../src/index.ts';

const mebibyte = 1024 * 1024;
/**
 * What is left on the disk when next to nothing lives: a segment is sealed at 8 MiB when little of it lives, and all that are
 * sealed go.
 */
const leftBytesMax = 9 * mebibyte;
const batches = 100;
const messagesPerBatch = 16;
const payloadBytes = 64 * 1024;
const about = { key: 'sleeper', incarnation: 1 };

const folder = mkdtempSync(join(tmpdir(), 'pipit-drain-'));
after(() => rmSync(folder, { recursive: true }));

function bytesOf(directory: string): number {
  const names = readdirSync(directory).filter((name) => name !== 'lock');
  return names.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

function message(id: number): StoredMessage {
  return {
    id,
    topic: 'topic',
    qos: 1,
    retain: false,
    properties: new Uint8Array(0),
    payload: new Uint8Array(payloadBytes).fill(id),
    expiryAt: -1,
    expiresAtClock: Number.POSITIVE_INFINITY,
    publisher: null,
  };
}

function queued(sequence: number): Change {
  const state = { qos: 1, retain: false, identifiers: null, group: null, packetId: 0, released: false } as const;
  return { kind: 'queued', ...about, delivery: { sequence, message: message(10 + sequence), ...state } };
}

/** Fills a queue with 100 MiB and drains it but for `kept`, the first messages; bytes on disk before and after. */
async function fillAndDrain(directory: string, kept: number): Promise<{ store: LogStore; full: number; left: number }> {
  const store = openStore(directory);
  await store.load();
  let number = 0;
  const commit = (changes: Change[]): Promise<void> => store.commit({ number: ++number, wall: 1, clock: 1, changes });
  const session = { ...about, clientId: 'sleeper', principal: null, expirySeconds: 60, will: null, closedAtClock: 1 };
  await commit([{ kind: 'session', session }]);
  let sequence = 0;
  for (let batch = 0; batch < batches; batch++) {
    await commit(Array.from({ length: messagesPerBatch }, () => queued(++sequence)));
  }
  const full = bytesOf(directory);
  for (let settled = kept + 1; settled <= sequence; settled++) {
    await commit([{ kind: 'settled', ...about, sequence: settled }]);
  }
  await store.rest();
  return { store, full, left: bytesOf(directory) };
}

test('100 MiB that were queued and drained leave less than 9 MiB on the disk', { timeout: 120_000 }, async (t) => {
  const directory = join(folder, 'drained');
  const { store, full, left } = await fillAndDrain(directory, 0);
  assert.ok(full > batches * mebibyte);
  assert.ok(left < leftBytesMax, `${left} of ${full} bytes are left`);
  assert.equal(left, store.size.bytes, 'the store knows what it takes');
  t.diagnostic(`${(full / 1e6).toFixed(1)} MB queued, ${(left / 1e6).toFixed(1)} MB left`);
  await store.close();
});

test('a message that nobody takes does not keep what came behind it on the disk', { timeout: 120_000 }, async () => {
  const directory = join(folder, 'straggler');
  const { store, left } = await fillAndDrain(directory, 1);
  assert.ok(left < leftBytesMax, `${left} bytes are left`);
  const page = await store.page({ number: 1, ...about, after: 0, count: 10, givesUp: false });
  assert.deepEqual(
    page.deliveries.map(({ sequence, message: { payload } }) => [sequence, payload.length]),
    [[1, payloadBytes]],
  );
  await store.close();
});
