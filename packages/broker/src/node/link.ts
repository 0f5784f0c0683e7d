/**
 * The port between the driver and one peer's byte stream, whatever carries it.
 *
 * A link owns its socket and the slabs it was given until they are written. It knows no MQTT and never touches the core: it
 * tells its owner (the driver) what happened, and does what it is told. It never closes by itself, except when its socket is
 * gone. Every implementation passes `links.suite.ts`.
 */

import type { X509Certificate } from 'node:crypto';
import type { Connection, Peer, Slab } from '../core/index.ts';
import type { Host, Places } from './admission.ts';

/** Whom a link tells. Calls come from the socket's own events, never from within a method of the link other than `start` and `write`. */
export interface LinkOwner {
  /** bytes[start, end) arrived; they are the link's again when this returns. */
  received(link: Link, bytes: Uint8Array, view: DataView, start: number, end: number): void;
  /** After each `write` without `more`, and whenever fewer bytes are unsent than before. A slab that comes along is done with. */
  written(link: Link, slab: Slab | null, unsentBytes: number): void;
  /** The peer will send nothing more that counts: its FIN (`why` is empty), or what its transport forbids. It may still read. */
  ended(link: Link, why: string): void;
  /** The socket is closed, after whatever else was told: the last call. `why` is empty when both sides had finished. */
  gone(link: Link, why: string): void;
}

export interface Link {
  readonly peer: Peer;
  /** What the peer has shown, read when it is asked for; null: nothing. */
  readonly certificate: X509Certificate | null;
  /** The three below are the driver's. Null before the core knows of it and after the core has closed it. */
  connection: Connection | null;
  isPaused: boolean;
  fate: 'open' | 'ended' | 'gone';
  /** For whom it is counted as a connection; the listener's and the broker's. */
  host: Host | null;
  /** The same for its listener. */
  places: Places | null;

  /** Begins to read; `head` was already read from the peer. Called once, before anything else. */
  start(owner: LinkOwner, head: Uint8Array | null): void;
  /** Takes the slab. With `more` it may wait for the next `write`, so that a flush is one system call or one frame. */
  write(slab: Slab, more: boolean): void;
  pause(): void;
  resume(): void;
  /** Half-closes once all that was written has left. What still arrives is told as before. */
  end(): void;
  /** Drops what is unsent and closes at once; `gone` follows. */
  destroy(): void;
}
