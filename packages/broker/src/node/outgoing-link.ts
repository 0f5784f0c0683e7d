/**
 * The writing half that all links share: a slab goes straight to the kernel while it takes everything, and waits here, in
 * order, while it does not.
 *
 * Invariants: at most one batch is handed to the stream and unconfirmed; `unsent` is exactly what was written and not
 * confirmed; a slab goes back to the owner once, when its last byte was taken. What waits is packed, so that a thousand tiny
 * writes to a frozen reader cost their bytes and not a slab each.
 */

import type { X509Certificate } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { viewOf } from '@pipit/protocol';
import type { Connection, Peer } from '../core/index.ts';
import { Slab } from '../core/index.ts';
import type { Host, Places } from './admission.ts';
import type { Link, LinkOwner } from './link.ts';

/** Bytes handed to the stream at once, the largest slab: progress of a slow reader is seen in steps of this. */
const batchBytesMax = 288 * 1024;
/** Slabs up to this are copied together while they wait. */
const packedBytesMax = 16 * 1024;
const packBytesMax = 64 * 1024;
const nothing = new Uint8Array(0);

export abstract class OutgoingLink implements Link {
  readonly peer: Peer;
  connection: Connection | null = null;
  isPaused = false;
  fate: 'open' | 'ended' | 'gone' = 'open';
  host: Host | null = null;
  places: Places | null = null;
  protected owner: LinkOwner | null = null;
  /** Where the bytes leave: corked, looked at for what it could not pass on, and asked when it has. */
  protected readonly stream: Duplex;
  /** Whether the stream passes bytes on within the call when it can, so that a slab is free right after it. */
  readonly #isImmediate: boolean;
  /** Everything unconfirmed, oldest first. The arrays and the callback exist from the first backlog on. */
  #slabs: Slab[] | null = null;
  #confirm: ((error?: Error | null) => void) | null = null;
  /** Bytes of the first slab that are confirmed. */
  #confirmed = 0;
  /** Bytes of the batch under way; 0: none. */
  #handed = 0;
  #unsent = 0;
  #isEnding = false;

  protected constructor(peer: Peer, stream: Duplex, isImmediate: boolean) {
    this.peer = peer;
    this.stream = stream;
    this.#isImmediate = isImmediate;
  }

  get certificate(): X509Certificate | null {
    return this.stream instanceof TLSSocket ? (this.stream.getPeerX509Certificate() ?? null) : null;
  }

  abstract start(owner: LinkOwner, head: Uint8Array | null): void;
  abstract pause(): void;
  abstract resume(): void;
  abstract destroy(): void;
  /** Passes bytes to the stream; they are the stream's until `taken` was called, or `writableLength` is 0. */
  protected abstract send(bytes: Uint8Array, taken: ((error?: Error | null) => void) | undefined): void;
  /** Half-closes; everything written has left. */
  protected abstract finish(): void;

  write(slab: Slab, more: boolean): void {
    if (this.#isImmediate && !more && this.#unsent === 0 && slab.length <= batchBytesMax) this.#writeThrough(slab);
    else {
      this.#append(slab);
      if (more) return;
      this.owner?.written(this, null, this.#unsent);
      if (this.#handed === 0) this.#hand();
    }
  }

  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (this.#unsent === 0) this.finish();
  }

  #writeThrough(slab: Slab): void {
    this.send(slab.content, undefined);
    if (this.stream.writableLength === 0) {
      this.owner?.written(this, slab, 0);
      return;
    }
    this.#slabs ??= [];
    this.#slabs.push(slab);
    this.#handed = slab.length;
    this.#unsent = slab.length;
    // Nothing tells when a write without a callback was taken ('drain' comes only for large ones), but writes are taken in
    // order: an empty one behind it does.
    this.stream.write(nothing, this.#confirmation());
    this.owner?.written(this, null, this.#unsent);
  }

  #append(slab: Slab): void {
    this.#slabs ??= [];
    const length = slab.length;
    this.#unsent += length;
    if (length > packedBytesMax) {
      this.#slabs.push(slab);
      return;
    }
    let pack = this.#slabs.at(-1);
    if (pack === undefined || pack.length + length > pack.bytes.length) {
      if (this.#unsent - length <= slab.bytes.length) {
        this.#slabs.push(slab);
        return;
      }
      // Grows with the backlog: thousands of readers that are a little behind must not hold a large buffer each.
      const bytes = new Uint8Array(Math.min(packBytesMax, Math.max(this.#unsent, length)));
      pack = new Slab(bytes, viewOf(bytes));
      this.#slabs.push(pack);
    }
    pack.bytes.set(slab.bytes.subarray(0, length), pack.length);
    pack.length += length;
    this.owner?.written(this, slab, this.#unsent);
  }

  /** Hands the next batch to the stream. */
  #hand(): void {
    const slabs = this.#slabs as Slab[];
    let at = this.#confirmed;
    this.stream.cork();
    for (let i = 0; i < slabs.length && this.#handed < batchBytesMax; i++, at = 0) {
      const slab = slabs[i] as Slab;
      const end = Math.min(slab.length, at + batchBytesMax - this.#handed);
      this.#handed += end - at;
      const isLast = this.#handed === batchBytesMax || i === slabs.length - 1;
      this.send(slab.bytes.subarray(at, end), isLast ? this.#confirmation() : undefined);
    }
    this.stream.uncork();
  }

  #confirmation(): (error?: Error | null) => void {
    this.#confirm ??= (error) => this.#taken(error);
    return this.#confirm;
  }

  #taken(error: Error | null | undefined): void {
    // On an error the socket is going; `gone` will say so, and nothing is given back.
    if (error || this.fate === 'gone') return;
    const slabs = this.#slabs as Slab[];
    this.#unsent -= this.#handed;
    this.#confirmed += this.#handed;
    this.#handed = 0;
    let done = 0;
    for (; done < slabs.length; done++) {
      const slab = slabs[done] as Slab;
      if (this.#confirmed < slab.length) break;
      this.#confirmed -= slab.length;
      this.owner?.written(this, slab, this.#unsent);
    }
    if (done > 0) slabs.splice(0, done);
    else this.owner?.written(this, null, this.#unsent);
    if (slabs.length > 0) this.#hand();
    else if (this.#isEnding) this.finish();
  }
}
