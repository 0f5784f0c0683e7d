/**
 * Links over Node streams: TCP, TLS and Unix sockets, and the two ends of a pipe in memory.
 *
 * TCP and Unix sockets read into one buffer shared by all when `accepted-socket.ts` can arrange it; everything else gets
 * chunks by 'data' events. One object a socket: the event handlers are shared functions that find their link at the socket.
 */

import type { Server, Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { viewOf } from '@pipit/protocol';
import type { Peer } from '../core/index.ts';
import type { ReadBuffer } from './accepted-socket.ts';
import { linkOf, readAccepted, readInto } from './accepted-socket.ts';
import type { Link, LinkOwner } from './link.ts';
import { OutgoingLink } from './outgoing-link.ts';

type Linked = Duplex & { [linkOf]: StreamLink };

/**
 * A link over an accepted TCP or Unix socket that is paused and unread (`pauseOnConnect`), or from which `head` was read.
 * Without a read buffer, or where taking over the socket's handle is not possible, it reads by 'data' events.
 */
export function socketLink(peer: Peer, socket: Socket, readBuffer: ReadBuffer | null): Link {
  const taken = readBuffer === null ? null : readInto(socket, readBuffer, receivedShared);
  return new StreamLink(peer, taken ?? socket, taken === null ? null : readBuffer, true);
}

/** Makes ready for `socketLink` what a listening server accepts from now on, if this Node allows it. Returns what undoes it. */
export function shareReads(server: Server, readBuffer: ReadBuffer): () => void {
  return readAccepted(server, readBuffer, receivedShared);
}

/** A link over a TLS socket: what is written is taken only after it was encrypted, never within the call. */
export function tlsLink(peer: Peer, socket: Duplex): Link {
  return new StreamLink(peer, socket, null, false);
}

/** A link over a pipe in memory, and its other end. It copies what it writes: the other end may keep the chunks. */
export function memoryLink(peer: Peer): { link: Link; end: Duplex } {
  const [inner, end] = duplexPair();
  // Losing one end loses the other, as with a socket; not every Node does that by itself.
  end.once('close', () => inner.destroy());
  inner.once('close', () => {
    if (!end.readableEnded) end.destroy();
  });
  return { link: new MemoryLink(peer, inner, null, false), end };
}

class StreamLink extends OutgoingLink {
  /** What the stream reads into; null: it brings chunks by 'data' events. */
  readonly #readBuffer: ReadBuffer | null;
  #error = '';

  constructor(peer: Peer, stream: Duplex, readBuffer: ReadBuffer | null, isImmediate: boolean) {
    super(peer, stream, isImmediate);
    this.#readBuffer = readBuffer;
    (stream as Linked)[linkOf] = this;
    stream.on('end', ended);
    stream.on('error', failed);
    stream.on('close', closed);
  }

  start(owner: LinkOwner, head: Uint8Array | null): void {
    this.owner = owner;
    // Lost before anybody listened: nothing else would tell.
    if (this.stream.destroyed) process.nextTick(closed.bind(this.stream));
    if (head !== null && head.length > 0) owner.received(this, head, viewOf(head), 0, head.length);
    if (this.#readBuffer === null) this.stream.on('data', receivedChunk);
    if (!this.isPaused) this.stream.resume();
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  destroy(): void {
    this.stream.destroy();
  }

  protected send(bytes: Uint8Array, taken: ((error?: Error | null) => void) | undefined): void {
    this.stream.write(bytes, taken);
  }

  protected finish(): void {
    this.stream.end();
  }

  receivedShared(length: number): void {
    const buffer = this.#readBuffer as ReadBuffer;
    this.owner?.received(this, buffer.bytes, buffer.view, 0, length);
  }

  receivedChunk(chunk: Uint8Array): void {
    this.owner?.received(this, chunk, viewOf(chunk), 0, chunk.length);
  }

  ended(): void {
    this.owner?.ended(this, '');
  }

  failed(error: NodeJS.ErrnoException): void {
    this.#error = error.code ?? error.message;
  }

  closed(): void {
    this.owner?.gone(this, this.#error);
  }
}

class MemoryLink extends StreamLink {
  protected override send(bytes: Uint8Array, taken: ((error?: Error | null) => void) | undefined): void {
    super.send(bytes.slice(), taken);
  }
}

function receivedShared(this: unknown, length: number): boolean {
  (this as Linked)[linkOf].receivedShared(length);
  return true;
}

function receivedChunk(this: Duplex, chunk: Uint8Array): void {
  (this as Linked)[linkOf].receivedChunk(chunk);
}

function ended(this: Duplex): void {
  (this as Linked)[linkOf].ended();
}

function failed(this: Duplex, error: Error): void {
  (this as Linked)[linkOf].failed(error);
}

function closed(this: Duplex): void {
  (this as Linked)[linkOf].closed();
}
