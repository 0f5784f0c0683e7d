/**
 * Reading accepted sockets into one shared buffer: the one place that touches private parts of Node.
 *
 * `onread` is public for outgoing sockets only. For an accepted one the socket has to be made anew over its handle: a quarter of
 * the CPU where each read carries one packet. Best is to make it at once, before Node does (`readAccepted`); a socket that Node has
 * made gives its handle up (`readInto`), which costs the making and the unmaking of it. Where Node changes, the caller reads by 'data'.
 */

import { type Server, Socket, type SocketConstructorOpts } from 'node:net';
import { viewOf } from '@pipit/protocol';

/** Shared by all sockets of a process: valid within the call that tells of a read. */
export interface ReadBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Told of a read, with the socket as `this`. */
type OnRead = (this: unknown, length: number) => boolean;

export function newReadBuffer(): ReadBuffer {
  const bytes = new Uint8Array(256 * 1024);
  return { bytes, view: viewOf(bytes) };
}

interface Handle {
  readStop?: () => number;
  useUserBuffer?: (bytes: Uint8Array) => void;
  setNoDelay?: (isOn: boolean) => number;
  getpeername?: (into: object) => number;
}

interface ListeningHandle {
  onconnection?: (this: unknown, error: number, accepted: Handle | undefined) => void;
}

/** Where a stream keeps the link that is over it. */
export const linkOf = Symbol('link');

/** Whose reads land in a shared buffer. Paused when it is made. */
class SharedReadSocket extends Socket {
  /** Declared, so that it needs no table of further properties: 40 bytes. */
  [linkOf]: unknown = null;

  constructor(handle: Handle, { bytes }: ReadBuffer, onRead: OnRead) {
    const options: object = {
      handle,
      allowHalfOpen: true,
      readable: true,
      writable: true,
      pauseOnCreate: true,
      onread: { buffer: bytes, callback: onRead },
    };
    super(options as SocketConstructorOpts);
    // What Node does at 'end' is for sockets that may not be half-open. One listener needs no array: 74 bytes. (To remove all at once
    // would turn the table of listeners into a slow one, of 160.)
    for (const each of this.listeners('end')) this.removeListener('end', each as () => void);
  }

  /** Who the peer is, for `remoteAddress` and `remotePort`. Node's keeps the answer with the socket: 130 bytes. */
  _getpeername(): object {
    const peer = {};
    (this as unknown as { _handle: Handle | null })._handle?.getpeername?.(peer);
    return peer;
  }
}

/**
 * What a server that listens accepts from now on is told of by its 'connection' event as ever, but reads into `buffer`, without
 * delay (Nagle's), half-open and paused; `readInto` knows it. Returns what undoes it. Where this Node does not allow it nothing has changed.
 */
export function readAccepted(server: Server, buffer: ReadBuffer, onRead: OnRead): () => void {
  const listening = (server as unknown as { _handle: ListeningHandle | null })._handle;
  const usual = listening?.onconnection;
  if (listening === null || typeof usual !== 'function') return () => {};
  listening.onconnection = function (error, accepted) {
    if (error !== 0 || !isReadable(accepted)) return usual.call(this, error, accepted);
    accepted.setNoDelay?.(true);
    server.emit('connection', new SharedReadSocket(accepted, buffer, onRead));
  };
  return () => {
    listening.onconnection = usual;
  };
}

/**
 * A socket over the same connection whose reads land in `buffer`; `onRead` is called with it as `this`. It is paused, and a given
 * socket that is another one is hollow from then on. Null when this Node does not allow it: then nothing has changed.
 */
export function readInto(socket: Socket, buffer: ReadBuffer, onRead: OnRead): Socket | null {
  if (socket instanceof SharedReadSocket) return socket;
  const shell = socket as unknown as { _handle: Handle | null };
  const handle = shell._handle;
  if (socket.destroyed || !isReadable(handle)) return null;
  handle.readStop?.();
  shell._handle = null;
  // Without its handle this only makes the server forget it.
  socket.destroy();
  return new SharedReadSocket(handle, buffer, onRead);
}

function isReadable(handle: Handle | null | undefined): handle is Handle {
  return typeof handle?.readStop === 'function' && typeof handle.useUserBuffer === 'function';
}
