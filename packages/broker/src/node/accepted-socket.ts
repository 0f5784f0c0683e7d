/**
 * Reading accepted sockets into one shared buffer: the one place that touches a private part of Node.
 *
 * `onread` is public for outgoing sockets only. For an accepted one its handle has to move into a new socket: a quarter of
 * the CPU where each read carries one packet. Where Node changes, `readInto` answers null and the caller reads by 'data'.
 */

import { Socket, type SocketConstructorOpts } from 'node:net';
import { viewOf } from '@pipit/protocol';

/** Shared by all sockets of a process: valid within the call that tells of a read. */
export interface ReadBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export function newReadBuffer(): ReadBuffer {
  const bytes = new Uint8Array(256 * 1024);
  return { bytes, view: viewOf(bytes) };
}

interface Handle {
  readStop?: () => number;
  useUserBuffer?: (bytes: Uint8Array) => void;
}

/**
 * A socket over the same connection whose reads land in `buffer`; `onRead` is called with it as `this`. It is paused, and the
 * given socket is hollow from then on. Null when this Node does not allow it: then nothing has changed.
 */
export function readInto(
  socket: Socket,
  buffer: ReadBuffer,
  onRead: (this: unknown, length: number) => boolean,
): Socket | null {
  const shell = socket as unknown as { _handle: Handle | null };
  const handle = shell._handle;
  if (socket.destroyed || typeof handle?.readStop !== 'function' || typeof handle.useUserBuffer !== 'function') {
    return null;
  }
  handle.readStop();
  shell._handle = null;
  // Without its handle this only makes the server forget it.
  socket.destroy();
  const options: object = {
    handle,
    allowHalfOpen: true,
    readable: true,
    writable: true,
    pauseOnCreate: true,
    onread: { buffer: buffer.bytes, callback: onRead },
  };
  return new Socket(options as SocketConstructorOpts);
}
