/**
 * The disk is full: what needs it is refused, everything else goes on, and when there is room again so does the rest. On a real
 * file system of a few megabytes; who may not mount one tests with the largest size of a file instead.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { Served } from './served.ts';
import { lasting, Tester } from './tester.ts';

const timeout = { timeout: 120_000 };
const folder = mkdtempSync(join(tmpdir(), 'pipit-full-'));
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]).status === 0;
after(() => {
  if (isMounted) spawnSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true, force: true });
});

if (isMounted) {
  test(
    'a full disk: what needs it is refused, nothing acknowledged is lost, and a drained queue gives it back',
    timeout,
    async () => {
      const data = join(folder, 'data');
      let served = await Served.start(data);
      const sleeper = await Tester.connect(served.port, 'sleeper', lasting);
      await sleeper.subscribe('queue', 1);
      sleeper.drop();
      const acknowledged = await fill(served, 'queue', 20);
      assert.ok(acknowledged.length > 500, `${acknowledged.length} messages of 8 kB on a disk of 8 MB`);
      await served.logged('store-full');

      await refuses(served);
      await goesOn(served);
      // Another program takes the rest, to the last byte: now nothing can be committed at all.
      takeAll(join(folder, 'foreign'));
      const payload = Buffer.from(padding);
      const will = { topic: 'will', payload, qos: 1, retain: false, properties: {} } as const;
      const late = await Tester.connecting(served.port, 'late', { ...lasting, will });
      await served.logged('commit-failed');
      await goesOn(served);
      rmSync(join(folder, 'foreign'));
      assert.equal((await late.take(PacketType.Connack)).reasonCode, 0);
      await served.logged('commit-recovered');

      await served.kill();
      served = await Served.start(data);
      assert.ok(
        served.lines.some((line) => line.startsWith(`found 2 sessions, ${acknowledged.length} queued and 0 retained`)),
      );
      await served.logged('store-full');
      const back = await Tester.connect(served.port, 'sleeper', lasting);
      assert.ok(back.connack.sessionPresent);
      assert.deepEqual((await back.drain(acknowledged.length)).map(numberOf), acknowledged);
      await served.logged('store-has-room');
      const publisher = await Tester.connect(served.port, 'publisher');
      publisher.publish('queue', '0', { qos: 1, packetId: 1 });
      assert.equal((await publisher.take(PacketType.Puback)).reasonCode, 0);
      assert.deepEqual(await back.drain(1), ['0']);
      await back.expectNothing();

      assert.deepEqual(await served.stop(), { code: 0, signal: null });
      served = await Served.start(data);
      const again = await Tester.connect(served.port, 'sleeper', lasting);
      assert.ok(again.connack.sessionPresent);
      await again.expectNothing();
      await served.stop();
    },
  );

  test(
    'a broker starts on a disk without a byte left, goes on with all that needs none, and mends',
    timeout,
    async () => {
      const data = join(folder, 'start');
      let served = await Served.start(data);
      const sleeper = await Tester.connect(served.port, 'sleeper', lasting);
      await sleeper.subscribe('queue', 1);
      sleeper.drop();
      const publisher = await Tester.connect(served.port, 'publisher');
      publisher.publish('queue', 'kept', { qos: 1, packetId: 1 });
      assert.equal((await publisher.take(PacketType.Puback)).reasonCode, 0);
      await served.kill();
      takeAll(join(folder, 'foreign'));

      served = await Served.start(data);
      assert.ok(served.lines.some((line) => line.startsWith('found 1 session, 1 queued and 0 retained')));
      await assert.rejects(Served.start(data), /is in use by process \d+\./);
      await goesOn(served);
      const back = await Tester.connecting(served.port, 'sleeper', lasting);
      await served.logged('commit-failed');
      rmSync(join(folder, 'foreign'));
      assert.ok((await back.take(PacketType.Connack)).sessionPresent);
      assert.deepEqual(await back.drain(1), ['kept']);
      await served.logged('commit-recovered');
      assert.deepEqual(await served.stop(), { code: 0, signal: null });
      rmSync(data, { recursive: true });
    },
  );

  test('a burst as large as the disk is taken as far as there is room, and no commit fails', timeout, async () => {
    const served = await Served.start(join(folder, 'burst'));
    const sleeper = await Tester.connect(served.port, 'sleeper', lasting);
    await sleeper.subscribe('queue', 1);
    sleeper.drop();
    const acknowledged = await fill(served, 'queue', 990);
    await served.logged('store-full');
    const back = await Tester.connect(served.port, 'sleeper', lasting);
    assert.deepEqual((await back.drain(acknowledged.length)).map(numberOf), acknowledged);
    await back.expectNothing();
    await served.logged('store-has-room');
    await served.stop();
    assert.deepEqual(
      served.log.filter(({ msg }) => msg === 'commit-failed'),
      [],
    );
  });
}

test('a file may not grow: the batch is written again elsewhere, and is there once', timeout, async () => {
  const data = mkdtempSync(join(tmpdir(), 'pipit-limit-'));
  // Units of 512 or 1,024 bytes. A process is killed for writing more unless it ignores the signal.
  const limited = ['sh', '-c', 'trap "" XFSZ; ulimit -f 512; exec "$@"', 'sh'];
  let served = await Served.start(data, [], limited);
  const sleeper = await Tester.connect(served.port, 'sleeper', lasting);
  await sleeper.subscribe('queue', 1);
  sleeper.drop();
  const publisher = await Tester.connect(served.port, 'publisher');
  const numbers = Array.from({ length: 150 }, (_, i) => i + 1);
  for (const number of numbers) {
    publisher.publish('queue', `${number} ${padding}`, { qos: 1, packetId: number });
    const { reasonCode } = await publisher.take(PacketType.Puback);
    assert.equal(reasonCode, 0);
  }
  await served.logged('commit-failed');
  await served.logged('commit-recovered');
  await served.kill();
  served = await Served.start(data);
  const back = await Tester.connect(served.port, 'sleeper', lasting);
  assert.deepEqual((await back.drain(numbers.length)).map(numberOf), numbers);
  await back.expectNothing();
  await served.stop();
  rmSync(data, { recursive: true });
});

const padding = 'x'.repeat(8_000);

function numberOf(payload: string): number {
  return Number(payload.split(' ')[0]);
}

/** Publishes with this window until something is refused, then one by one until it is full; what was acknowledged. */
async function fill(served: Served, topic: string, window: number): Promise<number[]> {
  const publisher = await Tester.connect(served.port, 'filler');
  const acknowledged: number[] = [];
  let sent = 0;
  let open = 0;
  let isRefused = false;
  const isFull = (): boolean => served.log.some(({ msg }) => msg === 'store-full');
  while (!isRefused || open > 0 || !isFull()) {
    const width = isRefused ? 1 : window;
    for (; open < width; open++) {
      sent++;
      publisher.publish(topic, `${sent} ${padding}`, { qos: 1, packetId: sent });
    }
    const { packetId, reasonCode } = await publisher.take(PacketType.Puback);
    open--;
    if (reasonCode === 0) acknowledged.push(packetId);
    else {
      assert.equal(reasonCode, ReasonCode.QuotaExceeded);
      isRefused = true;
    }
  }
  publisher.drop();
  return acknowledged;
}

