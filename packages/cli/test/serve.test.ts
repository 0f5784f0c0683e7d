import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { encodePacket, PacketType } from '@pipit/protocol';
import { run, startServe, startServeIn, startSub } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-'));
after(() => rmSync(folder, { recursive: true }));

const certificates = `${import.meta.dirname}/../../broker/test/node/certificates`;
const cert = `${certificates}/server.pem`;
const key = `${certificates}/server-key.pem`;

describe('pipit serve', { concurrency: 4 }, () => {
  test('prints what is kept, a line for each listener with its real port, and then ready', async () => {
    const path = join(folder, 'pipit.sock');
    const plain = ['--tcp', '0', '--tcp', '[::1]:0', '--ws', 'localhost:0', '--auto', '0', '--unix', path];
    const serve = await startServe(...plain, '--tls', '0', '--wss', '0', '--cert', cert, '--key', key, '--memory');
    const { exitCode, stdout } = await serve.stop();
    const form = [
      'memory: nothing survives a restart',
      'mqtt://127.0.0.1:PORT',
      'mqtt://[::1]:PORT',
      'mqtts://127.0.0.1:PORT',
      'ws://localhost:PORT/mqtt',
      'wss://127.0.0.1:PORT/mqtt',
      'auto://127.0.0.1:PORT',
      `unix:${path}`,
      'ready',
    ];
    assert.deepEqual(
      stdout
        .trimEnd()
        .replaceAll(/(?<=:)[1-9]\d*(?=\/|\n)/g, 'PORT')
        .split('\n'),
      form,
    );
    assert.equal(exitCode, 0);
  });

  test('keeps its data in ./pipit-data, says so, and finds it again', async () => {
    const cwd = mkdtempSync(join(folder, 'kept-'));
    const kept = `data in ${join(cwd, 'pipit-data')}: what was acknowledged survives a crash, a kill and a power cut (fsync)`;
    const first = await startServeIn(cwd, '--tcp', '0');
    const port = await first.until('stdout', /:(\d+)$/m);
    const sub = ['-p', port, '-i', 'sleeper', '-c', '-V', '311', '-q', '1'];
    (await startSub(...sub, '-t', 'queue')).process.kill('SIGKILL');
    for (const message of ['one', 'two']) await run(['pub', '-p', port, '-t', 'queue', '-q', '1', '-m', message]);
    await run(['pub', '-p', port, '-t', 'kept', '-q', '1', '-r', '-m', 'value']);
    const before = await first.stop();
    const [promise, found] = before.stdout.split('\n');
    assert.equal(promise, kept);
    assert.match(found ?? '', /^found 0 sessions, 0 queued and 0 retained messages; read 0 bytes in \d+ ms$/);
    assert.equal(before.exitCode, 0);

    const second = await startServeIn(cwd, '--tcp', '0');
    const again = await second.until('stdout', /:(\d+)$/m);
    const received = await run(['sub', '-p', again, '-t', 'kept', '-C', '1']);
    assert.equal(received.stdout, 'value\n');
    const queue = await run(['sub', ...sub.with(1, again), '-t', 'queue', '-C', '2']);
    assert.equal(queue.stdout, 'one\ntwo\n');
    const after = await second.stop();
    assert.match(after.stdout, /^found 1 session, 2 queued and 1 retained message; read [1-9][\d,]* bytes in \d+ ms$/m);
    assert.match(after.stderr, /"sessions":1,"queued":2,"retained":1,.*"msg":"store-loaded"/);
  });

  test('says what its durability is, in the first line and in $SYS', async () => {
    const levels: readonly [args: readonly string[], first: RegExp, told: string][] = [
      [['--memory'], /^memory: nothing survives a restart$/, 'memory'],
      [['--durability', 'memory'], /^memory: nothing survives a restart$/, 'memory'],
      [
        ['--durability', 'os', '--data', 'here'],
        /^data in \S+\/here: what was acknowledged survives a crash or a kill of the broker, not a power cut \(os\)$/,
        'os',
      ],
      [['-c', 'MEMORY', '--data', 'here'], /^data in \S+\/here: .* a power cut \(fsync\)$/, 'fsync'],
    ];
    for (const [args, first, told] of levels) {
      const cwd = mkdtempSync(join(folder, 'level-'));
      writeFileSync(join(cwd, 'MEMORY'), 'data: { durability: memory }');
      const serve = await startServeIn(cwd, '--tcp', '0', ...args);
      const port = await serve.until('stdout', /:(\d+)$/m);
      const told_ = await run(['sub', '-p', port, '-t', '$SYS/broker/store/durability', '-C', '1']);
      assert.equal(told_.stdout, `${told}\n`);
      const { stdout } = await serve.stop();
      assert.match(stdout.split('\n')[0] ?? '', first);
      assert.equal(existsSync(join(cwd, 'here')), args.includes('here'));
      assert.ok(!existsSync(join(cwd, 'pipit-data')));
    }
  });

  test('tells damage with its place in one line, and starts', async () => {
    const cwd = mkdtempSync(join(folder, 'damaged-'));
    const first = await startServeIn(cwd, '--tcp', '0');
    const port = await first.until('stdout', /:(\d+)$/m);
    for (const topic of ['a', 'b', 'c'])
      await run(['pub', '-p', port, '-t', topic, '-q', '1', '-r', '-m', 'x'.repeat(99)]);
    await first.stop();
    const data = join(cwd, 'pipit-data');
    const segment = join(data, readdirSync(data).find((name) => name.startsWith('segment-')) ?? '');
    const bytes = readFileSync(segment);
    bytes.fill(0, bytes.indexOf('xxx'), bytes.indexOf('xxx') + 50);
    writeFileSync(segment, bytes);
    const second = await startServeIn(cwd, '--tcp', '0');
    const { stdout, stderr } = await second.stop();
    const line = /^damage: ([\d,]+) bytes in 1 place, copied to (\S+); lost: 1 record, 0 sessions, 0 messages$/m.exec(
      stdout,
    );
    assert.equal(line?.[2], join(data, 'quarantine'), stdout);
    assert.equal(readdirSync(join(data, 'quarantine')).length, 1);
    assert.match(stdout, /^found 0 sessions, 0 queued and 2 retained messages; /m);
    assert.match(stderr, /"quarantine":"[^"]+",.*"msg":"store-damaged"/);
  });

  const places: readonly [name: string, directory: string, sentence: RegExp][] = [
    [
      'below a file',
      join(cert, 'data'),
      /^The store in \S+ cannot be opened: a part of the path is not a directory\.\n$/,
    ],
    [
      'where none can be made',
      '/proc/pipit/data',
      /^The store in \S+ cannot be opened: a part of the path does not exist and cannot be made\.\n$/,
    ],
    ['where a file is', cert, /^The store in \S+ cannot be opened: there is a file of that name\.\n$/],
  ];
  for (const [name, directory, sentence] of places) {
    test(`exits with 1 and a sentence when data cannot be kept: ${name}`, async () => {
      const { exitCode, stdout, stderr } = await run(['serve', '--tcp', '0', '--data', directory]);
      assert.match(stderr, sentence);
      assert.deepEqual({ exitCode, stdout }, { exitCode: 1, stdout: '' });
    });
  }

  test('says who uses a data directory already, and exits with 1', async () => {
    const data = join(folder, 'shared');
    const serve = await startServe('--tcp', '0', '--data', data);
    const second = await run(['serve', '--tcp', '0', '--data', data]);
    const stderr = `The store in ${data} is in use by process ${serve.process.pid}.\n`;
    assert.deepEqual(second, { exitCode: 1, stdout: '', stderr });
    assert.equal((await serve.stop()).exitCode, 0);
  });

  test('stops in order when asked: clients are told why, and the exit code is 0', async () => {
    const serve = await startServe('--tcp', '0');
    const port = await serve.until('stdout', /:(\d+)$/m);
    const sub = await startSub('-p', port, '-t', 'a');
    serve.process.kill('SIGINT');
    assert.equal((await serve.outcome()).exitCode, 0);
    // It would go on trying to come back.
    await sub.until('stderr', /The broker closed the connection: Server shutting down\./);
    await sub.stop();
  });

  test('ends at once with 1 at a second signal', async () => {
    const serve = await startServe('--tcp', '0');
    // A client that does not close its side makes the stop wait.
    const socket = connect({ port: Number(await serve.until('stdout', /:(\d+)$/m)), allowHalfOpen: true });
    const packet = { type: PacketType.Connect, version: 5, clientId: 'c', cleanStart: true, keepAlive: 0 } as const;
    socket.on('error', () => undefined).write(encodePacket(packet, 5, 'client'));
    await serve.until('stderr', /connected/);
    serve.process.kill('SIGTERM');
    await serve.until('stderr', /stopping/);
    assert.equal((await serve.stop()).exitCode, 1);
    socket.destroy();
  });

  test('logs events as JSON lines, without payloads and passwords', async () => {
    const serve = await startServe('--tcp', '0', '--log-level', 'debug');
    const port = await serve.until('stdout', /:(\d+)$/m);
    const secrets = ['-m', 'the-payload', '-u', 'the-user', '-P', 'the-password'];
    await run(['pub', '-p', port, '-i', 'the-client', '-t', 'a', ...secrets]);
    const { stderr } = await serve.stop();
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const connected = lines.find(({ msg }) => msg === 'connected');
    assert.equal(connected?.['clientId'], 'the-client');
    assert.equal(connected?.['username'], 'the-user');
    assert.equal(connected?.['level'], 'info');
    assert.match(String(connected?.['address']), /^127\.0\.0\.1:\d+$/);
    assert.equal(lines.at(-1)?.['msg'], 'stopped');
    assert.doesNotMatch(stderr, /the-payload|the-password/);
  });

  test('prints the configuration it would use, which reads back the same', async () => {
    const printed = await run(['serve', '--print-config']);
    assert.match(printed.stdout, /^ {2}- type: tcp\n {4}host: 127\.0\.0\.1\n {4}port: 1883\n/m);
    assert.match(printed.stdout, /^ {2}- type: ws\n {4}host: 127\.0\.0\.1\n {4}port: 8083\n/m);
    const path = join(folder, 'printed.yaml');
    const options = ['--tls', '[::1]:8883', '--cert', cert, '--key', key, '--log-level', 'error'];
    const changed = await run(['serve', '--print-config', ...options]);
    writeFileSync(path, changed.stdout);
    assert.deepEqual(await run(['serve', '--print-config', '-c', path]), changed);
    assert.equal(changed.exitCode, 0);
    assert.match(changed.stdout, /^logLevel: error$/m);
  });

  test('takes its settings from a file, and its listeners from the command line if there are any', async () => {
    const path = join(folder, 'quiet.yaml');
    writeFileSync(path, 'listeners: [{ type: tcp, host: 192.0.2.1, port: 1 }]\nlogLevel: silent\n');
    const serve = await startServe('-c', path, '--tcp', '0');
    const { stdout, stderr, exitCode } = await serve.stop();
    assert.match(stdout, /^mqtt:\/\/127\.0\.0\.1:\d+$/m);
    assert.doesNotMatch(stdout, /192\.0\.2\.1/);
    assert.deepEqual({ stderr, exitCode }, { stderr: '', exitCode: 0 });
  });

  test('does not open what other machines reach without being asked who they are', async () => {
    const { exitCode, stdout, stderr } = await run(['serve', '--tcp', '0.0.0.0:0', '--ws', '[::]:0', '--tcp', '0']);
    const urls = 'mqtt://0.0.0.0:0, ws://[::]:0/mqtt';
    const sentence = `Other machines could reach ${urls}, and nobody is asked who they are: if that is meant, say so with --allow-anonymous (or allowAnonymous: true).\n`;
    assert.deepEqual({ exitCode, stdout, stderr }, { exitCode: 2, stdout: '', stderr: sentence });
  });

  test('says in one sentence that a port is taken, and exits with 1', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((done) => server.once('listening', done));
    const { port } = server.address() as AddressInfo;
    const { exitCode, stdout, stderr } = await run(['serve', '--tcp', '0', '--tcp', String(port)]);
    server.close();
    assert.deepEqual(
      { exitCode, stdout, stderr },
      { exitCode: 1, stdout: '', stderr: `127.0.0.1:${port} is already in use.\n` },
    );
  });

  const mistakes: readonly [name: string, args: readonly string[], stderr: RegExp][] = [
    ['a bad setting', ['-c', 'BAD'], /^\S+bad\.yaml:1: limits\.receiveMaximum: must be .*\n\S+bad\.yaml:2: sis: .*\n$/],
    ['no file', ['-c', '/nowhere.yaml'], /^\/nowhere\.yaml: cannot be read: there is no such file\n$/],
    [
      'no certificate',
      ['--tls', '0', '--cert', '/nowhere', '--key', key],
      /^listeners\[0\]: The certificate \/nowhere cannot .*\n$/,
    ],
    [
      'a key of another',
      ['--wss', '0', '--cert', cert, '--key', `${certificates}/client-key.pem`],
      /^.* does not belong to .*\n$/,
    ],
    ['half of TLS', ['--tls', '0', '--cert', cert], /^Error: --cert and --key are given together\.\n$/],
    ['TLS without a certificate', ['--tls', '0'], /^Error: --tls and --wss need --cert and --key\.\n$/],
    [
      'certificates for nobody',
      ['--tcp', '0', '--cert', cert, '--key', key],
      /^Error: .* are for --tls, --wss and --auto\.\n$/,
    ],
    [
      'a directory and nothing to keep',
      ['--memory', '--data', 'x'],
      /^Error: --data and --memory exclude each other\.\n$/,
    ],
    ['a directory without a name', ['--data', ''], /^Error: --data: the directory must not be empty\.\n$/],
    [
      'nothing to keep, durably',
      ['--memory', '--durability', 'os'],
      /^Error: --memory and --durability os exclude each other\.\n$/,
    ],
    ['no durability', ['--durability', 'most'], /'most' is invalid\. Allowed choices are fsync, os, memory\./],
    ['no port', ['--tcp', 'localhost'], /argument 'localhost' is invalid\. It has to be a port/],
    ['too large a port', ['--tcp', '65536'], /argument '65536' is invalid\. It has to be a port/],
    ['no level', ['--log-level', 'loud'], /'loud' is invalid\. Allowed choices are trace, debug/],
    ['no option', ['--tcpp', '0'], /unknown option '--tcpp'\n\(Did you mean --tcp\?\)\n'pipit serve --help'/],
  ];
  const bad = join(folder, 'bad.yaml');
  writeFileSync(bad, 'limits: { receiveMaximum: 0 }\nsis: {}\n');
  for (const [name, args, pattern] of mistakes) {
    test(`exits with 2 and a sentence, without opening anything: ${name}`, async () => {
      const outcome = await run(['serve', ...args.map((arg) => (arg === 'BAD' ? bad : arg))]);
      assert.match(outcome.stderr, pattern);
      assert.doesNotMatch(outcome.stderr, /^ {4}at /m);
      assert.deepEqual({ exitCode: outcome.exitCode, stdout: outcome.stdout }, { exitCode: 2, stdout: '' });
    });
  }
});

describe('pipit', { concurrency: 4 }, () => {
  test('--help lists the commands, --version prints the version', async () => {
    const [help, version] = await Promise.all([run(['--help']), run(['--version'])]);
    for (const command of ['serve', 'pub', 'sub']) assert.match(help.stdout, new RegExp(`^ {2}${command} `, 'm'));
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
    assert.deepEqual([help.exitCode, version.exitCode], [0, 0]);
  });

  test('says that there is no such command, with a hint, and exits with 2', async () => {
    const { exitCode, stdout, stderr } = await run(['serv']);
    const hint = "error: unknown command 'serv'\n(Did you mean serve?)\n'pipit --help' lists the commands.\n";
    assert.deepEqual({ exitCode, stdout, stderr }, { exitCode: 2, stdout: '', stderr: hint });
  });

  test('without a command shows the help on stderr and exits with 2', async () => {
    const { exitCode, stdout, stderr } = await run([]);
    assert.deepEqual({ exitCode, stdout }, { exitCode: 2, stdout: '' });
    assert.match(stderr, /^Usage: pipit /);
  });
});
