/**
 * Every counter of the broker, in one table. Counters only rise; gauges are derived from the tables they are about, never
 * counted up and down. `$SYS` (sys.ts), events and exporters read from here.
 */

import { PacketType } from '@pipit/protocol';
import type { DropReason } from './events.ts';

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
  TurnsOverBudget: 19,
  DisconnectsByServer: 20,
} as const;
export type Counter = (typeof Counter)[keyof typeof Counter];

export class Metrics {
  /** Indexed by `Counter` (a typed array: counting allocates nothing). */
  readonly counters = new Float64Array(32);
  /** Packets by type number. */
  readonly packetsReceived = new Float64Array(packetSlots);
  readonly packetsSent = new Float64Array(packetSlots);
  /** Deliveries that did not happen, by reason. */
  readonly drops = new Map<DropReason, number>();

  count(counter: Counter, by = 1): void {
    this.counters[counter] = (this.counters[counter] as number) + by;
  }

  received(type: number): void {
    this.packetsReceived[type] = (this.packetsReceived[type] as number) + 1;
  }

  sent(type: number): void {
    this.packetsSent[type] = (this.packetsSent[type] as number) + 1;
  }

  drop(reason: DropReason, by = 1): void {
    this.count(Counter.DeliveriesDropped, by);
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + by);
  }

  get(counter: Counter): number {
    return this.counters[counter] as number;
  }

  get publishesReceived(): number {
    return this.packetsReceived[PacketType.Publish] as number;
  }

  get publishesSent(): number {
    return this.packetsSent[PacketType.Publish] as number;
  }
}
