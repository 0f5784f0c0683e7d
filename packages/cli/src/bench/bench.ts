/** `pipit bench`: loads a broker from several threads, and says how much it got through, how long that took, and what was lost. */

import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { topicNameProblem } from '@pipit/protocol';
import { checkConnection } from '../broker-client.ts';
import { CommandError, exitCodes, usageError } from '../command-error.ts';
import { ProgressLine } from '../progress-line.ts';
import { print } from '../store-print.ts';
import type { BenchArguments } from './bench-options.ts';
import { type BenchPlan, copiesOf, payloadBytesMin } from './bench-plan.ts';
import { type BenchResult, isWhole, liveText, resultLines } from './bench-result.ts';
import type { Order, Reply, ThreadData, ThreadReport } from './bench-thread.ts';
import { Board, type Totals } from './board.ts';
import { latencies, quantilesOf } from './latencies.ts';
import { SharedClock } from './shared-clock.ts';

/** How long nothing may come in before what is missing counts as lost. */
const silenceMs = 3_000;
const lookEveryMs = 20;

/** Resolves to the exit code. Rejects with a CommandError. */
export async function benchCommand(options: BenchArguments): Promise<number> {
  const plan = planOf(options);
  // Wrong options are told once, and not by each thread.
  checkConnection(options);
  const bench = new Bench(plan, options);
  const result = await bench.run();
  await print(options.json === true ? [JSON.stringify(result, null, 2)] : resultLines(result));
  return isWhole(result) ? 0 : exitCodes.failure;
}

function planOf(options: BenchArguments): BenchPlan {
  const { publishers, subscribers, qos, size, window, rate, topic } = options;
  const delivery = options.deliver ?? (publishers === subscribers ? 'pair' : 'all');
  if (delivery === 'pair' && publishers !== subscribers && subscribers > 0) {
    throw usageError('--deliver pair needs as many subscribers as publishers.');
  }
  if (options.id !== undefined) throw usageError('many clients cannot have one client id: give them a prefix (-I).');
  const problem = topicNameProblem(topic);
  if (problem !== undefined) throw usageError(`--topic: ${problem}.`);
  const run = randomBytes(4).toString('hex');
  const { idPrefix = `pipit-bench-${run}-`, ...connection } = options;
  const threadsMax = Math.max(1, availableParallelism() - 1);
  return {
    connection,
    clientIdPrefix: idPrefix,
    publishers,
    subscribers,
    delivery,
    qos,
    payloadBytes: Math.max(payloadBytesMin, size),
    window,
    rate: rate ?? null,
    topicPrefix: `${topic}/${run}`,
    threads: Math.min(options.threads ?? threadsMax, publishers + subscribers),
  };
}

class Bench {
  readonly #plan: BenchPlan;
  readonly #options: BenchArguments;
  readonly #board: Board;
  readonly #clock = new SharedClock();
  readonly #progress = new ProgressLine();
  readonly #interrupted = Promise.withResolvers<null>();
  readonly #failed = Promise.withResolvers<never>();
  #threads: BenchWorker[] = [];

  constructor(plan: BenchPlan, options: BenchArguments) {
    this.#plan = plan;
    this.#options = options;
    this.#board = Board.for(plan.publishers, plan.threads);
    this.#failed.promise.catch(() => undefined);
  }

