/**
 * The client: what is heard from a server and asked by the application goes in with the time; bytes, messages, answers and
 * things to do come out. It never calls out, and knows no socket, timer, clock, promise or randomness.
 *
 *     start ─▶ dialling ─▶ greeting ─▶ connected ─▶ waiting ─▶ dialling …          any ─▶ ended
 *
 * There is one connection at a time. After `close` or `cut` among the effects, and after `closed`, nothing more is to be told of
 * the link it had. Calls are answered exactly once, all of them at the end at the latest.
 */
import { DecodeError, type DisconnectProperties, packetTypeName, reasonCodeName } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import { Answers } from './answers.ts';
import { Authentication } from './authentication.ts';
import { Outgoing, type Reauthentication, type Settled } from './call.ts';
import { writeConnect, writeReason, writeSubscribe, writeUnsubscribe } from './client-packet.ts';
import type { Effect, Phase } from './effect.ts';
import { Exchanges } from './exchanges.ts';
import { MqttError, refusal } from './failure.ts';
import { Framer } from './framer.ts';
import { Incoming } from './incoming.ts';
import { type Interest, Interests, SubscribeCall, type UnsubscribeCall } from './interests.ts';
import { KeepAlive } from './keep-alive.ts';
import type { Message } from './message.ts';
import { never } from './never.ts';
import type { CoreOptions } from './options.ts';
import { Output } from './output.ts';
import { violation } from './packet-reader.ts';
import { Receipts } from './receipts.ts';
import { Redial } from './redial.ts';
import { Requests } from './requests.ts';
import { Sender } from './sender.ts';
import { type Server, serverOf } from './server.ts';
import { decodeServerPacket, type ServerPacket } from './server-packet.ts';
import type { Status, Why } from './status.ts';

const asked: Why = { cause: 'asked', message: 'The application asked for it', reasonCode: null };
const elsewhere: Why = { cause: 'network-changed', message: 'The network may be another', reasonCode: null };
/** CONNACK return codes 1 to 5 of 3.1.1 as reason codes. */
const returnCodes = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87];

export class Core {
  readonly output = new Output();
  readonly answers = new Answers();
  readonly sender: Sender;
  readonly receipts: Receipts;
  /** The client id of the session; empty until a server has chosen one. */
  clientId: string;
  readonly #options: CoreOptions;
  readonly #interests: Interests;
  readonly #requests: Requests;
  readonly #incoming: Incoming;
  readonly #exchanges: Exchanges;
  readonly #authentication: Authentication;
  readonly #keepAlive: KeepAlive;
  readonly #redial: Redial;
  #effects: Effect[] = [];
  #phase: Phase = 'idle';
  #framer = new Framer(0);
  #server: Server | null = null;
  /** When the phase has lasted long enough: dialling and greeting time out, waiting is over. */
  #phaseDue = never;
  #connectedAt = 0;
  /** Why a server is dialled, or was: the loss or failure before it, or the application. */
  #why: Why = asked;
  /** A server has accepted us: from now on there is a session to resume. */
  #wasConnected = false;
  #unsentBytes = 0;
  #isPaused = false;
  #ending: { readonly due: number; readonly reasonCode: number; readonly properties: DisconnectProperties } | null =
    null;

