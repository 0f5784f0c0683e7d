/**
 * The bytes that go out with the next write: packets of a whole turn, one behind the other, in one buffer.
 *
 * The buffer is handed out by `take` and comes back by `give` when whoever wrote it has no more use for it; until then another
 * one is filled. What is appended is copied.
 */
import { copyBytes, noBytes, noView, type QoS, viewOf } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import type { SentTopic } from './sent-topics.ts';

const firstBytes = 16 * 1024;
/** A buffer that grew beyond this for one large message is not kept for the next turn. */
const keptBytesMax = 256 * 1024;

const dupFlag = 0b1000;
const aliasPropertyBytes = 3;

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
    bytes[at++] = (PacketType.Publish << 4) | (dup ? dupFlag : 0) | (qos << 1) | (retain ? 1 : 0);
    let rest = remaining;
    for (; rest >= 0x80; rest >>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
    bytes[at++] = rest;
    if (topic === null) view.setUint16(at, 0);
    else copyBytes(bytes, view, at, topic.bytes, topic.view, 0, topicBytes);
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

  /** Any packet, encoded. */
  packet(packet: Uint8Array): void {
    const at = this.#reserve(packet.length);
    this.#bytes.set(packet, at);
    this.length = at + packet.length;
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
