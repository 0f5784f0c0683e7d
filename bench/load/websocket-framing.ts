/**
 * A WebSocket client's bytes (RFC 6455), as much of it as a load needs: the handshake, one masked binary frame for each write,
 * and the payloads of the frames that come back. Not for use as a client: pings are ignored, and a close just ends the socket.
 */

import { randomBytes } from 'node:crypto';
import { viewOf } from '@pipit/protocol';

/** Whom the framing tells what came in. */
export interface Receiver {
  opened(): void;
  received(bytes: Uint8Array, view: DataView, start: number, end: number): void;
}

const endOfHead = '\r\n\r\n';
const binaryFinal = 0x82;
const maskedBit = 0x80;
/** Of what comes in, which is not masked. */
const headerBytesMax = 10;
/** Any but 0, which some servers recognise and skip. */
const mask = new Uint8Array([0x5a, 0xa5, 0x3c, 0xc3]);
const maskWord = viewOf(mask).getInt32(0, true);

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

export class WebSocketFraming {
  readonly #address: Endpoint;
  readonly #owner: Receiver;
  #isOpen = false;
  /** What came of the response so far. */
  #response = '';
  /** What came of a frame's header so far. */
  readonly #header = new Uint8Array(headerBytesMax);
  readonly #headerView = viewOf(this.#header);
  #headerLength = 0;
  /** Payload bytes of the frame under way that are still to come. */
  #payloadLeft = 0;
  #isControl = false;

  constructor(address: Endpoint, owner: Receiver) {
    this.#address = address;
    this.#owner = owner;
  }

  /** The request to open. */
  handshake(): Buffer {
    const { host, port, path } = this.#address;
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: ${host}:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Protocol: mqtt',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ];
    return Buffer.from(lines.join('\r\n') + endOfHead, 'latin1');
  }

  /** bytes[0, length) as one frame, in memory of its own. */
  frame(bytes: Uint8Array, length: number): Uint8Array {
    const headBytes = length < 126 ? 6 : length < 65_536 ? 8 : 14;
    const frame = new Uint8Array(headBytes + length);
    const view = viewOf(frame);
    frame[0] = binaryFinal;
    frame[1] = maskedBit | (length < 126 ? length : length < 65_536 ? 126 : 127);
    if (headBytes === 8) view.setUint16(2, length);
    else if (headBytes === 14) view.setBigUint64(2, BigInt(length));
    frame.set(mask, headBytes - 4);
    frame.set(bytes.subarray(0, length), headBytes);
    let at = headBytes;
    for (const whole = frame.length - 3; at < whole; at += 4)
      view.setInt32(at, view.getInt32(at, true) ^ maskWord, true);
    for (let i = 0; at < frame.length; at++, i++) frame[at] = (frame[at] as number) ^ (mask[i] as number);
    return frame;
  }

  received(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    let at = this.#isOpen ? start : this.#readResponse(bytes, start, end);
    while (at < end) {
      if (this.#payloadLeft === 0) {
        at = this.#readHeader(bytes, at, end);
        continue;
      }
      const stop = Math.min(end, at + this.#payloadLeft);
      if (!this.#isControl) this.#owner.received(bytes, view, at, stop);
      this.#payloadLeft -= stop - at;
      at = stop;
    }
  }

  /** Returns where the frames begin. */
  #readResponse(bytes: Uint8Array, start: number, end: number): number {
    const before = this.#response.length;
    this.#response += Buffer.from(bytes.subarray(start, end)).toString('latin1');
    const headEnd = this.#response.indexOf(endOfHead);
    if (headEnd < 0) return end;
    if (!this.#response.startsWith('HTTP/1.1 101')) {
      throw new Error(`The WebSocket was refused: ${this.#response.split('\r\n')[0]}`);
    }
    this.#response = '';
    this.#isOpen = true;
    this.#owner.opened();
    return start + headEnd + endOfHead.length - before;
  }

  /** Takes header bytes until the header is whole; returns where its payload begins. */
  #readHeader(bytes: Uint8Array, start: number, end: number): number {
    const header = this.#header;
    for (let at = start; at < end; at++) {
      header[this.#headerLength++] = bytes[at] as number;
      const short = (header[1] as number) & 0x7f;
      const size = this.#headerLength < 2 || short < 126 ? 2 : short === 126 ? 4 : 10;
      if (this.#headerLength < size) continue;
      const view = this.#headerView;
      this.#payloadLeft = size === 2 ? short : size === 4 ? view.getUint16(2) : Number(view.getBigUint64(2));
      this.#isControl = ((header[0] as number) & 0x08) !== 0;
      this.#headerLength = 0;
      return at + 1;
    }
    return end;
  }
}
