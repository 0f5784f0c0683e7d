/**
 * Tables of numbered rows in typed arrays, for what there are millions of: nothing in them is an object for the garbage
 * collector to walk, and a number is a reference.
 *
 * A row's number holds until the row is given back. Its cells lie side by side, because who looks at one looks at others.
 */

const capacityFirst = 16;
/** Tables smaller than this are not made smaller. */
const trimmedFrom = 1024;

/** A growing table of whole numbers of 32 bits, with rows that were given back used again. */
export class Rows {
  readonly columns: number;
  private readonly wideColumns: number;
  /** Row after row; for who reads many of them without `get`, until the next `take` or `give`. */
  cells: Int32Array;
  /** Cells of numbers that need more than 32 bits. */
  private wideCells: Float64Array;
  private capacity = capacityFirst;
  private isFree = new Uint8Array(capacityFirst);
  /** Every free row below `used`, and some above it. */
  private free: number[] = [];
  /** One above the last row that is not free. */
  used = 0;

  constructor(columns: number, wideColumns = 0) {
    this.columns = columns;
    this.wideColumns = wideColumns;
    this.cells = new Int32Array(capacityFirst * columns);
    this.wideCells = new Float64Array(capacityFirst * wideColumns);
  }

  get(row: number, column: number): number {
    return this.cells[row * this.columns + column] as number;
  }

  set(row: number, column: number, value: number): void {
    this.cells[row * this.columns + column] = value;
  }

  wide(row: number, column: number): number {
    return this.wideCells[row * this.wideColumns + column] as number;
  }

  setWide(row: number, column: number, value: number): void {
    this.wideCells[row * this.wideColumns + column] = value;
  }

  /** A row with anything in it. */
  take(): number {
    for (let row = this.free.pop(); row !== undefined; row = this.free.pop()) {
      if (row >= this.used) continue;
      this.isFree[row] = 0;
      return row;
    }
    if (this.used === this.capacity) this.resize(this.capacity * 2);
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
    const cells = this.cells.subarray(0, used * columns);
    this.cells = new Int32Array(capacity * columns);
    this.cells.set(cells);
    const wideCells = this.wideCells.subarray(0, used * wideColumns);
    this.wideCells = new Float64Array(capacity * wideColumns);
    this.wideCells.set(wideCells);
    const isFree = this.isFree.subarray(0, used);
    this.isFree = new Uint8Array(capacity);
    this.isFree.set(isFree);
    this.capacity = capacity;
  }
}

const slotsFirst = 64;

/**
 * Rows found by two of their columns: open addressing, holes closed on removal. What the rows say is chosen by peers: the seed, which they
 * do not know, is what keeps them from choosing rows that all look for the same slot.
 */
export class PairIndex {
  private slots = new Int32Array(slotsFirst).fill(-1);
  private count = 0;
  private readonly rows: Rows;
  private readonly a: number;
  private readonly b: number;
  private readonly seed: number;

  constructor(rows: Rows, a: number, b: number, seed = 0) {
    this.rows = rows;
    this.seed = seed | 0;
    this.a = a;
    this.b = b;
  }

  /** The row, or -1. */
  find(a: number, b: number): number {
    const { slots } = this;
    const { cells, columns } = this.rows;
    const mask = slots.length - 1;
    for (let slot = hashPair(a, b, this.seed) & mask; ; slot = (slot + 1) & mask) {
      const row = slots[slot] as number;
      if (row < 0 || (cells[row * columns + this.a] === a && cells[row * columns + this.b] === b)) return row;
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
    return hashPair(this.rows.get(row, this.a), this.rows.get(row, this.b), this.seed) & (this.slots.length - 1);
  }
}

function hashPair(a: number, b: number, seed: number): number {
  let hash = Math.imul((a ^ seed) + Math.imul(b ^ seed, 0x9e3779b1), 0x85ebca6b);
  hash ^= hash >>> 13;
  return Math.imul(hash, 0xc2b2ae35) >>> 3;
}
