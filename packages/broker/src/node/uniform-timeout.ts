/** Things that may all wait equally long, behind one timer: handshakes, and connections that are on their way out. */
export class UniformTimeout<K, T> {
  readonly #ms: number;
  readonly #expired: (item: T) => void;
  /** In the order of adding, which is the order of expiry. */
  readonly #waiting = new Map<K, { readonly item: T; readonly at: number }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(ms: number, expired: (item: T) => void) {
    this.#ms = ms;
    this.#expired = expired;
  }

  get size(): number {
    return this.#waiting.size;
  }

  get(key: K): T | undefined {
    return this.#waiting.get(key)?.item;
  }

  add(key: K, item: T): void {
    this.#waiting.delete(key);
    this.#waiting.set(key, { item, at: performance.now() + this.#ms });
    this.#timer ??= setTimeout(() => this.#expire(), this.#ms);
  }

  /** Stops its waiting: what was added, or undefined when it did not wait. */
  delete(key: K): T | undefined {
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (this.#waiting.size === 0 && this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    return waiting?.item;
  }

  /** Nothing waits any more; `drop` gets each. */
  dropAll(drop: (item: T) => void): void {
    for (const [key, { item }] of this.#waiting) {
      this.delete(key);
      drop(item);
    }
  }

  #expire(): void {
    this.#timer = null;
    const now = performance.now();
    for (const [key, { item, at }] of this.#waiting) {
      if (at > now) {
        this.#timer ??= setTimeout(() => this.#expire(), Math.ceil(at - now));
        return;
      }
      this.#waiting.delete(key);
      this.#expired(item);
    }
  }
}