  async run(): Promise<BenchResult> {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => this.#interrupted.resolve(null));
    try {
      return await Promise.race([this.#measured(), this.#failed.promise]);
    } finally {
      this.#progress.clear();
      await Promise.all(this.#threads.map((thread) => thread.end()));
    }
  }

  async #measured(): Promise<BenchResult> {
    const { threads, publishers, subscribers } = this.#plan;
    this.#progress.show(() => `connecting ${publishers + subscribers} clients`);
    this.#threads = Array.from({ length: threads }, (_, thread) => {
      const data = { plan: this.#plan, thread, board: this.#board.buffers };
      return new BenchWorker(data, (message) => this.#fail(message));
    });
    await Promise.all(this.#threads.map((thread) => thread.ready));
    const { warmUp, duration } = this.#options;
    const startAt = this.#clock.now();
    for (const thread of this.#threads) thread.order({ kind: 'start', at: startAt });
    await this.#pass(warmUp, 'warming up');
    const before = this.#sample();
    this.#board.measure(before.at, Number.POSITIVE_INFINITY);
    await this.#pass(duration, 'measuring');
    const after = this.#sample();
    this.#board.measure(before.at, after.at);
    await Promise.all(this.#threads.map((thread) => thread.ask({ kind: 'stop' }, 'stopped')));
    await this.#drain();
    const reports = await Promise.all(this.#threads.map((thread) => thread.ask({ kind: 'report' }, 'report')));
    return this.#result(before, after, reports);
  }

  #fail(message: string): void {
    this.#failed.reject(new CommandError(`Error: ${message.replace(/\.$/, '')}.`, exitCodes.failure));
  }

  /** So many seconds, or until somebody wants it to end. */
  async #pass(seconds: number, what: string): Promise<void> {
    const startAt = this.#clock.now();
    let last = { at: startAt, ...this.#board.totals() };
    const timer = setInterval(() => {
      const now = { at: this.#clock.now(), ...this.#board.totals() };
      this.#progress.show(() => liveText(what, { seconds, startAt, last, now }));
      last = now;
    }, 500);
    const passed = Promise.withResolvers<null>();
    const end = setTimeout(() => passed.resolve(null), seconds * 1000);
    await Promise.race([passed.promise, this.#interrupted.promise, this.#failed.promise]);
    clearTimeout(end);
    clearInterval(timer);
  }

  /** Waits until everything sent was acknowledged and delivered, or nothing comes any more. */
  async #drain(): Promise<void> {
    let seen = -1;
    let seenAt = this.#clock.now();
    for (;;) {
      const { sent, acknowledged, received } = this.#board.totals();
      if (acknowledged >= sent && received >= sent * copiesOf(this.#plan)) return;
      const now = this.#clock.now();
      if (acknowledged + received !== seen) seenAt = now;
      seen = acknowledged + received;
      if (now - seenAt > silenceMs) return;
      this.#progress.show(() => `waiting for ${sent * copiesOf(this.#plan) - received} deliveries`);
      await new Promise((done) => setTimeout(done, lookEveryMs));
    }
  }

  #sample(): Sample {
    const utilizations = this.#threads.map((thread) => thread.utilization());
    return { at: this.#clock.now(), totals: this.#board.totals(), utilizations };
  }

  #result(before: Sample, after: Sample, reports: readonly ThreadReport[]): BenchResult {
    const { connection, clientIdPrefix: _, topicPrefix: __, ...load } = this.#plan;
    const seconds = (after.at - before.at) / 1000;
    const { sent, acknowledged, received } = this.#board.totals();
    const merged = (name: 'deliveries' | 'acknowledgements' | 'delays') => {
      const all = latencies();
      for (const report of reports) all.add(report[name]);
      return quantilesOf(all);
    };
    const expected = sent * copiesOf(this.#plan);
    const busy = this.#threads.map((thread, i) =>
      thread.utilizationBetween(before.utilizations[i], after.utilizations[i]),
    );
    return {
      load: { version: connection.protocolVersion === 5 ? '5.0' : '3.1.1', ...load },
      seconds,
      publishedPerSecond: (after.totals.sent - before.totals.sent) / seconds,
      receivedPerSecond: (after.totals.received - before.totals.received) / seconds,
      published: sent,
      received,
      lost: Math.max(0, expected - received),
      surplus: Math.max(0, received - expected),
      misplaced: reports.reduce((sum, report) => sum + report.misplaced, 0),
      unacknowledged: sent - acknowledged,
      deliveryMs: merged('deliveries'),
      acknowledgementMs: merged('acknowledgements'),
      generator: { busy: load.rate === null ? Math.max(...busy) : null, delayMs: merged('delays') },
    };
  }
}

interface Sample {
  readonly at: number;
  readonly totals: Totals;
  readonly utilizations: readonly EventLoopUtilization[];
}

type ReplyOf<Kind extends Reply['kind']> = Extract<Reply, { kind: Kind }>;

/** A thread as the main thread has it. */
class BenchWorker {
  readonly ready: Promise<unknown>;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #isLeaving = false;

  /** `failed` gets a sentence. */
  constructor(data: ThreadData, failed: (message: string) => void) {
    const url = new URL(`./bench-thread${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(url, { workerData: data });
    this.#worker.on('error', (error: Error) => failed(error.stack ?? error.message));
    this.#worker.on('message', (reply: Reply) => {
      if (reply.kind === 'failed') failed(reply.message);
    });
    this.#exited = new Promise((done) => {
      this.#worker.on('exit', () => {
        if (!this.#isLeaving) failed('a thread of the generator ended');
        done();
      });
    });
    this.ready = this.#reply('ready');
  }

  order(order: Order): void {
    this.#isLeaving ||= order.kind === 'report';
    this.#worker.postMessage(order);
  }

  ask<Kind extends 'stopped' | 'report'>(order: Order, kind: Kind): Promise<ReplyOf<Kind>> {
    const reply = this.#reply(kind);
    this.order(order);
    return reply;
  }

  utilization(): EventLoopUtilization {
    return this.#worker.performance.eventLoopUtilization();
  }

  /** Share of the time in which the thread did something. */
  utilizationBetween(before: EventLoopUtilization | undefined, after: EventLoopUtilization | undefined): number {
    if (before === undefined || after === undefined) return 0;
    return performance.eventLoopUtilization(after, before).utilization;
  }

  /** Resolves when it is gone: one that has reported leaves by itself. */
  async end(): Promise<void> {
    const isLeaving = this.#isLeaving;
    this.#isLeaving = true;
    if (!isLeaving) await this.#worker.terminate();
    await this.#exited;
  }

  #reply<Kind extends Reply['kind']>(kind: Kind): Promise<ReplyOf<Kind>> {
    return new Promise((done) => {
      const take = (reply: Reply): void => {
        if (reply.kind !== kind) return;
        this.#worker.off('message', take);
        done(reply as ReplyOf<Kind>);
      };
      this.#worker.on('message', take);
    });
  }
}
