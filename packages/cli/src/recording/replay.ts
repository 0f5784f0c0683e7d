/** `pipit replay`: publishes a recording again, with its pauses. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, MqttError } from '@pipit/client';
import { topicNameProblem } from '@pipit/protocol';
import { connectedClient } from '../broker-client.ts';
import { CommandError, exitCodes, usageError } from '../command-error.ts';
import { messageOf } from '../json-lines.ts';
import { linesOf } from '../lines.ts';
import type { OutgoingMessage } from '../mqtt-connection.ts';
import { ProgressLine } from '../progress-line.ts';
import type { ReplayArguments } from './replay-options.ts';

/** Messages sent and not answered, at most. */
const windowMax = 1000;

/** Resolves to the exit code. Rejects with a CommandError. */
export async function replayCommand(file: string, options: ReplayArguments): Promise<number> {
  if (file === '-' && options.repeat > 1) throw usageError('--repeat needs a file.');
  const bytes = file === '-' ? null : await bytesOf(file);
  const stopped = Promise.withResolvers<true>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.resolve(true));
  const client = await connectedClient(options);
  const replay = new Replay(client, options);
  let isStopped = false;
  try {
    isStopped = await Promise.race([replay.playAll(file, bytes), stopped.promise]);
  } finally {
    replay.stop();
    await client.end();
  }
  console.error(`${isStopped ? 'Stopped: ' : ''}${replay.summary}`);
  return isStopped || replay.refused > 0 ? exitCodes.failure : 0;
}

async function bytesOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    throw usageError(`${file} cannot be read: ${(error as Error).message}.`);
  }
}

class Replay {
  refused = 0;
  readonly #client: Client;
  readonly #options: ReplayArguments;
  readonly #progress = new ProgressLine();
  readonly #startAt = performance.now();
  readonly #open = new Set<Promise<void>>();
  #published = 0;
  #lateMs = 0;
  /** The client has given up. */
  #failure: CommandError | null = null;
  #isStopped = false;

  constructor(client: Client, options: ReplayArguments) {
    this.#client = client;
    this.#options = options;
  }

  get summary(): string {
    const seconds = ((performance.now() - this.#startAt) / 1000).toFixed(1);
    const refused = this.refused === 0 ? '' : `, ${this.refused.toLocaleString('en')} of them refused`;
    const late = this.#lateMs < 1 ? '' : `, ${Math.round(this.#lateMs)} ms late at most`;
    const count = `${this.#published.toLocaleString('en')} message${this.#published === 1 ? '' : 's'}`;
    return `${count} in ${seconds} s${refused}${late}`;
  }

  /** Resolves to false when the broker has answered for everything. */
  async playAll(file: string, bytes: number | null): Promise<false> {
    for (let i = 0; i < this.#options.repeat; i++) await this.#play(file, bytes);
    await Promise.all(this.#open);
    if (this.#failure !== null) throw this.#failure;
    return false;
  }

  /** Nothing more is published. */
  stop(): void {
    this.#isStopped = true;
    this.#progress.clear();
  }

  /** Publishes all lines once. `bytes`: how many there are to read; null: nobody knows. */
  async #play(file: string, bytes: number | null): Promise<void> {
    const { speed } = this.#options;
    const startAt = performance.now();
    let first: number | null = null;
    let number = 0;
    let readBytes = 0;
    for await (const line of linesOf(file === '-' ? process.stdin : createReadStream(file))) {
      number++;
      readBytes += line.length + 1;
      if (line.length === 0) continue;
      const text = Buffer.from(line).toString();
      const message = this.#messageOf(text, number);
      const at = speed === Number.POSITIVE_INFINITY ? 0 : timeOf(text, number);
      first ??= at;
      await this.#pause(startAt + (at - first) / speed);
      if (this.#isStopped) return;
      await this.#publish(message);
      this.#progress.show(() => `${this.#published.toLocaleString('en')} messages${percent(readBytes, bytes)}`);
    }
  }

  #messageOf(text: string, number: number): OutgoingMessage {
    const { prefix, retain } = this.#options;
    const message = messageOf(text, { topic: undefined, qos: 0, retain: false });
    if (typeof message === 'string') throw usageError(`line ${number}: ${message}.`);
    const topic = prefix + message.topic;
    const problem = topicNameProblem(topic);
    if (problem !== undefined) throw usageError(`line ${number}, with its prefix: ${problem}.`);
    return { ...message, topic, retain: retain && message.retain };
  }

  async #pause(dueAt: number): Promise<void> {
    const waitMs = dueAt - performance.now();
    if (waitMs >= 1) await sleep(waitMs);
    const isPaced = this.#options.speed !== Number.POSITIVE_INFINITY;
    if (isPaced) this.#lateMs = Math.max(this.#lateMs, performance.now() - dueAt);
  }

  async #publish({ topic, payload, qos, retain, properties }: OutgoingMessage): Promise<void> {
    const isNewer = this.#client.version === 5;
    const answered = this.#client
      .publish(topic, payload, { qos, retain, ...(isNewer && properties !== undefined && { properties }) })
      .then(
        () => undefined,
        (error: unknown) => this.#failed(topic, error as Error),
      )
      .then(() => {
        this.#open.delete(answered);
      });
    this.#published++;
    this.#open.add(answered);
    if (this.#open.size >= windowMax) await Promise.race(this.#open);
    if (this.#failure !== null) throw this.#failure;
  }

  #failed(topic: string, error: Error): void {
    if (error instanceof MqttError && error.kind === 'ended') {
      this.#failure = new CommandError(`Error: ${error.message}.`, exitCodes.failure);
      return;
    }
    this.refused++;
    // One sentence is enough where all of them fail.
    if (this.refused > 1) return;
    this.#progress.clear();
    console.error(`Error: ${topic}: ${error.message}.`);
  }
}

/** Milliseconds since a time that is the same for all lines. */
function timeOf(text: string, number: number): number {
  const { at, time } = JSON.parse(text) as { readonly at?: unknown; readonly time?: unknown };
  if (typeof at === 'number') return at;
  const date = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(date)) throw usageError(`line ${number} says neither 'at' nor 'time': use --speed max.`);
  return date;
}

function percent(done: number, all: number | null): string {
  return all === null || all === 0 ? '' : `, ${Math.floor((100 * done) / all)} %`;
}
