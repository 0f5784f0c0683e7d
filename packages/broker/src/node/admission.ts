/**
 * Whether a socket may come in, before anything is done for it: no TLS, no buffer, no place in any table of the core.
 *
 * It owns what is known of the hosts that sockets come from (an IPv4 address, or the first 64 bits of an IPv6 one): how many are
 * connected, how many came lately, whether they are banned. Hosts without connections are forgotten as soon as their rate is
 * none. This machine's own addresses count as no host: what comes from there is trusted with that, or is a proxy.
 */

import { type BanList, banSentence } from '../auth/ban-list.ts';
import { hostOf, isLoopbackAddress, withoutPort } from '../auth/network-address.ts';
import type { LimitName, Limits } from '../core/index.ts';

/** A host that connections are counted for. */
export interface Host {
  readonly name: string;
  connections: number;
  readonly rate: TokenBucket;
}

/** Connections that came by one listener, and sockets that are to become some; it goes over to what takes its place. */
export interface Places {
  taken: number;
}

/** Why a socket was turned away. */
export interface TurnedAway {
  readonly reason: string;
  readonly limit: LimitName | 'banned';
}

/** How many seconds of a rate may come at once. */
const burstSeconds = 2;

/** A rate with a burst: full at first, refilled as time goes by. */
export class TokenBucket {
  tokens: number;
  at: number;

  constructor(perSecond: number, now: number) {
    this.tokens = perSecond * burstSeconds;
    this.at = now;
  }

  /** Takes one; false when there is none. */
  take(perSecond: number, now: number): boolean {
    this.refill(perSecond, now);
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  isFull(perSecond: number, now: number): boolean {
    this.refill(perSecond, now);
    return this.tokens >= perSecond * burstSeconds;
  }

  private refill(perSecond: number, now: number): void {
    const refilled = this.tokens + ((now - this.at) / 1000) * perSecond;
    this.tokens = Math.min(perSecond * burstSeconds, refilled);
    this.at = now;
  }
}

export class Admission {
  readonly #limits: Limits;
  readonly #bans: BanList;
  readonly #now: () => number;
  readonly #all: TokenBucket;
  readonly #hosts = new Map<string, Host>();
  /** Those without connections, the one that was heard of least lately first. */
  readonly #idle = new Set<Host>();

  constructor(limits: Limits, bans: BanList, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#bans = bans;
    this.#now = now;
    this.#all = new TokenBucket(limits.acceptsPerSecondMax, now());
  }

  /** How many hosts are known. */
  get hosts(): number {
    this.#forgetIdle();
    return this.#hosts.size;
  }

  /** A socket was accepted; `connections`: how many there are without it. Null: it may go on. */
  accepted(connections: number): TurnedAway | null {
    const { connectionsMax, acceptsPerSecondMax } = this.#limits;
    if (connections >= connectionsMax) {
      return { limit: 'connectionsMax', reason: 'as many connections as allowed are open' };
    }
    if (this.#all.take(acceptsPerSecondMax, this.#now())) return null;
    return { limit: 'acceptsPerSecondMax', reason: 'more connections a second than are accepted' };
  }

  /**
   * Where a connection comes from is known: `192.0.2.1:50123`. Counts it until `left`; null: nothing is counted for such an
   * address.
   */
  entered(address: string): Host | TurnedAway | null {
    const plain = withoutPort(address);
    const ban = this.#bans.find({ address: plain });
    if (ban !== null) return { limit: 'banned', reason: banSentence(ban) };
    if (isLoopbackAddress(plain)) return null;
    const { connectionsPerAddressMax, acceptsPerSecondPerAddressMax } = this.#limits;
    const host = this.#host(hostOf(address));
    if (host.connections >= connectionsPerAddressMax) {
      return { limit: 'connectionsPerAddressMax', reason: 'as many connections as an address may have are open' };
    }
    if (!host.rate.take(acceptsPerSecondPerAddressMax, this.#now())) {
      return { limit: 'acceptsPerSecondPerAddressMax', reason: 'more connections a second than one address may make' };
    }
    if (host.connections++ === 0) this.#idle.delete(host);
    return host;
  }

  /** A connection that was counted is no more. */
  left(host: Host | null): void {
    if (host === null) return;
    if (--host.connections === 0) this.#idle.add(host);
    this.#forgetIdle();
  }

  #host(name: string): Host {
    const known = this.#hosts.get(name);
    if (known !== undefined) {
      // To the end: one that keeps knocking must not stand before those that are gone.
      if (this.#idle.delete(known)) this.#idle.add(known);
      return known;
    }
    this.#forgetIdle();
    const rate = new TokenBucket(this.#limits.acceptsPerSecondPerAddressMax, this.#now());
    const host: Host = { name, connections: 0, rate };
    this.#hosts.set(name, host);
    this.#idle.add(host);
    return host;
  }

  /** Each stands here for no longer than its burst takes, however many come. */
  #forgetIdle(): void {
    const now = this.#now();
    for (const host of this.#idle) {
      if (!host.rate.isFull(this.#limits.acceptsPerSecondPerAddressMax, now)) return;
      this.#idle.delete(host);
      this.#hosts.delete(host.name);
    }
  }
}
