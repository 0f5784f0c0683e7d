import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type RunningCommand, run, scratch, startServe } from './command.ts';

const certificates = `${import.meta.dirname}/../../broker/test/node/certificates`;
const tls = ['--cert', `${certificates}/server.pem`, '--key', `${certificates}/server-key.pem`];

describe('commands on the client reach a broker by every way that pub and sub know', () => {
  // Names of sockets are short.
  const folder = mkdtempSync(join(tmpdir(), 'pipit-'));
  const socket = join(folder, 's');
  const secret = join(scratch, 'ways-password');
  let serve: RunningCommand;
  let ways: Record<string, readonly string[]>;

  before(async () => {
    const users = join(scratch, 'ways-users');
    const config = join(scratch, 'ways.yaml');
    await run(['passwd', users, 'ann'], 'right\n');
    writeFileSync(secret, 'right\n');
    const rules = "permissions: [{ effect: allow, action: all, filter: '#' }]";
    writeFileSync(config, `authentication: [{ type: passwords, file: ${users} }]\n${rules}\n`);
    const listeners = ['--tcp', '0', '--tls', '0', '--ws', '0', '--wss', '0', '--unix', socket, ...tls];
    serve = await startServe('-c', config, '--memory', ...listeners, '--log-level', 'silent');
    const port = await serve.until('stdout', /^mqtt:.*:(\d+)$/m);
    const tlsPort = await serve.until('stdout', /^mqtts:.*:(\d+)$/m);
    ways = {
      tcp: ['-p', port],
      'its address': ['-p', port, '-h', '127.0.0.1', '-A', '127.0.0.1'],
      tls: ['-p', tlsPort, '--cafile', `${certificates}/ca.pem`],
      'a Unix socket': ['--unix', socket],
      websocket: ['-L', await serve.until('stdout', /^ws:\S+$/m)],
      'websocket from an address': ['-L', await serve.until('stdout', /^ws:\S+$/m), '-A', '127.0.0.1'],
      'secure websocket': ['-L', await serve.until('stdout', /^wss:\S+$/m), '--cafile', `${certificates}/ca.pem`],
      url: ['-L', `mqtt://127.0.0.1:${port}`],
    };
    const login = ['-u', 'ann', '-P', 'right'];
    const published = await run(['pub', '-p', port, ...login, '-t', 'w/1', '-m', 'found', '-r', '-q', '1']);
    assert.equal(published.exitCode, 0, published.stderr);
  });
  after(async () => {
    assert.equal((await serve.stop()).exitCode, 0);
    rmSync(folder, { recursive: true });
  });

  for (const way of [
    'tcp',
    'its address',
    'tls',
    'a Unix socket',
    'websocket',
    'websocket from an address',
    'secure websocket',
    'url',
  ]) {
    test(`by ${way}`, async () => {
      const to = [...(ways[way] as readonly string[]), '-u', 'ann', '--password-file', secret];
      const listed = await run(['retained', 'list', 'w/#', '-v', '-W', '0.3', ...to]);
      assert.deepEqual(listed, { exitCode: 0, stdout: 'w/1 found\n', stderr: '1 retained message, 5 bytes\n' });
      const bench = await run(['bench', ...to, '-q', '1', '--duration', '0.3', '--warm-up', '0', '--json']);
      assert.deepEqual([bench.exitCode, bench.stderr], [0, '']);
      assert.ok((JSON.parse(bench.stdout) as { received: number }).received > 0);
    });
  }

  test('what is no WebSocket, or not trusted, is told in a sentence', async () => {
    const [, secure = ''] = ways['secure websocket'] as readonly string[];
    const [, port = ''] = ways['tcp'] as readonly string[];
    for (const [url, sentence] of [
      [secure, /^Error: [^\n]*signed by nobody who is trusted \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)[^\n]*\n$/],
      [secure.replace('/mqtt', '/elsewhere'), /^Error: There is no WebSocket at wss:\S+\/elsewhere: [^\n]*40\d\n$/],
      [`ws://127.0.0.1:${port}`, /^Error: [^\n]+\n$/],
      ['ws://127.0.0.1:1', /^Error: Connection refused\n$/],
    ] as const) {
      const trust = url.endsWith('elsewhere') ? ['--cafile', `${certificates}/ca.pem`] : [];
      const { exitCode, stdout, stderr } = await run(['pub', '-L', url, '-t', 'a', '-m', 'x', ...trust]);
      assert.match(stderr, sentence);
      assert.deepEqual([exitCode, stdout], [1, '']);
    }
    const plain = await run(['pub', '-L', `ws://127.0.0.1:${port}`, '-t', 'a', '-m', 'x', '--insecure']);
    assert.deepEqual([plain.exitCode, plain.stderr], [1, 'Error: the TLS options need wss://.\n']);
  });

  test('without the password nobody gets in, and that is told in a sentence', async () => {
    const to = ways['tcp'] as readonly string[];
    for (const args of [['retained', 'list', '#'], ['bench'], ['record', '#']]) {
      const { exitCode, stdout, stderr } = await run([...args, ...to]);
      assert.deepEqual([exitCode, stdout], [1, '']);
      assert.match(stderr, /^Error: [^\n]*(Not authorized|Bad User Name)[^\n]*\.\n$/i);
    }
    const known = await run(['retained', 'list', 'w/#', '-W', '0.3', ...to], '', {
      PIPIT_USERNAME: 'ann',
      PIPIT_PASSWORD: 'right',
    });
    assert.equal(known.exitCode, 0, known.stderr);
  });
});
