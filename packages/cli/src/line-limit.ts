/**
 * How many lines of the log one address may cause, and all together: a peer that comes and goes a thousand times a second must not
 * fill a disk, nor hide what happens to others. What is left out is counted, and told with its number.
 *
 * Some thousands of lines may come at once, so that a fleet that connects is seen client by client. The metrics count everything.
 */

export interface LineLimits {
  readonly linesPerSecond: number;
  readonly burstLines: number;
  readonly linesPerSecondPerAddress: number;
  readonly burstLinesPerAddress: number;
  /** Addresses known at once; what others cause counts as one's. */
  readonly addressesMax: number;
}

export const defaultLineLimits: LineLimits = {
  linesPerSecond: 1_000,
  burstLines: 50_000,
  linesPerSecondPerAddress: 10,
  burstLinesPerAddress: 5_000,
  addressesMax: 10_000,
};

interface Allowance {
  lines: number;
  at: number;
  leftOut: number;
}

const others = 'other addresses';

export class LineLimit {
  readonly #limits: LineLimits;
  readonly #all: Allowance;
  readonly #byAddress = new Map<string, Allowance>();

  constructor(limits: LineLimits, now: number) {
    this.#limits = limits;
    this.#all = { lines: limits.burstLines, at: now, leftOut: 0 };
  }

  /** Whether a line about this address may be written now. */
  takes(address: string, now: number): boolean {
    const { linesPerSecond, burstLines, linesPerSecondPerAddress, burstLinesPerAddress } = this.#limits;
    const own = this.#allowance(address, now);
    refill(own, linesPerSecondPerAddress, burstLinesPerAddress, now);
    refill(this.#all, linesPerSecond, burstLines, now);
    if (own.lines >= 1 && this.#all.lines >= 1) {
      own.lines--;
      this.#all.lines--;
      return true;
    }
    own.leftOut++;
    return false;
  }

  /** How many lines were left out about whom since the last time; forgets who has caused none lately. */
  *leftOut(now: number): Generator<{ readonly address: string; readonly lines: number }> {
    const { linesPerSecondPerAddress, burstLinesPerAddress } = this.#limits;
    for (const [address, allowance] of this.#byAddress) {
      const lines = allowance.leftOut;
      allowance.leftOut = 0;
      if (lines > 0) yield { address, lines };
      refill(allowance, linesPerSecondPerAddress, burstLinesPerAddress, now);
      if (allowance.lines >= burstLinesPerAddress) this.#byAddress.delete(address);
    }
  }

  #allowance(address: string, now: number): Allowance {
    const known = this.#byAddress.get(address);
    if (known !== undefined) return known;
    if (this.#byAddress.size >= this.#limits.addressesMax && address !== others) return this.#allowance(others, now);
    const allowance = { lines: this.#limits.burstLinesPerAddress, at: now, leftOut: 0 };
    this.#byAddress.set(address, allowance);
    return allowance;
  }
}

function refill(allowance: Allowance, perSecond: number, most: number, now: number): void {
  allowance.lines = Math.min(most, allowance.lines + ((now - allowance.at) / 1000) * perSecond);
  allowance.at = now;
}
