/**
 * A listener: from an accepted socket to a link, over as many steps as its type has (TLS, first byte, WebSocket handshake).
 *
 * It owns sockets until they are links; all their handshakes share one deadline each, the CONNECT timeout. It refuses what
 * is too much before any of the work is done. It does not know what links are used for.
 */

import { chmod, lstat, stat, unlink } from 'node:fs/promises';
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { WebSocketServer } from 'ws';
import type { Limits, Peer } from '../core/index.ts';
import type { ReadBuffer } from './accepted-socket.ts';
import type { Link } from './link.ts';
import { ListenError, listenError } from './listen-error.ts';
import type { ListenerOptions } from './listener-options.ts';
import { defaultHost, defaultWebSocketPath, hostAndPort, listenerUrl } from './listener-options.ts';
import { socketLink, tlsLink } from './stream-link.ts';
import type { TlsOptions } from './tls-options.ts';
import { clientCertificate, secureContextOptions } from './tls-options.ts';
import { UniformTimeout } from './uniform-timeout.ts';
import type { UpgradeOptions } from './websocket-link.ts';
import { refusalOf, upgrader, webSocketLink } from './websocket-link.ts';

/** Whom a listener brings its links to. */
export interface Reception {
  readonly limits: Limits;
  /** For the sockets that can read into it; null: none. */
  readonly readBuffer: ReadBuffer | null;
  /** Whether one more connection may be taken in. */
  hasRoom(): boolean;
  /** A new link, not started yet, and what was already read from it. */
  arrived(link: Link, head: Uint8Array | null): void;
  /** A socket that did not become a link. */
  turnedAway(listener: string, address: string, reason: string): void;
}

const clientHello = 0x16;
const httpGet = 0x47;
const mqttConnect = 0x10;

export class Listener {
  readonly type: ListenerOptions['type'];
  /** `mqtts://0.0.0.0:8883`, with the actual port once it is open. */
  url: string;
  /** Null for a Unix socket. */
  port: number | null = null;
  readonly #options: ListenerOptions;
  readonly #reception: Reception;
  readonly #server: Server;
  readonly #tls: TlsServer | null;
  readonly #http: HttpServer | null;
  readonly #webSockets: WebSocketServer;
  readonly #upgrade: UpgradeOptions;
  readonly #handshakes: UniformTimeout<string, Socket>;

  #isOpen = false;
  /** The server is its own, and not another listener's that took over. */
  #hasServer = true;
  /** Whose server it takes over. */
  #previous: Listener | null;
  readonly #pauseOnConnect: boolean;

  /** Opens a listener. Rejects with ListenError. */
  static async open(options: ListenerOptions, reception: Reception): Promise<Listener> {
    const listener = new Listener(options, reception);
    await listener.#open();
    return listener;
  }

