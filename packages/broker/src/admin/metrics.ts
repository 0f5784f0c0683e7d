/**
 * The broker's counters and tables as Prometheus metrics, under names that stay.
 *
 * Nothing is counted here: a metric is read from what the broker counts anyway, when somebody asks. docs/metrics.md lists them
 * all; a test compares.
 */

import { Gauge, Counter as PromCounter, Registry } from 'prom-client';
import { Counter, dropReasons, type Metrics, packetNames } from '../core/index.ts';
import type { Broker } from '../node/broker.ts';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [value: number, labels?: Labels];

export interface MetricDefinition {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly labels?: readonly string[];
  readonly read: (broker: Broker) => Iterable<Sample>;
}

/** Every counter of the core has a name here: the compiler asks for one. */
const counters: { readonly [Name in keyof typeof Counter]: readonly [name: string, help: string] } = {
  BytesReceived: ['pipit_received_bytes_total', 'Bytes of MQTT received from clients.'],
  BytesSent: ['pipit_sent_bytes_total', 'Bytes of MQTT sent to clients.'],
  PublishRefused: ['pipit_publishes_refused_total', 'PUBLISH packets that were refused.'],
  ConnectionsOpened: ['pipit_connections_accepted_total', 'Connections that were let in (CONNACK 0x00).'],
  ConnectionsRefused: ['pipit_connections_refused_total', 'Connections that ended before they were let in.'],
  SessionsCreated: ['pipit_sessions_created_total', 'Sessions that began.'],
  SessionsExpired: ['pipit_sessions_expired_total', 'Sessions whose client did not come back in time.'],
  WillsPublished: ['pipit_wills_published_total', 'Wills that were published.'],
  DeliveriesDropped: ['pipit_deliveries_dropped_total', 'Messages that one session did not get.'],
  SubscribesRefused: ['pipit_subscribes_refused_total', 'Filters of SUBSCRIBE packets that were refused.'],
  CommitsFailed: ['pipit_store_commits_failed_total', 'Commits of the store that failed; they are tried again.'],
  DisconnectsByServer: ['pipit_disconnects_by_server_total', 'Connections that the broker ended.'],
  Commits: ['pipit_store_commits_total', 'Commits of the store.'],
  EndedBytes: ['pipit_session_ended_bytes_total', 'Bytes of messages that ended with their session.'],
  SocketsTurnedAway: ['pipit_sockets_turned_away_total', 'Sockets that were closed before they were connections.'],
  Banned: ['pipit_banned_total', 'Sockets, CONNECTs and connections that a ban has ended.'],
};

function* publishes(metrics: Metrics): Generator<Sample> {
  for (const qos of [0, 1, 2] as const) {
    yield [metrics.publishesReceived.of(qos), { direction: 'received', qos: String(qos) }];
    yield [metrics.publishesSent.of(qos), { direction: 'sent', qos: String(qos) }];
  }
}

function* packets(metrics: Metrics): Generator<Sample> {
  for (let type = 1; type < packetNames.length; type++) {
    const packet = packetNames[type] as string;
    yield [metrics.packetsReceived(type), { direction: 'received', type: packet }];
    yield [metrics.packetsSent(type), { direction: 'sent', type: packet }];
  }
}

function* payloads({ publishesReceived, publishesSent }: Metrics): Generator<Sample> {
  yield [publishesReceived.payloadBytes, { direction: 'received' }];
  yield [publishesSent.payloadBytes, { direction: 'sent' }];
}

type Totals = ReturnType<Broker['inspection']['totals']>;

function total(name: string, help: string, read: (totals: Totals) => number): MetricDefinition {
  return { name, kind: 'gauge', help, read: ({ inspection }) => [[read(inspection.totals())]] };
}

/** Of the process, read from Node. */
const processMetrics: readonly MetricDefinition[] = [
  {
    name: 'process_cpu_seconds_total',
    kind: 'counter',
    help: 'CPU time of the process, user and system, in seconds.',
    read: () => {
      const { user, system } = process.cpuUsage();
      return [[(user + system) / 1e6]];
    },
  },
  {
    name: 'process_resident_memory_bytes',
    kind: 'gauge',
    help: 'Resident memory of the process.',
    read: () => [[process.memoryUsage.rss()]],
  },
  {
    name: 'nodejs_heap_used_bytes',
    kind: 'gauge',
    help: "V8's heap in use.",
    read: () => [[process.memoryUsage().heapUsed]],
  },
  {
    name: 'nodejs_event_loop_active_seconds_total',
    kind: 'counter',
    help: 'Time the event loop was busy: a rate near 1 is a broker at its limit.',
    read: () => [[performance.eventLoopUtilization().active / 1000]],
  },
];

