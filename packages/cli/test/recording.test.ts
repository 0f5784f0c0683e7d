import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningCommand, run, scratch, start, startServe, startSub } from './command.ts';

const rules = `permissions:
  - { effect: deny, action: publish, filter: locked/# }
  - { effect: allow, action: all, filter: '#' }
`;

describe('pipit record, replay and retained', () => {
  let serve: RunningCommand;
  let url: string;

  before(async () => {
    const config = join(scratch, 'recording.yaml');
    writeFileSync(config, rules);
    serve = await startServe('-c', config, '--memory', '--tcp', '0');
    url = await serve.until('stdout', /^(mqtt:\S+)$/m);
  });
  after(async () => assert.equal((await serve.stop()).exitCode, 0));

  /** A recording that has begun. */
  async function startRecord(id: string, ...args: readonly string[]): Promise<RunningCommand> {
    const before = serve.stderr.length;
    const record = start('record', '-L', url, '-i', id, ...args);
    for (;;) {
      await serve.until('stderr', new RegExp(`"clientId":"${id}"`));
      if (serve.stderr.length > before) break;
    }
    // From connected to subscribed.
    await sleep(300);
    return record;
  }
  const pub = (...args: readonly string[]) => run(['pub', '-L', url, ...args]);

  test('what was recorded comes back with payload, properties, QoS, RETAIN and pauses', async () => {
    const file = join(scratch, 'all.jsonl');
    const record = await startRecord('recorder', 'rec/#', '-o', file, '-C', '3');
    await pub(
      '-t',
      'rec/a',
      '-m',
      'ä "1"',
      '-q',
      '2',
      '-D',
      'publish',
      'content-type',
      'text',
      '-D',
      'publish',
      'user-property',
      'k',
      'v',
    );
    await sleep(400);
    writeFileSync(join(scratch, 'bytes'), Uint8Array.of(0xff, 0, 1));
    await pub('-t', 'rec/b', '-f', join(scratch, 'bytes'), '-q', '1', '-D', 'publish', 'correlation-data', 'id');
    await pub('-t', 'rec/c', '-m', 'kept', '-r');
    const recorded = await record.outcome();
    assert.equal(recorded.exitCode, 0, recorded.stderr);
    assert.match(recorded.stderr, /^3 messages in \d+\.\d s\n$/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const lines = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const plain = lines.map(({ at: _, time: __, ...rest }) => rest);
    assert.deepEqual(plain, [
      {
        topic: 'rec/a',
        payload: 'ä "1"',
        qos: 2,
        retain: false,
        properties: { contentType: 'text', userProperties: [['k', 'v']] },
      },
      { topic: 'rec/b', payloadBase64: '/wAB', qos: 1, retain: false, properties: { correlationDataBase64: 'aWQ=' } },
      { topic: 'rec/c', payload: 'kept', qos: 0, retain: true },
    ]);
    const pauseMs = lines[1].at - lines[0].at;
    assert.ok(pauseMs >= 400, `${pauseMs}`);

    const sub = await startSub('-L', url, '-t', 'again/#', '-q', '2', '-C', '3', '--json', '--retain-as-published');
    const replayed = await run(['replay', file, '-L', url, '--prefix', 'again/', '--speed', '2']);
    assert.equal(replayed.exitCode, 0, replayed.stderr);
    assert.match(replayed.stderr, /^3 messages in \d+\.\d s/);
    const got = (await sub.outcome()).stdout.trimEnd().split('\n');
    const heard = got.map((line) => JSON.parse(Buffer.from(line, 'latin1').toString()));
    assert.deepEqual(
      heard.map(({ time: _, ...rest }) => rest),
      plain.map((line) => ({ ...line, topic: `again/${line.topic}` })),
    );
    assert.ok(Date.parse(heard[1].time) - Date.parse(heard[0].time) >= Math.floor(pauseMs / 2) - 60);
    for (const topic of ['rec/c', 'again/rec/c']) await pub('-t', topic, '-n', '-r', '-q', '1');
  });

  test('record takes stdout, leaves out retained messages, ends by a signal', async () => {
    await pub('-t', 'old/1', '-m', 'before', '-r', '-q', '1');
    for (const version of ['5', '311']) {
      const record = await startRecord(`signal-${version}`, 'old/#', '-R', '-V', version);
      await pub('-t', 'old/1', '-m', 'now', '-q', '1');
      await record.until('stdout', /now/);
      const { exitCode, stdout } = await record.stop();
      assert.equal(exitCode, 0);
      assert.deepEqual(stdout.match(/"payload":"[^"]*"/g), ['"payload":"now"']);
    }
    await pub('-t', 'old/1', '-n', '-r', '-q', '1');
  });

  test('replay reads stdin and lines of sub --json, repeats files, retains nothing if told so', async () => {
    const lines = [1, 2].map(
      (i) => `{"time":"2026-01-01T00:00:0${i}.000Z","topic":"re/${i}","payload":"${i}","retain":true}\n`,
    );
    const sub = await startSub('-L', url, '-t', 're/#', '-C', '6', '--retain-as-published', '-F', '%t %p %r');
    const once = await run(['replay', '-', '-L', url, '--speed', 'max', '--no-retain'], lines.join(''));
    assert.equal(once.exitCode, 0, once.stderr);
    const file = join(scratch, 'twice.jsonl');
    writeFileSync(file, lines.join(''));
    const twice = await run(['replay', file, '-L', url, '--speed', '1000', '--repeat', '2', '--no-retain']);
    assert.equal(twice.exitCode, 0, twice.stderr);
    assert.equal((await sub.outcome()).stdout, 're/1 1 0\nre/2 2 0\n'.repeat(3));
  });

  test('replay says which line is wrong, and what the broker refuses', async () => {
    for (const [input, exitCode, sentence] of [
      ['{"topic":"a","at":1}\nnonsense\n', 2, /^Error: line 2: it is not a JSON object\.\n$/],
      ['{"topic":"a"}\n', 2, /^Error: line 1 says neither 'at' nor 'time': use --speed max\.\n$/],
      [
        '{"topic":"locked/1","qos":1,"at":1}\n{"topic":"locked/2","qos":1,"at":1}\n',
        1,
        /^Error: locked\/1: .*Not authorized.*\.\n2 messages in .*, 2 of them refused/,
      ],
    ] as const) {
      const outcome = await run(['replay', '-', '-L', url], input);
      assert.match(outcome.stderr, sentence);
      assert.deepEqual([outcome.exitCode, outcome.stdout], [exitCode, '']);
    }
    assert.match((await run(['replay', '/nowhere', '-L', url])).stderr, /^Error: \/nowhere cannot be read: .*\.\n$/);
  });

  for (const [signal, input] of [
    ['SIGINT', 'a file, in a pause'],
    ['SIGTERM', 'stdin that is silent'],
  ] as const) {
    test(`replay of ${input} ends at ${signal} with DISCONNECT, and says how far it came`, async () => {
      const id = `stopped-${signal}`;
      const line = '{"topic":"stop/1","payload":"x","qos":1,"at":0}\n';
      const file = join(scratch, 'stopped.jsonl');
      writeFileSync(file, `${line}{"topic":"stop/2","qos":1,"at":3600000}\n`);
      const sub = await startSub('-L', url, '-t', 'stop/#', '-C', '1');
      const replay = start('replay', signal === 'SIGINT' ? file : '-', '-L', url, '-i', id);
      if (signal === 'SIGTERM') replay.process.stdin.write(line);
      assert.equal((await sub.outcome()).stdout, 'x\n');
      replay.process.kill(signal);
      const { exitCode, stderr } = await replay.outcome();
      assert.match(stderr, /^Stopped: 1 message in \d+\.\d s/);
      assert.equal(exitCode, 1);
      await serve.until('stderr', new RegExp(`"clientId":"${id}","by":"client","reasonCode":0,.*"msg":"disconnected"`));
    });
  }

  test('retained list shows what is retained; clear leaves the rest alone', async () => {
    for (const topic of ['keep/1', 'drop/1', 'drop/2/x']) await pub('-t', topic, '-m', `of ${topic}`, '-r', '-q', '1');
    const list = (...args: readonly string[]) => run(['retained', 'list', ...args, '-L', url, '-W', '0.5']);
    const listed = await list('drop/#');
    assert.deepEqual(listed, {
      exitCode: 0,
      stdout: '          9  QoS 1  drop/1\n         11  QoS 1  drop/2/x\n',
      stderr: '2 retained messages, 20 bytes\n',
    });
    assert.equal((await list('drop/#', '-v')).stdout, 'drop/1 of drop/1\ndrop/2/x of drop/2/x\n');
    assert.match(
      (await list('keep/1', '--json')).stdout,
      /^\{"time":.*"topic":"keep\/1","payload":"of keep\/1","qos":1,"retain":true\}\n$/,
    );

    const clear = (...args: readonly string[]) => run(['retained', 'clear', ...args, '-L', url, '-W', '0.5']);
    assert.deepEqual(await clear('drop/#', '--dry-run'), {
      exitCode: 0,
      stdout: 'drop/1\ndrop/2/x\n',
      stderr: '2 retained messages, none of them cleared\n',
    });
    assert.equal((await list('drop/#')).stderr, '2 retained messages, 20 bytes\n');
    assert.deepEqual(await clear('drop/#'), {
      exitCode: 0,
      stdout: '',
      stderr: '2 retained messages, all of them cleared\n',
    });
    assert.equal((await list('#')).stdout, '          9  QoS 1  keep/1\n');
    assert.deepEqual(await clear('keep/#', '-V', '311'), {
      exitCode: 0,
      stdout: '',
      stderr: '1 retained message, all of them cleared\n',
    });
    assert.equal((await list('#')).stderr, '0 retained messages, 0 bytes\n');
    assert.deepEqual(await clear('$share/a/b'), {
      exitCode: 2,
      stdout: '',
      stderr: 'Error: a shared subscription gets no retained messages.\n',
    });
  });

  test('a broker that is not there is told in a sentence', async () => {
    for (const args of [
      ['record', '#'],
      ['replay', '-'],
      ['retained', 'list', '#'],
    ]) {
      const { exitCode, stdout, stderr } = await run([...args, '-p', '1']);
      assert.deepEqual([exitCode, stdout], [1, '']);
      assert.match(stderr, /^Error: .*ECONNREFUSED.*\.\n$/);
    }
  });
});

test('pipit retained clear says what a broker does not clear', async () => {
  const data = join(scratch, 'locked');
  const open = await startServe('--data', data, '--tcp', '0', '--log-level', 'silent');
  const first = await open.until('stdout', /^(mqtt:\S+)$/m);
  await run(['pub', '-L', first, '-t', 'locked/1', '-m', 'x', '-r', '-q', '1']);
  await open.stop();
  const config = join(scratch, 'locked.yaml');
  writeFileSync(config, rules);
  const serve = await startServe('-c', config, '--data', data, '--tcp', '0', '--log-level', 'silent');
  try {
    const url = await serve.until('stdout', /^(mqtt:\S+)$/m);
    const { exitCode, stderr } = await run(['retained', 'clear', 'locked/#', '-L', url, '-W', '0.5']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^Error: .*Not authorized.*\.\n1 retained message, 1 left\n$/);
  } finally {
    await serve.stop();
  }
});

test('pipit record goes on when the broker is back', async () => {
  const data = join(scratch, 'back');
  const broker = await startServe('--data', data, '--tcp', '0', '--log-level', 'silent');
  const url = await broker.until('stdout', /^(mqtt:\S+)$/m);
  const file = join(scratch, 'back.jsonl');
  const record = start('record', 'on/#', '-L', url, '-o', file, '-C', '1');
  await sleep(1_500);
  await broker.stop();
  await record.until('stderr', /^The connection was lost \(.*\); trying again\.$/m);
  const again = await startServe('--data', data, '--tcp', new URL(url).port, '--log-level', 'silent');
  await record.until('stderr', /^Connected again\.$/m);
  await sleep(300);
  await run(['pub', '-L', url, '-t', 'on/1', '-m', 'x', '-q', '1']);
  assert.equal((await record.outcome()).exitCode, 0);
  assert.match(readFileSync(file, 'utf8'), /"topic":"on\/1"/);
  await again.stop();
});
