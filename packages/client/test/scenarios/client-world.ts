/**
 * A client core in virtual time against a scripted server: the clock stands until it is moved, and everything that the server
 * received must be expected, in order, with nothing left over.
 *
 *     const world = new ClientWorld();
 *     world.accept();                                    // dial, CONNECT, CONNACK
 *     const answer = world.publish('t', 'x', { qos: 1 });
 *     world.expect(publish({ topic: 't', payload: 'x', qos: 1, packetId: 1 }));
 *     world.send({ type: PacketType.Puback, packetId: 1, reasonCode: 0 });
 *     assert.deepEqual(answer(), { reasonCode: 0 });
 *     world.end();
 */
import assert from 'node:assert/strict';
import {
  type ConnackProperties,
  type ConnectPacket,
  decodePacket,
  encodePacket,
  encodeUtf8,
  Framer,
  type Packet,
  PacketType,
  type PublishPacket,
  type PublishProperties,
  type QoS,
  viewOf,
} from '@pipit/protocol';
import { type Call, Outgoing, Reauthentication } from '../../src/core/call.ts';
import { Core } from '../../src/core/core.ts';
import type { Effect } from '../../src/core/effect.ts';
import type { MqttError } from '../../src/core/failure.ts';
import { Interest, SubscribeCall, UnsubscribeCall } from '../../src/core/interests.ts';
import type { Message } from '../../src/core/message.ts';
import {
  type ClientLimits,
  type CoreOptions,
  defaultLimits,
  defaultReconnect,
  type ReconnectPolicy,
} from '../../src/core/options.ts';
import type { Status } from '../../src/core/status.ts';

export interface WorldOptions extends Omit<Partial<CoreOptions>, 'limits' | 'reconnect'> {
  readonly limits?: Partial<ClientLimits>;
  readonly reconnect?: Partial<ReconnectPolicy>;
  readonly seed?: number;
  /** Messages stay with the application until `consume`; otherwise each is dealt with at once. */
  readonly holdsMessages?: boolean;
}

/** The answer to a call so far: its result, its failure, or undefined. */
export type Answer<Result> = () => Result | MqttError | undefined;

export class ClientWorld {
  readonly core: Core;
  readonly version: 4 | 5;
  now = 1_000;
  /** Servers dialled and not answered: the number, or the reference. */
  readonly dialled: (number | string)[] = [];
  readonly statuses: Status[] = [];
  readonly messages: Message[] = [];
  readonly challenges: (Uint8Array | null)[] = [];
  readonly unsubscribed: { filter: string; failure: MqttError }[] = [];
  link: 'none' | 'dialled' | 'open' | 'closing' | 'cut' = 'none';
  isPaused = false;
  /** What the link has not taken, while it is frozen. */
  isFrozen = false;
  #unsent = 0;
  readonly #holds: boolean;
  #framer = new Framer(268_435_460);
  readonly #inbox: Packet[] = [];

  constructor(options: WorldOptions = {}) {
    const { limits, reconnect, seed = 1, holdsMessages = false, ...rest } = options;
    this.version = options.version ?? 5;
    this.#holds = holdsMessages;
    const whole: CoreOptions = {
      version: 5,
      clientId: 'client',
      cleanStart: true,
      sessionExpirySeconds: 300,
      keepAliveSeconds: 0,
      username: null,
      password: null,
      will: null,
      authentication: null,
      requestResponseInformation: false,
      requestProblemInformation: true,
      userProperties: [],
      limits: { ...defaultLimits, ...limits },
      reconnect: { ...defaultReconnect, ...reconnect },
      servers: 1,
      outboxOverflow: 'refuse',
      followServerReference: false,
      ...rest,
    };
    this.core = new Core(whole, seed);
    this.core.start(this.now);
    this.settle();
  }

  // ── The server

  /** The link that was dialled opens; CONNECT is taken and returned. */
  open(): ConnectPacket {
    assert.ok(this.dialled.shift() !== undefined, 'nothing was dialled');
    this.link = 'open';
    this.#framer = new Framer(268_435_460);
    this.core.opened(this.now);
    this.settle();
    const connect = this.#inbox.shift();
    assert.equal(connect?.type, PacketType.Connect);
    return connect as ConnectPacket;
  }

  /** The link opens and the server accepts. */
  accept({
    sessionPresent = false,
    ...properties
  }: ConnackProperties & { sessionPresent?: boolean } = {}): ConnectPacket {
    const connect = this.open();
    const list = this.version === 5 ? { properties } : {};
    this.send({ type: PacketType.Connack, sessionPresent, reasonCode: 0, ...list });
    return connect;
  }

  /** Sends packets in one piece. */
  send(...packets: Packet[]): void {
    this.sendRaw(concat(packets.map((packet) => encodePacket(packet, this.version, 'server'))));
  }

  sendRaw(bytes: Uint8Array): void {
    assert.ok(this.link === 'open', `the link is ${this.link}`);
    const lent = bytes.slice();
    this.core.received(lent, viewOf(lent), 0, lent.length, this.now);
    lent.fill(0xee); // It stays the caller's: whatever the core keeps must be a copy.
    this.settle();
  }

  /** The link breaks, or what was dialled fails. */
  cut(why = 'reset'): void {
    this.link = 'none';
    this.dialled.length = 0;
    this.core.closed(why, this.now);
    this.settle();
  }

  /** Takes everything that piled up in a frozen link. */
  thaw(): void {
    this.isFrozen = false;
    this.#unsent = 0;
    this.core.written(0, this.now);
    this.settle();
  }