  private constructor(options: ListenerOptions, reception: Reception, previous: Listener | null = null) {
    const { limits } = reception;
    this.type = options.type;
    this.url = listenerUrl(options, null);
    this.#options = options;
    this.#reception = reception;
    this.#handshakes = new UniformTimeout(limits.connectTimeoutMs, (socket) => this.#timedOut(socket));
    this.#upgrade = {
      path: ('port' in options && 'path' in options && options.path) || defaultWebSocketPath,
      requireSubprotocol: 'requireSubprotocol' in options && options.requireSubprotocol === true,
      connectPacketBytesMax: limits.connectPacketBytesMax,
      packetBytesMax: limits.packetBytesMax,
    };
    this.#webSockets = upgrader(this.#upgrade);
    const tls = 'tls' in options ? options.tls : undefined;
    this.#tls = tls === undefined ? null : this.#tlsServer(tls);
    this.#http = options.type === 'ws' || options.type === 'wss' || options.type === 'auto' ? this.#httpServer() : null;
    // Sockets are read in the way their type needs, so nothing may be read before that is arranged.
    const pauseOnConnect = options.type === 'tcp' || options.type === 'unix' || options.type === 'auto';
    this.#previous = previous;
    this.#pauseOnConnect = pauseOnConnect;
    const settings = { allowHalfOpen: true, noDelay: true, pauseOnConnect };
    this.#server = previous === null ? createServer(settings) : previous.#server;
    if (previous === null) this.#server.on('connection', (socket) => this.#accepted(socket));
  }

  /** What it was opened with. */
  get options(): ListenerOptions {
    return this.#options;
  }

  /** A listener with other settings for what this one listens on, once it has `takeOver` called. Throws ListenError. */
  succeeded(options: ListenerOptions): Listener {
    return new Listener(options, this.#reception, this);
  }

  /** From now on new sockets come here; what is still shaking hands goes on where it is. True when the settings are others. */
  takeOver(): boolean {
    const previous = this.#previous;
    if (previous === null) return false;
    this.#previous = null;
    const server: Server & { pauseOnConnect?: boolean } = this.#server;
    server.removeAllListeners('connection').removeAllListeners('error');
    // Node looks at it for every socket.
    server.pauseOnConnect = this.#pauseOnConnect;
    server.on('connection', (socket) => this.#accepted(socket));
    this.port = previous.port;
    previous.#isOpen = false;
    previous.#hasServer = false;
    const options = this.#options;
    if (options.type === 'unix' && options.mode !== undefined) chmod(options.path, options.mode).catch(ignore);
    this.#opened();
    return !isDeepStrictEqual(previous.#options, options);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sockets accepted that are not links yet. */
  get pending(): number {
    return this.#handshakes.size;
  }

  async #open(): Promise<void> {
    const options = this.#options;
    if (options.type === 'unix') {
      await removeStale(options.path);
      await this.#listen(options.path, (server) => server.listen({ path: options.path }));
      if (options.mode !== undefined) await chmod(options.path, options.mode);
    } else {
      const { host = defaultHost, port } = options;
      await this.#listen(hostAndPort(host, port), (server) => server.listen({ host, port }));
      const address = this.#server.address();
      if (typeof address === 'object' && address !== null) this.port = address.port;
    }
    this.#opened();
  }

  #opened(): void {
    this.url = listenerUrl(this.#options, this.port);
    this.#isOpen = true;
    this.#server.on('error', (error) => this.#reception.turnedAway(this.url, '', `accept failed: ${error.message}`));
  }

  /** Frees the port, and drops what is still shaking hands. Links stay. */
  close(): void {
    this.#isOpen = false;
    if (this.#hasServer) this.#server.close();
    this.#handshakes.dropAll((socket) => socket.destroy());
  }

  #listen(what: string, listen: (server: Server) => void): Promise<void> {
    const server = this.#server;
    return new Promise((done, failed) => {
      const refuse = (error: Error): void => failed(listenError(what, error));
      server.once('error', refuse);
      server.once('listening', () => {
        server.removeListener('error', refuse);
        done();
      });
      try {
        listen(server);
      } catch (error) {
        refuse(error as Error);
      }
    });
  }

  #accepted(socket: Socket): void {
    const address = addressOf(socket, this.#options);
    if (!this.#reception.hasRoom()) {
      socket.destroy();
      this.#reception.turnedAway(this.url, address, 'as many connections as allowed are open');
      return;
    }
    if (this.type === 'tcp' || this.type === 'unix') {
      this.#openSocket(socket, address, null);
      return;
    }
    const key = keyOf(socket);
    this.#handshakes.add(key, socket);
    socket.on('error', ignore);
    socket.once('close', () => this.#handshakes.delete(key));
    if (this.type === 'auto') this.#detect(socket, false);
    else if (this.type === 'ws') this.#http?.emit('connection', socket);
    else this.#secure(socket);
  }

  #secure(socket: Socket): void {
    // Half a handshake is nothing to go on with; `secured` allows it again.
    socket.allowHalfOpen = false;
    this.#tls?.emit('connection', socket);
  }

  /** Looks at the first bytes, and puts them back for whoever is next. */
  #detect(socket: Socket, isSecure: boolean): void {
    const hangUp = (): void => void socket.destroy();
    socket.once('end', hangUp);
    socket.once('data', (head: Buffer) => {
      socket.pause();
      socket.removeListener('end', hangUp);
      const first = head[0];
      if (first === httpGet) {
        socket.unshift(head);
        this.#http?.emit('connection', socket);
        // A stream that was paused by hand does not flow again for a 'data' listener alone.
        socket.resume();
      } else if (isSecure) this.#openTls(socket as TLSSocket, head);
      else if (first === clientHello && this.#tls !== null) {
        socket.unshift(head);
        this.#secure(socket);
      } else if (first === mqttConnect) {
        this.#handshakes.delete(keyOf(socket));
        this.#openSocket(socket, addressOf(socket, this.#options), head);
      } else this.#refuse(socket, 'neither MQTT, TLS nor WebSocket by its first byte');
    });
    socket.resume();
  }

  #openSocket(socket: Socket, address: string, head: Uint8Array | null): void {
    const transport = this.type === 'unix' ? 'unix' : 'tcp';
    const peer: Peer = { transport, address, listener: this.url };
    this.#reception.arrived(socketLink(peer, socket, this.#reception.readBuffer), head);
  }

  #openTls(socket: TLSSocket, head: Uint8Array | null): void {
    if (this.#handshakes.delete(keyOf(socket)) === undefined) return;
    this.#reception.arrived(tlsLink(this.#peerOf(socket, 'tls'), socket), head);
  }

  #peerOf(socket: Socket, transport: Peer['transport']): Peer {
    const address = addressOf(socket, this.#options);
    const certificate =
      'getPeerX509Certificate' in socket ? clientCertificate(socket as TLSSocket)?.certificate : undefined;
    const peer = { transport, address, listener: this.url };
    return certificate === undefined ? peer : { ...peer, certificate };
  }

  #tlsServer(options: TlsOptions): TlsServer {
    const { clientCertificate: asked = 'none' } = options;
    const context = secureContextOptions(options);
    const settings = {
      ...context,
      // Only so that Node's own does not come before ours.
      handshakeTimeout: 2 * this.#reception.limits.connectTimeoutMs,
      requestCert: asked !== 'none',
      // Node would cut them off without a word; `#secured` does it, and tells.
      rejectUnauthorized: false,
    };
    let server: TlsServer;
    try {
      server = createTlsServer(settings);
    } catch (error) {
      throw new ListenError(`The TLS settings of ${this.url} cannot be used: ${(error as Error).message}.`, {
        cause: error,
      });
    }
    server.on('secureConnection', (socket) => this.#secured(socket));
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      // Gone by itself, or by our own deadline, which told.
      if (error.code === 'ECONNRESET') socket.destroy();
      else this.#refuse(socket, `TLS handshake: ${error.code ?? error.message}`);
    });
    return server;
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignore);
    socket.allowHalfOpen = true;
    const shown = clientCertificate(socket);
    if (shown === null && this.#needsCertificate) this.#refuse(socket, 'client certificate: none was shown');
    else if (shown !== null && shown.error !== '') this.#refuse(socket, `client certificate: ${shown.error}`);
    else if (this.type === 'tls') this.#openTls(socket, null);
    else if (this.type === 'wss') this.#http?.emit('connection', socket);
    else this.#detect(socket, true);
  }

  get #needsCertificate(): boolean {
    return 'tls' in this.#options && this.#options.tls?.clientCertificate === 'require';
  }

  #httpServer(): HttpServer {
    const server = createHttpServer();
    server.on('request', (request, response) => this.#answered(request, response));
    server.on('upgrade', (request, socket, head) => this.#upgraded(request, socket as Socket, head));
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const reason = `HTTP: ${error.code ?? error.message}`;
      this.#refuseUpgrade(socket as Socket, { status: '400 Bad Request', reason });
    });
    return server;
  }

  #answered(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    this.#reception.turnedAway(
      this.url,
      addressOf(socket, this.#options),
      'an HTTP request that is no WebSocket handshake',
    );
    response.writeHead(426, { connection: 'close', upgrade: 'websocket', 'content-type': 'text/plain' });
    response.end('MQTT over WebSocket is served here.\n');
  }

  #upgraded(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const refusal = refusalOf(request, this.#upgrade);
    if (refusal !== null) return this.#refuseUpgrade(socket, refusal);
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      if (this.#handshakes.delete(keyOf(socket)) === undefined) return webSocket.terminate();
      const peer = this.#peerOf(socket, 'encrypted' in socket ? 'wss' : 'ws');
      this.#reception.arrived(webSocketLink(peer, webSocket, socket, this.#upgrade), null);
    });
  }

  #refuseUpgrade(socket: Socket, { status, reason }: { status: string; reason: string }): void {
    const address = addressOf(socket, this.#options);
    if (socket.writable) {
      socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      socket.destroySoon();
    } else socket.destroy();
    this.#reception.turnedAway(this.url, address, reason);
  }

  #timedOut(socket: Socket): void {
    this.#refuse(socket, 'no handshake within the CONNECT timeout');
  }

  #refuse(socket: Duplex, reason: string): void {
    const address = addressOf(socket as Socket, this.#options);
    socket.destroy();
    this.#reception.turnedAway(this.url, address, reason);
  }
}

