/**
 * One MQTT connection of `pub`, `sub`, `rpc` or `doctor` over any byte stream: CONNECT, publishing, subscribing, acknowledging, pings.
 *
 * It does not dial, reconnect, resume or resend. It ends once: by `disconnect`, or by a failure, with which every open
 * promise rejects. What arrives after `disconnect` is neither acknowledged nor handed on, so a session keeps it.
 */

import type { Duplex } from 'node:stream';
import type {
  AckPacket,
  ConnackPacket,
  ConnectProperties,
  DisconnectPacket,
  DisconnectProperties,
  Packet,
  ProtocolVersion,
  PublishPacket,
  QoS,
  SubscribeProperties,
  UnsubscribeProperties,
  Will,
} from '@pipit/protocol';
import { DecodeError, decodePacket, encodePacket, Framer, PacketType, ReasonCode, viewOf } from '@pipit/protocol';
import { CommandError, exitCodes, LostConnectionError } from './command-error.ts';
import { streamProblem } from './dial.ts';
import { connackRefusal, disconnectReason, packetLine } from './packet-text.ts';

export interface ConnectionOptions {
  readonly version: ProtocolVersion;
  readonly clientId: string;
  /** False: goes on with the session there is. */
  readonly cleanStart: boolean;
  /** 0: no pings. */
  readonly keepAliveSeconds: number;
  readonly username?: string;
  readonly password?: Uint8Array;
  readonly will?: Will;
  /** Of CONNECT and of DISCONNECT, 5.0 only. */
  readonly properties?: ConnectProperties;
  readonly disconnectProperties?: DisconnectProperties;
}

export interface ConnectionListener {
  /** A message, acknowledged already; in the order of arrival. May call `disconnect` or `pause`. */
  readonly message: (message: PublishPacket, connection: MqttConnection) => void;
  /** A line for every packet sent and received. */
  readonly trace: (line: string) => void;
}

export type OutgoingMessage = Pick<PublishPacket, 'topic' | 'payload' | 'qos' | 'retain' | 'properties'>;

type PacketOf<Type extends PacketType> = Extract<Packet, { type: Type }>;

interface Question {
  readonly answer: PacketType;
  readonly done: (packet: Packet) => void;
  readonly failed: (error: Error) => void;
}

const connackTimeoutMs = 30_000;
const closeTimeoutMs = 2_000;
const packetBytesMax = 268_435_460;
/** CONNECT has no packet identifier, and 0 is nobody else's. */
const connectId = 0;

export class MqttConnection {
  /** Resolves when it is over: to null after `disconnect`, else to what went wrong. */
  readonly ended: Promise<CommandError | null>;
  /** QoS 1 and 2 messages the broker lets be open at once. */
  receiveMaximum = 65_535;
  /** What the broker said to CONNECT. */
  connack: ConnackPacket = { type: PacketType.Connack, sessionPresent: false, reasonCode: 0 };
  readonly #stream: Duplex;
  readonly #options: ConnectionOptions;
  readonly #listener: ConnectionListener;
  readonly #framer = new Framer(packetBytesMax);
  readonly #questions = new Map<number, Question>();
  /** QoS 2 identifiers whose PUBLISH arrived and whose PUBREL has not. */
  readonly #received = new Set<number>();
  readonly #aliases = new Map<number, string>();
  readonly #end: (failure: CommandError | null) => void;
  #failure: CommandError | null = null;
  #isLeaving = false;
  #isPingOpen = false;
  #pings: NodeJS.Timeout | undefined;
  #lastId = 0;

