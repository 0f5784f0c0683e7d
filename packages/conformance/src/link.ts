/**
 * The sockets of the suite, and the only file that has any: a byte stream to a broker by URL (mqtt, mqtts, ws, wss), and
 * a TCP server for the client cases. Knows no MQTT. Every failure of a connection is an end with a reason, never a throw.
 */
import { createServer, connect as dialTcp, type Socket } from 'node:net';
import { connect as dialTls } from 'node:tls';

/** What a link tells. `ended` comes once and last. */
export interface LinkObserver {
  received(bytes: Uint8Array): void;
  /** The other end closed or cut the connection, or we did; or it never opened. */
  ended(how: string): void;
}

export interface Link {
  send(bytes: Uint8Array): void;
  /** Closes our half (TCP), or the whole connection in order (WebSocket). */
  finish(): void;
  /** Lets go at once. */
  cut(): void;
}

export interface LinkOptions {
  /** Do not verify the certificate of a broker. */
  readonly insecure?: boolean;
}

const defaultPorts: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883 };

/** Opens a link; bytes sent before it is open wait. Throws a TypeError for a URL of another kind. */
export function openLink(url: string, options: LinkOptions, observer: LinkObserver): Link {
  const { protocol, hostname, port } = new URL(url);
  if (protocol === 'ws:' || protocol === 'wss:') return webSocketLink(url, observer);
  const defaultPort = defaultPorts[protocol];
  if (defaultPort === undefined) throw new TypeError(`${protocol}// is none of mqtt://, mqtts://, ws://, wss://`);
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) };
  const socket =
    protocol === 'mqtt:'
      ? dialTcp({ ...address, noDelay: true, allowHalfOpen: true })
      : dialTls({ ...address, rejectUnauthorized: options.insecure !== true });
  return socketLink(socket, observer);
}

function socketLink(socket: Socket, observer: LinkObserver): Link {
  let how = 'closed';
  let isOver = false;
  const over = (): void => {
    if (isOver) return;
    isOver = true;
    observer.ended(how);
    socket.end();
  };
  socket.on('data', (bytes: Uint8Array) => {
    if (!isOver) observer.received(bytes);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    how = error.code ?? error.message;
  });
  socket.once('end', over);
  socket.once('close', over);
  return {
    send: (bytes) => {
      if (socket.writable) socket.write(bytes);
    },
    finish: () => {
      socket.end();
    },
    cut: () => {
      socket.destroy();
    },
  };
}

/** One binary frame a send. What the broker sends as text, or another sub-protocol than `mqtt`, ends the link. */
function webSocketLink(url: string, observer: LinkObserver): Link {
  const socket = new WebSocket(url, 'mqtt');
  const waiting: Uint8Array[] = [];
  let isOver = false;
  const over = (how: string): void => {
    if (isOver) return;
    isOver = true;
    observer.ended(how);
  };
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('open', () => {
    for (const bytes of waiting.splice(0)) socket.send(new Uint8Array(bytes));
  });
  socket.addEventListener('message', ({ data }) => {
    if (data instanceof ArrayBuffer) observer.received(new Uint8Array(data));
    else over('sent a text frame');
  });
  socket.addEventListener('error', () => over('WebSocket error'));
  socket.addEventListener('close', () => over('closed'));
  return {
    send: (bytes) => {
      if (socket.readyState === WebSocket.CONNECTING) waiting.push(bytes);
      else if (socket.readyState === WebSocket.OPEN) socket.send(new Uint8Array(bytes));
    },
    finish: () => socket.close(),
    cut: () => socket.close(),
  };
}

/** How a broker answers a WebSocket upgrade that offers `protocols`: the one it selects, or null when it declines. */
export function selectedProtocol(url: string, protocols: readonly string[]): Promise<string | null> {
  return new Promise((done) => {
    const socket = new WebSocket(url, [...protocols]);
    socket.addEventListener('open', () => {
      done(socket.protocol);
      socket.close();
    });
    socket.addEventListener('error', () => done(null));
    socket.addEventListener('close', () => done(null));
  });
}

/** Sends bytes in a text frame as the first thing; resolves when the broker has closed. */
export function sendAsText(url: string, text: string): Promise<void> {
  return new Promise((done) => {
    const socket = new WebSocket(url, 'mqtt');
    socket.addEventListener('open', () => socket.send(text));
    socket.addEventListener('close', () => done());
    socket.addEventListener('error', () => done());
  });
}

export interface LinkServer {
  readonly port: number;
  /** Accepts no more; existing links stay. */
  close(): void;
}

/** Listens on a free port of the loopback interface and asks `arrived` for an observer of each link. */
export function listenForLinks(arrived: (link: Link) => LinkObserver): Promise<LinkServer> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const late: { observer?: LinkObserver } = {};
    const link = socketLink(socket, {
      received: (bytes) => late.observer?.received(bytes),
      ended: (how) => late.observer?.ended(how),
    });
    late.observer = arrived(link);
  });
  return new Promise((done, failed) => {
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      done({ port, close: () => server.close() });
    });
  });
}
