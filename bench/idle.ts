/**
 * What connections cost that do nothing: the broker's CPU to take them in, its memory for each, its CPU while they are there.
 *
 * The memory is what the process holds more than before the first connection, garbage of connecting included.
 */

import { encodePacket, PacketType } from '@pipit/protocol';
import type { Contender, RunningBroker } from './contenders.ts';
import { type Usage, usageOf } from './load/process-usage.ts';
import { type Address, Link } from './load/transport.ts';
import { whole } from './report.ts';
import { scenario, type Transport } from './scenarios.ts';

const connectingMax = 200;
const settleMs = 5000;
const idleMs = 10_000;

export interface IdleResult {
  readonly contender: string;
  readonly connections: number;
  readonly rssBytesEach: number;
  readonly rssBytesBefore: number;
  readonly connectCpuUsEach: number;
  readonly connectsPerSecond: number;
  /** Of one core, for all of them. */
  readonly idleCpuShare: number;
}

export async function measureIdle(
  contenders: readonly Contender[],
  transport: Transport,
  connections: number,
  say: (text: string) => void,
): Promise<{ idle: IdleResult[]; missed: number }> {
  const results: IdleResult[] = [];
  const idle = scenario('idle', 'connections that do nothing', { transport });
  for (const contender of contenders) {
    if (contender.refusal(idle) !== null) continue;
    const broker = await contender.start(idle);
    try {
      const result = await measureOne(contender.name, broker, connections);
      results.push(result);
      say(
        `${result.contender.padEnd(10)} ${whole(connections)} connections: ${(result.rssBytesEach / 1024).toFixed(2)} kB each ` +
          `beside ${whole(result.rssBytesBefore / 1024 / 1024)} MB, ${result.connectCpuUsEach.toFixed(0)} µs CPU to connect ` +
          `(${whole(result.connectsPerSecond)}/s), ${(result.idleCpuShare * 100).toFixed(2)} % of a core while idle`,
      );
    } finally {
      await broker.stop();
    }
  }
  return { idle: results, missed: 0 };
}

async function measureOne(contender: string, broker: RunningBroker, connections: number): Promise<IdleResult> {
  const { address } = broker;
  // A few first, so that what is made once is not counted.
  const links = await connectAll(address, 0, 50);
  await pass(500);
  const before = usageNow(broker);
  const startedAt = performance.now();
  links.push(...(await connectAll(address, 50, connections)));
  const seconds = (performance.now() - startedAt) / 1000;
  const connected = usageNow(broker);
  await pass(settleMs);
  const settled = usageNow(broker);
  await pass(idleMs);
  const after = usageNow(broker);
  for (const link of links) link.destroy();
  return {
    contender,
    connections,
    rssBytesEach: (after.rssBytes - before.rssBytes) / connections,
    rssBytesBefore: before.rssBytes,
    connectCpuUsEach: ((connected.cpuSeconds - before.cpuSeconds) * 1e6) / connections,
    connectsPerSecond: connections / seconds,
    idleCpuShare: (after.cpuSeconds - settled.cpuSeconds) / (idleMs / 1000),
  };
}

function usageNow(broker: RunningBroker): Usage {
  const usage = usageOf(broker.pid);
  if (usage === null) throw new Error('The process of the broker cannot be looked at: give --pid, on Linux.');
  return usage;
}

async function connectAll(address: Address, first: number, count: number): Promise<Link[]> {
  const links: Link[] = [];
  for (let start = 0; start < count; start += connectingMax) {
    const length = Math.min(connectingMax, count - start);
    const group = Array.from({ length }, (_, i) => connectOne(address, `idle-${process.pid}-${first + start + i}`));
    links.push(...(await Promise.all(group)));
  }
  return links;
}

/** Resolves once CONNACK is there. */
function connectOne(address: Address, clientId: string): Promise<Link> {
  const { promise, resolve, reject } = Promise.withResolvers<Link>();
  const packet = { type: PacketType.Connect, version: 4, clientId, cleanStart: true, keepAlive: 600 } as const;
  const bytes = encodePacket(packet, 4, 'client');
  const link = new Link(address, {
    opened: () => void link.write(bytes, bytes.length),
    received: () => resolve(link),
    drained: () => {},
    closed: (why) => reject(new Error(why)),
  });
  return promise;
}

async function pass(ms: number): Promise<void> {
  await new Promise((done) => setTimeout(done, ms));
}
