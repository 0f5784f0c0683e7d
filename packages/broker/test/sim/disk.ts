/**
 * The store of the simulation: what was committed and nothing else outlives a power cut. It answers late, fails, and can be
 * looked at, because what a client was promised must be here before the promise leaves.
 *
 * With every batch goes a copy of the model as of its sealing: after a power cut that is what the broker must know. This one is
 * memory alone; store/log-disk.ts has the log and its disk behind it.
 */

import type {
  Batch,
  FetchRequest,
  PageRequest,
  StoredDelivery,
  StoredMessage,
  StoredState,
} from '../../src/core/index.ts';
import { KeptState } from '../kept-state.ts';
import type { MarkName } from './marks.ts';
import type { Prng } from './prng.ts';

export interface DiskFaults {
  diskDelayMs: number;
  failPercent: number;
  pageFailPercent: number;
  isDiskDown: boolean;
}

export interface DiskWorld<Snapshot> {
  readonly prng: Prng;
  readonly faults: Readonly<DiskFaults>;
  /** Some time later, within so many milliseconds; never when the power goes before. */
  readonly later: (maximumMs: number, run: () => void) => void;
  readonly mark: (name: MarkName) => void;
  readonly log: (line: string) => void;
  /** The model of a broker that found this on its disk, although `kept` and `snapshot` should have been there. */
  readonly salvage: (found: KeptState, kept: KeptState, snapshot: Snapshot | null) => Snapshot;
}

/** null: it cannot be read. */
export type Answer<Found> = (found: Found | null) => void;
export type PageAnswer = Answer<readonly StoredDelivery[]>;
export type FetchAnswer = Answer<readonly (StoredMessage | null)[]>;

interface Pending<Snapshot> {
  readonly batch: Batch;
  readonly snapshot: Snapshot;
}

export class Disk<Snapshot> extends KeptState {
  protected readonly world: DiskWorld<Snapshot>;
  /** The model as of the newest batch that lasts. */
  snapshot: Snapshot | null = null;
  /** The batch under way, and the model as of its sealing. */
  protected pending: Pending<Snapshot> | null = null;

  constructor(world: DiskWorld<Snapshot>) {
    super();
    this.world = world;
  }

  /** What had lasted was found damaged at the last start. */
  isDamaged = false;

  get isCommitting(): boolean {
    return this.pending !== null;
  }

  /** `answered` is told why the batch does not last, or null. */
  write(batch: Batch, snapshot: Snapshot, answered: (error: string | null) => void): void {
    if (this.pending !== null) throw new Error('two commits at once');
    this.pending = { batch, snapshot };
    const { faults, prng, later } = this.world;
    later(faults.diskDelayMs, () => {
      const fails = faults.isDiskDown || prng.chance(faults.failPercent);
      this.end(!fails);
      answered(fails ? 'the disk is full' : null);
    });
  }

  readPage(request: PageRequest, answered: PageAnswer): void {
    this.read(() => this.page(request), answered);
  }

  readMessages(request: FetchRequest, answered: FetchAnswer): void {
    this.read(() => this.fetch(request), answered);
  }

  private read<Found>(find: () => Found, answered: Answer<Found>): void {
    const { faults, prng, later } = this.world;
    later(faults.diskDelayMs, () => answered(prng.chance(faults.pageFailPercent) ? null : find()));
  }

  /** The batch under way ends: `lasts` says whether it is on the disk now. */
  protected end(lasts: boolean): void {
    const { pending } = this;
    this.pending = null;
    if (pending === null || !lasts) return;
    this.commit(pending.batch);
    this.snapshot = pending.snapshot;
  }

  /** The power goes and comes back; what is there then. `isWritten`: so far the batch under way had got. */
  losePower(isWritten: boolean): StoredState {
    this.end(isWritten);
    return this.load();
  }

  /** The broker stops, and starts again. */
  restart(): StoredState {
    this.end(false);
    return this.load();
  }
}
