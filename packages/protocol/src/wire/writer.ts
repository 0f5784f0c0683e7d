/**
 * Grows the bytes of one packet and checks every field against its range, so that nothing illegal is ever written. The
 * fixed header goes in front at the end, when the length is known.
 */
import { EncodeError } from './error.ts';
import { variableByteIntegerMax } from './reader.ts';
import type { ReasonCode as Code } from './reason-code.ts';
import * as ReasonCode from './reason-codes.ts';
import { utf8Length, writeUtf8 } from './utf8.ts';

const fixedHeaderMax = 5;

export class Writer {
  readonly #packet: string;
  #bytes: Uint8Array;
  #at = fixedHeaderMax;

  /** `sizeHint`: roughly how long the body will be; only saves growing. */
  constructor(packet: string, sizeHint: number) {
    this.#packet = packet;
    this.#bytes = new Uint8Array(fixedHeaderMax + sizeHint);
  }

  /** Throws the error `PUBLISH: <problem>`. */
  fail(reasonCode: Code, problem: string): never {
    throw new EncodeError(reasonCode, `${this.#packet}: ${problem}`);
  }

  /** Makes room and returns where it is. May replace the array: take `#bytes` after it. */
  #reserve(count: number): number {
    const at = this.#at;
    const need = at + count;
    if (need > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(need, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    this.#at = need;
    return at;
  }

  #integer(value: number, min: number, max: number, field: string): number {
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    return this.fail(ReasonCode.MalformedPacket, `${field} must be an integer from ${min} to ${max}, not ${value}`);
  }

  uint8(value: number, field: string): void {
    this.#integer(value, 0, 0xff, field);
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  uint16(value: number, field: string): void {
    this.#integer(value, 0, 0xffff, field);
    const at = this.#reserve(2);
    this.#bytes[at] = value >> 8;
    this.#bytes[at + 1] = value;
  }

  uint32(value: number, field: string): void {
    this.#integer(value, 0, 0xffff_ffff, field);
    this.uint16(Math.floor(value / 0x10000), field);
    this.uint16(value % 0x10000, field);
  }

  variableByteInteger(value: number, field: string): void {
    this.#integer(value, 0, variableByteIntegerMax, field);
    const at = this.#reserve(variableByteIntegerSize(value));
    putVariableByteInteger(this.#bytes, at, value);
  }

  packetId(value: number): void {
    if (value === 0) this.fail(ReasonCode.ProtocolError, 'Packet Identifier is 0'); // [MQTT-2.2.1-3] [MQTT-2.2.1-4]
    this.uint16(value, 'Packet Identifier');
  }

  string(text: string, field: string): void {
    if (typeof text !== 'string') this.fail(ReasonCode.MalformedPacket, `${field} must be a string`);
    const length = utf8Length(text, `${this.#packet}: ${field}`);
    if (length > 0xffff) this.fail(ReasonCode.MalformedPacket, `${field} takes ${length} bytes, more than 65535`);
    this.uint16(length, field);
    const at = this.#reserve(length);
    writeUtf8(text, this.#bytes, at);
  }

  binary(bytes: Uint8Array, field: string): void {
    this.#checkBytes(bytes, field);
    if (bytes.length > 0xffff) {
      this.fail(ReasonCode.MalformedPacket, `${field} takes ${bytes.length} bytes, more than 65535`);
    }
    this.uint16(bytes.length, field);
    this.raw(bytes, field);
  }

  #checkBytes(bytes: Uint8Array, field: string): void {
    // Not instanceof: a browser has a Uint8Array for each of its frames.
    if (!ArrayBuffer.isView(bytes)) this.fail(ReasonCode.MalformedPacket, `${field} must be a Uint8Array`);
  }

  /** Bytes without a length: the rest of the packet. */
  raw(bytes: Uint8Array, field: string): void {
    this.#checkBytes(bytes, field);
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Writes what `write` writes, with its length in front as a Variable Byte Integer. */
  block(field: string, write: () => void): void {
    const mark = this.#at;
    write();
    const length = this.#integer(this.#at - mark, 0, variableByteIntegerMax, field);
    const prefix = variableByteIntegerSize(length);
    this.#reserve(prefix);
    this.#bytes.copyWithin(mark + prefix, mark, mark + length);
    putVariableByteInteger(this.#bytes, mark, length);
  }

  /** The whole packet in an array of its own. */
  finish(firstByte: number): Uint8Array {
    const length = this.#at - fixedHeaderMax;
    if (length > variableByteIntegerMax) {
      this.fail(ReasonCode.PacketTooLarge, `Remaining Length ${length} is more than ${variableByteIntegerMax}`);
    }
    const start = fixedHeaderMax - 1 - variableByteIntegerSize(length);
    this.#bytes[start] = firstByte;
    putVariableByteInteger(this.#bytes, start + 1, length);
    return this.#bytes.slice(start, this.#at);
  }
}

function variableByteIntegerSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

function putVariableByteInteger(bytes: Uint8Array, offset: number, value: number): void {
  let at = offset;
  let rest = value;
  for (; rest >= 0x80; rest >>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at] = rest;
}