/** Every way to say no to what would be kept. */
async function refuses({ port }: Served): Promise<void> {
  const five = await Tester.connect(port, 'five');
  five.publish('queue', 'no', { qos: 1, packetId: 1 });
  assert.equal((await five.take(PacketType.Puback)).reasonCode, ReasonCode.QuotaExceeded);
  five.publish('queue', 'no', { qos: 2, packetId: 1 });
  assert.equal((await five.take(PacketType.Pubrec)).reasonCode, ReasonCode.QuotaExceeded);
  five.publish('kept', 'no', { qos: 1, packetId: 1, retain: true });
  assert.equal((await five.take(PacketType.Puback)).reasonCode, ReasonCode.QuotaExceeded);
  for (const version of [3, 4] as const) {
    const old = await Tester.connect(port, `old-${version}`, { version });
    old.publish('queue', 'no', { qos: 1, packetId: 1 });
    assert.equal(await old.peer.next(), 'end');
  }
}

/** Nobody who does not need the disk notices. */
async function goesOn({ port }: Served): Promise<void> {
  const reader = await Tester.connect(port, 'reader');
  await reader.subscribe('volatile', 1);
  const writer = await Tester.connect(port, 'writer', { version: 4 });
  writer.publish('volatile', 'zero');
  assert.equal(Buffer.from((await reader.take(PacketType.Publish)).payload).toString(), 'zero');
  writer.publish('volatile', 'one', { qos: 1, packetId: 1 });
  assert.deepEqual(await reader.drain(1), ['one']);
  assert.equal((await writer.take(PacketType.Puback)).packetId, 1);
  // QoS 0 to a topic that is kept for somebody.
  writer.publish('queue', 'zero');
  await writer.expectNothing();
  reader.drop();
  writer.drop();
}

/** Writes until there is no room for one more byte. */
function takeAll(file: string): void {
  for (let bytes = 1 << 20; bytes > 0; bytes = Math.floor(bytes / 2)) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(bytes, 1), { flag: 'a' });
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
  }
}
