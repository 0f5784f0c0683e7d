/**
 * The wall clock of the broker's machine. Its operator may set it, by seconds or by decades, and nothing but the next start may
 * notice: a broker that starts takes the time it was down from it, so that afterwards all that was recorded is due earlier or later.
 */

import type { Batch } from '../../src/core/index.ts';

type Clocks = Pick<Batch, 'wall' | 'clock'>;

/** What a broker takes for an error of one of the two clocks. */
const downtimeMaxMs = 10 * 365 * 24 * 3600 * 1000;

export class WallClock {
  /** Milliseconds by which it is ahead of the simulated world. */
  aheadMs = 0;
  /** When batches were sealed in the simulated world. */
  private readonly sealedAt = new Map<string, number>();

  sealed(batch: Batch, now: number): void {
    this.sealedAt.set(nameOf(batch), now);
  }

  /** When the newest batch was sealed of what was found on a disk. */
  lastSealed(found: Clocks): number {
    return this.sealedAt.get(nameOf(found)) ?? 0;
  }

  /** How much later things are due for a broker that starts now on what it found: the time it was down, less what it takes for it. */
  delayOf(found: Clocks, now: number): number {
    if (!this.sealedAt.has(nameOf(found))) return 0;
    const seemingMs = now + this.aheadMs - found.wall;
    const countedMs = seemingMs > 0 && seemingMs < downtimeMaxMs ? seemingMs : 0;
    return now - this.lastSealed(found) - countedMs;
  }
}

/** The clock of the records stands still while the broker is down, if the wall clock went back meanwhile. */
function nameOf({ wall, clock }: Clocks): string {
  return `${wall} ${clock}`;
}
