import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { notTakenOver, readConfiguration } from './config.ts';
import { type Configuration, ConfigurationError, defaultConfiguration } from './config-settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-conf-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'mosquitto.conf');

async function read(...lines: string[]): Promise<Configuration> {
  writeFileSync(file, `${lines.join('\n')}\n`);
  return readConfiguration(file);
}

async function problems(...lines: string[]): Promise<readonly string[]> {
  const error = await read(...lines).then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConfigurationError);
  return error.problems.map((each) => each.replace(file, 'F'));
}

test('without a listener only this machine reaches it, anonymously, and nothing is kept: as Mosquitto 2', async () => {
  const { listeners, allowAnonymous, authentication, data } = await read('# nothing', '');
  assert.deepEqual(listeners, [{ type: 'tcp', host: '127.0.0.1', port: 1883 }]);
  assert.deepEqual([allowAnonymous, authentication, data.durability], [true, undefined, 'memory']);
});

test('a listener is reached from everywhere and lets in nobody, unless it is said who', async () => {
  const closed = await read('listener 1884');
  assert.deepEqual(closed.listeners, [{ type: 'tcp', host: '::', port: 1884 }]);
  assert.deepEqual([closed.allowAnonymous, closed.authentication], [false, []]);
  const open = await read('port 1885', 'allow_anonymous true');
  assert.deepEqual(open.listeners, [{ type: 'tcp', host: '::', port: 1885 }]);
  assert.deepEqual([open.allowAnonymous, open.authentication], [true, undefined]);
});

test('passwords let in; without an acl_file they may do everything, $SYS included, as there', async () => {
  const { authentication, permissions, aclFile } = await read('listener 1884', 'password_file users/passwd');
  assert.deepEqual(authentication, [{ type: 'passwords', file: join(folder, 'users/passwd') }]);
  assert.deepEqual(
    permissions?.map(({ effect, action, filter }) => [effect, action, filter]),
    [
      ['allow', 'all', '#'],
      ['allow', 'subscribe', '$SYS/#'],
    ],
  );
  assert.equal(aclFile, undefined);
  const ruled = await read('listener 1884', 'password_file p', 'acl_file /etc/mosquitto/acl', 'allow_anonymous true');
  assert.deepEqual([ruled.aclFile, ruled.permissions], ['/etc/mosquitto/acl', undefined]);
  assert.deepEqual(
    ruled.authentication?.map(({ type }) => type),
    ['passwords', 'anonymous'],
  );
});

test('listeners with TLS, WebSocket, certificates and sockets', async () => {
  const { listeners, authentication } = await read(
    'listener 8883 192.0.2.1',
    'certfile server.pem',
    'keyfile key.pem',
    'cafile ca.pem',
    'crlfile crl.pem',
    'require_certificate true',
    'use_identity_as_username true',
    'tls_version tlsv1.3',
    'listener 8080 127.0.0.1',
    'protocol websockets',
    'listener 0 run/mosquitto.sock',
  );
  const pem = (name: string): string => join(folder, `${name}.pem`);
  assert.deepEqual(listeners, [
    {
      type: 'tls',
      host: '192.0.2.1',
      port: 8883,
      cert: pem('server'),
      key: pem('key'),
      ca: pem('ca'),
      crl: pem('crl'),
      minVersion: 'TLSv1.3',
      clientCertificate: 'require',
    },
    { type: 'ws', host: '127.0.0.1', port: 8080 },
    { type: 'unix', path: join(folder, 'run/mosquitto.sock') },
  ]);
  assert.deepEqual(authentication, [{ type: 'certificate', identity: 'commonName' }]);
});

test('limits, persistence, queueing and logging; 0 is unlimited there', async () => {
  const { limits, data, sys, queueQos0, logLevel } = await read(
    'max_inflight_messages 20',
    'max_queued_messages 0',
    'max_queued_bytes 5000',
    'max_keepalive 60',
    'max_connections 10',
    'persistent_client_expiration 2d',
    'persistence true',
    'persistence_location /var/lib/mosquitto/',
    'queue_qos0_messages true',
    'sys_interval 0',
    'log_type error',
    'log_type notice',
  );
  const { sendMaximum, queueMessagesMax, queueBytesMax, serverKeepAliveMax, sessionExpiryMax, connectionsMax } = limits;
  assert.deepEqual(
    [sendMaximum, queueMessagesMax, queueBytesMax, serverKeepAliveMax, sessionExpiryMax, connectionsMax],
    [20, 1_000_000_000, 5_000, 60, 172_800, 10],
  );
  assert.deepEqual(data, { ...defaultConfiguration.data, directory: '/var/lib/mosquitto/pipit-data' });
  assert.deepEqual([sys.intervalSeconds, queueQos0, logLevel], [false, true, 'info']);
});

test('what guards access there and has no counterpart stops the start; so does what nobody knows', async () => {
  const found = await problems(
    'plugin /usr/lib/auth.so',
    'psk_file psk',
    'listener 1884',
    'mount_point tenants/a/',
    'max_queued_messages many',
    'no_such_thing 1',
  );
  const guarded = 'decides who gets in or what they may do, and has no counterpart here';
  assert.deepEqual(found, [
    `F:1: plugin /usr/lib/auth.so: ${guarded}`,
    `F:2: psk_file psk: ${guarded}`,
    `F:4: mount_point tenants/a/: ${guarded}`,
    'F:5: max_queued_messages: many is no value of it',
    'F:6: no_such_thing: there is no such setting',
  ]);
});

test('per_listener_settings are taken where the listeners agree', async () => {
  const per = ['per_listener_settings true', 'listener 1884', 'password_file a', 'listener 1885'];
  assert.equal((await read(...per, 'password_file a')).authentication?.length, 1);
  assert.deepEqual(await problems(...per, 'allow_anonymous true'), [
    'per_listener_settings: the listeners differ in allow_anonymous, and here it is the same for all',
    'per_listener_settings: the listeners differ in password_file, and here it is the same for all',
  ]);
});

test('what is not taken over is named, a bridge as a whole; what is so anyway is not', async () => {
  await read(
    'user mosquitto',
    'set_tcp_nodelay true',
    'maximum_qos 1',
    'connection other',
    'address a:1883',
    'topic # both',
  );
  const named = (await notTakenOver(file)).map((each) => each.replace(file, 'F'));
  assert.deepEqual(named, ['F:1: user', 'F:3: maximum_qos', 'F:4: the bridge other: there are no bridges']);
});

test('include_dir reads the .conf files of a folder, in order', async () => {
  const more = join(folder, 'conf.d');
  mkdirSync(more);
  writeFileSync(join(more, 'b.conf'), 'listener 1902\n');
  writeFileSync(join(more, 'a.conf'), 'listener 1901\n');
  writeFileSync(join(more, 'c.txt'), 'nonsense\n');
  const { listeners } = await read('include_dir conf.d');
  assert.deepEqual(
    listeners.map((each) => 'port' in each && each.port),
    [1901, 1902],
  );
});
