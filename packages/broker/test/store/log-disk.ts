/**
 * The simulation's store with the real log behind it, on a simulated disk that takes its time in the simulated world: whatever
 * happens may happen between any two operations of the disk. Its own memory is what the log is compared with: each page, and
 * everything at each start.
 *
 * Which batches last is for the log to say. One that was under way when the power went, or that had failed, may be found all
 * the same; nothing else may be missing or there, unless bytes were damaged, and then the log has to say so.
 */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type {
  Batch,
  FetchRequest,
  PageRequest,
  StoredDelivery,
  StoredMessage,
  StoredSession,
  StoredState,
} from '../../src/core/index.ts';
import type { Answer, Log } from '../../src/store/log.ts';
import { KeptState } from '../kept-state.ts';
import { Disk, type DiskWorld, type FetchAnswer, type PageAnswer } from '../sim/disk.ts';
import type { Engine } from '../sim/engine.ts';
import { LogBench } from './log-bench.ts';
import { type Shown, show } from './shown.ts';

/** So small that cleaning has work in a simulation. */
const smallLog = { segmentBytes: 8_192, sparseSegmentBytes: 2_048, slackBytes: 8_192 };
/** How often a disk that does nothing is asked again. */
const stalledMs = 100;
/** Operations of a start that another power cut lets happen, at most. */
const startOperationsMax = 40;

/** The broker on the log over a simulated disk. */
export function onLog(engine: Engine): Engine {
  return { ...engine, newDisk: (seed, world) => new LogDisk(seed, world, engine.Log) };
}

interface Tried<Snapshot> {
  readonly batch: Batch;
  readonly snapshot: Snapshot;
}

type Read = Extract<Answer, { kind: 'paged' | 'fetched' }>;

export class LogDisk<Snapshot> extends Disk<Snapshot> {
  private readonly bench: LogBench;
  /** In some runs a power cut damages what had lasted. */
  private readonly isFragile: boolean;
  /** What was asked for, by number. */
  private readonly asked = new Map<number, (answer: Read) => void>();
  private answered: ((error: string | null) => void) | null = null;
  /** Batches that failed since the last one that did not: a power cut may find any of them on the disk all the same. */
  private failed: Tried<Snapshot>[] = [];
  private isAwake = false;
  /** What is the matter with it as long as it is down. */
  private down: 'disk full' | 'disk stalled' | 'disk fails' | null = null;
  /** What was damaged once is found at every start, until it has been cleaned away. */
  private isHurt = false;

  constructor(seed: number, world: DiskWorld<Snapshot>, implementation: typeof Log) {
    super(world);
    this.bench = new LogBench(seed, smallLog, implementation);
    this.isFragile = this.bench.prng.chance(25);
  }

  override write(batch: Batch, snapshot: Snapshot, answered: (error: string | null) => void): void {
    assert.equal(this.pending, null, 'two commits at once');
    this.pending = { batch, snapshot };
    this.answered = answered;
    this.bench.log.commit(batch);
    this.work();
  }

  override readPage(request: PageRequest, answered: PageAnswer): void {
    const waiting = this.waitingFor(request);
    this.asked.set(request.number, (answer) => {
      assert.equal(answer.kind, 'paged');
      if (answer.page !== null) this.judgePage(request, waiting, answer.page.deliveries);
      // Damage is found at the start, and reads fail for a time only. What is gone by now is nobody's loss.
      const now = this.waitingFor(request);
      const isLeft = (of: { readonly sequence: number }): boolean =>
        now.some(({ sequence }) => sequence === of.sequence);
      assert.deepEqual(answer.page?.lost.filter(isLeft) ?? [], []);
      answered(answer.page?.deliveries ?? null);
    });
    this.bench.log.page(request);
    this.work();
  }

  override readMessages(request: FetchRequest, answered: FetchAnswer): void {
    const before = this.fetch(request);
    this.asked.set(request.number, (answer) => {
      assert.equal(answer.kind, 'fetched');
      if (answer.messages !== null) this.judgeMessages(request, before, answer.messages);
      answered(answer.messages);
    });
    this.bench.log.fetch(request);
    this.work();
  }

