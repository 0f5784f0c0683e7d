/**
 * Keep Alive, the client's half (section 3.1.2.10): a PINGREQ when nothing was sent, or nothing was heard, for three quarters
 * of the interval; and a server that does not answer one is gone. Stamps and one deadline, nothing per packet.
 */
import { never } from './never.ts';

/** Of the interval: so that a busy loop or network does not make it too late [MQTT-3.1.2-20]. */
const share = 0.75;

export class KeepAlive {
  sentAt = 0;
  receivedAt = 0;
  #intervalMs = 0;
  readonly #timeoutMs: number;
  /** When the PINGREQ that is not answered was sent; -1: there is none. */
  #askedAt = -1;
  /** We do not read, so nothing can be heard. */
  #isBlind = false;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** `intervalMs` 0: never ask. */
  start(intervalMs: number, now: number): void {
    this.#intervalMs = intervalMs;
    this.#askedAt = -1;
    this.#isBlind = false;
    this.sentAt = now;
    this.receivedAt = now;
  }

  heard(now: number): void {
    this.receivedAt = now;
    this.#askedAt = -1;
  }

  asked(now: number): void {
    if (this.#askedAt < 0) this.#askedAt = now;
    this.sentAt = now;
  }

  /** Reading stops, or goes on. */
  blind(isBlind: boolean, now: number): void {
    this.#isBlind = isBlind;
    this.heard(now);
  }

  get deadline(): number {
    if (this.#askedAt >= 0 && !this.#isBlind) return this.#askedAt + this.#timeoutMs;
    if (this.#intervalMs === 0) return never;
    const since = this.#isBlind ? this.sentAt : Math.min(this.sentAt, this.receivedAt);
    return since + this.#intervalMs * share;
  }

  /** What is due: to ask, or to give up. */
  due(now: number): 'ask' | 'dead' | null {
    if (now < this.deadline) return null;
    return this.#askedAt >= 0 && !this.#isBlind ? 'dead' : 'ask';
  }
}
