/** The web's own WebSocket: in browsers, and wherever else there is nothing better. It cannot stop reading. */
import type { Link, LinkOwner, Transport } from './transport.ts';

const subprotocol = 'mqtt'; // [MQTT-6.0.0-3]
const normalClosure = 1000;
const unsupportedData = 1003;
/** Nothing tells when a WebSocket has sent what it buffers: from this many bytes on it is asked. */
const askedFromBytes = 64 * 1024;
const askEveryMs = 20;

/** `ws://host[:80]/path` and `wss://host[:443]/path`. */
export const webSocket: Transport = {
  open: (url, owner) => {
    const target = new URL(url);
    // Those are the words of CONNECT, and the web refuses a URL that has them.
    target.username = '';
    target.password = '';
    return new WebSocketLink(new WebSocket(target.href, subprotocol), owner);
  },
};

class WebSocketLink implements Link {
  readonly #socket: WebSocket;
  readonly #owner: LinkOwner;
  #why = 'The server closed the connection';
  #isAsking = false;

  constructor(socket: WebSocket, owner: LinkOwner) {
    this.#socket = socket;
    this.#owner = owner;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => owner.opened();
    socket.onmessage = ({ data }: MessageEvent) => {
      if ((data as unknown) instanceof ArrayBuffer) return owner.received(new Uint8Array(data));
      this.#why = 'The server sent text on a WebSocket: MQTT is binary';
      socket.close(unsupportedData);
    };
    // A browser does not say what went wrong.
    socket.onerror = () => {
      this.#why = 'The WebSocket failed';
    };
    socket.onclose = ({ code, reason }) => {
      owner.closed(code === normalClosure || reason === '' ? this.#why : `${this.#why}: ${reason}`);
    };
  }

  get unsentBytes(): number {
    return this.#socket.bufferedAmount;
  }

  write(bytes: Uint8Array): boolean {
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
    if (this.unsentBytes >= askedFromBytes) this.#askLater();
    return true;
  }

  pause(): void {}

  resume(): void {}

  close(): void {
    this.#socket.close(normalClosure);
  }

  destroy(): void {
    this.#socket.close();
  }

  #askLater(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    setTimeout(() => {
      this.#isAsking = false;
      this.#owner.written();
      if (this.unsentBytes >= askedFromBytes) this.#askLater();
    }, askEveryMs);
  }
}
