import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { createBroker } from '@pipit/broker';
import { Framer, PacketType, viewOf } from '@pipit/protocol';
import { generate } from '../measure.ts';
import { type Scenario, scenario } from '../scenarios.ts';
import { type LoadOptions, type LoadResult, runLoad } from './load.ts';
import { NativeLoad } from './native.ts';

const timeout = { timeout: 60_000 };
const certificates = resolve(import.meta.dirname, '../../packages/broker/test/node/certificates');
const caFile = join(certificates, 'ca.pem');
const times = { warmUpMs: 50, measureMs: 150 };

/** In this process, and in one of its own, where it is in C if it can be. */
const loads: readonly ((options: LoadOptions) => Promise<LoadResult>)[] = [
  (options) => runLoad(options),
  (options) => generate(options),
];
type RunLoad = (typeof loads)[number];

async function measured(run: RunLoad, settings: Partial<Scenario>): Promise<LoadResult> {
  const tls = {
    cert: readFileSync(join(certificates, 'server.pem')),
    key: readFileSync(join(certificates, 'server-key.pem')),
  };
  const broker = createBroker({ listeners: [{ type: 'auto', host: '127.0.0.1', port: 0, tls }] });
  await broker.start();
  try {
    const chosen = scenario('test', 'test', settings);
    const port = broker.listeners[0]?.port as number;
    const address = { transport: chosen.transport, host: '127.0.0.1', port, path: '/mqtt', caFile };
    return await run({ scenario: chosen, address, pid: process.pid, ...times });
  } finally {
    await broker.stop();
  }
}

function assertWhole(result: LoadResult): void {
  const { lost, outOfOrder, unacknowledged, sentPerSecond, receivedPerSecond } = result;
  assert.deepEqual({ lost, outOfOrder, unacknowledged }, { lost: 0, outOfOrder: 0, unacknowledged: 0 });
  assert.ok(sentPerSecond > 0 && receivedPerSecond > 0, JSON.stringify(result));
}

test('every transport, QoS and version comes through whole', timeout, async () => {
  for (const transport of ['tcp', 'tls', 'ws'] as const) {
    for (const qos of [0, 1, 2] as const) assertWhole(await measured(runLoad, { transport, qos, payloadBytes: 300 }));
  }
  for (const qos of [0, 1, 2] as const) assertWhole(await measured(generate, { qos, payloadBytes: 300 }));
  assertWhole(await measured(generate, { payloadBytes: 600_000, outstandingMax: 10 }));
  for (const run of loads) {
    const v5 = await measured(run, { version: 5, qos: 1, userProperties: 3, publishers: 3, subscribers: 3, window: 1 });
    assertWhole(v5);
    assert.ok((v5.cpuUsPerMessage ?? 0) > 0 || process.platform !== 'linux');
    assertWhole(await measured(run, { version: 3, qos: 1, publishers: 2, subscribers: 2, durable: 'present' }));
  }
});

test('over TCP the load is in C wherever there is a compiler', timeout, async () => {
  const hasCompiler = process.platform === 'linux' && spawnSync('cc', ['--version']).error === undefined;
  const { generator, latencyUs, generatorCpuShare } = await measured(generate, { qos: 1, window: 1 });
  assert.equal(generator, hasCompiler ? 'C' : 'TypeScript');
  assert.ok(
    latencyUs !== null && latencyUs.p50 > 1 && latencyUs.p50 <= latencyUs.p99 && latencyUs.p99 <= latencyUs.max,
  );
  assert.ok(generatorCpuShare > 0);
  const address = { transport: 'ws', host: '127.0.0.1', port: 1, path: '/', caFile: null } as const;
  const options = { scenario: scenario('test', 'test'), address, pid: null, ...times };
  assert.equal(new NativeLoad().command(options), null);
});

test('a client that cannot connect ends the load', timeout, async () => {
  const address = { transport: 'tcp', host: '127.0.0.1', port: 1, path: '/', caFile: null } as const;
  for (const run of loads) {
    await assert.rejects(
      run({ scenario: scenario('test', 'test'), address, pid: null, ...times }),
      /could not connect/,
    );
  }
});

