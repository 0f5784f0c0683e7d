/**
 * Calls whose answer comes later. The core fills in the answer and hands the call out with its turn; it never runs anything of
 * the caller's. `resolve` and `reject` belong to whoever made the call.
 */
import type { PublishProperties, QoS, UserProperty } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import type { MqttError } from './failure.ts';
import { never } from './never.ts';

function nothing(): void {}

/** A call, whatever its result. */
export interface Settled {
  isSettled: boolean;
  failure: MqttError | null;
  /** Gives the answer to who asked. For the one that runs the core; the core itself never calls out. */
  finish(): void;
}

export abstract class Call<Result> implements Settled {
  /** It has its answer: the core has forgotten it, or will not touch it again. */
  isSettled = false;
  result: Result | null = null;
  failure: MqttError | null = null;
  resolve: (result: Result) => void = nothing;
  reject: (failure: MqttError) => void = nothing;

  finish(): void {
    if (this.failure === null) this.resolve(this.result as Result);
    else this.reject(this.failure);
  }
}

/** What the server said to a message it took. */
export interface PublishResult {
  /** 0, or 0x10 when nobody has subscribed to the topic and the server says so; always 0 before 5.0 and with QoS 0. */
  readonly reasonCode: number;
  readonly reasonString?: string;
  readonly userProperties?: readonly UserProperty[];
}

/** The answer to most messages: one for all. */
export const acknowledged: PublishResult = Object.freeze({ reasonCode: 0 });

/** A message on its way to the server. The core does not change the payload, and nobody else may either until it is settled. */
export class Outgoing extends Call<PublishResult> {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties: PublishProperties | null;
  /** When it loses its worth, by Message Expiry Interval; Infinity: never. */
  expiresAt = never;
  /** How many connections in a row ended with this message the oldest one unanswered. */
  attempts = 0;
  /** It waits in the outbox. */
  isQueued = false;
  /** What the server has to answer next, when it was sent: a packet type. */
  awaited: typeof PacketType.Puback | typeof PacketType.Pubrec | typeof PacketType.Pubcomp;
  /** It is not sent again on another connection. */
  isGivenUp = false;

  constructor(topic: string, payload: Uint8Array, qos: QoS, retain: boolean, properties: PublishProperties | null) {
    super();
    this.topic = topic;
    this.payload = payload;
    this.qos = qos;
    this.retain = retain;
    this.properties = properties;
    this.awaited = qos === 2 ? PacketType.Pubrec : PacketType.Puback;
  }
}

/** The end of a re-authentication. */
export class Reauthentication extends Call<void> {}
