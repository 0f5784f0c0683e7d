/**
 * Ranges of the log that are no part of it: damaged ones, and batches that were never made to last. Nothing of them is deleted
 * before a copy of it lies in the quarantine folder. What the broker itself wrote and took back needs no copy.
 */

import type { DiskFile } from './disk.ts';
import { failureOf, type Operations } from './operations.ts';
import { type DamagedRange, isWithin, type Range } from './recovery.ts';
import { type Segments, segmentFile } from './segments.ts';

const copyBytes = 1024 * 1024;
export const quarantineFolder = 'quarantine/';

export interface Damage {
  readonly file: string;
  readonly from: number;
  readonly to: number;
  readonly kind: DamagedRange['kind'];
  /** The file with a copy of the bytes; null when there is none. */
  readonly copy: string | null;
}

export function damageOf({ segment, from, to, kind }: DamagedRange, copy: string | null): Damage {
  return { file: segmentFile(segment), from, to, kind, copy };
}

/** The name of the copy of a range. */
export function copyName({ segment, from, to }: Range): string {
  return `${quarantineFolder}${segmentFile(segment).replace('.log', '')}-${from}-${to}`;
}

export class SetAside {
  private readonly operations: Operations;
  /** Copied, or known to need no copy. */
  private readonly known: Range[] = [];
  /** Copies that were there at the start, and their bytes: one that is shorter than its range was cut off by a crash. */
  private readonly copies: ReadonlyMap<string, number>;

  constructor(operations: Operations, files: readonly DiskFile[]) {
    this.operations = operations;
    this.copies = new Map(files.map(({ name, bytes }) => [name, bytes]));
  }

  /** The bytes of this range may go. */
  release(range: Range): void {
    this.known.push(range);
  }

  isReleased(range: Range): boolean {
    return this.known.some((each) => isWithin(range, each));
  }

  /** Copies what was found damaged, one after the other. A segment of which something could not be copied will be kept. */
  copyAll(damaged: readonly DamagedRange[], segments: Segments, finished: (damage: readonly Damage[]) => void): void {
    const damage: Damage[] = [];
    const next = (): void => {
      const range = damaged[damage.length];
      if (range === undefined) return finished(damage);
      const told = (copy: string | null): void => {
        const segment = segments.get(range.segment);
        if (copy === null && segment !== undefined) segment.isKept = true;
        damage.push(damageOf(range, copy));
        next();
      };
      if (range.kind === 'missing') told(null);
      else this.copy(range, told);
    };
    next();
  }

  /** Copies a range; `done` is told the copy's name, or null when none could be made. */
  copy(range: Range, done: (copy: string | null) => void): void {
    const { segment, from, to } = range;
    const copy = copyName(range);
    const finish = (error: string | null): void => {
      if (error === null) this.release(range);
      done(error === null ? copy : null);
    };
    const start = (): void => this.copyFrom(segmentFile(segment), from, to, copy, finish);
    const bytes = this.copies.get(copy);
    if (bytes === to - from) finish(null);
    else if (bytes === undefined) start();
    else this.operations.ask({ kind: 'remove', file: copy }, start);
  }

  private copyFrom(file: string, at: number, to: number, copy: string, finish: (error: string | null) => void): void {
    const length = Math.min(copyBytes, to - at);
    this.operations.ask({ kind: 'read', file, at, length }, (read) => {
      if (read.kind !== 'read' || read.bytes.length === 0)
        return finish(failureOf(read) ?? 'the file has become shorter');
      const { bytes } = read;
      this.operations.ask({ kind: 'append', file: copy, bytes }, (appended) => {
        const failure = failureOf(appended);
        if (failure !== null) return finish(failure);
        if (at + bytes.length < to) return this.copyFrom(file, at + bytes.length, to, copy, finish);
        this.operations.ask({ kind: 'sync', file: copy }, (synced) => finish(failureOf(synced)));
      });
    });
  }
}