function ignore(): void {
  // The 'close' that follows says all there is to know.
}

/** The same for a socket and for the TLS socket over it. */
function keyOf(socket: Socket): string {
  return `${socket.localAddress} ${socket.remoteAddress} ${socket.remotePort}`;
}

function addressOf(socket: Socket, options: ListenerOptions): string {
  if (options.type === 'unix') return options.path;
  const { remoteAddress = 'unknown', remotePort = 0 } = socket;
  return hostAndPort(remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), remotePort);
}

/** Removes a socket file that nobody answers on; anything else in its place is left alone. Throws ListenError. */
async function removeStale(path: string): Promise<void> {
  // Asked for by hand: listening there says EACCES.
  const folder = dirname(path);
  if ((await stat(folder).catch(() => null)) === null) throw listenError(path, { code: 'ENOENT' });
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) throw new ListenError(`${path} exists and is not a socket.`);
  const isAnswered = await new Promise<boolean>((done) => {
    const probe = connect({ path });
    probe.once('connect', () => done(true));
    probe.once('error', (error: NodeJS.ErrnoException) => done(error.code !== 'ECONNREFUSED'));
    probe.once('close', () => done(true));
    probe.once('connect', () => probe.destroy());
  });
  if (isAnswered) throw new ListenError(`${path} is already in use.`);
  await unlink(path);
}
