/**
 * Sockets on their way to be links, over as many steps as the type of their listener has (PROXY header, TLS, first byte, WebSocket
 * handshake).
 *
 * It owns sockets until they are links; all their handshakes share one deadline each, the CONNECT timeout. It refuses what
 * is too much before any of the work is done. It listens nowhere: sockets are handed to it.
 */

import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket, Server as TlsServer } from 'node:tls';
import type { WebSocketServer } from 'ws';
import { AddressRanges, withoutPort } from '../auth/network-address.ts';
import type { Limits, Peer, Terms } from '../core/index.ts';
import type { ReadBuffer } from './accepted-socket.ts';
import type { Admission, Host, Places, TurnedAway } from './admission.ts';
import type { ClientTrust } from './client-trust.ts';
import { forwardedAddress, isForeignOrigin, type OriginRule, originRuleOf } from './handshake-rules.ts';
import type { Link } from './link.ts';
import type { ListenerOptions } from './listener-options.ts';
import { defaultWebSocketPath, hostAndPort, listenerUrl, termsOf } from './listener-options.ts';
import { proxyHeader } from './proxy-header.ts';
import { socketLink, tlsLink } from './stream-link.ts';
import type { TlsOptions } from './tls-options.ts';
import { clientCertificate } from './tls-options.ts';
import { type TlsSide, tlsServer } from './tls-server.ts';
import { UniformTimeout } from './uniform-timeout.ts';
import type { UpgradeOptions, UpgradeRefusal } from './websocket-link.ts';
import { refusalOf, upgrader, webSocketLink } from './websocket-link.ts';

/** Whom a listener brings its links to. */
export interface Reception {
  readonly limits: Limits;
  /** For the sockets that can read into it; null: none. */
  readonly readBuffer: ReadBuffer | null;
  readonly admission: Admission;
  /** Connections there are now, and sockets that are to become some. */
  connections(): number;
  /** A new link, not started yet, and what was already read from it. It is counted for `link.host`. */
  arrived(link: Link, head: Uint8Array | null): void;
  /** A socket that did not become a link; `limit`: by which it did not. */
  turnedAway(listener: string, address: string, reason: string, limit?: TurnedAway['limit']): void;
}

/** Why a link may not stay; null: it may. */
export type Judgement = (link: Link) => string | null;

/** A socket that is not a link yet. */
interface Arrival {
  readonly socket: Socket;
  /** Whose it is: of its other end, or of whom a proxy there speaks for. */
  address: string;
  /** Null: it is counted for nobody, or not yet. */
  host: Host | null;
}

const clientHello = 0x16;
const httpGet = 0x47;
const mqttConnect = 0x10;
const noBytes = Buffer.alloc(0);

export class Arrivals {
  /** What its listener is called. */
  url: string;
  readonly #type: ListenerOptions['type'];
  readonly #options: ListenerOptions;
  readonly #terms: Terms | undefined;
  readonly #places: Places;
  readonly #reception: Reception;
  readonly #tls: TlsServer | null;
  /** Whose client certificates count; null: none are asked for. */
  readonly trust: ClientTrust | null;
  /** What a reload has to say to the certificates of those who are still on their way. */
  judge: Judgement | null = null;
  readonly #http: HttpServer | null;
  readonly #webSockets: WebSocketServer;
  readonly #upgrade: UpgradeOptions;
  readonly #handshakes: UniformTimeout<string, Arrival>;
  /** From where alone sockets are accepted, and each with a header that says whose it is; null: from everywhere, without. */
  readonly #proxies: AddressRanges | null;
  /** Whose X-Forwarded-For is believed. */
  readonly #forwarders: AddressRanges | null;
  readonly #origins: OriginRule;

