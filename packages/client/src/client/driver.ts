/**
 * Runs a core: gives it what its link and the clock say, and does what it asks for. One write per turn, one timer.
 *
 * What a packet sets off in the application runs within the event that brought the packet; what the application then asks for
 * leaves together at the end of the turn.
 */
import { viewOf } from '@pipit/protocol';
import { acknowledged, type PublishResult } from '../core/call.ts';
import type { Core } from '../core/core.ts';
import type { Effect } from '../core/effect.ts';
import { MqttError } from '../core/failure.ts';
import type { Message } from '../core/message.ts';
import { never } from '../core/never.ts';
import type { Platform } from './platform.ts';
import type { Link, LinkOwner } from './transport.ts';

/** Of what was read, the application gets the messages of so many bytes before the next are looked at. */
const stepBytes = 16 * 1024;

/** What the application's side does with what comes. */
export interface DriverOwner {
  /** Opens a link. May throw, which counts as a link that never came to be. */
  dial(server: number, reference: string | null, owner: LinkOwner): Link;
  delivered(message: Message): void;
  perform(effect: Effect): void;
}

interface Flush {
  readonly promise: Promise<PublishResult>;
  readonly resolve: (result: PublishResult) => void;
  readonly reject: (failure: MqttError) => void;
}

export class Driver {
  readonly core: Core;
  readonly #platform: Platform;
  readonly #owner: DriverOwner;
  #link: Link | null = null;
  #isOpen = false;
  /** Links that are closing: nobody listens to them any more, but the client is not gone before they are. */
  #closing = 0;
  #gone: (() => void)[] = [];
  #isScheduled = false;
  #timer: unknown = null;
  #timerDue = never;
  #flush: Flush | null = null;
  readonly #turn = (): void => this.#endTurn();
  readonly #fired = (): void => {
    this.#timerDue = never;
    this.#endTurn();
  };

  constructor(core: Core, platform: Platform, owner: DriverOwner) {
    this.core = core;
    this.#platform = platform;
    this.#owner = owner;
  }

  get now(): number {
    return this.#platform.now();
  }

  /** Something was asked of the core: a turn will end. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#platform.soon(this.#turn);
  }

  /** Settles when what was asked in this turn was handed to the link: one promise for all of it. */
  get flushed(): Promise<PublishResult> {
    if (this.#flush === null) {
      const { promise, resolve, reject } = Promise.withResolvers<PublishResult>();
      this.#flush = { promise, resolve, reject };
      this.wake();
    }
    return this.#flush.promise;
  }

  /** Resolves when no link is left. */
  async gone(): Promise<void> {
    if (this.#link === null && this.#closing === 0) return;
    await new Promise<void>((done) => this.#gone.push(done));
  }

  /** Cuts whatever link there is. */
  cut(): void {
    this.#link?.destroy();
  }

  /** Gives calls their answers. */
  answer(): void {
    for (const call of this.core.answers.take()) call.finish();
  }

  #dial(server: number, reference: string | null): void {
    let link: Link | null = null;
    const owner: LinkOwner = {
      opened: () => {
        if (link !== this.#link) return;
        this.#isOpen = true;
        this.core.opened(this.now);
        this.wake();
      },
      received: (bytes) => {
        if (link === this.#link) this.#received(bytes);
      },
      written: () => {
        if (link !== this.#link || link === null) return;
        this.core.written(link.unsentBytes, this.now);
        this.wake();
      },
      closed: (why) => this.#closed(link, why),
    };
    this.#isOpen = false;
    try {
      link = this.#owner.dial(server, reference, owner);
      this.#link = link;
    } catch (error) {
      this.core.closed(error instanceof Error ? error.message : String(error), this.now);
      this.wake();
    }
  }

  /** Message by message would be too dear, all at once too many objects alive together for a young generation. */
  #received(bytes: Uint8Array): void {
    const { now } = this;
    const view = viewOf(bytes);
    for (let start = 0; start < bytes.length; start += stepBytes) {
      this.core.received(bytes, view, start, Math.min(start + stepBytes, bytes.length), now);
      this.#handOut();
    }
    this.wake();
  }

  #handOut(): void {
    for (const message of this.core.takeDeliveries()) this.#owner.delivered(message);
    this.answer();
  }

  #closed(link: Link | null, why: string): void {
    if (link === this.#link) {
      this.#link = null;
      this.#lostFlush();
      this.core.closed(why, this.now);
      this.wake();
    } else this.#closing--;
    if (this.#link === null && this.#closing === 0) for (const done of this.#gone.splice(0)) done();
  }

  /** What was to leave with the next write never will. */
  #lostFlush(): void {
    this.#flush?.promise.catch(() => undefined);
    this.#flush?.reject(new MqttError('connection', 'The connection was lost'));
    this.#flush = null;
  }

  #endTurn(): void {
    this.#isScheduled = false;
    const { core } = this;
    core.tick(this.now);
    this.#handOut();
    this.#write();
    for (const effect of core.takeEffects()) this.#perform(effect);
    this.answer();
    if (core.isDirty) this.wake();
    this.#arm();
  }

  #write(): void {
    const link = this.#link;
    if (link === null || !this.#isOpen) return;
    const { output } = this.core;
    const bytes = output.take();
    if (bytes !== null) {
      if (link.write(bytes)) output.give(bytes);
      this.core.left();
      this.core.written(link.unsentBytes, this.now);
    }
    this.#flush?.resolve(acknowledged);
    this.#flush = null;
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'dial':
        return this.#dial(effect.server, effect.reference);
      case 'close':
      case 'cut':
        return this.#letGo(effect.kind);
      case 'pause':
        return this.#link?.pause();
      case 'resume':
        return this.#link?.resume();
      default:
        this.#owner.perform(effect);
    }
  }

  #letGo(kind: 'close' | 'cut'): void {
    const link = this.#link;
    if (link === null) return;
    this.#link = null;
    this.#closing++;
    this.#lostFlush();
    if (kind === 'close') link.close();
    else link.destroy();
  }

  /** One timer, which may be early: it is moved only when something is due before it, and goes when nothing is. */
  #arm(): void {
    const due = this.core.deadline;
    if (due >= this.#timerDue && due !== never) return;
    if (this.#timerDue !== never) this.#platform.cancel(this.#timer);
    this.#timerDue = due;
    if (due !== never) this.#timer = this.#platform.later(this.#fired, Math.max(0, Math.ceil(due - this.now)));
  }
}
