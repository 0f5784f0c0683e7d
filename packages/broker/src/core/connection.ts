/**
 * A socket's life, seen from the core: what it agreed on at CONNECT, the bytes that wait to leave, the packets that wait to be read.
 *
 * Two outputs: `out` leaves this turn; what is held leaves when its batch is committed, in two parts, because one batch may be
 * in flight while the next one fills. Acknowledgements never overtake held ones.
 *
 * Holds no behaviour of MQTT: that is with the roles (connect.ts, publish.ts, subscribe.ts, delivery.ts).
 */

import type { ConnectPacket, ProtocolVersion, QoS, ReceivedAliases, SentAliases } from '@pipit/protocol';
import { Framer } from '@pipit/protocol';
import type { AckLine } from './acknowledgement.ts';
import type { Deadline } from './deadlines.ts';
import type { Peer, TopicMapping } from './ports.ts';
import type { Session } from './session.ts';
import { Outbox, type Slab } from './slab.ts';
import type { State } from './state.ts';
import type { Throttle } from './throttle.ts';
import type { Topic } from './topic-table.ts';

export const Phase = {
  /** Waiting for CONNECT. */
  Connecting: 0,
  /** CONNECT is with the authority; what is behind it stays unparsed. */
  Authenticating: 1,
  Open: 2,
  /** Closed by us or by the peer: nothing more is read or sent. */
  Closed: 3,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** No packet is larger: 268,435,455 bytes behind five of header. */
export const packetBytesMaxOfAll = 268_435_460;

export class Connection {
  // Looked at for every delivery. They stand together, in few cache lines, for the sake of fan-out to many.
  phase: Phase = Phase.Connecting;
  version: ProtocolVersion = 4;
  session: Session | null = null;
  isDirty = false;
  /** It has more to say than deliveries: that leaves with this turn, whatever is coming. */
  isUrgent = false;
  readonly out = new Outbox();
  private heldOpen: Outbox | null = null;
  private heldSealed: Outbox | null = null;
  /** CONNACK is among what is held: so everything else is, too. */
  holdsAll = false;
  /** Bytes the socket has not taken yet, as the driver said last. */
  unsent = 0;
  /** How much the last write was: the size of the next slab. */
  private writeHint = 0;
  /** The peer's Maximum Packet Size. An integer to V8, which gives Infinity an object of its own. */
  packetBytesMax: number = packetBytesMaxOfAll;
  sentAliases: SentAliases<Topic> | null = null;
  mapping: TopicMapping | null = null;
  deliversAsPublished = false;

  readonly peer: Peer;
  /** The driver's own: its link. The core never looks at it. */
  tag: unknown = null;
  clientId = '';
  username: string | null = null;

  // Reading.
  readonly framer: Framer;
  /** When its last whole packet was read: bytes alone keep nobody alive while we read. */
  lastReceivedAt: number;
  /** How long it may be silent; 0, as in MQTT: for ever. */
  keepAliveMs = 0;
  deadline: Deadline | null = null;
  /** Nothing more is parsed until the reason for it is gone: a verdict, a commit, the answer of a claim. */
  isStalled = false;
  /** Goes on with a packet that is handled in steps, before anything more is parsed; false when there is more to do. */
  unfinished: (() => boolean) | null = null;
  /** Why it ends as soon as nothing is held any more; it is not read until then. */
  farewell: { readonly reasonCode: number; readonly reason: string } | null = null;
  /** The driver was told to stop reading. */
  isPaused = false;
  /** In the ring of waiting work. */
  isWaiting = false;
  lastTopic: Topic | null = null;
  /** What publishing to `lastTopic` answers at epoch `lastTopicEpoch`, with the QoS of `lastTopicWay` (and RETAIN: + 4). */
  lastTopicRefusal = 0;
  lastTopicWay = 0;
  lastTopicEpoch = -1;
  aliases: ReceivedAliases<Topic> | null = null;
  /** The greatest topic alias the peer may use: what we announced. */
  aliasMaximum = 0;
  /** PUBLISH packets of QoS 1 and 2 the peer has open towards us on this connection, and how many it may. */
  inbound = 0;
  inboundMax = 65_535;
  line: AckLine | null = null;
  /** What it may send a second; null: as much as it likes. */
  throttle: Throttle | null = null;

  // Writing.
  /** Since when the older and the newer part of what is held waits. */
  private sealedSince = 0;
  private openSince = 0;
  /** When the bytes that the socket has not taken last became fewer. */
  drainedAt = 0;
  /** How many PUBLISH packets of QoS 1 and 2 we may have open towards the peer. */
  receiveMaximum = 65_535;

  // Agreed at CONNECT.
  /** The peer wants Reason Strings and User Properties with failures (Request Problem Information). */
  wantsProblems = true;
  maximumQoS: QoS = 2;
  mayRetain = true;
  mayUseWildcards = true;
  mayShare = true;
  mayIdentify = true;
  /** Session Expiry Interval as CONNECT asked for it, and the most this connection may have; seconds. */
  expiryAsked = 0;
  expiryMax = 0;
  /** A 3.x bridge (level bit 7): never its own messages, RETAIN as published. */
  isBridge = false;

  // Authentication.
  /** The CONNECT whose verdict is awaited. */
  connect: ConnectPacket | null = null;
  exchange = 0;
  awaitsVerdict = false;
  /** What the authority asked to be handed with the next step of the exchange. */
  exchangeMemory: unknown = null;
  authenticationMethod: string | null = null;
  isReauthenticating = false;
  expiryDeadline: Deadline | null = null;
  /** For a client id of ours; empty once there is one. */
  entropy: Uint8Array;

  constructor(peer: Peer, entropy: Uint8Array, packetBytesMax: number, now: number) {
    this.peer = peer;
    this.entropy = entropy;
    this.framer = new Framer(packetBytesMax);
    this.lastReceivedAt = now;
    this.drainedAt = now;
  }

  /** The next bytes to write, with the ownership of their slab; null when nothing is left. For the driver. */
  shift(): Slab | null {
    const slab = this.out.shift();
    if (slab !== null) this.writeHint = slab.length;
    return slab;
  }

  get isOpen(): boolean {
    return this.phase === Phase.Open;
  }

  /** Bytes accepted for the peer that have not reached the kernel. While CONNACK is held that is also what waits behind it. */
  get backlog(): number {
    return this.unsent + this.out.bytes + (this.holdsAll ? this.heldBytes : 0);
  }

  get isHolding(): boolean {
    return this.heldOpen !== null || this.heldSealed !== null;
  }

  /** Since when the oldest of what is held waits. */
  get heldSince(): number {
    return this.heldSealed === null ? this.openSince : this.sealedSince;
  }

  get heldBytes(): number {
    return (this.heldOpen?.bytes ?? 0) + (this.heldSealed?.bytes ?? 0);
  }

  /** Room for a packet of `length` bytes at [slab.length - length, slab.length) of what is returned. `waits`: for the open batch. */
  reserve(state: State, length: number, waits: boolean): Slab {
    state.bytesLeft -= length;
    if (waits || this.holdsAll) return this.heldFor(state, waits).reserve(state.pool, length, 0);
    if (!this.isDirty) this.markDirty(state);
    return this.out.reserve(state.pool, length, this.writeHint);
  }

  /** Appends bytes that never change again, without copying them. */
  refer(state: State, bytes: Uint8Array, waits: boolean): void {
    state.bytesLeft -= bytes.length;
    if (waits || this.holdsAll) this.heldFor(state, waits).refer(bytes);
    else {
      if (!this.isDirty) this.markDirty(state);
      this.out.refer(bytes);
    }
  }

  /** Appends a whole encoded packet. */
  send(state: State, packet: Uint8Array, waits: boolean): void {
    state.metrics.sent((packet[0] as number) >> 4);
    this.isUrgent = true;
    const slab = this.reserve(state, packet.length, waits);
    slab.bytes.set(packet, slab.length - packet.length);
  }

  /** What is held for the open batch becomes held for the one in flight. */
  sealHeld(): void {
    if (this.heldOpen === null) return;
    if (this.heldSealed === null) {
      this.heldSealed = this.heldOpen;
      this.sealedSince = this.openSince;
    } else this.heldSealed.append(this.heldOpen);
    this.heldOpen = null;
  }

  /** The batch in flight is committed: what it held leaves this turn. */
  releaseHeld(state: State): void {
    const held = this.heldSealed;
    if (held === null) return;
    this.heldSealed = null;
    this.holdsAll = false;
    this.inbound = Math.max(0, this.inbound - held.acknowledgements);
    held.acknowledgements = 0;
    this.out.append(held);
    this.isUrgent = true;
    if (!this.isDirty) this.markDirty(state);
  }

  /** The packet just written into the held output answers a QoS 1 PUBLISH. */
  countHeldAcknowledgement(): void {
    if (this.heldOpen !== null) this.heldOpen.acknowledgements++;
  }

  /** Forgets what is held: it will never be sent. */
  dropHeld(state: State): void {
    this.heldOpen?.clear(state.pool);
    this.heldSealed?.clear(state.pool);
    this.heldOpen = null;
    this.heldSealed = null;
    this.holdsAll = false;
  }

  /** What waits only because CONNACK does leaves with it: in a later batch, what comes after CONNACK would overtake it. */
  private heldFor(state: State, waits: boolean): Outbox {
    return waits || this.heldSealed === null ? this.hold(state) : this.heldSealed;
  }

  private hold(state: State): Outbox {
    if (this.heldOpen === null) {
      this.heldOpen = new Outbox();
      this.openSince = state.now;
      state.journal?.hold(this, state.now);
    }
    return this.heldOpen;
  }

  private markDirty(state: State): void {
    this.isDirty = true;
    state.dirty.push(this);
  }
}
