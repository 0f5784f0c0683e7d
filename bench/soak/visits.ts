/**
 * The churn of a soak: visitors of a broker, each with a client id and topics that nobody had before. One connects, subscribes, publishes
 * at every QoS, reads the retained message of an earlier one, clears another, and leaves: politely, without a word, or for a while.
 *
 * A visit fails when something it was promised does not come in time.
 */

import { type Client, connect, type Message, type QoS } from '@pipit/client';

const visitMsMax = 30_000;
/** Visits after which a retained message is cleared by a later visitor. */
const retainedFor = 200;
const sessionSeconds = 5;
const payload = new Uint8Array(100).fill(0x78);
const levels: readonly QoS[] = [0, 1, 2];

export interface Tally {
  readonly begun: number;
  readonly done: number;
  /** Why, of the first few. */
  readonly failures: readonly string[];
  readonly failed: number;
  readonly messages: number;
}

export class Visits {
  readonly #url: string;
  readonly #perSecond: number;
  #timer: NodeJS.Timeout | null = null;
  #startedAt = 0;
  #begun = 0;
  #done = 0;
  #messages = 0;
  #failed = 0;
  readonly #failures: string[] = [];
  #settled = (): void => {};

  constructor(url: string, perSecond: number) {
    this.#url = url;
    this.#perSecond = perSecond;
  }

  get tally(): Tally {
    return {
      begun: this.#begun,
      done: this.#done,
      failed: this.#failed,
      failures: this.#failures,
      messages: this.#messages,
    };
  }

  start(): void {
    this.#startedAt = performance.now();
    this.#timer = setInterval(() => this.#beginDue(), 1000 / this.#perSecond);
  }

  /** Begins no more, and waits for those that are there. */
  async stop(): Promise<void> {
    clearInterval(this.#timer ?? undefined);
    while (this.#done + this.#failed < this.#begun) await new Promise<void>((settled) => (this.#settled = settled));
  }

  #beginDue(): void {
    const due = ((performance.now() - this.#startedAt) / 1000) * this.#perSecond;
    while (this.#begun < due) this.#visit(this.#begun++);
  }

  #visit(number: number): void {
    const visited = (): void => {
      this.#done++;
      this.#settled();
    };
    const failed = (error: Error): void => {
      this.#failed++;
      if (this.#failures.length < 10) this.#failures.push(`visit ${number}: ${error.message}`);
      this.#settled();
    };
    this.#stay(number).then(visited, failed);
  }

  async #stay(number: number): Promise<void> {
    const signal = AbortSignal.timeout(visitMsMax);
    const version = number % 2 === 0 ? 5 : 4;
    const lasts = number % 8 === 0;
    const client = connect(this.#url, {
      version,
      clientId: `soak-${number}`,
      reconnect: false,
      ...(version === 5 && { sessionExpirySeconds: lasts ? sessionSeconds : 0 }),
      will: { topic: `soak/${number}/will`, payload, qos: 1 },
    });
    try {
      await client.connected({ signal });
      await this.#exchange(client, number, signal);
      if (number % 3 === 0) return;
      // A goodbye that says nothing of the session lets one that lasts go on, until it expires.
      await (lasts ? client.end({ sessionExpirySeconds: sessionSeconds }) : client.end());
    } finally {
      client.destroy();
    }
  }

  async #exchange(client: Client, number: number, signal: AbortSignal): Promise<void> {
    const arrivals = new Arrivals(levels.length + 2);
    const handler = (message: Message): void => arrivals.arrived(message);
    const earlier = `soak/${number - 1}/last`;
    const own = await client.subscribe([`soak/${number}/#`], { qos: 2, handler, signal });
    for (const qos of levels) await client.publish(`soak/${number}/state`, payload, { qos, signal });
    await client.publish(`soak/${number}/last`, payload, { qos: 1, retain: true, signal });
    if (number >= retainedFor)
      await client.publish(`soak/${number - retainedFor}/last`, new Uint8Array(0), { qos: 1, retain: true, signal });
    // The first has nobody before it.
    if (number === 0) await client.publish('soak/0/first', payload, { signal });
    else await client.subscribe([earlier], { qos: 1, handler, signal });
    await arrivals.whole(signal);
    this.#messages += arrivals.count;
    if (number % 3 === 1) await own.unsubscribe();
  }
}

/** Counts what a visitor is to receive. */
class Arrivals {
  readonly #expected: number;
  readonly #done = Promise.withResolvers<void>();
  count = 0;

  constructor(expected: number) {
    this.#expected = expected;
    // Who fails before it waits for them has said why already.
    this.#done.promise.catch(() => {});
  }

  arrived(message: Message): void {
    this.count++;
    if (this.count === this.#expected) this.#done.resolve();
    if (this.count > this.#expected) this.#done.reject(new Error(`one message too many: ${message.topic}`));
  }

  async whole(signal: AbortSignal): Promise<void> {
    const missed = (): void =>
      this.#done.reject(new Error(`${this.count} of ${this.#expected} messages came in ${visitMsMax} ms`));
    signal.addEventListener('abort', missed, { once: true });
    await this.#done.promise.finally(() => signal.removeEventListener('abort', missed));
  }
}
