/** Connections of `pipit doctor` to the broker it looks at, one for each question. */

import type { ConnectProperties, ProtocolVersion, PublishPacket, QoS, SubscribeProperties } from '@pipit/protocol';
import { CommandError, exitCodes } from '../command-error.ts';
import { dial, type Target } from '../dial.ts';
import { MqttConnection, type OutgoingMessage } from '../mqtt-connection.ts';

export interface Login {
  readonly username?: string;
  readonly password?: Uint8Array;
}

export interface ProbeOptions {
  readonly version: ProtocolVersion;
  readonly login: Login;
  readonly clientId: string;
  readonly cleanStart?: boolean;
  readonly keepAliveSeconds?: number;
  readonly properties?: ConnectProperties;
}

export class Probe {
  readonly connection: MqttConnection;
  readonly dialMs: number;
  readonly connackMs: number;
  /** All that came. */
  readonly messages: PublishPacket[];
  readonly #version: ProtocolVersion;
  readonly #timeoutMs: number;
  readonly #arrivals: Set<() => void>;

  /** Rejects with a CommandError: its exit code is the reason code of a refused CONNECT, else 1. */
  static async open(target: Target, options: ProbeOptions, timeoutMs: number): Promise<Probe> {
    const { login, version, clientId, cleanStart = true, keepAliveSeconds = 60, properties } = options;
    const messages: PublishPacket[] = [];
    const arrivals = new Set<() => void>();
    const startAt = performance.now();
    const stream = await within(dial(target), timeoutMs);
    const dialledAt = performance.now();
    const settings = { version, clientId, cleanStart, keepAliveSeconds, ...login };
    const opening = MqttConnection.open(
      stream,
      { ...settings, ...(version === 5 && properties !== undefined && { properties }) },
      {
        message: (message) => {
          messages.push(message);
          for (const arrived of arrivals) arrived();
        },
        trace: () => undefined,
      },
    );
    const connection = await within(opening, timeoutMs).catch((error: unknown) => {
      stream.destroy();
      throw error;
    });
    const times = { dialMs: dialledAt - startAt, connackMs: performance.now() - dialledAt };
    return new Probe(connection, { version, timeoutMs, messages, arrivals, ...times });
  }

  private constructor(
    connection: MqttConnection,
    parts: {
      readonly version: ProtocolVersion;
      readonly timeoutMs: number;
      readonly messages: PublishPacket[];
      readonly arrivals: Set<() => void>;
      readonly dialMs: number;
      readonly connackMs: number;
    },
  ) {
    this.connection = connection;
    this.messages = parts.messages;
    this.dialMs = parts.dialMs;
    this.connackMs = parts.connackMs;
    this.#version = parts.version;
    this.#timeoutMs = parts.timeoutMs;
    this.#arrivals = parts.arrivals;
  }

  /** The reason code of the acknowledgement. */
  publish(topic: string, text: string, rest: Partial<OutgoingMessage> = {}): Promise<number> {
    const payload = new TextEncoder().encode(text);
    return within(this.connection.publish({ topic, payload, qos: 1, retain: false, ...rest }), this.#timeoutMs);
  }

  /** The granted QoS, or the reason code. */
  async subscribe(filter: string, qos: QoS = 2, properties?: SubscribeProperties): Promise<number> {
    const asked = this.connection.subscribe([filter], { qos }, this.#version === 5 ? properties : undefined);
    const [code = 0x80] = await within(asked, this.#timeoutMs);
    return code;
  }

  /** The first message, of those that came and those to come, that `isWanted`; null when none comes in time. */
  async message(
    isWanted: (message: PublishPacket) => boolean,
    timeoutMs = this.#timeoutMs,
  ): Promise<PublishPacket | null> {
    const arrived = Promise.withResolvers<PublishPacket>();
    const look = (): void => {
      const found = this.messages.find(isWanted);
      if (found !== undefined) arrived.resolve(found);
    };
    this.#arrivals.add(look);
    look();
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), timeoutMs);
    const message = await Promise.race([arrived.promise, late.promise, this.connection.ended.then(() => null)]);
    clearTimeout(timer);
    this.#arrivals.delete(look);
    return message;
  }

  async close(): Promise<void> {
    await this.connection.disconnect();
  }
}

/** Rejects with a CommandError when it takes longer. */
export async function within<Result>(promise: Promise<Result>, timeoutMs: number): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const sentence = `the broker does not answer in ${timeoutMs / 1000} s`;
  const timer = setTimeout(() => late.reject(new CommandError(sentence, exitCodes.failure)), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
