/**
 * A client that does everything right: one per client id, of any version. What it has to remember between connections it
 * remembers; what it answers, it answers late. What its user does is decided by the simulation.
 *
 * It is told one thing a real client can only guess: whether the broker still has the session that it remembers. Where MQTT
 * leaves that open (MQTT 3.1; a CONNACK that was lost) a wrong guess would look like a fault of the broker.
 */

import {
  type ConnackPacket,
  type ConnectPacket,
  decodePacket,
  encodePacket,
  Framer,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type PublishPacket,
  type SubscriptionRequest,
  viewOf,
} from '@pipit/protocol';
import type { Link } from './link.ts';
import { payloadOf } from './model.ts';
import type { Prng } from './prng.ts';
import type { Schedule } from './schedule.ts';

export interface ClientWorld {
  readonly schedule: Schedule;
  readonly prng: Prng;
  readonly ackDelayMs: () => number;
  readonly refusePercent: () => number;
  /** A number for a payload that no message had before. */
  readonly nextMessage: () => number;
  /** Which generation of the client's session the broker has on this link; 0: none. */
  readonly generationOf: (link: Link) => number;
  /** A QoS 2 message was handed to the application. */
  readonly delivered: (client: Client, packetId: number) => void;
  readonly fail: (rule: string) => never;
}

interface Outgoing {
  packet: PublishPacket;
  state: 'publish' | 'release';
  sentOn: number;
}

export class Client {
  readonly clientId: string;
  readonly username: string;
  version: ProtocolVersion;
  link: Link | null = null;
  phase: 'offline' | 'connecting' | 'online' = 'offline';
  private readonly world: ClientWorld;
  private framer = new Framer(1 << 20);

  // Outlives connections.
  private generation = 0;
  private nextId = 1;
  private readonly outgoing = new Map<number, Outgoing>();
  private readonly incoming = new Set<number>();

  // Of this connection.
  private acks: Packet[] = [];
  private isAcking = false;
  private readonly asked = new Map<number, Packet>();
  private receiveMaximum = 65_535;
  private aliasMaximum = 0;
  private readonly sentAliases = new Map<string, number>();
  private readonly receivedAliases = new Map<number, string>();
  private inUse = new Set<number>();

  constructor(clientId: string, username: string, version: ProtocolVersion, world: ClientWorld) {
    this.clientId = clientId;
    this.username = username;
    this.version = version;
    this.world = world;
  }

  /** Nothing is left to be answered by the broker, or to be answered to it. */
  get isSettled(): boolean {
    return this.phase === 'online' && this.outgoing.size === 0 && this.acks.length === 0 && this.asked.size === 0;
  }

  /** What it has to send or to hear about. */
  get debts(): number {
    return this.outgoing.size + this.acks.length + this.asked.size;
  }

  get report(): string {
    return `${this.clientId}: ${this.phase}, ${this.outgoing.size} outgoing, ${this.acks.length} acks, ${this.asked.size} asked`;
  }

  // ── what its user does

  /** Leaves the old connection where it is, and makes a new one. */
  open(link: Link, connect: ConnectPacket): void {
    this.link = link;
    this.phase = 'connecting';
    this.version = connect.version;
    this.framer = new Framer(1 << 20);
    this.acks = [];
    this.asked.clear();
    this.sentAliases.clear();
    this.receivedAliases.clear();
    this.inUse = new Set();
    link.send(encodePacket(connect, connect.version, 'client'));
  }

  /** False when the broker would not take it now. `useAlias`: in 5.0, as far as the broker allows. */
  publish(message: Omit<PublishPacket, 'type' | 'packetId' | 'dup'>, useAlias: boolean): boolean {
    if (message.qos > 0 && (this.inUse.size >= this.receiveMaximum || this.outgoing.size > 60)) return false;
    const packetId = message.qos === 0 ? 0 : this.takeId();
    const packet: PublishPacket = { type: PacketType.Publish, dup: false, packetId, ...message };
    if (packet.qos > 0) {
      this.outgoing.set(packetId, { packet, state: 'publish', sentOn: this.link?.number ?? 0 });
      this.inUse.add(packetId);
    }
    this.send(useAlias ? this.withAlias(packet) : packet);
    return true;
  }

