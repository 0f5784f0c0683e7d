/** `pipit record`: writes what arrives to a file, with the time of each message, until it is told to stop. */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Client, Message } from '@pipit/client';
import { topicFilterProblem } from '@pipit/protocol';
import { clientError, connectedClient } from '../broker-client.ts';
import { CommandError, exitCodes, usageError } from '../command-error.ts';
import { lineOf } from '../json-lines.ts';
import { ProgressLine } from '../progress-line.ts';
import type { RecordArguments } from './record-options.ts';

/** Resolves to the exit code. Rejects with a CommandError. */
export async function recordCommand(filters: readonly string[], options: RecordArguments): Promise<number> {
  for (const filter of filters) {
    const problem = topicFilterProblem(filter);
    if (problem !== undefined) throw usageError(`${filter}: ${problem}.`);
  }
  const { output } = options;
  const client = await connectedClient(options);
  const file = output === undefined ? process.stdout : createWriteStream(output, { mode: 0o600 });
  const recording = new Recording(file, options);
  try {
    await recording.take(client, filters);
  } catch (error) {
    throw clientError(error);
  } finally {
    await client.end();
  }
  const count = `${recording.count.toLocaleString('en')} message${recording.count === 1 ? '' : 's'}`;
  console.error(`${count} in ${(recording.durationMs / 1000).toFixed(1)} s`);
  return 0;
}

class Recording {
  count = 0;
  readonly #startAt = performance.now();
  readonly #file: Writable;
  readonly #options: RecordArguments;
  readonly #progress = new ProgressLine();
  readonly #over = Promise.withResolvers<CommandError | null>();

  constructor(file: Writable, options: RecordArguments) {
    this.#file = file;
    this.#options = options;
    file.on('error', (error: NodeJS.ErrnoException) => {
      // Whoever reads has enough.
      const isEnough = error.code === 'EPIPE';
      this.#over.resolve(isEnough ? null : new CommandError(`Error: ${error.message}.`, exitCodes.failure));
    });
  }

  get durationMs(): number {
    return performance.now() - this.#startAt;
  }

  /** Resolves when it is over and all of it is written. */
  async take(client: Client, filters: readonly string[]): Promise<void> {
    const { qos, duration, retained, protocolVersion } = this.#options;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => this.#over.resolve(null));
    const timer = duration === undefined ? undefined : setTimeout(() => this.#over.resolve(null), duration * 1000);
    const isNewer = protocolVersion === 5;
    const subscription = await client.subscribe(filters, {
      qos,
      handler: (message) => this.#write(message),
      // The flag says then what the publisher said, and not that there was a message before.
      ...(isNewer && { retainAsPublished: true, retainHandling: retained ? 0 : 2 }),
    });
    for (const { filter, reasonCode } of subscription.refused) {
      console.error(`Error: the broker refused ${filter} (reason code ${reasonCode}); the others are recorded.`);
    }
    client.onStatus((status) => {
      if (status.state === 'ended') {
        this.#over.resolve(new CommandError(`Error: ${status.why.message}.`, exitCodes.failure));
      } else this.#tellStatus(status.state, status.why.message);
    });
    const failure = await this.#over.promise;
    clearTimeout(timer);
    this.#progress.clear();
    if (failure !== null) throw failure;
    await subscription.unsubscribe().catch(() => undefined);
    await this.#close();
  }

  #tellStatus(state: 'connecting' | 'connected' | 'waiting', why: string): void {
    if (state === 'connecting') return;
    this.#progress.clear();
    console.error(state === 'connected' ? 'Connected again.' : `The connection was lost (${why}); trying again.`);
  }

  /** The message is acknowledged when what is written has room again. */
  async #write(message: Message): Promise<void> {
    const { count = Number.POSITIVE_INFINITY, retained, protocolVersion } = this.#options;
    // Before 5.0 only what was retained before has the flag.
    if (!retained && protocolVersion !== 5 && message.retain) return;
    if (this.count >= count) return;
    this.count++;
    const at = Math.round(this.durationMs * 1000) / 1000;
    const text = lineOf(message, new Date());
    if (this.count === count) this.#over.resolve(null);
    this.#progress.show(() => `${this.count.toLocaleString('en')} messages`);
    if (!this.#file.write(`{"at":${at},${text.slice(1)}\n`)) await once(this.#file, 'drain').catch(() => undefined);
  }

  async #close(): Promise<void> {
    if (this.#file === process.stdout) await new Promise<void>((done) => this.#file.write('', () => done()));
    else await finished(this.#file.end());
  }
}