  /** Sends CONNECT on an open stream. Rejects with a CommandError when the broker refuses, or does not answer in 30 seconds. */
  static async open(stream: Duplex, options: ConnectionOptions, listener: ConnectionListener): Promise<MqttConnection> {
    const connection = new MqttConnection(stream, options, listener);
    const timer = setTimeout(() => connection.#fail('the broker does not answer'), connackTimeoutMs);
    try {
      await connection.#connect();
    } finally {
      clearTimeout(timer);
    }
    return connection;
  }

  private constructor(stream: Duplex, options: ConnectionOptions, listener: ConnectionListener) {
    const { promise, resolve } = Promise.withResolvers<CommandError | null>();
    this.ended = promise;
    this.#end = resolve;
    this.#stream = stream;
    this.#options = options;
    this.#listener = listener;
    stream.on('data', (chunk: Uint8Array) => this.#read(chunk));
    stream.on('error', (error) => this.#fail(streamProblem(error)));
    stream.on('close', () => this.#fail('the broker closed it'));
  }

  /**
   * Resolves to the reason code of the last acknowledgement, 0 before 5.0; with QoS 0 once the bytes are handed to the
   * system. At most `receiveMaximum` with QoS 1 and 2 may be open. Rejects with an EncodeError for what MQTT forbids.
   */
  async publish(message: OutgoingMessage): Promise<number> {
    const packet: PublishPacket = { type: PacketType.Publish, ...message, dup: false, packetId: 0 };
    if (message.qos === 0) {
      await this.#send(packet);
      return ReasonCode.Success;
    }
    packet.packetId = this.#nextId();
    const { packetId } = packet;
    if (message.qos === 1) return (await this.#ask(packet, packetId, PacketType.Puback)).reasonCode;
    const { reasonCode } = await this.#ask(packet, packetId, PacketType.Pubrec);
    if (reasonCode >= ReasonCode.UnspecifiedError) return reasonCode;
    const release: Packet = { type: PacketType.Pubrel, packetId, reasonCode: ReasonCode.Success };
    return (await this.#ask(release, packetId, PacketType.Pubcomp)).reasonCode;
  }

  /** Resolves to the granted QoS, or a reason code of 0x80 or above, of each filter. */
  async subscribe(
    filters: readonly string[],
    options: { readonly qos: QoS; readonly retainAsPublished?: boolean },
    properties?: SubscribeProperties,
  ): Promise<readonly number[]> {
    const { qos, retainAsPublished = false } = options;
    const plain = { qos, noLocal: false, retainAsPublished, retainHandling: 0 } as const;
    const subscriptions = filters.map((filter) => ({ filter, ...plain }));
    const packetId = this.#nextId();
    const list = properties === undefined ? {} : { properties };
    const packet: Packet = { type: PacketType.Subscribe, packetId, subscriptions, ...list };
    return (await this.#ask(packet, packetId, PacketType.Suback)).reasonCodes;
  }

  async unsubscribe(filters: readonly string[], properties?: UnsubscribeProperties): Promise<void> {
    const packetId = this.#nextId();
    const list = properties === undefined ? {} : { properties };
    const packet: Packet = { type: PacketType.Unsubscribe, packetId, filters: [...filters], ...list };
    await this.#ask(packet, packetId, PacketType.Unsuback);
  }

  /** Reads nothing more until `resume`. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Sends DISCONNECT and waits until the broker has it, two seconds at most. */
  async disconnect(): Promise<void> {
    if (this.#failure === null && !this.#isLeaving) {
      const { disconnectProperties: properties } = this.#options;
      const list = properties === undefined ? {} : { properties };
      const packet: Packet = { type: PacketType.Disconnect, reasonCode: ReasonCode.NormalDisconnection, ...list };
      this.#send(packet).catch(() => undefined);
      this.#isLeaving = true;
      clearInterval(this.#pings);
      this.#stream.end();
      this.#stream.resume();
      setTimeout(() => this.#stream.destroy(), closeTimeoutMs).unref();
    }
    await this.ended;
  }

  async #connect(): Promise<void> {
    const { version, clientId, cleanStart, keepAliveSeconds, username, password, will, properties } = this.#options;
    this.connack = await this.#ask(
      {
        type: PacketType.Connect,
        version,
        clientId,
        cleanStart,
        keepAlive: keepAliveSeconds,
        ...(username !== undefined && { username }),
        ...(password !== undefined && { password }),
        ...(will !== undefined && { will }),
        ...(properties !== undefined && { properties }),
      },
      connectId,
      PacketType.Connack,
    );
    const { connack } = this;
    if (connack.reasonCode !== 0) {
      this.#over(new CommandError(connackRefusal(connack, version), connack.reasonCode));
      throw this.#failure;
    }
    const { receiveMaximum = 65_535, serverKeepAlive = keepAliveSeconds } = connack.properties ?? {};
    this.receiveMaximum = receiveMaximum;
    // Three quarters, so that a busy loop or network does not make it too late [MQTT-3.1.2-20].
    if (serverKeepAlive > 0) this.#pings = setInterval(() => this.#ping(), serverKeepAlive * 750);
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % 65_535) + 1;
    while (this.#questions.has(this.#lastId)); // [MQTT-2.2.1-3]
    return this.#lastId;
  }

  async #ask<Type extends PacketType>(packet: Packet, id: number, answer: Type): Promise<PacketOf<Type>> {
    const sent = this.#send(packet);
    const answered = new Promise<Packet>((done, failed) => {
      this.#questions.set(id, { answer, done, failed });
    });
    const [reply] = await Promise.all([answered, sent]);
    return reply as PacketOf<Type>;
  }

  /** Resolves when the system took the bytes. */
  #send(packet: Packet): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const bytes = encodePacket(packet, this.#options.version, 'client');
    this.#listener.trace(packetLine('sending', packet));
    return new Promise((done, failed) => {
      this.#stream.write(bytes, (error) => (error ? failed(this.#failure ?? error) : done()));
    });
  }

  #reply(type: AckPacket['type'], packetId: number, reasonCode: ReasonCode = ReasonCode.Success): void {
    // A write that fails is told by the stream.
    this.#send({ type, packetId, reasonCode } as AckPacket).catch(() => undefined);
  }

  #ping(): void {
    if (this.#isPingOpen && !this.#stream.isPaused()) return this.#fail('the broker does not answer');
    this.#isPingOpen = true;
    this.#send({ type: PacketType.Pingreq }).catch(() => undefined);
  }

  #read(chunk: Uint8Array): void {
    try {
      this.#framer.feed(chunk, viewOf(chunk), 0, chunk.length);
      while (!this.#isLeaving && this.#failure === null && this.#framer.next()) {
        const { bytes, start, end } = this.#framer;
        this.#handle(decodePacket(bytes, start, end, this.#options.version, 'server'));
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#fail(`the broker sent what is not MQTT: ${error.message}`);
    }
  }

  #handle(packet: Packet): void {
    this.#listener.trace(packetLine('received', packet));
    switch (packet.type) {
      case PacketType.Publish:
        return this.#deliver(packet);
      case PacketType.Pubrel:
        return this.#release(packet.packetId);
      case PacketType.Pingresp:
        this.#isPingOpen = false;
        return;
      case PacketType.Disconnect:
        return this.#over(disconnectedBy(packet));
      default:
        return this.#answered('packetId' in packet ? packet.packetId : connectId, packet);
    }
  }

  #answered(id: number, packet: Packet): void {
    const question = this.#questions.get(id);
    if (question?.answer !== packet.type) {
      throw new DecodeError(ReasonCode.ProtocolError, 'an answer to nothing that was asked', 0);
    }
    this.#questions.delete(id);
    question.done(packet);
  }

  #deliver(message: PublishPacket): void {
    const { qos, packetId } = message;
    const isRepeated = qos === 2 && this.#received.has(packetId);
    if (qos === 1) this.#reply(PacketType.Puback, packetId);
    if (qos === 2) {
      this.#received.add(packetId);
      this.#reply(PacketType.Pubrec, packetId);
    }
    this.#resolveAlias(message);
    if (!isRepeated) this.#listener.message(message, this);
  }

  /** An alias brings its topic along, or stands for the one it had last. */
  #resolveAlias(message: PublishPacket): void {
    const alias = message.properties?.topicAlias;
    if (alias === undefined) return;
    if (message.topic !== '') this.#aliases.set(alias, message.topic);
    message.topic = this.#aliases.get(alias) ?? '';
  }

  #release(packetId: number): void {
    const isKnown = this.#received.delete(packetId) || this.#options.version !== 5;
    this.#reply(PacketType.Pubcomp, packetId, isKnown ? ReasonCode.Success : ReasonCode.PacketIdentifierNotFound);
  }

  #fail(reason: string): void {
    const failure = new LostConnectionError(`The connection was lost: ${reason}.`, exitCodes.lost);
    this.#over(this.#isLeaving ? null : failure);
  }

  #over(failure: CommandError | null): void {
    if (this.#failure !== null) return;
    this.#failure = failure ?? new CommandError('The connection is closed.', exitCodes.failure);
    clearInterval(this.#pings);
    this.#stream.destroy();
    for (const { failed } of this.#questions.values()) failed(this.#failure);
    this.#questions.clear();
    this.#end(failure);
  }
}

/** A broker that stops, or has too much to do, may be there later. */
function disconnectedBy(packet: DisconnectPacket): CommandError {
  const { reasonCode } = packet;
  const isPassing = reasonCode === ReasonCode.ServerShuttingDown || reasonCode === ReasonCode.ServerBusy;
  return new (isPassing ? LostConnectionError : CommandError)(disconnectReason(packet), reasonCode);
}
