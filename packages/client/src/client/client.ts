/**
 * The client: promises, iterators and handlers around a core.
 *
 * Every promise it returns settles: with the server's answer, or an MqttError that says why there is none. What is asked for
 * while there is no connection waits for one.
 */
import type { ConnackProperties, DisconnectProperties } from '@pipit/protocol';
import { type Call, Outgoing, type PublishResult, Reauthentication } from '../core/call.ts';
import { Core } from '../core/core.ts';
import type { Effect } from '../core/effect.ts';
import { type FailureKind, MqttError } from '../core/failure.ts';
import { type Interest, SubscribeCall, UnsubscribeCall } from '../core/interests.ts';
import type { Message } from '../core/message.ts';
import type { CoreOptions } from '../core/options.ts';
import type { Status } from '../core/status.ts';
import { payloadBytes } from '../core/text.ts';
import { type ConnectOptions, coreOptionsOf, type EndOptions, type PublishOptions } from './connect-options.ts';
import { Driver } from './driver.ts';
import type { DurableOutbox } from './durable-outbox.ts';
import type { StoredMessage } from './outbox-store.ts';
import type { Platform } from './platform.ts';
import type { Requester, RequestOptions, Responder } from './request-response.ts';
import { settle } from './settling.ts';
import { Statuses, type StatusListener } from './statuses.ts';
import { type SubscribeOptions, Subscription, type UnsubscribeOptions, type WaitOptions } from './subscription.ts';
import type { Link, LinkOwner, Transports } from './transport.ts';

export type Connected = Extract<Status, { state: 'connected' }>;

const defaultDrainMs = 5_000;

/** Loaded when they are needed: a page that only publishes and subscribes does without. */
const durableOutbox = (): Promise<typeof import('./durable-outbox.ts')> => import('./durable-outbox.ts');
const requestResponse = (): Promise<typeof import('./request-response.ts')> => import('./request-response.ts');

export class Client implements AsyncDisposable {
  readonly #urls: readonly URL[];
  readonly #options: ConnectOptions;
  readonly #coreOptions: CoreOptions;
  readonly #transports: Transports;
  readonly #platform: Platform;
  readonly #core: Core;
  readonly #driver: Driver;
  readonly #statuses: Statuses;
  readonly #subscriptions = new Set<Subscription>();
  readonly #outbox: Promise<DurableOutbox> | null;
  #requester: Promise<Requester> | null = null;
  #isEnding = false;

