/**
 * A broker inside a Node program: its life (start, stop), its listeners, and the program's own publishing and subscribing.
 *
 * Everything here is a thin layer over the driver; whatever is called only puts an input into the core, which acts in the next
 * turn of the event loop.
 */

import type { Duplex } from 'node:stream';
import { ReasonCode } from '@pipit/protocol';
import type { Access, AccessPlan } from '../auth/access.ts';
import { anonymousAuthority } from '../auth/anonymous.ts';
import { type Ban, type BanType, banning, banSentence, type ListedBan, ownsSession } from '../auth/ban-list.ts';
import { permitting } from '../auth/permitting.ts';
import type {
  Authority,
  BrokerEvent,
  CoreOptions,
  Durability,
  Groups,
  Inspection,
  Limits,
  Metrics,
  Rule,
  Store,
  StoredState,
  TraceRequest,
} from '../core/index.ts';
import { Core, Counter, defaultLimits, Permissions } from '../core/index.ts';
import { newReadBuffer } from './accepted-socket.ts';
import { Admission, type TurnedAway } from './admission.ts';
import type { Judgement, Reception } from './arrivals.ts';
import { Bans } from './bans.ts';
import { Driver, wallOffset } from './driver.ts';
import type { EventHandler, EventType, ServiceEvent } from './event-hub.ts';
import { EventHub } from './event-hub.ts';
import { Listener } from './listener.ts';
import type { ListenerOptions } from './listener-options.ts';
import { Program, type SubscribeOptions } from './program.ts';
import type { PublishOptions } from './program-publish.ts';
import { judgement, liveOptions, type ReloadOptions, type ReloadReport, replaceListeners } from './reload.ts';
import { memoryLink } from './stream-link.ts';
import type { ClaimHandler, MessageHandler, Subscription } from './subscription.ts';

export interface BrokerOptions extends Omit<CoreOptions, 'seed' | 'durability' | 'limits'> {
  /** Opened by `start`; default: none. More with `listen`. */
  readonly listeners?: readonly ListenerOptions[];
  /** Who may connect and what they may do, where that may change while the broker runs; instead of `authority` and `rules`. */
  readonly access?: Access;
  /** Who may connect; default: anybody, as nobody in particular. */
  readonly authority?: Authority;
  /** What anybody may do, when there is no authority; default: everything. An authority says it in its verdicts. */
  readonly rules?: readonly Rule[];
  readonly limits?: Partial<Limits>;
  /** Where sessions, retained messages and what was acknowledged outlive the process; default: nowhere. The broker closes it. */
  readonly store?: Store;
  /** Who is kept out from the start; more with `ban`. */
  readonly banned?: readonly Ban[];
  /** The file in which bans made by `ban` are kept; default: nowhere, they end with the process. Its folder must be there when the store is loaded. */
  readonly bansFile?: string;
  /** Milliseconds `stop` may take before it cuts off what is left; default 5,000. */
  readonly stopGraceMs?: number;
  /** Read TCP and Unix sockets into one shared buffer where Node allows it; default true. */
  readonly sharedReads?: boolean;
}

/** Makes a broker; nothing happens before `start`. Throws a TypeError for options that exclude each other. */
export function createBroker(options: BrokerOptions = {}): Broker {
  return new Broker(options);
}

const withoutAccess = 'The broker was made without `access`.';

export class Broker {
  readonly #options: BrokerOptions;
  readonly #limits: Limits;
  readonly #core: Core;
  readonly #driver: Driver;
  readonly #events: EventHub;
  readonly #bans: Bans;
  readonly #admission: Admission;
  readonly #readBuffer;
  #listeners: Listener[] = [];
  readonly #program: Program;
  #state: 'new' | 'starting' | 'running' | 'stopping' | 'stopped' = 'new';
  #stopped: Promise<void> | null = null;
  #reloaded: Promise<unknown> = Promise.resolve();

