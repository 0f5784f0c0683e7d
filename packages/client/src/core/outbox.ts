/**
 * Messages that wait to be sent, first in, first out, within a count and a number of bytes.
 *
 * A message that was settled while it waited (aborted) stays in its place until it is reached, but counts no longer.
 */
import type { Outgoing } from './call.ts';
import type { ClientLimits } from './options.ts';

/** Forgotten places in front of the array before they are cut off. */
const slackMax = 1024;

function bytesOf(message: Outgoing): number {
  return message.topic.length + message.payload.length;
}

export class Outbox {
  /** Messages, those not counted that were settled. */
  count = 0;
  bytes = 0;
  readonly #limits: ClientLimits;
  #messages: Outgoing[] = [];
  #head = 0;

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
    this.#messages = [...messages, ...this.#messages.slice(this.#head)];
    this.#head = 0;
    for (const message of messages) this.#count(message);
  }

  /** The message whose turn it is; null when none waits. */
  peek(): Outgoing | null {
    while (this.#head < this.#messages.length) {
      const message = this.#messages[this.#head] as Outgoing;
      if (!message.isSettled) return message;
      this.#advance();
    }
    return null;
  }

  /** Takes the message that peek returned. */
  shift(): void {
    this.forget(this.#messages[this.#head] as Outgoing);
    this.#advance();
  }

  /** A message that waits here is settled, and counts no longer. */
  forget(message: Outgoing): void {
    message.isQueued = false;
    this.count--;
    this.bytes -= bytesOf(message);
  }

  /** Takes all of them, in their order. */
  clear(): Outgoing[] {
    const messages = this.#messages.slice(this.#head).filter((message) => !message.isSettled);
    this.#messages = [];
    this.#head = 0;
    this.count = 0;
    this.bytes = 0;
    return messages;
  }

  #count(message: Outgoing): void {
    message.isQueued = true;
    this.count++;
    this.bytes += bytesOf(message);
  }

  #advance(): void {
    this.#head++;
    if (this.#head === this.#messages.length) {
      this.#messages = [];
      this.#head = 0;
    } else if (this.#head >= slackMax && this.#head * 2 >= this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
  }
}
