/** `pipit pub`: publishes one message, or one for each line of its input, and waits until the broker has taken it. */

import { ReasonCode } from '@pipit/protocol';
import { connectionOptions } from './client-options.ts';
import { targetOf } from './connection-options.ts';
import { dial } from './dial.ts';
import { MqttConnection, type OutgoingMessage } from './mqtt-connection.ts';
import { type MessageArguments, outgoing } from './outgoing.ts';
import { refusalName } from './packet-text.ts';
import { ProgressLine } from './progress-line.ts';

export interface PubArguments extends MessageArguments {
  readonly maxInflight?: number;
}

/** Messages sent and not acknowledged, or not taken by the system, at most. */
const windowMax = 100;

/** Resolves to the exit code. Rejects with a CommandError. */
export async function publishCommand(options: PubArguments): Promise<number> {
  const messages = outgoing(options);
  const target = targetOf(options);
  const settings = connectionOptions(options);
  const connection = await MqttConnection.open(await dial(target), settings, {
    message: () => undefined,
    trace: options.debug === true ? (line) => console.error(line) : () => undefined,
  });
  const publication = new Publication(connection, options);
  const failure = await Promise.race([publication.publishAll(messages), connection.ended]);
  if (failure !== null) throw failure;
  await connection.disconnect();
  return publication.exitCode;
}

class Publication {
  /** 0, or the reason code of the message refused last. */
  exitCode = 0;
  readonly #connection: MqttConnection;
  readonly #options: PubArguments;
  readonly #progress = new ProgressLine();

  constructor(connection: MqttConnection, options: PubArguments) {
    this.#connection = connection;
    this.#options = options;
  }

  /** Resolves when the broker has answered for all of them. */
  async publishAll(messages: AsyncIterable<OutgoingMessage>): Promise<null> {
    const { maxInflight = windowMax, repeatDelay = 0 } = this.#options;
    // The delay counts from when the message before was delivered.
    const most = repeatDelay > 0 ? 1 : maxInflight;
    const window = Math.min(most, this.#connection.receiveMaximum);
    const open: Promise<void>[] = [];
    let sent = 0;
    for await (const message of messages) {
      sent++;
      if (this.#isLong) this.#progress.show(() => `${sent.toLocaleString('en')} messages`);
      const answered = this.#publish(message);
      // It is looked at below; until then a failure must not count as one that nobody looks at.
      answered.catch(() => undefined);
      open.push(answered);
      if (open.length >= window) await Promise.all(open.splice(0));
    }
    await Promise.all(open);
    this.#progress.clear();
    return null;
  }

  /** Whether somebody may wonder how far it is. Lines that are typed need not be counted. */
  get #isLong(): boolean {
    const { lines, json, repeat = 1, debug, quiet } = this.#options;
    if ((debug ?? quiet) === true) return false;
    return repeat > 1 || ((lines ?? json) === true && process.stdin.isTTY !== true);
  }

  async #publish(message: OutgoingMessage): Promise<void> {
    const reasonCode = await this.#connection.publish(message);
    if (reasonCode < ReasonCode.UnspecifiedError) return;
    this.exitCode = reasonCode;
    if (this.#options.quiet === true) return;
    this.#progress.clear();
    const name = refusalName(reasonCode, this.#options.protocolVersion);
    console.error(`Error: the broker refused the message: ${name}`);
  }
}