test('one message to many is that many deliveries, and a group shares them', timeout, async () => {
  for (const run of loads) {
    const fanOut = await measured(run, { shape: 'fan-out', subscribers: 20, qos: 1 });
    assertWhole(fanOut);
    assert.ok(fanOut.receivedPerSecond > 10 * fanOut.sentPerSecond, JSON.stringify(fanOut));
    const shared = await measured(run, { shape: 'shared', publishers: 10, subscribers: 3, qos: 1 });
    assertWhole(shared);
    assert.ok(shared.receivedPerSecond < 2 * shared.sentPerSecond, JSON.stringify(shared));
    const spread = await measured(run, { shape: 'spread', subscribers: 7 });
    assertWhole(spread);
    assert.ok(spread.receivedPerSecond < 2 * spread.sentPerSecond, JSON.stringify(spread));
    assertWhole(await measured(run, { shape: 'fan-in', publishers: 4, subscribers: 2 }));
  }
});

test('at a rate, messages are sent when they are due', timeout, async () => {
  for (const run of loads) {
    const { sentPerSecond, ...rest } = await measured(run, { qos: 1, rate: 2000 });
    assertWhole({ sentPerSecond, ...rest });
    assert.ok(sentPerSecond > 1000 && sentPerSecond < 3000, `${sentPerSecond} a second`);
  }
});

test('a session that is away gets everything afterwards', timeout, async () => {
  const { receivedPerSecond, latencyUs, lost, outOfOrder, sentPerSecond } = await measured(runLoad, {
    shape: 'fan-in',
    publishers: 5,
    qos: 1,
    durable: 'absent',
    // So few that none is dropped for want of room in the queue.
    rate: 5000,
  });
  assert.deepEqual(
    { receivedPerSecond, latencyUs, lost, outOfOrder },
    { receivedPerSecond: 0, latencyUs: null, lost: 0, outOfOrder: 0 },
  );
  assert.ok(sentPerSecond > 0);
});

test('sees what a broker loses, sends twice and sends out of order', timeout, async () => {
  for (const [fault, seen] of [
    ['loses', { lost: true, outOfOrder: true }],
    ['repeats', { lost: false, outOfOrder: true }],
    ['swaps', { lost: false, outOfOrder: true }],
    ['none', { lost: false, outOfOrder: false }],
  ] as const) {
    for (const run of loads) {
      const { lost, outOfOrder } = await throughFault(run, fault);
      assert.deepEqual({ lost: lost > 0, outOfOrder: outOfOrder > 0 }, seen, fault);
    }
  }
});

type Fault = 'loses' | 'repeats' | 'swaps' | 'none';

/** A pair of QoS 0 through something that does not treat every tenth message as it should. */
async function throughFault(run: RunLoad, fault: Fault): Promise<LoadResult> {
  let subscriber: Socket | null = null;
  let count = 0;
  let late: Uint8Array | null = null;
  const pass = (packet: Uint8Array): void => {
    const isTenth = ++count % 10 === 0;
    if (isTenth && fault === 'loses') return;
    if (isTenth && fault === 'swaps') {
      late = packet;
      // Should it be the last one.
      setTimeout(passLate, 50);
      return;
    }
    subscriber?.write(packet);
    if (isTenth && fault === 'repeats') subscriber?.write(packet);
    passLate();
  };
  const passLate = (): void => {
    if (late !== null) subscriber?.write(late);
    late = null;
  };
  const server = createServer((socket) => {
    const framer = new Framer(1 << 20);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      framer.feed(chunk as Uint8Array, viewOf(chunk as Uint8Array), 0, chunk.length);
      while (framer.next()) {
        const { bytes, start, body, end } = framer;
        const type = (bytes[start] as number) >> 4;
        if (type === PacketType.Connect) socket.write(Uint8Array.of(0x20, 2, 0, 0));
        else if (type === PacketType.Subscribe) {
          subscriber = socket;
          socket.write(Uint8Array.of(0x90, 3, bytes[body] as number, bytes[body + 1] as number, 0));
        } else if (type === PacketType.Publish) pass(bytes.slice(start, end));
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const address = { transport: 'tcp', host: '127.0.0.1', port, path: '/', caFile: null } as const;
    // At a rate: what is lost must not leave the load waiting for it.
    const paced = scenario('test', 'test', { rate: 2000 });
    return await run({ scenario: paced, address, pid: null, ...times, silenceMs: 300 });
  } finally {
    server.close();
  }
}
