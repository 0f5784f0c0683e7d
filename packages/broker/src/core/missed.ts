/**
 * What clients did not get lately: of each the last topics with reason, number and time, so that `why` need not guess.
 *
 * It is no log of messages: a few topics for each of a bounded number of clients, in bounded memory. What does not fit is counted by
 * reason only. It outlives sessions, since who asks comes later. A drop makes no object but the first of a client, and where there are
 * more clients than are remembered, another takes the place of one only now and then.
 */

import { type DropReason, dropReasons } from './events.ts';

/** Clients that are remembered, topics of each, and characters of a topic, and of all. */
export const missedClientsMax = 10_000;
export const missedTopicsMax = 16;
const topicLengthMax = 1_024;
/** Times that a topic is looked for in one turn; what is beyond counts among the others. */
const looksMax = 2 * missedTopicsMax;
const charactersMax = 8 * 1024 * 1024;
/** One client takes the place of another this often at most: a message that a million did not get is no reason to forget them all. */
const forgetIntervalMs = 10;

const none = Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>;

/** Times are the core's. */
export interface MissedTopic {
  readonly topic: string;
  readonly reason: DropReason;
  readonly count: number;
  readonly firstAt: number;
  readonly lastAt: number;
}

/** Of one client. */
export class Missed {
  /** Side by side. */
  private readonly topics: string[] = [];
  private readonly reasons: DropReason[] = [];
  private readonly counts: number[] = [];
  private readonly firsts: number[] = [];
  private readonly lasts: number[] = [];
  /** Those of topics that are not remembered. */
  private others: Record<DropReason, number> | null = null;
  /** The one that was counted last: mostly the next is of the same. */
  private current = 0;
  /** The one to give way next. */
  private oldest = 0;
  /** When a topic was looked for last, and how often at that time. */
  private lookedAt = -1;
  private looks = 0;
  /** Since when it knows all. */
  readonly since: number;
  /** Something was added since it was looked at for being forgotten. */
  isUsed = true;
  isForgotten = false;

  constructor(now: number) {
    this.since = now;
  }

  /** One more; by how many characters the memory grew. */
  add(topic: string, reason: DropReason, now: number): number {
    this.isUsed = true;
    const { topics, reasons } = this;
    let at = this.current;
    if (topics[at] !== topic || reasons[at] !== reason) {
      if (this.lookedAt !== now) {
        this.lookedAt = now;
        this.looks = 0;
      }
      // Who misses many topics at once must not cost more than who gets them.
      if (++this.looks > looksMax) {
        this.addOthers(reason, 1);
        return 0;
      }
      at = this.find(topic, reason);
      if (at < 0) return this.begin(topic, reason, now);
      this.current = at;
    }
    this.counts[at] = (this.counts[at] as number) + 1;
    this.lasts[at] = now;
    return 0;
  }

  private find(topic: string, reason: DropReason): number {
    for (let at = 0; at < this.topics.length; at++) {
      if (this.topics[at] === topic && this.reasons[at] === reason) return at;
    }
    return -1;
  }

  private begin(topic: string, reason: DropReason, now: number): number {
    if (topic.length > topicLengthMax) {
      this.addOthers(reason, 1);
      return 0;
    }
    const at = this.topics.length < missedTopicsMax ? this.topics.length : this.oldest;
    const given = this.topics[at];
    if (given !== undefined) {
      this.addOthers(this.reasons[at] as DropReason, this.counts[at] as number);
      this.oldest = (at + 1) % missedTopicsMax;
    }
    this.topics[at] = topic;
    this.reasons[at] = reason;
    this.counts[at] = 1;
    this.firsts[at] = now;
    this.lasts[at] = now;
    this.current = at;
    return topic.length - (given?.length ?? 0);
  }

  private addOthers(reason: DropReason, count: number): void {
    this.others ??= { ...none };
    this.others[reason] += count;
  }

  get characters(): number {
    return this.topics.reduce((sum, { length }) => sum + length, 0);
  }

  *[Symbol.iterator](): Generator<MissedTopic> {
    for (const [at, topic] of this.topics.entries()) {
      yield {
        topic,
        reason: this.reasons[at] as DropReason,
        count: this.counts[at] as number,
        firstAt: this.firsts[at] as number,
        lastAt: this.lasts[at] as number,
      };
    }
  }

  /** How many of this reason were of topics that are not remembered. */
  othersOf(reason: DropReason): number {
    return this.others?.[reason] ?? 0;
  }
}

export class MissedByClient {
  /** In the order in which they are looked at for being forgotten. */
  private readonly clients = new Map<string, Missed>();
  private characters = 0;
  private forgetsAt = 0;
  /** Whoever is not here has missed nothing. */
  isComplete = true;

  /** `known`: what `find` or `add` returned for this client last. Null: it is not remembered. */
  add(known: Missed | null, clientId: string, topic: string, reason: DropReason, now: number): Missed | null {
    const missed = known === null || known.isForgotten ? this.of(clientId, now) : known;
    if (missed === null) return null;
    const grown = missed.add(topic, reason, now);
    if (grown === 0) return missed;
    this.characters += grown;
    while (this.characters > charactersMax && this.clients.size > 1) this.forgetOne();
    return missed;
  }

  find(clientId: string): Missed | null {
    return this.clients.get(clientId) ?? null;
  }

  get size(): number {
    return this.clients.size;
  }

  private of(clientId: string, now: number): Missed | null {
    const isFull = this.clients.size >= missedClientsMax;
    // Sessions of clients that are here know it from their beginning.
    if (isFull && now < this.forgetsAt) return null;
    const known = this.clients.get(clientId);
    if (known !== undefined) return known;
    if (isFull) {
      this.isComplete = false;
      this.forgetsAt = now + forgetIntervalMs;
      this.forgetOne();
    }
    const missed = new Missed(now);
    this.clients.set(clientId, missed);
    return missed;
  }

  /** The first that has missed nothing since it was looked at last. */
  private forgetOne(): void {
    for (const [clientId, missed] of this.clients) {
      this.clients.delete(clientId);
      if (missed.isUsed) {
        missed.isUsed = false;
        this.clients.set(clientId, missed);
        continue;
      }
      missed.isForgotten = true;
      this.isComplete = false;
      this.characters -= missed.characters;
      return;
    }
  }
}