  /** Use `connect`. Throws MqttError or TypeError for what cannot be right. */
  constructor(urls: readonly string[], options: ConnectOptions, transports: Transports, platform: Platform) {
    if (urls.length === 0) throw new TypeError('There is no URL to connect to');
    this.#urls = urls.map((url) => new URL(url));
    this.#transports = { ...transports, ...options.transports };
    for (const url of this.#urls) this.#transportOf(url);
    this.#options = options;
    this.#platform = platform;
    this.#coreOptions = coreOptionsOf(this.#urls, options);
    const [a = 0, b = 0, c = 0, d = 0] = platform.random(4);
    this.#core = new Core(this.#coreOptions, (a << 24) | (b << 16) | (c << 8) | d);
    const why = { cause: 'asked', message: 'The client was made', reasonCode: null } as const;
    this.#statuses = new Statuses({ state: 'connecting', server: 0, attempt: 0, why });
    this.#driver = new Driver(this.#core, platform, {
      dial: (server, reference, owner) => this.#dial(server, reference, owner),
      delivered: (message) => this.#delivered(message),
      perform: (effect) => this.#perform(effect),
    });
    const { outbox } = options;
    this.#outbox =
      outbox === undefined
        ? null
        : durableOutbox().then(({ DurableOutbox }) => new DurableOutbox(outbox, this.#stored));
    this.#outbox?.catch((error: unknown) => this.#report(error));
    this.#core.start(platform.now());
    this.#driver.wake();
  }

  // ── The connection

  /** 5, or 4 for 3.1.1. */
  get version(): 4 | 5 {
    return this.#coreOptions.version;
  }

  get status(): Status {
    return this.#statuses.current;
  }

  /** Every change of the status, beginning with the one now, until the client has ended. */
  statuses(): AsyncIterable<Status> {
    return this.#statuses;
  }

  /** Calls the listener for every change of the status; the function returned ends that. What it throws goes to `onError`. */
  onStatus(listener: StatusListener): () => void {
    return this.#statuses.listen(listener);
  }

  /** The client id: the one given, or the server's choice; empty before there is one. */
  get clientId(): string {
    return this.#core.clientId;
  }

  /** Resolves when there is a connection, at once if there is one. Rejects when the client ends first, or by the signal. */
  connected({ signal }: { readonly signal?: AbortSignal } = {}): Promise<Connected> {
    const { promise, resolve, reject } = Promise.withResolvers<Connected>();
    const look = (status: Status): void => {
      if (status.state === 'connected') resolve(status);
      else if (status.state === 'ended') reject(endedBy(status));
    };
    const stop = this.onStatus(look);
    look(this.status);
    return unlessAborted(promise, signal, reject).finally(stop);
  }

  /** What the server of this connection said in its CONNACK; empty while there is none. */
  get server(): ConnackProperties {
    return this.status.state === 'connected' ? this.status.properties : {};
  }

  /** The network may be another. A wait is cut short; a connection is probed, and kept if it answers. */
  networkChanged(): void {
    this.#core.networkChanged(this.#platform.now());
    this.#driver.wake();
  }

  /** 5.0: authenticates again with fresh data, beside all traffic. */
  reauthenticate(data: Uint8Array | null = null, options: WaitOptions = {}): Promise<void> {
    const call = new Reauthentication();
    const asked = this.#ask(call, () => this.#core.reauthenticate(data, call));
    return this.#within(call, asked, options);
  }

  /**
   * Sends what was asked for and waits for its answers, for a time; says goodbye; resolves when nothing is left. Rejects
   * only for what DISCONNECT may not say, and then nothing has ended. What has no answer by then rejects with `ended`.
   */
  async end(options: EndOptions = {}): Promise<void> {
    const { drainMs = defaultDrainMs, reasonCode = 0 } = options;
    if (!this.#isEnding) {
      this.#core.end(reasonCode, this.#farewell(options), drainMs, this.#platform.now());
      this.#isEnding = true;
      this.#driver.wake();
    }
    for await (const { state } of this.#statuses) if (state === 'ended') break;
    await this.#driver.gone();
    await (await this.#outbox)?.close();
  }

  /** Lets go of everything at once: no goodbye, so the server publishes the will. */
  destroy(): void {
    this.#isEnding = true;
    this.#core.destroy();
    this.#driver.wake();
    this.#outbox?.then((outbox) => outbox.close()).catch((error: unknown) => this.#report(error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  // ── Messages

  /**
   * Resolves when the server has taken the message (QoS 1 and 2), or it was handed to the socket (QoS 0); rejects with an
   * MqttError. The payload is copied where it has to be kept.
   */
  publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<PublishResult> {
    const { qos = 0, retain = false, properties = null } = options;
    const isPlain = properties === null && options.signal === undefined && options.timeoutMs === undefined;
    let bytes: Uint8Array;
    try {
      bytes = payloadBytes(payload);
      if (qos === 0 && isPlain && this.#core.publishAtOnce(topic, bytes, retain)) return this.#driver.flushed;
    } catch (error) {
      return Promise.reject(error);
    }
    const own = bytes === payload ? copied(bytes) : bytes;
    const message = new Outgoing(topic, own, qos, retain, properties);
    if (qos > 0 && this.#outbox !== null) {
      const answer = this.#outbox.then((outbox) => outbox.publish(message, options.until ?? 'answered'));
      return this.#within(message, answer, options);
    }
    const answer = new Promise<PublishResult>((resolve, reject) => {
      message.resolve = resolve;
      message.reject = reject;
    });
    this.#core.publish(message, this.#platform.now());
    this.#driver.wake();
    return isPlain ? answer : this.#within(message, answer, options);
  }

  /**
   * Resolves when the server has granted a filter at least; `refused` of the subscription has those it did not. Rejects with an
   * MqttError when it refused all of them. Made again by itself after the server has forgotten it.
   */
  async subscribe(filters: string | readonly string[], options: SubscribeOptions = {}): Promise<Subscription> {
    const list = typeof filters === 'string' ? [filters] : filters;
    if (list.length === 0) throw new MqttError('not-allowed', 'There is no filter to subscribe to');
    const subscription = new Subscription(list, options, this.#side);
    const call = new SubscribeCall(subscription.interests);
    this.#subscriptions.add(subscription);
    try {
      const asked = this.#ask(call, () => this.#core.subscribe(call, this.#platform.now()));
      await this.#within(call, asked, options);
    } catch (error) {
      this.#subscriptions.delete(subscription);
      throw error;
    }
    return subscription;
  }

  /**
   * 5.0: publishes a request and resolves to the answer to it. Rejects with an MqttError when the request is refused, or nobody
   * answers in time. The topic for answers is subscribed to with the first request.
   */
  async request(topic: string, payload: string | Uint8Array, options: RequestOptions = {}): Promise<Message> {
    if (this.version === 4) throw new MqttError('not-allowed', 'Requests take MQTT 5.0');
    this.#requester ??= requestResponse().then(({ Requester }) => new Requester(this, this.#platform.random, failure));
    return (await this.#requester).request(topic, payload, options);
  }

  /** 5.0: answers requests by what the responder says. A request is acknowledged when its answer was published. */
  async respond(
    filters: string | readonly string[],
    responder: Responder,
    options: Omit<SubscribeOptions, 'handler' | 'manualAck'> = {},
  ): Promise<Subscription> {
    const { answering } = await requestResponse();
    return this.subscribe(filters, { qos: 1, ...options, handler: answering(this, responder) });
  }

  /** Bytes and messages that wait to be sent, and messages sent whose answer is awaited. */
  get outbox(): { readonly messages: number; readonly bytes: number; readonly inFlight: number } {
    const { outbox, inFlight } = this.#core.sender;
    return { messages: outbox.count, bytes: outbox.bytes, inFlight };
  }

  /** Messages of QoS 0 that were dropped because the application was too slow and an answer had to be read. */
  get dropped(): number {
    return this.#core.receipts.dropped;
  }

  // ── Inside

  readonly #side = {
    finished: (message: Message, reasonCode: number): void => this.#finished(message, reasonCode),
    acknowledge: (message: Message, reasonCode: number): void => {
      message.unfinished -= message.manual - 1;
      this.#finished(message, reasonCode);
    },
    handlerFailed: (error: unknown): void => this.#report(error),
    unsubscribe: (subscription: Subscription, options: UnsubscribeOptions): Promise<void> => {
      const call = new UnsubscribeCall(options.userProperties);
      const asked = this.#ask(call, () => this.#core.unsubscribe(subscription.interests, call, this.#platform.now()));
      this.#subscriptions.delete(subscription);
      return this.#within(call, asked, options);
    },
  };

  readonly #stored = {
    now: (): number => this.#platform.now(),
    failed: (error: unknown): void => this.#report(error),
    failure,
    outgoing: ({ topic, payload, qos, retain, properties }: StoredMessage): Outgoing =>
      new Outgoing(topic, payload, qos, retain, properties),
    publish: (message: Outgoing): void => {
      this.#core.publish(message, this.#platform.now());
      this.#driver.wake();
    },
    restore: (messages: readonly Outgoing[]): void => {
      this.#core.sender.restore(messages);
      this.#driver.wake();
    },
  };

  #ask<Result>(call: Call<Result>, ask: () => void): Promise<Result> {
    const answer = new Promise<Result>((resolve, reject) => {
      call.resolve = resolve;
      call.reject = reject;
    });
    ask();
    this.#driver.wake();
    return answer;
  }

  /** The answer, unless the signal or the time comes first. */
  #within<Result>(call: Call<Result>, answer: Promise<Result>, { signal, timeoutMs }: WaitOptions): Promise<Result> {
    const giveUp = (failure: MqttError): void => {
      this.#core.abort(call, failure, this.#platform.now());
      this.#driver.wake();
    };
    const settled = unlessAborted(answer, signal, giveUp);
    if (timeoutMs === undefined) return settled;
    const late = (): void => giveUp(new MqttError('timed-out', `There was no answer in ${timeoutMs} ms`));
    const timer = this.#platform.later(late, timeoutMs);
    return settled.finally(() => this.#platform.cancel(timer));
  }

  #dial(server: number, reference: string | null, owner: LinkOwner): Link {
    const url = this.#urls[server] as URL;
    const target = reference === null ? url : referred(url, reference);
    return this.#transportOf(target).open(target, owner);
  }

  #transportOf(url: URL): Transports[string] {
    const transport = this.#transports[url.protocol.slice(0, -1)];
    if (transport !== undefined) return transport;
    throw new TypeError(`There is no transport for ${url.protocol}`);
  }

  #delivered(message: Message): void {
    const { plan } = message;
    if (plan.length === 0) return this.#unclaimed(message);
    message.unfinished = plan.length;
    for (let i = 0; i < plan.length; i++) {
      const subscription = (plan[i] as Interest).owner as Subscription;
      // Two filters of one subscription may match: it gets the message once.
      if (i > 0 && plan.findIndex(({ owner }) => owner === subscription) < i) this.#finished(message, 0);
      else subscription.deliver(message);
    }
  }

  #unclaimed(message: Message): void {
    message.unfinished = 1;
    const done = (): void => this.#finished(message, 0);
    const failed = (error: unknown): void => {
      this.#report(error);
      done();
    };
    settle(() => this.#options.onMessage?.(message), failed, done);
  }

  #finished(message: Message, reasonCode: number): void {
    message.unfinished--;
    if (reasonCode !== 0) message.reasonCode = reasonCode;
    if (message.unfinished > 0) return;
    this.#core.consumed(message, message.reasonCode);
    this.#driver.wake();
  }

