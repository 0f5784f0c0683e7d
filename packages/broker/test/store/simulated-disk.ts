/**
 * A disk for tests, in memory, without time: operations wait until `step` lets one happen.
 *
 * It does what disks do: forgets unsynced writes at power loss, in part and in any order of their sectors; fails, with half of
 * an append done; after a failed sync pretends that later ones work; stalls; is full; flips bits. Everything from one seed.
 */

import assert from 'node:assert/strict';
import type { Disk, DiskOperation, DiskResult } from '../../src/store/disk.ts';
import type { Prng } from '../sim/prng.ts';

/** What a power cut leaves whole or not at all; some disks promise less than a sector. */
const grainsBytes = [512, 512, 16];

interface File {
  bytes: Uint8Array;
  /** What lies below lasts. */
  synced: number;
  /** The name lasts too. */
  isNamed: boolean;
  /** A sync failed: what was dirty then is gone, and no later sync brings it back. */
  isPoisoned: boolean;
}

interface Pending {
  readonly operation: DiskOperation;
  readonly answer: (result: DiskResult) => void;
}

export class SimulatedDisk implements Disk {
  readonly files = new Map<string, File>();
  private readonly prng: Prng;
  private pending: Pending[] = [];
  /** Percent of operations of each kind that fail. */
  failures: Partial<Record<DiskOperation['kind'], number>> = {};
  /** Bytes of all files together. */
  capacityBytes = Number.POSITIVE_INFINITY;
  isStalled = false;
  /** Reading these fails. */
  readonly badFiles = new Set<string>();
  /** Reading any of these bytes fails. */
  readonly badSpots: { readonly file: string; readonly from: number; readonly to: number }[] = [];
  /** Operations done, by kind. */
  readonly counts: Record<DiskOperation['kind'], number> = {
    wait: 0,
    list: 0,
    read: 0,
    append: 0,
    sync: 0,
    remove: 0,
    rename: 0,
  };

  constructor(prng: Prng) {
    this.prng = prng;
  }

  perform(operation: DiskOperation, answer: (result: DiskResult) => void): void {
    this.pending.push({ operation, answer });
  }

  close(done: () => void): void {
    done();
  }

  /** Something was asked and is not done. */
  get isBusy(): boolean {
    return this.pending.length > 0;
  }

  /** One operation happens: any read, or any change that is the first to its file. False when there is none. */
  step(): boolean {
    if (this.isStalled || this.pending.length === 0) return false;
    const seen = new Set<string>();
    const first = this.pending.filter(({ operation }) => {
      if (operation.kind === 'wait' || operation.kind === 'list' || operation.kind === 'read') return true;
      const { file } = operation;
      return !seen.has(file) && seen.add(file) !== undefined;
    });
    const next = this.prng.pick(first);
    this.pending.splice(this.pending.indexOf(next), 1);
    const { operation, answer } = next;
    this.counts[operation.kind]++;
    answer(this.prng.chance(this.failures[operation.kind] ?? 0) ? this.fail(operation) : this.execute(operation));
    return true;
  }

  /** The power is gone and comes back: nobody gets an answer to what was under way. */
  losePower(): void {
    for (const { operation } of this.pending) {
      if (this.prng.chance(50)) break;
      if (operation.kind !== 'sync') this.execute(operation);
    }
    this.pending = [];
    for (const [name, file] of this.files) {
      if (!file.isNamed && this.prng.chance(50)) this.files.delete(name);
      else this.tear(file);
    }
  }

  /** The process died and the machine did not: all that was written is there. */
  kill(): void {
    this.pending = [];
    for (const file of this.files.values()) this.settle(file, file.bytes.length);
  }

  get bytes(): number {
    return [...this.files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  flipBit(name: string, offset: number, bit: number): void {
    const { bytes } = this.file(name);
    bytes[offset] = (bytes[offset] as number) ^ (1 << bit);
  }

  fill(name: string, from: number, to: number, value: number): void {
    this.file(name).bytes.fill(value, from, to);
  }

  truncate(name: string, length: number): void {
    const file = this.file(name);
    file.bytes = file.bytes.slice(0, length);
    file.synced = Math.min(file.synced, length);
  }

  private file(name: string): File {
    const file = this.files.get(name);
    assert.ok(file, `there is no ${name}`);
    return file;
  }

  private execute(operation: DiskOperation): DiskResult {
    switch (operation.kind) {
      case 'wait':
        return { kind: 'done' };
      case 'list':
        return { kind: 'listed', files: [...this.files].map(([name, { bytes }]) => ({ name, bytes: bytes.length })) };
      case 'read': {
        const { file, at, length } = operation;
        const found = this.files.get(file);
        const isBad = this.badSpots.some((spot) => spot.file === file && spot.from < at + length && at < spot.to);
        if (isBad || this.badFiles.has(file)) return { kind: 'failed', reason: 'input/output error' };
        if (found === undefined) return { kind: 'failed', reason: `${file} does not exist` };
        return { kind: 'read', bytes: found.bytes.slice(at, at + length) };
      }
      case 'append':
        return this.append(operation.file, operation.bytes);
      case 'sync': {
        const file = this.files.get(operation.file);
        if (file === undefined) return { kind: 'failed', reason: `${operation.file} does not exist` };
        if (!file.isPoisoned) file.synced = file.bytes.length;
        file.isNamed = true;
        return { kind: 'done' };
      }
      case 'remove':
        this.files.delete(operation.file);
        return { kind: 'done' };
      case 'rename': {
        const file = this.file(operation.file);
        this.files.delete(operation.file);
        this.files.set(operation.to, file);
        return { kind: 'done' };
      }
    }
  }

  private append(name: string, bytes: Uint8Array): DiskResult {
    let file = this.files.get(name);
    if (file === undefined) {
      file = { bytes: new Uint8Array(0), synced: 0, isNamed: false, isPoisoned: false };
      this.files.set(name, file);
    }
    const room = Math.max(0, this.capacityBytes - this.bytes);
    const taken = bytes.subarray(0, room);
    const grown = new Uint8Array(file.bytes.length + taken.length);
    grown.set(file.bytes);
    grown.set(taken, file.bytes.length);
    file.bytes = grown;
    return taken.length === bytes.length ? { kind: 'done' } : { kind: 'failed', reason: 'no space left on the disk' };
  }

  private fail(operation: DiskOperation): DiskResult {
    if (operation.kind === 'append') {
      this.append(operation.file, operation.bytes.subarray(0, this.prng.below(operation.bytes.length + 1)));
    } else if (operation.kind === 'sync') {
      const file = this.files.get(operation.file);
      if (file !== undefined) file.isPoisoned = true;
    }
    return { kind: 'failed', reason: `${operation.kind} failed` };
  }

  /** Of what was not synced some sectors are there, some are zero, and the end is anywhere. */
  private tear(file: File): void {
    const { bytes, synced } = file;
    const length = this.prng.chance(30) ? bytes.length : synced + this.prng.below(bytes.length - synced + 1);
    const torn = bytes.slice(0, length);
    const zeroed = this.prng.pick([0, 0, 30, 100]);
    const grainBytes = this.prng.pick(grainsBytes);
    for (let from = synced; from < length; ) {
      const to = Math.min(length, from - (from % grainBytes) + grainBytes);
      if (this.prng.chance(zeroed)) torn.fill(0, from, to);
      from = to;
    }
    file.bytes = torn;
    this.settle(file, length);
  }

  private settle(file: File, length: number): void {
    file.synced = length;
    file.isNamed = true;
    file.isPoisoned = false;
  }
}
