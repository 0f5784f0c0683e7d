/** `pipit sub`: subscribes and prints what arrives, byte for byte as mosquitto_sub does. */

import type { PublishPacket } from '@pipit/protocol';
import { ReasonCode, topicFilterProblem } from '@pipit/protocol';
import { type ClientArguments, connectionOptions, targetOf } from './client-options.ts';
import { exitCodes, usageError } from './command-error.ts';
import { dial } from './dial.ts';
import { MqttConnection } from './mqtt-connection.ts';
import { refusalName } from './packet-text.ts';

export interface SubArguments extends ClientArguments {
  /** Filters. */
  readonly topic?: readonly string[];
  readonly verbose?: true;
  /** Messages after which to end. */
  readonly count?: number;
  /** Seconds after which to end, whatever came. */
  readonly wait?: number;
}

/** Resolves to the exit code: after `count` messages, `wait` seconds, a signal, or when every filter was refused. Rejects with a CommandError. */
export async function subscribeCommand(options: SubArguments): Promise<number> {
  const filters = filtersOf(options);
  const target = targetOf(options);
  const settings = connectionOptions(options);
  const enough = Promise.withResolvers<number>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => enough.resolve(0));
  process.stdout.on('error', () => enough.resolve(exitCodes.failure));
  if (options.wait !== undefined) setTimeout(() => enough.resolve(exitCodes.timeout), options.wait * 1000);

  let left = options.count ?? Number.POSITIVE_INFINITY;
  const open = async (): Promise<MqttConnection> =>
    MqttConnection.open(await dial(target), settings, {
      message: (message, connection) => {
        print(message, options.verbose === true, connection);
        left -= 1;
        if (left > 0) return;
        enough.resolve(0);
        // At once: what comes after the last one wanted stays with the session.
        void connection.disconnect();
      },
      trace: options.debug === true ? (line) => console.error(line) : () => undefined,
    });
  const connection = await Promise.race([enough.promise, open()]);
  if (typeof connection === 'number') return told(connection);
  const exitCode = await Promise.race([enough.promise, failureOf(connection), refusal(connection, filters, options)]);
  await connection.disconnect();
  return told(exitCode);
}

function filtersOf({ topic = [], url }: SubArguments): readonly string[] {
  const filters = url === undefined || url.topic === '' ? topic : [url.topic, ...topic];
  if (filters.length === 0) throw usageError('a topic filter is needed (-t).');
  for (const filter of filters) {
    const problem = topicFilterProblem(filter);
    if (problem !== undefined) throw usageError(`${filter}: ${problem}.`);
  }
  return filters;
}

function told(exitCode: number): number {
  if (exitCode === exitCodes.timeout) console.error('Timed out');
  return exitCode;
}

async function failureOf(connection: MqttConnection): Promise<never> {
  const failure = await connection.ended;
  if (failure !== null) throw failure;
  return new Promise(() => undefined);
}

/** Subscribes. Resolves only when all filters were refused, to the last reason code. */
async function refusal(
  connection: MqttConnection,
  filters: readonly string[],
  { qos, protocolVersion }: SubArguments,
): Promise<number> {
  const reasonCodes = await connection.subscribe(filters, qos);
  const refused = reasonCodes.filter((reasonCode) => reasonCode >= ReasonCode.UnspecifiedError);
  reasonCodes.forEach((reasonCode, index) => {
    if (reasonCode < ReasonCode.UnspecifiedError) return;
    console.error(`Error: the broker refused ${filters[index]}: ${refusalName(reasonCode, protocolVersion)}`);
  });
  if (refused.length === filters.length) return refused.at(-1) as number;
  return new Promise(() => undefined);
}

/** The payload as it is and a newline; an empty one only shows when `isVerbose`, as mosquitto_sub has it. */
function print({ topic, payload }: PublishPacket, isVerbose: boolean, connection: MqttConnection): void {
  if (payload.length === 0 && !isVerbose) return;
  const prefix = isVerbose ? `${topic} ` : '';
  const text = payload.length === 0 ? '(null)' : payload;
  const line = Buffer.concat([Buffer.from(prefix), Buffer.from(text), Buffer.from('\n')]);
  if (process.stdout.write(line)) return;
  connection.pause();
  process.stdout.once('drain', () => connection.resume());
}
