/**
 * A map by texts that peers choose, of any length. The engine tells texts of more than 16,383 characters apart by their length alone:
 * in a Map, a thousand of one length would be a thousand to compare with at each look-up. Those are hashed here.
 */

/** Longer ones are hashed here. */
const shortMax = 16_000;

export class TextMap<Value> {
  private readonly short = new Map<string, Value>();
  /** By hash; several are side by side only by chance. */
  private readonly long = new Map<number, { readonly text: string; value: Value }[]>();
  private longCount = 0;
  private readonly seed: number;

  /** `seed`: what nobody outside knows. */
  constructor(seed = 0) {
    this.seed = seed;
  }

  get size(): number {
    return this.short.size + this.longCount;
  }

  get(text: string): Value | undefined {
    if (text.length <= shortMax) return this.short.get(text);
    return this.long.get(this.hash(text))?.find((each) => each.text === text)?.value;
  }

  set(text: string, value: Value): void {
    if (text.length <= shortMax) {
      this.short.set(text, value);
      return;
    }
    const hash = this.hash(text);
    const found = this.long.get(hash);
    const known = found?.find((each) => each.text === text);
    if (known !== undefined) {
      known.value = value;
      return;
    }
    this.longCount++;
    if (found === undefined) this.long.set(hash, [{ text, value }]);
    else found.push({ text, value });
  }

  delete(text: string): void {
    if (text.length <= shortMax) {
      this.short.delete(text);
      return;
    }
    const hash = this.hash(text);
    const found = this.long.get(hash) ?? [];
    const at = found.findIndex((each) => each.text === text);
    if (at < 0) return;
    this.longCount--;
    if (found.length === 1) this.long.delete(hash);
    else found.splice(at, 1);
  }

  /** Entries may be set and deleted meanwhile. */
  *[Symbol.iterator](): Generator<readonly [text: string, value: Value]> {
    yield* this.short;
    for (const found of this.long.values()) for (const { text, value } of found) yield [text, value];
  }

  /** 53 bits: two hashes of 32 that are mixed alike from other beginnings. */
  private hash(text: string): number {
    let one = this.seed ^ 0x3c6ef372;
    let other = Math.imul(this.seed, 0x9e3779b1) ^ text.length;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      one = Math.imul(one ^ unit, 0x85ebca6b);
      one ^= one >>> 15;
      other = Math.imul(other + unit, 0xc2b2ae35);
      other ^= other >>> 13;
    }
    return (one >>> 0) * 2 ** 21 + (other >>> 11);
  }
}
