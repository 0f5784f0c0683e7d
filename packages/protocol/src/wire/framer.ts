/**
 * Turns a stream of chunks into frames: fixed header checked, length known, nothing looked at inside. One per connection.
 *
 * Packets that lie whole in a chunk are shown where they lie. Only what the chunk does not finish, or what the caller does
 * not want to read now, is copied into `rest`, which grows with the bytes received and is dropped once it is read and no other
 * packet was cut in two.
 * Invariant: bytes in `rest` come before bytes in the chunk, and are read first.
 */
import { copyBytes, noBytes, noView, viewOf } from './bytes.ts';
import { DecodeError } from './error.ts';
import type { ReasonCode as Code } from './reason-code.ts';
import * as ReasonCode from './reason-codes.ts';

const restBytesMin = 64;
/** A rest that was read is used again up to this size: whoever sends 16 kB packets cuts one in every few reads. */
const reusedBytesMax = 64 * 1024;
const unknown = -1;

export class Framer {
  /** Larger packets are refused as soon as their length is read; may be changed between packets. */
  maximumPacketSize: number;

  /** After next() returned true, until the next call: the packet is bytes[start, end), its body begins at `body`. */
  bytes: Uint8Array = noBytes;
  view: DataView = noView;
  start = 0;
  body = 0;
  end = 0;

  #chunk: Uint8Array = noBytes;
  #chunkView: DataView = noView;
  #chunkAt = 0;
  #chunkEnd = 0;

  #rest: Uint8Array = noBytes;
  #restView: DataView = noView;
  #restAt = 0;
  #restEnd = 0;

  #failure: DecodeError | null = null;

  constructor(maximumPacketSize: number) {
    this.maximumPacketSize = maximumPacketSize;
  }

  /** How many unread bytes the framer holds a copy of. */
  get bufferedBytes(): number {
    return this.#restEnd - this.#restAt;
  }

