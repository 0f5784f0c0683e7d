import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Broker, createBroker, openStore } from '@pipit/broker';
import { PacketType } from '@pipit/protocol';
import { MqttPeer } from '../../broker/test/node/mqtt-peer.ts';
import { run } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-store-'));
after(() => rmSync(folder, { recursive: true }));

async function runBroker(directory: string, body: (broker: Broker) => Promise<void>): Promise<void> {
  const broker = createBroker({ store: openStore(directory, { segmentBytes: 64 * 1024 }), sysIntervalMs: null });
  await broker.start();
  await body(broker).finally(() => broker.stop());
}

/** A session that is there and offline. */
async function session(broker: Broker, clientId: string, ...filters: string[]): Promise<void> {
  const peer = new MqttPeer(broker.connect());
  const properties = { sessionExpiryInterval: 3_600 };
  peer.send({ type: PacketType.Connect, version: 5, clientId, cleanStart: false, keepAlive: 0, properties });
  await peer.next();
  for (const filter of filters) await peer.subscribe(filter, 1);
  const gone = new Promise<void>((done) => {
    broker.on('disconnected', (event) => {
      if (event.clientId === clientId) done();
    });
  });
  peer.stream.destroy();
  await gone;
}

async function publish(broker: Broker, topic: string, count: number, size = 100): Promise<void> {
  const payload = 'p'.repeat(size);
  await Promise.all(Array.from({ length: count }, () => broker.publish(topic, payload, { qos: 1 })));
}

/** Two sessions with queues, one without, and retained messages. */
async function filled(name: string): Promise<string> {
  const directory = join(folder, name);
  await runBroker(directory, async (broker) => {
    await session(broker, 'many', 'a/#', '$share/group/b');
    await session(broker, 'large', 'large/#');
    await session(broker, 'none\u001b[2J', 'c');
    await publish(broker, 'a/b', 30);
    await publish(broker, 'large/x', 2, 50_000);
    await broker.publish('kept/2', 'longer value', { qos: 1, retain: true });
    await broker.publish('kept/1', 'value', { qos: 1, retain: true });
  });
  return directory;
}

/** Flips a bit in the middle of the first place where this text stands. */
function hurt(directory: string, text: string): { name: string; at: number } {
  for (const name of readdirSync(directory).filter((each) => each.startsWith('segment-'))) {
    const bytes = readFileSync(join(directory, name));
    const at = bytes.indexOf(text);
    if (at < 0) continue;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(join(directory, name), bytes);
    return { name, at };
  }
  throw new Error(`${text} is nowhere in ${directory}`);
}

function rowOf(stdout: string, name: string): string[] {
  const row = stdout.split('\n').find((line) => line.endsWith(`  ${name}`));
  return (row ?? '').trim().split(/ {2,}/);
}