  /** Reads certificates. Throws ListenError. `previous`: those that came before, and count as its own. */
  constructor(options: ListenerOptions, reception: Reception, previous?: Arrivals) {
    const { limits } = reception;
    this.#type = options.type;
    this.url = listenerUrl(options, null);
    this.#options = options;
    this.#terms = termsOf(options);
    this.#places = previous === undefined ? { taken: 0 } : previous.#places;
    this.#reception = reception;
    this.#handshakes = new UniformTimeout(limits.handshakeTimeoutMs, (arrival) => this.#timedOut(arrival));
    this.#proxies = rangesOf(options, 'proxyProtocol');
    this.#forwarders = rangesOf(options, 'forwardedFor');
    this.#origins = originRuleOf(options);
    this.#upgrade = {
      path: ('port' in options && 'path' in options && options.path) || defaultWebSocketPath,
      requireSubprotocol: 'requireSubprotocol' in options && options.requireSubprotocol === true,
      connectPacketBytesMax: limits.connectPacketBytesMax,
      packetBytesMax: limits.packetBytesMax,
    };
    this.#webSockets = upgrader(this.#upgrade);
    const tls = 'tls' in options ? options.tls : undefined;
    const side = tls === undefined ? null : this.#tlsSide(tls);
    this.#tls = side?.server ?? null;
    this.trust = side?.trust ?? null;
    this.#http = options.type === 'ws' || options.type === 'wss' || options.type === 'auto' ? this.#httpServer() : null;
  }

  /** Sockets are read in the way their type needs, so nothing may be read before that is arranged. */
  get takesPaused(): boolean {
    const isDirect = this.#type === 'tcp' || this.#type === 'unix' || this.#type === 'auto';
    return isDirect || this.#proxies !== null;
  }

  /** What its sockets are to read into from the first byte on; null: that is not how they begin. */
  get sharedBuffer(): ReadBuffer | null {
    const isDirect = this.#type === 'tcp' || this.#type === 'unix';
    return isDirect && this.#proxies === null ? this.#reception.readBuffer : null;
  }

  /** Sockets that are not links yet. */
  get pending(): number {
    return this.#handshakes.size;
  }

  /** Closes what is still shaking hands. Links stay. */
  drop(): void {
    this.#handshakes.dropAll(({ socket, host }) => {
      socket.destroy();
      this.#left(host);
    });
  }

  /** A socket came in. */
  accept(socket: Socket): void {
    const { admission } = this.#reception;
    const address = socketAddress(socket, this.#options);
    const plain = withoutPort(address);
    if (this.#proxies !== null && !this.#proxies.has(plain)) {
      return this.#turnAway(socket, address, 'not a proxy that is trusted here');
    }
    if (this.#places.taken >= (this.#options.connectionsMax ?? Number.POSITIVE_INFINITY)) {
      return this.#turnAway(
        socket,
        address,
        'as many connections as it may have came by this listener',
        'connectionsMax',
      );
    }
    // Those for whom a proxy speaks are counted once it has.
    const isCounted = this.#type !== 'unix' && this.#proxies === null && this.#forwarders?.has(plain) !== true;
    const entered = isCounted ? admission.entered(address) : null;
    if (entered !== null && 'limit' in entered) return this.#turnAway(socket, address, entered.reason, entered.limit);
    const refusal = admission.accepted(this.#reception.connections());
    if (refusal !== null) {
      admission.left(entered);
      return this.#turnAway(socket, address, refusal.reason, refusal.limit);
    }
    this.#places.taken++;
    if (this.#proxies === null && (this.#type === 'tcp' || this.#type === 'unix')) {
      return this.#openSocket(socket, address, entered, null);
    }
    const key = keyOf(socket);
    this.#handshakes.add(key, { socket, address, host: entered });
    socket.on('error', ignore);
    socket.once('close', () => this.#forget(key));
    if (this.#proxies === null) this.#begin(socket);
    else this.#readProxyHeader(socket, noBytes);
  }

  /** The socket and what comes from it are the client's. */
  #begin(socket: Socket): void {
    if (this.#type === 'auto') this.#detect(socket, false);
    else if (this.#type === 'ws') this.#openHttp(socket);
    else this.#secure(socket);
  }

  #openHttp(socket: Socket): void {
    this.#http?.emit('connection', socket);
    // A stream that was paused by hand does not flow again for a 'data' listener alone.
    if (socket.isPaused()) socket.resume();
  }

  /** `head`: what has come of it so far. */
  #readProxyHeader(socket: Socket, head: Buffer): void {
    const hangUp = (): void => void socket.destroy();
    socket.once('end', hangUp);
    socket.once('data', (chunk: Buffer) => {
      socket.pause();
      socket.removeListener('end', hangUp);
      const bytes = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      const header = proxyHeader(bytes);
      if (header === 'bad') this.#refuse(socket, 'no PROXY protocol header');
      else if (header === 'more') this.#readProxyHeader(socket, bytes);
      else this.#proxied(socket, header.address, bytes.subarray(header.end));
    });
    socket.resume();
  }

  #proxied(socket: Socket, address: string | null, rest: Buffer): void {
    const key = keyOf(socket);
    const arrival = this.#handshakes.get(key);
    if (arrival === undefined) return;
    if (address !== null && !this.#isLetIn(arrival, address)) return void socket.destroy();
    if (this.#type === 'tcp') {
      this.#handshakes.delete(key);
      return this.#openSocket(socket, arrival.address, arrival.host, rest.length === 0 ? null : rest);
    }
    if (rest.length > 0) socket.unshift(rest);
    this.#begin(socket);
  }

  /** It is known for whom a proxy speaks: whether that one may come in. */
  #isLetIn(arrival: Arrival, address: string): boolean {
    arrival.address = address;
    const entered = this.#reception.admission.entered(address);
    if (entered !== null && 'limit' in entered) {
      this.#reception.turnedAway(this.url, address, entered.reason, entered.limit);
      return false;
    }
    arrival.host = entered;
    return true;
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
        this.#openHttp(socket);
      } else if (isSecure) this.#openTls(socket as TLSSocket, head);
      else if (first === clientHello && this.#tls !== null) {
        socket.unshift(head);
        this.#secure(socket);
      } else if (first === mqttConnect) {
        const arrival = this.#handshakes.delete(keyOf(socket));
        if (arrival !== undefined) this.#openSocket(socket, arrival.address, arrival.host, head);
      } else this.#refuse(socket, 'neither MQTT, TLS nor WebSocket by its first byte');
    });
    socket.resume();
  }

  #openSocket(socket: Socket, address: string, host: Host | null, head: Uint8Array | null): void {
    const transport = this.#type === 'unix' ? 'unix' : 'tcp';
    this.#arrived(socketLink(this.#peer(transport, address), socket, this.#reception.readBuffer), host, head);
  }

  #openTls(socket: TLSSocket, head: Uint8Array | null): void {
    const arrival = this.#handshakes.delete(keyOf(socket));
    if (arrival === undefined) return;
    this.#arrived(tlsLink(this.#peerOf(socket, arrival, 'tls'), socket), arrival.host, head);
  }

  #arrived(link: Link, host: Host | null, head: Uint8Array | null): void {
    link.host = host;
    link.places = this.#places;
    const objection = this.judge?.(link) ?? null;
    if (objection === null) return this.#reception.arrived(link, head);
    link.destroy();
    this.#reception.admission.left(host);
    this.#reception.turnedAway(this.url, link.peer.address, objection);
  }

  #peerOf(socket: Socket, { address }: Arrival, transport: Peer['transport']): Peer {
    const certificate =
      'getPeerX509Certificate' in socket ? clientCertificate(socket as TLSSocket)?.certificate : undefined;
    const peer = this.#peer(transport, address);
    return certificate === undefined ? peer : { ...peer, certificate };
  }

  #peer(transport: Peer['transport'], address: string): Peer {
    const peer = { transport, address, listener: this.url };
    return this.#terms === undefined ? peer : { ...peer, terms: this.#terms };
  }

  #tlsSide(options: TlsOptions): TlsSide {
    const side = tlsServer(options, this.#reception.limits.handshakeTimeoutMs, this.url);
    const { server } = side;
    server.on('secureConnection', (socket) => this.#secured(socket));
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      // Gone by itself, or by our own deadline, which told.
      if (error.code === 'ECONNRESET') socket.destroy();
      else this.#refuse(socket, `TLS handshake: ${error.code ?? error.message}`);
    });
    return side;
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignore);
    socket.allowHalfOpen = true;
    const shown = clientCertificate(socket);
    if (shown === null && this.#needsCertificate) this.#refuse(socket, 'client certificate: none was shown');
    else if (shown !== null && shown.error !== '') this.#refuse(socket, `client certificate: ${shown.error}`);
    else if (this.#type === 'tls') this.#openTls(socket, null);
    else if (this.#type === 'wss') this.#http?.emit('connection', socket);
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
    this.#reception.turnedAway(this.url, this.#addressOf(socket), 'an HTTP request that is no WebSocket handshake');
    response.writeHead(426, { connection: 'close', upgrade: 'websocket', 'content-type': 'text/plain' });
    response.end('MQTT over WebSocket is served here.\n');
  }

  #upgraded(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const arrival = this.#handshakes.get(keyOf(socket));
    if (arrival === undefined) return void socket.destroy();
    const refusal = refusalOf(request, this.#upgrade) ?? this.#judge(request, arrival);
    if (refusal !== null) return this.#refuseUpgrade(socket, refusal);
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      if (this.#handshakes.delete(keyOf(socket)) === undefined) return webSocket.terminate();
      const peer = this.#peerOf(socket, arrival, 'encrypted' in socket ? 'wss' : 'ws');
      this.#arrived(webSocketLink(peer, webSocket, socket, this.#upgrade), arrival.host, null);
    });
  }

  /** What the handshake says about who asks. Null: that one may. */
  #judge(request: IncomingMessage, arrival: Arrival): UpgradeRefusal | null {
    if (this.#forwarders?.has(withoutPort(arrival.address)) === true) {
      const address = forwardedAddress(request, this.#forwarders);
      if (address === 'bad') return { status: '400 Bad Request', reason: 'an X-Forwarded-For that names no address' };
      if (address !== null) {
        const entered = this.#reception.admission.entered(address);
        arrival.address = address;
        if (entered !== null && 'limit' in entered) return { status: '403 Forbidden', ...entered };
        arrival.host = entered;
      }
    }
    if (!isForeignOrigin(request, this.#origins)) return null;
    return { status: '403 Forbidden', reason: 'a web page that is not among the origins allowed here' };
  }

  #refuseUpgrade(socket: Socket, { status, reason, limit }: UpgradeRefusal): void {
    const address = this.#addressOf(socket);
    if (socket.writable) {
      socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      socket.destroySoon();
    } else socket.destroy();
    this.#reception.turnedAway(this.url, address, reason, limit);
  }

  #timedOut({ socket, address, host }: Arrival): void {
    this.#left(host);
    this.#turnAway(socket, address, 'no handshake within its time', 'handshakeTimeoutMs');
  }

  #refuse(socket: Duplex, reason: string): void {
    this.#turnAway(socket, this.#addressOf(socket as Socket), reason);
  }

  #turnAway(socket: Duplex, address: string, reason: string, limit?: TurnedAway['limit']): void {
    socket.destroy();
    this.#reception.turnedAway(this.url, address, reason, limit);
  }

  /** It has become no link. */
  #forget(key: string): void {
    const arrival = this.#handshakes.delete(key);
    if (arrival !== undefined) this.#left(arrival.host);
  }

  #left(host: Host | null): void {
    this.#places.taken--;
    this.#reception.admission.left(host);
  }

  #addressOf(socket: Socket): string {
    return this.#handshakes.get(keyOf(socket))?.address ?? socketAddress(socket, this.#options);
  }
}

function ignore(): void {
  // The 'close' that follows says all there is to know.
}

/** The same for a socket and for the TLS socket over it. */
function keyOf(socket: Socket): string {
  return `${socket.localAddress} ${socket.remoteAddress} ${socket.remotePort}`;
}

function socketAddress(socket: Socket, options: ListenerOptions): string {
  if (options.type === 'unix') return options.path;
  const { remoteAddress = 'unknown', remotePort = 0 } = socket;
  return hostAndPort(remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), remotePort);
}

function rangesOf(options: ListenerOptions, name: 'proxyProtocol' | 'forwardedFor'): AddressRanges | null {
  const ranges = (options as { readonly [Name in typeof name]?: readonly string[] })[name];
  return ranges === undefined ? null : new AddressRanges(ranges);
}