  #perform(effect: Effect): void {
    if (effect.kind === 'status') this.#became(effect.status);
    else if (effect.kind === 'unsubscribed') this.#lostSubscription(effect.interest, effect.failure);
    else if (effect.kind === 'challenge') this.#challenged(effect.properties.authenticationData ?? null);
  }

  #became(status: Status): void {
    if (status.state === 'ended') {
      const failure = this.#isEnding ? null : endedBy(status);
      for (const subscription of this.#subscriptions) subscription.end(failure);
      this.#subscriptions.clear();
    }
    this.#statuses.tell(status, (error) => this.#report(error));
    const { birth } = this.#options;
    if (status.state !== 'connected' || birth === undefined) return;
    settle(
      () => birth(this, status),
      (error) => this.#report(error),
    );
  }

  /** A filter is gone for good; the subscription ends with its last one. */
  #lostSubscription({ owner }: Interest, failure: MqttError): void {
    const subscription = owner as Subscription;
    if (subscription.interests.some(({ state }) => state !== 'gone')) return this.#report(failure);
    this.#subscriptions.delete(subscription);
    if (subscription.end(failure)) this.#report(failure);
  }

  #challenged(data: Uint8Array | null): void {
    const answer = async (): Promise<void> => {
      const said = (await this.#options.authentication?.answer(data)) ?? null;
      this.#core.authenticate(said);
      this.#driver.wake();
    };
    answer().catch((error: unknown) => {
      this.#report(error);
      this.#driver.cut();
    });
  }

  /** Not within the turn, which has to go on. An error that nobody asked for ends where uncaught ones end. */
  #report(error: unknown): void {
    const { onError } = this.#options;
    queueMicrotask(() => {
      if (onError === undefined) throw error;
      onError(error);
    });
  }

  #farewell({ sessionExpirySeconds, properties }: EndOptions): DisconnectProperties {
    const { sessionExpirySeconds: announced, version } = this.#coreOptions;
    if (version === 4 || announced === 0) return { ...properties };
    // A session that nobody asked for is only there for reconnects: it is not left behind.
    const kept = sessionExpirySeconds ?? (this.#options.sessionExpirySeconds === undefined ? 0 : undefined);
    return { ...properties, ...(kept !== undefined && { sessionExpiryInterval: kept }) };
  }
}

function failure(kind: FailureKind, message: string): MqttError {
  return new MqttError(kind, message);
}

/** Bytes of our own: the caller may do with his what he likes. Not `slice` of a Buffer, which copies nothing. */
function copied(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** `host:port` or `host` as the server names it, reached as the URL it came from. */
function referred(url: URL, reference: string): URL {
  const target = new URL(url);
  const [, host = reference, port = ''] = /^(.*?)(?::(\d+))?$/.exec(reference) ?? [];
  target.hostname = host;
  target.port = port;
  return target;
}

/** The answer; `giveUp`, which is to settle it, is called when the signal says so before. */
function unlessAborted<Result>(
  answer: Promise<Result>,
  signal: AbortSignal | undefined,
  giveUp: (failure: MqttError) => void,
): Promise<Result> {
  if (signal === undefined) return answer;
  const onAbort = (): void => {
    const failure = new MqttError('aborted', 'The call was aborted');
    failure.cause = signal.reason;
    giveUp(failure);
  };
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort);
  return answer.finally(() => signal.removeEventListener('abort', onAbort));
}

function endedBy({ why }: Extract<Status, { state: 'ended' }>): MqttError {
  return new MqttError('ended', `The client has ended: ${why.message}`, why.reasonCode);
}
