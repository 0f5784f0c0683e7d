/**
 * Watches how much room there is, on the disk and within the store's own limit. It says that there is none while some is left: a
 * disk that is full to the last byte could not even take the record that a message was delivered, and so never be freed by it.
 *
 * It looks once a second while anything is written, after every commit once room is scarce, and once a second while there is
 * none. What it tells counts from the last commit. Whoever else fills the disk between two looks is not seen; then
 * commits fail, and are tried again.
 */

import fs from 'node:fs';

/** What is left when the disk counts as full: a sixteenth of it, at most this many bytes. */
const marginBytesMax = 256 * 2 ** 20;
const share = 16;
/** Room is scarce below this, which is more than a batch may have: then it is counted. */
const scarceBytes = 2 ** 30;
/** Full with so little more than the margin left, and no more with so much: not every message delivered is news. */
const least = 1 / 16;
const relief = 1 / 4;
const intervalMs = 1_000;

export interface StoreSize {
  /** Bytes of all files, and of what in them still counts. */
  readonly bytes: number;
  readonly liveBytes: number;
}

export class DiskRoom {
  readonly #directory: string;
  readonly #liveBytesMax: number;
  readonly #changed: (roomBytes: number) => void;
  /** As told last. */
  #roomBytes = Number.POSITIVE_INFINITY;
  #isLooking = false;
  #isClosed = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #marginBytes = 0;
  /** Written since the last look began. */
  #writtenBytes = 0;
  #size: StoreSize = { bytes: 0, liveBytes: 0 };
  #timer: NodeJS.Timeout | null = null;

  /** `liveBytesMax`: what the store takes. `changed` is told how many bytes may be added, Infinity unless they are scarce. */
  constructor(directory: string, liveBytesMax: number, changed: (roomBytes: number) => void) {
    this.#directory = directory;
    this.#liveBytesMax = liveBytesMax;
    this.#changed = changed;
  }

  /** The store has this size now; after every commit. */
  noted(size: StoreSize): void {
    this.#writtenBytes += Math.max(0, size.bytes - this.#size.bytes);
    this.#size = size;
    const isDue = performance.now() - this.#lookedAt >= intervalMs || this.#writtenBytes * 4 >= this.#marginBytes;
    if (isDue || this.#roomBytes < Number.POSITIVE_INFINITY || this.#isNearLimit()) this.#look();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  get #limitMarginBytes(): number {
    return Math.min(marginBytesMax, this.#liveBytesMax / share);
  }

  #isNearLimit(): boolean {
    return this.#liveBytesMax - this.#size.liveBytes - this.#limitMarginBytes < scarceBytes;
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
      // What was written meanwhile may be in it or not.
      this.#tell(isKnown ? found.bavail * found.bsize - this.#writtenBytes : Number.POSITIVE_INFINITY);
    });
  }

  #tell(freeBytes: number): void {
    const onDisk = roomIn(freeBytes, this.#marginBytes, this.#roomBytes);
    const inStore = roomIn(this.#liveBytesMax - this.#size.liveBytes, this.#limitMarginBytes, this.#roomBytes);
    const roomBytes = Math.min(onDisk, inStore);
    if (roomBytes !== this.#roomBytes || roomBytes < Number.POSITIVE_INFINITY) this.#changed(roomBytes);
    this.#roomBytes = roomBytes;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (roomBytes < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#look(), intervalMs).unref();
  }
}

/** How much of `freeBytes` may be taken, when so much was told before. */
function roomIn(freeBytes: number, marginBytes: number, toldBytes: number): number {
  const roomBytes = freeBytes - marginBytes;
  if (roomBytes > scarceBytes) return Number.POSITIVE_INFINITY;
  return roomBytes <= (toldBytes <= 0 ? relief : least) * marginBytes ? 0 : roomBytes;
}