describe('pipit store', { concurrency: 4 }, () => {
  test('inspect shows who holds the memory, the largest first, and control characters harmless', async () => {
    const directory = await filled('inspect');
    const { exitCode, stdout, stderr } = await run(['store', 'inspect', directory]);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    assert.match(stdout, /^directory {4}\/.*, not in use$/m);
    assert.match(stdout, /^sessions {5}3, 0 of them connected$/m);
    assert.match(stdout, /^queued {7}32 messages, /m);
    assert.match(stdout, /^retained {5}2 messages$/m);
    assert.match(stdout, /^damage {7}none$/m);
    assert.deepEqual(rowOf(stdout, 'large').slice(0, 4), ['2', '100.3 kB', '0', '1']);
    assert.deepEqual(rowOf(stdout, 'many').slice(0, 4), ['30', '7.0 kB', '0', '2']);
    assert.ok(stdout.indexOf('  large\n') < stdout.indexOf('  many\n'));
    assert.match(stdout, /none\\u001b\[2J$/m);
    const byCount = await run(['store', 'inspect', directory, '--sort', 'queued', '--top', '1']);
    assert.match(byCount.stdout, /\n *30 .* many\nand 2 more sessions/);
  });

  test('inspect shows one session, and retained messages by filter', async () => {
    const directory = await filled('one');
    const one = await run(['store', 'inspect', directory, '--session', 'many', '--top', '2']);
    assert.match(one.stdout, /^subscriptions {2}2\n {2}a\/# \(QoS 1\)\n {2}\$share\/group\/b \(QoS 1\)$/m);
    assert.match(one.stdout, /\n *1 {4}1 {2}waits {2}100 B .* a\/b\n/);
    assert.match(one.stdout, /^and 28 more messages/m);
    const retained = await run(['store', 'inspect', directory, '--retained', '+/2']);
    assert.deepEqual(rowOf(retained.stdout, 'kept/2').slice(0, 2), ['12 B', '1']);
    assert.match(retained.stdout, /^1 retained message$/m);
    const nobody = await run(['store', 'inspect', directory, '--session', 'nobody']);
    assert.equal(nobody.exitCode, 1);
    assert.match(nobody.stderr, /^There is no session nobody in /);
    assert.equal((await run(['store', 'inspect', directory, '--retained', 'a/#/b'])).exitCode, 2);
  });

  test('inspect prints JSON for programs', async () => {
    const directory = await filled('json');
    const { stdout } = await run([
      'store',
      'inspect',
      directory,
      '--json',
      '--retained',
      'kept/#',
      '--session',
      'many',
    ]);
    const { sessions, retained, queue, report, retainedCount } = JSON.parse(stdout);
    assert.deepEqual(
      sessions.map(({ session, queued }: { session: string; queued: number }) => [session, queued]),
      [['many', 30]],
    );
    assert.deepEqual([retained.length, retained[1].topic, retained[1].bytes], [2, 'kept/2', 12]);
    assert.deepEqual([queue.length, queue[0].topic, queue[0].packetId], [30, 'a/b', 0]);
    assert.deepEqual([report.damage, retainedCount], [[], 2]);
  });

  test('verify names the damage and what it held; repair sets it aside, and the store is clean', async () => {
    const directory = await filled('damaged');
    assert.equal((await run(['store', 'verify', directory])).exitCode, 0);
    const { name, at } = hurt(directory, 'longer value');
    const before = readdirSync(directory);
    const verify = await run(['store', 'verify', directory]);
    assert.equal(verify.exitCode, 1);
    const [, from = '', to = ''] = /^damaged: \S+, bytes (\d+) to (\d+) /m.exec(verify.stdout) ?? [];
    assert.ok(Number(from) < at && at < Number(to), verify.stdout);
    assert.match(verify.stdout, new RegExp(`^damaged: ${name}, `, 'm'));
    assert.match(verify.stdout, /^ {2}it seems to have held: retained message of kept\/2$/m);
    assert.match(verify.stdout, /^lost: 1 record$/m);
    assert.deepEqual(readdirSync(directory), before, 'nothing was written');
    const bytes = readFileSync(join(directory, name)).subarray(Number(from), Number(to));
    const repair = await run(['store', 'repair', directory]);
    assert.equal(repair.exitCode, 0, repair.stdout);
    const [, copy = ''] = /a copy is in (\S+)$/m.exec(repair.stdout) ?? [];
    assert.deepEqual(readFileSync(join(directory, copy)), bytes);
    const again = await run(['store', 'verify', directory]);
    assert.equal(again.exitCode, 0);
    assert.match(again.stdout, /^queued {7}32 messages, /m);
    assert.match(again.stdout, /^retained {5}1 message$/m);
  });

  test('a repair that cannot go on says why, and deletes nothing', async () => {
    const directory = await filled('stuck');
    const { name } = hurt(directory, 'longer value');
    // A file stands where the folder for what is set aside should be.
    writeFileSync(join(directory, 'quarantine'), '');
    const repair = await run(['store', 'repair', directory]);
    assert.equal(repair.exitCode, 1);
    assert.match(repair.stdout, /^It is still damaged, because it could not go on \(ENOTDIR: .*quarantine.*\):$/m);
    assert.ok(readdirSync(directory).includes(name));
    rmSync(join(directory, 'quarantine'));
    assert.equal((await run(['store', 'repair', directory])).exitCode, 0);
  });

  test('reads a store while its broker runs, and refuses to repair it, naming the process', async () => {
    const directory = join(folder, 'running');
    await runBroker(directory, async (broker) => {
      await session(broker, 'sleeper', 'a');
      await publish(broker, 'a', 20);
      const inspect = await run(['store', 'inspect', directory]);
      assert.match(inspect.stdout, new RegExp(`, in use by process ${process.pid}$`, 'm'));
      assert.equal(rowOf(inspect.stdout, 'sleeper')[0], '20');
      const repair = await run(['store', 'repair', directory]);
      assert.equal(repair.exitCode, 1);
      assert.match(repair.stderr, new RegExp(`in use by process ${process.pid}\\.\\n$`));
      await publish(broker, 'a', 20);
    });
    assert.equal(rowOf((await run(['store', 'inspect', directory])).stdout, 'sleeper')[0], '40');
  });

  test('export writes lines that import takes, into the same store elsewhere', async () => {
    const directory = await filled('exported');
    const { exitCode, stdout } = await run(['store', 'export', directory]);
    assert.equal(exitCode, 0);
    const file = join(folder, 'export.ndjson');
    assert.equal((await run(['store', 'export', directory, '-o', file])).stdout, '');
    assert.equal(readFileSync(file, 'latin1'), stdout);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const copy = join(folder, 'imported');
    const imported = await run(['store', 'import', copy], Buffer.from(stdout, 'latin1'));
    assert.deepEqual(
      { exitCode: imported.exitCode, stderr: imported.stderr },
      { exitCode: 0, stderr: '3 sessions, 4 subscriptions, 32 queued and 2 retained messages\n' },
    );
    assert.equal((await run(['store', 'export', copy])).stdout, stdout);
    const retained = await run(['store', 'export', directory, '--retained', '+/1']);
    assert.deepEqual(
      retained.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).topic),
      [undefined, 'kept/1'],
    );
    const bad = await run(['store', 'import', join(folder, 'bad')], stdout.replace('"clientId"', '"client"'));
    assert.equal(bad.exitCode, 1);
    assert.match(bad.stderr, /^Line 2: clientId: .*\.\n$/);
    const noFile = await run(['store', 'export', directory, '-o', join(folder, 'nowhere', 'x')]);
    assert.equal(noFile.exitCode, 1);
    assert.match(noFile.stderr, /^ENOENT: .*\n$/);
  });

  test('says in one sentence that there is no store, and makes none', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    for (const command of ['inspect', 'verify', 'repair', 'export']) {
      for (const directory of [join(folder, 'nowhere'), empty]) {
        const { exitCode, stderr } = await run(['store', command, directory]);
        assert.deepEqual({ exitCode, stderr }, { exitCode: 1, stderr: `There is no store in ${directory}.\n` });
      }
    }
    assert.deepEqual(readdirSync(empty), []);
    assert.ok(!readdirSync(folder).includes('nowhere'));
  });
});
