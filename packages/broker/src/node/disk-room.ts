/**
 * Watches whether there is room for more, on the disk and within the store's own limit. It says so while some is left: a disk
 * that is full to the last byte could not even take the record that a message was delivered, and so never be freed by it.
 *
 * It looks again after some of what was left has been written, at least once a second while anything is, and once a second
 * while it is full. Whoever else fills the disk meanwhile is not seen; then commits fail, and are tried again.
 */

import fs from 'node:fs';

/** What is left when the disk counts as full: a sixteenth of it, at most this many bytes. */
const marginBytesMax = 256 * 2 ** 20;
const share = 16;
/** It has room again with so much more than the margin: not every message delivered is news. */
const relief = 1.25;
const intervalMs = 1_000;

export interface StoreSize {
  /** Bytes of all files, and of what in them still counts. */
  readonly bytes: number;
  readonly liveBytes: number;
}

export class DiskRoom {
  readonly #directory: string;
  readonly #liveBytesMax: number;
  readonly #changed: (isFull: boolean) => void;
  #isFull = false;
  #isLooking = false;
  #isClosed = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #marginBytes = 0;
  /** Written since the disk was looked at. */
  #writtenBytes = 0;
  #size: StoreSize = { bytes: 0, liveBytes: 0 };
  #timer: NodeJS.Timeout | null = null;

  /** `liveBytesMax`: what the store takes. `changed` is called when it has become full, and when it has room again. */
  constructor(directory: string, liveBytesMax: number, changed: (isFull: boolean) => void) {
    this.#directory = directory;
    this.#liveBytesMax = liveBytesMax;
    this.#changed = changed;
  }

  /** The store has this size now; after every commit. */
  noted(size: StoreSize): void {
    this.#writtenBytes += Math.max(0, size.bytes - this.#size.bytes);
    this.#size = size;
    const isDue = performance.now() - this.#lookedAt >= intervalMs || this.#writtenBytes * 4 >= this.#marginBytes;
    if (isDue || (!this.#isFull && this.#isNearLimit(1))) this.#look();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #isNearLimit(factor: number): boolean {
    const marginBytes = Math.min(marginBytesMax, this.#liveBytesMax / share);
    return this.#size.liveBytes > this.#liveBytesMax - marginBytes * factor;
  }

  #look(): void {
    if (this.#isLooking || this.#isClosed) return;
    this.#isLooking = true;
    this.#lookedAt = performance.now();
    this.#writtenBytes = 0;
    fs.statfs(this.#directory, (error, found) => {
      this.#isLooking = false;
      if (this.#isClosed) return;
      // Where the system does not say how much is left, only the limit of the store counts.
      const isKnown = error === null && found.blocks > 0;
      this.#marginBytes = isKnown ? Math.min(marginBytesMax, (found.blocks * found.bsize) / share) : marginBytesMax;
      this.#decide(isKnown ? found.bavail * found.bsize : Number.POSITIVE_INFINITY);
    });
  }

  #decide(freeBytes: number): void {
    const factor = this.#isFull ? relief : 1;
    const isFull = freeBytes < this.#marginBytes * factor || this.#isNearLimit(factor);
    if (isFull !== this.#isFull) {
      this.#isFull = isFull;
      this.#changed(isFull);
    }
    if (!isFull) return;
    this.#timer = setTimeout(() => this.#look(), intervalMs).unref();
  }
}
