/**
 * The loop around the core: brings it what happened, and performs what it answers, once per turn of the event loop.
 *
 * Every input only schedules the flush; the flush takes one turn from the core, writes, performs the effects and sets the one
 * timer. Code of users (handlers of events and deliveries) runs after all of that, so that whatever it calls is an ordinary
 * input, and what it throws ends in `fault`. The driver decides nothing about MQTT.
 */

import { ReasonCode } from '@pipit/protocol';
import type {
  AuthenticationRequest,
  Authority,
  Batch,
  BrokerEvent,
  Connection,
  Core,
  Effect,
  FetchRequest,
  LocalMessage,
  LocalSubscriber,
  PageRequest,
  Slab,
  Store,
  Verdict,
} from '../core/index.ts';
import type { Link, LinkOwner } from './link.ts';
import { UniformTimeout } from './uniform-timeout.ts';

/** How long a closed connection may take to read its last bytes and say goodbye. */
const lingerMs = 2_000;
/** How long the end of a connection waits for the bytes before it: long for any turn's budget, short for a session to be claimed anew. */
const departureMsMax = 10_000;
const wallCheckIntervalMs = 1_000;
const wallStepMs = 1_000;
const timerMsMax = 2 ** 31 - 1;
/** What the core takes for each connection. */
const entropyBytes = 16;
const outcomes: ReadonlySet<string> = new Set(['accept', 'refuse', 'continue']);

/** What the driver hands on, after each turn, in order. None of it may throw. */
export interface Audience {
  event(event: BrokerEvent): void;
  deliver(subscriber: LocalSubscriber, token: number, message: LocalMessage): void;
  published(token: number, reasonCode: number): void;
  /** A link is no more. */
  gone(link: Link): void;
  /** The authority threw, or answered with something that is no verdict. */
  authorityFailed(error: unknown): void;
}

interface Departure {
  readonly link: Link;
  readonly why: string;
}

type Call = Effect | { readonly kind: 'authority-failed'; readonly error: unknown };

export function wallOffset(): number {
  return Date.now() - performance.now();
}

/** Random bytes, drawn for many connections at once: a buffer for each costs as much as the rest of accepting a socket. */
class Randomness {
  #bytes = new Uint8Array(0);
  #at = 0;

  next(): Uint8Array {
    if (this.#at === this.#bytes.length) {
      this.#bytes = crypto.getRandomValues(new Uint8Array(entropyBytes * 256));
      this.#at = 0;
    }
    this.#at += entropyBytes;
    return this.#bytes.subarray(this.#at - entropyBytes, this.#at);
  }
}

export class Driver implements LinkOwner {
  readonly #core: Core;
  readonly #store: Store | null;
  readonly #authority: Authority;
  readonly #audience: Audience;
  readonly #links = new Set<Link>();
  readonly #randomness = new Randomness();
  readonly #lingering = new UniformTimeout<Link, Link>(lingerMs, (link) => link.destroy());
  /** Ends the core is to be told of after this turn, and those that wait until it has read what came before. */
  #departing: Departure[] = [];
  readonly #waitingToDepart = new UniformTimeout<Link, Departure>(departureMsMax, (each) => this.#sayGoodbye(each));
  /** What calls users. */
  #calls: Call[] = [];
  #isScheduled = false;
  /** Nothing may reach the store any more. */
  #isStopped = false;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Number.POSITIVE_INFINITY;
  #wallOffset: number;
  #wallCheckedAt = 0;
  /** Set while stopping: told when nothing is left to do. */
  #onQuiet: (() => void) | null = null;

  constructor(core: Core, wallOffsetMs: number, store: Store | null, authority: Authority, audience: Audience) {
    this.#core = core;
    this.#wallOffset = wallOffsetMs;
    this.#store = store;
    this.#authority = authority;
    this.#audience = audience;
    store?.watch?.((roomBytes) => {
      core.storeRoom(roomBytes, performance.now());
      this.schedule();
    });
  }

  /** Sockets, closing ones included. */
  get linkCount(): number {
    return this.#links.size;
  }

  /** Takes in a new link and starts it. */
  open(link: Link, head: Uint8Array | null): void {
    this.#links.add(link);
    const connection = this.#core.opened(link.peer, this.#randomness.next(), performance.now());
    connection.tag = link;
    link.connection = connection;
    this.schedule();
    link.start(this, head);
  }

