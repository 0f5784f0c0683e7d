/** `pipit rpc`: sends a request and prints the first response to it, as mosquitto_rr does. */

import { randomBytes } from 'node:crypto';
import { ReasonCode, topicNameProblem } from '@pipit/protocol';
import { connectionOptions } from './client-options.ts';
import { CommandError, exitCodes, usageError } from './command-error.ts';
import { targetOf } from './connection-options.ts';
import { dial } from './dial.ts';
import { MessagePrinter, type PrintArguments } from './message-printer.ts';
import { MqttConnection, type OutgoingMessage } from './mqtt-connection.ts';
import { type MessageArguments, outgoing } from './outgoing.ts';
import { refusalName } from './packet-text.ts';

export interface RpcArguments extends Omit<MessageArguments, 'json'>, PrintArguments {
  /** Default: one of its own. */
  readonly responseTopic?: string;
  /** Seconds after which to end. */
  readonly wait?: number;
  /** False: `-R`. */
  readonly retained: boolean;
}

/** Resolves to the exit code: 0 when a response has come. Rejects with a CommandError. */
export async function requestCommand(options: RpcArguments): Promise<number> {
  const responseTopic = responseTopicOf(options);
  const { json: _, ...plain } = options;
  const { value: request } = await outgoing({ ...plain, repeat: 1 })
    [Symbol.asyncIterator]()
    .next();
  const target = targetOf(options);
  const settings = connectionOptions(options);
  const printer = new MessagePrinter(options);
  const answered = Promise.withResolvers<number>();
  if (options.wait !== undefined) setTimeout(() => answered.resolve(exitCodes.timeout), options.wait * 1000);
  const open = async (): Promise<MqttConnection> =>
    MqttConnection.open(await dial(target), settings, {
      message: (message, connection) => {
        if (message.retain && !options.retained) return;
        printer.print(message, connection);
        answered.resolve(0);
        void connection.disconnect();
      },
      trace: options.debug === true ? (line) => console.error(line) : () => undefined,
    });
  const connection = await Promise.race([answered.promise, open()]);
  if (typeof connection === 'number') return told(connection, options);
  const asked = ask(connection, responseTopic, request as OutgoingMessage, options);
  const exitCode = await Promise.race([answered.promise, asked, failureOf(connection)]);
  await connection.disconnect();
  return told(exitCode, options);
}

function responseTopicOf({ responseTopic, property }: RpcArguments): string {
  const topic = responseTopic ?? property?.publish?.responseTopic ?? `pipit/response/${randomBytes(8).toString('hex')}`;
  const problem = topicNameProblem(topic);
  if (problem !== undefined) throw usageError(`the response topic: ${problem}.`);
  return topic;
}

/** Rejects when the broker refuses; never resolves. */
async function ask(
  connection: MqttConnection,
  responseTopic: string,
  request: OutgoingMessage,
  { qos, protocolVersion, property = {} }: RpcArguments,
): Promise<never> {
  const [granted = 0] = await connection.subscribe([responseTopic], { qos }, property.subscribe);
  refuse(granted, responseTopic, protocolVersion);
  const properties = { ...request.properties, responseTopic };
  const reasonCode = await connection.publish({ ...request, ...(protocolVersion === 5 && { properties }) });
  refuse(reasonCode, 'the request', protocolVersion);
  return new Promise(() => undefined);
}

function refuse(reasonCode: number, what: string, version: RpcArguments['protocolVersion']): void {
  if (reasonCode < ReasonCode.UnspecifiedError) return;
  throw new CommandError(`Error: the broker refused ${what}: ${refusalName(reasonCode, version)}`, reasonCode);
}

async function failureOf(connection: MqttConnection): Promise<never> {
  const failure = await connection.ended;
  if (failure !== null) throw failure;
  return new Promise(() => undefined);
}

function told(exitCode: number, { quiet }: RpcArguments): number {
  if (exitCode === exitCodes.timeout && quiet !== true) console.error('Timed out');
  return exitCode;
}
