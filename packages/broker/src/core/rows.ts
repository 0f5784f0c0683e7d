/**
 * Tables of numbered rows in typed arrays, for what there are millions of: nothing in them is an object for the garbage
 * collector to walk, and a number is a reference.
 *
 * A row's number holds until the row is given back. Columns are looked up again after every `take` and `give`: both may replace
 * them.
 */

const capacityFirst = 16;
/** Tables smaller than this are not made smaller. */
const trimmedFrom = 1024;

/** A growing table, one Int32Array a column, with rows that were given back used again. */
export class Rows {
  private readonly columns: Int32Array[];
  /** Columns of numbers that need more than 32 bits. */
  private readonly wideColumns: Float64Array[];
  private capacity = capacityFirst;
  private isFree = new Uint8Array(capacityFirst);
  /** Every free row below `used`, and some above it. */
  private free: number[] = [];
  /** One above the last row that is not free. */
  used = 0;

  constructor(columns: number, wideColumns = 0) {
    this.columns = Array.from({ length: columns }, () => new Int32Array(capacityFirst));
    this.wideColumns = Array.from({ length: wideColumns }, () => new Float64Array(capacityFirst));
  }

  column(index: number): Int32Array {
    return this.columns[index] as Int32Array;
  }

  wide(index: number): Float64Array {
    return this.wideColumns[index] as Float64Array;
  }

  /** A row with anything in it. */
  take(): number {
    for (let row = this.free.pop(); row !== undefined; row = this.free.pop()) {
      if (row >= this.used) continue;
      this.isFree[row] = 0;
      return row;
    }
    if (this.used === this.capacity) this.resize(this.capacity + Math.max(capacityFirst, this.capacity >> 1));
    this.isFree[this.used] = 0;
    return this.used++;
  }

  give(row: number): void {
    this.isFree[row] = 1;
    this.free.push(row);
    while (this.used > 0 && this.isFree[this.used - 1] === 1) this.used--;
    if (this.used * 4 >= this.capacity || this.capacity < trimmedFrom) return;
    this.free = this.free.filter((each) => each < this.used);
    this.resize(Math.max(capacityFirst, this.used * 2));
  }

  private resize(capacity: number): void {
    const { columns, wideColumns, used } = this;
    for (const [index, old] of columns.entries()) {
      columns[index] = new Int32Array(capacity);
      this.column(index).set(old.subarray(0, used));
    }
    for (const [index, old] of wideColumns.entries()) {
      wideColumns[index] = new Float64Array(capacity);
      this.wide(index).set(old.subarray(0, used));
    }
    const isFree = this.isFree.subarray(0, used);
    this.isFree = new Uint8Array(capacity);
    this.isFree.set(isFree);
    this.capacity = capacity;
  }
}

const slotsFirst = 64;

/** Rows found by two of their columns: open addressing, holes closed on removal. */
export class PairIndex {
  private slots = new Int32Array(slotsFirst).fill(-1);
  private count = 0;
  private readonly rows: Rows;
  private readonly a: number;
  private readonly b: number;

  constructor(rows: Rows, a: number, b: number) {
    this.rows = rows;
    this.a = a;
    this.b = b;
  }

  /** The row, or -1. */
  find(a: number, b: number): number {
    const as = this.rows.column(this.a);
    const bs = this.rows.column(this.b);
    const slots = this.slots;
    const mask = slots.length - 1;
    for (let slot = hashPair(a, b) & mask; ; slot = (slot + 1) & mask) {
      const row = slots[slot] as number;
      if (row < 0 || (as[row] === a && bs[row] === b)) return row;
    }
  }

  add(row: number): void {
    if ((this.count + 1) * 3 > this.slots.length * 2) this.resize(this.slots.length * 2);
    this.place(row);
    this.count++;
  }

  /** Before the row is given back. */
  remove(row: number): void {
    const slots = this.slots;
    const mask = slots.length - 1;
    let hole = this.home(row);
    while (slots[hole] !== row) hole = (hole + 1) & mask;
    slots[hole] = -1;
    this.count--;
    for (let slot = (hole + 1) & mask; (slots[slot] as number) >= 0; slot = (slot + 1) & mask) {
      const home = this.home(slots[slot] as number);
      // Only a row that the hole now cuts off from its home slot moves into it.
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = slots[slot] as number;
        slots[slot] = -1;
        hole = slot;
      }
    }
    if (this.count * 16 < slots.length && slots.length > slotsFirst) this.resize(slots.length >> 2);
  }

  private resize(capacity: number): void {
    const old = this.slots;
    this.slots = new Int32Array(Math.max(slotsFirst, capacity)).fill(-1);
    for (const each of old) if (each >= 0) this.place(each);
  }

  private place(row: number): void {
    const mask = this.slots.length - 1;
    let slot = this.home(row);
    while ((this.slots[slot] as number) >= 0) slot = (slot + 1) & mask;
    this.slots[slot] = row;
  }

  private home(row: number): number {
    return (
      hashPair(this.rows.column(this.a)[row] as number, this.rows.column(this.b)[row] as number) &
      (this.slots.length - 1)
    );
  }
}

function hashPair(a: number, b: number): number {
  let hash = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  hash ^= hash >>> 13;
  return Math.imul(hash, 0xc2b2ae35) >>> 3;
}
