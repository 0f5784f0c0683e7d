/** `pipit bench`, `doctor`, `record`, `replay` and `retained` against Mosquitto. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Mosquitto, startMosquitto } from '../../broker/test/node/mosquitto.ts';
import type { BenchResult } from '../src/bench/bench-result.ts';
import type { DoctorReport } from '../src/doctor/doctor-report.ts';
import { run, scratch, start } from '../test/command.ts';

const certificates = join(import.meta.dirname, '../../broker/test/node/certificates');
let open: Mosquitto;
let closed: Mosquitto;

before(async () => {
  open = await startMosquitto(['allow_anonymous true', 'max_qos 1', 'max_keepalive 300']);
  const made = spawnSync('mosquitto_passwd', ['-b', '-c', join(scratch, 'mosquitto-users'), 'ann', 'right']);
  assert.equal(made.status, 0, String(made.stderr));
  closed = await startMosquitto(
    [
      'allow_anonymous false',
      'password_file FOLDER/users',
      'acl_file FOLDER/acl',
      `cafile ${certificates}/ca.pem`,
      `certfile ${certificates}/server.pem`,
      `keyfile ${certificates}/server-key.pem`,
    ],
    {
      users: readFileSync(join(scratch, 'mosquitto-users'), 'utf8'),
      acl: 'user ann\ntopic readwrite pipit-doctor/#\n',
    },
  );
});
after(async () => {
  await open?.stop();
  await closed?.stop();
});

for (const args of [
  ['-q', '0', '--window', '20'],
  ['-q', '1', '--publishers', '3', '--subscribers', '3', '--window', '10'],
  ['-q', '1', '--subscribers', '3', '--deliver', 'shared', '--window', '10', '-V', '311'],
  ['-q', '1', '--publishers', '2', '--subscribers', '2', '--deliver', 'all', '--rate', '500', '--threads', '2'],
]) {
  test(`bench ${args.join(' ')} counts what Mosquitto delivers`, async () => {
    const quick = ['--duration', '0.7', '--warm-up', '0.2', '--json'];
    const { exitCode, stdout, stderr } = await run(['bench', '-p', open.port, ...quick, ...args]);
    assert.deepEqual([exitCode, stderr], [0, ''], stdout);
    const found = JSON.parse(stdout) as BenchResult;
    const copies = found.load.delivery === 'all' ? found.load.subscribers : 1;
    assert.ok(found.published > 0);
    assert.equal(found.received, found.published * copies);
  });
}

async function examined(
  ...args: readonly string[]
): Promise<{ exitCode: number; report: DoctorReport; ids: string[] }> {
  const { exitCode, stdout, stderr } = await run(['doctor', ...args, '--listen', '0.5', '--rounds', '3', '--json']);
  assert.equal(stderr, '');
  const report = JSON.parse(stdout) as DoctorReport;
  return { exitCode, report, ids: report.findings.map(({ level, id }) => `${level} ${id}`).sort() };
}

test('doctor finds the limits of an open Mosquitto, and what it shows', async () => {
  await run(['pub', '-p', open.port, '-t', 'shown/to/all', '-m', 'x', '-r', '-q', '1']);
  const { exitCode, report, ids } = await examined(`mqtt://127.0.0.1:${open.port}`);
  assert.equal(exitCode, 3);
  assert.deepEqual(report.capabilities?.qos, [0, 1]);
  assert.equal(report.limits?.serverKeepAlive, 300);
  assert.deepEqual([report.limits.receiveMaximum, report.limits.topicAliasMaximum], [20, 10]);
  assert.deepEqual(report.capabilities.shared, { is: 'yes' });
  assert.deepEqual(ids, ['warning anonymous', 'warning hash', 'warning sys']);
  await run(['pub', '-p', open.port, '-t', 'shown/to/all', '-n', '-r', '-q', '1']);
});

test('doctor finds little to say about a Mosquitto with passwords, rules and TLS', async () => {
  const url = `mqtts://127.0.0.1:${closed.port}`;
  const ca = ['--cafile', `${certificates}/ca.pem`];
  const { exitCode, report, ids } = await examined(url, ...ca, '-u', 'ann', '-P', 'right');
  // It grants # and then keeps back what the rules do not allow.
  assert.deepEqual([exitCode, ids], [0, ['note hash-granted']]);
  assert.deepEqual(report.capabilities?.qos, [0, 1, 2]);
  assert.match(report.tls?.protocol ?? '', /^TLSv1\.3$/);
  assert.equal(report.tls?.problem, null);
  const stranger = await examined(url, ...ca);
  assert.deepEqual([stranger.exitCode, stranger.ids], [1, ['problem no-connection']]);
  const unsafe = await examined(url, '-u', 'ann', '-P', 'right');
  assert.deepEqual([unsafe.exitCode, unsafe.ids], [3, ['problem certificate']]);
});

test('record, replay and retained work with Mosquitto, by either version', async () => {
  for (const version of ['5', '311']) {
    const common = ['-p', open.port, '-V', version];
    const file = join(scratch, `mosquitto-${version}.jsonl`);
    for (const i of [1, 2, 3])
      await run(['pub', ...common, '-t', `m${version}/${i}`, '-m', `of ${i}`, '-r', '-q', '1']);
    const record = start('record', `m${version}/#`, ...common, '-C', '3', '-o', file);
    assert.equal((await record.outcome()).exitCode, 0);
    const cleared = await run(['retained', 'clear', `m${version}/#`, ...common, '-W', '0.5']);
    assert.deepEqual([cleared.exitCode, cleared.stderr], [0, '3 retained messages, all of them cleared\n']);
    const replayed = await run(['replay', file, ...common, '--prefix', 'back/', '--speed', 'max']);
    assert.equal(replayed.exitCode, 0, replayed.stderr);
    const listed = await run(['retained', 'list', `back/m${version}/#`, ...common, '-v', '-W', '0.5']);
    const expected = [1, 2, 3].map((i) => `back/m${version}/${i} of ${i}`);
    assert.deepEqual(listed.stdout.trimEnd().split('\n').sort(), expected);
  }
});

test('record and replay keep the quality of service of every message of Mosquitto, 2 too', async () => {
  const broker = await startMosquitto(['allow_anonymous true']);
  for (const version of ['5', '311']) {
    const common = ['-p', broker.port, '-V', version];
    const topic = `qos-${version}`;
    const file = join(scratch, `${topic}.jsonl`);
    const record = start('record', `${topic}/#`, ...common, '-o', file, '-C', '4');
    // Retained, so that it comes whenever the recording begins to listen.
    await run(['pub', ...common, '-t', `${topic}/first`, '-m', 'first', '-r', '-q', '2']);
    while (!existsSync(file) || readFileSync(file, 'utf8') === '') await sleep(50);
    for (const qos of ['0', '1', '2']) {
      await run(['pub', ...common, '-t', `${topic}/${qos}`, '-m', `of ${qos}`, '-q', qos]);
    }
    const recorded = await record.outcome();
    assert.equal(recorded.exitCode, 0, recorded.stderr);

    const sub = start(
      'sub',
      '-d',
      ...common,
      '-t',
      `back/${topic}/#`,
      '-q',
      '2',
      '-C',
      '4',
      '-W',
      '20',
      '-F',
      '%q %t %p',
    );
    await sub.until('stderr', /received SUBACK/);
    const replayed = await run(['replay', file, ...common, '--prefix', 'back/', '--speed', 'max', '--no-retain']);
    assert.deepEqual([replayed.exitCode, replayed.stderr.split(' in ')[0]], [0, '4 messages']);
    const { stdout } = await sub.outcome();
    assert.deepEqual(stdout.trimEnd().split('\n').sort(), [
      `0 back/${topic}/0 of 0`,
      `1 back/${topic}/1 of 1`,
      `2 back/${topic}/2 of 2`,
      `2 back/${topic}/first first`,
    ]);
  }
  await broker.stop();
});

test('sub goes on when the broker is back, like mosquitto_sub beside it', async () => {
  const first = await startMosquitto(['allow_anonymous true']);
  const { port } = first;
  const args = ['-p', port, '-t', 'a/#', '-v', '-C', '1', '-W', '30'];
  const theirs = spawn('mosquitto_sub', args);
  let heard = '';
  theirs.stdout.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
  });
  const ended = once(theirs, 'close');
  const ours = start('sub', '-d', ...args);
  await ours.until('stderr', /received SUBACK/);
  await sleep(500);
  await first.stop();
  await ours.until('stderr', /Trying again\.$/m);
  const second = await startMosquitto(['allow_anonymous true'], {}, port);
  await ours.until('stderr', /received SUBACK[\s\S]*received SUBACK/);
  // Theirs too waits a second between two tries.
  await sleep(2_500);
  await run(['pub', '-p', port, '-t', 'a/1', '-m', 'after', '-q', '1']);
  const { exitCode, stdout } = await ours.outcome();
  await ended;
  assert.deepEqual([exitCode, stdout], [theirs.exitCode, heard]);
  assert.deepEqual([exitCode, stdout], [0, 'a/1 after\n']);
  await second.stop();
});

test('lines of JSON go out of Mosquitto and in again as they were', async () => {
  const sent = [
    {
      topic: 'j/1',
      payload: 'ä "x"',
      qos: 1,
      retain: false,
      properties: { contentType: 'text', userProperties: [['k', 'v']] },
    },
    { topic: 'j/2', payloadBase64: '/wAB', qos: 0, retain: false },
    {
      topic: 'j/3',
      payload: '',
      qos: 1,
      retain: false,
      properties: { correlationDataBase64: 'aWQ=', responseTopic: 'r' },
    },
  ];
  const sub = start('sub', '-d', '-p', open.port, '-t', 'j/#', '-q', '1', '-C', '3', '-W', '20', '--json');
  await sub.until('stderr', /received SUBACK/);
  const input = sent.map((line) => `${JSON.stringify(line)}\n`).join('');
  const pub = await run(['pub', '-p', open.port, '--json'], input);
  assert.equal(pub.exitCode, 0, pub.stderr);
  const lines = Buffer.from((await sub.outcome()).stdout, 'latin1')
    .toString()
    .trimEnd()
    .split('\n');
  const heard = lines.map((line) => JSON.parse(line) as { time?: string });
  for (const line of heard) delete line.time;
  assert.deepEqual(heard, sent);
});

test('the password of Mosquitto comes from a file, the environment or the URL', async () => {
  const secret = join(scratch, 'mosquitto-secret');
  writeFileSync(secret, 'right\n');
  const to = ['-h', '127.0.0.1', '-p', closed.port, '--cafile', `${certificates}/ca.pem`, '-t', 'pipit-doctor/x', '-E'];
  const url = [
    '-L',
    `mqtts://ann:right@127.0.0.1:${closed.port}/pipit-doctor/x`,
    '--cafile',
    `${certificates}/ca.pem`,
    '-E',
  ];
  const environment = { PIPIT_USERNAME: 'ann', PIPIT_PASSWORD: 'right' };
  assert.equal((await run(['sub', ...to, '-u', 'ann', '--password-file', secret])).exitCode, 0);
  assert.equal((await run(['sub', ...to], '', environment)).exitCode, 0);
  assert.equal((await run(['sub', ...url])).exitCode, 0);
  const refused = await run(['sub', ...to], '', { ...environment, PIPIT_PASSWORD: 'wrong' });
  assert.equal(refused.exitCode, 0x87);
  assert.match(refused.stderr, /^Connection error: Not authorized\.\n$/);
});
