/**
 * When and whom to dial next. Full jitter: any time between now and a bound that doubles with every failure, so that a
 * thousand clients that lost one server do not come back together.
 */
import type { ReconnectPolicy } from './options.ts';

/** Doublings after which the bound is past any sensible maximum. */
const doublingsMax = 20;
/** Servers that send us on to one another are not followed for ever. */
const referencesMax = 3;

export class Redial {
  /** Failures since the last stable connection. */
  attempt = 0;
  /** The server to dial, from 0. */
  server = 0;
  /** Where the last server sent us; null: nowhere. It is tried once. */
  reference: string | null = null;
  readonly #policy: ReconnectPolicy;
  readonly #servers: number;
  #references = 0;
  #random: number;

  /** `seed`: 32 bits that differ from client to client. */
  constructor(policy: ReconnectPolicy, servers: number, seed: number) {
    this.#policy = policy;
    this.#servers = servers;
    this.#random = seed | 0;
  }

  /** Dialling, or CONNECT, came to nothing: milliseconds until the next try. All servers are tried before there is a pause. */
  failed(): number {
    if (this.reference !== null) {
      this.reference = null;
      return this.#pause();
    }
    this.server = (this.server + 1) % this.#servers;
    return this.server === 0 ? this.#pause() : 0;
  }

  /** A connection that had been accepted is gone after `lastedMs`: milliseconds until the next try. */
  lost(lastedMs: number): number {
    this.reference = null;
    if (lastedMs >= this.#policy.stableMs) {
      this.attempt = 0;
      this.#references = 0;
    }
    return this.#pause();
  }

  /** Whether to go where the server sent us: `references` are servers separated by spaces, the first is taken. */
  follow(references: string): boolean {
    const [first] = references.split(' ');
    if (first === undefined || first === '' || this.#references >= referencesMax) return false;
    this.#references++;
    this.reference = first;
    return true;
  }

  #pause(): number {
    const { minMs, maxMs } = this.#policy;
    const bound = Math.min(maxMs, minMs * 2 ** Math.min(this.attempt, doublingsMax));
    this.attempt++;
    return Math.floor(bound * this.#next());
  }

  /** From 0 to 1 (a Weyl step, mixed): good enough to spread clients, and the same for the same seed. */
  #next(): number {
    this.#random = (this.#random + 0x9e3779b9) | 0;
    let bits = this.#random;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  }
}
