/** What a load is made of: what every thread of `pipit bench` has to know. Plain data, handed to each of them. */

import type { QoS } from '@pipit/protocol';
import type { ConnectionArguments } from '../connection-options.ts';

/** Who gets a message: the subscriber of its publisher, every subscriber, or one of a shared subscription. */
export type Delivery = 'pair' | 'all' | 'shared';

export interface BenchPlan {
  readonly connection: ConnectionArguments;
  /** Before `p` or `s` and a number. */
  readonly clientIdPrefix: string;
  readonly publishers: number;
  readonly subscribers: number;
  readonly delivery: Delivery;
  readonly qos: QoS;
  /** At least `payloadBytesMin`. */
  readonly payloadBytes: number;
  /** Messages of a publisher that may be under way at once. */
  readonly window: number;
  /** Messages a second of all publishers together, due at equal distances; null: as fast as the window lets them. */
  readonly rate: number | null;
  /** Nobody else's: every run has its own. */
  readonly topicPrefix: string;
  readonly threads: number;
}

/** The number of the publisher (4 bytes), that of the message (4), and when it was due, in ms of the shared clock (8). */
export const payloadBytesMin = 16;

export function topicOf({ topicPrefix }: BenchPlan, publisher: number): string {
  return `${topicPrefix}/${publisher}`;
}

export function filterOf({ topicPrefix, delivery }: BenchPlan, subscriber: number): string {
  if (delivery === 'pair') return `${topicPrefix}/${subscriber}`;
  return delivery === 'all' ? `${topicPrefix}/+` : `$share/bench/${topicPrefix}/+`;
}

/** Deliveries of one message. */
export function copiesOf({ delivery, subscribers }: BenchPlan): number {
  return delivery === 'all' ? subscribers : Math.min(1, subscribers);
}

/** The numbers below `count` that are this thread's. */
export function shareOf(count: number, thread: number, threads: number): number[] {
  return Array.from({ length: count }, (_, i) => i).filter((i) => i % threads === thread);
}
