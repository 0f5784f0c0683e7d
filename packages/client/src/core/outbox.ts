/**
 * Messages that wait to be sent, first in, first out, within a count and a number of bytes.
 *
 * A message that was settled while it waited (aborted) stays in its place until it is reached, but counts no longer.
 */
import type { Outgoing } from './call.ts';
import { Fifo } from './fifo.ts';
import type { ClientLimits } from './options.ts';

function bytesOf(message: Outgoing): number {
  return message.topic.length + message.payload.length;
}

export class Outbox {
  /** Messages, those not counted that were settled. */
  count = 0;
  bytes = 0;
  readonly #limits: ClientLimits;
  readonly #messages = new Fifo<Outgoing>();

  constructor(limits: ClientLimits) {
    this.#limits = limits;
  }

  /** Whether there is room for it. */
  takes(message: Outgoing): boolean {
    const { outboxMessagesMax, outboxBytesMax } = this.#limits;
    return this.count < outboxMessagesMax && this.bytes + bytesOf(message) <= outboxBytesMax;
  }

  /** Whether there would be room if it were empty. */
  couldTake(message: Outgoing): boolean {
    return this.#limits.outboxMessagesMax > 0 && bytesOf(message) <= this.#limits.outboxBytesMax;
  }

  push(message: Outgoing): void {
    this.#messages.push(message);
    this.#count(message);
  }

  /** Puts messages in front of all others, in their order. Limits do not apply: they have been accepted before. */
  putBack(messages: readonly Outgoing[]): void {
    this.#messages.items = [...messages, ...this.#messages.items];
    for (const message of messages) this.#count(message);
  }

  /** The message whose turn it is; undefined when none waits. */
  peek(): Outgoing | undefined {
    const messages = this.#messages;
    while (messages.peek()?.isSettled) messages.shift();
    return messages.peek();
  }

  /** Takes the message that peek returned. */
  shift(): void {
    this.forget(this.#messages.peek() as Outgoing);
    this.#messages.shift();
  }

  /** A message that waits here is settled, and counts no longer. */
  forget(message: Outgoing): void {
    message.isQueued = false;
    this.count--;
    this.bytes -= bytesOf(message);
  }

  /** Takes all of them, in their order. */
  clear(): Outgoing[] {
    const messages = this.#messages.items.filter((message) => !message.isSettled);
    this.#messages.items = [];
    this.count = 0;
    this.bytes = 0;
    return messages;
  }

  #count(message: Outgoing): void {
    message.isQueued = true;
    this.count++;
    this.bytes += bytesOf(message);
  }
}
