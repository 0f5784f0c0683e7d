/**
 * Messages from the call to the server's answer, over any number of connections.
 *
 * A message is in the outbox, or in flight under a packet identifier, or settled. Messages leave in the order of the calls.
 * After a reconnect with the session what is in flight goes out again first, in its order; without it QoS 1 goes back to
 * the front of the outbox, and QoS 2 fails unless the server had taken it: nobody can know whether it arrived.
 *
 * A message over which connection after connection is lost is found by sending one at a time, and set aside.
 */
import type { PublishProperties } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import type { Answers } from './answers.ts';
import { acknowledged, Outgoing, type PublishResult } from './call.ts';
import { writePublish } from './client-packet.ts';
import { checkedInteger, MqttError, notAllowed, refusal } from './failure.ts';
import { Flights } from './flights.ts';
import type { Interest, UnsubscribeCall } from './interests.ts';
import { never } from './never.ts';
import type { ClientLimits, CoreOptions, OutboxOverflow } from './options.ts';
import { Outbox } from './outbox.ts';
import { lengthBytes, type Output } from './output.ts';
import { type SentTopic, SentTopics } from './sent-topics.ts';
import type { Server } from './server.ts';

/** A message; the filters of a SUBSCRIBE; an UNSUBSCRIBE. */
export type Flight = Outgoing | readonly Interest[] | UnsubscribeCall;

/** What an alias adds to a packet, its longer length included. */
const aliasBytes = 4;
const pubrelByte = (PacketType.Pubrel << 4) | 2;
/** From this many lost connections on, one message at a time is sent, so that the guilty one is known. */
const cautiousFrom = 2;

export class Sender {
  readonly outbox: Outbox;
  /** Messages of QoS 0 in the output that has not been written. */
  unwritten: Outgoing[] = [];
  /**
   * What the packet identifiers in use stand for, in the order of sending: a message, or a request of requests.ts. A message that is
   * settled may still be here: its identifier is in use until the server has answered.
   */
  flights = new Flights<Flight>();
  readonly #version: 4 | 5;
  readonly #limits: ClientLimits;
  readonly #overflow: OutboxOverflow;
  readonly #output: Output;
  readonly #answers: Answers;
  readonly #topics = new SentTopics();
  /** Null while not connected. */
  #server: Server | null = null;
  /** PUBLISH packets of QoS 1 and 2 sent on this connection and not answered [MQTT-3.3.4-7]. */
  #open = 0;
  #openMax = 0;
  /** Identifiers of an earlier connection whose messages have to be sent again, in their order. */
  #again: number[] = [];
  /** Something of ours was acknowledged on this connection. */
  #hasProgress = false;

  constructor({ version, limits, outboxOverflow }: CoreOptions, output: Output, answers: Answers) {
    this.#version = version;
    this.#limits = limits;
    this.#overflow = outboxOverflow;
    this.#output = output;
    this.#answers = answers;
    this.outbox = new Outbox(limits);
  }

  /** No message waits for anything. */
  get isIdle(): boolean {
    return this.outbox.count === 0 && this.#open === 0 && this.flights.size === 0;
  }

  /** An answer to something sent on this connection is awaited. */
  get awaitsAnswer(): boolean {
    return this.flights.size > 0;
  }

  /** Messages sent and not answered. */
  get inFlight(): number {
    return this.#open;
  }

