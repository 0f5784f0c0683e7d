/**
 * One run of one scenario against one broker: connect, warm up, measure, and wait for what is under way.
 *
 * Closed loop: as many messages are under way as the window and `outstandingMax` say. Open loop (`rate`): each message has
 * a time at which it is due, and its latency counts from then, however late it was sent.
 */

import { deliveriesPerMessage, type Scenario } from '../scenarios.ts';
import { Histogram } from './histogram.ts';
import { Ledger } from './ledger.ts';
import { type Identity, type LoadOwner, Publisher, payloadBytesMin, Subscriber, WriteBuffers } from './peer.ts';
import { type Usage, usageOf } from './process-usage.ts';
import type { Address } from './transport.ts';

export interface LoadOptions {
  readonly scenario: Scenario;
  readonly address: Address;
  /** The broker's process on this machine; null: its CPU and memory are not known. */
  readonly pid: number | null;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** How long nothing may arrive before what is missing counts as lost; default 5,000. */
  readonly silenceMs?: number;
}

export interface LoadResult {
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
  /** Microseconds from stamp to delivery; null when nobody was there to receive. */
  readonly latencyUs: {
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  } | null;
  /** Deliveries that never came. */
  readonly lost: number;
  /** Deliveries passed over and deliveries that came again or too late. */
  readonly outOfOrder: number;
  readonly unacknowledged: number;
  readonly seconds: number;
  /** The broker's CPU microseconds per message, in or out, and how many cores it used. */
  readonly cpuUsPerMessage: number | null;
  readonly cpuShare: number | null;
  readonly rssBytes: number | null;
  readonly generator: 'C' | 'TypeScript';
  /** The generator's own, to see whether it was the limit. */
  readonly generatorCpuShare: number;
}

/** What the process of a load prints when the measured time begins and when it ends; last comes its result. */
export const turnedLine = 'turned';

const connectingMax = 200;
const defaultSilenceMs = 5000;

/** `turned`: the measured time begins, or ends. */
export async function runLoad(options: LoadOptions, turned = (): void => {}): Promise<LoadResult> {
  const load = new Load(options, turned);
  await load.connect();
  return load.run();
}

class Load implements LoadOwner {
  readonly #options: LoadOptions;
  readonly #turned: () => void;
  readonly #buffers: WriteBuffers;
  readonly #publishers: Publisher[] = [];
  #subscribers: Subscriber[] = [];
  readonly #ledgers: Ledger[];
  readonly #histogram = new Histogram();
  readonly #perMessage: number;
  readonly #prefix = `bench-${process.pid}`;
  /** Publishers that may send. */
  #waiting: Publisher[] = [];
  #isScheduled = false;
  #isPublishing = false;
  #isMeasuring = false;
  #sent = 0;
  #received = 0;
  #acknowledged = 0;
  #startedAt = 0;
  #failure: Error | null = null;

  constructor(options: LoadOptions, turned: () => void) {
    this.#turned = turned;
    const { scenario } = options;
    if (scenario.payloadBytes < payloadBytesMin)
      throw new RangeError(`a payload has at least ${payloadBytesMin} bytes`);
    this.#options = options;
    this.#buffers = new WriteBuffers(scenario.batch * (scenario.payloadBytes + 256));
    this.#perMessage = deliveriesPerMessage(scenario);
    // A subscriber gets some of a publisher's messages, the others get the rest.
    const isDealt = scenario.shape === 'shared' || scenario.shape === 'spread';
    this.#ledgers = Array.from({ length: scenario.subscribers }, () => new Ledger(scenario.publishers, isDealt));
  }

