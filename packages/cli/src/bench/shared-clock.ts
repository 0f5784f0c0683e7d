/** Milliseconds of the machine's monotonic clock, the same in every thread, where `performance.now()` begins anew in each. */

export class SharedClock {
  readonly #offset = Number(process.hrtime.bigint()) / 1e6 - performance.now();

  now(): number {
    return performance.now() + this.#offset;
  }
}