  /** `seed`: 32 random bits. Throws MqttError for a CONNECT that is not legal. */
  constructor(options: CoreOptions, seed: number) {
    this.#options = options;
    this.clientId = options.clientId;
    const { limits, version } = options;
    this.sender = new Sender(options, this.output, this.answers);
    this.receipts = new Receipts(limits, this.output, (message) => this.#exchanges.refuse(message));
    this.#interests = new Interests(this.answers);
    this.#requests = new Requests(options, this.#interests, this.sender, this.output, this.answers);
    this.#incoming = new Incoming(limits, this.#interests, this.receipts);
    this.#exchanges = new Exchanges(version, this.output, this.sender, this.receipts, this.#requests, this.#incoming);
    this.#authentication = new Authentication(options.authentication?.method ?? null, this.output, this.answers);
    this.#keepAlive = new KeepAlive(limits.pingTimeoutMs);
    this.#redial = new Redial(options.reconnect, options.servers, seed);
    writeConnect(new Output(), options, options.clientId, options.cleanStart);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Something is written, done, handed out or answered by the next turn. */
  get isDirty(): boolean {
    const isWriting = this.#isLinked && (this.output.length > 0 || this.sender.unwritten.length > 0);
    return isWriting || this.answers.settled.length + this.#effects.length + this.#incoming.deliveries.length > 0;
  }

  // ── What the world does

  start(now: number): void {
    if (this.#phase === 'idle') this.#dial(asked, now);
  }

  /** The link asked for by `dial` is open. */
  opened(now: number): void {
    if (this.#phase !== 'dialling') return;
    this.#phase = 'greeting';
    this.#phaseDue = now + this.#options.limits.connectTimeoutMs;
    this.#framer = new Framer(this.#options.limits.packetBytesMax);
    this.#unsentBytes = 0;
    this.#keepAlive.start(0, now);
    this.output.clear();
    writeConnect(this.output, this.#options, this.clientId, this.#startsClean); // [MQTT-3.1.0-1]
  }

  /** bytes[start, end) arrived. They stay the caller's; a Buffer is no good here, its slices are not copies. */
  received(bytes: Uint8Array, view: DataView, start: number, end: number, now: number): void {
    if (this.#phase !== 'greeting' && this.#phase !== 'connected') return;
    this.#keepAlive.heard(now);
    const framer = this.#framer;
    framer.feed(bytes, view, start, end);
    try {
      while (framer === this.#framer && framer.next()) this.#packet(framer, now);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#violated(error, now);
    }
    this.#pump(now);
  }

  /** The link took bytes, or has some left: `unsentBytes` of what was written. */
  written(unsentBytes: number, now: number): void {
    this.#unsentBytes = unsentBytes;
    if (this.sender.outbox.count > 0) this.#pump(now);
  }

  /** The link is gone, or never came to be; `why` in a sentence. */
  closed(why: string, now: number): void {
    if (this.#phase === 'dialling') this.#failed({ cause: 'dial-failed', message: why, reasonCode: null }, now);
    else if (this.#isLinked) this.#lost({ cause: 'lost', message: why, reasonCode: null }, now);
  }

  /** The network may be another: a wait is cut short, a connection is asked whether it is alive, and kept if it is. */
  networkChanged(now: number): void {
    if (this.#phase === 'waiting') this.#dial(elsewhere, now);
    else if (this.#phase === 'connected') this.#ping(now);
  }

  // ── What the application asks for

  /** Sends a QoS 0 message without properties if it can leave with the next write; false: make it a call. Throws MqttError. */
  publishAtOnce(topic: string, payload: Uint8Array, retain: boolean): boolean {
    return this.#ending === null && this.sender.sendAtOnce(topic, payload, retain, this.#unsentBytes);
  }

  publish(message: Outgoing, now: number): void {
    if (!this.#accepts(message)) return;
    const expiry = message.properties?.messageExpiryInterval;
    if (expiry !== undefined) message.expiresAt = now + expiry * 1000;
    this.sender.publish(message, this.#unsentBytes);
  }

  subscribe(call: SubscribeCall, now: number): void {
    if (!this.#accepts(call)) return;
    try {
      const trial = new Output();
      for (const interest of call.interests) writeSubscribe(trial, [interest], 1, this.#options.version);
    } catch (error) {
      return this.answers.fail(call, error as MqttError);
    }
    this.#interests.add(call);
    this.#pump(now);
  }

  unsubscribe(interests: readonly Interest[], call: UnsubscribeCall, now: number): void {
    if (!this.#accepts(call)) return;
    writeUnsubscribe(new Output(), call, 1, this.#options.version);
    this.#interests.remove(interests, call);
    this.#pump(now);
  }

  /** Gives up a call that has no answer; a subscription that was asked for is taken back. */
  abort(call: Settled, failure: MqttError, now: number): void {
    if (call.isSettled) return;
    if (call instanceof Outgoing) this.sender.abort(call, failure);
    else {
      this.answers.fail(call, failure);
      if (call instanceof SubscribeCall) this.#interests.remove(call.interests, null);
    }
    this.#pump(now);
  }

  /** The application has dealt with a message. */
  consumed(message: Message, reasonCode: number): void {
    this.receipts.consumed(message, this.#options.version === 5 ? reasonCode : 0);
  }

  /** The answer to a challenge. */
  authenticate(data: Uint8Array | null): void {
    this.#authentication.answer(data);
  }

  /** Authenticates again, beside all traffic. */
  reauthenticate(data: Uint8Array | null, call: Reauthentication): void {
    this.#authentication.begin(data, call, this.#phase === 'connected');
  }

  /** Takes nothing more, sends what it has within `drainMs`, says goodbye and is ended. */
  end(reasonCode: number, properties: DisconnectProperties, drainMs: number, now: number): void {
    if (this.#phase === 'ended' || this.#ending !== null) return;
    writeReason(new Output(), this.#options.version, PacketType.Disconnect, reasonCode, properties);
    this.#ending = { due: now + drainMs, reasonCode, properties };
    this.#pump(now);
  }

  /** Ends without a word. */
  destroy(): void {
    if (this.#phase === 'ended') return;
    if (this.#phase !== 'waiting' && this.#phase !== 'idle') this.#effects.push({ kind: 'cut' });
    this.output.clear();
    this.#unlink();
    this.#finish(asked);
  }

  // ── What comes out

  /** Does what is due. Call before taking anything out. */
  tick(now: number): void {
    if (now >= this.#phaseDue) this.#phaseOver(now);
    if (this.#phase === 'connected') {
      const due = this.#keepAlive.due(now);
      if (due === 'ask') this.#ping(now);
      else if (due === 'dead') {
        this.#effects.push({ kind: 'cut' });
        this.#lost({ cause: 'no-answer', message: 'The server does not answer', reasonCode: null }, now, false);
      }
    }
    this.#pump(now);
    this.#pauseOrResume(now);
    if (this.output.length > 0) this.#keepAlive.sentAt = now;
  }

  takeEffects(): Effect[] {
    const taken = this.#effects;
    if (taken.length > 0) this.#effects = [];
    return taken;
  }

  takeDeliveries(): Message[] {
    const taken = this.#incoming.deliveries;
    if (taken.length > 0) this.#incoming.deliveries = [];
    return taken;
  }

  /** The messages that left with the bytes just written have arrived as far as QoS 0 can tell. */
  left(): void {
    if (this.sender.unwritten.length > 0) this.sender.left();
  }

  /** When `tick` must be called if nothing else happens; Infinity: never. */
  get deadline(): number {
    const ending = this.#ending?.due ?? never;
    const alive = this.#phase === 'connected' ? this.#keepAlive.deadline : never;
    return Math.min(ending, alive, this.#phaseDue);
  }

  // ── Packets

  #packet(framer: Framer, now: number): void {
    if (this.#phase === 'connected' && this.#exchanges.atOnce(framer)) return;
    const packet = this.#decode(framer);
    if (packet.type === PacketType.Auth) {
      const properties = this.#authentication.received(packet);
      if (properties !== null) this.#effects.push({ kind: 'challenge', properties });
      return;
    }
    if (this.#phase === 'greeting') {
      if (packet.type !== PacketType.Connack) throw violation('a packet out of turn');
      return this.#greeted(packet, now);
    }
    if (packet.type === PacketType.Disconnect) return this.#dismissed(packet, now);
    this.#exchanges.packet(packet);
  }

  #decode(framer: Framer): ServerPacket {
    const { bytes, start, end } = framer;
    const { version } = this.#options;
    const isConnack = this.#phase === 'greeting' && (bytes[start] as number) >> 4 === PacketType.Connack;
    // A server that only knows 3.1.1 answers as it can: four bytes, which are no CONNACK of 5.0.
    const isOld = isConnack && version === 5 && end - start === 4 && bytes[start + 3] === 1;
    if (!isOld) return decodeServerPacket(framer, version);
    return { ...decodeServerPacket(framer, 4), reasonCode: ReasonCode.UnsupportedProtocolVersion };
  }

  #greeted({ reasonCode, sessionPresent, properties }: ServerPacket, now: number): void {
    const { version, keepAliveSeconds } = this.#options;
    const code = version === 5 ? reasonCode : (returnCodes[reasonCode] as number);
    if (code !== 0) {
      const words = refusal('The connection', code, properties).message;
      return this.#refused({ cause: 'refused', message: words, reasonCode: code }, properties.serverReference, now);
    }
    // [MQTT-3.2.2-4]
    if (sessionPresent && this.#startsClean) throw violation('a session we do not know');
    this.clientId = properties.assignedClientIdentifier ?? this.clientId;
    const server = serverOf(properties, keepAliveSeconds);
    this.#server = server;
    this.#phase = 'connected';
    this.#phaseDue = never;
    this.#connectedAt = now;
    this.#wasConnected = true;
    this.#isPaused = false;
    this.#keepAlive.start(server.keepAliveMs, now);
    this.#incoming.connected();
    this.receipts.connected(sessionPresent);
    this.sender.connected(server, sessionPresent); // [MQTT-3.2.2-5]
    this.#requests.reset(sessionPresent);
    this.#tell({ state: 'connected', clientId: this.clientId, sessionPresent, properties, why: this.#why });
  }

  #dismissed({ reasonCode, properties }: ServerPacket, now: number): void {
    const words = properties.reasonString === undefined ? '' : `: ${properties.reasonString}`;
    const message = `The server disconnected: ${reasonCodeName(reasonCode)}${words}`;
    this.#effects.push({ kind: 'close' });
    const why = { cause: 'disconnected', message, reasonCode } as const;
    if (this.#isMoved(why, properties.serverReference)) this.#moved(why, now);
    else this.#lost(why, now);
  }

  #violated(error: DecodeError, now: number): void {
    const { reasonCode } = error;
    if (this.#phase === 'connected') this.#goodbye(reasonCode, {});
    this.#effects.push({ kind: 'close' });
    // Nothing is shown when it was the framer that could not go on.
    const { bytes, start, end } = this.#framer;
    const packet = end === 0 ? '' : `${packetTypeName((bytes[start] as number) >> 4)}: `;
    const message = `The server sent what is not MQTT: ${packet}${error.message}`;
    this.#lost({ cause: 'protocol-error', message, reasonCode }, now);
  }

  // ── The life of a connection

  get #isLinked(): boolean {
    return this.#phase === 'greeting' || this.#phase === 'connected';
  }

  /** Whether the next CONNECT drops the session. Before 5.0 a clean session is one that ends with its connection. */
  get #startsClean(): boolean {
    return this.#options.cleanStart && (this.#options.version === 4 || !this.#wasConnected);
  }

  #dial(why: Why, now: number): void {
    const { server, reference, attempt } = this.#redial;
    this.#phase = 'dialling';
    this.#why = why;
    this.#phaseDue = now + this.#options.limits.connectTimeoutMs;
    this.#tell({ state: 'connecting', server: reference === null ? server : null, attempt, why });
    this.#effects.push({ kind: 'dial', server, reference });
  }

  #phaseOver(now: number): void {
    if (this.#phase === 'waiting') return this.#dial(this.#why, now);
    this.#effects.push({ kind: 'cut' });
    const message = this.#phase === 'dialling' ? 'There is no answer to dialling' : 'There is no answer to CONNECT';
    const why = { cause: 'no-answer', message, reasonCode: null } as const;
    this.#failed(why, now);
  }

  #refused(why: Why, reference: string | undefined, now: number): void {
    this.#effects.push({ kind: 'close' });
    if (this.#isMoved(why, reference)) this.#moved(why, now);
    else if (this.#stops(why)) this.#finish(why);
    else this.#failed(why, now);
  }

  /** No connection came to be: the next server, or a pause. */
  #failed(why: Why, now: number): void {
    this.#unlink();
    if (!this.#options.reconnect.enabled && this.#redial.server + 1 >= this.#options.servers) return this.#finish(why);
    this.#wait(this.#redial.failed(), why, now);
  }

  /** A connection is gone. `byServer`: its end was the other side's doing. */
  #lost(why: Why, now: number, byServer = true): void {
    if (this.#phase === 'greeting') return this.#failed(why, now);
    this.sender.lost(byServer);
    this.#unlink();
    if (this.#stops(why) || !this.#options.reconnect.enabled || this.#ending !== null) this.#finish(why);
    else this.#wait(this.#redial.lost(now - this.#connectedAt), why, now);
  }

  #moved(why: Why, now: number): void {
    if (this.#phase === 'connected') this.sender.lost(false);
    this.#unlink();
    this.#dial({ ...why, cause: 'moved' }, now);
  }

  #isMoved({ reasonCode }: Why, reference: string | undefined): boolean {
    const { followServerReference } = this.#options;
    const isMove = reasonCode === ReasonCode.UseAnotherServer || reasonCode === ReasonCode.ServerMoved;
    return followServerReference && isMove && reference !== undefined && this.#redial.follow(reference);
  }

  #stops({ cause, reasonCode }: Why): boolean {
    if (cause !== 'refused' && cause !== 'disconnected') return false;
    return reasonCode !== null && this.#options.reconnect.stopOn.has(reasonCode);
  }

  #wait(delayMs: number, why: Why, now: number): void {
    if (delayMs === 0) return this.#dial(why, now);
    this.#phase = 'waiting';
    this.#why = why;
    this.#phaseDue = now + delayMs;
    this.#tell({ state: 'waiting', retryInMs: delayMs, attempt: this.#redial.attempt, why });
  }

  #unlink(): void {
    this.#server = null;
    this.#framer = new Framer(0);
    this.receipts.lost();
    this.#requests.reset(true);
    this.#isPaused = false;
    this.#authentication.lost();
  }

  /** The end: nothing is open, and every call has its answer. */
  #finish(why: Why): void {
    this.#phase = 'ended';
    this.#phaseDue = never;
    this.#ending = null;
    const failure = new MqttError('ended', `The client has ended: ${why.message}`, why.reasonCode);
    for (const message of this.sender.clear()) this.answers.fail(message, failure);
    this.#interests.end(failure);
    this.#tell({ state: 'ended', why });
  }

  #endIfDue(now: number): void {
    const ending = this.#ending;
    if (ending === null) return;
    const isDone = this.sender.isIdle && this.#interests.isIdle;
    if (!isDone && now < ending.due) return;
    if (this.#phase === 'connected') this.#goodbye(ending.reasonCode, ending.properties);
    if (this.#phase !== 'waiting' && this.#phase !== 'idle')
      this.#effects.push({ kind: this.#isLinked ? 'close' : 'cut' });
    this.sender.left();
    this.#unlink();
    this.#finish(asked);
  }

  // ── Odds and ends of a turn

  #pump(now: number): void {
    if (this.#server !== null && this.#phase === 'connected') {
      this.#requests.pump(this.#server);
      this.sender.pump(now, this.#unsentBytes);
    }
    for (const { interest, failure } of this.#interests.refused.splice(0)) {
      this.#effects.push({ kind: 'unsubscribed', interest, failure });
    }
    this.#endIfDue(now);
  }

  /** Stops reading while too much waits for the application, unless an answer to us is among what would be read. */
  #pauseOrResume(now: number): void {
    if (this.#phase !== 'connected') return;
    const shouldPause = this.receipts.isFull && !this.sender.awaitsAnswer && !this.#authentication.awaitsAnswer;
    if (shouldPause === this.#isPaused) return;
    this.#isPaused = shouldPause;
    this.#keepAlive.blind(shouldPause, now);
    this.#effects.push({ kind: shouldPause ? 'pause' : 'resume' });
  }

  #accepts(call: Settled): boolean {
    if (this.#phase !== 'ended' && this.#ending === null) return true;
    this.answers.fail(call, new MqttError('ended', 'The client has ended'));
    return false;
  }

  #ping(now: number): void {
    this.output.uint16(PacketType.Pingreq << 12);
    this.#keepAlive.asked(now);
  }

  #goodbye(reasonCode: number, properties: DisconnectProperties): void {
    const { version } = this.#options;
    // Before 5.0 a goodbye has no words, and one that means "publish my will" is none at all.
    if (version === 4 && reasonCode === ReasonCode.DisconnectWithWill) return;
    writeReason(this.output, version, PacketType.Disconnect, reasonCode, properties);
  }

  #tell(status: Status): void {
    this.#effects.push({ kind: 'status', status });
  }
}