  /** Exactly these packets came, in this order, and nothing else. */
  expect(...packets: Packet[]): void {
    this.settle();
    assert.deepEqual(this.#inbox.map(comparable), packets.map(comparable));
    this.#inbox.length = 0;
  }

  take(): Packet[] {
    this.settle();
    return this.#inbox.splice(0);
  }

  // ── The application

  publish(
    topic: string,
    payload: string,
    options: { qos?: QoS; retain?: boolean; properties?: PublishProperties } = {},
  ): Answer<{ reasonCode: number }> & { message: Outgoing } {
    const { qos = 0, retain = false, properties = null } = options;
    const message = new Outgoing(topic, encodeUtf8(payload), qos, retain, properties);
    this.core.publish(message, this.now);
    this.settle();
    return Object.assign(answerOf(message), { message });
  }

  subscribe(
    filters: string | string[],
    options: { qos?: QoS; identifier?: number } = {},
  ): Answer<readonly Interest[]> & { call: SubscribeCall } {
    const { qos = 0, identifier = null } = options;
    const interests = [filters].flat().map((filter) => {
      const request = { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
      return new Interest(request, identifier, [], filter);
    });
    const call = new SubscribeCall(interests);
    this.core.subscribe(call, this.now);
    this.settle();
    return Object.assign(answerOf(call), { call });
  }

  unsubscribe(interests: readonly Interest[]): UnsubscribeCall {
    const call = new UnsubscribeCall();
    this.core.unsubscribe(interests, call, this.now);
    this.settle();
    return call;
  }

  reauthenticate(data: Uint8Array | null): Answer<void> & { call: Reauthentication } {
    const call = new Reauthentication();
    this.core.reauthenticate(data, call);
    this.settle();
    return Object.assign(answerOf(call), { call });
  }

  /** Deals with the oldest message that is held. */
  consume(reasonCode = 0): Message {
    const message = this.messages.shift();
    assert.ok(message, 'the application has no message');
    this.core.consumed(message, reasonCode);
    this.settle();
    return message;
  }

  /** Topics and payloads of what the application got, taken. */
  got(): string[] {
    return this.messages.splice(0).map((message) => `${message.topic} ${message.text()}`);
  }

  // ── The world

  advance(ms: number): void {
    const end = this.now + ms;
    for (let due = this.core.deadline; due <= end; due = this.core.deadline) {
      this.now = Math.max(this.now, due);
      this.settle();
    }
    this.now = end;
    this.settle();
  }

  /** Moves the clock until a server is dialled. */
  redial(): void {
    for (let steps = 0; this.dialled.length === 0; steps++) {
      assert.ok(steps < 100 && this.core.deadline < Number.POSITIVE_INFINITY, 'no server is dialled');
      this.advance(Math.max(0, this.core.deadline - this.now));
    }
  }

  /** Takes turns until nothing more comes out. */
  settle(): void {
    for (let turns = 0; turns === 0 || this.core.isDirty; turns++) {
      assert.ok(turns < 1_000, 'the core does not come to rest');
      this.core.tick(this.now);
      for (const message of this.core.takeDeliveries()) {
        this.messages.push(message);
        if (!this.#holds) this.core.consumed(message, 0);
      }
      this.#write();
      for (const effect of this.core.takeEffects()) this.#perform(effect);
      for (const call of this.core.answers.take()) call.finish();
    }
  }

  /** The end of a scenario: nobody has anything unexpected. */
  end(): void {
    this.expect();
    assert.deepEqual(this.got(), []);
  }

  #write(): void {
    if (this.link !== 'open' && this.link !== 'closing') return;
    const bytes = this.core.output.take();
    if (bytes === null) return;
    const own = bytes.slice();
    if (this.isFrozen) this.#unsent += own.length;
    else this.core.output.give(bytes);
    this.core.left();
    this.core.written(this.#unsent, this.now);
    this.#framer.feed(own, viewOf(own), 0, own.length);
    while (this.#framer.next()) {
      this.#inbox.push(decodePacket(this.#framer.bytes, this.#framer.start, this.#framer.end, this.version, 'client'));
    }
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'dial':
        this.dialled.push(effect.reference ?? effect.server);
        this.link = 'dialled';
        return;
      case 'close':
        this.link = 'closing';
        return;
      case 'cut':
        this.link = 'cut';
        this.dialled.length = 0;
        return;
      case 'pause':
      case 'resume':
        this.isPaused = effect.kind === 'pause';
        return;
      case 'challenge':
        this.challenges.push(effect.properties.authenticationData ?? null);
        return;
      case 'status':
        this.statuses.push(effect.status);
        return;
      case 'unsubscribed':
        this.unsubscribed.push({ filter: effect.interest.filter, failure: effect.failure });
    }
  }
}

function answerOf<Result>(call: Call<Result>): Answer<Result> {
  return () => call.failure ?? (call.isSettled ? (call.result as Result) : undefined);
}

/** A PUBLISH; what is left out is 0, false or empty. */
export function publish(
  packet: Omit<Partial<PublishPacket>, 'payload'> & { topic: string; payload?: string },
): PublishPacket {
  const { payload = '', ...rest } = packet;
  return {
    type: PacketType.Publish,
    payload: encodeUtf8(payload),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    ...rest,
  };
}

type Acknowledgement = 'Puback' | 'Pubrec' | 'Pubrel' | 'Pubcomp';

export function ack(name: Acknowledgement, packetId: number, reasonCode = 0): Packet {
  return { type: PacketType[name], packetId, reasonCode } as Packet;
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

/** Without what is empty, and with texts for bytes, so that a difference can be read. */
function comparable(packet: Packet): unknown {
  const { properties = {}, ...rest } = packet as Packet & { properties?: object };
  const list = Object.keys(properties).length === 0 ? {} : { properties };
  return { ...rest, ...('payload' in rest && { payload: String.fromCharCode(...rest.payload) }), ...list };
}
