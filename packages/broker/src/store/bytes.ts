/** The fields that records are made of: integers of variable length, numbers, texts and runs of bytes. */

import { noBytes, viewOf } from '@pipit/protocol';

const numberBytes = 8;
const integerBytesMax = 8;
const loopBytesMax = 64;
/** Texts up to here are made from an array of their units, which costs half of what a view of the bytes does. */
const shortUnitsMax = 64;
/** Arguments of one call live on the stack. */
const unitsPerCall = 4096;

/** A growing buffer. */
export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView;
  length = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = viewOf(this.bytes);
  }

  /** Appends `count` bytes, whatever they are, and returns where they begin. */
  reserve(count: number): number {
    const at = this.length;
    this.makeRoom(count);
    this.length = at + count;
    return at;
  }

  uint8(value: number): void {
    this.makeRoom(1);
    this.bytes[this.length++] = value;
  }

  /** Any double, infinities included. */
  number(value: number): void {
    const at = this.reserve(numberBytes); // Before `view` is looked at: it may be another then.
    this.view.setFloat64(at, value);
  }

  /** A whole number from 0 to 2^53 - 1, seven bits a byte. */
  integer(value: number): void {
    this.makeRoom(integerBytesMax);
    let rest = value;
    for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 0x80)) this.bytes[this.length++] = (rest % 0x80) | 0x80;
    for (; rest >= 0x80; rest >>>= 7) this.bytes[this.length++] = (rest & 0x7f) | 0x80;
    this.bytes[this.length++] = rest;
  }

  /** Any string: a byte a unit when all of them fit, else two. */
  text(value: string): void {
    const { length } = value;
    this.makeRoom(integerBytesMax + length);
    const start = this.length;
    this.integer(length * 2);
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i);
      if (unit > 0xff) {
        this.length = start;
        this.wideText(value);
        return;
      }
      this.bytes[this.length++] = unit;
    }
  }

  run(value: Uint8Array): void {
    this.integer(value.length);
    this.raw(value);
  }

  /** The bytes alone, for a reader who knows how many there are. */
  raw(value: Uint8Array): void {
    const { length } = value;
    const at = this.reserve(length);
    const { bytes } = this;
    // A call of `set` costs more than these few bytes; so would a view, to copy by words.
    if (length <= loopBytesMax) for (let i = 0; i < length; i++) bytes[at + i] = value[i] as number;
    else bytes.set(value, at);
  }

  private wideText(value: string): void {
    this.integer(value.length * 2 + 1);
    const at = this.reserve(value.length * 2);
    for (let i = 0; i < value.length; i++) this.view.setUint16(at + i * 2, value.charCodeAt(i));
  }

  private makeRoom(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = viewOf(grown);
  }
}

/** Reads what ByteWriter wrote. Throws RangeError past the end, or on an integer that is none. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private at = 0;
  private end = 0;
  /** Scratch for texts, by their length. */
  private readonly units: number[][] = [];

  constructor(bytes: Uint8Array, view: DataView) {
    this.bytes = bytes;
    this.view = view;
  }

  /** Where the next field begins. */
  get position(): number {
    return this.at;
  }

  /** Goes on with the fields in bytes[start, end). */
  enter(start: number, end: number): this {
    this.at = start;
    this.end = end;
    return this;
  }

  uint8(): number {
    return this.bytes[this.take(1)] as number;
  }

  number(): number {
    return this.view.getFloat64(this.take(numberBytes));
  }

  integer(): number {
    let value = this.uint8();
    if (value < 0x80) return value;
    value &= 0x7f;
    for (let scale = 0x80, count = 1; count < integerBytesMax; scale *= 0x80, count++) {
      const byte = this.uint8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError('an integer of more than eight bytes');
  }

  /** Nothing follows. */
  get isAtEnd(): boolean {
    return this.at === this.end;
  }

  skipText(): void {
    // As in `text`: an even number of bytes, or an odd one, which is of units of two bytes, and one more.
    const head = this.integer();
    this.take(head % 2 === 1 ? head - 1 : head / 2);
  }

  text(): string {
    const head = this.integer();
    const isWide = head % 2 === 1;
    const length = (head - (isWide ? 1 : 0)) / 2;
    const start = this.take(isWide ? length * 2 : length);
    if (isWide) return textOf(Uint16Array.from({ length }, (_, i) => this.view.getUint16(start + i * 2)));
    return length > shortUnitsMax ? textOf(this.bytes.subarray(start, start + length)) : this.shortText(start, length);
  }

  /** In one piece: one that is put together from many is taken apart again wherever it is looked up. */
  private shortText(start: number, length: number): string {
    this.units[length] ??= new Array<number>(length).fill(0);
    const units = this.units[length];
    for (let i = 0; i < length; i++) units[i] = this.bytes[start + i] as number;
    return Reflect.apply(String.fromCharCode, undefined, units) as string;
  }

  /** A view of the bytes that are read from. */
  run(): Uint8Array {
    const length = this.integer();
    if (length === 0) return noBytes;
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  private take(count: number): number {
    const start = this.at;
    if (count > this.end - start) throw new RangeError('a field runs past the end of its record');
    this.at = start + count;
    return start;
  }
}

function textOf(units: Uint8Array | Uint16Array): string {
  let text = '';
  for (let at = 0; at < units.length; at += unitsPerCall) {
    text += Reflect.apply(String.fromCharCode, undefined, units.subarray(at, at + unitsPerCall)) as string;
  }
  return text;
}
