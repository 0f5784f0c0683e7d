/**
 * A cursor over the bytes of one packet, and the one place of the codec that takes fields out of them. It never reads at
 * or past `end`: a field that would is a Malformed Packet, named in the error. What it returns is a copy.
 */
import { noBytes } from './bytes.ts';
import { DecodeError } from './error.ts';
import type { ReasonCode as Code } from './reason-code.ts';
import * as ReasonCode from './reason-codes.ts';
import { isUtf8, utf8Text } from './utf8.ts';

export const variableByteIntegerMax = 268_435_455;

export class Reader {
  bytes: Uint8Array = noBytes;
  /** The packet's first byte; offsets in errors count from here. */
  start = 0;
  at = 0;
  /** Where the current block (the packet, or a property block inside it) ends. */
  end = 0;
  /** The packet's name, for errors. */
  packet = '';

  /** Points the reader at bytes[at, end) of the packet that starts at `start`. */
  open(packet: string, bytes: Uint8Array, start: number, at: number, end: number): this {
    this.packet = packet;
    this.bytes = bytes;
    this.start = start;
    this.at = at;
    this.end = end;
    return this;
  }

  get left(): number {
    return this.end - this.at;
  }

  /** Throws the error `PUBLISH: <problem>` for the byte at `at`. */
  fail(reasonCode: Code, problem: string, at: number = this.at): never {
    throw new DecodeError(reasonCode, `${this.packet}: ${problem}`, at - this.start);
  }

  #need(count: number, field: string): number {
    const at = this.at;
    if (this.end - at < count) this.fail(ReasonCode.MalformedPacket, `${field} is cut short`);
    this.at = at + count;
    return at;
  }

  uint8(field: string): number {
    return this.bytes[this.#need(1, field)] as number;
  }

  uint16(field: string): number {
    const at = this.#need(2, field);
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }

  uint32(field: string): number {
    const high = this.uint16(field);
    return high * 0x10000 + this.uint16(field);
  }

  /** A Variable Byte Integer (section 1.5.5): 1 to 4 bytes, as few as its value needs. */
  variableByteInteger(field: string): number {
    const start = this.at;
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.uint8(field);
      value |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      // [MQTT-1.5.5-1]
      if (byte === 0 && shift > 0) this.fail(ReasonCode.MalformedPacket, `${field} is encoded over-long`, start);
      return value;
    }
    return this.fail(ReasonCode.MalformedPacket, `${field} is longer than four bytes`, start);
  }

  /** A packet identifier, which is never 0. */
  packetId(): number {
    const packetId = this.uint16('Packet Identifier');
    if (packetId === 0) this.fail(ReasonCode.ProtocolError, 'Packet Identifier is 0', this.at - 2); // [MQTT-2.2.1-3]
    return packetId;
  }

  string(field: string): string {
    const length = this.uint16(field);
    const at = this.#need(length, field);
    const text = utf8Text(this.bytes, at, this.at);
    if (text === undefined) this.#failText(field, at);
    return text;
  }

  /** Passes over a string, checking it as string() does. */
  skipString(field: string): void {
    const length = this.uint16(field);
    const at = this.#need(length, field);
    if (!isUtf8(this.bytes, at, this.at)) this.#failText(field, at);
  }

  #failText(field: string, at: number): never {
    this.fail(ReasonCode.MalformedPacket, `${field} is not valid UTF-8`, at); // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
  }

  binary(field: string): Uint8Array {
    const length = this.uint16(field);
    const at = this.#need(length, field);
    return this.bytes.slice(at, this.at);
  }

  skipBinary(field: string): void {
    this.#need(this.uint16(field), field);
  }

  /** Reads a length and returns where the block of that many bytes behind it ends. */
  blockEnd(field: string): number {
    const length = this.variableByteInteger(field);
    if (length > this.left) this.fail(ReasonCode.MalformedPacket, `${field} goes past the end of the packet`);
    return this.at + length;
  }

  /** Everything is read, or the packet has surplus bytes. */
  expectEnd(): void {
    if (this.at < this.end) this.fail(ReasonCode.MalformedPacket, 'the packet has surplus bytes');
  }
}
