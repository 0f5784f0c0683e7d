/**
 * Every counter of the broker, in one table. Counters only rise; gauges are derived from the tables they are about, never
 * counted up and down. `$SYS` (sys.ts), events and exporters read from here.
 */

import { PacketType, type QoS } from '@pipit/protocol';
import type { DropReason } from './events.ts';
import type { LimitName } from './limits.ts';
import type { Durability } from './ports.ts';

/** Packet types by number, as they are named in `$SYS/broker/metrics/packets/…`. */
export const packetNames: readonly string[] = [
  '',
  'connect',
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'suback',
  'unsubscribe',
  'unsuback',
  'pingreq',
  'pingresp',
  'disconnect',
  'auth',
];

const packetSlots = 16;

export const Counter = {
  BytesReceived: 0,
  BytesSent: 1,
  PublishRefused: 2,
  ConnectionsOpened: 3,
  ConnectionsRefused: 4,
  SessionsCreated: 5,
  SessionsExpired: 6,
  WillsPublished: 7,
  DeliveriesDropped: 8,
  SubscribesRefused: 9,
  CommitsFailed: 10,
  DisconnectsByServer: 11,
  Commits: 12,
  /** Of messages that ended with their session. */
  EndedBytes: 13,
  /** Sockets that were closed before they were connections. */
  SocketsTurnedAway: 14,
  /** Sockets and CONNECTs of who is banned, and connections that a ban has closed. */
  Banned: 15,
} as const;
export type Counter = (typeof Counter)[keyof typeof Counter];

/**
 * PUBLISH packets in one direction. Counted for every message and delivery, so in fields: a typed array costs three times as much.
 */
export class PublishCounts {
  qos0 = 0;
  qos1 = 0;
  qos2 = 0;
  payloadBytes = 0;

  count(qos: QoS, payloadBytes: number): void {
    if (qos === 0) this.qos0++;
    else if (qos === 1) this.qos1++;
    else this.qos2++;
    this.payloadBytes += payloadBytes;
  }

  of(qos: QoS): number {
    return qos === 0 ? this.qos0 : qos === 1 ? this.qos1 : this.qos2;
  }

  get total(): number {
    return this.qos0 + this.qos1 + this.qos2;
  }
}

export class Metrics {
  /** What the broker's acknowledgements stand for. */
  readonly durability: Durability;
  /** Indexed by `Counter` (a typed array: counting allocates nothing). */
  readonly counters = new Float64Array(32);
  readonly publishesReceived = new PublishCounts();
  readonly publishesSent = new PublishCounts();
  /** All other packets by type number. */
  private readonly othersReceived: number[] = new Array<number>(packetSlots).fill(0);
  private readonly othersSent: number[] = new Array<number>(packetSlots).fill(0);
  /** Deliveries that did not happen, by reason. */
  readonly drops = new Map<DropReason, number>();
  /** How often each limit has refused, slowed down or closed somebody; those that never did are not there. */
  readonly limitsReached = new Map<LimitName, number>();

  constructor(durability: Durability) {
    this.durability = durability;
  }

  count(counter: Counter, by = 1): void {
    this.counters[counter] = (this.counters[counter] as number) + by;
  }

  /** A packet of any type but PUBLISH came in. */
  received(type: number): void {
    this.othersReceived[type] = (this.othersReceived[type] as number) + 1;
  }

  /** A packet of any type but PUBLISH was written. */
  sent(type: number): void {
    this.othersSent[type] = (this.othersSent[type] as number) + 1;
  }

  /** Packets received of one type, or of all. */
  packetsReceived(type?: number): number {
    return total(this.othersReceived, this.publishesReceived, type);
  }

  /** Packets written of one type, or of all. */
  packetsSent(type?: number): number {
    return total(this.othersSent, this.publishesSent, type);
  }

  drop(reason: DropReason, by = 1): void {
    this.count(Counter.DeliveriesDropped, by);
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + by);
  }

  reached(limit: LimitName): void {
    this.limitsReached.set(limit, (this.limitsReached.get(limit) ?? 0) + 1);
  }

  get(counter: Counter): number {
    return this.counters[counter] as number;
  }
}

function total(others: readonly number[], publishes: PublishCounts, type: number | undefined): number {
  if (type === PacketType.Publish) return publishes.total;
  return type === undefined ? others.reduce((sum, each) => sum + each, publishes.total) : (others[type] as number);
}