  override losePower(isWritten: boolean): StoredState {
    const { bench } = this;
    if (isWritten) bench.disk.kill();
    else bench.disk.losePower();
    const isHurt = this.isFragile && bench.prng.chance(60) && this.damage();
    return this.start(isHurt, true);
  }

  override restart(): StoredState {
    this.bench.disk.kill();
    return this.start(false, false);
  }

  // ── Operations

  /** Hands the log's operations to the disk and its answers to the broker; goes on as long as there is something to do. */
  private work(): void {
    const { bench } = this;
    for (;;) {
      const answer = bench.taken(({ kind }) => kind === 'committed' || kind === 'paged' || kind === 'fetched');
      if (answer === undefined) break;
      this.answer(answer);
    }
    if (this.isAwake || !bench.disk.isBusy) return;
    this.isAwake = true;
    this.world.later(bench.disk.isStalled ? stalledMs : this.world.faults.diskDelayMs >> 1, () => {
      this.isAwake = false;
      this.fail();
      bench.step();
      this.work();
    });
  }

  private answer(answer: Answer): void {
    if (answer.kind === 'committed') {
      const { pending, answered } = this;
      assert.ok(pending !== null && answered !== null && pending.batch.number === answer.number);
      this.end(answer.error === null);
      if (answer.error === null) this.failed = [];
      else this.failed.push(pending);
      answered(answer.error);
    } else if (answer.kind === 'paged' || answer.kind === 'fetched') {
      const asked = this.asked.get(answer.number);
      this.asked.delete(answer.number);
      asked?.(answer);
    }
  }

  /** What waits for a session above a sequence. */
  private waitingFor(request: PageRequest): StoredDelivery[] {
    return this.page({ ...request, count: Number.POSITIVE_INFINITY }).filter(({ packetId }) => packetId === 0);
  }

  /** A page may have less than was asked for; it has no gap but where a batch that lasted meanwhile took something out. */
  private judgePage(request: PageRequest, waiting: readonly StoredDelivery[], found: readonly StoredDelivery[]): void {
    const now = this.waitingFor(request);
    const last = found.at(-1)?.sequence ?? Number.POSITIVE_INFINITY;
    const isLeft = ({ sequence }: StoredDelivery): boolean => now.some((each) => each.sequence === sequence);
    const all = waiting.slice(0, request.count).filter(({ sequence }) => sequence <= last);
    assert.deepEqual(found.filter(isLeft), all.filter(isLeft));
    assert.ok(
      found.every((each) => waiting.some(({ sequence }) => sequence === each.sequence)),
      'a page has what never waited',
    );
  }

  /** What was retained when it was asked for, unless a batch that lasted meanwhile put another in its place. */
  private judgeMessages(
    request: FetchRequest,
    before: readonly (StoredMessage | null)[],
    found: readonly (StoredMessage | null)[],
  ): void {
    const now = this.fetch(request);
    for (const [index, message] of found.entries()) {
      const isLeft = isDeepStrictEqual(before[index], now[index]);
      if (message !== null || isLeft) assert.deepEqual(message, before[index] ?? now[index]);
    }
  }

  // ── Faults

  /** What goes wrong now: the disk fails now and then, or is down for a while in one of three ways. */
  private fail(): void {
    const { disk, prng } = this.bench;
    const { isDiskDown, failPercent, pageFailPercent } = this.world.faults;
    const { failures } = disk;
    failures.append = failPercent >> 1;
    failures.sync = failPercent >> 1;
    failures.read = pageFailPercent;
    failures.remove = pageFailPercent;
    failures.rename = pageFailPercent;
    if (!isDiskDown) {
      this.down = null;
      disk.capacityBytes = Number.POSITIVE_INFINITY;
      disk.isStalled = false;
      return;
    }
    if (this.down === null) {
      this.down = prng.pick(['disk full', 'disk stalled', 'disk fails'] as const);
      this.world.mark(this.down);
      if (this.down === 'disk full') disk.capacityBytes = disk.bytes + prng.below(300);
      disk.isStalled = this.down === 'disk stalled';
    }
    if (this.down === 'disk fails') failures.sync = 100;
  }

