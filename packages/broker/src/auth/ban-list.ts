/**
 * Who is kept out, by client id, user name, or address: looked at before anybody is asked who a client is.
 *
 * Some are written in the configuration and stay as long as they stand there; others come and go while the broker runs. What has
 * expired counts as gone. It keeps nothing on disk (node/ban-file.ts does) and closes nothing.
 */

import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Authority, Peer, Refusal, Verdict } from '../core/index.ts';
import { AddressRanges, normalRange, withoutPort } from './network-address.ts';

export const banTypes = ['client', 'user', 'address'] as const;
export type BanType = (typeof banTypes)[number];

export interface Ban {
  readonly type: BanType;
  /** A client id, a user name, or an address or range (`203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`). */
  readonly value: string;
  /** A sentence for people: the client gets to read it, too. Default: none. */
  readonly reason?: string;
  /** When it ends, as ISO 8601 with a time zone; default: never. */
  readonly until?: string;
}

export interface ListedBan extends Ban {
  /** It stands in the configuration, and ends only there. */
  readonly isConfigured: boolean;
}

/** Whom a ban may be about: what is known of a peer. */
export interface Suspect {
  readonly address?: string | undefined;
  readonly clientId?: string | undefined;
  readonly username?: string | null | undefined;
  /** Who it has proven to be. */
  readonly principal?: string | null | undefined;
}

interface Entry {
  readonly ban: ListedBan;
  /** Wall-clock milliseconds; Infinity: never. */
  readonly untilMs: number;
}

/** More than these are a matter for a firewall. */
const bansMax = 100_000;

export class BanList {
  private readonly entries = new Map<string, Entry>();
  private readonly ranges = new AddressRanges();
  private readonly now: () => number;

  /** Throws a TypeError for a ban that says nothing. */
  constructor(configured: readonly Ban[] = [], now: () => number = Date.now) {
    this.now = now;
    this.configure(configured);
  }

  get size(): number {
    return this.entries.size;
  }

  /** Replaces those of the configuration. Throws a TypeError before anything has changed. */
  configure(bans: readonly Ban[]): void {
    const entries = bans.map((ban) => entryOf(ban, true));
    for (const [key, { ban }] of this.entries) if (ban.isConfigured) this.drop(key);
    for (const entry of entries) this.put(entry);
  }

  /**
   * Adds a ban, or replaces the one of the same value, and says it as it is kept. Throws a TypeError when it says nothing, and an
   * Error when there are too many.
   */
  add(ban: Ban): ListedBan {
    const entry = entryOf(ban, false);
    const key = keyOf(entry.ban);
    const known = this.entries.get(key);
    if (known?.ban.isConfigured === true) return known.ban;
    if (known === undefined && this.entries.size >= bansMax) this.forgetExpired();
    if (known === undefined && this.entries.size >= bansMax) throw new Error(`there are ${bansMax} bans already`);
    this.put(entry);
    return entry.ban;
  }

  /** False when there is none of this value that could be taken away. */
  remove(type: BanType, value: string): boolean {
    const key = keyOf({ type, value: normalValue(type, value) ?? value });
    const known = this.entries.get(key);
    if (known === undefined || known.ban.isConfigured) return false;
    this.drop(key);
    return known.untilMs > this.now();
  }

  /** All that hold now. */
  *[Symbol.iterator](): Generator<ListedBan> {
    for (const { ban, untilMs } of this.entries.values()) if (untilMs > this.now()) yield ban;
  }

  /** The first ban that is about this peer; null: none is. */
  find({ address, clientId, username, principal }: Suspect): ListedBan | null {
    if (this.entries.size === 0) return null;
    const byName =
      this.holding('client', clientId) ?? this.holding('user', username) ?? this.holding('user', principal);
    if (byName !== null || address === undefined) return byName;
    return this.findRange(withoutPort(address));
  }

  private holding(type: BanType, value: string | null | undefined): ListedBan | null {
    if (value == null) return null;
    return this.held(keyOf({ type, value }));
  }

  /** The ban under this key; one that has expired goes. */
  private held(key: string): ListedBan | null {
    const entry = this.entries.get(key);
    if (entry === undefined) return null;
    if (entry.untilMs > this.now()) return entry.ban;
    this.drop(key);
    return null;
  }

