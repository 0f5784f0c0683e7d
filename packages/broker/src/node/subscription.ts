/**
 * A subscriber in this process: a session without a socket, whose window is its unsettled messages.
 *
 * With a handler, a message is settled when what the handler returned is. Without one, messages are taken by `for await`,
 * and each is settled when the next one is asked for. While the window is full nothing more comes: the rest waits in the
 * broker, in the queue of the session, under its limits.
 */

import { ReasonCode } from '@pipit/protocol';
import type { LocalMessage } from '../core/index.ts';

/** What `settle` answers for a message: 0x00, or 0x80 and above for a failure. */
export type Settle = (token: number, reasonCode: number) => void;

/** Gets each message; a promise it returns settles the message, anything else does at once. Its value is ignored. */
export type MessageHandler = (message: LocalMessage) => unknown;

/** Answers each publish to a claim with the reason code its publisher gets: 0x00, or 0x80 and above to refuse it. */
export type ClaimHandler = (message: LocalMessage) => number | Promise<number>;

interface Delivery {
  readonly token: number;
  readonly message: LocalMessage;
}

export class Subscription implements AsyncIterable<LocalMessage> {
  readonly filters: readonly string[];
  readonly #handler: MessageHandler | null;
  readonly #settle: Settle;
  readonly #failed: (error: unknown) => void;
  readonly #unsubscribe: (subscription: Subscription) => void;
  #isClosed = false;
  /** For `for await`: what came and was not taken, or who waits for it. Never both. */
  readonly #waiting: Delivery[] = [];
  readonly #takers: ((result: IteratorResult<LocalMessage, undefined>) => void)[] = [];
  /** Taken and not settled. */
  #taken: number | null = null;

  constructor(
    filters: readonly string[],
    handler: MessageHandler | null,
    settle: Settle,
    failed: (error: unknown) => void,
    unsubscribe: (subscription: Subscription) => void,
  ) {
    this.filters = filters;
    this.#handler = handler;
    this.#settle = settle;
    this.#failed = failed;
    this.#unsubscribe = unsubscribe;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends the subscription: nothing more is delivered, and a `for await` over it ends. Messages not settled are dropped. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting.length = 0;
    for (const take of this.#takers.splice(0)) take({ done: true, value: undefined });
    this.#unsubscribe(this);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Throws a TypeError when the subscription has a handler. One loop at a time; leaving it closes the subscription. */
  [Symbol.asyncIterator](): AsyncIterator<LocalMessage, undefined> {
    if (this.#handler !== null) throw new TypeError('This subscription has a handler; its messages go there.');
    return {
      next: () => this.#next(),
      return: () => {
        this.#settleTaken();
        this.close();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** For the broker: a message of this subscription. Never throws. */
  deliver(token: number, message: LocalMessage): void {
    if (this.#isClosed) return;
    if (this.#handler !== null) {
      void this.#handle(this.#handler, token, message);
      return;
    }
    const take = this.#takers.shift();
    if (take === undefined) this.#waiting.push({ token, message });
    else {
      this.#settleTaken();
      this.#taken = token;
      take({ done: false, value: message });
    }
  }

  async #handle(handler: MessageHandler, token: number, message: LocalMessage): Promise<void> {
    let reasonCode: number = ReasonCode.UnspecifiedError;
    try {
      const result = await handler(message);
      reasonCode = typeof result === 'number' ? result : ReasonCode.Success;
    } catch (error) {
      this.#failed(error);
    }
    if (!this.#isClosed) this.#settle(token, reasonCode);
  }

  #next(): Promise<IteratorResult<LocalMessage, undefined>> {
    this.#settleTaken();
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
    const delivery = this.#waiting.shift();
    if (delivery === undefined) return new Promise((take) => this.#takers.push(take));
    this.#taken = delivery.token;
    return Promise.resolve({ done: false, value: delivery.message });
  }

  #settleTaken(): void {
    if (this.#taken === null || this.#isClosed) return;
    const token = this.#taken;
    this.#taken = null;
    this.#settle(token, ReasonCode.Success);
  }
}
