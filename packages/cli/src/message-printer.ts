/** Prints messages to stdout as `sub` and `rpc` are asked to, byte for byte as mosquitto_sub does; pauses a reader that is too fast. */

import type { PublishPacket } from '@pipit/protocol';
import { momentNow } from './clock-text.ts';
import { lineOf } from './json-lines.ts';
import type { MqttConnection } from './mqtt-connection.ts';
import { OutputFormat } from './output-format.ts';

export interface PrintArguments {
  readonly verbose?: true;
  /** `-F` */
  readonly format?: string;
  readonly json?: true;
  readonly pretty?: true;
  /** False: `-N`. */
  readonly newline: boolean;
  readonly quiet?: true;
}

export class MessagePrinter {
  readonly #options: PrintArguments;
  readonly #format: OutputFormat | null;

  /** Throws a CommandError for what is no format. */
  constructor(options: PrintArguments) {
    this.#options = options;
    this.#format = options.format === undefined ? null : new OutputFormat(options.format);
  }

  print(message: PublishPacket, connection: MqttConnection): void {
    const text = this.#textOf(message);
    if (text === undefined) return;
    const end = this.#options.newline ? '\n' : '';
    if (process.stdout.write(Buffer.concat([text, Buffer.from(end)]))) return;
    connection.pause();
    process.stdout.once('drain', () => connection.resume());
  }

  /** Undefined when there is nothing to print. */
  #textOf(message: PublishPacket): Buffer | undefined {
    const { topic, payload } = message;
    const { json, verbose, newline } = this.#options;
    if (this.#format !== null) return this.#formatted(this.#format, message);
    if (json === true) return Buffer.from(lineOf(message, momentNow().date));
    if (payload.length === 0 && (verbose !== true || !newline)) return undefined;
    if (verbose !== true) return Buffer.from(payload);
    return Buffer.concat([Buffer.from(`${topic} `), payload.length === 0 ? Buffer.from('(null)') : payload]);
  }

  #formatted(format: OutputFormat, message: PublishPacket): Buffer {
    const { pretty, quiet } = this.#options;
    const { text, problem } = format.apply({ message, moment: momentNow(), isPretty: pretty === true });
    if (problem !== undefined && quiet !== true) console.error(problem);
    return Buffer.from(text, 'latin1');
  }
}
