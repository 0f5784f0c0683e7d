/** What the driver needs of its surroundings. Real ones differ by where they run; a simulated one has its own clock. */
export interface Platform {
  /** Milliseconds that never go back. */
  now(): number;
  /** Runs once what is running now, and what it set off at once, is over: the end of a turn. */
  soon(run: () => void): void;
  later(run: () => void, ms: number): unknown;
  cancel(timer: unknown): void;
  /** Bytes nobody can guess. */
  random(count: number): Uint8Array;
}

const laterMsMax = 0x7fff_ffff;

function webRandom(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}

/** Where nothing but the web's own interfaces is there. A microtask queued now runs behind those already queued. */
export const webPlatform: Platform = {
  now: () => performance.now(),
  soon: (run) => queueMicrotask(run),
  later: (run, ms) => setTimeout(run, Math.min(ms, laterMsMax)),
  cancel: (timer) => clearTimeout(timer as number),
  random: webRandom,
};
