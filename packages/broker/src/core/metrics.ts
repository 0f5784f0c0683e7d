/**
 * Every counter of the broker, in one table. Counters only rise; gauges are derived from the tables they are about, never
 * counted up and down. `$SYS` (sys.ts), events and exporters read from here.
 */

import { PacketType, type QoS } from '@pipit/protocol';
import type { DropReason } from './events.ts';
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
  /** PUBLISH packets by QoS: + 0, 1, 2. */
  PublishReceived: 2,
  PublishSent: 5,
  PayloadBytesReceived: 8,
  PayloadBytesSent: 9,
  PublishRefused: 10,
  ConnectionsOpened: 11,
  ConnectionsRefused: 12,
  SessionsCreated: 13,
  SessionsExpired: 14,
  WillsPublished: 15,
  DeliveriesDropped: 16,
  SubscribesRefused: 17,
  CommitsFailed: 18,
  DisconnectsByServer: 19,
  Commits: 20,
  /** Of messages that ended with their session. */
  EndedBytes: 21,
} as const;
export type Counter = (typeof Counter)[keyof typeof Counter];

export class Metrics {
  /** What the broker's acknowledgements stand for. */
  readonly durability: Durability;
  /** Indexed by `Counter` (a typed array: counting allocates nothing). */
  readonly counters = new Float64Array(32);
  /** Packets by type number; PUBLISH is not among them, because its counters by QoS add up to it. */
  private readonly othersReceived = new Float64Array(packetSlots);
  private readonly othersSent = new Float64Array(packetSlots);
  /** Deliveries that did not happen, by reason. */
  readonly drops = new Map<DropReason, number>();

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

  publishReceived(qos: QoS, payloadBytes: number): void {
    this.counters[Counter.PublishReceived + qos] = (this.counters[Counter.PublishReceived + qos] as number) + 1;
    this.count(Counter.PayloadBytesReceived, payloadBytes);
  }

  publishSent(qos: QoS, payloadBytes: number): void {
    this.counters[Counter.PublishSent + qos] = (this.counters[Counter.PublishSent + qos] as number) + 1;
    this.count(Counter.PayloadBytesSent, payloadBytes);
  }

  /** Packets received of one type, or of all. */
  packetsReceived(type?: number): number {
    return total(this.othersReceived, this.counters, Counter.PublishReceived, type);
  }

  /** Packets written of one type, or of all. */
  packetsSent(type?: number): number {
    return total(this.othersSent, this.counters, Counter.PublishSent, type);
  }

  drop(reason: DropReason, by = 1): void {
    this.count(Counter.DeliveriesDropped, by);
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + by);
  }

  get(counter: Counter): number {
    return this.counters[counter] as number;
  }
}

function total(others: Float64Array, counters: Float64Array, publishAt: number, type: number | undefined): number {
  const publishes =
    (counters[publishAt] as number) + (counters[publishAt + 1] as number) + (counters[publishAt + 2] as number);
  if (type === PacketType.Publish) return publishes;
  return type === undefined ? others.reduce((sum, each) => sum + each, publishes) : (others[type] as number);
}
