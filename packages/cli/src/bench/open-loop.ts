/**
 * Publishes at a rate, whatever becomes of what was published. Message k of all publishers is due at `k / rate` after the start and is
 * the next of publisher `k % publishers`; a thread publishes those of its own. A message that leaves late was due all the same:
 * its latency counts from then, so that a broker that stalls is charged for everything it held up.
 */

import type { RecordableHistogram } from 'node:perf_hooks';
import type { BenchPublisher } from './bench-publisher.ts';
import { addLatency } from './latencies.ts';
import type { SharedClock } from './shared-clock.ts';

/** Timers are this late at the most, on an idle machine; the rest is waited for turn by turn. */
const timerSlackMs = 2;

export class OpenLoop {
  readonly #publishers: ReadonlyMap<number, BenchPublisher>;
  readonly #all: number;
  readonly #rate: number;
  readonly #clock: SharedClock;
  /** How late messages were handed to the client: the generator's own part of every latency. */
  readonly #delays: RecordableHistogram;
  #startAt = 0;
  #next = 0;
  #isRunning = false;

  /** `publishers`: those of this thread, by number, of `all`. `rate`: of all together, a second. */
  constructor(
    publishers: ReadonlyMap<number, BenchPublisher>,
    all: number,
    rate: number,
    clock: SharedClock,
    delays: RecordableHistogram,
  ) {
    this.#publishers = publishers;
    this.#all = all;
    this.#rate = rate;
    this.#clock = clock;
    this.#delays = delays;
  }

  start(startAt: number): void {
    this.#startAt = startAt;
    this.#isRunning = true;
    this.#turn();
  }

  stop(): void {
    this.#isRunning = false;
  }

  readonly #turn = (): void => {
    if (!this.#isRunning) return;
    const now = this.#clock.now();
    for (let dueAt = this.#dueAt(this.#next); dueAt <= now; dueAt = this.#dueAt(++this.#next)) {
      const publisher = this.#publishers.get(this.#next % this.#all);
      if (publisher === undefined) continue;
      publisher.publish(dueAt);
      addLatency(this.#delays, now - dueAt);
    }
    const waitMs = this.#dueAt(this.#next) - now - timerSlackMs;
    if (waitMs > 0) setTimeout(this.#turn, waitMs);
    else setImmediate(this.#turn);
  };

  #dueAt(k: number): number {
    return this.#startAt + (k / this.#rate) * 1000;
  }
}
