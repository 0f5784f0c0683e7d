/**
 * A line in front of slow hashes. Node runs them on the four threads that also write the disk: more than two at once, and a flood
 * of wrong passwords would hold up every commit.
 */

export class HashingLine {
  private readonly waiting: (() => void)[] = [];
  private running = 0;
  private readonly atOnce: number;
  private readonly waitingMax: number;

  constructor(atOnce = 2, waitingMax = 1_000) {
    this.atOnce = atOnce;
    this.waitingMax = waitingMax;
  }

  /** Runs `work` when its turn comes; null at once when the line is full. */
  async run<Result>(work: () => Promise<Result>): Promise<Result | null> {
    if (this.running >= this.atOnce) {
      if (this.waiting.length >= this.waitingMax) return null;
      await new Promise<void>((go) => this.waiting.push(go));
    } else this.running++;
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.running--;
      else next();
    }
  }
}
