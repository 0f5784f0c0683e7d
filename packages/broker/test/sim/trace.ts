/** What happened, a line each: all of it goes into a checksum, the last lines are kept for a failure. */

const keptLines = 120;

/** An invariant does not hold: the simulator has found something. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
}

export class Trace {
  private readonly lines: string[] = [];
  private readonly print: boolean;
  private low = 0x811c_9dc5;
  private high = 0x9dc5_811c;
  count = 0;

  /** `print`: show every line as it comes. */
  constructor(print = false) {
    this.print = print;
  }

  add(now: number, line: string): void {
    const whole = `${now} ${line}`;
    for (let i = 0; i < whole.length; i++) {
      this.low = Math.imul(this.low ^ whole.charCodeAt(i), 0x0100_0193);
      this.high = Math.imul(this.high ^ this.low, 0x85eb_ca6b) ^ (this.high >>> 13);
    }
    this.count++;
    this.lines.push(whole);
    if (this.lines.length > keptLines * 2) this.lines.splice(0, keptLines);
    if (this.print) console.log(whole);
  }

  /** The same for the same lines, and only then. */
  get checksum(): string {
    return `${hex(this.low)}${hex(this.high)}/${this.count}`;
  }

  get tail(): readonly string[] {
    return this.lines.slice(-keptLines);
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
