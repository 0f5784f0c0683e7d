import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type RunningCommand, run, start, startServe, startSub } from './command.ts';

const certificates = `${import.meta.dirname}/../../broker/test/node/certificates`;
const tls = ['--cert', `${certificates}/server.pem`, '--key', `${certificates}/server-key.pem`];
const rules = `strictText: true
permissions:
  - { effect: deny, action: publish, filter: secret/full, reasonCode: 0x97 }
  - { effect: deny, action: all, filter: secret/# }
  - { effect: allow, action: all, filter: '#' }
`;

describe('pipit pub and pipit sub', { concurrency: 4 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-'));
  const socket = join(folder, 'pipit.sock');
  let serve: RunningCommand;
  /** Where the broker listens: the options that lead there. */
  let tcp: string[];
  let secure: string[];
  let webSocket: string[];
  let secureWebSocket: string[];

  before(async () => {
    const config = join(folder, 'pipit.yaml');
    writeFileSync(config, rules);
    serve = await startServe(
      '-c',
      config,
      '--tcp',
      '0',
      '--unix',
      socket,
      '--tls',
      '0',
      '--ws',
      '0',
      '--wss',
      '0',
      ...tls,
    );
    tcp = ['-p', await serve.until('stdout', /^mqtt:.*:(\d+)$/m)];
    secure = ['-p', await serve.until('stdout', /^mqtts:.*:(\d+)$/m), '--cafile', `${certificates}/ca.pem`];
    webSocket = ['-L', await serve.until('stdout', /^ws:.*$/m)];
    secureWebSocket = ['-L', await serve.until('stdout', /^wss:.*$/m), '--cafile', `${certificates}/ca.pem`];
  });
  after(async () => {
    const { exitCode } = await serve.stop();
    rmSync(folder, { recursive: true });
    assert.equal(exitCode, 0);
  });

  for (const version of ['31', '3.1.1', 'mqttv5']) {
    test(`bring QoS 0, 1 and 2 through with version ${version}, in order`, async () => {
      const topic = `versions/${version}`;
      const sub = await startSub(...tcp, '-V', version, '-q', '2', '-t', topic, '-C', '3');
      for (const qos of ['0', '1', '2']) {
        const sent = await run(['pub', ...tcp, '-V', version, '-q', qos, '-t', topic, '-m', `QoS ${qos}`, '-d']);
        assert.equal(sent.exitCode, 0);
        // The last thing before DISCONNECT is the acknowledgement that completes the delivery.
        const awaited = { 0: 'sending PUBLISH', 1: 'received PUBACK', 2: 'received PUBCOMP' }[qos] as string;
        assert.match(sent.stderr, new RegExp(`${awaited}[^\n]*\nsending DISCONNECT[^\n]*\n$`));
      }
      const { exitCode, stdout, stderr } = await sub.outcome();
      assert.deepEqual({ exitCode, stdout }, { exitCode: 0, stdout: 'QoS 0\nQoS 1\nQoS 2\n' });
      for (const qos of [0, 1, 2])
        assert.match(stderr, new RegExp(`received PUBLISH \\(d0, q${qos}, r0, m\\d+, '${topic}'`));
    });
  }

  test('pub takes input that comes late, whole or by lines', async () => {
    for (const [option, input, count] of [
      ['-s', 'late', 1],
      ['-l', 'late\nlines\n', 2],
    ] as const) {
      const sub = await startSub(...tcp, '-t', `late/${option}`, '-C', `${count}`);
      const pub = start('pub', ...tcp, '-t', `late/${option}`, '-q', '1', option, '-d');
      await pub.until('stderr', /received CONNACK/);
      pub.process.stdin.end(input);
      const { exitCode, stderr } = await pub.outcome();
      assert.equal(exitCode, 0, stderr);
      assert.equal((await sub.outcome()).stdout, `${input.trimEnd()}\n`);
    }
  });

  test('reach the broker by Unix socket, TLS, WebSocket, secure WebSocket and URL', async () => {
    const ways = [
      ['--unix', socket],
      secure,
      webSocket,
      secureWebSocket,
      ['-L', `mqtt://user:p%40ss@127.0.0.1:${tcp[1]}/ways/#`],
    ];
    for (const way of ways) {
      const topic = way[1]?.endsWith('#') === true ? [] : ['-t', 'ways/#'];
      const sub = await startSub(...way, ...topic, '-C', '1');
      assert.equal((await run(['pub', ...(topic.length > 0 ? way : tcp), '-t', 'ways/1', '-m', 'x'])).exitCode, 0);
      assert.equal((await sub.outcome()).stdout, 'x\n');
    }
  });

  test('keep a retained message, show it to a later subscriber, and clear it', async () => {
    await run(['pub', ...tcp, '-t', 'kept/1', '-m', 'value', '-r', '-q', '1']);
    const shown = await run(['sub', ...tcp, '-t', 'kept/#', '-v', '-C', '1']);
    assert.deepEqual({ exitCode: shown.exitCode, stdout: shown.stdout }, { exitCode: 0, stdout: 'kept/1 value\n' });
    await run(['pub', ...tcp, '-t', 'kept/1', '-n', '-r', '-q', '1']);
    const sub = await startSub(...tcp, '-t', 'kept/#', '-v', '-C', '1');
    await run(['pub', ...tcp, '-t', 'kept/2', '-m', 'after']);
    assert.equal((await sub.outcome()).stdout, 'kept/2 after\n');
  });

  test('print payloads byte for byte, empty ones only with -v', async () => {
    const file = join(folder, 'payload');
    writeFileSync(file, Buffer.from([0, 255, 10, 13]));
    const verbose = await startSub(...tcp, '-t', 'bytes', '-v', '-C', '7');
    const plain = await startSub(...tcp, '-t', 'bytes', '-C', '7');
    await run(['pub', ...tcp, '-t', 'bytes', '-f', file]);
    await run(['pub', ...tcp, '-t', 'bytes', '-n']);
    await run(['pub', ...tcp, '-t', 'bytes', '-s'], 'a\nb\n');
    await run(['pub', ...tcp, '-t', 'bytes', '-q', '1', '-l'], 'one\n\nthree\nfour');
    const expected = ['\0\xff\n\r', '(null)', 'a\nb\n', 'one', '(null)', 'three', 'four'];
    assert.equal((await verbose.outcome()).stdout, expected.map((payload) => `bytes ${payload}\n`).join(''));
    const shown = expected.filter((payload) => payload !== '(null)');
    assert.equal((await plain.outcome()).stdout, shown.map((payload) => `${payload}\n`).join(''));
  });

  test('sub -W ends after that time with 27', async () => {
    const outcome = await run(['sub', ...tcp, '-t', 'silence', '-W', '1']);
    assert.deepEqual(outcome, { exitCode: 27, stdout: '', stderr: 'Timed out\n' });
  });

  test('publish every line of a long input, whatever the window', async () => {
    const lines = Array.from({ length: 2_500 }, (_, index) => `line ${index}`).join('\n');
    const sub = await startSub(...tcp, '-t', 'lines', '-q', '1', '-C', '2500');
    assert.equal((await run(['pub', ...tcp, '-t', 'lines', '-q', '1', '-l'], lines)).exitCode, 0);
    assert.equal((await sub.outcome()).stdout, `${lines}\n`);
  });

  test('sub -c -C leaves what it was not asked for with the session, at any QoS', async () => {
    const session = [...tcp, '-i', 'away', '-c', '-q', '2', '-t', 'away/#', '-C', '1'];
    const first = await startSub(...session);
    await run(['pub', ...tcp, '-t', 'away/0', '-m', 'zero']);
    assert.equal((await first.outcome()).stdout, 'zero\n');
    for (const qos of ['1', '2']) await run(['pub', ...tcp, '-t', 'away/1', '-q', qos, '-l'], `${qos}a\n${qos}b`);
    const received: string[] = [];
    for (let i = 0; i < 4; i++) received.push((await run(['sub', ...session])).stdout);
    assert.deepEqual(received, ['1a\n', '1b\n', '2a\n', '2b\n']);
    const rest = await startSub(...session);
    await run(['pub', ...tcp, '-t', 'away/2', '-m', 'end']);
    assert.equal((await rest.outcome()).stdout, 'end\n');
  });

  test('JSON lines go out and in again: any bytes, QoS, RETAIN, properties', async () => {
    const file = join(folder, 'any');
    writeFileSync(file, Buffer.from([0, 255, 10]));
    const copied = await startSub(...tcp, '-t', 'copy/#', '-q', '1', '-C', '3', '-F', '%t %q %C %P %x');
    const original = await startSub(...tcp, '-t', 'told/#', '-q', '1', '-C', '3', '--json');
    const properties = ['-D', 'publish', 'content-type', 'text', '-D', 'publish', 'user-property', 'k', 'ä'];
    await run(['pub', ...tcp, '-t', 'told/1', '-m', 'ä', '-q', '1', ...properties]);
    // Acknowledged: the next one comes by another connection, and might overtake it.
    await run(['pub', ...tcp, '-t', 'told/2', '-f', file, '-q', '1']);
    await run(['pub', ...tcp, '-t', 'told/3', '-n']);
    const { stdout } = await original.outcome();
    const text = Buffer.from(stdout, 'latin1').toString();
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => ({ ...JSON.parse(line), time: 'now' }));
    const plain = { time: 'now', qos: 0, retain: false };
    assert.deepEqual(lines, [
      {
        ...plain,
        topic: 'told/1',
        payload: 'ä',
        qos: 1,
        properties: { contentType: 'text', userProperties: [['k', 'ä']] },
      },
      { ...plain, topic: 'told/2', payloadBase64: 'AP8K', qos: 1 },
      { ...plain, topic: 'told/3', payload: '' },
    ]);
    const sent = await run(['pub', ...tcp, '--json'], text.replaceAll('told/', 'copy/'));
    assert.deepEqual(sent, { exitCode: 0, stdout: '', stderr: '' });
    const again = Buffer.from((await copied.outcome()).stdout, 'latin1').toString();
    assert.equal(again, 'copy/1 1 text k:ä c3a4\ncopy/2 1   00ff0a\ncopy/3 0   \n');
  });

  test('a line that is no message ends pub --json with its number', async () => {
    for (const [line, why] of [
      ['{', 'it is not a JSON object'],
      ['{"payload":"x"}', 'it has no topic, and there is no -t'],
      ['{"topic":"a/#"}', 'Topic name contains a wildcard'],
      ['{"topic":"a","qos":3}', 'qos has to be 0, 1 or 2'],
      ['{"topic":"a","payload":1}', 'payload has to be a text'],
    ]) {
      const outcome = await run(['pub', ...tcp, '--json'], `{"topic":"a"}\n${line}\n`);
      assert.deepEqual(outcome, { exitCode: 1, stdout: '', stderr: `Error: line 2 of the input: ${why}.\n` });
    }
  });

  test('the password comes from a file or the environment, without its line end', async () => {
    const file = join(folder, 'password');
    writeFileSync(file, 'secret\n');
    // What is sent is shown by a broker that says what it got: CONNECT in a server of the test.
    const seen: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (bytes) => {
        seen.push(bytes.toString('latin1'));
        socket.destroy();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const to = ['-h', '127.0.0.1', '-p', `${(server.address() as AddressInfo).port}`, '-t', 'a', '-m', 'x'];
    await run(['pub', ...to, '-u', 'me', '--password-file', file]);
    await run(['pub', ...to], '', { PIPIT_USERNAME: 'someone', PIPIT_PASSWORD: 'hidden' });
    await run(['pub', ...to, '-P', 'given'], '', { PIPIT_USERNAME: 'someone', PIPIT_PASSWORD: 'hidden' });
    server.close();
    const ends = ['\0\x02me\0\x06secret', '\0\x07someone\0\x06hidden', '\0\x07someone\0\x05given'];
    assert.deepEqual(
      seen.map((text, i) => text.endsWith(ends[i] as string)),
      [true, true, true],
      seen.join('\n'),
    );
  });

  test('--quiet says nothing, and ends as ever', async () => {
    const refused = await run(['pub', ...tcp, '-t', 'secret/x', '-m', 'x', '-q', '1', '--quiet']);
    assert.deepEqual(refused, { exitCode: 0x87, stdout: '', stderr: '' });
    assert.deepEqual(await run(['sub', ...tcp, '-t', 'silence', '-W', '1', '--quiet']), {
      exitCode: 27,
      stdout: '',
      stderr: '',
    });
  });

  test('TLS options lead to a connection, or to a sentence', async () => {
    const [, port = ''] = secure;
    const to = ['pub', '-p', port, '-t', 'a', '-m', 'x'];
    for (const options of [
      ['--cafile', `${certificates}/ca.pem`, '--tls-version', 'tlsv1.3'],
      ['--capath', certificates],
      ['--cafile', `${certificates}/ca.pem`, '--tls-alpn', 'mqtt'],
      [
        '--cafile',
        `${certificates}/ca.pem`,
        '--tls-version',
        'tlsv1.2',
        '--ciphers',
        'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
      ],
    ]) {
      assert.deepEqual(await run([...to, ...options]), { exitCode: 0, stdout: '', stderr: '' }, options.join(' '));
    }
    for (const options of [['--tls-use-os-certs'], ['--psk', 'aabb', '--psk-identity', 'me']]) {
      const { exitCode, stderr } = await run([...to, ...options]);
      assert.equal(exitCode, 1, options.join(' '));
      assert.match(stderr, /^Error: [^\n]+\n$/);
    }
  });

  test('say why the broker refused, and exit with its code', async () => {
    const cases: readonly [args: string[], exitCode: number, stderr: string][] = [
      [
        ['pub', '-t', 'secret/x', '-m', 'x', '-q', '1'],
        0x87,
        'Error: the broker refused the message: Not authorized\n',
      ],
      [
        ['pub', '-t', 'secret/full', '-m', 'x', '-q', '2'],
        0x97,
        'Error: the broker refused the message: Quota exceeded\n',
      ],
      [['sub', '-t', 'secret/x'], 0x87, 'Error: the broker refused secret/x: Not authorized\n'],
      [['sub', '-t', 'secret/x', '-V', '311'], 0x80, 'Error: the broker refused secret/x: Refused\n'],
      [
        ['pub', '-t', 'a', '-m', 'x', '-i', 'a\u0001', '-V', '311'],
        2,
        'Connection error: Connection Refused: identifier rejected.\n',
      ],
    ];
    for (const [[command = '', ...args], exitCode, stderr] of cases) {
      assert.deepEqual(await run([command, ...tcp, ...args]), { exitCode, stdout: '', stderr });
    }
    const refused = await run(['pub', ...tcp, '-t', 'a', '-m', 'x', '-i', 'a\u0001']);
    assert.equal(refused.exitCode, 0x85);
    assert.match(refused.stderr, /^Connection error: Client Identifier not valid\./);
  });

  test('end with 1 when there is no broker, or one whose certificate is not trusted', async () => {
    const nobody = await run(['pub', '--unix', join(folder, 'none.sock'), '-t', 'a', '-m', 'x']);
    assert.deepEqual(nobody, { exitCode: 1, stdout: '', stderr: 'Error: No such socket\n' });
    const refused = await run(['sub', '-p', '1', '-h', '127.0.0.1', '-t', 'a']);
    assert.deepEqual(refused, { exitCode: 1, stdout: '', stderr: 'Error: Connection refused\n' });
    const stranger = await run(['pub', '-L', `mqtts://localhost:${secure[1]}/a`, '-m', 'x']);
    assert.equal(stranger.exitCode, 1);
    assert.match(stranger.stderr, /^Error: .*certificate.*\n$/);
  });

  const mistakes: readonly [args: string[], stderr: RegExp][] = [
    [['pub', '-m', 'x'], /^Error: a topic is needed \(-t\)\.\n$/],
    [['pub', '-t', 'a'], /^Error: one of -m, -n, -f, -s, -l and --json is needed\.\n$/],
    [['pub', '-t', 'a', '-m', 'x', '-n'], /^Error: one of -m, -n, -f, -s, -l and --json is needed\.\n$/],
    [['pub', '-t', 'a/#', '-m', 'x'], /^Error: Topic name contains a wildcard\.\n$/],
    [['pub', '-t', 'a', '-f', '/nowhere'], /^Error: \/nowhere cannot be read: .*\n$/],
    [['pub', '-t', 'a', '-m', 'x', '-q', '3'], /argument '3' is invalid\. It has to be a whole number from 0 to 2\./],
    [['pub', '-t', 'a', '-m', 'x', '-V', '4'], /argument '4' is invalid\. It has to be 5, 311 or 31/],
    [['sub', '-t', 'a/#/b'], /^Error: a\/#\/b: Topic filter has a # before its last level\.\n$/],
    [['sub', '-t', 'a', '-c'], /^Error: -c needs a client id \(-i\)\.\n$/],
    [['sub', '-L', 'http://x'], /argument 'http:\/\/x' is invalid\. It has to look like mqtt:/],
  ];
  for (const [args, pattern] of mistakes) {
    test(`exit with 1 and a sentence for: ${args.join(' ')}`, async () => {
      const { exitCode, stdout, stderr } = await run(args);
      assert.match(stderr, pattern);
      assert.deepEqual({ exitCode, stdout }, { exitCode: 1, stdout: '' });
    });
  }
});