export const metricDefinitions: readonly MetricDefinition[] = [
  ...Object.entries(counters).map(([key, [name, help]]): MetricDefinition => {
    const counter = Counter[key as keyof typeof Counter];
    return { name, kind: 'counter', help, read: ({ metrics }) => [[metrics.get(counter)]] };
  }),
  {
    name: 'pipit_publishes_total',
    kind: 'counter',
    help: 'PUBLISH packets, by direction (received, sent) and QoS.',
    labels: ['direction', 'qos'],
    read: ({ metrics }) => publishes(metrics),
  },
  {
    name: 'pipit_packets_total',
    kind: 'counter',
    help: 'Packets of MQTT, by direction and type.',
    labels: ['direction', 'type'],
    read: ({ metrics }) => packets(metrics),
  },
  {
    name: 'pipit_payload_bytes_total',
    kind: 'counter',
    help: 'Bytes of payloads, by direction.',
    labels: ['direction'],
    read: ({ metrics }) => payloads(metrics),
  },
  {
    name: 'pipit_drops_total',
    kind: 'counter',
    help: 'Messages that one session did not get, by reason: those of the event `dropped`.',
    labels: ['reason'],
    read: ({ metrics }) => dropReasons.map((reason) => [metrics.drops.get(reason) ?? 0, { reason }]),
  },
  {
    name: 'pipit_limits_reached_total',
    kind: 'counter',
    help: 'How often a limit has refused, slowed down or closed somebody, by its name; of those that did.',
    labels: ['limit'],
    read: ({ metrics }) => [...metrics.limitsReached].map(([limit, count]): Sample => [count, { limit }]),
  },
  total('pipit_connections', 'Network connections now, CONNECT sent or not.', (each) => each.connections),
  total('pipit_sessions', 'Sessions now, connected or not.', (each) => each.sessions),
  total('pipit_subscriptions', 'Subscriptions now.', (each) => each.subscriptions),
  total('pipit_shared_subscriptions', 'Of them, shared ones.', (each) => each.sharedSubscriptions),
  total('pipit_retained_messages', 'Retained messages now.', (each) => each.retainedMessages),
  total('pipit_retained_bytes', 'What they count for against their limit.', (each) => each.retainedBytes),
  total(
    'pipit_queued_messages',
    'Messages waiting for all sessions, in flight included.',
    (each) => each.queuedMessages,
  ),
  total('pipit_queued_bytes', 'Bytes of them.', (each) => each.queuedBytes),
  total(
    'pipit_unsent_bytes',
    'Bytes accepted for clients that their sockets have not taken.',
    (each) => each.unsentBytes,
  ),
  {
    name: 'pipit_store_info',
    kind: 'gauge',
    help: 'Always 1; its label `durability` says what an acknowledgement waits for: fsync, os or memory.',
    labels: ['durability'],
    read: ({ durability }) => [[1, { durability }]],
  },
  total('pipit_store_failing', '1 while the last commit failed.', (each) => Number(each.storeFails)),
  total('pipit_store_full', '1 while the store has no room.', (each) => Number(each.storeIsFull)),
  total('pipit_uptime_seconds', 'Since the start.', (each) => each.uptimeMs / 1000),
  ...processMetrics,
];

/** A registry that reads from this broker. */
export function metricsRegistry(broker: Broker): Registry {
  const registry = new Registry();
  for (const { name, help, kind, labels = [], read } of metricDefinitions) {
    const settings = { name, help, labelNames: [...labels], registers: [registry] };
    if (kind === 'gauge') {
      new Gauge({
        ...settings,
        collect() {
          for (const [value, of = {}] of read(broker)) this.set(of, value);
        },
      });
    } else {
      new PromCounter({
        ...settings,
        collect() {
          this.reset();
          for (const [value, of = {}] of read(broker)) this.inc(of, value);
        },
      });
    }
  }
  return registry;
}
