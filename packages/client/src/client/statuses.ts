/** The status of a client for those who watch it: the last one, listeners, iterators, and who waits to be connected. */
import type { Status } from '../core/status.ts';
import { settle } from './settling.ts';

export type StatusListener = (status: Status) => unknown;

export class Statuses {
  current: Status;
  readonly #listeners = new Set<StatusListener>();

  constructor(first: Status) {
    this.current = first;
  }

  /** `failed`: what a listener threw. */
  tell(status: Status, failed: (error: unknown) => void): void {
    this.current = status;
    for (const listener of [...this.#listeners]) settle(() => listener(status), failed);
  }

  /** Calls the listener for every change; the function returned ends that. */
  listen(listener: StatusListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The status now and every one after it, until the client has ended. Whoever is slow misses none. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Status, void> {
    const waiting: Status[] = [this.current];
    let wake: (() => void) | null = null;
    const stop = this.listen((status) => {
      waiting.push(status);
      wake?.();
    });
    try {
      for (;;) {
        for (let status = waiting.shift(); status !== undefined; status = waiting.shift()) {
          yield status;
          if (status.state === 'ended') return;
        }
        await new Promise<void>((done) => {
          wake = done;
        });
      }
    } finally {
      stop();
    }
  }
}