  private findRange(address: string): ListedBan | null {
    for (let range = this.ranges.find(address); range !== null; range = this.ranges.find(address)) {
      const held = this.held(keyOf({ type: 'address', value: range }));
      // One that has expired went: there may be another.
      if (held !== null) return held;
    }
    return null;
  }

  private put(entry: Entry): void {
    const { ban } = entry;
    this.entries.set(keyOf(ban), entry);
    if (ban.type === 'address') this.ranges.add(ban.value);
  }

  private drop(key: string): void {
    const { type, value } = (this.entries.get(key) as Entry).ban;
    this.entries.delete(key);
    if (type === 'address') this.ranges.delete(value);
  }

  private forgetExpired(): void {
    for (const key of this.entries.keys()) this.held(key);
  }
}

/** Which sessions are those of the client or user that a ban is about. Throws a TypeError for an address: it has none. */
export function ownsSession({
  type,
  value,
}: Ban): (session: { readonly clientId: string; readonly principal: string | null }) => boolean {
  if (type === 'address') throw new TypeError('an address has no sessions: ban its clients or users with them');
  return ({ clientId, principal }) => value === (type === 'client' ? clientId : principal);
}

/** What a banned client is answered, and what the log says of it. */
export function banSentence({ type, value, reason }: Ban): string {
  const what = type === 'client' ? 'the client id' : type === 'user' ? 'the user' : 'the address';
  const whom = type === 'address' ? `${what} (${value})` : what;
  return reason === undefined ? `${whom} is banned` : `${whom} is banned: ${reason}`;
}

/** An authority that refuses the banned (0x8A) without asking the one behind it, and those it turns out to be banned. */
export function banning(authority: Authority, bans: BanList): Authority {
  return {
    authenticate(request) {
      const ban = bans.find(suspectOf(request));
      if (ban !== null) return refusalOf(ban);
      const verdict = authority.authenticate(request);
      if (verdict === undefined || !('then' in verdict)) return unlessBanned(verdict, bans);
      return verdict.then((each) => unlessBanned(each, bans));
    },
  };
}

function suspectOf({ clientId, username, peer }: AuthenticationRequest): Suspect {
  return { clientId, username, address: networkAddressOf(peer) };
}

/** The address of a peer that has one in a network. */
export function networkAddressOf({ transport, address }: Peer): string | undefined {
  return transport === 'unix' || transport === 'memory' ? undefined : address;
}

function unlessBanned(verdict: Verdict, bans: BanList): Verdict {
  // What is no verdict at all is for the driver to complain about.
  if (verdict?.outcome !== 'accept') return verdict;
  const ban = bans.find({ principal: verdict.principal });
  return ban === null ? verdict : refusalOf(ban);
}

function refusalOf(ban: Ban): Refusal {
  return { outcome: 'refuse', reasonCode: ReasonCode.Banned, reason: banSentence(ban) };
}

function keyOf({ type, value }: Pick<Ban, 'type' | 'value'>): string {
  return `${type} ${value}`;
}

/** Null: it is none. */
function normalValue(type: BanType, value: string): string | null {
  return type === 'address' ? normalRange(value) : value;
}

function entryOf({ type, value, reason, until }: Ban, isConfigured: boolean): Entry {
  const normal = banTypes.includes(type) && typeof value === 'string' && value !== '' ? normalValue(type, value) : null;
  if (normal === null) throw new TypeError(`${String(value)} is no ${type}: it cannot be banned`);
  const untilMs = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until);
  // Without a zone it would be another time on another machine.
  if (until !== undefined && (Number.isNaN(untilMs) || !/T.*(Z|[+-]\d\d:\d\d)$/.test(until))) {
    throw new TypeError(`${until} is no time: write it as ISO 8601, with its zone`);
  }
  const ban = {
    type,
    value: normal,
    ...(reason !== undefined && reason !== '' && { reason }),
    ...(until !== undefined && { until: new Date(untilMs).toISOString() }),
  };
  return { ban: { ...ban, isConfigured }, untilMs };
}
