/**
 * Links over WebSocket connections [MQTT-6.0.0-1], plain or in TLS, and the HTTP side of their opening.
 *
 * A flush leaves as one binary frame, or as one per slab when it is large; packets may straddle the frames of both directions
 * [MQTT-6.0.0-2]. Nothing is compressed.
 */

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { viewOf } from '@pipit/protocol';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import type { Peer } from '../core/index.ts';
import type { TurnedAway } from './admission.ts';
import type { Link, LinkOwner } from './link.ts';
import { OutgoingLink } from './outgoing-link.ts';

const subprotocols = ['mqtt', 'mqttv3.1.1', 'mqttv3.1'] as const;
const closeTimeoutMs = 2_000;
const normalClosure = 1000;
const unsupportedData = 1003;

const linkOf = Symbol('link');
type Linked = WebSocket & { [linkOf]: WebSocketLink };

export interface UpgradeOptions {
  /** Where MQTT is served: `/mqtt`. A query is ignored. */
  readonly path: string;
  /** Refuse clients that name no sub-protocol, as [MQTT-6.0.0-3] would have it; many of them do not. */
  readonly requireSubprotocol: boolean;
  /** Largest MQTT packet before CONNECT was answered, and after. */
  readonly connectPacketBytesMax: number;
  readonly packetBytesMax: number;
}

/**
 * A message is buffered whole before it is handed on, so it has to be bounded: one packet of the largest size, with room for
 * others that were sent along with it.
 */
function messageBytesMax(packetBytesMax: number): number {
  return packetBytesMax + 64 * 1024;
}

/** What turns HTTP upgrade requests into WebSocket connections; it is not a server and listens to nothing. */
export function upgrader(options: UpgradeOptions): WebSocketServer {
  // `closeTimeout` is in the documentation of `ws` and not yet in its types.
  const settings: ServerOptions & { closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageBytesMax(options.packetBytesMax),
    closeTimeout: closeTimeoutMs,
    // [MQTT-6.0.0-4]
    handleProtocols: (offered) => subprotocols.find((name) => offered.has(name)) ?? false,
  };
  return new WebSocketServer(settings);
}

/** Why a request does not become an MQTT connection: to the client an HTTP status. */
export interface UpgradeRefusal {
  readonly status: string;
  readonly reason: string;
  readonly limit?: TurnedAway['limit'];
}

/** Why this request must not become an MQTT connection; null when it may. */
export function refusalOf(request: IncomingMessage, options: UpgradeOptions): UpgradeRefusal | null {
  if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
    return { status: '426 Upgrade Required', reason: 'an HTTP request that is no WebSocket handshake' };
  }
  const path = request.url?.replace(/[?#].*$/s, '');
  if (path !== options.path) return { status: '404 Not Found', reason: 'a WebSocket handshake for another path' };
  const offered = request.headers['sec-websocket-protocol'];
  const names = offered === undefined ? [] : offered.split(',').map((name) => name.trim());
  const isKnown = names.some((name) => (subprotocols as readonly string[]).includes(name));
  if (!isKnown && (names.length > 0 || options.requireSubprotocol)) {
    return { status: '400 Bad Request', reason: 'a WebSocket handshake without the sub-protocol mqtt' };
  }
  return null;
}

/** A link over an open WebSocket. `socket` is the stream that carries it. */
export function webSocketLink(peer: Peer, webSocket: WebSocket, socket: Duplex, options: UpgradeOptions): Link {
  return new WebSocketLink(peer, webSocket, socket, options);
}

class WebSocketLink extends OutgoingLink {
  readonly #webSocket: WebSocket;
  #messageBytesMax: number;
  #error = '';

  constructor(peer: Peer, webSocket: WebSocket, socket: Duplex, options: UpgradeOptions) {
    super(peer, socket, true);
    this.#webSocket = webSocket;
    this.#messageBytesMax = messageBytesMax(options.packetBytesMax);
    boundMessages(webSocket, messageBytesMax(options.connectPacketBytesMax));
    (webSocket as Linked)[linkOf] = this;
    webSocket.on('message', received);
    webSocket.on('error', failed);
    webSocket.on('close', closed);
  }

  start(owner: LinkOwner, head: Uint8Array | null): void {
    this.owner = owner;
    if (head !== null && head.length > 0) owner.received(this, head, viewOf(head), 0, head.length);
    if (!this.isPaused) this.#webSocket.resume();
  }

  pause(): void {
    this.#webSocket.pause();
  }

  resume(): void {
    this.#webSocket.resume();
  }

  destroy(): void {
    this.#webSocket.terminate();
  }

  protected send(bytes: Uint8Array, taken: ((error?: Error | null) => void) | undefined): void {
    if (this.#messageBytesMax > 0) {
      // The first answer is CONNACK, or a step of authentication: from here on the peer is known.
      boundMessages(this.#webSocket, this.#messageBytesMax);
      this.#messageBytesMax = 0;
    }
    this.#webSocket.send(bytes, { binary: true }, taken);
  }

  protected finish(): void {
    this.#webSocket.close(normalClosure);
  }

  received(data: Uint8Array, isBinary: boolean): void {
    if (isBinary) this.owner?.received(this, data, viewOf(data), 0, data.length);
    else {
      this.#webSocket.close(unsupportedData, 'MQTT is binary');
      this.owner?.ended(this, 'a text frame on a WebSocket');
    }
  }

  failed(error: Error): void {
    this.#error = error.message;
  }

  closed(): void {
    this.owner?.gone(this, this.#error);
  }
}

/** Bounds the messages to come. `ws` has one bound for all and no setter; without this field the larger one stays. */
function boundMessages(webSocket: WebSocket, bytes: number): void {
  const { _receiver: receiver } = webSocket as unknown as { _receiver?: { _maxPayload?: number } };
  if (typeof receiver?._maxPayload === 'number') receiver._maxPayload = bytes;
}

function received(this: WebSocket, data: unknown, isBinary: boolean): void {
  (this as Linked)[linkOf].received(data as Uint8Array, isBinary);
}

function failed(this: WebSocket, error: Error): void {
  (this as Linked)[linkOf].failed(error);
}

function closed(this: WebSocket): void {
  (this as Linked)[linkOf].closed();
}
