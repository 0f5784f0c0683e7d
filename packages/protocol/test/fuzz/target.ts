/** What can be fuzzed: inputs at random, a run that throws when a property does not hold, and the form in which inputs are kept. */

import type fc from 'fast-check';

/** What was reached, and how often: reason codes, packet types, phases. */
export class Features {
  readonly counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }
}

/** An input as it lies in a corpus file. */
export interface Entry<Kept> {
  readonly name: string;
  /** What it once did, or might do to a careless implementation. */
  readonly why: string;
  readonly input: Kept;
}

export interface Target<Input, Kept> {
  readonly name: string;
  /** How much of the time it gets, beside the others. */
  readonly weight: number;
  /** `kept`: the corpus, to start from. */
  arbitrary(kept: readonly Input[]): fc.Arbitrary<Input>;
  run(input: Input, features: Features): void;
  keep(input: Input): Kept;
  restore(kept: Kept): Input;
}
