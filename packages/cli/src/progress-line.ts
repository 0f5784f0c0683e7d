/** How far long work is: one line of a terminal that is written over and over. Where stderr is no terminal it says nothing. */

/** More often nobody can read it. */
const intervalMs = 100;

export class ProgressLine {
  #shownAt = Number.NEGATIVE_INFINITY;

  /** Whether there is anybody to tell. */
  get isSeen(): boolean {
    return process.stderr.isTTY === true;
  }

  /** `text` is called when it is time to say something again. */
  show(text: () => string): void {
    const now = performance.now();
    if (!this.isSeen || now - this.#shownAt < intervalMs) return;
    this.#shownAt = now;
    process.stderr.write(`\r\x1b[K${text()}`);
  }

  clear(): void {
    if (this.isSeen) process.stderr.write('\r\x1b[K');
  }
}
