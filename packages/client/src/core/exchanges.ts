/** The packets of an accepted connection: messages either way and their acknowledgements, SUBACK, UNSUBACK. */

import * as PacketType from '@pipit/protocol/packet-types';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import { writeAcknowledgement } from './client-packet.ts';
import type { Framer } from './framer.ts';
import type { Incoming } from './incoming.ts';
import type { Message } from './message.ts';
import type { Output } from './output.ts';
import { violation } from './packet-reader.ts';
import type { Receipts } from './receipts.ts';
import type { Requests } from './requests.ts';
import type { Sender } from './sender.ts';
import type { ServerPacket } from './server-packet.ts';

const pubackLength = 4;
const pubackByte = PacketType.Puback << 4;

export class Exchanges {
  readonly #version: 4 | 5;
  readonly #output: Output;
  readonly #sender: Sender;
  readonly #receipts: Receipts;
  readonly #requests: Requests;
  readonly #incoming: Incoming;

  constructor(
    version: 4 | 5,
    output: Output,
    sender: Sender,
    receipts: Receipts,
    requests: Requests,
    incoming: Incoming,
  ) {
    this.#version = version;
    this.#output = output;
    this.#sender = sender;
    this.#receipts = receipts;
    this.#requests = requests;
    this.#incoming = incoming;
  }

  /** Deals with what most packets are, where it lies; false: the packet has to be decoded. Throws DecodeError. */
  atOnce(framer: Framer): boolean {
    const { bytes, view, start, end } = framer;
    const first = bytes[start] as number;
    if (first >> 4 === PacketType.Publish) {
      this.#incoming.publish(framer, this.#version);
      return true;
    }
    if (first !== pubackByte || end - start !== pubackLength) return false;
    const packetId = view.getUint16(start + 2);
    return this.#sender.answered(packetId, PacketType.Puback, 0, null);
  }

  /** Throws DecodeError for what a server may not send now. An acknowledgement of nothing is passed over. */
  packet(packet: ServerPacket): void {
    switch (packet.type) {
      case PacketType.Puback:
        this.#sender.answered(packet.packetId, PacketType.Puback, packet.reasonCode, packet.properties);
        return;
      case PacketType.Pubcomp:
        this.#sender.answered(packet.packetId, PacketType.Pubcomp, 0, null);
        return;
      case PacketType.Pubrec:
        if (this.#sender.taken(packet.packetId, packet.reasonCode, packet.properties)) return;
        return this.#reply(PacketType.Pubrel, packet.packetId, ReasonCode.PacketIdentifierNotFound);
      case PacketType.Pubrel: {
        const isKnown = this.#receipts.released(packet.packetId);
        return this.#reply(PacketType.Pubcomp, packet.packetId, isKnown ? 0 : ReasonCode.PacketIdentifierNotFound);
      }
      case PacketType.Suback:
        return this.#requests.suback(packet);
      case PacketType.Unsuback:
        return this.#requests.unsuback(packet);
      case PacketType.Pingresp:
        return;
      default:
        throw violation('a packet out of turn');
    }
  }

  /** Acknowledges a message with a reason code that is not 0 (5.0). */
  refuse({ qos, packetId, reasonCode, words }: Message): void {
    const type = qos === 1 ? PacketType.Puback : PacketType.Pubrec;
    writeAcknowledgement(this.#output, type, packetId, reasonCode, words);
  }

  #reply(type: typeof PacketType.Pubrel | typeof PacketType.Pubcomp, packetId: number, reasonCode: number): void {
    writeAcknowledgement(this.#output, type, packetId, this.#version === 5 ? reasonCode : 0);
  }
}
