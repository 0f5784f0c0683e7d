/**
 * Frames: how a record stands in a file, and how records are told from damage.
 *
 *     mark (4) · type (1) · format (1) · 0 (2) · length of the body (4) · CRC-32 of type to length and of the body (4) · body
 *
 * Numbers are big-endian. Nothing here knows what a record says.
 */

import type { ByteWriter } from './bytes.ts';
import { crc32 } from './crc32.ts';

/** Improbable in text and in numbers: after damage the next one is looked for. */
export const mark = 0xf4_50_9b_e1;
export const headerBytes = 16;
export const formatVersion = 1;

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
  writer.view.setUint32(start + 8, writer.length - start - headerBytes);
  writer.view.setUint32(start + 12, checksum(writer.view, start, writer.length));
}

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
  for (let at = bytes.indexOf(mark >>> 24, start); at >= 0 && at < end; at = bytes.indexOf(mark >>> 24, at + 1)) {
    if (end - at < 4 || view.getUint32(at) === mark) return at;
  }
  return end;
}

function checksum(view: DataView, start: number, end: number): number {
  return crc32(view, start + headerBytes, end, crc32(view, start + 4, start + 12, 0));
}
