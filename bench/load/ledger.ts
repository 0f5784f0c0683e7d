/**
 * What one subscriber has received of each publisher: whether anything is missing, came twice, or overtook.
 *
 * Publishers number their messages from 0. What is expected next is all that is kept, so a message that comes late is counted
 * twice: as missing when it was passed over, and as out of place when it comes.
 */

export class Ledger {
  readonly #next: Uint32Array;
  readonly #isShared: boolean;
  received = 0;
  /** Messages passed over. */
  missing = 0;
  /** Messages that came again, or after a later one of the same publisher. */
  misplaced = 0;

  /** `isShared`: others get some of the messages, so that numbers may be passed over. */
  constructor(publishers: number, isShared: boolean) {
    this.#next = new Uint32Array(publishers);
    this.#isShared = isShared;
  }

  record(publisher: number, sequence: number): void {
    this.received++;
    const next = this.#next[publisher] as number;
    if (sequence === next) this.#next[publisher] = next + 1;
    else if (sequence > next) {
      if (!this.#isShared) this.missing += sequence - next;
      this.#next[publisher] = sequence + 1;
    } else this.misplaced++;
  }
}
