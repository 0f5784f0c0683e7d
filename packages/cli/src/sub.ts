/** `pipit sub`: subscribes and prints what arrives. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { PublishPacket } from '@pipit/protocol';
import { filterMatches, ReasonCode, topicFilterProblem } from '@pipit/protocol';
import { type ClientArguments, connectionOptions } from './client-options.ts';
import { CommandError, exitCodes, LostConnectionError, usageError } from './command-error.ts';
import { targetOf } from './connection-options.ts';
import { dial } from './dial.ts';
import { MessagePrinter, type PrintArguments } from './message-printer.ts';
import { MqttConnection } from './mqtt-connection.ts';
import { refusalName } from './packet-text.ts';

export interface SubArguments extends ClientArguments, PrintArguments {
  /** Filters. */
  readonly topic?: readonly string[];
  /** Filters of messages to leave out. */
  readonly filterOut?: readonly string[];
  /** Filters. */
  readonly unsubscribe?: readonly string[];
  /** Messages after which to end. */
  readonly count?: number;
  /** Seconds after which to end, whatever came. */
  readonly wait?: number;
  /** False: `-R`. */
  readonly retained: boolean;
  readonly retainedOnly?: true;
  readonly removeRetained?: true;
  readonly retainAsPublished?: true;
  /** Percent. */
  readonly randomFilter?: number;
  /** `-E` */
  readonly exitAfterSubscribe?: true;
}

/** Between two tries to connect again. */
const reopenMs = 1000;

/** Resolves to the exit code: after `count` messages, `wait` seconds, a signal, or when every filter was refused. Rejects with a CommandError. */
export async function subscribeCommand(options: SubArguments): Promise<number> {
  const filters = filtersOf(options);
  const target = targetOf(options);
  const settings = connectionOptions(options);
  const enough = Promise.withResolvers<number>();
  const reception = new Reception(options, () => enough.resolve(0));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => enough.resolve(0));
  process.stdout.on('error', () => enough.resolve(exitCodes.failure));
  if (options.wait !== undefined) setTimeout(() => enough.resolve(exitCodes.timeout), options.wait * 1000);

  const open = async (): Promise<MqttConnection> =>
    MqttConnection.open(await dial(target), settings, {
      message: (message, connection) => reception.message(message, connection),
      trace: options.debug === true ? (line) => console.error(line) : () => undefined,
    });
  let connection = await Promise.race([enough.promise, open()]);
  for (;;) {
    if (typeof connection === 'number') return told(connection, options);
    const outcome = await Promise.race([enough.promise, connection.ended, subscribed(connection, filters, options)]);
    if (!(outcome instanceof CommandError)) {
      await Promise.race([Promise.all(reception.removals), connection.ended]);
      await connection.disconnect();
      return told(outcome ?? 0, options);
    }
    if (!(outcome instanceof LostConnectionError)) throw outcome;
    if (options.quiet !== true) console.error(`${outcome.message} Trying again.`);
    connection = await Promise.race([enough.promise, reopened(open)]);
  }
}

/** As mosquitto_sub does: a try a second, for as long as nobody is there. Rejects with a CommandError when the broker says no. */
async function reopened(open: () => Promise<MqttConnection>): Promise<MqttConnection> {
  for (;;) {
    await sleep(reopenMs);
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof LostConnectionError)) throw error;
    }
  }
}

/** What becomes of each message. */
class Reception {
  /** Retained messages being cleared. */
  readonly removals: Promise<unknown>[] = [];
  readonly #options: SubArguments;
  readonly #printer: MessagePrinter;
  readonly #over: () => void;
  #left: number;

  /** `over` is called when no more is wanted. Throws a CommandError for what is no format. */
  constructor(options: SubArguments, over: () => void) {
    this.#options = options;
    this.#printer = new MessagePrinter(options);
    this.#over = over;
    this.#left = options.count ?? Number.POSITIVE_INFINITY;
  }

  message(message: PublishPacket, connection: MqttConnection): void {
    const { retainedOnly, filterOut = [], removeRetained, retained, randomFilter = 100 } = this.#options;
    const { topic, retain } = message;
    if (this.#left <= 0) return;
    if (retainedOnly === true && !retain) return this.#end(connection);
    if (filterOut.some((filter) => filterMatches(filter, topic))) return;
    if (removeRetained === true && retain) this.#remove(topic, connection);
    if (!retained && retain) return;
    if (randomFilter < 100 && Math.random() * 100 >= randomFilter) return;
    this.#printer.print(message, connection);
    this.#left -= 1;
    if (this.#left <= 0) this.#end(connection);
  }

  #remove(topic: string, connection: MqttConnection): void {
    const removal = connection.publish({ topic, payload: new Uint8Array(0), qos: 1, retain: true });
    this.removals.push(removal.catch(() => undefined));
  }

  #end(connection: MqttConnection): void {
    this.#left = 0;
    this.#over();
    // At once: what comes after the last one wanted stays with the session.
    if (this.removals.length === 0) void connection.disconnect();
  }
}

function filtersOf({ topic = [], url, unsubscribe = [], filterOut = [] }: SubArguments): readonly string[] {
  const filters = url === undefined || url.topic === '' ? topic : [url.topic, ...topic];
  if (filters.length === 0 && unsubscribe.length === 0) throw usageError('a topic filter is needed (-t or -U).');
  for (const filter of [...filters, ...unsubscribe, ...filterOut]) {
    const problem = topicFilterProblem(filter);
    if (problem !== undefined) throw usageError(`${filter}: ${problem}.`);
  }
  return filters;
}

function told(exitCode: number, { quiet }: SubArguments): number {
  if (exitCode === exitCodes.timeout && quiet !== true) console.error('Timed out');
  return exitCode;
}

/**
 * Subscribes, then unsubscribes. Resolves when that is all, or when all filters were refused: to the last reason code. To an
 * error when the connection ends before.
 */
async function subscribed(
  connection: MqttConnection,
  filters: readonly string[],
  options: SubArguments,
): Promise<number | CommandError> {
  try {
    return await asked(connection, filters, options);
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
}

async function asked(connection: MqttConnection, filters: readonly string[], options: SubArguments): Promise<number> {
  const { unsubscribe = [], property = {}, exitAfterSubscribe } = options;
  const refusal = filters.length === 0 ? 0 : await refusalOf(connection, filters, options);
  if (refusal !== 0) return refusal;
  if (unsubscribe.length > 0) await connection.unsubscribe(unsubscribe, property.unsubscribe);
  return exitAfterSubscribe === true ? 0 : new Promise(() => undefined);
}

/** 0 when a filter was granted. */
async function refusalOf(
  connection: MqttConnection,
  filters: readonly string[],
  { qos, protocolVersion, property = {}, retainAsPublished, quiet }: SubArguments,
): Promise<number> {
  const reasonCodes = await connection.subscribe(
    filters,
    { qos, retainAsPublished: retainAsPublished === true },
    property.subscribe,
  );
  const refused = reasonCodes.filter((reasonCode) => reasonCode >= ReasonCode.UnspecifiedError);
  reasonCodes.forEach((reasonCode, index) => {
    if (reasonCode < ReasonCode.UnspecifiedError || quiet === true) return;
    console.error(`Error: the broker refused ${filters[index]}: ${refusalName(reasonCode, protocolVersion)}`);
  });
  return refused.length === filters.length ? (refused.at(-1) as number) : 0;
}
