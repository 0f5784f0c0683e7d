/** A thread of `pipit bench`: connects its share of the publishers and subscribers, and does what the main thread says. */

import type { RecordableHistogram } from 'node:perf_hooks';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type Client, MqttError } from '@pipit/client';
import { clientOf } from '../broker-client.ts';
import { CommandError } from '../command-error.ts';
import { type BenchPlan, filterOf, shareOf } from './bench-plan.ts';
import { BenchPublisher } from './bench-publisher.ts';
import { BenchSubscriber, DeliveryCount } from './bench-subscriber.ts';
import { Board, type BoardBuffers } from './board.ts';
import { latencies } from './latencies.ts';
import { OpenLoop } from './open-loop.ts';
import { SharedClock } from './shared-clock.ts';

export interface ThreadData {
  readonly plan: BenchPlan;
  readonly thread: number;
  readonly board: BoardBuffers;
}

export type Order =
  /** On the shared clock. */
  { readonly kind: 'start'; readonly at: number } | { readonly kind: 'stop' } | { readonly kind: 'report' };

export type Reply =
  | { readonly kind: 'ready' | 'stopped' }
  | { readonly kind: 'failed'; readonly message: string }
  | ({ readonly kind: 'report' } & ThreadReport);

export interface ThreadReport {
  readonly deliveries: RecordableHistogram;
  readonly acknowledgements: RecordableHistogram;
  readonly delays: RecordableHistogram;
  readonly misplaced: number;
}

const connectingMax = 100;
const tellEveryMs = 20;
const giveUpEveryMs = 1_000;

class BenchThread {
  readonly #data: ThreadData;
  readonly #port: MessagePort;
  readonly #board: Board;
  readonly #clock = new SharedClock();
  readonly #deliveries = latencies();
  readonly #acknowledgements = latencies();
  readonly #delays = latencies();
  readonly #clients: Client[] = [];
  readonly #publishers = new Map<number, BenchPublisher>();
  readonly #subscribers: BenchSubscriber[] = [];
  #openLoop: OpenLoop | null = null;
  #isLeaving = false;

  constructor(data: ThreadData, port: MessagePort) {
    this.#data = data;
    this.#port = port;
    this.#board = new Board(data.board);
  }

  async connect(): Promise<void> {
    const { plan, thread } = this.#data;
    const told = new DeliveryCount(this.#board, plan.publishers);
    const common = { plan, board: this.#board, clock: this.#clock };
    await inGroups(shareOf(plan.subscribers, thread, plan.threads), async (index) => {
      const subscriber = new BenchSubscriber(index, { ...common, deliveries: this.#deliveries, told });
      const client = await this.#connected(`s${index}`);
      await client.subscribe(filterOf(plan, index), { qos: plan.qos, handler: subscriber.take });
      this.#subscribers.push(subscriber);
    });
    const owner = { ...common, acknowledgements: this.#acknowledgements, failed: this.failed };
    await inGroups(shareOf(plan.publishers, thread, plan.threads), async (index) => {
      this.#publishers.set(index, new BenchPublisher(await this.#connected(`p${index}`), index, owner));
    });
    setInterval(() => this.#tell(), tellEveryMs);
    setInterval(() => {
      for (const publisher of this.#publishers.values()) publisher.giveUpLost();
    }, giveUpEveryMs);
  }

  obey(order: Order): void {
    if (order.kind === 'start') return this.#start(order.at);
    if (order.kind === 'stop') {
      this.#openLoop?.stop();
      for (const publisher of this.#publishers.values()) publisher.stop();
      return this.#reply({ kind: 'stopped' });
    }
    void this.#leave();
  }

  readonly failed = (error: unknown): void => {
    if (this.#isLeaving) return;
    if (!(error instanceof MqttError || error instanceof CommandError)) throw error;
    this.#isLeaving = true;
    this.#reply({ kind: 'failed', message: error.message });
  };

  #start(at: number): void {
    const { publishers, rate } = this.#data.plan;
    if (rate === null) {
      for (const publisher of this.#publishers.values()) publisher.start();
    } else {
      this.#openLoop = new OpenLoop(this.#publishers, publishers, rate, this.#clock, this.#delays);
      this.#openLoop.start(at);
    }
  }

  async #connected(name: string): Promise<Client> {
    const { connection, clientIdPrefix } = this.#data.plan;
    const client = clientOf(connection, {
      clientId: `${clientIdPrefix}${name}`,
      sessionExpirySeconds: 0,
      reconnect: false,
      limits: {
        receiveMaximum: 65_535,
        sendMaximum: 65_535,
        outboxMessagesMax: 10_000_000,
        outboxBytesMax: 1024 * 1024 * 1024,
      },
    });
    this.#clients.push(client);
    await client.connected();
    client.onStatus(({ state, why }) => {
      if (state !== 'connected')
        this.failed(new MqttError('connection', `a client lost its connection: ${why.message}`));
    });
    return client;
  }

  #tell(): void {
    let sent = 0;
    let acknowledged = 0;
    let received = 0;
    for (const publisher of this.#publishers.values()) {
      sent += publisher.sent;
      acknowledged += publisher.acknowledged;
    }
    for (const subscriber of this.#subscribers) received += subscriber.received;
    this.#board.tell(this.#data.thread, { sent, acknowledged, received });
  }

  async #leave(): Promise<void> {
    this.#isLeaving = true;
    const misplaced = this.#subscribers.reduce((sum, subscriber) => sum + subscriber.misplaced, 0);
    this.#reply({
      kind: 'report',
      deliveries: this.#deliveries,
      acknowledgements: this.#acknowledgements,
      delays: this.#delays,
      misplaced,
    });
    await Promise.all(this.#clients.map((client) => client.end({ drainMs: 0 })));
    process.exit();
  }

  #reply(reply: Reply): void {
    if (reply.kind === 'stopped') this.#tell();
    this.#port.postMessage(reply);
  }
}

/** Does something for each, a limited number at a time. */
async function inGroups(indexes: readonly number[], each: (index: number) => Promise<void>): Promise<void> {
  for (let at = 0; at < indexes.length; at += connectingMax) {
    await Promise.all(indexes.slice(at, at + connectingMax).map(each));
  }
}

async function run(port: MessagePort): Promise<void> {
  const thread = new BenchThread(workerData as ThreadData, port);
  port.on('message', (order: Order) => thread.obey(order));
  try {
    await thread.connect();
    port.postMessage({ kind: 'ready' } satisfies Reply);
  } catch (error) {
    thread.failed(error);
  }
}

if (parentPort !== null) await run(parentPort);
