import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { notTakenOver, readConfiguration } from './config.ts';
import { type Configuration, ConfigurationError, defaultConfiguration } from './config-settings.ts';
import { fateOf, mosquittoOptions } from './mosquitto-options.ts';

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

async function ignored(...lines: string[]): Promise<readonly string[]> {
  await read(...lines);
  return (await notTakenOver(file)).map((each) => each.replace(file, 'F'));
}

const has6 = Object.values(networkInterfaces()).some((each) => each?.some(({ family }) => family === 'IPv6'));
/** Where a listener without an address is reached. */
const anywhere = has6 ? '::' : '0.0.0.0';

test('without a listener only this machine reaches it, anonymously, and nothing is kept: as Mosquitto 2', async () => {
  for (const lines of [['# nothing', ''], ['log_type error'], ['max_connections 10'], ['allow_anonymous true']]) {
    const { listeners, allowAnonymous, authentication, data } = await read(...lines);
    assert.deepEqual([allowAnonymous, authentication, data.durability], [true, undefined, 'memory']);
    const hosts = listeners.map((each) => 'host' in each && each.type === 'tcp' && each.port === 1883 && each.host);
    assert.deepEqual(hosts, has6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']);
  }
  const closed = await read('allow_anonymous false');
  assert.deepEqual([closed.allowAnonymous, closed.authentication], [false, []]);
});

test('a listener, a port or an address is reached from everywhere and lets in nobody, unless it is said who', async () => {
  for (const [line, host, port] of [
    ['listener 1884', anywhere, 1884],
    ['listener 1884 # a remark', anywhere, 1884],
    ['listener 1884 192.0.2.1 # another', '192.0.2.1', 1884],
    ['port 1885', anywhere, 1885],
    ['bind_address 192.0.2.1', '192.0.2.1', 1883],
  ] as const) {
    const closed = await read(line);
    assert.deepEqual(closed.listeners, [{ type: 'tcp', host, port }], line);
    assert.deepEqual([closed.allowAnonymous, closed.authentication], [false, []], line);
    const open = await read(line, 'allow_anonymous true');
    assert.deepEqual([open.allowAnonymous, open.authentication], [true, undefined], line);
  }
  assert.deepEqual(
    (await read('listener 1884', 'port 1885', 'listener 1886 127.0.0.1')).listeners.map(
      (each) => 'port' in each && each.port,
    ),
    [1885, 1884, 1886],
  );
  assert.deepEqual(await problems('listener', 'listener x', 'listener 65536', 'listener 0'), [
    'F:1: listener needs a port',
    'F:2: listener needs a port',
    'F:3: listener needs a port',
    'F:4: listener 0 needs the path of a Unix socket',
  ]);
});

test('what stands before the first listener is about the default one, which is there only with a port or an address', async () => {
  const lines = ['max_qos 1', 'listener 1884'];
  assert.deepEqual(await ignored(...lines), [
    'F:1: max_qos: it stands before the first listener of its file, and there is no port',
  ]);
  assert.equal((await read(...lines)).listeners[0]?.maximumQoS, undefined);
  assert.deepEqual(
    (await read('port 1883', ...lines)).listeners.map(({ maximumQoS }) => maximumQoS),
    [1, undefined],
  );
});

test('1 and 0 are true and false; anything else is neither', async () => {
  const secured = ['listener 8883', 'certfile c', 'keyfile k', 'cafile a'];
  const [listener] = (await read(...secured, 'require_certificate 1')).listeners;
  assert.equal(listener !== undefined && 'clientCertificate' in listener && listener.clientCertificate, 'require');
  assert.equal((await read('listener 1884', 'allow_anonymous 1')).allowAnonymous, true);
  assert.equal((await read('listener 1884', 'persistence 1')).data.durability, 'fsync');
  assert.deepEqual(await problems('listener 1884', 'allow_anonymous yes', 'queue_qos0_messages', 'sys_interval ten'), [
    'F:2: allow_anonymous: yes is no value of it',
    'F:3: queue_qos0_messages: it has no value',
    'F:4: sys_interval: ten is no value of it',
  ]);
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
  const { listeners, authentication, access } = await read(
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
    { type: 'ws', host: '127.0.0.1', port: 8080, access: '8080' },
    { type: 'unix', path: join(folder, 'run/mosquitto.sock'), access: '8080' },
  ]);
  assert.deepEqual(authentication, [{ type: 'certificate', identity: 'commonName' }]);
  // Where nothing is said of certificates, nobody gets in.
  assert.deepEqual(access?.['8080']?.authentication, []);
});