  /** Something was put into the core: a turn is due. */
  schedule(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    setImmediate(this.#flush);
  }

  /** As the core's; `reasonFor` gets the link, too, if there still is one. */
  disconnectAll(reasonFor: (connection: Connection, link: Link | null) => string | null, reasonCode: number): void {
    const reason = (connection: Connection): string | null => reasonFor(connection, connection.tag as Link | null);
    this.#core.disconnectAll(reason, reasonCode, performance.now());
    this.schedule();
  }

  /** Resolves once the core has nothing left to do and every link is gone, or after `graceMs`, when what is left is cut off. */
  async stop(graceMs: number): Promise<void> {
    this.#core.stop(performance.now());
    this.schedule();
    await new Promise<void>((done) => {
      const deadline = setTimeout(done, graceMs);
      this.#onQuiet = () => {
        clearTimeout(deadline);
        done();
      };
    });
    this.#onQuiet = null;
    this.#isStopped = true;
    for (const link of this.#links) link.destroy();
    this.#waitingToDepart.dropAll(() => {});
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  // ── what links tell ──

  received(link: Link, bytes: Uint8Array, view: DataView, start: number, end: number): void {
    if (link.connection === null || link.fate !== 'open') return;
    const { connection } = link;
    this.#core.received(connection, bytes, view, start, end, performance.now());
    // At once, and not with the effects of the turn: meanwhile the socket would be read again and again, to be kept and copied.
    if (connection.isPaused && !link.isPaused) this.#setPaused(connection, true);
    this.schedule();
  }

  written(link: Link, slab: Slab | null, unsentBytes: number): void {
    if (link.connection === null) return;
    this.#core.written(link.connection, slab, unsentBytes, performance.now());
    this.schedule();
  }

  ended(link: Link, why: string): void {
    if (link.fate !== 'open') return;
    link.fate = 'ended';
    this.#depart(link, why === '' ? 'the client closed the network connection' : why);
  }

  gone(link: Link, why: string): void {
    if (!this.#links.delete(link)) return;
    this.#audience.gone(link);
    this.#lingering.delete(link);
    const { connection } = link;
    link.fate = 'gone';
    if (connection !== null) {
      this.#core.written(connection, null, 0, performance.now());
      this.#depart(link, why === '' ? 'the network connection was closed' : `the network connection was lost: ${why}`);
    } else if (this.#onQuiet !== null) this.schedule();
  }

  /** The end stands in line behind the bytes that came before it: the core hears of it when it has read those. */
  #depart(link: Link, why: string): void {
    this.#departing.push({ link, why });
    this.schedule();
  }

  // ── the turn ──

  readonly #flush = (): void => {
    this.#isScheduled = false;
    if (this.#isStopped) return;
    const now = performance.now();
    this.#checkWallClock(now);
    const turn = this.#core.take(now);
    for (const connection of turn.writes) this.#write(connection);
    for (const effect of turn.effects) this.#perform(effect);
    if (this.#departing.length > 0) this.#sayGoodbyes();
    if (this.#calls.length > 0) this.#callUsers();
    this.#armTimer(now);
    if (this.#onQuiet !== null && this.#links.size === 0 && this.#core.isQuiet()) this.#onQuiet();
  };

  #write(connection: Connection): void {
    const link = connection.tag as Link | null;
    let slab = connection.shift();
    while (slab !== null) {
      const next = connection.shift();
      if (link === null || link.fate === 'gone') this.#core.written(connection, slab, 0, performance.now());
      else link.write(slab, next !== null);
      slab = next;
    }
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'pause':
      case 'resume':
        return this.#setPaused(effect.connection, effect.kind === 'pause');
      case 'close':
        return this.#close(effect.connection, effect.linger);
      case 'authenticate':
        return this.#authenticate(effect.connection, effect.exchange, effect.request);
      case 'commit':
        return void this.#commit(effect.batch);
      case 'page':
        return void this.#page(effect.request);
      case 'fetch':
        return void this.#fetch(effect.request);
      case 'deliver':
      case 'published':
      case 'event':
        this.#calls.push(effect);
    }
  }

  #setPaused(connection: Connection, isPaused: boolean): void {
    const link = connection.tag as Link | null;
    if (link === null || link.isPaused === isPaused) return;
    link.isPaused = isPaused;
    if (isPaused) link.pause();
    else link.resume();
    const departure = this.#waitingToDepart.delete(link);
    if (departure !== undefined) this.#departing.push(departure);
  }

  #close(connection: Connection, linger: boolean): void {
    const link = connection.tag as Link | null;
    if (link === null) return;
    connection.tag = null;
    link.connection = null;
    this.#waitingToDepart.delete(link);
    if (link.fate === 'gone') return;
    if (!linger) return link.destroy();
    this.#lingering.add(link, link);
    link.end();
    // What still arrives is read and dropped: closing a socket with unread bytes would reset it and lose our last ones.
    link.resume();
  }

  #sayGoodbyes(): void {
    const departing = this.#departing;
    this.#departing = [];
    for (const [at, departure] of departing.entries()) {
      // Each may have a will for thousands.
      if (this.#core.state.isSpent) {
        this.#departing.push(...departing.slice(at));
        return this.schedule();
      }
      const { link } = departure;
      if (link.isPaused && link.connection?.isOpen === true) this.#waitingToDepart.add(link, departure);
      else this.#sayGoodbye(departure);
    }
  }

  #sayGoodbye({ link, why }: Departure): void {
    const { connection } = link;
    if (connection === null) return;
    this.#core.closed(connection, performance.now(), why);
    this.#close(connection, true);
    this.schedule();
  }

