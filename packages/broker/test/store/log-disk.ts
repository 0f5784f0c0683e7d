/**
 * The simulation's store, with the real log on a simulated disk behind it. Its own memory is what the log is compared with: each
 * page, and everything at each start. A power cut hits the batch under way at any operation of the disk, so that it is the log
 * that says whether it lasted.
 */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type {
  Batch,
  FetchRequest,
  PageRequest,
  StoredDelivery,
  StoredMessage,
  StoredState,
} from '../../src/core/index.ts';
import { Disk } from '../sim/disk.ts';
import { LogBench } from './log-bench.ts';
import { Model, type Shown } from './model.ts';

/** So small that cleaning has work in a simulation. */
const smallLog = { segmentBytes: 8_192, sparseSegmentBytes: 2_048, slackBytes: 8_192 };
const operationsMax = 12;

interface Tried<Snapshot> {
  readonly batch: Batch;
  readonly snapshot: Snapshot;
}

export class LogDisk<Snapshot> extends Disk<Snapshot> {
  private readonly bench: LogBench;
  /** It did not last as far as the broker was told: it failed, or the power went. */
  private undecided: Tried<Snapshot> | null = null;
  /** Batches that failed since the last one that did not: a power cut may find any of them on the disk all the same. */
  private failed: Tried<Snapshot>[] = [];

  constructor(seed: number) {
    super();
    this.bench = new LogBench(seed, smallLog);
  }

  override begin(batch: Batch, snapshot: Snapshot): void {
    if (this.undecided !== null) this.fail(this.undecided);
    this.undecided = null;
    super.begin(batch, snapshot);
  }

  override end(lasts: boolean): void {
    const { pending } = this;
    super.end(lasts);
    if (pending === null) return;
    if (lasts) {
      assert.equal(this.bench.commitBatch(pending.batch), null);
      this.failed = [];
    } else this.undecided = pending;
  }

  override page(request: PageRequest): StoredDelivery[] {
    const found = this.bench.page(request.key, request.incarnation, request.after, request.count);
    assert.ok(typeof found !== 'string', String(found));
    const waiting = super
      .page({ ...request, count: Number.POSITIVE_INFINITY })
      .filter(({ packetId }) => packetId === 0);
    assert.deepEqual(found, waiting.slice(0, found.length));
    assert.equal(found.length === 0, waiting.length === 0);
    return [...found];
  }

  override fetch(request: FetchRequest): (StoredMessage | null)[] {
    const kept = super.fetch(request);
    assert.deepEqual(this.bench.fetch(request.messages), kept);
    return kept;
  }

  override reload(): StoredState {
    const { bench, undecided } = this;
    this.undecided = null;
    if (undecided !== null) {
      bench.log.commit(undecided.batch);
      for (let steps = bench.prng.below(operationsMax); steps > 0; steps--) bench.step();
    }
    bench.disk.losePower();
    bench.restart();
    for (const { kind } of bench.report.damage) assert.equal(kind, 'unfinished');
    const shown = bench.shown();
    const tried = undecided === null ? this.failed : [...this.failed, undecided];
    this.failed = [];
    if (!isDeepStrictEqual(shown, this.shown())) {
      const found = tried.find(({ batch }) => isDeepStrictEqual(shown, this.shown(batch)));
      if (found !== undefined) {
        super.begin(found.batch, found.snapshot);
        super.end(true);
      }
      assert.deepEqual(shown, this.shown());
    }
    super.reload();
    return bench.state;
  }

  private fail(tried: Tried<Snapshot>): void {
    const { failures } = this.bench.disk;
    failures[this.bench.prng.pick(['append', 'sync'] as const)] = 100;
    assert.notEqual(this.bench.commitBatch(tried.batch), null);
    failures.append = 0;
    failures.sync = 0;
    this.failed.push(tried);
  }

  /** What this memory knows, and what it would with one more batch. */
  private shown(batch?: Batch): Shown {
    const model = new Model();
    for (const [key, kept] of this.sessions) model.sessions.set(key, kept);
    for (const [topic, message] of this.retained) model.retained.set(topic, message);
    return batch === undefined ? model.show() : model.copy().apply(batch.changes).show();
  }
}
