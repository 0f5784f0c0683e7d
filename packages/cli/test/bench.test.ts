import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchResult } from '../src/bench/bench-result.ts';
import { type RunningCommand, run, scratch, start, startServe } from './command.ts';

const rules = `permissions:
  - { effect: deny, action: publish, filter: nobody/# }
  - { effect: allow, action: all, filter: '#' }
`;

describe('pipit bench', () => {
  let serve: RunningCommand;
  let url: string;

  before(async () => {
    const config = join(scratch, 'bench.yaml');
    writeFileSync(config, rules);
    serve = await startServe('-c', config, '--memory', '--tcp', '0');
    url = await serve.until('stdout', /^(mqtt:\S+)$/m);
  });
  after(async () => assert.equal((await serve.stop()).exitCode, 0));

  const quick = ['--duration', '0.7', '--warm-up', '0.2'];
  const result = async (...args: readonly string[]): Promise<{ exitCode: number; found: BenchResult }> => {
    const { exitCode, stdout, stderr } = await run(['bench', ...args, '--json']);
    assert.equal(stderr, '');
    return { exitCode, found: JSON.parse(stdout) as BenchResult };
  };

  for (const [title, args, copies] of [
    ['QoS 0, one publisher and one subscriber', [], 1],
    ['QoS 1 to every subscriber, over two threads', ['-q', '1', '--subscribers', '3', '--threads', '2'], 3],
    [
      'QoS 2 to a shared subscription',
      ['-q', '2', '--publishers', '2', '--subscribers', '3', '--deliver', 'shared'],
      1,
    ],
    [
      '3.1.1, a subscriber each',
      ['-V', '311', '-q', '1', '--publishers', '4', '--subscribers', '4', '--window', '1'],
      1,
    ],
    ['at a rate', ['--rate', '2000', '-q', '1', '--publishers', '3', '--threads', '2', '--subscribers', '2'], 2],
  ] as const) {
    test(`counts every delivery: ${title}`, async () => {
      const { exitCode, found } = await result(url, ...quick, ...args);
      const { published, received, lost, surplus, misplaced, unacknowledged, deliveryMs } = found;
      assert.ok(published > 0);
      assert.deepEqual(
        { exitCode, received, lost, surplus, misplaced, unacknowledged },
        { exitCode: 0, received: published * copies, lost: 0, surplus: 0, misplaced: 0, unacknowledged: 0 },
      );
      assert.ok(deliveryMs !== null && deliveryMs.count <= received && deliveryMs.p50 > 0, JSON.stringify(found));
      assert.ok(
        deliveryMs.p50 <= deliveryMs.p99 && deliveryMs.p99 <= deliveryMs.max * 1.01,
        JSON.stringify(deliveryMs),
      );
      assert.equal(found.acknowledgementMs === null, found.load.qos === 0);
    });
  }

  test('publishers without subscribers are measured by their acknowledgements', async () => {
    const { exitCode, found } = await result(url, ...quick, '--subscribers', '0', '-q', '1');
    assert.deepEqual([exitCode, found.received, found.deliveryMs], [0, 0, null]);
    assert.ok(found.acknowledgementMs !== null && found.acknowledgementMs.count > 0);
  });

  test('what does not arrive is lost, ends with 1, and does not stop the closed loop', async () => {
    const args = ['-V', '311', '--topic', 'nobody', '--window', '5', '--duration', '2.5', '--warm-up', '0'];
    const { exitCode, found } = await result(url, ...args);
    assert.equal(exitCode, 1);
    assert.ok(found.published > 5, `${found.published}`);
    assert.deepEqual([found.received, found.lost], [0, found.published]);
  });

  test('an interrupt ends it early, with the figures so far', async () => {
    const bench = start(
      'bench',
      url,
      '-I',
      'early-',
      '--rate',
      '100',
      '--duration',
      '1000',
      '--warm-up',
      '0',
      '--json',
    );
    await serve.until('stderr', /early-p0/);
    await sleep(500);
    const { exitCode, stdout } = await bench.stop();
    const found = JSON.parse(stdout) as BenchResult;
    assert.deepEqual([exitCode, found.lost], [0, 0]);
    assert.ok(found.published > 0 && found.published < 10_000);
  });

  test('wrong usage and brokers that are not there are told in a sentence', async () => {
    for (const [args, exitCode, sentence] of [
      [['mqtt://127.0.0.1:1'], 1, /^Error: .*ECONNREFUSED.*\.\n$/],
      [
        ['--deliver', 'pair', '--subscribers', '2'],
        2,
        /^Error: --deliver pair needs as many subscribers as publishers\.\n$/,
      ],
      [['-i', 'me'], 2, /^Error: many clients cannot have one client id: give them a prefix \(-I\)\.\n$/],
      [['--topic', 'a/#'], 2, /^Error: --topic: /],
      [['-V', '31'], 2, /^Error: this command speaks MQTT 5 and 3\.1\.1/],
    ] as const) {
      const outcome = await run(['bench', ...args]);
      assert.match(outcome.stderr, sentence);
      assert.deepEqual([outcome.exitCode, outcome.stdout], [exitCode, ''], outcome.stderr);
    }
  });
});

test('pipit bench charges a broker that stalls for every message that was due meanwhile', async () => {
  const serve = await startServe('--memory', '--tcp', '0');
  const url = await serve.until('stdout', /^(mqtt:\S+)$/m);
  const bench = start('bench', url, '--rate', '500', '--duration', '3', '--warm-up', '0', '--json');
  await serve.until('stderr', /-p0"/);
  await sleep(500);
  serve.process.kill('SIGSTOP');
  await sleep(1_000);
  serve.process.kill('SIGCONT');
  const { stdout, exitCode } = await bench.outcome();
  const { deliveryMs, published, lost } = JSON.parse(stdout) as BenchResult;
  assert.deepEqual([exitCode, lost], [0, 0]);
  // Timers end it, which may be late on a busy machine.
  assert.ok(published > 1200, `${published}`);
  // A third of the messages waited, half a second on average. A generator that waits for the broker would have one slow message.
  assert.ok(deliveryMs !== null && deliveryMs.p90 > 300, JSON.stringify(deliveryMs));
  await serve.stop();
});

test('pipit bench says when the broker goes away', async () => {
  const serve = await startServe('--memory', '--tcp', '0');
  const url = await serve.until('stdout', /^(mqtt:\S+)$/m);
  const bench = start('bench', url, '--duration', '1000', '--rate', '100');
  await serve.until('stderr', /-p0"/);
  await sleep(200);
  await serve.stop();
  const { exitCode, stderr, stdout } = await bench.outcome();
  assert.deepEqual([exitCode, stdout], [1, '']);
  assert.match(stderr, /^Error: a client lost its connection: .*\.\n$/);
});
