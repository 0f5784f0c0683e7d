/**
 * How long a broker takes to start on a large store, in how much memory, and what retained messages cost then.
 *
 *     node --expose-gc packages/broker/test/store/start-bench.ts [--retained 1000000] [--bytes 200] [--sessions 0] [--queued 10]
 *
 * The store is filled by one process, in a temporary directory, and started by another; what is in the page cache stays there.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { type Broker, createBroker, openStore } from '@pipit/broker';
import { encodePacket, Framer, PacketType, viewOf } from '@pipit/protocol';
import type { Change, StoredMessage } from '../../src/core/index.ts';
import { connectPacket } from '../node/mqtt-peer.ts';

const { values } = parseArgs({
  options: {
    retained: { type: 'string', default: '1000000' },
    bytes: { type: 'string', default: '200' },
    sessions: { type: 'string', default: '0' },
    queued: { type: 'string', default: '10' },
    expiring: { type: 'boolean', default: false },
    role: { type: 'string', default: 'all' },
    directory: { type: 'string', default: '' },
  },
});
const retained = Number(values.retained);
const sessions = Number(values.sessions);
const queued = Number(values.queued);
const batchChanges = 5_000;
const devicesPerSite = 100;
const never = Number.POSITIVE_INFINITY;

function topicOf(i: number): string {
  return `site/${Math.floor(i / devicesPerSite)}/device/${i}/temperature`;
}

function message(id: number, topic: string, qos: 0 | 1, retain: boolean): StoredMessage {
  const expiresAtClock = values.expiring ? Date.now() + 86_400_000 + id : never;
  const payload = new Uint8Array(Number(values.bytes)).fill(0x78);
  return {
    id,
    topic,
    qos,
    retain,
    properties: new Uint8Array(0),
    payload,
    expiryAt: -1,
    expiresAtClock,
    publisher: 'p',
  };
}

function* changes(): Generator<Change> {
  let id = 0;
  for (let i = 0; i < retained; i++) {
    const topic = topicOf(i);
    yield {
      kind: 'retained',
      principal: null,
      topic,
      message: message(++id, topic, 1, true),
      expiresAtClock: Number.POSITIVE_INFINITY,
    };
  }
  for (let i = 0; i < sessions; i++) {
    const key = `client-${i}`;
    const incarnation = ++id;
    const rest = { principal: null, expirySeconds: 86_400, will: null, closedAtClock: Date.now() };
    yield { kind: 'session', session: { key, clientId: key, incarnation, ...rest } };
    const options = { shareName: undefined, qos: 1, noLocal: false, retainAsPublished: false, identifier: 0 } as const;
    yield { kind: 'subscribed', key, subscription: { filter: `to/${i}/#`, ...options } };
    for (let sequence = 1; sequence <= queued; sequence++) {
      const state = { qos: 1, retain: false, identifiers: null, group: null, packetId: 0, released: false } as const;
      const delivery = { sequence, message: message(++id, `to/${i}/x`, 1, false), ...state };
      yield { kind: 'queued', key, incarnation, delivery };
    }
  }
}

async function fill(directory: string): Promise<void> {
  const store = openStore(directory, { durability: 'os' });
  await store.load();
  let number = 0;
  let batch: Change[] = [];
  const commit = async (): Promise<void> => {
    const now = Date.now();
    await store.commit({ number: ++number, wall: now, clock: now, changes: batch });
    batch = [];
  };
  for (const change of changes()) {
    batch.push(change);
    if (batch.length >= batchChanges) await commit();
  }
  await commit();
  await store.close();
}

/** Live memory, in objects and in arrays of bytes and numbers, and what the process has from the system. */
function memory(): { live: number; resident: number } {
  global.gc?.();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { live: heapUsed + arrayBuffers, resident: rss };
}

function say(what: string, value: string): void {
  console.log(`${what.padEnd(42)} ${value}`);
}

/** Time and CPU since the last lap. */
class Laps {
  #at = performance.now();
  #cpu = process.cpuUsage();

  lap(): string {
    const { user, system } = process.cpuUsage(this.#cpu);
    const took = performance.now() - this.#at;
    this.#at = performance.now();
    this.#cpu = process.cpuUsage();
    const digits = took < 100 ? 1 : 0;
    return `${took.toFixed(digits)} ms, CPU ${((user + system) / 1000).toFixed(digits)} ms`;
  }
}

async function start(directory: string): Promise<void> {
  const before = memory();
  const delay = monitorEventLoopDelay({ resolution: 5 });
  const store = openStore(directory, { durability: 'os' });
  const laps = new Laps();
  const load = store.load.bind(store);
  store.load = async () => {
    const state = await load();
    say('read', laps.lap());
    return state;
  };
  const broker = createBroker({ store, sysIntervalMs: null });
  delay.enable();
  await broker.start();
  say('taken over by the broker', laps.lap());
  await broker.publish('marker', 'x', { retain: true });
  delay.disable();
  say('longest turn of the start', `${Math.round(delay.max / 1e6)} ms`);
  say('log', `${Math.round(store.size.bytes / 1e6)} MB`);
  sayMemory(before);
  if (retained > 0) {
    for (let round = 0; round < 2; round++) {
      await replay(broker, 'nothing/#', 0);
      await replay(broker, 'site/+/device/+/humidity', 0);
      await replay(broker, 'site/+/device/4242/+', 1);
      await replay(broker, 'site/77/#', devicesPerSite);
      await replay(broker, '#', retained);
    }
    sayMemory(before);
  }
  await broker.stop();
}

function sayMemory(before: ReturnType<typeof memory>): void {
  const { live, resident } = memory();
  const things = retained === 0 ? sessions : retained + sessions;
  const each = (bytes: number) => `${Math.round(bytes / 1e6)} MB, ${Math.round(bytes / things)} bytes each`;
  say('live memory beyond that of an idle broker', each(live - before.live));
  say('resident memory beyond it', each(resident - before.resident));
}

/** Subscribes and counts. Replays go one after the other: that of `marker` comes when the other is through. */
async function replay(broker: Broker, filter: string, wanted: number): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const stream = broker.connect();
  const framer = new Framer(268_435_455);
  let left = wanted + (filter === '#' ? 2 : 1);
  const done = Promise.withResolvers<void>();
  stream.on('data', (chunk: Uint8Array) => {
    framer.feed(chunk, viewOf(chunk), 0, chunk.length);
    while (framer.next()) {
      if ((framer.bytes[framer.start] as number) >> 4 === PacketType.Publish && --left === 0) done.resolve();
    }
  });
  const options = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const subscriptions = [filter, 'marker'].map((each) => ({ filter: each, ...options }));
  stream.write(encodePacket(connectPacket('reader', 5), 5, 'client'));
  const laps = new Laps();
  delay.enable();
  stream.write(encodePacket({ type: PacketType.Subscribe, packetId: 1, subscriptions }, 5, 'client'));
  await done.promise;
  const took = laps.lap();
  delay.disable();
  say(`${filter}: ${wanted} messages`, `${took}, longest turn ${Math.round(delay.max / 1e6)} ms`);
  stream.destroy();
}

if (values.role === 'fill') await fill(values.directory);
else if (values.role === 'start') await start(values.directory);
else {
  const directory = mkdtempSync(join(tmpdir(), 'pipit-start-'));
  try {
    for (const role of ['fill', 'start']) {
      const args = [...process.execArgv, ...process.argv.slice(1), '--role', role, '--directory', directory];
      const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
      if (status !== 0) throw new Error(`${role} ended with ${status}`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
