/**
 * The bytes that go out with the next write: packets of a whole turn, one behind the other, written where they lie. Knows the forms of
 * fields (section 1.5) and the two packets that are most of what is sent; all others are client-packet.ts.
 *
 * The buffer is handed out by `take` and comes back by `give` when whoever wrote it has no more use for it; until then another
 * one is filled. What is appended is copied.
 */
import { noBytes, noView, type QoS, viewOf } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import { notAllowed } from './failure.ts';
import type { SentTopic } from './sent-topics.ts';
import { encodeField } from './text.ts';

const firstBytes = 16 * 1024;
/** A buffer that grew beyond this for one large message is not kept for the next turn. */
const keptBytesMax = 256 * 1024;

const aliasPropertyBytes = 3;
/** As much as MQTT can say: a Remaining Length of four bytes, and what is in front of it. */
export const packetBytesMax = 268_435_455 + 5;

/** The first byte of a PUBLISH. */
export function publishByte(qos: QoS, retain: boolean, dup: boolean): number {
  return (PacketType.Publish << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
}

/** How many bytes a Variable Byte Integer takes. */
export function lengthBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

export class Output {
  /** Bytes appended and not taken. */
  length = 0;
  #bytes: Uint8Array = noBytes;
  #view: DataView = noView;

  /** A PUBLISH without properties but a topic alias (0: none). `topic` null leaves the name to the alias. */
  publish(
    topic: SentTopic | null,
    payload: Uint8Array,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    alias: number,
    version: 4 | 5,
  ): void {
    const topicBytes = topic === null ? 2 : topic.bytes.length;
    const propertiesBytes = version === 5 ? (alias === 0 ? 1 : 1 + aliasPropertyBytes) : 0;
    const remaining = topicBytes + (qos === 0 ? 0 : 2) + propertiesBytes + payload.length;
    let at = this.#reserve(5 + remaining);
    const bytes = this.#bytes;
    const view = this.#view;
    bytes[at++] = publishByte(qos, retain, dup);
    let rest = remaining;
    for (; rest >= 0x80; rest >>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
    bytes[at++] = rest;
    if (topic === null) view.setUint16(at, 0);
    // Byte by byte: `set` takes longer for what is as short as a topic.
    else for (let i = 0; i < topicBytes; i++) bytes[at + i] = topic.bytes[i] as number;
    at += topicBytes;
    if (qos !== 0) {
      view.setUint16(at, packetId);
      at += 2;
    }
    if (propertiesBytes > 0) bytes[at++] = propertiesBytes - 1;
    if (alias !== 0) {
      bytes[at++] = 0x23;
      view.setUint16(at, alias);
      at += 2;
    }
    bytes.set(payload, at);
    this.length = at + payload.length;
  }

  /** An acknowledgement that says yes: four bytes in every version. */
  acknowledge(firstByte: number, packetId: number): void {
    const at = this.#reserve(4);
    this.#view.setUint16(at, (firstByte << 8) | 2);
    this.#view.setUint16(at + 2, packetId);
    this.length = at + 4;
  }

  /**
   * A packet: its first byte, the length, and what `write` writes. False for one of more than `bytesMax`. When that is so, or
   * `write` throws, nothing of it is there.
   */
  packet(firstByte: number, write: () => void, bytesMax = packetBytesMax): boolean {
    const start = this.length;
    let isWhole = false;
    try {
      this.uint8(firstByte);
      this.block(write);
      isWhole = this.length - start <= bytesMax;
    } finally {
      if (!isWhole) this.length = start;
    }
    return isWhole;
  }

  /** What `write` writes, with its length in front as a Variable Byte Integer. */
  block(write: () => void): void {
    const start = this.length;
    write();
    const size = this.length - start;
    const prefix = lengthBytes(size);
    this.#reserve(prefix);
    this.#bytes.copyWithin(start + prefix, start, start + size);
    this.length = start;
    this.variableByteInteger(size);
    this.length += size;
  }

  // Fields. A number must be legal, or it is cut to what has room.

  uint8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
    this.length = at + 1;
  }

  uint16(value: number): void {
    this.uint8(value >> 8);
    this.uint8(value);
  }

  uint32(value: number): void {
    this.uint16(value >> 16);
    this.uint16(value);
  }

  variableByteInteger(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest >>= 7) this.uint8((rest & 0x7f) | 0x80);
    this.uint8(rest);
  }

  /** Bytes without a length. */
  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    this.length = at + bytes.length;
  }

  /** Throws MqttError, as `string` does. */
  binary(bytes: Uint8Array, field: string): void {
    // Not instanceof: a browser has a Uint8Array for each of its frames.
    if (!ArrayBuffer.isView(bytes) || bytes.length > 0xffff) throw notAllowed(`${field} must be at most 65,535 bytes`);
    this.uint16(bytes.length);
    this.raw(bytes);
  }

  string(text: string, field: string): void {
    this.binary(encodeField(text, field), field);
  }

  /** What there is to write, as bytes whose buffer is the taker's until it is given back; null when there is nothing. */
  take(): Uint8Array | null {
    if (this.length === 0) return null;
    const taken = this.#bytes.subarray(0, this.length);
    this.#bytes = noBytes;
    this.#view = noView;
    this.length = 0;
    return taken;
  }

  /** Bytes that were taken are written and may be overwritten. */
  give(taken: Uint8Array): void {
    if (this.#bytes.length > 0 || taken.buffer.byteLength > keptBytesMax) return;
    this.#bytes = new Uint8Array(taken.buffer);
    this.#view = viewOf(this.#bytes);
  }

  /** Nothing of what was appended may leave any more. */
  clear(): void {
    this.length = 0;
  }

  #reserve(count: number): number {
    const at = this.length;
    const need = at + count;
    if (need > this.#bytes.length) {
      const size = Math.max(firstBytes, this.#bytes.length * 4, need);
      const grown = new Uint8Array(size);
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = viewOf(grown);
    }
    return at;
  }
}
