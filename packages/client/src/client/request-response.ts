/**
 * Request and response over MQTT 5.0 (section 4.10): a request names the topic where it wants its answer, and by correlation
 * data which answer is its own.
 *
 * Loaded with the first request or responder. It imports nothing that runs, so that a bundler can leave it apart.
 */
import type { PublishProperties, QoS } from '@pipit/protocol';
import type { FailureKind, MqttError } from '../core/failure.ts';
import type { Message } from '../core/message.ts';
import type { Client } from './client.ts';
import type { Subscription } from './subscription.ts';

export interface RequestOptions {
  /** Default 1. */
  readonly qos?: QoS;
  /** How long the answer may take; default 30,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly properties?: Omit<
    PublishProperties,
    'topicAlias' | 'subscriptionIdentifiers' | 'responseTopic' | 'correlationData'
  >;
}

/** What a responder answers with: a payload, or one with properties. */
export type Answer =
  | string
  | Uint8Array
  | { readonly payload: string | Uint8Array; readonly properties?: RequestOptions['properties'] };

/** What it rejects or throws is told like a failed handler, and the request gets no answer. */
export type Responder = (request: Message) => Answer | Promise<Answer>;

const defaultTimeoutMs = 30_000;
const correlationBytes = 8;

interface Pending {
  readonly resolve: (message: Message) => void;
}

/** The requests of one client. Their answers come on one topic of its own, subscribed to with the first request. */
export class Requester {
  readonly #client: Client;
  readonly #random: (count: number) => Uint8Array;
  readonly #failure: (kind: FailureKind, message: string) => MqttError;
  readonly #pending = new Map<string, Pending>();
  #responses: Promise<Subscription> | null = null;
  #topic = '';

  constructor(
    client: Client,
    random: (count: number) => Uint8Array,
    failure: (kind: FailureKind, message: string) => MqttError,
  ) {
    this.#client = client;
    this.#random = random;
    this.#failure = failure;
  }

  async request(topic: string, payload: string | Uint8Array, options: RequestOptions): Promise<Message> {
    const { qos = 1, timeoutMs = defaultTimeoutMs, signal, properties } = options;
    const late = AbortSignal.timeout(timeoutMs);
    const limit = signal === undefined ? late : AbortSignal.any([late, signal]);
    const correlationData = this.#random(correlationBytes);
    const key = keyOf(correlationData);
    const answered = Promise.withResolvers<Message>();
    const giveUp = (): void => {
      const words = late.aborted ? `There was no answer in ${timeoutMs} ms` : 'The request was aborted';
      answered.reject(this.#failure(late.aborted ? 'timed-out' : 'aborted', words));
    };
    // It is looked at below; a failure before that must not count as one that nobody looks at.
    answered.promise.catch(() => undefined);
    this.#pending.set(key, answered);
    limit.addEventListener('abort', giveUp);
    try {
      if (limit.aborted) giveUp();
      await Promise.race([this.#subscribed(), answered.promise]);
      const words = { ...properties, responseTopic: this.#topic, correlationData };
      await Promise.race([
        this.#client.publish(topic, payload, { qos, properties: words, signal: limit }),
        answered.promise,
      ]);
      return await answered.promise;
    } finally {
      this.#pending.delete(key);
      limit.removeEventListener('abort', giveUp);
    }
  }

  async #subscribed(): Promise<void> {
    this.#responses ??= this.#subscribe();
    try {
      await this.#responses;
    } catch (error) {
      this.#responses = null;
      throw error;
    }
  }

  /** The topic begins as the server's Response Information says, and differs from that of an earlier run. */
  async #subscribe(): Promise<Subscription> {
    const { properties } = await this.#client.connected();
    const prefix = properties.responseInformation ?? 'response';
    // A client id may have what a topic may not.
    const owner = this.#client.clientId.replaceAll(/[+#]/g, '');
    this.#topic = `${prefix}/${owner}/${keyOf(this.#random(4))}`;
    return this.#client.subscribe(this.#topic, { qos: 1, handler: (message) => this.#answered(message) });
  }

  #answered(message: Message): void {
    const { correlationData } = message.properties;
    if (correlationData !== undefined) this.#pending.get(keyOf(correlationData))?.resolve(message);
  }
}

/** A handler that answers each request by what the responder says; a message that asks for no answer is passed over. */
export function answering(client: Client, responder: Responder): (request: Message) => Promise<void> {
  return async (request) => {
    const { responseTopic, correlationData } = request.properties;
    if (responseTopic === undefined) return;
    const answer = await responder(request);
    const { payload, properties = {} } =
      typeof answer === 'string' || ArrayBuffer.isView(answer) ? { payload: answer } : answer;
    const words = { ...properties, ...(correlationData !== undefined && { correlationData }) };
    await client.publish(responseTopic, payload, { qos: request.qos, properties: words });
  };
}

function keyOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