  subscribe(subscriptions: SubscriptionRequest[], identifier: number): void {
    const packetId = this.takeId();
    const properties =
      identifier > 0 && this.version === 5 ? { properties: { subscriptionIdentifier: identifier } } : {};
    this.ask({ type: PacketType.Subscribe, packetId, subscriptions, ...properties });
  }

  unsubscribe(filters: string[]): void {
    this.ask({ type: PacketType.Unsubscribe, packetId: this.takeId(), filters });
  }

  ping(): void {
    this.send({ type: PacketType.Pingreq });
  }

  /** Says goodbye. The will is published when the code is 0x04. */
  leave(reasonCode: number, sessionExpiryInterval: number | undefined): void {
    const properties = sessionExpiryInterval === undefined ? {} : { properties: { sessionExpiryInterval } };
    this.send({
      type: PacketType.Disconnect,
      reasonCode: this.version === 5 ? reasonCode : 0,
      ...(this.version === 5 ? properties : {}),
    });
    this.link?.finish();
    this.lose();
  }

  /** Nothing more comes from its link, or it does not listen any more. */
  lose(): void {
    this.phase = 'offline';
    this.link = null;
  }

  // ── what the broker sends

  received(link: Link, bytes: Uint8Array | null): void {
    if (link !== this.link) return;
    if (bytes === null) {
      this.lose();
      return;
    }
    this.framer.feed(bytes, viewOf(bytes), 0, bytes.length);
    while (this.link === link && this.framer.next()) {
      const { framer } = this;
      this.handle(link, decodePacket(framer.bytes, framer.start, framer.end, this.version, 'server'));
    }
  }

  private handle(link: Link, packet: Packet): void {
    switch (packet.type) {
      case PacketType.Connack:
        return this.accepted(link, packet);
      case PacketType.Publish:
        return this.publishReceived(packet);
      case PacketType.Puback:
        return this.done(packet.packetId, 'publish');
      case PacketType.Pubrec:
        return this.pubrec(packet.packetId, packet.reasonCode);
      case PacketType.Pubcomp:
        return this.done(packet.packetId, 'release');
      case PacketType.Pubrel:
        this.incoming.delete(packet.packetId);
        return this.acknowledge({ type: PacketType.Pubcomp, packetId: packet.packetId, reasonCode: 0 });
      case PacketType.Suback:
      case PacketType.Unsuback:
        if (!this.asked.delete(packet.packetId)) this.world.fail('an answer to a question nobody asked');
        return;
      default:
    }
  }

  private accepted(link: Link, packet: ConnackPacket): void {
    if (packet.reasonCode !== 0) return;
    this.phase = 'online';
    const generation = this.world.generationOf(link);
    if (generation !== this.generation) {
      this.generation = generation;
      this.outgoing.clear();
      this.incoming.clear();
    }
    const { receiveMaximum = 65_535, topicAliasMaximum = 0 } = packet.properties ?? {};
    this.receiveMaximum = receiveMaximum;
    this.aliasMaximum = topicAliasMaximum;
    this.resend();
  }

  /** What was not finished on an earlier connection goes first, in its order, as far as the broker takes it. */
  private resend(): void {
    const number = this.link?.number ?? 0;
    for (const [packetId, each] of this.outgoing) {
      if (each.sentOn === number) continue;
      if (each.state === 'publish' && this.inUse.size >= this.receiveMaximum) return;
      each.sentOn = number;
      if (each.state === 'publish') this.inUse.add(packetId);
      if (each.state === 'publish') this.publishAgain(each);
      else this.send({ type: PacketType.Pubrel, packetId, reasonCode: 0 });
    }
  }