  constructor(options: BrokerOptions) {
    const { authority, rules, access, store, listeners: _, ...rest } = options;
    if (authority !== undefined && rules !== undefined) {
      throw new TypeError('`rules` are for a broker without `authority`: put them into the verdicts.');
    }
    if (access !== undefined && (authority ?? rules) !== undefined) {
      throw new TypeError(
        '`access` says who may connect and what they may do: there is no `authority` and are no `rules` beside it.',
      );
    }
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#events = new EventHub(this.#limits.eventIntervalMs);
    this.#bans = new Bans(options.banned ?? [], options.bansFile, this.#events, (reasonFor) => {
      this.#driver.disconnectAll(reasonFor, ReasonCode.Banned);
    });
    this.#admission = new Admission(this.#limits, this.#bans.list);
    this.#readBuffer = options.sharedReads === false ? null : newReadBuffer();
    const [seed] = crypto.getRandomValues(new Uint32Array(1));
    const wallOffsetMs = wallOffset();
    this.#core = new Core(
      {
        ...rest,
        seed: seed as number,
        durability: store?.durability ?? 'memory',
        ...(access !== undefined && { review: access.review }),
      },
      performance.now(),
      wallOffsetMs,
    );
    const anybody = anonymousAuthority(null);
    const open = rules === undefined ? anybody : permitting(anybody, new Permissions(rules));
    const gate = banning(access ?? authority ?? open, this.#bans.list);
    this.#driver = new Driver(this.#core, wallOffsetMs, store ?? null, gate, {
      event: (event) => this.#told(event),
      deliver: (subscriber, token, message) => this.#program.deliver(subscriber, token, message),
      published: (token, reasonCode) => this.#program.published(token, reasonCode),
      gone: ({ host, places }) => {
        this.#admission.left(host);
        if (places !== null) places.taken--;
      },
      authorityFailed: (error) => this.#events.fault('authority', error),
    });
    this.#program = new Program(
      this.#core,
      () => this.#driver.schedule(),
      (error) => this.#events.fault('subscriber', error),
    );
    if (access !== undefined) access.onFailure = (failure) => this.#events.accessFailed(failure);
  }

  /**
   * Loads the store and opens the listeners. Rejects with a ListenError when one cannot be opened (the others are closed
   * again), or with the store's error. A broker starts once.
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('A broker starts once; make a new one.');
    this.#state = 'starting';
    try {
      const { store, listeners = [] } = this.#options;
      const stored = await store?.load();
      if (stored !== undefined) await this.#restore(stored);
      await this.#bans.load();
      if (this.#stopped !== null) throw new Error('The broker was stopped while it started.');
      this.#state = 'running';
      this.#driver.schedule();
      for (const listener of listeners) await this.listen(listener);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Opens one more listener. Rejects with a ListenError. */
  listen(options: ListenerOptions): Promise<Listener> {
    return this.#listen(options, false);
  }

  async #listen(options: ListenerOptions, isHeld: boolean): Promise<Listener> {
    this.#assertRunning();
    if (options.access !== undefined && (this.#options.access ?? this.#options.authority) === undefined)
      throw new TypeError(`The listener names the access '${options.access}', and nobody is there to know it.`);
    const reception: Reception = {
      limits: this.#limits,
      readBuffer: this.#readBuffer,
      admission: this.#admission,
      connections: () => this.#connections(),
      arrived: (link, head) => this.#driver.open(link, head),
      turnedAway: (name, address, reason, limit) => {
        this.#count(limit);
        this.#events.turnedAway(name, address, reason, limit);
      },
    };
    const listener = await Listener.open(options, reception, isHeld);
    if (this.#state !== 'running') listener.close();
    this.#listeners = [...this.listeners, listener];
    return listener;
  }

  /**
   * Goes over to other listeners, certificates (read again), users, rules, limits and ways, all at once; or not at all: rejects with a
   * ListenError when one of the listeners cannot be as it should. No connection is dropped, also none of a listener that is closed. What a client was told
   * at CONNECT holds for its connection. One reload comes after the other.
   */
  reload(options: ReloadOptions): Promise<ReloadReport> {
    const result = this.#reloaded.then(() => this.#reload(options));
    this.#reloaded = result.catch(() => undefined);
    return result;
  }

  async #reload({ listeners, limits = {}, banned, access, ...ways }: ReloadOptions): Promise<ReloadReport> {
    this.#assertRunning();
    if (access !== undefined && this.#options.access === undefined) throw new TypeError(withoutAccess);
    const before = { ...this.#limits };
    Bans.check(banned ?? []);
    const next = listeners ?? this.listeners.map(({ options }) => options);
    const previous = this.#listeners;
    Object.assign(this.#limits, limits);
    let replaced: Awaited<ReturnType<typeof replaceListeners>>;
    try {
      replaced = await replaceListeners(this.listeners, next, (options) => this.#listen(options, true));
    } catch (error) {
      Object.assign(this.#limits, before);
      throw error;
    }
    // What is shaking hands with one that is closed counts as long as it does.
    const retired = previous.filter((each) => !each.isOpen && each.pending > 0);
    const judge = judgement(previous, replaced.listeners);
    this.#listeners = [...retired, ...replaced.listeners];
    if (this.#state !== 'running') for (const each of replaced.listeners) each.close();
    this.#assertRunning();
    if (judge !== null) this.#distrust(judge, retired);
    if (banned !== undefined) this.#bans.configure(banned);
    this.#events.intervalMs = this.#limits.eventIntervalMs;
    this.#core.changeOptions(limits, liveOptions(ways), performance.now());
    this.#driver.schedule();
    if (access !== undefined) this.replaceAccess(access);
    // Who comes by a new listener is let in by what came with it, and by nothing before.
    for (const each of replaced.listeners) each.release();
    const names = Object.keys(limits) as (keyof Limits)[];
    const changed = names.filter((name) => this.#limits[name] !== before[name]);
    return { listeners: replaced.changes, access: access !== undefined, limits: changed };
  }

  /** Who has shown a certificate that does not count any more has to go. */
  #distrust(judge: Judgement, retired: readonly Listener[]): void {
    for (const each of retired) each.judge(judge);
    this.#driver.disconnectAll((_, link) => (link === null ? null : judge(link)), ReasonCode.NotAuthorized);
  }

  /** Those that are open, in the order of opening. */
  get listeners(): readonly Listener[] {
    return this.#listeners.filter(({ isOpen }) => isOpen);
  }

  /**
   * Stops in order: no new connections, DISCONNECT 0x8B to all, wills, the last commits, the store. Subscriptions end; publishes
   * that were not accepted by then reject. Resolves when all is done, within `stopGraceMs` and the time the store takes to close.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /**
   * Publishes a message as the broker's own program: no permissions apply. A string is sent as UTF-8; a
   * Uint8Array is copied. Resolves to 0x00, or 0x10 when nobody was subscribed, once the message is as durable as its
   * receivers. Rejects with a PublishError, or with an EncodeError or Violation for a topic or properties that are not legal.
   */
  async publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<number> {
    this.#assertRunning();
    return this.#program.publish(topic, payload, options);
  }

  /** Delivers a message to one connected client, whatever it subscribed to. As `publish` otherwise. */
  async send(
    clientId: string,
    topic: string,
    payload: string | Uint8Array,
    options: PublishOptions = {},
  ): Promise<number> {
    this.#assertRunning();
    return this.#program.send(clientId, topic, payload, options);
  }

  /** Subscribes; messages go to `handler`, or to a `for await` over what is returned. Throws a Violation on a filter that is not legal. */
  subscribe(filters: string | readonly string[], handler: MessageHandler, options?: SubscribeOptions): Subscription;
  subscribe(filters: string | readonly string[], options?: SubscribeOptions): Subscription;
  subscribe(
    filters: string | readonly string[],
    second?: MessageHandler | SubscribeOptions,
    third?: SubscribeOptions,
  ): Subscription {
    const handler = typeof second === 'function' ? second : null;
    const options = (typeof second === 'function' ? third : second) ?? {};
    this.#assertRunning();
    return this.#program.subscribe(typeof filters === 'string' ? [filters] : filters, handler, options, false);
  }

  /**
   * Claims a filter: what is published there goes to `handler` alone, and the reason code it answers is the publisher's
   * acknowledgement (0x80 when it throws). The claim made first wins.
   */
  claim(filter: string, handler: ClaimHandler, options: SubscribeOptions = {}): Subscription {
    this.#assertRunning();
    return this.#program.subscribe([filter], handler, options, true);
  }

  /** Disconnects a client; false when it is not connected. Default: 0x98 Administrative action. */
  disconnect(clientId: string, reasonCode: number = ReasonCode.AdministrativeAction, reason = ''): boolean {
    this.#assertRunning();
    const isKnown = this.#core.disconnect(clientId, reasonCode, reason, performance.now());
    this.#driver.schedule();
    return isKnown;
  }

  /**
   * Ends a session with all that waits for it, and disconnects its client first. Resolves once that is on the disk, if there is one; to
   * false when there is none.
   */
  async endSession(clientId: string): Promise<boolean> {
    this.#assertRunning();
    const answer = await this.#program.ask((token) => this.#core.endSession(clientId, token, performance.now()));
    return answer === ReasonCode.Success;
  }

  /**
   * Follows messages live: `traced` events, without payloads, until `trace-ended`. The number of the trace; null: there are as many as
   * there may be (16). Throws a RangeError for a filter that is not legal.
   */
  trace(request: TraceRequest): number | null {
    this.#assertRunning();
    const trace = this.#core.trace(request, performance.now());
    this.#driver.schedule();
    return trace;
  }

  endTrace(trace: number): void {
    this.#core.endTrace(trace, performance.now());
    this.#driver.schedule();
  }

  /** Sessions, subscriptions, queues and retained messages as they are now, to look at. */
  get inspection(): Inspection {
    return this.#core.inspect(performance.now());
  }

  /** Tells an event of something that is built around the broker, like those of its own. */
  report(event: ServiceEvent): void {
    if (event.type === 'turned-away') this.#events.turnedAway(event.listener, event.address, event.reason, event.limit);
    else this.#events.tell(event);
  }

  /**
   * Keeps somebody out from now on: CONNECT is refused with 0x8A, sockets from a banned address are closed before anything is done
   * for them, and whoever is connected and meant is disconnected. A ban of the same type and value is replaced. Resolves to the ban as
   * it is kept, once it is in `bansFile`, if there is one. Rejects with a TypeError for what cannot be banned, and when it cannot be
   * written: then it holds until the end of the process. With `endSessions` the sessions of the client id or user end, too, with all that
   * waits for them, before this resolves; without, they stay until they expire, for the ban may be lifted.
   */
  async ban(ban: Ban, { endSessions = false }: { readonly endSessions?: boolean } = {}): Promise<ListedBan> {
    this.#assertRunning();
    const isMeant = endSessions ? ownsSession(ban) : null;
    const kept = this.#bans.add(ban);
    const ended = isMeant === null ? null : this.#endSessions(isMeant, banSentence(kept));
    await Promise.all([this.#bans.save(), ended]);
    return kept;
  }

  #endSessions(isMeant: ReturnType<typeof ownsSession>, reason: string): Promise<unknown> {
    const core = this.#core;
    return this.#program.ask((token) => core.endSessions(isMeant, ReasonCode.Banned, reason, token, performance.now()));
  }

  /** Lets somebody in again. False when there was no such ban, or when it stands in the configuration. Rejects when it cannot be written. */
  async unban(type: BanType, value: string): Promise<boolean> {
    this.#assertRunning();
    return this.#bans.remove(type, value);
  }

  /** The bans that hold now. */
  bans(): IterableIterator<ListedBan> {
    return this.#bans.list[Symbol.iterator]();
  }

  /** Changes what the holders of `permissions` may do, at once: subscriptions that lost their right are revoked. */
  changePermissions(permissions: Permissions, rules: readonly Rule[], groups: Groups = {}): void {
    this.#assertRunning();
    this.#core.permissionsChanged(permissions, rules, performance.now(), groups);
    this.#driver.schedule();
  }

  /**
   * From now on this plan says who may connect and what they may do; for a broker with `access`. Rules count at once. Who is there
   * already is looked at in steps: subscriptions that lost their right go, with what waits by them, also of sessions whose client is
   * away; and who is not let in any more, or has another password now, is disconnected (0x87).
   */
  replaceAccess(plan: AccessPlan): void {
    this.#assertRunning();
    const { access } = this.#options;
    if (access === undefined) throw new TypeError(withoutAccess);
    access.replace(plan);
    this.#core.reviewed(access.review, performance.now());
    this.#driver.schedule();
  }

  /**
   * A connection without a network: the client's end of a pipe that carries MQTT bytes. Destroying it is losing the
   * connection; ending it is FIN.
   */
  connect(): Duplex {
    this.#assertRunning();
    const { link, end } = memoryLink({ transport: 'memory', address: 'memory', listener: 'memory:' });
    this.#driver.open(link, null);
    return end;
  }

  /** `event` gets every event. A handler that throws, or whose promise rejects, is told as a `fault` and harms nobody else. */
  on<T extends EventType | 'event'>(type: T, handler: EventHandler<T>): this {
    this.#events.on(type, handler);
    return this;
  }

  off<T extends EventType | 'event'>(type: T, handler: EventHandler<T>): this {
    this.#events.off(type, handler);
    return this;
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  get durability(): Durability {
    return this.#options.store?.durability ?? 'memory';
  }

  /** The live counters: read, do not write. */
  get metrics(): Metrics {
    return this.#core.metrics;
  }

  #told(event: BrokerEvent): void {
    if ('reasonCode' in event && event.reasonCode === ReasonCode.Banned) this.metrics.count(Counter.Banned);
    this.#events.tell(event);
  }

  /** A socket that was turned away. */
  #count(limit: TurnedAway['limit'] | undefined): void {
    this.metrics.count(Counter.SocketsTurnedAway);
    if (limit === 'banned') this.metrics.count(Counter.Banned);
    else if (limit !== undefined) this.metrics.reached(limit);
  }

  async #stop(): Promise<void> {
    const wasRunning = this.#state === 'running';
    this.#state = 'stopping';
    for (const listener of this.#listeners) listener.close();
    this.#program.closeSubscriptions();
    if (wasRunning) await this.#driver.stop(this.#options.stopGraceMs ?? 5_000);
    this.#state = 'stopped';
    this.#program.failPublishes();
    this.#events.flush();
    await this.#options.store?.close();
  }

  async #restore(stored: StoredState): Promise<void> {
    for (const _ of this.#core.restore(stored, performance.now())) {
      if (this.#stopped !== null) return;
      await new Promise((done) => setImmediate(done));
    }
  }

  #connections(): number {
    return this.#listeners.reduce((sum, { pending }) => sum + pending, this.#driver.linkCount);
  }

  #assertRunning(): void {
    if (this.#state !== 'running') throw new Error(`The broker is not running (${this.#state}).`);
  }
}
