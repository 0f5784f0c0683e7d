/**
 * kill -9: clients publish and receive through real sockets, the broker is killed at random moments and started again, and the
 * clients' own logs must agree. `PIPIT_KILLS` says how often, `PIPIT_SEED` chooses the
 * moments.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Damage } from '../../src/index.ts';
import { Prng } from '../sim/prng.ts';
import { DurableClient } from './durable-client.ts';

const kills = Number(process.env['PIPIT_KILLS'] ?? 5);
const window = 20;

class Harness {
  readonly directory = mkdtempSync(join(tmpdir(), 'pipit-kill-'));
  readonly prng = new Prng(Number(process.env['PIPIT_SEED'] ?? 1));
  readonly publisher = new DurableClient('publisher');
  readonly online = new DurableClient('online');
  readonly offline = new DurableClient('offline');
  readonly mortal = new DurableClient('mortal');
  /** Payloads of wills whose CONNACK came. */
  readonly wills: string[] = [];
  private child: ChildProcess | null = null;
  private sent = 0;
  retainedSent = 0;

  async start(): Promise<number> {
    const child = fork(join(import.meta.dirname, 'broker-child.ts'), [this.directory], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child = child;
    child.once('exit', (code) => assert.equal(code, null, 'the broker ended by itself'));
    const [{ damage }] = (await once(child, 'message')) as [{ damage: Damage[] }];
    assert.deepEqual(damage, [], 'a killed process damages nothing');
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return port;
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    for (const client of [this.publisher, this.online, this.offline, this.mortal]) client.drop();
  }

  /** Keeps the publisher's window full until it has seen so many packets. */
  publishFor(packets: number): Promise<void> {
    const { publisher, prng } = this;
    let left = packets;
    return new Promise((done) => {
      const proceed = (): void => {
        while (publisher.openCount < window) this.publishOne(prng);
        if (--left === 0) done();
      };
      publisher.onPacket = proceed;
      proceed();
    });
  }

  private publishOne(prng: Prng): void {
    const payload = String(++this.sent);
    if (prng.chance(10)) {
      this.retainedSent = this.sent;
      this.publisher.publish('retained', payload, 1, true);
    } else this.publisher.publish(`topic/${prng.below(3)}`, payload, prng.chance(50) ? 1 : 2);
  }

  /** Publishes no more; resolves when this holds. */
  settle(holds: () => boolean): Promise<void> {
    return new Promise((done) => {
      const look = (): void => {
        if (holds()) done();
      };
      for (const client of [this.publisher, this.online, this.offline]) client.onPacket = look;
      look();
    });
  }

  get sentCount(): number {
    return this.sent;
  }
}

test(`${kills} kills: nothing acknowledged is lost, QoS 2 comes once, order is kept, each will comes once`, {
  timeout: 60_000 + kills * 5_000,
}, async () => {
  const harness = new Harness();
  const { publisher, online, offline, mortal, prng } = harness;
  let port = await harness.start();
  for (const client of [online, offline]) {
    await client.connect(port);
    await client.subscribe('#');
  }
  offline.drop();
  for (let kill = 0; kill < kills; kill++) {
    await publisher.connect(port);
    if (kill > 0) await online.connect(port);
    if (prng.chance(50)) await offline.connect(port);
    const payload = Buffer.from(`will ${kill}`);
    await mortal.connect(port, { topic: 'wills', payload, qos: 2, retain: false, properties: {} });
    harness.wills.push(`will ${kill}`);
    await harness.publishFor(1 + prng.below(300));
    await harness.kill();
    port = await harness.start();
  }
  await Promise.all([publisher, online, offline].map((client) => client.connect(port)));
  const total = (): number => harness.sentCount + harness.wills.length;
  const counts = (client: DurableClient): number => new Set(client.received.map(({ payload }) => payload)).size;
  await harness.settle(() => publisher.openCount === 0 && counts(online) === total() && counts(offline) === total());
  for (const client of [online, offline]) check(client, harness);
  await checkRetained(port, harness);
  await harness.kill();
  await rm(harness.directory, { recursive: true });
});

function check(client: DurableClient, { wills, publisher }: Harness): void {
  const payloads = client.received.map(({ payload }) => payload);
  const seen = new Set(payloads);
  for (const payload of publisher.acknowledged) assert.ok(seen.has(payload), `${client.clientId} never got ${payload}`);
  for (const qos of [1, 2]) {
    for (const topic of new Set(client.received.map((each) => each.topic))) {
      const numbers = client.received.filter((each) => each.qos === qos && each.topic === topic && topic !== 'wills');
      const firsts = [...new Set(numbers.map(({ payload }) => Number(payload)))];
      assert.deepEqual(
        firsts,
        firsts.toSorted((a, b) => a - b),
        `${client.clientId}: order of ${topic}, QoS ${qos}`,
      );
      if (qos === 2) assert.equal(firsts.length, numbers.length, `${client.clientId}: QoS 2 came twice on ${topic}`);
    }
  }
  assert.deepEqual(
    payloads.filter((payload) => payload.startsWith('will')),
    wills,
  );
}

/** The value is the last that was sent: by now all of them are acknowledged. */
async function checkRetained(port: number, { retainedSent }: Harness): Promise<void> {
  const reader = new DurableClient('reader');
  await reader.connect(port);
  const came = new Promise<void>((done) => {
    reader.onPacket = () => {
      if (reader.received.length > 0) done();
    };
  });
  await reader.subscribe('retained', 0);
  await came;
  assert.deepEqual(
    reader.received.map(({ payload }) => Number(payload)),
    [retainedSent],
  );
  reader.drop();
}
