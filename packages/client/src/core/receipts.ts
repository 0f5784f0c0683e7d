/**
 * What was received and is not dealt with: acknowledgements in the order of arrival, QoS 2 identifiers, and how much waits.
 *
 * A message is *consumed* when the application has dealt with it; only then is it acknowledged, and only after all that came
 * before it on this connection. So a slow consumer holds the server's window. What waits is bounded three ways: QoS 1 and 2 by
 * our Receive Maximum; everything by not reading on (`isFull`); and when we must read, because an answer to us is among what
 * comes, QoS 0 beyond the limit is dropped and counted.
 */
import { noBytes } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import { Fifo } from './fifo.ts';
import { Message } from './message.ts';
import type { ClientLimits } from './options.ts';
import type { Output } from './output.ts';

const pubackByte = PacketType.Puback << 4;
const pubrecByte = PacketType.Pubrec << 4;
/** What a message weighs beside its payload, roughly. */
export const messageOverheadBytes = 200;

/** What stands for a message that came again after it was consumed: only its acknowledgement is due, in its turn. */
function repeated(packetId: number): Message {
  const message = new Message('', noBytes, 2, false, true);
  message.packetId = packetId;
  message.isConsumed = true;
  return message;
}

/** Writes an acknowledgement that has more to say than yes. */
export type Refuse = (message: Message) => void;

export class Receipts {
  /** Messages of QoS 0 that were dropped because too much waited. */
  dropped = 0;
  /** Messages and bytes handed out and not consumed. */
  unconsumed = 0;
  unconsumedBytes = 0;
  /**
   * QoS 2 identifiers whose PUBLISH was taken and whose PUBREL has not come, part of the session; with the message while the
   * application has it, since one that is sent again is the same, and null after that.
   */
  readonly #taken = new Map<number, Message | null>();
  /** Messages of this connection whose acknowledgement is due, in the order of arrival. */
  readonly #due = new Fifo<Message>();
  #connection = 1;
  readonly #limits: ClientLimits;
  readonly #output: Output;
  readonly #refuse: Refuse;

  constructor(limits: ClientLimits, output: Output, refuse: Refuse) {
    this.#limits = limits;
    this.#output = output;
    this.#refuse = refuse;
  }

  /** Enough waits for the application. */
  get isFull(): boolean {
    return this.unconsumedBytes > this.#limits.unconsumedBytesMax;
  }

  /** The connection is gone: what was not acknowledged on it will come again, or not. */
  lost(): void {
    this.#connection++;
    this.#due.items = [];
  }

  connected(sessionPresent: boolean): void {
    if (!sessionPresent) this.#taken.clear();
  }

  /** A QoS 2 PUBLISH arrived: whether it is new. One that is not is acknowledged as it was, or will be [MQTT-4.3.3-10]. */
  isNew(packetId: number): boolean {
    const taken = this.#taken.get(packetId);
    if (taken === undefined) return true;
    const held = taken ?? repeated(packetId);
    if (held.connection === this.#connection) return false;
    held.connection = this.#connection;
    this.#due.push(held);
    this.#acknowledge();
    return false;
  }

  /** A message arrived and goes to the application. */
  arrived(message: Message): void {
    message.connection = this.#connection;
    message.size = message.payload.length + messageOverheadBytes;
    this.unconsumed++;
    this.unconsumedBytes += message.size;
    if (message.qos === 0) return;
    this.#due.push(message);
    if (message.qos === 2) this.#taken.set(message.packetId, message);
  }

  /** The application has dealt with it; a second time does nothing. */
  consumed(message: Message, reasonCode: number): void {
    if (message.isConsumed) return;
    message.isConsumed = true;
    message.reasonCode = reasonCode;
    this.unconsumed--;
    this.unconsumedBytes -= message.size;
    if (message.qos === 0) return;
    if (message.qos === 2 && this.#taken.get(message.packetId) === message) this.#taken.set(message.packetId, null);
    if (message.connection === this.#connection) this.#acknowledge();
  }

  /** PUBREL: whether its identifier was known. */
  released(packetId: number): boolean {
    return this.#taken.delete(packetId);
  }

  /** Writes what is due, in the order of arrival [MQTT-4.6.0-2] [MQTT-4.6.0-3]. */
  #acknowledge(): void {
    const due = this.#due;
    for (let message = due.peek(); message?.isConsumed; message = due.peek()) {
      due.shift();
      if (message.reasonCode !== 0) {
        this.#refuse(message);
        if (message.qos === 2 && message.reasonCode >= 0x80) this.#taken.delete(message.packetId);
      } else this.#output.acknowledge(message.qos === 1 ? pubackByte : pubrecByte, message.packetId);
    }
  }
}
