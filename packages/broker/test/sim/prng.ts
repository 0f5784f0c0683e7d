/** Randomness of the simulator: sfc32, so that a seed means the same on every machine. Integers only. */

export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number, stream = 0) {
    this.a = seed | 0;
    this.b = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b);
    this.c = (0x2545_f491 + Math.imul(stream, 0x27d4_eb2f)) | 0;
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 32 bits. */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** From 0 to `count` - 1. */
  below(count: number): number {
    return count <= 1 ? 0 : this.next() % count;
  }

  /** From `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True in `percent` of all cases. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** One of the names, each as often as its weight says; undefined when all weights are 0. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name | undefined {
    const names = Object.keys(weights) as Name[];
    const total = names.reduce((sum, name) => sum + weights[name], 0);
    if (total === 0) return undefined;
    let at = this.below(total);
    for (const name of names) {
      at -= weights[name];
      if (at < 0) return name;
    }
    return undefined;
  }
}
