/**
 * Where bytes wait to be written: slabs borrowed from a pool of size classes, and the outbox that strings them together.
 *
 * A connection has a slab only while it has something to say; idle ones share the empty slab. Whoever holds a slab owns it:
 * the outbox, then the driver's link, then (given back by `written`) the pool again. A link that keeps a slab longer simply
 * never gives it back.
 */

import { noBytes, noView, viewOf } from '@pipit/protocol';

/** One write's worth of bytes: bytes[0, length). With no view it is a reference: bytes that are never written to. */
export class Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  length = 0;
  private filled: Uint8Array = noBytes;

  constructor(bytes: Uint8Array, view: DataView) {
    this.bytes = bytes;
    this.view = view;
  }

  /** bytes[0, length). Made anew only when the length is not that of the last time: a slab's writes are much alike, a PUBACK each. */
  get content(): Uint8Array {
    if (this.filled.length !== this.length) this.filled = this.bytes.subarray(0, this.length);
    return this.filled;
  }
}

const emptySlab = new Slab(noBytes, noView);

/** A read of 256 kB, and the packet it completed, leave in one slab: in two, 16 kB payloads cost a tenth more. */
const largest = 288 * 1024;
/** Classes grow fourfold, so that copying into the next one stays a third of the bytes. */
const sizes = [1024, 4096, 16_384, 65_536, largest] as const;
/** Bytes of free slabs kept per class: a burst to a thousand readers must not be garbage every turn. */
const freeBytesMax = 16 * 1024 * 1024;

function classFor(bytes: number): number {
  for (let i = 0; i < sizes.length; i++) if (bytes <= (sizes[i] as number)) return i;
  return -1;
}

export class SlabPool {
  private readonly free: Slab[][] = sizes.map(() => []);

  /** An empty slab with room for at least `bytes`. */
  take(bytes: number): Slab {
    const index = classFor(bytes);
    if (index < 0) return newSlab(bytes);
    return (this.free[index] as Slab[]).pop() ?? newSlab(sizes[index] as number);
  }

  /** Takes a slab back. References, which others may hold too, and slabs of no pooled size are left to the garbage collector. */
  give(slab: Slab): void {
    if (slab.view === noView) return;
    const size = slab.bytes.length;
    const index = classFor(size);
    if (index < 0 || sizes[index] !== size) return;
    const free = this.free[index] as Slab[];
    if (free.length * size >= freeBytesMax) return;
    slab.length = 0;
    free.push(slab);
  }
}

function newSlab(size: number): Slab {
  const bytes = new Uint8Array(size);
  return new Slab(bytes, viewOf(bytes));
}

/** Bytes in the order in which they will leave. */
export class Outbox {
  /** The slab being filled. */
  private slab: Slab = emptySlab;
  private full: Slab[] | null = null;
  /** Bytes waiting here. */
  bytes = 0;
  /** QoS 1 and 2 acknowledgements among them: what they leave with, the peer may send anew. */
  acknowledgements = 0;

  /**
   * Room for `length` bytes at the end, counted as written: put them at [slab.length - length, slab.length).
   * Read the slab from what is returned, never from before: it may be another one.
   */
  reserve(pool: SlabPool, length: number, hint: number): Slab {
    this.bytes += length;
    const slab = this.slab;
    if (slab.length + length <= slab.bytes.length) {
      slab.length += length;
      return slab;
    }
    return this.extend(pool, length, hint);
  }

  /** Appends bytes that will not change any more, without a copy. */
  refer(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (this.slab.length > 0) this.seal();
    const slab = new Slab(bytes, noView);
    slab.length = bytes.length;
    this.full ??= [];
    this.full.push(slab);
  }

  /** Moves everything from another outbox behind what is here. */
  append(other: Outbox): void {
    if (other.bytes === 0) return;
    this.bytes += other.bytes;
    this.acknowledgements += other.acknowledgements;
    if (this.slab.length > 0) this.seal();
    if (other.full !== null) {
      if (this.full === null) this.full = other.full;
      else this.full.push(...other.full);
    }
    this.slab = other.slab;
    other.reset();
  }

  /** The next slab to write, with its ownership; null when nothing is left. */
  shift(): Slab | null {
    const slab = this.full?.shift() ?? (this.slab.length > 0 ? this.slab : null);
    if (slab === null) return null;
    if (slab === this.slab) this.slab = emptySlab;
    if (this.full?.length === 0) this.full = null;
    this.bytes -= slab.length;
    return slab;
  }

  /** Forgets everything. */
  clear(pool: SlabPool): void {
    for (let slab = this.shift(); slab !== null; slab = this.shift()) pool.give(slab);
    this.acknowledgements = 0;
  }

  private reset(): void {
    this.slab = emptySlab;
    this.full = null;
    this.bytes = 0;
    this.acknowledgements = 0;
  }

  private seal(): void {
    this.full ??= [];
    this.full.push(this.slab);
    this.slab = emptySlab;
  }

  private extend(pool: SlabPool, length: number, hint: number): Slab {
    const old = this.slab;
    const needed = old.length + length;
    if (old.length > 0 && needed > largest) this.seal();
    const next = pool.take(this.slab === emptySlab ? Math.max(length, Math.min(hint, largest)) : needed);
    if (this.slab !== emptySlab) {
      next.bytes.set(old.bytes.subarray(0, old.length));
      next.length = old.length;
      pool.give(old);
    }
    next.length += length;
    this.slab = next;
    return next;
  }
}
