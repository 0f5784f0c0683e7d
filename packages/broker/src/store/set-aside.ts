/**
 * Ranges of the log that are no part of it: damaged ones, and batches that were never made to last. Nothing of them is deleted
 * before a copy of it lies in the quarantine folder. What the broker itself wrote and took back needs no copy.
 */

import type { DiskFile } from './disk.ts';
import { failureOf, type Operations } from './operations.ts';
import { segmentFile } from './segments.ts';

const copyBytes = 1024 * 1024;
export const quarantineFolder = 'quarantine/';

export interface Damage {
  readonly file: string;
  readonly from: number;
  readonly to: number;
  /** `unfinished`: a batch that was being written when the broker died; nobody was told that it lasts. */
  readonly kind: 'damaged' | 'unfinished' | 'unreadable';
  /** The file with a copy of the bytes; null when none could be made. */
  readonly copy: string | null;
}

interface Range {
  readonly segment: number;
  readonly from: number;
  to: number;
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
  release(segment: number, from: number, to: number): void {
    this.known.push({ segment, from, to });
  }

  isReleased(segment: number, from: number, to: number): boolean {
    return this.known.some((range) => range.segment === segment && range.from <= from && range.to >= to);
  }

  /** Copies a range; `done` is told the copy's name, or null and why there is none. */
  copy(segment: number, from: number, to: number, done: (copy: string | null, reason: string) => void): void {
    const copy = `${quarantineFolder}${segmentFile(segment).replace('.log', '')}-${from}-${to}`;
    const finish = (error: string | null): void => {
      if (error === null) this.release(segment, from, to);
      done(error === null ? copy : null, error ?? '');
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
