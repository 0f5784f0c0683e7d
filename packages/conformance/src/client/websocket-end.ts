/** The server's end of a WebSocket for client cases: the handshake of RFC 6455, and frames as they are. Knows no MQTT. */
import { createHash } from 'node:crypto';
import { join } from '../bytes.ts';
import type { Link, LinkObserver } from '../link.ts';

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const closeOpcode = 8;

/** What one frame begins with, once it is whole. */
interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** Bytes of the whole frame. */
  readonly length: number;
}

export class WebSocketEnd implements LinkObserver {
  /** Of every data frame that came: 1 text, 2 binary, 0 what goes on. */
  readonly opcodes: number[] = [];
  readonly #link: Link;
  readonly #observer: LinkObserver;
  #isOpen = false;
  #unread: Uint8Array = new Uint8Array(0);

  /** `observer` is told of the payloads, as of a stream. */
  constructor(link: Link, observer: LinkObserver) {
    this.#link = link;
    this.#observer = observer;
  }

  received(bytes: Uint8Array): void {
    this.#unread = join([this.#unread, bytes]);
    if (!this.#isOpen) this.#shakeHands();
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      this.#unread = this.#unread.slice(frame.length);
      if (frame.opcode === closeOpcode) {
        this.frame(closeOpcode, frame.payload);
        this.#link.finish();
      } else if (frame.opcode < closeOpcode) {
        this.opcodes.push(frame.opcode);
        this.#observer.received(frame.payload);
      }
    }
  }

  ended(how: string): void {
    this.#observer.ended(how);
  }

  /** Sends a frame that is a whole message, of 65,535 bytes at most. */
  frame(opcode: number, payload: Uint8Array): void {
    const { length } = payload;
    const size = length < 126 ? [length] : [126, length >> 8, length & 0xff];
    this.#link.send(join([[0x80 | opcode, ...size], payload]));
  }

  #shakeHands(): void {
    const request = String.fromCharCode(...this.#unread);
    const end = request.indexOf('\r\n\r\n');
    const key = /^sec-websocket-key: *(\S+)/im.exec(request)?.[1];
    if (end === -1 || key === undefined) return;
    const accept = createHash('sha1').update(`${key}${guid}`).digest('base64');
    const lines = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${accept}`,
      'Sec-WebSocket-Protocol: mqtt',
    ];
    this.#link.send(new TextEncoder().encode(`${lines.join('\r\n')}\r\n\r\n`));
    this.#unread = this.#unread.slice(end + 4);
    this.#isOpen = true;
  }

  /** The frame that the unread bytes begin with, unmasked, if it is whole. */
  #next(): Frame | undefined {
    const bytes = this.#unread;
    if (!this.#isOpen || bytes.length < 2) return undefined;
    const short = (bytes[1] as number) & 0x7f;
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
    const start = 2 + lengthBytes + 4;
    if (bytes.length < start) return undefined;
    const size = lengthBytes === 0 ? short : bytes.slice(2, 2 + lengthBytes).reduce((sum, byte) => sum * 256 + byte, 0);
    if (bytes.length < start + size) return undefined;
    const mask = bytes.slice(start - 4, start);
    const payload = bytes.slice(start, start + size).map((byte, i) => byte ^ (mask[i % 4] as number));
    return { opcode: (bytes[0] as number) & 0x0f, payload, length: start + size };
  }
}
