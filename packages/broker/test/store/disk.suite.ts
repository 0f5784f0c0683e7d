/** What every disk does. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Disk, DiskOperation, DiskResult } from '../../src/store/disk.ts';

export interface DiskFixture {
  readonly disk: Disk;
  /** Lets what was asked for happen, where that needs help. */
  readonly run: () => void;
  /** The same files, as a later process finds them. */
  readonly reopen: () => Promise<DiskFixture>;
  readonly end: () => Promise<void>;
}

export function diskSuite(name: string, open: () => Promise<DiskFixture>): void {
  describe(name, () => {
    const cases: Record<string, (fixture: DiskFixture) => Promise<void>> = {
      'an empty one lists nothing': emptyListsNothing,
      'appends add up, and are read from any place': appendsAddUp,
      'changes to one file happen in their order': changesKeepOrder,
      'what is missing cannot be read, and need not be removed': missingIsNotRead,
      'a folder comes with its first file': foldersCome,
      'a file is renamed, removed, and made anew': renamedAndRemoved,
      'another process finds what was synced': survivesReopening,
    };
    for (const [title, body] of Object.entries(cases)) {
      test(title, async () => {
        const fixture = await open();
        await body(fixture).finally(() => fixture.end());
      });
    }
  });
}

function ask({ disk, run }: DiskFixture, operation: DiskOperation): Promise<DiskResult> {
  const answered = new Promise<DiskResult>((answer) => disk.perform(operation, answer));
  run();
  return answered;
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function read(fixture: DiskFixture, file: string, at = 0, length = 1_000_000): Promise<string> {
  const result = await ask(fixture, { kind: 'read', file, at, length });
  return result.kind === 'read' ? Buffer.from(result.bytes).toString() : result.kind;
}

async function list(fixture: DiskFixture): Promise<Record<string, number>> {
  const result = await ask(fixture, { kind: 'list' });
  assert.equal(result.kind, 'listed');
  const { files } = result as Extract<DiskResult, { kind: 'listed' }>;
  return Object.fromEntries(files.map(({ name, bytes }): [string, number] => [name, bytes]).sort());
}

async function emptyListsNothing(fixture: DiskFixture): Promise<void> {
  assert.deepEqual(await list(fixture), {});
}

async function appendsAddUp(fixture: DiskFixture): Promise<void> {
  for (const text of ['one', 'two', 'three'])
    assert.equal((await ask(fixture, { kind: 'append', file: 'a', bytes: bytesOf(text) })).kind, 'done');
  assert.equal(await read(fixture, 'a'), 'onetwothree');
  assert.equal(await read(fixture, 'a', 3, 3), 'two');
  assert.equal(await read(fixture, 'a', 9, 100), 'ee');
  assert.equal(await read(fixture, 'a', 100, 1), '');
  assert.deepEqual(await list(fixture), { a: 11 });
  const large = new Uint8Array(3_000_000).map((_, i) => i % 251);
  await ask(fixture, { kind: 'append', file: 'large', bytes: large });
  const back = await ask(fixture, { kind: 'read', file: 'large', at: 1_000_000, length: 2_000_000 });
  assert.ok(back.kind === 'read' && Buffer.compare(back.bytes, large.subarray(1_000_000)) === 0);
}

async function changesKeepOrder(fixture: DiskFixture): Promise<void> {
  const order: number[] = [];
  for (let i = 0; i < 50; i++) {
    fixture.disk.perform({ kind: 'append', file: 'a', bytes: bytesOf(`${i % 10}`) }, () => order.push(i));
    if (i % 7 === 0) fixture.disk.perform({ kind: 'sync', file: 'a' }, () => order.push(-1));
  }
  assert.equal((await ask(fixture, { kind: 'sync', file: 'a' })).kind, 'done');
  assert.deepEqual(
    order.filter((i) => i >= 0),
    Array.from({ length: 50 }, (_, i) => i),
  );
  assert.equal(await read(fixture, 'a'), '0123456789'.repeat(5));
}

async function missingIsNotRead(fixture: DiskFixture): Promise<void> {
  const kinds = await Promise.all([
    ask(fixture, { kind: 'read', file: 'missing', at: 0, length: 1 }),
    ask(fixture, { kind: 'remove', file: 'missing' }),
  ]);
  assert.deepEqual(
    kinds.map(({ kind }) => kind),
    ['failed', 'done'],
  );
  assert.deepEqual(await list(fixture), {});
}

async function foldersCome(fixture: DiskFixture): Promise<void> {
  await ask(fixture, { kind: 'append', file: 'folder/a', bytes: bytesOf('x') });
  assert.equal((await ask(fixture, { kind: 'sync', file: 'folder/a' })).kind, 'done');
  assert.deepEqual(await list(fixture), { 'folder/a': 1 });
}

async function renamedAndRemoved(fixture: DiskFixture): Promise<void> {
  await ask(fixture, { kind: 'append', file: 'a', bytes: bytesOf('old') });
  assert.equal((await ask(fixture, { kind: 'rename', file: 'a', to: 'folder/a' })).kind, 'done');
  await ask(fixture, { kind: 'append', file: 'a', bytes: bytesOf('new') });
  assert.equal(await read(fixture, 'folder/a'), 'old');
  assert.equal(await read(fixture, 'a'), 'new');
  assert.equal((await ask(fixture, { kind: 'remove', file: 'a' })).kind, 'done');
  assert.deepEqual(await list(fixture), { 'folder/a': 3 });
  assert.equal(await read(fixture, 'a'), 'failed');
}

async function survivesReopening(fixture: DiskFixture): Promise<void> {
  await ask(fixture, { kind: 'append', file: 'a', bytes: bytesOf('kept') });
  await ask(fixture, { kind: 'sync', file: 'a' });
  const later = await fixture.reopen();
  assert.equal(await read(later, 'a'), 'kept');
  await ask(later, { kind: 'append', file: 'a', bytes: bytesOf(' on') });
  assert.equal(await read(later, 'a'), 'kept on');
  await later.end();
}
