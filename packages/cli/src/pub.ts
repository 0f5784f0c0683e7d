/** `pipit pub`: publishes one message, or one for each line of its input, and waits until the broker has taken it. */

import { createReadStream, readFileSync } from 'node:fs';
import { encodeUtf8, ReasonCode, topicNameProblem } from '@pipit/protocol';
import { type ClientArguments, connectionOptions, targetOf } from './client-options.ts';
import { usageError } from './command-error.ts';
import { dial } from './dial.ts';
import { MqttConnection } from './mqtt-connection.ts';
import { refusalName } from './packet-text.ts';

export interface PubArguments extends ClientArguments {
  readonly topic?: string;
  readonly message?: string;
  readonly file?: string;
  readonly nullMessage?: true;
  readonly stdin?: true;
  readonly lines?: true;
  readonly retain?: true;
}

const stdinFd = 0;
const newline = 0x0a;
/** Messages sent and not acknowledged, or not taken by the system, at most. */
const windowMax = 100;

/** Resolves to the exit code. Rejects with a CommandError. */
export async function publishCommand(options: PubArguments): Promise<number> {
  const topic = topicOf(options);
  const target = targetOf(options);
  const settings = connectionOptions(options);
  const payloads = payloadsOf(options);
  const connection = await MqttConnection.open(await dial(target), settings, {
    message: () => undefined,
    trace: options.debug === true ? (line) => console.error(line) : () => undefined,
  });
  const publication = new Publication(connection, topic, options);
  const failure = await Promise.race([publication.publishAll(payloads), connection.ended]);
  if (failure !== null) throw failure;
  await connection.disconnect();
  return publication.exitCode;
}

class Publication {
  /** 0, or the reason code of the message refused last. */
  exitCode = 0;
  readonly #connection: MqttConnection;
  readonly #topic: string;
  readonly #options: PubArguments;

  constructor(connection: MqttConnection, topic: string, options: PubArguments) {
    this.#connection = connection;
    this.#topic = topic;
    this.#options = options;
  }

  /** Resolves when the broker has answered for all of them. */
  async publishAll(payloads: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<null> {
    const window = Math.min(windowMax, this.#connection.receiveMaximum);
    const open: Promise<void>[] = [];
    for await (const payload of payloads) {
      const answered = this.#publish(payload);
      // It is looked at below; until then a failure must not count as one that nobody looks at.
      answered.catch(() => undefined);
      open.push(answered);
      if (open.length >= window) await Promise.all(open.splice(0));
    }
    await Promise.all(open);
    return null;
  }

  async #publish(payload: Uint8Array): Promise<void> {
    const { qos, retain = false, protocolVersion } = this.#options;
    const reasonCode = await this.#connection.publish({ topic: this.#topic, payload, qos, retain });
    if (reasonCode < ReasonCode.UnspecifiedError) return;
    this.exitCode = reasonCode;
    console.error(`Error: the broker refused the message: ${refusalName(reasonCode, protocolVersion)}`);
  }
}

function topicOf({ topic, url }: PubArguments): string {
  const name = topic ?? (url === undefined || url.topic === '' ? undefined : url.topic);
  if (name === undefined) throw usageError('a topic is needed (-t).');
  const problem = topicNameProblem(name);
  if (problem !== undefined) throw usageError(`${problem}.`);
  return name;
}

function payloadsOf(options: PubArguments): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  const { message, file, nullMessage, stdin, lines } = options;
  const given = [message !== undefined, file !== undefined, nullMessage, stdin, lines].filter(Boolean);
  if (given.length !== 1) throw usageError('one of -m, -n, -f, -s and -l is needed.');
  if (lines === true) return linesOf(createReadStream('', { fd: stdinFd }));
  if (message !== undefined) return [encodeUtf8(message)];
  if (nullMessage === true) return [new Uint8Array(0)];
  return [readWhole(file)];
}

/** The file's bytes, or those of stdin without a path. */
function readWhole(path: string | undefined): Uint8Array {
  try {
    return readFileSync(path ?? stdinFd);
  } catch (error) {
    throw usageError(`${path ?? 'stdin'} cannot be read: ${(error as Error).message}.`);
  }
}

/** Splits at newlines, which are not part of the lines; bytes behind the last newline are a line too. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      parts.push(chunk.subarray(start, end));
      yield Buffer.concat(parts);
      parts = [];
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}