test('a certificate instead of a name: nothing else counts there, and elsewhere it does not', async () => {
  const tls = ['certfile c', 'keyfile k', 'cafile a', 'require_certificate true'];
  const { authentication, permissions, allowAnonymous, access, listeners } = await read(
    'password_file users',
    'allow_anonymous true',
    'listener 8883',
    ...tls,
    'use_subject_as_username true',
    'listener 8884',
    ...tls,
    'listener 8885',
    ...tls,
    'use_identity_as_username 1',
    'use_subject_as_username 1',
  );
  assert.deepEqual(authentication, [{ type: 'certificate', identity: 'subject' }]);
  assert.deepEqual([permissions?.length, allowAnonymous], [2, false]);
  assert.deepEqual(
    listeners.map((each) => each.access),
    [undefined, '8884', '8885'],
  );
  const judges = Object.values(access ?? {}).map((set) => set.authentication?.map(({ type }) => type));
  assert.deepEqual(judges, [['passwords', 'anonymous'], ['certificate']]);
  assert.deepEqual(
    await problems('listener 1', 'use_identity_as_username true', 'listener 2', 'require_certificate true'),
    [
      'F:2: use_identity_as_username: it needs certfile and keyfile',
      'F:4: require_certificate: it needs certfile and keyfile',
    ],
  );
  assert.deepEqual(
    await problems('listener 1', 'certfile c', 'listener 2', ...tls.slice(0, 2), 'require_certificate true'),
    ['F:1: TLS: it needs certfile and keyfile', 'F:6: require_certificate: it needs cafile'],
  );
});

test('ciphers: those of TLS 1.3 stay when only older ones are named, and the other way round', async () => {
  const tls = ['listener 8883', 'certfile c', 'keyfile k'];
  const ciphersOf = async (...lines: string[]): Promise<readonly string[]> => {
    const [listener] = (await read(...tls, ...lines)).listeners;
    assert.ok(listener !== undefined && 'ciphers' in listener && listener.ciphers !== undefined);
    return listener.ciphers.split(':');
  };
  const older = await ciphersOf('ciphers ECDHE-RSA-AES128-GCM-SHA256');
  assert.equal(older.at(-1), 'ECDHE-RSA-AES128-GCM-SHA256');
  assert.ok(older.length > 1 && older.slice(0, -1).every((name) => name.startsWith('TLS_')));
  const newer = await ciphersOf('ciphers_tls1.3 TLS_AES_128_GCM_SHA256');
  assert.deepEqual(
    newer.filter((name) => name.startsWith('TLS_')),
    ['TLS_AES_128_GCM_SHA256'],
  );
  assert.ok(newer.length > 1);
  assert.deepEqual(await ignored(...tls, 'tls_version tlsv1.1'), ['F:4: tls_version tlsv1.1: nothing below TLS 1.2']);
  assert.deepEqual(await problems(...tls, 'tls_version sslv3'), ['F:4: tls_version: is no sslv3']);
});

test('what a listener holds its clients to', async () => {
  const { listeners, limits } = await read(
    'retain_available false',
    'allow_zero_length_clientid false',
    'auto_id_prefix guest-',
    'listener 1 127.0.0.1',
    'mount_point tenants/a/',
    'max_qos 0',
    'max_connections 5',
    'max_topic_alias 100',
    'use_username_as_clientid true',
    'listener 2 127.0.0.1',
    'maximum_qos 2',
    'max_connections -1',
    'max_topic_alias_broker 3',
    'listener_auto_id_prefix own-',
    'listener 3 127.0.0.1',
    'protocol websockets',
    'websockets_origin https://app.example.com',
    'enable_proxy_protocol 2',
  );
  const all = {
    host: '127.0.0.1',
    retainAvailable: false,
    allowEmptyClientId: false,
    assignedClientIdPrefix: 'guest-',
  };
  assert.deepEqual(listeners, [
    {
      type: 'tcp',
      port: 1,
      ...all,
      mountPoint: 'tenants/a/',
      maximumQoS: 0,
      connectionsMax: 5,
      topicAliasMaximum: 100,
      usernameAsClientId: true,
    },
    { type: 'tcp', port: 2, ...all, maximumQoS: 2, assignedClientIdPrefix: 'own-' },
    {
      type: 'ws',
      port: 3,
      ...all,
      origins: ['https://app.example.com'],
      proxyProtocol: ['0.0.0.0/0', '::/0'],
    },
  ]);
  assert.deepEqual([limits.topicAliasMaximum, limits.sentTopicAliasMaximum], [100, 3]);
  assert.deepEqual(
    await problems(
      'listener 1',
      'mount_point a/#',
      'max_qos 3',
      'protocol mqttsn',
      'socket_domain ipx',
      'max_connections few',
    ),
    [
      'F:4: protocol: mqttsn: only mqtt and websockets are served',
      'F:2: mount_point: a/# is none',
      'F:3: max_qos: is no 3',
      'F:5: socket_domain: is no ipx',
      'F:6: max_connections: few is no value of it',
    ].sort(),
  );
});

