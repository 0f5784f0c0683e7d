/**
 * The broker's own program as a publisher and a subscriber: what it waits for, and what is handed to it.
 *
 * It owns the promises of publishes and the subscriptions. Whether the broker runs is not its matter.
 */

import { type QoS, ReasonCode } from '@pipit/protocol';
import type { Core, LocalMessage, LocalPublish, LocalSubscriber } from '../core/index.ts';
import { localPublish, PublishError, type PublishOptions } from './program-publish.ts';
import { type MessageHandler, Subscription } from './subscription.ts';

export interface SubscribeOptions {
  /** The highest QoS delivered; default 2: as published. */
  readonly qos?: QoS;
  /** Messages delivered and not settled at most; default `limits.localWindow`. */
  readonly window?: number;
}

interface Pending {
  readonly done: (reasonCode: number) => void;
  readonly failed: (error: Error) => void;
}

export class Program {
  readonly #core: Core;
  readonly #schedule: () => void;
  readonly #failed: (error: unknown) => void;
  readonly #subscriptions = new Map<LocalSubscriber, Subscription>();
  readonly #published = new Map<number, Pending>();
  #lastToken = 0;

  /** `schedule`: something was put into the core. `failed`: a subscriber's code threw. */
  constructor(core: Core, schedule: () => void, failed: (error: unknown) => void) {
    this.#core = core;
    this.#schedule = schedule;
    this.#failed = failed;
  }

  publish(topic: string, payload: string | Uint8Array, options: PublishOptions): Promise<number> {
    return this.ask((token) => this.#core.publish(localPublish(topic, payload, options), token, performance.now()));
  }

  send(clientId: string, topic: string, payload: string | Uint8Array, options: PublishOptions): Promise<number> {
    const message = (): LocalPublish => localPublish(topic, payload, options);
    return this.ask((token) => this.#core.send(clientId, message(), token, performance.now()));
  }

  /** Throws a Violation on a filter that is not legal. */
  subscribe(
    filters: readonly string[],
    handler: MessageHandler | null,
    { qos = 2, window }: SubscribeOptions,
    claim: boolean,
  ): Subscription {
    const request = { filters, qos, claim, ...(window !== undefined && { window }) };
    const subscriber = this.#core.subscribe(request, performance.now());
    const subscription = new Subscription(
      filters,
      handler,
      (token, reasonCode) => {
        this.#core.settled(subscriber, token, reasonCode, performance.now());
        this.#schedule();
      },
      this.#failed,
      () => {
        this.#subscriptions.delete(subscriber);
        this.#core.unsubscribe(subscriber, performance.now());
        this.#schedule();
      },
    );
    this.#subscriptions.set(subscriber, subscription);
    this.#schedule();
    return subscription;
  }

  // ── what the driver hands on ──

  deliver(subscriber: LocalSubscriber, token: number, message: LocalMessage): void {
    this.#subscriptions.get(subscriber)?.deliver(token, message);
  }

  published(token: number, reasonCode: number): void {
    const pending = this.#published.get(token);
    this.#published.delete(token);
    if (reasonCode < ReasonCode.UnspecifiedError) pending?.done(reasonCode);
    else pending?.failed(new PublishError(reasonCode));
  }

  // ── the end ──

  closeSubscriptions(): void {
    for (const subscription of [...this.#subscriptions.values()]) subscription.close();
  }

  /** What was not accepted until now is not going to be. */
  failPublishes(): void {
    for (const { failed } of this.#published.values()) failed(new PublishError(ReasonCode.ServerShuttingDown));
    this.#published.clear();
  }

  /** Puts in what the core answers by `published`: its reason code. Rejects with a PublishError, or with what `input` throws: then nothing was put in. */
  async ask(input: (token: number) => void): Promise<number> {
    const token = ++this.#lastToken;
    const settled = new Promise<number>((done, failed) => {
      this.#published.set(token, { done, failed });
    });
    try {
      input(token);
    } catch (error) {
      this.#published.delete(token);
      throw error;
    }
    this.#schedule();
    return settled;
  }
}
