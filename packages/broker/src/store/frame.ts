/**
 * Frames: how a record stands in a file, and how records are told from damage.
 *
 *     mark (4) · type (1) · format (1) · masked (1) · 0 (1) · length of the body (4) · CRC-32 of type to length and body (4) · body
 *
 * The mark stands nowhere but where a record begins. Bodies hold what clients send, and a client may send what looks like records:
 * after damage, or a write that a power cut tore, they would be found and believed. A body in which the mark would stand is
 * therefore masked: four bytes in front of it are a mask, with which all others are combined. Numbers are big-endian. Nothing here
 * knows what a record says.
 */

import { viewOf } from '@pipit/protocol';
import { ByteReader, type ByteWriter } from './bytes.ts';
import { crc32 } from './crc32.ts';

/** Improbable in text and in numbers: after damage the next one is looked for. Its first byte does not come again in it. */
export const mark = 0xf4_50_9b_e1;
const markStart = mark >>> 24;
const markBytes = 4;
/** By the value of a byte: where it stands in the mark, or -1. */
const placeInMark = Int8Array.from({ length: 256 }, (_, value) =>
  [24, 16, 8, 0].findIndex((shift) => ((mark >>> shift) & 0xff) === value),
);
const maskBytes = 4;
const longBodyBytes = 256 * 1024;
export const headerBytes = 16;
const formatVersion = 1;

/** Begins a record; `finishFrame` with what this returns ends it. */
export function startFrame(writer: ByteWriter, type: number): number {
  const start = writer.reserve(headerBytes);
  writer.view.setUint32(start, mark);
  writer.view.setUint8(start + 4, type);
  writer.view.setUint8(start + 5, formatVersion);
  writer.view.setUint16(start + 6, 0);
  return start;
}

export function finishFrame(writer: ByteWriter, start: number): void {
  seal(writer, start);
  if (holdsMark(writer, start + 1)) mask(writer, start);
}

function seal({ view, length }: ByteWriter, start: number): void {
  view.setUint32(start + 8, length - start - headerBytes);
  view.setUint32(start + 12, checksum(view, start, length));
}

/** Its body. `reader` is used where it stands in its bytes as it is. Throws RangeError when it is too short for its mask. */
export function enterBody(reader: ByteReader, start: number, end: number): ByteReader {
  const { bytes, view } = reader;
  const at = start + headerBytes;
  if (bytes[start + 6] === 0) return reader.enter(at, end);
  if (end - at < maskBytes) throw new RangeError('a mask of less than four bytes');
  const body = bytes.slice(at + maskBytes, end);
  const bodyView = viewOf(body);
  combine(bodyView, 0, body.length, view.getUint32(at));
  return new ByteReader(body, bodyView).enter(0, body.length);
}

// ── Masks

/** A mark covers one of every four bytes: those alone are looked at, for what they would be in it. */
function holdsMark({ bytes, view, length }: ByteWriter, from: number): boolean {
  for (let at = from + markBytes - 1; at < length; at += markBytes) {
    const place = placeInMark[bytes[at] as number] as number;
    if (place >= 0 && at - place >= from && at - place + markBytes <= length && view.getUint32(at - place) === mark) {
      return true;
    }
  }
  return false;
}

function mask(writer: ByteWriter, start: number): void {
  const at = start + headerBytes;
  const bodyAt = at + maskBytes;
  writer.reserve(maskBytes);
  const { bytes, view, length } = writer;
  bytes.copyWithin(bodyAt, at, length - maskBytes);
  view.setUint8(start + 6, 1);
  let word = 0;
  // A mask hides what is in the body. What it makes with the header in front of it is left to chance, and tried again.
  for (let attempt = 0; ; attempt++) {
    const next = freeMask(view, bodyAt, length, word, attempt);
    combine(view, bodyAt, length, word ^ next);
    word = next;
    view.setUint32(at, word);
    seal(writer, start);
    if (!holdsMark(writer, start + 1)) return;
  }
}

/**
 * A mask with which the mark stands nowhere in bytes[start, end), which are combined with `word` now. Four bytes in a row rule out
 * one mask. So there are free ones among all 2^32, and one is found by going where the fewest are ruled out, digit by digit: of 16
 * bits when there is much to go through, else of 8. Another one at each attempt.
 */
function freeMask(view: DataView, start: number, end: number, word: number, attempt: number): number {
  const digitBits = end - start > longBodyBytes ? 16 : 8;
  const digits = 2 ** digitBits;
  const ruledOut = new Uint32Array(digits);
  let found = 0;
  for (let shift = 32 - digitBits; shift >= 0; shift -= digitBits) {
    const known = shift + digitBits;
    ruledOut.fill(0);
    for (let at = start; at + markBytes <= end; at++) {
      const turn = ((at - start) & 3) * 8;
      const each = turnedRight(view.getUint32(at) ^ mark, turn) ^ word;
      if (known < 32 && each >>> known !== found >>> known) continue;
      const digit = (each >>> shift) & (digits - 1);
      ruledOut[digit] = (ruledOut[digit] as number) + 1;
    }
    found |= fewestOf(ruledOut, shift === 0 ? attempt : 0) << shift;
  }
  return found >>> 0;
}

/** The index of the lowest count, after so many others that are as low. */
function fewestOf(counts: Uint32Array, skipped: number): number {
  let fewest = counts[0] as number;
  for (let index = 1; index < counts.length; index++) fewest = Math.min(fewest, counts[index] as number);
  let index = counts.indexOf(fewest);
  for (let left = skipped; left > 0; left--) index = counts.indexOf(fewest, index + 1);
  return index;
}

function turnedRight(word: number, bits: number): number {
  return bits === 0 ? word : (word >>> bits) | (word << (32 - bits));
}

/** Combines the bytes in [start, end) with the four of the mask, again and again. */
function combine(view: DataView, start: number, end: number, word: number): void {
  let at = start;
  for (; at + maskBytes <= end; at += maskBytes) view.setUint32(at, view.getUint32(at) ^ word);
  for (let shift = 24; at < end; at++, shift -= 8) view.setUint8(at, view.getUint8(at) ^ ((word >>> shift) & 0xff));
}

// ── Finding

/**
 * The end of the record at `start` when it is whole; 0 when none stands there; -1 when bytes beyond `end` are needed to tell.
 * `endMax` is where the file ends: what claims to go on beyond it is none.
 */
export function frameEnd(view: DataView, start: number, end: number, endMax: number): number {
  if (end - start < headerBytes) return end < endMax ? -1 : 0;
  if (view.getUint32(start) !== mark || view.getUint8(start + 5) !== formatVersion) return 0;
  const frameEnd = start + headerBytes + view.getUint32(start + 8);
  if (frameEnd > endMax) return 0;
  if (frameEnd > end) return -1;
  return view.getUint32(start + 12) === checksum(view, start, frameEnd) ? frameEnd : 0;
}

export function frameType(view: DataView, start: number): number {
  return view.getUint8(start + 4);
}

/** The next place from `start` on where a mark stands, or where one may begin that goes on beyond `end`; `end` when there is none. */
export function findMark(bytes: Uint8Array, view: DataView, start: number, end: number): number {
  for (let at = bytes.indexOf(markStart, start); at >= 0 && at < end; at = bytes.indexOf(markStart, at + 1)) {
    if (end - at < markBytes || view.getUint32(at) === mark) return at;
  }
  return end;
}

function checksum(view: DataView, start: number, end: number): number {
  return crc32(view, start + headerBytes, end, crc32(view, start + 4, start + 12, 0));
}
