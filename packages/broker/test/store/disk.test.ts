import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { FileDisk } from '../../src/node/file-disk.ts';
import { Prng } from '../sim/prng.ts';
import { type DiskFixture, diskSuite } from './disk.suite.ts';
import { SimulatedDisk } from './simulated-disk.ts';

function simulated(disk: SimulatedDisk): DiskFixture {
  const run = (): void => {
    while (disk.step());
  };
  const reopen = (): Promise<DiskFixture> => {
    disk.losePower();
    return Promise.resolve(simulated(disk));
  };
  return { disk, run, reopen, end: () => Promise.resolve() };
}

function real(directory: string): DiskFixture {
  const disk = new FileDisk(directory);
  const close = (): Promise<void> => new Promise((done) => disk.close(done));
  return {
    disk,
    run: () => {},
    reopen: async () => {
      await close();
      return real(directory);
    },
    end: async () => {
      await close();
      await rm(directory, { recursive: true, force: true });
      assert.ok(!existsSync(directory));
    },
  };
}

diskSuite('the simulated disk', () => Promise.resolve(simulated(new SimulatedDisk(new Prng(1)))));
diskSuite('files', () => Promise.resolve(real(mkdtempSync(join(tmpdir(), 'pipit-disk-')))));

test('files that were appended to and never synced do not stay open', { timeout: 30_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pipit-disk-'));
  const disk = new FileDisk(directory);
  for (let file = 0; file < 50; file++) {
    const bytes = Uint8Array.of(file);
    await new Promise((done) => disk.perform({ kind: 'append', file: `${file}`, bytes }, done));
  }
  const isOurs = (descriptor: string): boolean => {
    const path = `/proc/self/fd/${descriptor}`;
    return existsSync(path) && readlinkSync(path).startsWith(directory);
  };
  const open = (): number => readdirSync('/proc/self/fd').filter(isOurs).length;
  // They are closed beside what is written next, and the last of them may still be under way.
  while (open() > 4) await setImmediate();
  assert.equal(open(), 4);
  await new Promise<void>((done) => disk.close(done));
  await rm(directory, { recursive: true });
});

test('the simulated disk forgets what was not synced, and nothing that was', () => {
  let forgotten = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const disk = new SimulatedDisk(new Prng(seed));
    disk.perform({ kind: 'append', file: 'a', bytes: new Uint8Array(3_000).fill(1) }, () => {});
    disk.perform({ kind: 'sync', file: 'a' }, () => {});
    while (disk.step());
    disk.perform({ kind: 'append', file: 'a', bytes: new Uint8Array(3_000).fill(2) }, () => {});
    while (disk.step());
    disk.losePower();
    const bytes = disk.files.get('a')?.bytes ?? new Uint8Array(0);
    assert.ok(bytes.subarray(0, 3_000).every((byte) => byte === 1) && bytes.length >= 3_000);
    if (bytes.length < 6_000 || bytes.subarray(3_000).some((byte) => byte !== 2)) forgotten++;
  }
  assert.ok(forgotten > 150);
});

test('after a failed sync, the simulated disk loses what was dirty whatever comes later', () => {
  let lost = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const disk = new SimulatedDisk(new Prng(seed));
    disk.perform({ kind: 'append', file: 'a', bytes: new Uint8Array(100_000).fill(1) }, () => {});
    disk.failures.sync = 100;
    disk.perform({ kind: 'sync', file: 'a' }, (result) => assert.equal(result.kind, 'failed'));
    while (disk.step());
    disk.failures.sync = 0;
    disk.perform({ kind: 'sync', file: 'a' }, (result) => assert.equal(result.kind, 'done'));
    while (disk.step());
    disk.losePower();
    const bytes = disk.files.get('a')?.bytes ?? new Uint8Array(0);
    if (bytes.length < 100_000 || bytes.includes(0)) lost++;
  }
  assert.ok(lost > 25);
});
