/** `pipit retained`: finds the messages that a broker retains, from outside, and clears them. */

import { type Client, type Message, MqttError } from '@pipit/client';
import { topicFilterProblem } from '@pipit/protocol';
import { clientError, connectedClient } from '../broker-client.ts';
import { exitCodes, usageError } from '../command-error.ts';
import { lineOf } from '../json-lines.ts';
import { ProgressLine } from '../progress-line.ts';
import { print, printLine } from '../store-print.ts';
import type { ClearArguments, ListArguments, RetainedArguments } from './retained-options.ts';

/** Messages cleared and not answered for, at most. */
const windowMax = 1000;

/** Resolves to the exit code. Rejects with a CommandError, as the other does. */
export async function listCommand(filter: string, options: ListArguments): Promise<number> {
  return withClient(filter, options, async (client) => {
    let count = 0;
    let bytes = 0;
    await retained(client, filter, options.wait, async (message) => {
      count++;
      bytes += message.payload.length;
      await printLine(textOf(message, options));
    });
    await print([]);
    console.error(`${counted(count)}, ${bytes.toLocaleString('en')} byte${bytes === 1 ? '' : 's'}`);
    return 0;
  });
}

/** Resolves to 0 when none is left. */
export async function clearCommand(filter: string, options: ClearArguments): Promise<number> {
  return withClient(filter, options, async (client) => {
    const topics: string[] = [];
    await retained(client, filter, options.wait, ({ topic }) => topics.push(topic));
    if (options.dryRun === true) {
      await print(topics);
      console.error(`${counted(topics.length)}, none of them cleared`);
      return 0;
    }
    const refused = await clear(client, topics);
    for (const sentence of refused) console.error(sentence);
    let left = 0;
    // A broker may take what it then ignores: only looking again shows it.
    if (topics.length > 0) await retained(client, filter, options.wait, () => left++);
    console.error(
      `${counted(topics.length)}, ${left === 0 ? 'all of them cleared' : `${left.toLocaleString('en')} left`}`,
    );
    return left === 0 ? 0 : exitCodes.failure;
  });
}

async function withClient(
  filter: string,
  options: RetainedArguments,
  body: (client: Client) => Promise<number>,
): Promise<number> {
  const problem = topicFilterProblem(filter);
  if (problem !== undefined) throw usageError(`${filter}: ${problem}.`);
  if (filter.startsWith('$share/')) throw usageError('a shared subscription gets no retained messages.');
  const client = await connectedClient(options, { sessionExpirySeconds: 0, reconnect: false });
  try {
    return await body(client);
  } catch (error) {
    throw clientError(error);
  } finally {
    await client.end();
  }
}

/** Resolves when nothing has come for so long. Messages come one after the other. */
async function retained(
  client: Client,
  filter: string,
  silenceSeconds: number,
  handler: (message: Message) => unknown,
): Promise<void> {
  const progress = new ProgressLine();
  const silent = Promise.withResolvers<void>();
  // The end of the client ends other calls too, which tell it.
  silent.promise.catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  let count = 0;
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(silent.resolve, silenceSeconds * 1000);
  };
  const stop = client.onStatus(({ state, why }) => {
    if (state === 'ended') silent.reject(new MqttError('connection', `the connection was lost: ${why.message}`));
  });
  const subscription = await client.subscribe(filter, {
    qos: 2,
    handler: async (message) => {
      // Others are published just now.
      if (!message.retain) return;
      wait();
      if (!process.stdout.isTTY) progress.show(() => `${(++count).toLocaleString('en')} found`);
      await handler(message);
    },
  });
  wait();
  await silent.promise.finally(() => {
    clearTimeout(timer);
    stop();
    progress.clear();
  });
  await subscription.unsubscribe();
}

/** Resolves to a sentence for each reason why the broker refused one. */
async function clear(client: Client, topics: readonly string[]): Promise<Set<string>> {
  const progress = new ProgressLine();
  const refused = new Set<string>();
  for (let at = 0; at < topics.length; at += windowMax) {
    const some = topics.slice(at, at + windowMax);
    const asked = some.map((topic) => client.publish(topic, '', { qos: 1, retain: true }));
    for (const outcome of await Promise.allSettled(asked)) {
      if (outcome.status === 'fulfilled') continue;
      if (!(outcome.reason instanceof MqttError) || outcome.reason.kind !== 'refused') throw outcome.reason;
      refused.add(`Error: ${outcome.reason.message}.`);
    }
    progress.show(() => `${(at + some.length).toLocaleString('en')} of ${topics.length.toLocaleString('en')} cleared`);
  }
  progress.clear();
  return refused;
}

function textOf(message: Message, { verbose, json }: ListArguments): string {
  const { topic, payload, qos } = message;
  if (json === true) return lineOf(message, new Date());
  if (verbose === true) return `${topic} ${new TextDecoder().decode(payload)}`;
  return `${payload.length.toLocaleString('en').padStart(11)}  QoS ${qos}  ${topic}`;
}

function counted(count: number): string {
  return `${count.toLocaleString('en')} retained message${count === 1 ? '' : 's'}`;
}