  #callUsers(): void {
    const calls = this.#calls;
    this.#calls = [];
    for (const effect of calls) {
      if (effect.kind === 'deliver') this.#audience.deliver(effect.subscriber, effect.token, effect.message);
      else if (effect.kind === 'published') this.#audience.published(effect.token, effect.reasonCode);
      else if (effect.kind === 'event') this.#audience.event(effect.event);
      else if (effect.kind === 'authority-failed') this.#audience.authorityFailed(effect.error);
    }
  }

  /** One timer, unreferenced: listeners and what is under way keep the process alive, deadlines alone do not. */
  #armTimer(now: number): void {
    const at = this.#core.deadline();
    if (at <= now) return this.schedule();
    // An earlier timer may stay: it costs one empty turn.
    if (this.#timer !== null) {
      if (this.#timerAt <= at) return;
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    if (at === Number.POSITIVE_INFINITY) return;
    this.#timerAt = at;
    this.#timer = setTimeout(this.#timerFired, Math.min(Math.ceil(at - now), timerMsMax));
    if (this.#onQuiet === null) this.#timer.unref();
  }

  readonly #timerFired = (): void => {
    this.#timer = null;
    this.schedule();
  };

  #checkWallClock(now: number): void {
    if (now - this.#wallCheckedAt < wallCheckIntervalMs) return;
    this.#wallCheckedAt = now;
    const offset = wallOffset();
    if (Math.abs(offset - this.#wallOffset) < wallStepMs) return;
    this.#wallOffset = offset;
    this.#core.wallStepped(offset, now);
  }

  // ── the ports ──

  #authenticate(connection: Connection, exchange: number, request: AuthenticationRequest): void {
    let answer: Verdict | PromiseLike<Verdict>;
    try {
      answer = this.#authority.authenticate(request);
    } catch (error) {
      return this.#authorityFailed(connection, exchange, error);
    }
    if (!isPromise(answer)) return this.#authenticated(connection, exchange, answer);
    answer.then(
      (verdict) => this.#authenticated(connection, exchange, verdict),
      (error: unknown) => this.#authorityFailed(connection, exchange, error),
    );
  }

  #authenticated(connection: Connection, exchange: number, verdict: Verdict): void {
    if (!outcomes.has(verdict?.outcome)) {
      return this.#authorityFailed(connection, exchange, new TypeError('The authority answered with no verdict'));
    }
    this.#core.authenticated(connection, exchange, verdict, performance.now());
    this.schedule();
  }

  #authorityFailed(connection: Connection, exchange: number, error: unknown): void {
    this.#calls.push({ kind: 'authority-failed', error });
    this.#authenticated(connection, exchange, { outcome: 'refuse', reasonCode: ReasonCode.UnspecifiedError });
  }

  async #commit(batch: Batch): Promise<void> {
    let failure: string | null = null;
    try {
      await this.#store?.commit(batch);
    } catch (error) {
      failure = messageOf(error);
    }
    this.#core.committed(batch.number, failure, performance.now());
    this.schedule();
  }

  async #page(request: PageRequest): Promise<void> {
    try {
      const page = (await this.#store?.page(request)) ?? { deliveries: [], lost: [] };
      this.#core.paged(request.number, page, null, performance.now());
    } catch (error) {
      this.#core.paged(request.number, null, messageOf(error), performance.now());
    }
    this.schedule();
  }

  async #fetch(request: FetchRequest): Promise<void> {
    try {
      const messages = (await this.#store?.fetch(request)) ?? [];
      this.#core.fetched(request.number, messages, null, performance.now());
    } catch (error) {
      this.#core.fetched(request.number, null, messageOf(error), performance.now());
    }
    this.schedule();
  }
}

function isPromise(answer: Verdict | PromiseLike<Verdict>): answer is PromiseLike<Verdict> {
  return typeof (answer as PromiseLike<Verdict> | undefined)?.then === 'function';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