  /**
   * Appends chunk[start, end) to the stream. The chunk stays the caller's and may be read until next() returned false or
   * keepRest() was called; only then may it be reused.
   */
  feed(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    if (this.#failure !== null) return;
    if (this.#chunkAt < this.#chunkEnd) this.keepRest();
    this.#chunk = bytes;
    this.#chunkView = view;
    this.#chunkAt = start;
    this.#chunkEnd = end;
  }

  /**
   * Whether there is a whole packet: then the public fields describe it. If not, the chunk is no longer needed. Throws
   * DecodeError on packet type 0, a Remaining Length over four bytes or over-long (0x81), or a packet larger than
   * maximumPacketSize (0x95), and again at every later call: the stream cannot be read on.
   */
  next(): boolean {
    if (this.#restAt < this.#restEnd) return this.#nextOfRest();
    const start = this.#chunkAt;
    const bytes = this.#chunk;
    const chunkEnd = this.#chunkEnd;
    if (chunkEnd - start >= 2) {
      // The common packet: a length of one byte.
      const length = bytes[start + 1] as number;
      const end = start + 2 + length;
      if (
        length < 0x80 &&
        end <= chunkEnd &&
        end - start <= this.maximumPacketSize &&
        (bytes[start] as number) >= 0x10
      ) {
        this.#chunkAt = end;
        return this.#show(bytes, this.#chunkView, start, start + 2, end);
      }
    }
    return this.#nextOfChunk();
  }

  #nextOfChunk(): boolean {
    if (this.#failure !== null) throw this.#failure;
    const start = this.#chunkAt;
    const size = this.#packetSize(this.#chunk, start, this.#chunkEnd);
    if (size !== unknown && start + size <= this.#chunkEnd) {
      this.#chunkAt = start + size;
      return this.#show(this.#chunk, this.#chunkView, start, bodyOf(this.#chunk, start), start + size);
    }
    this.#take(this.#chunkEnd - start, size);
    return this.#showNothing();
  }

  #nextOfRest(): boolean {
    let size = this.#packetSize(this.#rest, this.#restAt, this.#restEnd);
    while (size === unknown || size > this.bufferedBytes) {
      const available = this.#chunkEnd - this.#chunkAt;
      if (available === 0) {
        // The start of one packet must not hold on to a buffer that was made for many.
        if (this.#restAt > 0) this.#moveRest(this.bufferedBytes);
        return this.#showNothing();
      }
      // While the size is unknown the header is completed byte by byte: five bytes at most.
      const missing = size === unknown ? 1 : size - this.bufferedBytes;
      this.#take(Math.min(missing, available), size);
      if (size === unknown) size = this.#packetSize(this.#rest, this.#restAt, this.#restEnd);
    }
    const start = this.#restAt;
    this.#restAt = start + size;
    return this.#show(this.#rest, this.#restView, start, bodyOf(this.#rest, start), start + size);
  }

  /** Copies what is unread so that the chunk may be reused; next() goes on from the copy. */
  keepRest(): void {
    if (this.#failure === null) this.#take(this.#chunkEnd - this.#chunkAt, unknown);
    this.#showNothing();
  }

  /** Moves bytes from the chunk to the rest. `packetSize`: the size of the one packet the rest will hold, if known. */
  #take(count: number, packetSize: number): void {
    if (count > 0) {
      this.#makeRoom(count, packetSize);
      copyBytes(this.#rest, this.#restView, this.#restEnd, this.#chunk, this.#chunkView, this.#chunkAt, count);
      this.#restEnd += count;
      this.#chunkAt += count;
    }
    if (this.#chunkAt === this.#chunkEnd) {
      this.#chunk = noBytes;
      this.#chunkView = noView;
      this.#chunkAt = 0;
      this.#chunkEnd = 0;
    }
  }

  #makeRoom(count: number, packetSize: number): void {
    const held = this.bufferedBytes;
    const need = held + count;
    if (this.#restEnd + count <= this.#rest.length && held > 0) return;
    if (held === 0 && need <= this.#rest.length && this.#rest.length <= reusedBytesMax) {
      this.#restAt = 0;
      this.#restEnd = 0;
      return;
    }
    // Doubled for the sake of what follows, but never past the packet's own end.
    const doubled = Math.max(need, 2 * held, restBytesMin);
    this.#moveRest(packetSize === unknown ? doubled : Math.max(need, Math.min(doubled, packetSize)));
  }

  #moveRest(capacity: number): void {
    const held = this.#rest.subarray(this.#restAt, this.#restEnd);
    this.#rest = new Uint8Array(capacity);
    this.#rest.set(held);
    this.#restView = viewOf(this.#rest);
    this.#restAt = 0;
    this.#restEnd = held.length;
  }

  #show(bytes: Uint8Array, view: DataView, start: number, body: number, end: number): true {
    this.bytes = bytes;
    this.view = view;
    this.start = start;
    this.body = body;
    this.end = end;
    return true;
  }

  /** Lets go of every buffer that has nothing unread. */
  #showNothing(): false {
    this.bytes = noBytes;
    this.view = noView;
    this.start = 0;
    this.body = 0;
    this.end = 0;
    if (this.#restAt === this.#restEnd) {
      this.#rest = noBytes;
      this.#restView = noView;
      this.#restAt = 0;
      this.#restEnd = 0;
    }
    return false;
  }

  /** The size of the packet at `start` with its fixed header, or unknown while its length is not there. */
  #packetSize(bytes: Uint8Array, start: number, end: number): number {
    if (start < end && (bytes[start] as number) < 0x10)
      this.#fail(ReasonCode.MalformedPacket, 'packet type 0 is reserved', 0);
    let length = 0;
    for (let index = 0; start + 1 + index < end; index++) {
      const byte = bytes[start + 1 + index] as number;
      length |= (byte & 0x7f) << (7 * index);
      if (byte >= 0x80) {
        if (index === 3) this.#fail(ReasonCode.MalformedPacket, 'Remaining Length is longer than four bytes', 4);
        continue;
      }
      // [MQTT-1.5.5-1]
      if (byte === 0 && index > 0)
        this.#fail(ReasonCode.MalformedPacket, 'Remaining Length is encoded over-long', index + 1);
      const size = 2 + index + length;
      if (size > this.maximumPacketSize) {
        this.#fail(ReasonCode.PacketTooLarge, `the packet has ${size} bytes, more than ${this.maximumPacketSize}`, 1);
      }
      return size;
    }
    return unknown;
  }

  #fail(reasonCode: Code, problem: string, offset: number): never {
    this.#failure = new DecodeError(reasonCode, problem, offset);
    this.#chunk = noBytes;
    this.#chunkView = noView;
    this.#chunkAt = 0;
    this.#chunkEnd = 0;
    this.#restAt = this.#restEnd;
    this.#showNothing();
    throw this.#failure;
  }
}

/** The first byte after a Remaining Length that is whole. */
function bodyOf(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while ((bytes[at] as number) >= 0x80) at += 1;
  return at + 1;
}
