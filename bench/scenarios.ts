/** What is measured: the rows of docs/benchmarks.md, as parameters of the load. */

import type { ProtocolVersion, QoS } from '@pipit/protocol';

export type Transport = 'tcp' | 'tls' | 'ws';

export interface Scenario {
  /** For `--only` and for JSON. */
  readonly name: string;
  readonly title: string;
  /**
   * pair: publisher i → subscriber i by a topic of their own. fan-out: all publishers → one topic that all subscribers have.
   * fan-in: topics of their own → every subscriber has `#`. shared: the same, the subscribers being one group.
   * spread: every publisher → the topics of all subscribers in turn, each of whom has one.
   */
  readonly shape: 'pair' | 'fan-out' | 'fan-in' | 'shared' | 'spread';
  readonly publishers: number;
  readonly subscribers: number;
  readonly qos: QoS;
  readonly version: ProtocolVersion;
  readonly transport: Transport;
  readonly payloadBytes: number;
  /** QoS 1 and 2: messages a publisher may have unacknowledged. */
  readonly window: number;
  /** Messages a publisher puts into one write at most. */
  readonly batch: number;
  /** Deliveries under way in all at most, so that nothing is dropped for want of room. */
  readonly outstandingMax: number;
  readonly userProperties: number;
  /** The subscribers' sessions outlive their connections, and the broker has a store. Absent: they are away while it is measured. */
  readonly durable: 'no' | 'present' | 'absent';
  /** Messages a second in all, at even distances; 0: as many as the window and `outstandingMax` let through. */
  readonly rate: number;
}

const usual: Omit<Scenario, 'name' | 'title'> = {
  shape: 'pair',
  publishers: 1,
  subscribers: 1,
  qos: 0,
  version: 4,
  transport: 'tcp',
  payloadBytes: 64,
  window: 100,
  batch: 64,
  outstandingMax: 20_000,
  userProperties: 0,
  durable: 'no',
  rate: 0,
};

export function scenario(name: string, title: string, settings: Partial<Scenario> = {}): Scenario {
  return { ...usual, ...settings, name, title };
}

export const scenarios: readonly Scenario[] = [
  scenario('pair-q0', '1 → 1, QoS 0'),
  scenario('pair-q1', '1 → 1, QoS 1, window 100', { qos: 1 }),
  scenario('pair-q2', '1 → 1, QoS 2, window 100', { qos: 2 }),
  scenario('fan-out-q0', '1 → 500, QoS 0', { shape: 'fan-out', subscribers: 500 }),
  scenario('fan-out-q1', '1 → 500, QoS 1', { shape: 'fan-out', subscribers: 500, qos: 1 }),
  scenario('spread-q0', '1 → 1000, a topic each, QoS 0', { shape: 'spread', subscribers: 1000 }),
  scenario('fan-in-q0', '100 → 1 (`#`), QoS 0', { shape: 'fan-in', publishers: 100 }),
  scenario('pairs-q0-single', '100 → 100, QoS 0, one message per write', {
    publishers: 100,
    subscribers: 100,
    batch: 1,
  }),
  scenario('pairs-q1-window-1', '100 → 100, QoS 1, window 1', {
    publishers: 100,
    subscribers: 100,
    qos: 1,
    window: 1,
  }),
  scenario('1000-pairs-q1-window-1', '1000 → 1000, QoS 1, window 1', {
    publishers: 1000,
    subscribers: 1000,
    qos: 1,
    window: 1,
  }),
  scenario('shared-q1-window-1', '1000 → 5 shared, QoS 1, window 1', {
    shape: 'shared',
    publishers: 1000,
    subscribers: 5,
    qos: 1,
    window: 1,
  }),
  scenario('pair-16k-q0', '1 → 1, QoS 0, 16 kB', { payloadBytes: 16_384, outstandingMax: 2000 }),
  scenario('v5-pair-q1', 'MQTT 5, 1 → 1, QoS 1', { version: 5, qos: 1 }),
  scenario('v5-pair-q1-properties', 'MQTT 5, 1 → 1, QoS 1, 3 User Properties', {
    version: 5,
    qos: 1,
    userProperties: 3,
  }),
  scenario('tls-pair-q1', 'TLS 1.3, 1 → 1, QoS 1', { transport: 'tls', qos: 1 }),
  scenario('ws-pair-q1', 'WebSocket, 1 → 1, QoS 1', { transport: 'ws', qos: 1 }),
  scenario('durable-pair-q1', '1 → 1 durable session, QoS 1, window 100', { qos: 1, durable: 'present' }),
  scenario('durable-pair-q2', '1 → 1 durable session, QoS 2, window 100', { qos: 2, durable: 'present' }),
  scenario('durable-present', '100 → 1 durable session, there, QoS 1', {
    shape: 'fan-in',
    publishers: 100,
    qos: 1,
    durable: 'present',
  }),
  scenario('durable-absent', '100 → 1 durable session, away, QoS 1', {
    shape: 'fan-in',
    publishers: 100,
    qos: 1,
    durable: 'absent',
  }),
];

/** Deliveries that one message causes while it is measured. */
export function deliveriesPerMessage({ shape, subscribers, durable }: Scenario): number {
  if (durable === 'absent') return 0;
  return shape === 'fan-out' || shape === 'fan-in' ? subscribers : 1;
}