  async connect(): Promise<void> {
    const { scenario, address } = this.#options;
    await this.#connectSubscribers();
    await inGroups(scenario.publishers, async (i) => {
      const identity: Identity = { clientId: `${this.#prefix}-p${i}`, cleanStart: true, isDurable: false };
      const publisher = new Publisher(address, scenario, i, topicsOf(scenario, i), identity, this.#buffers, this);
      this.#publishers.push(publisher);
      await publisher.ready;
    });
    if (scenario.durable !== 'absent') return;
    for (const subscriber of this.#subscribers) subscriber.leave();
    this.#subscribers = [];
  }

  async run(): Promise<LoadResult> {
    const { warmUpMs, measureMs, pid } = this.#options;
    this.#isPublishing = true;
    this.#startedAt = performance.now();
    for (const publisher of this.#publishers) this.#line(publisher);
    this.wake();
    await this.#pass(warmUpMs);
    const before = this.#sample(pid);
    this.#isMeasuring = true;
    this.#turned();
    await this.#pass(measureMs);
    this.#turned();
    this.#isMeasuring = false;
    const after = this.#sample(pid);
    this.#isPublishing = false;
    await this.#drain();
    await this.#leave();
    return this.#result(before, after);
  }

  // ── what peers tell

  wake(): void {
    if (this.#isScheduled || !this.#isPublishing) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  lost(why: string): void {
    this.#failure ??= new Error(`A client lost its connection: ${why}`);
  }

  delivered(at: number, sentAt: number): void {
    this.#received++;
    if (this.#isMeasuring) this.#histogram.add((at - sentAt) * 1000);
  }

  acknowledged(publisher: Publisher): void {
    this.#acknowledged++;
    this.#line(publisher);
  }

  // ── publishing

  readonly #turn = (): void => {
    this.#isScheduled = false;
    if (!this.#isPublishing) return;
    if (this.#options.scenario.rate > 0) this.#publishDue();
    else this.#publishAll();
  };

  #line(publisher: Publisher): void {
    if (publisher.isWaiting) return;
    publisher.isWaiting = true;
    this.#waiting.push(publisher);
  }

  #publishAll(): void {
    const { batch, outstandingMax, qos } = this.#options.scenario;
    const line = this.#waiting;
    this.#waiting = [];
    const now = performance.now();
    let mayGoOn = false;
    for (const [i, publisher] of line.entries()) {
      const under = this.#sent * this.#perMessage - this.#received;
      const room = this.#perMessage === 0 ? batch : Math.ceil((outstandingMax - under) / this.#perMessage);
      if (room <= 0) {
        // Whose turn it would be is first next time: else the first ones would always be.
        this.#waiting = [...line.slice(i), ...this.#waiting];
        break;
      }
      publisher.isWaiting = false;
      const count = Math.min(batch, room, publisher.room);
      if (count > 0 && publisher.isReady) {
        publisher.publish(count, now);
        this.#sent += count;
        mayGoOn = true;
        // With a window it comes back with an acknowledgement.
        if (qos > 0 && publisher.room <= 0) continue;
      }
      this.#line(publisher);
    }
    if (mayGoOn && this.#waiting.length > 0) this.wake();
  }

  #publishDue(): void {
    const { rate } = this.#options.scenario;
    const due = Math.floor(((performance.now() - this.#startedAt) / 1000) * rate);
    for (; this.#sent < due; this.#sent++) {
      const publisher = this.#publishers[this.#sent % this.#publishers.length] as Publisher;
      publisher.publish(1, this.#startedAt + (this.#sent / rate) * 1000);
    }
    this.wake();
  }

  // ── around it

  async #connectSubscribers(): Promise<void> {
    const { scenario, address } = this.#options;
    const isDurable = scenario.durable !== 'no';
    await inGroups(scenario.subscribers, async (i) => {
      const identity: Identity = { clientId: `${this.#prefix}-s${i}`, cleanStart: !isDurable, isDurable };
      const ledger = this.#ledgers[i] as Ledger;
      const filter = filterOf(scenario, i);
      const subscriber = new Subscriber(address, scenario, filter, identity, ledger, this.#buffers, this);
      this.#subscribers.push(subscriber);
      await subscriber.ready;
    });
  }

  async #pass(ms: number): Promise<void> {
    await new Promise((done) => setTimeout(done, ms));
    if (this.#failure !== null) throw this.#failure;
  }

  /** Waits until everything sent has arrived and was acknowledged, or nothing comes any more. */
  async #drain(): Promise<void> {
    if (this.#options.scenario.durable === 'absent') await this.#connectSubscribers();
    const { silenceMs = defaultSilenceMs } = this.#options;
    let seen = -1;
    for (let silence = 0; silence < silenceMs && !this.#isDone; silence += 20) {
      await this.#pass(20);
      if (this.#received + this.#acknowledged !== seen) silence = 0;
      seen = this.#received + this.#acknowledged;
    }
  }

  get #isDone(): boolean {
    const isAcknowledged = this.#options.scenario.qos === 0 || this.#acknowledged === this.#sent;
    return isAcknowledged && this.#received >= this.#expected;
  }

  /** Deliveries of everything sent, whether its receivers are there or not. */
  get #expected(): number {
    const { scenario } = this.#options;
    return this.#sent * deliveriesPerMessage({ ...scenario, durable: 'no' });
  }

  async #leave(): Promise<void> {
    for (const peer of [...this.#publishers, ...this.#subscribers]) peer.leave();
    if (this.#options.scenario.durable === 'no') return;
    // A broker that goes on living must not keep their sessions.
    const { scenario, address } = this.#options;
    await inGroups(scenario.subscribers, async (i) => {
      const identity: Identity = { clientId: `${this.#prefix}-s${i}`, cleanStart: true, isDurable: false };
      const last = new Publisher(address, scenario, i, ['bench'], identity, this.#buffers, this);
      await last.ready;
      last.leave();
    });
  }

  #sample(pid: number | null): Sample {
    const { user, system } = process.cpuUsage();
    return {
      at: performance.now(),
      sent: this.#sent,
      received: this.#received,
      usage: usageOf(pid),
      generatorCpuSeconds: (user + system) / 1e6,
    };
  }

  #result(before: Sample, after: Sample): LoadResult {
    const { scenario } = this.#options;
    const seconds = (after.at - before.at) / 1000;
    const sent = after.sent - before.sent;
    const received = after.received - before.received;
    const cpu = before.usage && after.usage ? after.usage.cpuSeconds - before.usage.cpuSeconds : null;
    const histogram = this.#histogram;
    const wrong = this.#ledgers.reduce((sum, { missing, misplaced }) => sum + missing + misplaced, 0);
    return {
      sentPerSecond: sent / seconds,
      receivedPerSecond: received / seconds,
      latencyUs:
        histogram.count === 0
          ? null
          : { p50: histogram.at(0.5), p99: histogram.at(0.99), p999: histogram.at(0.999), max: histogram.max },
      lost: Math.max(0, this.#expected - this.#received),
      outOfOrder: wrong,
      unacknowledged: scenario.qos === 0 ? 0 : this.#sent - this.#acknowledged,
      seconds,
      cpuUsPerMessage: cpu === null || sent + received === 0 ? null : (cpu * 1e6) / (sent + received),
      cpuShare: cpu === null ? null : cpu / seconds,
      rssBytes: after.usage?.rssBytes ?? null,
      generator: 'TypeScript',
      generatorCpuShare: (after.generatorCpuSeconds - before.generatorCpuSeconds) / seconds,
    };
  }
}

interface Sample {
  readonly at: number;
  readonly sent: number;
  readonly received: number;
  readonly usage: Usage | null;
  readonly generatorCpuSeconds: number;
}

/** Those a publisher takes in turn. */
function topicsOf({ shape, subscribers }: Scenario, publisher: number): string[] {
  if (shape === 'spread') return Array.from({ length: subscribers }, (_, i) => `load/${i}`);
  return [shape === 'fan-out' ? 'load/all' : `load/${publisher}`];
}

function filterOf({ shape }: Scenario, subscriber: number): string {
  switch (shape) {
    case 'pair':
    case 'spread':
      return `load/${subscriber}`;
    case 'fan-out':
      return 'load/all';
    case 'fan-in':
      return 'load/#';
    case 'shared':
      return '$share/bench/load/#';
  }
}

/** Does something for each number below `count`, a limited number at a time. */
async function inGroups(count: number, each: (i: number) => Promise<void>): Promise<void> {
  for (let start = 0; start < count; start += connectingMax) {
    const group = Array.from({ length: Math.min(connectingMax, count - start) }, (_, i) => each(start + i));
    await Promise.all(group);
  }
}