  /**
   * Appends a QoS 0 message without properties, if it may leave at once; false: make it a call. Throws MqttError when the
   * server does not take it.
   */
  sendAtOnce(topic: string, payload: Uint8Array, retain: boolean, unsentBytes: number): boolean {
    if (this.#server === null || this.outbox.count > 0 || this.#again.length > 0) return false;
    if (unsentBytes + this.#output.length >= this.#limits.unsentBytesMax) return false;
    this.#write(this.#topics.get(topic), payload, 0, retain, false, 0);
    return true;
  }

  /** Takes a message: sends it now, or when its turn comes. */
  publish(message: Outgoing, unsentBytes: number): void {
    try {
      this.#topics.get(message.topic);
      checkedInteger(message.qos, 0, 2, 'QoS');
      if (this.outbox.count === 0 && this.#maySend(message, unsentBytes)) return this.#send(message);
    } catch (error) {
      return this.#answers.fail(message, failureOf(error));
    }
    const makesRoom = this.#overflow === 'drop-oldest' && this.outbox.couldTake(message);
    for (let oldest = this.outbox.peek(); makesRoom && oldest !== undefined && !this.outbox.takes(message); ) {
      this.outbox.shift();
      this.#answers.fail(oldest, full());
      oldest = this.outbox.peek();
    }
    if (this.outbox.takes(message)) this.outbox.push(message);
    else this.#answers.fail(message, full());
  }

  /** Gives up a message that has no answer yet. What was sent stays sent, and keeps its identifier until it is answered. */
  abort(message: Outgoing, failure: MqttError): void {
    if (message.isSettled) return;
    if (message.isQueued) this.outbox.forget(message);
    this.#answers.fail(message, failure);
  }

  /** Messages of an earlier run, before any of this one. They were accepted then: no limit refuses them. */
  restore(messages: readonly Outgoing[]): void {
    this.outbox.putBack(messages);
  }

  connected(server: Server, sessionPresent: boolean): void {
    this.#server = server;
    this.#topics.connected(Math.min(server.topicAliasMaximum, this.#limits.sentTopicAliasMaximum));
    this.#open = 0;
    this.#hasProgress = false;
    if (!sessionPresent) this.#forgetSession();
    this.#again = this.flights.entries().map(([packetId]) => packetId);
    const first = this.#oldest() ?? this.outbox.peek();
    const isSuspicious = first !== undefined && first.attempts >= cautiousFrom;
    this.#openMax = isSuspicious ? 1 : Math.min(this.#limits.sendMaximum, server.receiveMaximum);
  }

  /** The connection is gone. `byServer`: it was the other end that closed it. */
  lost(byServer: boolean): void {
    const wasConnected = this.#server !== null;
    this.#server = null;
    const failure = new MqttError('connection', 'The connection was lost');
    for (const message of this.unwritten.splice(0)) this.#answers.fail(message, failure);
    if (wasConnected && byServer && this.#open > 0 && !this.#hasProgress) this.#suspect();
    this.#open = 0;
  }

  /** Sends what may be sent: first what has to be repeated, then what waits. */
  pump(now: number, unsentBytes: number): void {
    if (this.#server === null) return;
    this.#resume(unsentBytes);
    if (this.#again.length > 0) return;
    for (let message = this.outbox.peek(); message !== undefined; message = this.outbox.peek()) {
      if (message.expiresAt <= now) {
        this.outbox.shift();
        this.#answers.fail(message, new MqttError('timed-out', 'The message has expired'));
        continue;
      }
      if (!this.#maySend(message, unsentBytes)) return;
      this.outbox.shift();
      try {
        this.#send(message, now);
      } catch (error) {
        this.#answers.fail(message, failureOf(error));
      }
    }
  }

  /** PUBACK, PUBCOMP, or a PUBREC that refuses. False: the identifier awaits nothing of this kind. */
  answered(
    packetId: number,
    type: Outgoing['awaited'],
    reasonCode: number,
    words: Omit<PublishResult, 'reasonCode'> | null,
  ): boolean {
    const message = this.flights.get(packetId);
    if (!(message instanceof Outgoing) || message.awaited !== type) return false;
    this.flights.delete(packetId);
    this.#open--;
    this.#hasProgress = true;
    if (this.#openMax === 1 && this.#server !== null) {
      this.#openMax = Math.min(this.#limits.sendMaximum, this.#server.receiveMaximum);
    }
    if (reasonCode >= ReasonCode.UnspecifiedError)
      this.#answers.fail(message, refusal('The message', reasonCode, words ?? {}));
    else this.#answers.succeed(message, message.result ?? (words === null ? acknowledged : { reasonCode, ...words }));
    return true;
  }

  /** PUBREC. False: none was awaited; the server should be told that the identifier is not in use. */
  taken(packetId: number, reasonCode: number, words: Omit<PublishResult, 'reasonCode'>): boolean {
    const message = this.flights.get(packetId);
    if (!(message instanceof Outgoing) || message.qos !== 2) return false;
    if (message.awaited === PacketType.Pubrec) {
      if (reasonCode >= ReasonCode.UnspecifiedError)
        return this.answered(packetId, PacketType.Pubrec, reasonCode, words);
      message.awaited = PacketType.Pubcomp;
      message.result = { reasonCode, ...words };
      this.#hasProgress = true;
    }
    this.#output.acknowledge(pubrelByte, packetId); // [MQTT-4.6.0-4]
    return true;
  }

  /** What was in the output has been handed to the socket: all that QoS 0 asks for. */
  left(): void {
    for (const message of this.unwritten.splice(0)) this.#answers.succeed(message, acknowledged);
  }

  /** Everything unsettled, in order, at the end: taken out and left to the caller to settle. */
  clear(): Outgoing[] {
    const sent = this.#messages().filter(([, { isSettled }]) => !isSettled);
    this.#forget();
    this.#open = 0;
    this.#server = null;
    return [...this.unwritten.splice(0), ...sent.map(([, message]) => message), ...this.outbox.clear()];
  }

  /** The messages in flight, in the order of sending. */
  #messages(): [packetId: number, message: Outgoing][] {
    return this.flights.entries().filter((flight): flight is [number, Outgoing] => flight[1] instanceof Outgoing);
  }

  #forget(): void {
    this.flights = new Flights();
    this.#again = [];
  }

  #maySend({ qos }: Outgoing, unsentBytes: number): boolean {
    if (this.#server === null || this.#again.length > 0) return false;
    if (unsentBytes + this.#output.length >= this.#limits.unsentBytesMax) return false;
    return qos === 0 || (this.#open < this.#openMax && !this.flights.isFull);
  }

  /** Throws MqttError for what may not be sent here, and then has sent nothing. */
  #send(message: Outgoing, now = 0): void {
    const { qos } = message;
    if (qos === 0) {
      this.#encode(message, 0, false, now);
      this.unwritten.push(message);
      return;
    }
    const packetId = this.flights.open(message);
    this.#open++;
    try {
      this.#encode(message, packetId, false, now);
    } catch (error) {
      this.flights.delete(packetId);
      this.#open--;
      throw error;
    }
  }

  #encode(message: Outgoing, packetId: number, dup: boolean, now: number): void {
    const { topic, payload, qos, retain, properties } = message;
    if (properties !== null && this.#version === 5) return this.#encodeWhole(message, properties, packetId, dup, now);
    this.#write(this.#topics.get(topic), payload, qos, retain, dup, packetId);
  }

  #write(topic: SentTopic, payload: Uint8Array, qos: 0 | 1 | 2, retain: boolean, dup: boolean, packetId: number): void {
    const server = this.#server as Server;
    const version = this.#version;
    const body = topic.bytes.length + payload.length + (qos === 0 ? 0 : 2) + (version === 5 ? 1 : 0);
    const size = 1 + lengthBytes(body) + body;
    this.#check(server, qos, retain, size);
    const takesAlias = server.topicAliasMaximum > 0 && size + aliasBytes <= server.packetBytesMax;
    const known = takesAlias ? this.#topics.alias(topic) : 0;
    if (known !== 0) return this.#output.publish(null, payload, qos, retain, dup, packetId, known, version);
    const alias = takesAlias ? this.#topics.newAlias(topic) : 0;
    this.#output.publish(topic, payload, qos, retain, dup, packetId, alias, version);
  }

  #encodeWhole(message: Outgoing, properties: PublishProperties, packetId: number, dup: boolean, now: number): void {
    const { topic, qos, retain, expiresAt } = message;
    const server = this.#server as Server;
    const left = Math.max(1, Math.ceil((expiresAt - now) / 1000));
    const counted = now > 0 && expiresAt < never ? { ...properties, messageExpiryInterval: left } : properties;
    this.#check(server, qos, retain, 0);
    const bytesMax = server.packetBytesMax;
    if (!writePublish(this.#output, message, this.#topics.get(topic), counted, packetId, dup, bytesMax))
      throw tooLarge();
  }

  /** Throws MqttError for what the server has said it does not take. `size`: of the whole packet. */
  #check(server: Server, qos: number, retain: boolean, size: number): void {
    if (qos > server.maximumQoS) throw impossible('QoS', ReasonCode.QoSNotSupported); // [MQTT-3.2.2-11]
    if (retain && !server.retain) throw impossible('retained messages', ReasonCode.RetainNotSupported); // [MQTT-3.2.2-14]
    if (size > server.packetBytesMax) throw tooLarge(); // [MQTT-3.2.2-15]
  }

  /** Goes on with what has to be sent again, within the window of the server. */
  #resume(unsentBytes: number): void {
    for (const again = this.#again; again.length > 0; again.shift()) {
      if (this.#open >= this.#openMax || unsentBytes + this.#output.length >= this.#limits.unsentBytesMax) return;
      const [packetId = 0] = again;
      const message = this.flights.get(packetId);
      if (!(message instanceof Outgoing)) continue;
      if (message.awaited === PacketType.Pubcomp) {
        this.#output.acknowledge(pubrelByte, packetId); // [MQTT-4.3.3-5] the PUBREL, never the PUBLISH
        this.#open++;
      } else if (!message.isGivenUp) this.#repeat(packetId, message);
    }
  }

  /** [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-3.3.1-1] */
  #repeat(packetId: number, message: Outgoing): void {
    try {
      this.#encode(message, packetId, true, 0);
      this.#open++;
    } catch (error) {
      // The server takes less than it did.
      this.#giveUp(message, failureOf(error));
    }
  }

  /** It is not sent again, but its identifier stays in use: the server may know it, or have half of it. */
  #giveUp(message: Outgoing, failure: MqttError): void {
    message.isGivenUp = true;
    this.#answers.fail(message, failure);
  }

  /** The server has no session: what it may have of ours is unknown. */
  #forgetSession(): void {
    const again: Outgoing[] = [];
    for (const [, message] of this.#messages()) {
      if (message.isSettled) continue;
      if (message.awaited === PacketType.Puback) again.push(message);
      else if (message.awaited === PacketType.Pubcomp) this.#answers.succeed(message, message.result ?? acknowledged);
      else {
        const words = 'The server forgot the session: the message arrived, or not';
        this.#answers.fail(message, new MqttError('session-lost', words));
      }
    }
    this.#forget();
    this.outbox.putBack(again);
  }

  /** The message that was sent first of those that have no answer. */
  #oldest(): Outgoing | undefined {
    return this.#messages().find(([, { isGivenUp }]) => !isGivenUp)?.[1];
  }

  /** The server closed the connection with this message unanswered: once is bad luck. */
  #suspect(): void {
    const message = this.#oldest();
    if (message === undefined) return;
    message.attempts++;
    if (message.attempts < this.#limits.attemptsMax) return;
    const words = `The server ended ${message.attempts} connections over this message`;
    this.#giveUp(message, new MqttError('set-aside', words));
  }
}

function full(): MqttError {
  return new MqttError('outbox-full', 'The outbox is full', ReasonCode.QuotaExceeded);
}

function impossible(what: string, reasonCode: number): MqttError {
  return notAllowed(`The server does not take this: ${what}`, reasonCode);
}

function tooLarge(): MqttError {
  return impossible('a packet that large', ReasonCode.PacketTooLarge);
}

/** What the caller is told of a message that could not be written. Anything else is a mistake of ours, and thrown. */
function failureOf(error: unknown): MqttError {
  // A caller without types may hand in anything, and gets an answer all the same.
  return error instanceof MqttError ? error : notAllowed(String(error));
}
