/**
 * How long who guessed wrong has to wait: per address, and per name from addresses that never got it right. The first few
 * mistakes are free; each further one doubles the wait. Nothing is hashed for an attempt that comes too early.
 *
 * A name alone is never locked: its owner gets in from where he got in before, whatever strangers try.
 */

import type { AuthenticationRequest } from '../core/index.ts';
import { hostOf } from './network-address.ts';

interface Record {
  failures: number;
  /** Monotonic milliseconds. */
  waitsUntil: number;
}

export interface BackOffOptions {
  /** Failures that cost nothing yet. */
  readonly freeFailures?: number;
  readonly waitMsMin?: number;
  readonly waitMsMax?: number;
  /** Addresses and names remembered, each; the oldest are forgotten first. */
  readonly entriesMax?: number;
  readonly now?: () => number;
}

export class BackOff {
  private readonly addresses = new Map<string, Record>();
  private readonly names = new Map<string, Record>();
  /** Names with the address they last came in from. */
  private readonly known = new Map<string, string>();
  private readonly options: Required<BackOffOptions>;

  constructor(options: BackOffOptions = {}) {
    this.options = {
      freeFailures: 5,
      waitMsMin: 1_000,
      waitMsMax: 60_000,
      entriesMax: 100_000,
      now: () => performance.now(),
      ...options,
    };
  }

  /** Milliseconds until this peer may try again under this name; 0: now. */
  waitMs({ peer, username }: Pick<AuthenticationRequest, 'peer' | 'username'>): number {
    const address = hostOf(peer.address);
    if (username !== null && this.known.get(username) === address) return 0;
    const byAddress = this.addresses.get(address)?.waitsUntil ?? 0;
    const byName = username === null ? 0 : (this.names.get(username)?.waitsUntil ?? 0);
    return Math.max(0, Math.max(byAddress, byName) - this.options.now());
  }

  failed({ peer, username }: Pick<AuthenticationRequest, 'peer' | 'username'>): void {
    const address = hostOf(peer.address);
    this.count(this.addresses, address);
    if (username === null) return;
    if (this.known.get(username) === address) this.known.delete(username);
    else this.count(this.names, username);
  }

  succeeded({ peer, username }: Pick<AuthenticationRequest, 'peer' | 'username'>): void {
    const address = hostOf(peer.address);
    this.addresses.delete(address);
    if (username !== null) remember(this.known, username, address, this.options.entriesMax);
  }

  private count(records: Map<string, Record>, key: string): void {
    const { freeFailures, waitMsMin, waitMsMax, entriesMax, now } = this.options;
    const at = now();
    const before = records.get(key);
    // Who has waited out the longest time and as much again begins anew.
    const isOld = before !== undefined && at > before.waitsUntil + 2 * waitMsMax;
    const failures = before === undefined || isOld ? 1 : before.failures + 1;
    const exponent = Math.min(30, failures - freeFailures - 1);
    const wait = exponent < 0 ? 0 : Math.min(waitMsMax, waitMsMin * 2 ** exponent);
    remember(records, key, { failures, waitsUntil: at + wait }, entriesMax);
  }
}

function remember<Value>(map: Map<string, Value>, key: string, value: Value, entriesMax: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= entriesMax) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
