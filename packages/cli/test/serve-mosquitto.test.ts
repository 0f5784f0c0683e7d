/** `pipit serve -c mosquitto.conf`: a broker as the file says, and what of it does not count, said. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { freePort } from '../../broker/test/node/ports.ts';
import { run, startServe } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-'));
after(() => rmSync(folder, { recursive: true }));
const conf = join(folder, 'mosquitto.conf');

test('users, their rights and a listener are as in the file, and what is not taken over is said', async () => {
  const port = String(await freePort());
  const passwords = join(folder, 'passwd');
  const acl = join(folder, 'acl');
  await run(['passwd', passwords, 'ada'], 'secret\n');
  writeFileSync(acl, 'user ada\ntopic readwrite ada/#\n');
  writeFileSync(conf, `user mosquitto\nlistener ${port} 127.0.0.1\npassword_file passwd\nacl_file acl\n`);
  const serve = await startServe('-c', conf);
  const pub = ['pub', '-p', port, '-q', '1', '-V', '5', '-m', 'x'];
  assert.equal((await run([...pub, '-u', 'ada', '-P', 'secret', '-t', 'ada/t'])).exitCode, 0);
  assert.notEqual((await run([...pub, '-u', 'ada', '-P', 'wrong', '-t', 'ada/t'])).exitCode, 0);
  assert.notEqual((await run([...pub, '-t', 'ada/t'])).exitCode, 0);
  const { stdout, exitCode } = await serve.stop();
  assert.deepEqual(stdout.split('\n').slice(0, 3), [
    `configuration of Mosquitto's: ${conf}`,
    `not taken over: ${conf}:1: user: it runs as whoever starts it: User= of the service manager`,
    'memory: nothing survives a restart',
  ]);
  assert.equal(exitCode, 0);
});

test('per_listener_settings, a mount point and a bridge before the users: each listener as the file says', async () => {
  const [inner, outer] = [String(await freePort()), String(await freePort())];
  await run(['passwd', join(folder, 'outer'), 'ada'], 'secret\n');
  const lines = [
    'per_listener_settings true',
    'connection other',
    'address 127.0.0.1:1',
    `listener ${inner} 127.0.0.1`,
    'allow_anonymous true',
    `listener ${outer} 127.0.0.1`,
    'password_file outer',
    'mount_point tenants/a/',
    'max_qos 1',
  ];
  writeFileSync(conf, `${lines.join('\n')}\n`);
  const printed = await run(['serve', '-c', conf, '--print-config']);
  writeFileSync(join(folder, 'printed.yaml'), printed.stdout);
  for (const file of [conf, join(folder, 'printed.yaml')]) {
    const serve = await startServe('-c', file);
    const login = ['-p', outer, '-u', 'ada', '-P', 'secret', '-V', '5'];
    assert.notEqual((await run(['pub', '-p', outer, '-t', 't', '-m', 'x'])).exitCode, 0);
    assert.equal((await run(['pub', ...login, '-r', '-q', '1', '-t', 't', '-m', 'on'])).exitCode, 0);
    const seen = await run(['sub', '-p', inner, '-t', '#', '-C', '1', '-W', '10', '-F', '%t %p']);
    assert.equal(seen.stdout, 'tenants/a/t on\n');
    const own = await run(['sub', ...login, '-t', '#', '-C', '1', '-W', '10', '-F', '%t %p']);
    assert.equal(own.stdout, 't on\n');
    assert.equal((await serve.stop()).exitCode, 0);
  }
});

test('-p and -v are as there; -d says what to do instead', async () => {
  const serve = await startServe('-p', '0', '-v', '--memory');
  const { stdout } = await serve.stop();
  assert.match(stdout, /^mqtt:\/\/127\.0\.0\.1:\d+$/m);
  const printed = await run(['serve', '-v', '--print-config']);
  assert.match(printed.stdout, /^logLevel: debug$/m);
  const { exitCode, stderr } = await run(['serve', '-d']);
  assert.equal(exitCode, 2);
  assert.match(stderr, /service manager/);
});

test('a plugin that guards access stops the start with 2, and nothing listens', async () => {
  writeFileSync(conf, 'listener 1884\nallow_anonymous true\nplugin /usr/lib/auth.so\n');
  const { exitCode, stderr } = await run(['serve', '-c', conf]);
  assert.equal(exitCode, 2);
  assert.match(stderr, /mosquitto\.conf:3: plugin .* decides who gets in/);
});
