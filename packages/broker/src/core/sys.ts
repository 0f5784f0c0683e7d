/**
 * `$SYS/broker/…`: the broker's own numbers as retained messages, under Mosquitto's names, all derived from the tables and the
 * metrics. Only what changed is published, once an interval.
 */

import { encodeUtf8, PacketType } from '@pipit/protocol';
import { Deadline } from './deadlines.ts';
import { dropReasons } from './events.ts';
import { Message } from './message.ts';
import { Counter, packetNames } from './metrics.ts';
import { route } from './publish.ts';
import { put } from './retaining.ts';
import type { State } from './state.ts';

/** What load averages are made of, as counters that rise. */
const loads: readonly (readonly [string, (state: State) => number])[] = [
  ['messages/received', (state) => state.metrics.packetsReceived()],
  ['messages/sent', (state) => state.metrics.packetsSent()],
  ['publish/received', (state) => state.metrics.packetsReceived(PacketType.Publish)],
  ['publish/sent', (state) => state.metrics.packetsSent(PacketType.Publish)],
  ['publish/dropped', (state) => state.metrics.get(Counter.DeliveriesDropped)],
  ['bytes/received', (state) => state.metrics.get(Counter.BytesReceived)],
  ['bytes/sent', (state) => state.metrics.get(Counter.BytesSent)],
  ['sockets', (state) => state.metrics.get(Counter.ConnectionsOpened) + state.metrics.get(Counter.ConnectionsRefused)],
  ['connections', (state) => state.metrics.get(Counter.ConnectionsOpened)],
];
const loadMinutes = [1, 5, 15] as const;

export class SysTopics {
  private readonly intervalMs: number;
  private readonly published = new Map<string, string>();
  private readonly deadline = Deadline.of(this, (state, sys) => sys.update(state));
  private readonly lastTotals = loads.map(() => 0);
  private readonly averages = loads.map(() => loadMinutes.map(() => 0));
  private clientsMaximum = 0;
  private lastAt: number;

  constructor(state: State, intervalMs: number) {
    this.intervalMs = intervalMs;
    this.lastAt = state.now;
    this.update(state);
  }

  private update(state: State): void {
    this.average(state);
    for (const [name, value] of this.values(state)) this.publish(state, `$SYS/broker/${name}`, value);
    state.deadlines.arm(this.deadline, state.now + this.intervalMs);
  }

  private publish(state: State, name: string, value: string): void {
    if (this.published.get(name) === value) return;
    this.published.set(name, value);
    const topic = state.topics.internName(name);
    if (topic === null) return;
    const message = new Message(topic);
    message.retain = true;
    message.own(encodeUtf8(value), 0);
    put(state, message);
    state.publication.fromMessage(message, state.now);
    route(state, state.publication);
  }

  private average(state: State): void {
    const elapsedMs = state.now - this.lastAt;
    this.lastAt = state.now;
    if (elapsedMs <= 0) return;
    loads.forEach(([, total], i) => {
      const now = total(state);
      const perMinute = ((now - (this.lastTotals[i] as number)) * 60_000) / elapsedMs;
      this.lastTotals[i] = now;
      const averages = this.averages[i] as number[];
      loadMinutes.forEach((minutes, j) => {
        const keep = Math.exp(-elapsedMs / (minutes * 60_000));
        averages[j] = keep * (averages[j] as number) + (1 - keep) * perMinute;
      });
    });
  }

  private *values(state: State): Generator<readonly [string, string]> {
    const { metrics, sessions } = state;
    let connected = 0;
    let remote = 0;
    for (const { connection, local, isEstate } of sessions.values()) {
      if (connection !== null) connected++;
      if (local === null && !isEstate) remote++;
    }
    this.clientsMaximum = Math.max(this.clientsMaximum, connected);
    const number = (name: string, value: number): readonly [string, string] => [name, String(Math.round(value))];
    yield ['version', `pipit ${state.options.version ?? ''}`.trim()];
    yield ['uptime', `${Math.floor((state.now - state.startedAt) / 1000)} seconds`];
    yield number('clients/total', remote);
    yield number('clients/maximum', this.clientsMaximum);
    yield number('clients/connected', connected);
    yield number('clients/active', connected);
    yield number('clients/disconnected', remote - connected);
    yield number('clients/inactive', remote - connected);
    yield number('clients/expired', metrics.get(Counter.SessionsExpired));
    yield number('messages/received', metrics.packetsReceived());
    yield number('messages/sent', metrics.packetsSent());
    yield number('publish/messages/received', metrics.packetsReceived(PacketType.Publish));
    yield number('publish/messages/sent', metrics.packetsSent(PacketType.Publish));
    yield number('publish/messages/dropped', metrics.get(Counter.DeliveriesDropped));
    yield number('publish/bytes/received', metrics.publishesReceived.payloadBytes);
    yield number('publish/bytes/sent', metrics.publishesSent.payloadBytes);
    yield number('bytes/received', metrics.get(Counter.BytesReceived));
    yield number('bytes/sent', metrics.get(Counter.BytesSent));
    yield number('subscriptions/count', state.router.count);
    yield number('shared_subscriptions/count', state.router.sharedCount);
    yield number('retained messages/count', state.retained.count);
    yield number('store/messages/count', state.retained.count);
    yield number('store/messages/bytes', state.retained.bytes);
    yield number('queues/messages/count', state.queueTotal.messages);
    yield number('queues/messages/bytes', state.queueTotal.bytes);
    yield ['store/durability', metrics.durability];
    yield number('store/commits', metrics.get(Counter.Commits));
    yield number('store/commits/failed', metrics.get(Counter.CommitsFailed));
    yield* this.loadValues();
    yield* metricValues(state);
  }

  private *loadValues(): Generator<readonly [string, string]> {
    for (let i = 0; i < loads.length; i++) {
      for (let j = 0; j < loadMinutes.length; j++) {
        const average = (this.averages[i] as number[])[j] as number;
        yield [`load/${(loads[i] as (typeof loads)[number])[0]}/${loadMinutes[j]}min`, average.toFixed(2)];
      }
    }
  }
}

/** A counter per packet type, and per QoS. */
function* metricValues(state: State): Generator<readonly [string, string]> {
  const { metrics } = state;
  for (let type = 1; type < packetNames.length; type++) {
    yield [`metrics/packets/${packetNames[type]}/received`, String(metrics.packetsReceived(type))];
    yield [`metrics/packets/${packetNames[type]}/sent`, String(metrics.packetsSent(type))];
  }
  for (const qos of [0, 1, 2] as const) {
    yield [`metrics/messages/qos${qos}/received`, String(metrics.publishesReceived.of(qos))];
    yield [`metrics/messages/qos${qos}/sent`, String(metrics.publishesSent.of(qos))];
  }
  yield ['metrics/messages/dropped', String(metrics.get(Counter.DeliveriesDropped))];
  for (const reason of dropReasons)
    yield [`metrics/messages/dropped/${reason}`, String(metrics.drops.get(reason) ?? 0)];
  yield ['metrics/bytes/dropped/session-ended', String(metrics.get(Counter.EndedBytes))];
  yield ['metrics/bytes/received', String(metrics.get(Counter.BytesReceived))];
  yield ['metrics/bytes/sent', String(metrics.get(Counter.BytesSent))];
}
