/**
 * The store of the simulation: what was committed and nothing else outlives a power cut. It answers late, fails, and can be
 * looked at, because what a client was promised must be here before the promise leaves.
 *
 * With every batch goes a copy of the model as of its sealing: after a power cut that is what the broker must know.
 */

import type { Batch, StoredState } from '../../src/core/index.ts';
import { KeptState } from '../kept-state.ts';

export class Disk<Snapshot> extends KeptState {
  /** The model as of the newest batch that lasts. */
  snapshot: Snapshot | null = null;
  /** The batch under way, and the model as of its sealing. */
  pending: { readonly batch: Batch; readonly snapshot: Snapshot } | null = null;
  /** Counts restarts: answers to an earlier run are thrown away. */
  run = 0;

  begin(batch: Batch, snapshot: Snapshot): void {
    if (this.pending !== null) throw new Error('two commits at once');
    this.pending = { batch, snapshot };
  }

  /** The batch under way ends: `lasts` says whether it is on the disk now. */
  end(lasts: boolean): void {
    const { pending } = this;
    this.pending = null;
    if (pending === null || !lasts) return;
    this.commit(pending.batch);
    this.snapshot = pending.snapshot;
  }

  /** The power is gone and comes back. */
  reload(): StoredState {
    this.pending = null;
    this.run++;
    return this.load();
  }
}
