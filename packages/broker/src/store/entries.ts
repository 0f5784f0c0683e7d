/**
 * Where the deliveries of one session's line stand in the log: by rising sequence, 16 bytes an entry, in one typed array.
 *
 * That holds while entries are near each other, each with a cost near the length of its record. One that is not makes all of its
 * run wide: 24 bytes, and nothing is rounded. Entries of a run in which one names a message take 8 more.
 * A long run has a fifth of its places free at most when it has grown.
 *
 * Entries come in rising order but for the ones that cleaning moved, which are read back behind later ones at the start: those
 * go to a second run of their own, that is merged when somebody wants them all in order.
 */

const capacityFirst = 4;
/** Up to this an array that is full becomes four times as large, then twice: most sessions have few entries or none. */
const capacitySmall = 16;
/** From here on a quarter larger: what is left free is most of what a long queue could waste. */
const capacityLarge = 65_536;
/** An empty run larger than this gives its memory back. */
const capacityKept = 64;
const noWords = new Uint32Array(0);
const wordSpan = 2 ** 32;

/** Words of an entry. */
const offsetWord = 1;
/** 0: it was removed. */
const lengthWord = 2;
/** Narrow: the segment above the base, then the cost above the length, 16 signed bits each. Wide: the cost. */
const costWord = 3;
const narrowWords = 4;
/** Only when wide. */
const segmentWord = 4;
const highSequenceWord = 5;
const wideWords = 6;
/** Behind the others. */
const messageIdWords = 2;

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

function isInt16(value: number): boolean {
  return (value << 16) >> 16 === value;
}

/** Entries by rising sequence. One that was removed has length 0 until the gaps are closed. */
class Run {
  private words = noWords;
  /** Whether segment, cost and sequence have a word or two of their own. */
  private isWide = false;
  /** Whether there are message ids. */
  private isNamed = false;
  private stride = narrowWords;
  /** What narrow entries count from: its first entry when it was last empty or became narrow. */
  private sequenceBase = 0;
  private segmentBase = 0;
  private head = 0;
  private end = 0;
  /** Entries that are there. */
  count = 0;

  get capacity(): number {
    return Math.floor(this.words.length / this.stride);
  }

  get bytes(): number {
    return this.words.byteLength;
  }

  get last(): number {
    return this.end === this.head ? Number.NEGATIVE_INFINITY : this.sequenceAt(this.end - 1);
  }

  get first(): number {
    return this.head === this.end ? Number.POSITIVE_INFINITY : this.sequenceAt(this.head);
  }

  /** Its sequence is above the last one. */
  push(entry: Entry): void {
    if (this.end === 0) {
      this.sequenceBase = entry.sequence;
      this.segmentBase = entry.segment;
    }
    if (!this.fits(entry)) this.widenFor(entry);
    if ((this.end + 1) * this.stride > this.words.length) this.makeRoomFor(entry);
    this.end++;
    this.count++;
    this.write(this.end - 1, entry);
  }

  get(sequence: number): Entry | null {
    const index = this.find(sequence);
    return index < 0 ? null : this.at(index);
  }

  /** False when there is no entry of this sequence. */
  replace(entry: Entry): boolean {
    if (this.find(entry.sequence) < 0) return false;
    if (!this.fits(entry)) this.widenFor(entry);
    this.write(this.find(entry.sequence), entry);
    return true;
  }

  /** False when there is no entry of this sequence. */
  remove(sequence: number): boolean {
    const index = this.find(sequence);
    if (index < 0) return false;
    this.words[index * this.stride + lengthWord] = 0;
    this.count--;
    while (this.head < this.end && !this.isThere(this.head)) this.head++;
    if (this.head === this.end) this.clear();
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
    return index < this.end && this.sequenceAt(index) === sequence && this.isThere(index) ? index : -1;
  }

  private sequenceAt(index: number): number {
    const from = index * this.stride;
    const low = this.words[from] as number;
    return this.isWide ? (this.words[from + highSequenceWord] as number) * wordSpan + low : this.sequenceBase + low;
  }

  private at(index: number): Entry {
    const { words, stride, isWide } = this;
    const from = index * stride;
    const length = words[from + lengthWord] as number;
    const cost = words[from + costWord] as number;
    return {
      sequence: this.sequenceAt(index),
      segment: isWide ? (words[from + segmentWord] as number) : this.segmentBase + (cost >> 16),
      offset: words[from + offsetWord] as number,
      length,
      cost: isWide ? cost : length + ((cost << 16) >> 16),
      messageId: this.isNamed
        ? (words[from + stride - 1] as number) * wordSpan + (words[from + stride - messageIdWords] as number)
        : 0,
    };
  }

  private isThere(index: number): boolean {
    return this.words[index * this.stride + lengthWord] !== 0;
  }

