/** A cursor over the body of one packet from the server. What it returns is a copy. A field that goes past the end is a Malformed Packet. */
import { DecodeError } from '@pipit/protocol';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import { decodeField } from './text.ts';

/** The server broke a rule. */
export function violation(problem: string, reasonCode: number = ReasonCode.ProtocolError): DecodeError {
  return new DecodeError(reasonCode as DecodeError['reasonCode'], problem, 0);
}

export function malformed(problem: string): DecodeError {
  return violation(problem, ReasonCode.MalformedPacket);
}

/** Its methods that take nothing are named as the types of properties. */
export class PacketReader {
  at: number;
  end: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  /** Passes over bytes, and returns where they are. */
  #pass(count: number): number {
    const { at } = this;
    if (this.left < count) throw malformed('a field is cut short');
    this.at = at + count;
    return at;
  }

  uint8(): number {
    return this.#bytes[this.#pass(1)] as number;
  }

  uint16(): number {
    return this.uint8() * 0x100 + this.uint8();
  }

  uint32(): number {
    return this.uint16() * 0x1_0000 + this.uint16();
  }

  /** Section 1.5.5: 1 to 4 bytes, as few as its value needs. */
  variableByteInteger(): number {
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.uint8();
      value |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (byte === 0 && shift > 0) break; // [MQTT-1.5.5-1]
      return value;
    }
    throw malformed('an integer is longer than it may be');
  }

  packetId(): number {
    const packetId = this.uint16();
    if (packetId === 0) throw violation('Packet Identifier is 0'); // [MQTT-2.2.1-3]
    return packetId;
  }

  binary(): Uint8Array {
    return this.#bytes.slice(this.#pass(this.uint16()), this.at);
  }

  string(): string {
    return decodeField(this.#bytes.subarray(this.#pass(this.uint16()), this.at));
  }

  topic(): string {
    const topic = this.string();
    if (topic === '' || /[+#]/.test(topic)) throw violation('a Response Topic is no topic name'); // [MQTT-3.3.2-14]
    return topic;
  }

  userProperty(): [name: string, value: string] {
    return [this.string(), this.string()]; // [MQTT-1.5.7-1]
  }
}
