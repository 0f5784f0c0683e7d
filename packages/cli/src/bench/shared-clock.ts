/** Milliseconds of the machine's monotonic clock, the same in every thread, where `performance.now()` begins anew in each. */

const samples = 100;

export class SharedClock {
  readonly #offset = offset();

  now(): number {
    return performance.now() + this.#offset;
  }
}

/** Both clocks cannot be read at once: the pair that was read in the least time tells the difference best. */
function offset(): number {
  let best = 0;
  let leastMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < samples; i++) {
    const before = performance.now();
    const machineMs = Number(process.hrtime.bigint()) / 1e6;
    const tookMs = performance.now() - before;
    if (tookMs >= leastMs) continue;
    leastMs = tookMs;
    best = machineMs - before - tookMs / 2;
  }
  return best;
}