  /** The first index whose sequence is not below this. */
  private lowerBound(sequence: number): number {
    let low = this.head;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.sequenceAt(middle) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Only what fits. */
  private write(index: number, { sequence, segment, offset, length, cost, messageId }: Entry): void {
    const { words, stride } = this;
    const from = index * stride;
    words[from + offsetWord] = offset;
    words[from + lengthWord] = length;
    if (this.isWide) {
      words[from] = sequence % wordSpan;
      words[from + highSequenceWord] = Math.floor(sequence / wordSpan);
      words[from + segmentWord] = segment;
      words[from + costWord] = cost;
    } else {
      words[from] = sequence - this.sequenceBase;
      words[from + costWord] = ((segment - this.segmentBase) << 16) | ((cost - length) & 0xffff);
    }
    if (!this.isNamed) return;
    words[from + stride - messageIdWords] = messageId % wordSpan;
    words[from + stride - 1] = Math.floor(messageId / wordSpan);
  }

  private fits(entry: Entry): boolean {
    if (entry.messageId !== 0 && !this.isNamed) return false;
    return this.isWide || this.isNear(entry, this.sequenceBase, this.segmentBase);
  }

  private isNear({ sequence, segment, length, cost }: Entry, sequenceBase: number, segmentBase: number): boolean {
    return sequence - sequenceBase < wordSpan && isInt16(segment - segmentBase) && isInt16(cost - length);
  }

  private widenFor(entry: Entry): void {
    const isWide = this.isWide || !this.isNear(entry, this.sequenceBase, this.segmentBase);
    this.rewrite(this.capacity, isWide, this.isNamed || entry.messageId !== 0);
  }

  /** Closes gaps, and grows only when that frees too little. Only here entries become narrow again: that stays rare. */
  private makeRoomFor(entry: Entry): void {
    const factor = this.count < capacitySmall ? 4 : this.count < capacityLarge ? 2 : 1.25;
    const capacity = Math.max(capacityFirst, Math.ceil(this.count * factor));
    const isWide = this.isWide && !this.areNear(entry);
    const isNamed = this.isNamed && (entry.messageId !== 0 || this.areNamed());
    if (isWide === this.isWide && isNamed === this.isNamed) this.move(capacity);
    else this.rewrite(capacity, isWide, isNamed);
  }

  /** Whether all that are there and this one, behind them, would fit when narrow. */
  private areNear(last: Entry): boolean {
    const first = this.count === 0 ? last : this.at(this.head);
    if (!this.isNear(last, first.sequence, first.segment)) return false;
    for (const entry of this.all()) if (!this.isNear(entry, first.sequence, first.segment)) return false;
    return true;
  }

  /** Whether any that is there names a message. */
  private areNamed(): boolean {
    for (const { messageId } of this.all()) if (messageId !== 0) return true;
    return false;
  }

  /** In order. */
  all(): Generator<Entry> {
    return this.above(Number.NEGATIVE_INFINITY);
  }

  private move(capacity: number): void {
    const { words, stride } = this;
    this.words = new Uint32Array(capacity * stride);
    const { head, end } = this;
    this.head = 0;
    this.end = this.count;
    // Mostly only some in front are gone. A copy of all at once is much faster.
    if (this.count === end - head) return this.words.set(words.subarray(head * stride, end * stride));
    let to = 0;
    for (let from = head; from < end; from++) {
      if (words[from * stride + lengthWord] === 0) continue;
      for (let i = 0; i < stride; i++) this.words[to * stride + i] = words[from * stride + i] as number;
      to++;
    }
  }

  /** Like `move`, to entries of another width. */
  private rewrite(capacity: number, isWide: boolean, isNamed: boolean): void {
    const next = new Run();
    next.isWide = isWide;
    next.isNamed = isNamed;
    next.stride = (isWide ? wideWords : narrowWords) + (isNamed ? messageIdWords : 0);
    next.words = new Uint32Array(capacity * next.stride);
    const isNewBase = this.isWide && this.count > 0;
    next.sequenceBase = isNewBase ? this.first : this.sequenceBase;
    next.segmentBase = isNewBase ? this.at(this.head).segment : this.segmentBase;
    for (const entry of this.all()) next.write(next.end++, entry);
    next.count = next.end;
    Object.assign(this, next);
  }

  /** A small one keeps its memory and the width of its entries for the next ones. */
  private clear(): void {
    if (this.capacity > capacityKept) this.words = noWords;
    this.head = 0;
    this.end = 0;
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

  /** Bytes of the arrays. */
  get bytes(): number {
    return this.main.bytes + (this.side?.bytes ?? 0);
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
    const all = [...main.all(), ...side.all()];
    all.sort((a, b) => a.sequence - b.sequence);
    this.main = new Run();
    this.side = null;
    for (const entry of all) this.main.push(entry);
  }
}
