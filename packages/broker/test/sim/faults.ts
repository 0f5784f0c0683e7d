/** What goes wrong at the moment; healing sets all of it to nothing. */

import type { DiskFaults } from './disk.ts';
import type { SimOptions } from './options.ts';

export interface Faults extends DiskFaults {
  delayMs: number;
  splitPercent: number;
  turnDelayMs: number;
  ackDelayMs: number;
  authorityDelayMs: number;
  refusePercent: number;
}

export function faultsOf({ link, turnDelayMs, ackDelayMs, authorityDelayMs, disk, strange }: SimOptions): Faults {
  return {
    ...link,
    turnDelayMs,
    ackDelayMs,
    authorityDelayMs,
    refusePercent: strange.refusePercent,
    diskDelayMs: disk?.delayMs ?? 0,
    failPercent: disk?.failPercent ?? 0,
    pageFailPercent: disk?.pageFailPercent ?? 0,
    isDiskDown: false,
  };
}