  /** Bytes of the log that had lasted are not what they were. False: there are none. */
  private damage(): boolean {
    const { disk, prng } = this.bench;
    const names = [...disk.files].filter(([name, { bytes }]) => name.startsWith('segment-') && bytes.length > 0);
    if (names.length === 0) return false;
    for (let hits = prng.between(1, 3); hits > 0; hits--) {
      const [name, { bytes }] = prng.pick(names);
      // Any byte, or one of the newest.
      const at = prng.chance(50) ? prng.below(bytes.length) : Math.max(0, bytes.length - 1 - prng.below(300));
      if (prng.chance(60)) disk.flipBit(name, at, prng.below(8));
      else disk.fill(name, at, Math.min(bytes.length, at + prng.pick([1, 40, 600])), prng.below(256));
    }
    this.isHurt = true;
    this.world.mark('bytes of the log damaged');
    return true;
  }

  // ── Starts

  private start(isHurt: boolean, mayBeCut: boolean): StoredState {
    const { bench, pending, world } = this;
    const tried = pending === null ? this.failed : [...this.failed, pending];
    this.pending = null;
    this.answered = null;
    this.asked.clear();
    this.failed = [];
    this.isAwake = false;
    this.isDamaged = false;
    this.down = null;
    bench.disk.failures = {};
    bench.disk.isStalled = false;
    this.readLog(mayBeCut);
    const { damage } = bench.report;
    const shown = withoutEstates(bench.shown());
    if (!isDeepStrictEqual(shown, this.shown())) {
      const found = tried.find(({ batch }) => isDeepStrictEqual(shown, this.shown(batch)));
      if (found !== undefined) {
        world.mark(found === pending ? 'batch under way found on the disk' : 'batch that failed found on the disk');
        this.pending = found;
        this.end(true);
      } else if (isHurt) this.salvage();
      else assert.deepEqual(shown, this.shown());
    }
    if (!this.isHurt) for (const { kind } of damage) assert.equal(kind, 'unfinished');
    return bench.state;
  }

  /** Reads the log. The power may go again until it has said what it found. */
  private readLog(mayBeCut: boolean): void {
    const { bench, world } = this;
    bench.beginRestart();
    while (mayBeCut && bench.prng.chance(30)) {
      for (let steps = bench.prng.below(startOperationsMax); steps > 0 && !bench.isStarted; steps--) bench.step();
      if (bench.isStarted) break;
      world.mark('power lost while the log was read');
      bench.disk.losePower();
      bench.beginRestart();
    }
    bench.endRestart();
  }

  /** Something is missing, or is there again: the log has to say so, and from here on that is what the broker knows. */
  private salvage(): void {
    const { bench, world } = this;
    assert.ok(bench.report.damage.length > 0, 'something is missing and nothing is reported');
    for (const { from, to, copy } of bench.report.damage)
      assert.ok(
        bench.disk.capacityBytes !== Number.POSITIVE_INFINITY ||
          bench.disk.files.get(copy ?? '')?.bytes.length === to - from,
        'a copy is in the quarantine',
      );
    this.isDamaged = true;
    world.mark('start on a damaged log');
    world.log(`damaged: ${bench.report.lostSessions} sessions and ${bench.report.lostMessages} messages lost`);
    const found = new KeptState();
    found.become(bench.state, bench);
    this.snapshot = world.salvage(found, this, this.snapshot);
    this.become(bench.state, bench);
  }

  /** What this memory knows, and what it would with one more batch. */
  private shown(batch?: Batch): Shown {
    return withoutEstates(show(batch === undefined ? this : this.copy().apply(batch.changes)));
  }
}

/** What an ended session left behind has the subscriptions of whoever renamed it last, and nobody reads them. */
function withoutEstates(shown: Shown): Shown {
  const sessions = shown.sessions.map((each) => {
    const isEstate = (each as { session: StoredSession }).session.key.startsWith('\u0000');
    return isEstate ? { ...(each as object), subscriptions: [] } : each;
  });
  return { ...shown, sessions };
}
