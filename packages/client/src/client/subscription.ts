/**
 * A subscription as the application has it: messages to a handler or out of an async iterator, one after the other.
 *
 * A message is dealt with when the handler has returned (or its promise has settled), or when the iterator is asked for the next
 * one; with `manualAck`, when `message.ack()` is called. Only then is it acknowledged: who is slow holds the server's window.
 */
import type { QoS, UserProperty } from '@pipit/protocol';
import { MqttError } from '../core/failure.ts';
import { Interest } from '../core/interests.ts';
import type { Acknowledger, Message } from '../core/message.ts';
import { settle } from './settling.ts';

/** What it returns is not looked at, unless it is a promise: then the message is dealt with when that has settled. */
export type MessageHandler = (message: Message) => unknown;

/** How long to wait for the server's answer. Giving up takes back what can still be taken back. */
export interface WaitOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export interface UnsubscribeOptions extends WaitOptions {
  /** 5.0. */
  readonly userProperties?: readonly UserProperty[];
}

/** `signal`, `timeoutMs`: given up, the subscription is taken back. */
export interface SubscribeOptions extends WaitOptions {
  /** The highest QoS at which the server may send; default 0. */
  readonly qos?: QoS;
  /** Gets every message. Without it the subscription is to be iterated over. */
  readonly handler?: MessageHandler;
  /**
   * Messages are acknowledged by `message.ack()`, in any order, and not otherwise. Where several such subscriptions get the same
   * message, one call speaks for all of them.
   */
  readonly manualAck?: boolean;
  /** 5.0: not what this client published itself. */
  readonly noLocal?: boolean;
  /** 5.0: leave the retain flag as the publisher set it. */
  readonly retainAsPublished?: boolean;
  /** 5.0: retained messages at once (0), only if the subscription is new (1), or not (2). */
  readonly retainHandling?: 0 | 1 | 2;
  /**
   * 5.0: sent along with every message because of this subscription. Against a server that sends a message once for each of
   * several overlapping filters it keeps them apart.
   */
  readonly subscriptionIdentifier?: number;
  readonly userProperties?: readonly UserProperty[];
}

/** What a subscription needs of its client. */
export interface SubscriptionOwner extends Acknowledger {
  /** One of those that wanted the message has dealt with it. */
  finished(message: Message, reasonCode: number): void;
  unsubscribe(subscription: Subscription, options: UnsubscribeOptions): Promise<void>;
  /** The application's handler failed. */
  handlerFailed(error: unknown, message: Message): void;
}

export interface Refusal {
  readonly filter: string;
  readonly reasonCode: number;
}

export class Subscription implements AsyncIterableIterator<Message>, AsyncDisposable {
  /** @internal */
  readonly interests: readonly Interest[];
  readonly #owner: SubscriptionOwner;
  readonly #handler: MessageHandler | null;
  readonly #isManual: boolean;
  #queue: Message[] = [];
  /** The message the iterator handed out last, and whoever waits for the next. */
  #current: Message | null = null;
  #waiting: PromiseWithResolvers<IteratorResult<Message>> | null = null;
  #isOver = false;
  #failure: MqttError | null = null;

  /** Throws MqttError for what is no filter. */
  constructor(filters: readonly string[], options: SubscribeOptions, owner: SubscriptionOwner) {
    const { qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0 } = options;
    const { subscriptionIdentifier = null, userProperties = [], handler = null, manualAck = false } = options;
    this.interests = filters.map((filter) => {
      const request = { filter, qos, noLocal, retainAsPublished, retainHandling };
      return new Interest(request, subscriptionIdentifier, userProperties, this);
    });
    this.#owner = owner;
    this.#handler = handler;
    this.#isManual = manualAck;
  }

  get filters(): readonly string[] {
    return this.interests.map(({ filter }) => filter);
  }

  /** The filters that the server did not take, beside others that it took. */
  get refused(): readonly Refusal[] {
    const refused = this.interests.filter(({ reasonCode }) => reasonCode >= 0x80);
    return refused.map(({ filter, reasonCode }) => ({ filter, reasonCode }));
  }

  /** What the server granted to the first filter that it took. */
  get grantedQoS(): QoS {
    return (this.interests.find(({ reasonCode }) => reasonCode < 0x80)?.reasonCode ?? 0) as QoS;
  }

  /** Ends the subscription; resolves when the server has let go of it. What waits for the iterator is still handed out. */
  async unsubscribe(options: UnsubscribeOptions = {}): Promise<void> {
    if (this.#isOver) return;
    const answered = this.#owner.unsubscribe(this, options);
    this.end(null);
    await answered;
  }

  async next(): Promise<IteratorResult<Message>> {
    if (this.#handler !== null)
      throw new MqttError('not-allowed', 'A subscription with a handler is not iterated over');
    this.#finishCurrent();
    const message = this.#queue.shift();
    if (message !== undefined) return this.#hand(message);
    if (this.#failure !== null) throw this.#failure;
    if (this.#isOver) return { done: true, value: undefined };
    if (this.#waiting !== null) throw new MqttError('not-allowed', 'Somebody waits for the next message already');
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** A loop that is left ends the subscription. What it has not taken is let go; with `manualAck` it is not acknowledged. */
  async return(): Promise<IteratorResult<Message>> {
    this.#finishCurrent();
    for (const message of this.#queue.splice(0)) if (!this.#isManual) this.#owner.finished(message, 0);
    await this.unsubscribe().catch(() => undefined);
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** @internal */
  deliver(message: Message): void {
    if (this.#isManual) {
      message.acknowledger = this.#owner;
      message.manual++;
    }
    if (this.#handler !== null) return this.#handle(message, this.#handler);
    if (this.#waiting === null) {
      this.#queue.push(message);
      return;
    }
    const { resolve } = this.#waiting;
    this.#waiting = null;
    resolve(this.#hand(message));
  }

  /** @internal No more messages come; `failure` null: as was wanted. True when nobody will see the failure here. */
  end(failure: MqttError | null): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#failure = failure;
    if (failure === null) this.#waiting?.resolve({ done: true, value: undefined });
    else this.#waiting?.reject(failure);
    this.#waiting = null;
    return this.#handler !== null && failure !== null;
  }

  #handle(message: Message, handler: MessageHandler): void {
    let outcome: unknown;
    try {
      outcome = handler(message);
    } catch (error) {
      return this.#failed(error, message);
    }
    // Most handlers return nothing: no closure for those.
    if (outcome === undefined) return this.#done(message);
    settle(
      () => outcome,
      (error) => this.#failed(error, message),
      () => this.#done(message),
    );
  }

  #failed(error: unknown, message: Message): void {
    this.#owner.handlerFailed(error, message);
    this.#done(message);
  }

  #done(message: Message): void {
    if (!this.#isManual) this.#owner.finished(message, 0);
  }

  #hand(message: Message): IteratorResult<Message> {
    if (!this.#isManual) this.#current = message;
    return { done: false, value: message };
  }

  #finishCurrent(): void {
    const message = this.#current;
    this.#current = null;
    if (message !== null) this.#owner.finished(message, 0);
  }
}
