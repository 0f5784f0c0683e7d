/**
 * Turns what arrives into packets: the length known, nothing looked at inside. One per connection, and all of a chunk is read before
 * the next one comes.
 *
 * A packet that lies whole in a chunk is shown where it lies. What a chunk does not finish is copied, and the rest of that packet with
 * it: `Framer` of `@pipit/protocol` also keeps what somebody does not want to read yet, which no client needs.
 */
import { noBytes, noView, viewOf } from '@pipit/protocol';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import { malformed, violation } from './packet-reader.ts';

const cutBytesMin = 64;
/** A buffer for packets that were cut is used again up to this size. */
const cutBytesKept = 64 * 1024;

export class Framer {
  /** After next() returned true, until the next call: the packet is bytes[start, end), its body begins at `body`. */
  bytes: Uint8Array = noBytes;
  view: DataView = noView;
  start = 0;
  body = 0;
  end = 0;
  readonly #packetBytesMax: number;
  #chunk: Uint8Array = noBytes;
  #chunkView: DataView = noView;
  #chunkAt = 0;
  #chunkEnd = 0;
  /** The beginning of a packet that was cut: so many bytes of a buffer of our own. */
  #cut: Uint8Array = noBytes;
  #cutLength = 0;

  constructor(packetBytesMax: number) {
    this.#packetBytesMax = packetBytesMax;
  }

  /** chunk[start, end) has arrived. It stays the caller's, and is no longer needed when next() returns false. */
  feed(chunk: Uint8Array, view: DataView, start: number, end: number): void {
    this.#chunk = chunk;
    this.#chunkView = view;
    this.#chunkAt = start;
    this.#chunkEnd = end;
  }

  /** Whether there is a whole packet. Throws DecodeError for bytes that begin none, or one that is too large: it is the end of the stream. */
  next(): boolean {
    this.end = 0;
    while (this.#cutLength > 0) {
      const size = this.#sizeOf(this.#cut, 0, this.#cutLength);
      if (size === this.#cutLength) {
        this.#cutLength = 0;
        return this.#show(this.#cut, viewOf(this.#cut), 0, size);
      }
      if (this.#chunkAt === this.#chunkEnd) return this.#showNothing();
      // While its length is not known the packet is completed byte by byte.
      this.#keep(size === 0 ? 1 : size - this.#cutLength, size);
    }
    const at = this.#chunkAt;
    const size = this.#sizeOf(this.#chunk, at, this.#chunkEnd);
    if (size > 0 && at + size <= this.#chunkEnd) {
      this.#chunkAt = at + size;
      return this.#show(this.#chunk, this.#chunkView, at, size);
    }
    this.#keep(size, size);
    return this.#showNothing();
  }

  /** Adds bytes of the chunk, `most` or all there are (0), to those of a packet of `size`, 0 while that is not known. */
  #keep(most: number, size: number): void {
    const from = this.#chunkAt;
    const held = this.#cutLength;
    this.#chunkAt = most === 0 ? this.#chunkEnd : Math.min(from + most, this.#chunkEnd);
    this.#cutLength += this.#chunkAt - from;
    if (this.#cutLength > this.#cut.length) {
      // Doubled for the sake of what follows, but never past the end of the packet: what is announced need not come.
      const grown = new Uint8Array(Math.max(this.#cutLength, cutBytesMin, Math.min(2 * this.#cutLength, size)));
      grown.set(this.#cut.subarray(0, held));
      this.#cut = grown;
    }
    this.#cut.set(this.#chunk.subarray(from, this.#chunkAt), held);
  }

  #show(bytes: Uint8Array, view: DataView, start: number, size: number): true {
    this.bytes = bytes;
    this.view = view;
    this.start = start;
    this.end = start + size;
    this.body = start + 2;
    while ((bytes[this.body - 1] as number) >= 0x80) this.body++;
    return true;
  }

  /** Lets go of the chunk, and of a buffer that was made for a large packet. */
  #showNothing(): false {
    this.bytes = noBytes;
    this.view = noView;
    this.#chunk = noBytes;
    this.#chunkView = noView;
    if (this.#cutLength === 0 && this.#cut.length > cutBytesKept) this.#cut = noBytes;
    return false;
  }

  /** The size of the packet at `start` with its fixed header; 0 while its length is not there. */
  #sizeOf(bytes: Uint8Array, start: number, end: number): number {
    if (start < end && (bytes[start] as number) < 0x10) throw malformed('packet type 0 is reserved');
    let length = 0;
    for (let at = start + 1, shift = 0; at < end; at++, shift += 7) {
      const byte = bytes[at] as number;
      length |= (byte & 0x7f) << shift;
      const isLast = byte < 0x80;
      // [MQTT-1.5.5-1]
      if (shift > 0 && (byte === 0 || (!isLast && shift === 21)))
        throw malformed('Remaining Length is longer than it may be');
      if (!isLast) continue;
      const size = at + 1 - start + length;
      if (size <= this.#packetBytesMax) return size;
      throw violation(`the packet has ${size} bytes, more than ${this.#packetBytesMax}`, ReasonCode.PacketTooLarge);
    }
    return 0;
  }
}