test('limits, persistence, queueing and logging; 0 is unlimited there', async () => {
  const { limits, data, sys, queueQos0, logLevel } = await read(
    'max_inflight_messages 20',
    'max_queued_messages 0',
    'max_queued_bytes 5000',
    'max_keepalive 60',
    'global_max_connections 10',
    'global_max_clients -1',
    'retain_expiry_interval 5',
    'max_packet_size 0',
    'persistent_client_expiration 2d',
    'persistence true',
    'persistence_location /var/lib/mosquitto/',
    'queue_qos0_messages true',
    'sys_interval 0',
    'log_type error',
    'log_type notice',
  );
  const expected = {
    sendMaximum: 20,
    queueMessagesMax: 1_000_000_000,
    queueBytesMax: 5_000,
    serverKeepAliveMax: 60,
    sessionExpiryMax: 172_800,
    connectionsMax: 10,
    sessionsMax: 100_000_000,
    retainedExpiryMax: 300,
    packetBytesMax: 268_435_460,
  };
  assert.deepEqual(limits, { ...defaultConfiguration.limits, ...expected });
  assert.deepEqual(data, { ...defaultConfiguration.data, directory: '/var/lib/mosquitto/pipit-data' });
  assert.deepEqual([sys.intervalSeconds, queueQos0, logLevel], [false, true, 'info']);
});

test('what guards access there and has no counterpart stops the start; so does what nobody knows', async () => {
  const found = await problems(
    'plugin /usr/lib/auth.so',
    'psk_file psk',
    'listener 1884',
    'bind_interface eth0',
    'max_queued_messages many',
    'no_such_thing 1',
  );
  const guarded = 'decides who gets in or what they may do, and has no counterpart here';
  assert.deepEqual(found, [
    `F:1: plugin /usr/lib/auth.so: ${guarded}`,
    `F:2: psk_file psk: ${guarded}`,
    `F:4: bind_interface eth0: ${guarded}`,
    'F:6: no_such_thing: there is no such setting',
    'F:5: max_queued_messages: many is no value of it',
  ]);
});

test('per_listener_settings: each listener has its users and rules, and those that say the same share them', async () => {
  const per = ['per_listener_settings true', 'listener 1884', 'password_file a', 'listener 1885'];
  const same = await read(...per, 'password_file a');
  assert.deepEqual([same.authentication?.length, same.access], [1, undefined]);
  const { authentication, access, listeners, allowAnonymous } = await read(
    ...per,
    'allow_anonymous true',
    'acl_file guests',
    'listener 1886',
    'password_file a',
    'allow_zero_length_clientid false',
    'listener 1887',
  );
  assert.deepEqual(authentication, [{ type: 'passwords', file: join(folder, 'a') }]);
  assert.equal(allowAnonymous, false);
  assert.deepEqual(
    listeners.map((each) => [each.access, each.allowEmptyClientId]),
    [
      [undefined, undefined],
      ['1885', undefined],
      [undefined, false],
      ['1887', undefined],
    ],
  );
  assert.deepEqual(access?.['1885'], { allowAnonymous: true, aclFile: join(folder, 'guests') });
  assert.deepEqual(access?.['1887']?.authentication, []);
  const overruled = await read('listener 1884', 'listener 1885', 'listener_allow_anonymous true');
  assert.deepEqual([overruled.authentication, overruled.access], [[], { '1885': { allowAnonymous: true } }]);
});

test('what is not taken over is named, a bridge as a whole; what is so anyway is not', async () => {
  const named = await ignored(
    'user mosquitto',
    'set_tcp_nodelay true',
    'upgrade_outgoing_qos false',
    'message_size_limit 100',
    'connection other',
    'address a:1883',
    'topic # both',
    'log_dest syslog',
  );
  assert.deepEqual(named, [
    'F:1: user: it runs as whoever starts it: User= of the service manager',
    'F:4: message_size_limit: max_packet_size bounds whole packets',
    'F:5: the bridge other: there are no bridges',
    'F:8: log_dest syslog: the log goes to stderr',
  ]);
});

