/**
 * Goes through the bytes of a segment, in pieces of any size, and tells whole records from what is none.
 */

import { noBytes, viewOf } from '@pipit/protocol';
import { ByteReader } from './bytes.ts';
import { enterBody, findMark, frameEnd, frameType } from './frame.ts';

const bridgeBytes = 64 * 1024;

export interface ScanTarget {
  /** A whole record at this place of the file; `reader` has entered its body. Throws RangeError when the body makes no sense. */
  record(type: number, offset: number, length: number, reader: ByteReader, frame: () => Uint8Array): void;
  /** No whole record in file[from, to), which is not empty. Ranges that touch may come as several. */
  gap(from: number, to: number): void;
}

export class Scan {
  private readonly target: ScanTarget;
  private readonly fileBytes: number;
  /** What is not decided yet, and where in the file it begins. */
  private rest: Uint8Array = noBytes;
  private restAt: number;

  /** Of a file of `fileBytes`, from `start` on, where a record begins. */
  constructor(fileBytes: number, start: number, target: ScanTarget) {
    this.fileBytes = fileBytes;
    this.restAt = start;
    this.target = target;
  }

  /** Where the first record begins that was not told. */
  get position(): number {
    return this.restAt;
  }

  /** Where the bytes fed so far end. */
  get fedTo(): number {
    return this.restAt + this.rest.length;
  }

  /** The bytes that follow those fed before. */
  feed(bytes: Uint8Array): void {
    const left = this.rest.length;
    // What one record is cut in two by is put together without copying all that follows.
    const bridged = left === 0 ? 0 : Math.min(bytes.length, bridgeBytes);
    if (left > 0) {
      this.rest = concat(this.rest, bytes.subarray(0, bridged));
      this.walk(this.fileBytes - this.restAt);
    }
    if (bridged === bytes.length) return;
    const told = left + bridged - this.rest.length;
    this.rest = told >= left ? bytes.subarray(told - left) : concat(this.rest, bytes.subarray(bridged));
    this.walk(this.fileBytes - this.restAt);
  }

  /** The next `count` bytes could not be read; the target is not told of them. */
  skip(count: number): void {
    this.end();
    this.restAt += count;
  }

  /** Nothing follows. */
  end(): void {
    this.walk(this.rest.length);
  }

  /** Tells what `rest` holds, as far as it can be told, when the file ends `endMax` bytes from its start. */
  private walk(endMax: number): void {
    const { rest, restAt } = this;
    const view = viewOf(rest);
    const reader = new ByteReader(rest, view);
    let at = 0;
    while (at < rest.length) {
      const end = frameEnd(view, at, rest.length, endMax);
      if (end < 0) break;
      if (end > 0 && this.tell(reader, view, rest, restAt, at, end)) {
        at = end;
        continue;
      }
      const next = findMark(rest, view, at + 1, rest.length);
      this.target.gap(restAt + at, restAt + next);
      at = next;
    }
    this.restAt = restAt + at;
    this.rest = rest.subarray(at);
  }

  private tell(reader: ByteReader, view: DataView, all: Uint8Array, base: number, at: number, end: number): boolean {
    try {
      const frame = (): Uint8Array => all.subarray(at, end);
      this.target.record(frameType(view, at), base + at, end - at, enterBody(reader, at, end), frame);
      return true;
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
