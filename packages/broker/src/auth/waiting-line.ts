/**
 * A line in front of what must not be done any number of times at once: slow hashes, which Node runs on the four threads that also write
 * the disk, and questions to other programs, each of which takes a socket.
 */

export class WaitingLine {
  private readonly waiting: (() => void)[] = [];
  private running = 0;
  private readonly atOnce: number;
  private readonly waitingMax: number;

  constructor(atOnce: number, waitingMax: number) {
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
