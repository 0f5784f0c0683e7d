/**
 * Copying, comparing and hashing runs of bytes: the innermost loops of both ends.
 *
 * Every function takes a Uint8Array and the DataView made over the same memory, because words are read through the view.
 * Nothing here allocates, checks text or knows packets.
 */

/** Runs up to this many bytes are copied by 8-byte words; above it `set(subarray)` wins (it costs 40 ns however small). */
const wordCopyMax = 320;

export const noBytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
export const noView: DataView<ArrayBuffer> = new DataView(noBytes.buffer);

/** The DataView over exactly the memory of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Copies source[start, start + length) to target[at, …). The two must not overlap. */
export function copyBytes(
  target: Uint8Array,
  targetView: DataView,
  at: number,
  source: Uint8Array,
  sourceView: DataView,
  start: number,
  length: number,
): void {
  if (length > wordCopyMax) {
    target.set(source.subarray(start, start + length), at);
    return;
  }
  if (length < 8) {
    for (let i = 0; i < length; i++) targetView.setUint8(at + i, sourceView.getUint8(start + i));
    return;
  }
  // The last word overlaps the one before it, so that no byte loop is left; the 64-bit value goes straight from get to set
  // and V8 allocates no BigInt for it.
  const last = length - 8;
  for (let i = 0; i < last; i += 8) targetView.setBigInt64(at + i, sourceView.getBigInt64(start + i, true), true);
  targetView.setBigInt64(at + last, sourceView.getBigInt64(start + last, true), true);
}

/** Whether a[aStart, aStart + length) and b[bStart, …) hold the same bytes. */
export function sameBytes(a: DataView, aStart: number, b: DataView, bStart: number, length: number): boolean {
  if (length < 8) {
    for (let i = 0; i < length; i++) if (a.getUint8(aStart + i) !== b.getUint8(bStart + i)) return false;
    return true;
  }
  const last = length - 8;
  for (let i = 0; i < last; i += 8) {
    if (a.getBigInt64(aStart + i, true) !== b.getBigInt64(bStart + i, true)) return false;
  }
  return a.getBigInt64(aStart + last, true) === b.getBigInt64(bStart + last, true);
}

/** A 32-bit hash of view[start, end), four bytes at a time. Not for adversaries: seed it, and bound the chains it leads to. */
export function hashBytes(view: DataView, start: number, end: number, seed: number): number {
  let hash = (end - start) ^ seed;
  let at = start;
  for (const whole = end - 3; at < whole; at += 4) {
    hash = Math.imul(hash ^ view.getInt32(at, true), 0x01000193);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ view.getUint8(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return hash ^ (hash >>> 16);
}
