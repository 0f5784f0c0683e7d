/** What `pub` and `rpc` are to send: one message of an option, or one for each line of the input. */

import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PublishProperties, QoS } from '@pipit/protocol';
import { encodeUtf8, topicNameProblem } from '@pipit/protocol';
import type { ClientArguments } from './client-options.ts';
import { usageError } from './command-error.ts';
import { messageOf } from './json-lines.ts';
import { linesOf } from './lines.ts';
import type { OutgoingMessage } from './mqtt-connection.ts';

export interface MessageArguments extends ClientArguments {
  readonly topic?: string;
  readonly message?: string;
  readonly file?: string;
  readonly nullMessage?: true;
  readonly stdin?: true;
  readonly lines?: true;
  readonly json?: true;
  readonly retain?: true;
  readonly repeat?: number;
  /** Seconds. */
  readonly repeatDelay?: number;
}

/** Throws a CommandError for options that leave open what to send, and while reading for lines that are no messages. */
export function outgoing(options: MessageArguments): AsyncIterable<OutgoingMessage> {
  const { message, file, nullMessage, stdin, lines, json } = options;
  const given = [message !== undefined, file !== undefined, nullMessage, stdin, lines, json].filter(Boolean);
  if (given.length !== 1) throw usageError('one of -m, -n, -f, -s, -l and --json is needed.');
  if (json === true) return jsonMessages(options);
  const head = headOf(options);
  if (lines === true) return lineMessages(head);
  return stdin === true ? wholeInput(head, options) : repeated({ ...head, payload: payloadOf(options) }, options);
}

interface Head {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties?: PublishProperties;
}

function headOf(options: MessageArguments): Head {
  const topic = topicOf(options);
  if (topic === undefined) throw usageError('a topic is needed (-t).');
  const problem = topicNameProblem(topic);
  if (problem !== undefined) throw usageError(`${problem}.`);
  const properties = options.property?.publish;
  return { topic, qos: options.qos, retain: options.retain === true, ...(properties !== undefined && { properties }) };
}

function topicOf({ topic, url }: MessageArguments): string | undefined {
  return topic ?? (url === undefined || url.topic === '' ? undefined : url.topic);
}

function payloadOf({ message, nullMessage, file }: MessageArguments): Uint8Array {
  if (message !== undefined) return encodeUtf8(message);
  if (nullMessage === true || file === undefined) return new Uint8Array(0);
  try {
    return readFileSync(file);
  } catch (error) {
    throw usageError(`${file} cannot be read: ${(error as Error).message}.`);
  }
}

/** Not by its descriptor: what does not block has nothing to read yet when the input comes late. */
async function* wholeInput(head: Head, options: MessageArguments): AsyncGenerator<OutgoingMessage> {
  yield* repeated({ ...head, payload: await buffer(process.stdin) }, options);
}

async function* repeated(
  message: OutgoingMessage,
  { repeat = 1, repeatDelay = 0 }: MessageArguments,
): AsyncGenerator<OutgoingMessage> {
  for (let i = 0; i < repeat; i++) {
    if (i > 0 && repeatDelay > 0) await sleep(repeatDelay * 1000);
    yield message;
  }
}

async function* lineMessages(head: Head): AsyncGenerator<OutgoingMessage> {
  for await (const payload of linesOf(process.stdin)) yield { ...head, payload };
}

async function* jsonMessages(options: MessageArguments): AsyncGenerator<OutgoingMessage> {
  const defaults = { topic: topicOf(options), qos: options.qos, retain: options.retain === true };
  let number = 0;
  for await (const line of linesOf(process.stdin)) {
    number++;
    if (line.length === 0) continue;
    const message = messageOf(Buffer.from(line).toString(), defaults);
    if (typeof message === 'string') throw usageError(`line ${number} of the input: ${message}.`);
    yield message;
  }
}