  /** A broker may have handed on a QoS 1 message before: the number tells the second message from the first. */
  private publishAgain(each: Outgoing): void {
    const { payload } = each.packet;
    if (payload.length > 0)
      each.packet = { ...each.packet, payload: payloadOf(this.world.nextMessage(), payload.length) };
    this.send({ ...each.packet, dup: true });
  }

  private publishReceived(packet: PublishPacket): void {
    const alias = packet.properties?.topicAlias ?? 0;
    if (alias > 0 && packet.topic !== '') this.receivedAliases.set(alias, packet.topic);
    const { packetId, qos } = packet;
    const isRefused =
      this.version === 5 &&
      qos > 0 &&
      this.world.prng.chance(this.world.refusePercent()) &&
      !this.incoming.has(packetId);
    const reasonCode = isRefused ? 0x83 : 0;
    if (qos === 1) this.acknowledge({ type: PacketType.Puback, packetId, reasonCode });
    if (qos !== 2) return;
    if (!isRefused && !this.incoming.has(packetId)) {
      this.incoming.add(packetId);
      this.world.delivered(this, packetId);
    }
    this.acknowledge({ type: PacketType.Pubrec, packetId, reasonCode });
  }

  private pubrec(packetId: number, reasonCode: number): void {
    const each = this.outgoing.get(packetId);
    if (each === undefined || reasonCode >= 0x80) return this.done(packetId, 'publish');
    each.state = 'release';
    this.send({ type: PacketType.Pubrel, packetId, reasonCode: 0 });
  }

  private done(packetId: number, state: Outgoing['state']): void {
    if (this.outgoing.get(packetId)?.state === state) this.outgoing.delete(packetId);
    this.inUse.delete(packetId);
    this.resend();
  }

  // ── sending

  /** Acknowledgements leave in their order, some time later. */
  private acknowledge(packet: Packet): void {
    this.acks.push(packet);
    if (this.isAcking) return;
    this.isAcking = true;
    const { schedule, prng, ackDelayMs } = this.world;
    schedule.at(schedule.now + prng.below(ackDelayMs() + 1), () => {
      this.isAcking = false;
      const some = this.acks.splice(0, prng.between(1, this.acks.length));
      for (const ack of some) this.send(ack);
      const next = this.acks.shift();
      if (next === undefined) return;
      const rest = this.acks;
      this.acks = [];
      this.acknowledge(next);
      this.acks.push(...rest);
    });
  }

  private ask(packet: Extract<Packet, { type: typeof PacketType.Subscribe | typeof PacketType.Unsubscribe }>): void {
    this.asked.set(packet.packetId, packet);
    this.send(packet);
  }

  private send(packet: Packet): void {
    const { version } = this;
    // What was first sent by a 5.0 connection goes again without what 3.x has no words for.
    const { properties: _, ...plain } = packet as Packet & { properties?: object };
    this.link?.send(encodePacket(version === 5 ? packet : (plain as Packet), version, 'client'));
  }

  private withAlias(packet: PublishPacket): PublishPacket {
    if (this.aliasMaximum === 0 || this.version !== 5) return packet;
    const known = this.sentAliases.get(packet.topic);
    const alias = known ?? this.world.prng.between(1, this.aliasMaximum);
    for (const [topic, other] of this.sentAliases)
      if (other === alias && known === undefined) this.sentAliases.delete(topic);
    this.sentAliases.set(packet.topic, alias);
    return {
      ...packet,
      topic: known === undefined ? packet.topic : '',
      properties: { ...packet.properties, topicAlias: alias },
    };
  }

  private takeId(): number {
    do this.nextId = this.nextId >= 65_535 ? 1 : this.nextId + 1;
    while (this.outgoing.has(this.nextId) || this.asked.has(this.nextId));
    return this.nextId;
  }
}
