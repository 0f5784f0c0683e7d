/**
 * What the files of a log hold: found, read, counted and read back, and nothing of it changed. The log adds changes to it; tools
 * look at it, also while a broker appends.
 */

import type { StoredState } from '../core/index.ts';
import { Catalog, type Loss } from './catalog.ts';
import type { DiskFile } from './disk.ts';
import { Loader } from './load.ts';
import { failureOf, Operations } from './operations.ts';
import { type Recovered, Recovery } from './recovery.ts';
import { Segments, segmentNumber } from './segments.ts';
import { copyName, type Damage, damageOf } from './set-aside.ts';

/** What was found at the start. */
export interface LogReport {
  readonly segments: number;
  readonly bytes: number;
  readonly records: number;
  readonly damage: readonly Damage[];
  readonly sessions: number;
  /** Messages in the queues of sessions, those in flight included. */
  readonly queued: number;
  /** Retained messages. */
  readonly retained: number;
  /** Records known to be missing from batches that lasted. */
  readonly lostRecords: number;
  /** Ends of batches are missing too: nobody knows how many records more. */
  readonly isLossUnknown: boolean;
  /** Sessions whose own record is lost, and so all of their state. */
  readonly lostSessions: number;
  /** Queued and retained messages that are lost. */
  readonly lostMessages: number;
  /** The first thousand of both, as far as they have names. */
  readonly losses: readonly Loss[];
}

export interface Opened {
  readonly state: StoredState;
  readonly report: LogReport;
  readonly recovered: Recovered;
  readonly files: readonly DiskFile[];
}

export class LogContents {
  readonly operations = new Operations();
  readonly segments = new Segments();
  readonly catalog = new Catalog(this.segments);
  readonly loader = new Loader(this.operations, this.segments, this.catalog);

  /** Reads everything, once. `finished` gets the reason when the disk cannot be read at all; damage is none. */
  open(finished: (opened: Opened | null, reason: string) => void): void {
    this.operations.isPatient = true;
    this.operations.ask({ kind: 'list' }, (result) => {
      if (result.kind !== 'listed') return finished(null, failureOf(result) ?? 'the disk did not list its files');
      const { files } = result;
      this.addSegments(files);
      new Recovery(this.operations, this.segments, this.catalog, (recovered) =>
        this.recovered(files, recovered, finished),
      ).start();
    });
  }

  private addSegments(files: readonly DiskFile[]): void {
    const found = files.flatMap(({ name, bytes }) => {
      const number = segmentNumber(name);
      return number === null ? [] : [{ number, bytes }];
    });
    for (const { number, bytes } of found.sort((a, b) => a.number - b.number)) this.segments.add(number, bytes);
  }

  private recovered(
    files: readonly DiskFile[],
    recovered: Recovered,
    finished: (opened: Opened | null, reason: string) => void,
  ): void {
    const { segments, catalog, loader, operations } = this;
    const lost = catalog.settle();
    const copies = new Map(files.map(({ name, bytes }) => [name, bytes]));
    loader.state(recovered.commit, (state, unreadable, error) => {
      operations.isPatient = false;
      if (state === null) return finished(null, error ?? 'the disk cannot be read');
      const report: LogReport = {
        segments: segments.count,
        bytes: segments.bytes,
        records: recovered.records,
        damage: recovered.damage.map((range) => {
          const copy = copyName(range);
          return damageOf(range, copies.get(copy) === range.to - range.from ? copy : null);
        }),
        ...catalog.counts(),
        lostRecords: recovered.lostRecords,
        isLossUnknown: recovered.isLossUnknown,
        lostSessions: lost.sessions,
        lostMessages: lost.messages + unreadable,
        losses: lost.named,
      };
      finished({ state, report, recovered, files }, '');
    });
  }
}
