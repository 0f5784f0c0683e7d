/**
 * Loaded into a process that is measured (`node --import`), and asked by its parent: what lives in it, how late its event loop is.
 *
 * Until it is asked it does nothing but wait for messages, and does not keep the process alive.
 */

import { Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { queryObjects } from 'node:v8';

/** What lives in a process, after a full garbage collection. */
export interface Contents {
  readonly heapBytes: number;
  /** Outside of the heap: array buffers and the like. */
  readonly externalBytes: number;
  readonly rssBytes: number;
  /** Objects of Node that live, whether they are in use or not. */
  readonly timers: number;
  readonly sockets: number;
}

/** Milliseconds the event loop was late since the question before. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export type Question = 'contents' | 'loop delay';

export function contents(): Contents {
  const timer = setTimeout(() => {}, 0);
  clearTimeout(timer);
  const classOfTimers = timer.constructor;
  // Each of these collects garbage first.
  const sockets = queryObjects(Socket, { format: 'count' });
  const timers = queryObjects(classOfTimers as new () => object, { format: 'count' }) - 1;
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapBytes: heapUsed, externalBytes: external, rssBytes: rss, timers, sockets };
}

/** Looks every millisecond from the first question on. */
class LoopWatch {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | null = null;

  delay(): LoopDelay {
    if (this.#histogram === null) {
      this.#histogram = monitorEventLoopDelay({ resolution: 1 });
      this.#histogram.enable();
    }
    const histogram = this.#histogram;
    const ms = (quantile: number): number => histogram.percentile(quantile) / 1e6;
    const delay = { p50: ms(50), p99: ms(99), p999: ms(99.9), max: histogram.max / 1e6 };
    histogram.reset();
    return delay;
  }
}

if (process.channel !== undefined) {
  const watch = new LoopWatch();
  process.on('message', (question: Question) => {
    process.send?.(question === 'contents' ? contents() : watch.delay());
  });
  process.channel.unref();
}
