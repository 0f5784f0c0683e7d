import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as z from 'zod';
import { Access } from '../auth/access.ts';
import type { Limits } from '../core/index.ts';
import { defaultLimits } from '../core/index.ts';
import { planAccess } from './access.ts';
import { brokerOptions, configuredStore, formatConfiguration, readConfiguration } from './config.ts';
import { parseConfiguration } from './config-file.ts';
import { configurationSchema, limitRanges } from './config-schema.ts';
import type { Configuration, ListenerSettings } from './config-settings.ts';
import { ConfigurationError, defaultConfiguration, defaultData } from './config-settings.ts';

const certificates = `${import.meta.dirname}/../../test/node/certificates`;
const tls = { cert: `${certificates}/server.pem`, key: `${certificates}/server-key.pem` };
const ca = `${certificates}/ca.pem`;
const documentation = readFileSync(`${import.meta.dirname}/../../../../docs/configuration.md`, 'utf8');
const limitNames = Object.keys(defaultLimits) as (keyof Limits)[];

function problemsOf(action: () => unknown): readonly string[] {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

function withListeners(...listeners: ListenerSettings[]): Configuration {
  return { ...defaultConfiguration, listeners };
}

test('An empty file, and one of comments only, is the default configuration', () => {
  assert.deepEqual(parseConfiguration('', 'a.yaml'), defaultConfiguration);
  assert.deepEqual(parseConfiguration('# nothing\n', 'a.yaml'), defaultConfiguration);
});

test('Every limit has a range, and its default lies within', () => {
  assert.deepEqual(Object.keys(limitRanges).sort(), limitNames.sort());
  for (const name of limitNames) {
    const [min, max] = limitRanges[name];
    assert.ok(min <= defaultLimits[name] && defaultLimits[name] <= max, name);
  }
});

test('Every limit is taken at both ends of its range and refused one past them', () => {
  const read = (name: string, value: number): Configuration => parseConfiguration(`limits: { ${name}: ${value} }`, 'a');
  for (const name of limitNames) {
    const [min, max] = limitRanges[name];
    assert.equal(read(name, min).limits[name], min);
    assert.equal(read(name, max).limits[name], max);
    for (const value of [min - 1, max + 1]) {
      const [problem, ...more] = problemsOf(() => read(name, value));
      assert.match(
        problem ?? '',
        new RegExp(`^a:1: limits\\.${name}: must be a (whole )?number from ${min} to ${max}$`),
      );
      assert.deepEqual(more, []);
    }
  }
  assert.equal(problemsOf(() => read('receiveMaximum', 1.5)).length, 1);
  assert.equal(read('keepAliveFactor', 1.25).limits.keepAliveFactor, 1.25);
});

test('Every problem is told at once, in order, with its line and its path', () => {
  const text = `listeners:
  - { type: tcp, port: 65536, cert: x }
  - { type: udp }
  - 3
  - { type: tls, port: 1 }
  - { type: auto, port: 1, ca: x }
  - { type: unix, path: a, mode: 660 }
  - { type: ws, port: 1, path: mqtt }
limits: { foo: 1 }
sys: { intervalSeconds: 0 }
permissions:
  - { effect: allow, action: all, filter: 'a/#', reasonCode: 0x87 }
  - { effect: deny, action: none, filter: 'a/#/b', reasonCode: 2 }
  - { effect: deny, action: all, filter: $share/g/, retain: true, qos: 3, users: [] }
aclFile: x
authentication:
  - { type: ldap }
  - { type: passwords }
  - { type: http, url: 'http://192.0.2.1/' }
allowAnonymous: 'yes'
logLevel: loud
listenerz: []
`;
  assert.deepEqual(
    problemsOf(() => parseConfiguration(text, 'a.yaml')),
    [
      'a.yaml:2: listeners[0].port: must be a whole number from 0 to 65535',
      'a.yaml:2: listeners[0].cert: there is no such setting',
      'a.yaml:3: listeners[1].type: must be one of tcp, tls, ws, wss, auto, unix',
      'a.yaml:4: listeners[2]: must be a mapping',
      'a.yaml:5: listeners[3].cert: must be a text (it is missing)',
      'a.yaml:5: listeners[3].key: must be a text (it is missing)',
      'a.yaml:6: listeners[4]: must have cert and key together, and both for any other setting of TLS',
      "a.yaml:7: listeners[5].mode: must be three octal digits in quotes, such as '660'",
      'a.yaml:8: listeners[6].path: must begin with /',
      'a.yaml:9: limits.foo: there is no such setting',
      'a.yaml:10: sys.intervalSeconds: must be false or a whole number of seconds from 1 to 86400',
      'a.yaml:12: permissions[0].reasonCode: must not be there: only what is denied has a reason',
      'a.yaml:13: permissions[1].action: must be one of publish, subscribe, request, all',
      'a.yaml:13: permissions[1].filter: is not a topic filter: Topic filter has a # before its last level',
      'a.yaml:13: permissions[1].reasonCode: must be a reason code of 0x80 or above that PUBACK or SUBACK may carry, such as 0x87',
      'a.yaml:14: permissions[2].filter: is not a topic filter: Topic filter is empty',
      'a.yaml:14: permissions[2].qos: must be 0, 1 or 2, or a list of them',
      'a.yaml:14: permissions[2].users: must name somebody',
      'a.yaml:17: authentication[0].type: must be one of passwords, certificate, http, jwt, anonymous',
      'a.yaml:18: authentication[1].file: must be a text (it is missing)',
      'a.yaml:19: authentication[2].url: must be an https URL, or http to this machine',
      'a.yaml:20: allowAnonymous: must be true or false',
      'a.yaml:21: logLevel: must be one of trace, debug, info, warn, error, fatal, silent',
      'a.yaml:22: listenerz: there is no such setting',
    ],
  );
});

test('What is not YAML, or not a mapping, is told as such', () => {
  assert.match(problemsOf(() => parseConfiguration('limits: {\n', 'a.yaml'))[0] ?? '', /^a\.yaml:2: is not YAML: /);
  assert.match(
    problemsOf(() => parseConfiguration('sys: {}\nsys: {}', 'a.yaml'))[0] ?? '',
    /^a\.yaml:2: is not YAML: Map keys must be unique/,
  );
  assert.deepEqual(
    problemsOf(() => parseConfiguration('[]', 'a.yaml')),
    ['a.yaml:1: must be a mapping'],
  );
  const both = "aclFile: a\npermissions: [{ effect: allow, action: publish, filter: '#', qos: 1 }]";
  assert.deepEqual(
    problemsOf(() => parseConfiguration(both, 'a.yaml')),
    ['a.yaml:1: aclFile: must not be there beside permissions'],
  );
  assert.deepEqual(
    problemsOf(() => parseConfiguration('listeners: {}\npermissions: []\ndata: x', 'a.yaml')),
    [
      'a.yaml:1: listeners: must be a list',
      'a.yaml:2: permissions: must have a rule; without permissions, everything is allowed',
      'a.yaml:3: data: must be a mapping',
    ],
  );
});

test('What is printed reads back the same, without its secrets', async () => {
  const configuration: Configuration = {
    ...defaultConfiguration,
    data: { durability: 'os', directory: '/var/lib/pipit', bytesMax: 2 ** 40 },
    listeners: [
      { type: 'tcp', port: 0 },
      { type: 'tls', host: '::1', port: 8883, ...tls, ca, clientCertificate: 'require', passphrase: 'secret' },
      { type: 'ws', port: 1, path: '/' },
      { type: 'wss', port: 2, requireSubprotocol: true, ...tls, minVersion: 'TLSv1.3', ciphers: 'X' },
      { type: 'auto', port: 3 },
      { type: 'unix', path: '/run/pipit.sock', mode: '660' },
    ],
    allowAnonymous: true,
    permissions: [{ effect: 'deny', action: 'publish', filter: '#', reasonCode: 0x97 }],
    limits: { ...defaultLimits, keepAliveFactor: 2, receiveMaximum: 5 },
    sys: { intervalSeconds: false },
    logLevel: 'silent',
  };
  const text = await formatConfiguration(configuration);
  assert.doesNotMatch(text, /secret|passphrase/);
  const { passphrase: _, ...listener } = configuration.listeners[1] as { passphrase: string } & ListenerSettings;
  const listeners = configuration.listeners.with(1, listener as ListenerSettings);
  assert.deepEqual(parseConfiguration(text, 'printed'), { ...configuration, listeners });
});

test('Files named in a configuration are looked for beside it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-'));
  const path = join(folder, 'pipit.yaml');
  try {
    writeFileSync(
      path,
      `data: { directory: kept }
listeners:
  - { type: tls, port: 1, cert: a.pem, key: sub/a-key.pem, ca: /etc/ca.pem, crl: crl.pem }
  - { type: ws, port: 1, path: /ws }
  - { type: unix, path: pipit.sock }
authentication: [{ type: passwords, file: users }]
access: { guests: { authentication: [{ type: passwords, file: guests }], aclFile: acl } }
`,
    );
    const { data, listeners, authentication, access } = await readConfiguration(path);
    assert.deepEqual(data, { ...defaultData, directory: join(folder, 'kept') });
    assert.deepEqual(listeners, [
      {
        type: 'tls',
        port: 1,
        cert: join(folder, 'a.pem'),
        key: join(folder, 'sub/a-key.pem'),
        ca: '/etc/ca.pem',
        crl: join(folder, 'crl.pem'),
      },
      { type: 'ws', port: 1, path: '/ws' },
      { type: 'unix', path: join(folder, 'pipit.sock') },
    ]);
    assert.deepEqual(authentication, [{ type: 'passwords', file: join(folder, 'users') }]);
    assert.deepEqual(access, {
      guests: {
        allowAnonymous: false,
        authentication: [{ type: 'passwords', file: join(folder, 'guests') }],
        aclFile: join(folder, 'acl'),
      },
    });
    await assert.rejects(readConfiguration(join(folder, 'none.yaml')), {
      name: 'ConfigurationError',
      message: `${join(folder, 'none.yaml')}: cannot be read: there is no such file`,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('Without data in a configuration it is kept in the working directory, wherever the configuration lies', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-'));
  try {
    writeFileSync(join(folder, 'pipit.yaml'), 'data: { durability: os }');
    const { data } = await readConfiguration(join(folder, 'pipit.yaml'));
    assert.deepEqual(data, { ...defaultData, durability: 'os', directory: join(process.cwd(), 'pipit-data') });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('What keeps nothing has no directory, and the store has no fewer bytes than it works with', () => {
  assert.deepEqual(parseConfiguration('data: { durability: memory }', 'a').data, { durability: 'memory' });
  assert.equal(configuredStore({ ...defaultConfiguration, data: { durability: 'memory' } }, {}), null);
  const bytesMax = 268_435_456;
  assert.deepEqual(parseConfiguration(`data: { bytesMax: ${bytesMax} }`, 'a').data, { ...defaultData, bytesMax });
  assert.deepEqual(
    problemsOf(() => parseConfiguration(`data:\n  bytesMax: ${bytesMax - 1}\n  segmentBytes: 1`, 'a')),
    [
      'a:2: data.bytesMax: must be a whole number from 268435456 to 1125899906842624',
      'a:3: data.segmentBytes: there is no such setting',
    ],
  );
  assert.deepEqual(
    problemsOf(() => parseConfiguration('data: { durability: memory, directory: kept }', 'a')),
    ['a:1: data.directory: must not be there: durability memory keeps nothing'],
  );
  assert.deepEqual(
    problemsOf(() => parseConfiguration('data: { durability: most }', 'a')),
    ['a:1: data.durability: must be one of fsync, os, memory'],
  );
});

test('The store of a configuration is where it says and as durable as it says', () => {
  const data = { durability: 'os', directory: join(tmpdir(), 'kept'), bytesMax: 2 ** 30 } as const;
  const store = configuredStore({ ...defaultConfiguration, data }, {});
  assert.deepEqual([store?.directory, store?.durability], [data.directory, 'os']);
});

test('A configuration becomes the options of a broker', () => {
  const listeners: ListenerSettings[] = [
    { type: 'wss', port: 1, path: '/ws', ...tls, ca, clientCertificate: 'request', passphrase: 'p' },
    { type: 'auto', port: 2 },
    { type: 'unix', path: '/run/pipit.sock', mode: '660' },
  ];
  const permissions = [{ effect: 'allow', action: 'all', filter: '#' } as const];
  const banned = [{ type: 'client', value: 'meter-17' } as const];
  const configuration = { ...withListeners(...listeners), permissions, banned, sys: { intervalSeconds: 60 } };
  const { access, ...options } = brokerOptions(configuration);
  assert.ok(access instanceof Access);
  assert.deepEqual(planAccess(configuration), { judges: null, rules: permissions, groups: {} });
  assert.deepEqual(options, {
    listeners: [
      { type: 'wss', port: 1, path: '/ws', tls: { ...tls, ca, clientCertificate: 'request', passphrase: 'p' } },
      { type: 'auto', port: 2 },
      { type: 'unix', path: '/run/pipit.sock', mode: 0o660 },
    ],
    limits: defaultLimits,
    sysIntervalMs: 60_000,
    strictText: false,
    queueQos0: false,
    queueOverflow: 'drop-newest',
    banned,
    bansFile: join(defaultData.directory, 'bans.json'),
  });
  assert.equal(brokerOptions({ ...defaultConfiguration, sys: { intervalSeconds: false } }).sysIntervalMs, null);
  const inMemory = brokerOptions({ ...defaultConfiguration, data: { durability: 'memory' } });
  assert.equal('bansFile' in inMemory, false);
});

test('Nobody gets in from elsewhere unasked unless that is allowed', () => {
  const problemOf = (listener: ListenerSettings): string =>
    problemsOf(() => brokerOptions(withListeners(listener))).join();
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', 'localhost']) {
    assert.equal(problemOf({ type: 'tcp', host, port: 1 }), '', host);
  }
  assert.equal(problemOf({ type: 'unix', path: '/run/pipit.sock' }), '');
  for (const proxies of [{ proxyProtocol: ['127.0.0.1'] }, { forwardedFor: ['127.0.0.1'] }]) {
    assert.match(problemOf({ type: 'ws', port: 1, ...proxies }), /^Other machines/, 'whoever reaches the proxy');
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '192.0.2.1',
    '::ffff:192.0.2.1',
    '1.127.0.0',
    'example.org',
    '127.example.org',
  ]) {
    assert.match(
      problemOf({ type: 'ws', host, port: 1 }),
      /^Other machines could reach ws:\S+, and nobody is asked/,
      host,
    );
    assert.ok(brokerOptions({ ...withListeners({ type: 'ws', host, port: 1 }), allowAnonymous: true }));
  }
  const everywhere = { host: '0.0.0.0', port: 1, ...tls };
  assert.notEqual(problemOf({ type: 'tls', ...everywhere }), '');
  assert.notEqual(problemOf({ type: 'tls', ...everywhere, clientCertificate: 'require' }), '');
  assert.notEqual(problemOf({ type: 'tls', ...everywhere, ca, clientCertificate: 'request' }), '');
  assert.notEqual(problemOf({ type: 'auto', ...everywhere, ca, clientCertificate: 'require' }), '');
  assert.equal(problemOf({ type: 'tls', ...everywhere, ca, clientCertificate: 'require' }), '');
});

test('Certificates are tried before anything is opened, all of them', () => {
  const configuration = withListeners(
    { type: 'tls', port: 1, ...tls, cert: '/nowhere.pem' },
    { type: 'wss', port: 1, ...tls },
    { type: 'auto', port: 1, ...tls, key: `${certificates}/client-key.pem` },
  );
  assert.deepEqual(
    problemsOf(() => brokerOptions(configuration)),
    [
      'listeners[0]: The certificate /nowhere.pem cannot be read: there is no such file.',
      `listeners[2]: The private key ${certificates}/client-key.pem does not belong to the certificate ${tls.cert}.`,
    ],
  );
});

test('docs/configuration.md has every setting of the schema, its default and its range, and nothing else', () => {
  const documented = new Map<string, string>();
  for (const [, name = '', value = ''] of documentation.matchAll(/^\| `([^`]+)` \| ([^|]+ \| [^|]+) \|/gm)) {
    documented.set(name, value);
  }
  const described = settingNames(z.toJSONSchema(configurationSchema, { io: 'input' }), '');
  assert.deepEqual([...documented.keys()].sort(), [...described].sort());
  for (const name of limitNames) {
    const [min, max] = limitRanges[name];
    const range = `${min.toLocaleString('en')} to ${max.toLocaleString('en')}`;
    assert.equal(documented.get(`limits.${name}`), `${defaultLimits[name].toLocaleString('en')} | ${range}`, name);
  }
  const { sys, allowAnonymous, strictText, queueQos0, queueOverflow, logLevel, logFormat } = defaultConfiguration;
  const data = {
    'data.durability': defaultData.durability,
    'data.bytesMax': defaultData.bytesMax.toLocaleString('en'),
  };
  const plain = {
    ...data,
    'sys.intervalSeconds': sys.intervalSeconds,
    allowAnonymous,
    strictText,
    queueQos0,
    queueOverflow,
    logLevel,
    logFormat,
  };
  for (const [name, value] of Object.entries(plain)) assert.equal(documented.get(name)?.split(' | ')[0], String(value));
});

test('The examples of docs/configuration.md are configurations', () => {
  const examples = [...documentation.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) =>
    parseConfiguration(text, 'example'),
  );
  assert.equal(examples[0]?.limits.receiveMaximum, 100);
  assert.equal(examples[1]?.authentication?.length, 4);
  assert.equal(examples[2]?.listeners[0]?.access, 'here');
  assert.equal(examples[3]?.banned?.length, 2);
  assert.deepEqual(examples[4]?.permissions?.[2]?.qos, [0, 1]);
  assert.equal(examples.length, 5);
});

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
}

/** `listeners[].port`, `limits.receiveMaximum`: what can be written into a file. */
function settingNames(schema: unknown, path: string): Set<string> {
  const { properties = {}, items, oneOf = [] } = schema as Schema;
  const names = new Set<string>();
  const add = (inner: Schema, innerPath: string): void => {
    for (const name of settingNames(inner, innerPath)) names.add(name);
  };
  for (const [name, property] of Object.entries(properties)) add(property, path === '' ? name : `${path}.${name}`);
  for (const choice of oneOf) add(choice, path);
  if (items !== undefined) add(items, `${path}[]`);
  return names.size === 0 ? new Set([path]) : names;
}

test('What a listener holds its clients to: taken, printed, and refused when it cannot be', () => {
  const listener = {
    type: 'tcp',
    port: 1,
    mountPoint: 'tenants/a/',
    maximumQoS: 0,
    retainAvailable: false,
    topicAliasMaximum: 0,
    allowEmptyClientId: false,
    assignedClientIdPrefix: '',
  } as const;
  assert.deepEqual(parseConfiguration(`listeners: [${JSON.stringify(listener)}]`, 'a').listeners, [listener]);
  const wrong = `listeners:
  - { type: tcp, port: 1, mountPoint: 'a/#' }
  - { type: unix, path: a, mountPoint: $SYS/ }
  - { type: ws, port: 2, maximumQoS: 3 }
  - { type: tcp, port: 3, topicAliasMaximum: 65536, assignedClientIdPrefix: ${'x'.repeat(51)} }
`;
  assert.deepEqual(
    problemsOf(() => parseConfiguration(wrong, 'a')),
    [
      'a:2: listeners[0].mountPoint: must be the beginning of a topic: without + and #, and not with $ in front',
      'a:3: listeners[1].mountPoint: must be the beginning of a topic: without + and #, and not with $ in front',
      'a:4: listeners[2].maximumQoS: must be 0, 1 or 2',
      'a:5: listeners[3].topicAliasMaximum: must be a whole number from 0 to 65535',
      'a:5: listeners[3].assignedClientIdPrefix: must have no more than 50 characters',
    ],
  );
});

test('A listener with an access of its own: a name that is there, as open as that is, without secrets when printed', async () => {
  const text = (name: string, set: string): string =>
    `listeners: [{ type: tcp, host: 0.0.0.0, port: 1, access: ${name} }]\naccess: { here: ${set} }\n`;
  assert.deepEqual(
    problemsOf(() => parseConfiguration(text('there', '{}'), 'a')),
    ['a:1: listeners[0].access: must be a name under access'],
  );
  const both = "{ permissions: [{ effect: allow, action: all, filter: '#' }], aclFile: acl }";
  assert.deepEqual(
    problemsOf(() => parseConfiguration(text('here', both), 'a')),
    ['a:2: access.here.aclFile: must not be there beside permissions'],
  );
  const options = (name: string, set: string): unknown => brokerOptions(parseConfiguration(text(name, set), 'a'));
  assert.match(problemsOf(() => options('here', '{}')).join(), /^Other machines could reach mqtt:/);
  assert.deepEqual(
    problemsOf(() => options('here', '{ allowAnonymous: true }')),
    [],
  );
  assert.deepEqual(
    problemsOf(() => options('here', '{ authentication: [] }')),
    [],
  );
  assert.match(
    problemsOf(() => options('here', '{ allowAnonymous: true, aclFile: /nowhere }')).join(),
    /^\/nowhere: cannot be read/,
  );
  const secret = "{ authentication: [{ type: http, url: 'https://x.example', headers: { authorization: secret } }] }";
  const printed = await formatConfiguration(parseConfiguration(text('here', secret), 'a'));
  assert.doesNotMatch(printed, /secret/);
  const sets = Object.values(parseConfiguration(printed, 'printed').access ?? {});
  assert.equal(sets[0]?.authentication?.length, 1);
});