test('what comes after a bridge and is not of it counts: also who gets in and what they may do', async () => {
  const bridge = ['listener 1884', 'connection other', 'address a:1883', 'remote_password secret'];
  const { authentication, aclFile, listeners } = await read(
    ...bridge,
    'allow_anonymous false',
    'password_file users',
    'acl_file acl',
    'max_connections 7',
  );
  assert.deepEqual(authentication, [{ type: 'passwords', file: join(folder, 'users') }]);
  assert.deepEqual([aclFile, listeners[0]?.connectionsMax], [join(folder, 'acl'), 7]);
  assert.deepEqual(await problems(...bridge, 'plugin x'), [
    'F:5: plugin x: decides who gets in or what they may do, and has no counterpart here',
  ]);
});

test('what is logged: a level, nothing at all, or nothing of connections', async () => {
  const of = async (...lines: string[]): Promise<unknown> => {
    const { logLevel, logLevels } = await read(...lines);
    return [logLevel, logLevels];
  };
  assert.deepEqual(await of('log_dest stderr'), ['info', {}]);
  assert.deepEqual(await of('log_dest none', 'log_type all'), ['silent', {}]);
  assert.deepEqual(await of('connection_messages false'), ['info', { connections: 'warn' }]);
});

test('every option there ever was is known: applied, named with why, or a reason not to start; and the page says which', async () => {
  const page = readFileSync(`${import.meta.dirname}/../../../../docs/from-mosquitto.md`, 'utf8');
  const rows = new Map<string, string>();
  for (const [, there = '', here = ''] of page.matchAll(/^\| (.+?) \| (.+) \|$/gm)) {
    for (const [, name = ''] of there.matchAll(/`([^` ]+)(?: [^`]*)?`/g)) rows.set(name, here);
  }
  const unsaid = [...mosquittoOptions.keys()].filter(
    (name) => !rows.has(name) && mosquittoOptions.get(name) !== 'bridge',
  );
  assert.deepEqual(unsaid, []);
  for (const [name, here] of rows) {
    const fate = fateOf(name);
    if (['listener', 'include_dir', 'auth_opt_', 'plugin_opt_'].includes(name)) continue;
    assert.notEqual(fate, undefined, name);
    assert.equal(fate === 'stops', here.startsWith('Stops the start'), name);
    assert.equal(fate === 'named' || fate === 'bridge', here.startsWith('Named'), name);
    assert.equal(fate === 'unneeded', here.startsWith('Nothing to do'), name);
  }
});

test('each option takes effect, is named, or stops the start: none is dropped without a word', async () => {
  const plain = JSON.stringify(await read('listener 1884', 'certfile c', 'keyfile k', 'cafile a'));
  const values: Readonly<Record<string, string>> = {
    tls_version: 'tlsv1.3',
    socket_domain: 'ipv4',
    protocol: 'websockets',
    log_type: 'error',
    log_dest: 'none',
    mount_point: 'a/',
    persistent_client_expiration: '1d',
    websockets_origin: 'https://a.example',
    retain_available: 'false',
    allow_zero_length_clientid: 'false',
    connection_messages: 'false',
    max_topic_alias_broker: '2',
    bind_address: '192.0.2.1',
    max_keepalive: '30',
    password_file: 'p',
    acl_file: 'p',
    cafile: 'other',
  };
  const numbers = /^(max|port|global|sys|retain_exp|enable_proxy)/;
  for (const [name, fate] of mosquittoOptions) {
    if (fate === 'unneeded' || name === 'per_listener_settings' || name === 'persistence_location') continue;
    const value = values[name] ?? (numbers.test(name) ? '1' : fate === 'named' ? 'x' : 'true');
    const web = name === 'websockets_origin' ? ['protocol websockets'] : [];
    const lines = ['listener 1884', 'certfile c', 'keyfile k', 'cafile a', ...web, `${name} ${value}`];
    const isBridge = fate === 'bridge' && name !== 'connection';
    if (fate === 'stops') assert.equal((await problems(...lines)).length, 1, name);
    else if (fate === 'named' || name === 'connection') assert.equal((await ignored(...lines)).length, 1, name);
    else assert.equal(JSON.stringify(await read(...lines)) === plain, isBridge, name);
  }
});

test('include_dir reads the .conf files of a folder, in order, and each begins anew', async () => {
  const more = join(folder, 'conf.d');
  mkdirSync(more);
  writeFileSync(join(more, 'b.conf'), 'max_qos 1\nlistener 1903\n');
  writeFileSync(join(more, 'B.conf'), 'listener 1902\n');
  writeFileSync(join(more, 'a.conf'), 'listener 1901\n');
  writeFileSync(join(more, 'c.txt'), 'nonsense\n');
  const { listeners } = await read('listener 1900', 'include_dir conf.d', 'max_qos 0');
  assert.deepEqual(
    listeners.map((each) => 'port' in each && [each.port, each.maximumQoS]),
    [
      [1900, 0],
      [1901, undefined],
      [1902, undefined],
      [1903, undefined],
    ],
  );
});
