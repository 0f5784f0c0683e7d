/**
 * Where the deliveries of one session's line stand in the log: by rising sequence, 24 bytes an entry, in typed arrays.
 *
 * Entries come in rising order but for the ones that cleaning moved, which are read back behind later ones at the start: those
 * go to a second run of their own, that is merged when somebody wants them all in order.
 */

const wordsPerEntry = 4;
const capacityFirst = 4;
/** Up to this an array that is full becomes four times as large, then twice: most sessions have few entries or none. */
const capacitySmall = 16;
const noSequences = new Float64Array(0);
const noWords = new Uint32Array(0);
/** An empty run larger than this gives its memory back. */
const capacityKept = 64;

export interface Entry {
  readonly sequence: number;
  readonly segment: number;
  readonly offset: number;
  /** Bytes of its record. */
  readonly length: number;
  readonly cost: number;
  /** The message it names; 0: its record holds it. */
  readonly messageId: number;
}

/** Entries by rising sequence. One that was removed has length 0 until the gaps are closed. */
class Run {
  private sequences = noSequences;
  /** Segment, offset, length, cost. */
  private words = noWords;
  private messageIds: Float64Array | null = null;
  private head = 0;
  private end = 0;
  /** Entries that are there. */
  count = 0;

  get capacity(): number {
    return this.sequences.length;
  }

  get last(): number {
    return this.end === this.head ? Number.NEGATIVE_INFINITY : (this.sequences[this.end - 1] as number);
  }

  push(entry: Entry): void {
    if (this.end === this.sequences.length) this.makeRoom();
    this.sequences[this.end] = entry.sequence;
    this.end++;
    this.count++;
    this.write(this.end - 1, entry);
  }

  get first(): number {
    return this.head === this.end ? Number.POSITIVE_INFINITY : (this.sequences[this.head] as number);
  }

  get(sequence: number): Entry | null {
    const index = this.find(sequence);
    return index < 0 ? null : this.at(index);
  }

  /** False when there is no entry of this sequence. */
  replace(entry: Entry): boolean {
    const index = this.find(entry.sequence);
    if (index >= 0) this.write(index, entry);
    return index >= 0;
  }

  /** False when there is no entry of this sequence. */
  remove(sequence: number): boolean {
    const index = this.find(sequence);
    if (index < 0) return false;
    this.words[index * wordsPerEntry + 2] = 0;
    this.count--;
    while (this.head < this.end && !this.isThere(this.head)) this.head++;
    if (this.head === this.end) {
      this.head = 0;
      this.end = 0;
      if (this.sequences.length > capacityKept) this.resize(0);
    }
    return true;
  }

  *above(sequence: number): Generator<Entry> {
    for (let index = this.lowerBound(sequence + 1); index < this.end; index++) {
      if (this.isThere(index)) yield this.at(index);
    }
  }

  /** The index of an entry that is there, or -1. */
  private find(sequence: number): number {
    const index = this.lowerBound(sequence);
    return index < this.end && this.sequences[index] === sequence && this.isThere(index) ? index : -1;
  }

  private at(index: number): Entry {
    const word = index * wordsPerEntry;
    return {
      sequence: this.sequences[index] as number,
      segment: this.words[word] as number,
      offset: this.words[word + 1] as number,
      length: this.words[word + 2] as number,
      cost: this.words[word + 3] as number,
      messageId: this.messageIds?.[index] ?? 0,
    };
  }

  private isThere(index: number): boolean {
    return this.words[index * wordsPerEntry + 2] !== 0;
  }

  /** The first index whose sequence is not below this. */
  private lowerBound(sequence: number): number {
    let low = this.head;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.sequences[middle] as number) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private write(index: number, { segment, offset, length, cost, messageId }: Entry): void {
    const word = index * wordsPerEntry;
    this.words[word] = segment;
    this.words[word + 1] = offset;
    this.words[word + 2] = length;
    this.words[word + 3] = cost;
    if (messageId !== 0) this.messageIds ??= new Float64Array(this.sequences.length);
    if (this.messageIds !== null) this.messageIds[index] = messageId;
  }

  /** Closes gaps, and grows only when that frees less than half. */
  private makeRoom(): void {
    const factor = this.count < capacitySmall ? 4 : 2;
    this.resize(Math.max(capacityFirst, this.count * factor));
  }

  private resize(capacity: number): void {
    const { sequences, words, messageIds } = this;
    this.sequences = new Float64Array(capacity);
    this.words = new Uint32Array(capacity * wordsPerEntry);
    this.messageIds = messageIds === null ? null : new Float64Array(capacity);
    let to = 0;
    for (let from = this.head; from < this.end; from++) {
      if (words[from * wordsPerEntry + 2] === 0) continue;
      this.sequences[to] = sequences[from] as number;
      for (let i = 0; i < wordsPerEntry; i++) {
        this.words[to * wordsPerEntry + i] = words[from * wordsPerEntry + i] as number;
      }
      if (this.messageIds !== null && messageIds !== null) this.messageIds[to] = messageIds[from] as number;
      to++;
    }
    this.head = 0;
    this.end = to;
  }
}

export class Entries {
  private main = new Run();
  /** What came behind a later one. */
  private side: Run | null = null;

  get count(): number {
    return this.main.count + (this.side?.count ?? 0);
  }

  /** Entries there is room for. */
  get capacity(): number {
    return this.main.capacity + (this.side?.capacity ?? 0);
  }

  /** The lowest sequence; Infinity when there is none. */
  get first(): number {
    return Math.min(this.main.first, this.side?.first ?? Number.POSITIVE_INFINITY);
  }

  get(sequence: number): Entry | null {
    return this.main.get(sequence) ?? this.side?.get(sequence) ?? null;
  }

  /** Adds or replaces. */
  put(entry: Entry): void {
    // First: the main run may have emptied since, and then anything is behind its last.
    if (this.side?.replace(entry) === true) return;
    if (entry.sequence > this.main.last) this.main.push(entry);
    else if (!this.main.replace(entry)) this.putAside(entry);
  }

  delete(sequence: number): void {
    if (!this.main.remove(sequence)) this.side?.remove(sequence);
  }

  /** In order, those with a sequence above this. Nothing may be put or deleted meanwhile. */
  above(sequence: number): Generator<Entry> {
    this.merge();
    return this.main.above(sequence);
  }

  private putAside(entry: Entry): void {
    if (this.side !== null && entry.sequence <= this.side.last) this.merge();
    this.side ??= new Run();
    this.side.push(entry);
  }

  private merge(): void {
    const { main, side } = this;
    if (side === null) return;
    const all = [...main.above(Number.NEGATIVE_INFINITY), ...side.above(Number.NEGATIVE_INFINITY)];
    all.sort((a, b) => a.sequence - b.sequence);
    this.main = new Run();
    this.side = null;
    for (const entry of all) this.main.push(entry);
  }
}
