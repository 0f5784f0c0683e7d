/**
 * A network connection of the simulation: bytes arrive late, in pieces, partly or not at all, but never out of order.
 *
 * Both ends close on their own: the broker's end when the core says so or is told so, the client's end when it hears of it.
 */

import { Framer, viewOf } from '@pipit/protocol';
import type { Connection, Core, Slab } from '../../src/core/index.ts';
import type { Prng } from './prng.ts';
import type { Schedule } from './schedule.ts';

export interface Ends {
  /** The client's end gets bytes; null: the connection is over. */
  readonly toClient: (bytes: Uint8Array | null) => void;
  /** The core was given something: a turn is due. */
  readonly fed: () => void;
  readonly coreNow: () => number;
  /** About to give the core bytes or the end of the link. */
  readonly acting: (link: Link) => void;
  /** What the client wrote was split. */
  readonly split: () => void;
}

export interface LinkFaults {
  delayMs: number;
  splitPercent: number;
}

export class Link {
  readonly number: number;
  readonly connection: Connection;
  /** When its last whole packet arrived at the core. */
  lastReceivedAt: number;
  /** When what the core wrote last left, all of it or a part. */
  drainedAt: number;
  private readonly incoming = new Framer(268_435_460);
  isFrozen = false;
  isBrokerClosed = false;
  isClientClosed = false;
  private isPaused = false;
  private readonly core: Core;
  private readonly schedule: Schedule;
  private readonly prng: Prng;
  private readonly faults: LinkFaults;
  private readonly ends: Ends;
  /** Arrived while the core did not want to read; null: FIN. */
  private waiting: (Uint8Array | null)[] = [];
  private unsent: Uint8Array[] = [];
  private unsentBytes = 0;
  private endsAfterUnsent = false;
  private inAt = 0;
  private outAt = 0;
  /** Bytes still under way that will arrive; less than all after a cut. */
  private inLeft = Number.POSITIVE_INFINITY;
  private outLeft = Number.POSITIVE_INFINITY;

  constructor(
    number: number,
    core: Core,
    connection: Connection,
    schedule: Schedule,
    prng: Prng,
    faults: LinkFaults,
    ends: Ends,
  ) {
    this.number = number;
    this.core = core;
    this.connection = connection;
    this.schedule = schedule;
    this.prng = prng;
    this.faults = faults;
    this.ends = ends;
    this.lastReceivedAt = schedule.now;
    this.drainedAt = schedule.now;
  }

  // ── client → broker

  /** The client writes. */
  send(bytes: Uint8Array): void {
    if (this.isClientClosed) return;
    let start = 0;
    while (start < bytes.length) {
      const left = bytes.length - start;
      const length = this.prng.chance(this.faults.splitPercent) ? this.prng.between(1, left) : left;
      if (length < left) this.ends.split();
      this.sendPiece(bytes.subarray(start, start + length));
      start += length;
    }
  }

  /** The client says that it will send nothing more. */
  finish(): void {
    this.sendPiece(null);
  }

  private sendPiece(piece: Uint8Array | null): void {
    this.inAt = Math.max(this.inAt, this.schedule.now + this.prng.below(this.faults.delayMs + 1));
    this.schedule.at(this.inAt, () => this.arrive(piece));
  }

  private arrive(piece: Uint8Array | null): void {
    if (this.isBrokerClosed) return;
    if (this.isPaused) this.waiting.push(piece);
    else if (piece === null) this.lose('the client closed the network connection');
    else {
      const length = Math.min(piece.length, this.inLeft);
      this.inLeft -= length;
      if (length > 0) this.feed(piece.slice(0, length));
    }
  }

  private feed(bytes: Uint8Array): void {
    this.ends.acting(this);
    const copy = bytes.slice();
    this.incoming.feed(copy, viewOf(copy), 0, copy.length);
    while (this.incoming.next()) this.lastReceivedAt = this.schedule.now;
    this.core.received(this.connection, bytes, viewOf(bytes), 0, bytes.length, this.ends.coreNow());
    bytes.fill(0xee); // The caller may reuse its buffer: whoever kept a view of it reads rubbish.
    this.ends.fed();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    const { waiting } = this;
    this.waiting = [];
    for (const piece of waiting) this.arrive(piece);
  }

  // ── broker → client

  /** The peer does not read what there is to read. */
  get isClogged(): boolean {
    return this.unsentBytes > 0;
  }

  /** The broker writes: what its socket does not take stays unsent. */
  write(slab: Slab): void {
    const bytes = slab.bytes.slice(0, slab.length);
    if (this.isBrokerClosed || !this.isFrozen) {
      this.core.written(this.connection, slab, this.unsentBytes, this.ends.coreNow());
      this.drainedAt = this.schedule.now;
      this.depart(bytes);
      return;
    }
    this.unsent.push(bytes);
    this.unsentBytes += bytes.length;
    this.core.written(this.connection, null, this.unsentBytes, this.ends.coreNow());
  }

  /** The peer reads again, or a little. */
  drain(everything: boolean): void {
    if (everything) this.isFrozen = false;
    while (this.unsent.length > 0 && (everything || this.prng.chance(50))) {
      const bytes = this.unsent.shift() as Uint8Array;
      this.unsentBytes -= bytes.length;
      this.drainedAt = this.schedule.now;
      this.depart(bytes);
    }
    if (this.unsent.length === 0 && this.endsAfterUnsent) this.depart(null);
    if (this.isBrokerClosed) return;
    this.ends.acting(this);
    this.core.written(this.connection, null, this.unsentBytes, this.ends.coreNow());
    this.ends.fed();
  }

  private depart(piece: Uint8Array | null): void {
    this.outAt = Math.max(this.outAt, this.schedule.now + this.prng.below(this.faults.delayMs + 1));
    this.schedule.at(this.outAt, () => {
      if (this.isClientClosed) return;
      if (piece === null) {
        this.isClientClosed = true;
        this.ends.toClient(null);
        return;
      }
      const length = Math.min(piece.length, this.outLeft);
      this.outLeft -= length;
      if (length > 0) this.ends.toClient(piece.subarray(0, length));
    });
  }

  // ── ends

  /** The core closed the connection. */
  close(linger: boolean): void {
    if (this.isBrokerClosed) return;
    this.isBrokerClosed = true;
    this.isPaused = false;
    this.waiting = [];
    if (linger && this.unsent.length > 0) this.endsAfterUnsent = true;
    else this.depart(null);
  }

  /** The network gives up: some of what is under way still arrives, perhaps half a packet. */
  reset(): void {
    this.inLeft = Math.min(this.inLeft, this.prng.chance(30) ? 0 : this.prng.below(60));
    this.outLeft = Math.min(this.outLeft, this.prng.chance(50) ? 0 : this.prng.below(200));
    const after = this.prng.below(this.faults.delayMs + 1);
    this.inAt = Math.max(this.inAt, this.schedule.now + after);
    this.schedule.at(this.inAt, () => this.lose('reset'));
  }

  /** The broker's machine is gone: nothing more arrives at either end. */
  cut(): void {
    this.isBrokerClosed = true;
    this.unsent = [];
    this.outLeft = 0;
    this.depart(null);
  }

  private lose(why: string): void {
    if (this.isBrokerClosed) return;
    this.ends.acting(this);
    this.core.written(this.connection, null, 0, this.ends.coreNow());
    this.core.closed(this.connection, this.ends.coreNow(), why);
    this.unsent = [];
    this.close(false);
    this.ends.fed();
  }
}
