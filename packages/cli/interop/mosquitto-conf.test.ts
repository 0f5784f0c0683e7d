/**
 * A mosquitto.conf means the same to `pipit serve` as to Mosquitto: both start with the same file, on ports of their own, and clients
 * do the same at both. What comes of it is compared: who gets in, what arrives, what CONNACK says, or that it does not start.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { type ConnackPacket, type ConnectPacket, encodeUtf8, PacketType, type QoS } from '@pipit/protocol';
import { dialTcp, dialUnix } from '../../broker/test/node/dial.ts';
import { MqttPeer } from '../../broker/test/node/mqtt-peer.ts';
import { answered, freePort, freePorts } from '../../broker/test/node/ports.ts';
import { makeCertificate, makeRevocationList, serverAuth } from '../../broker/test/node/x509.ts';
import { RunningCommand } from '../test/command.ts';

const timeout = { timeout: 60_000 };
/** In which what is going to arrive has arrived. */
const quietMs = 250;
const home = mkdtempSync(join(tmpdir(), 'pipit-mosquitto-conf-'));
chmodSync(home, 0o755);
after(() => rmSync(home, { recursive: true, force: true }));
let folders = 0;

/** Where a broker runs: what PORT, OTHER and FOLDER stand for. */
interface Place {
  readonly port: number;
  readonly other: number;
  readonly folder: string;
}

interface Program {
  stop(): Promise<void>;
}

async function mosquitto(file: string, ports: readonly number[]): Promise<Program> {
  const broker = spawn('mosquitto', ['-c', file], { stdio: 'ignore' });
  const closed = once(broker, 'close');
  await Promise.race([Promise.all(ports.map((port) => answered(port))), closed]);
  assert.equal(broker.exitCode, null, 'mosquitto does not start with it');
  return {
    stop: async () => {
      broker.kill('SIGKILL');
      await closed;
    },
  };
}

async function pipit(file: string): Promise<Program> {
  const serve = new RunningCommand(['serve', '-c', file], dirname(file));
  await serve.until('stdout', /^ready$/m);
  return { stop: async () => void (await serve.stop()) };
}

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = join(home, `${++folders}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text, { mode: 0o644 });
  }
  return folder;
}

function written(lines: readonly string[], { port, other, folder }: Place): string {
  const text = lines
    .join('\n')
    .replaceAll('PORT', `${port}`)
    .replaceAll('OTHER', `${other}`)
    .replaceAll('FOLDER', folder);
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(file, `user root\n${text}\n`);
  return file;
}

/** What `body` finds is the same at both. */
async function same(
  lines: readonly string[],
  files: Readonly<Record<string, string>>,
  body: (place: Place) => Promise<unknown>,
): Promise<unknown> {
  const found: unknown[] = [];
  for (const kind of ['mosquitto', 'pipit'] as const) {
    const [port = 0, other = 0] = await freePorts(2);
    const texts = Object.entries(files).map(([name, text]) => [name, text.replaceAll('OTHER', `${other}`)]);
    const place = { port, other, folder: folderWith(Object.fromEntries(texts)) };
    const file = written(lines, place);
    const ports = [...new Set([place.port, place.other])].filter((port) =>
      lines.join(' ').includes(port === place.port ? 'PORT' : 'OTHER'),
    );
    const program = kind === 'mosquitto' ? await mosquitto(file, ports) : await pipit(file);
    try {
      found.push(await body(place));
    } finally {
      await program.stop();
    }
  }
  assert.deepEqual(found[1], found[0]);
  return found[1];
}

type Login = Partial<ConnectPacket> & { readonly user?: string; readonly secret?: string };

function connectOf({ user, secret, ...rest }: Login): ConnectPacket {
  return {
    type: PacketType.Connect,
    version: 5,
    clientId: 'client',
    cleanStart: true,
    keepAlive: 60,
    ...(user !== undefined && { username: user }),
    ...(secret !== undefined && { password: encodeUtf8(secret) }),
    ...rest,
  };
}

/** A client and what CONNACK said; null: there was none. */
async function enter(where: number | Duplex, login: Login = {}): Promise<[MqttPeer, ConnackPacket | null]> {
  const connect = connectOf(login);
  const peer = new MqttPeer(typeof where === 'number' ? await dialTcp(where) : where, connect.version);
  peer.send(connect);
  const packet = await peer.next();
  return [peer, packet !== 'end' && packet.type === PacketType.Connack ? packet : null];
}

async function client(where: number | Duplex, login: Login = {}): Promise<MqttPeer> {
  const [peer, connack] = await enter(where, login);
  assert.equal(connack?.reasonCode, 0);
  return peer;
}

/** The reason code of CONNACK; 'closed' when there was none. */
async function answer(where: number | Duplex, login: Login = {}): Promise<number | 'closed'> {
  const [peer, connack] = await enter(where, login);
  peer.stream.destroy();
  return connack?.reasonCode ?? 'closed';
}

/** What has come: `topic payload qos`, sorted; 'closed' at its end when the connection is. */
async function heard(peer: MqttPeer): Promise<string[]> {
  await sleep(quietMs);
  const lines: string[] = [];
  for (;;) {
    const packet = await Promise.race([peer.next(), sleep(1, null)]);
    if (packet === null) return lines.sort();
    if (packet === 'end') return [...lines.sort(), 'closed'];
    if (packet.type === PacketType.Publish) lines.push(`${packet.topic} ${Buffer.from(packet.payload)} ${packet.qos}`);
  }
}

async function granted(peer: MqttPeer, filter: string, qos: QoS = 0): Promise<number | 'closed'> {
  const suback = await peer.subscribe(filter, qos);
  return suback !== 'end' && suback.type === PacketType.Suback ? (suback.reasonCodes[0] ?? -1) : 'closed';
}

function retained(peer: MqttPeer, topic: string, payload: string, qos: QoS = 0): void {
  peer.send({
    type: PacketType.Publish,
    topic,
    payload: encodeUtf8(payload),
    qos,
    retain: true,
    dup: false,
    packetId: qos === 0 ? 0 : 5,
  });
}

function passwordFile(...options: readonly string[]): string {
  const file = join(home, `passwords${++folders}`);
  for (const [at, name] of ['ada', 'bob', 'root'].entries()) {
    execFileSync('mosquitto_passwd', [...options, ...(at === 0 ? ['-c'] : []), '-b', file, name, `${name}-secret`], {
      stdio: 'ignore',
    });
  }
  return execFileSync('cat', [file], { encoding: 'utf8' });
}

const users = passwordFile();
const listener = 'listener PORT 127.0.0.1';
const open = [listener, 'allow_anonymous true'];
const logins: readonly Login[] = [
  {},
  { user: 'ada', secret: 'ada-secret' },
  { user: 'ada', secret: 'bob-secret' },
  { user: 'ada' },
  { user: 'eve', secret: 'eve-secret' },
];

async function answers(port: number, version: 4 | 5 = 5): Promise<(number | 'closed')[]> {
  const found: (number | 'closed')[] = [];
  for (const login of logins) found.push(await answer(port, { ...login, version }));
  return found;
}

test(
  'who gets in: nobody, everybody, users with either kind of hash, users and everybody who gives no name',
  timeout,
  async () => {
    const isIn = async ({ port }: Place): Promise<boolean[]> => (await answers(port)).map((code) => code === 0);
    const nobody = await same([listener], {}, isIn);
    assert.deepEqual(nobody, [false, false, false, false, false]);
    await same(open, {}, isIn);
    for (const passwords of [users, passwordFile('-H', 'sha512')]) {
      await same([listener, 'password_file FOLDER/users'], { users: passwords }, isIn);
    }
    const either = await same([...open, 'password_file FOLDER/users'], { users }, isIn);
    assert.deepEqual(either, [true, true, false, false, false]);
    await same(['bind_address 127.0.0.1', 'port PORT'], {}, isIn);
  },
);

const acl = `# of who gives no name
topic read news/#
topic write in

user ada
topic readwrite ada/#
topic deny ada/private/#
topic read shared/+/state
topic write shared/commands
topic readwrite with space/x

user root
topic #

pattern readwrite clients/%c/#
pattern write users/%u
pattern deny clients/%c/hidden
`;
const topics = [
  'news/a',
  'in',
  'ada/x',
  'ada/private/y',
  'ada',
  'shared/1/state',
  'shared/commands',
  'with space/x',
  'clients/mine/a',
  'clients/mine/hidden',
  'clients/other/a',
  'users/ada',
  'users/bob',
  'elsewhere',
  '/',
  'ada/',
];

test(
  'acl_file: what each may write arrives, and what each may read is delivered, and nothing else',
  timeout,
  async () => {
    await same([...open, 'password_file FOLDER/users', 'acl_file FOLDER/acl'], { users, acl }, async ({ port }) => {
      const root = { user: 'root', secret: 'root-secret' };
      const found: unknown[] = [];
      for (const login of [{}, { user: 'ada', secret: 'ada-secret' }, { user: 'bob', secret: 'bob-secret' }]) {
        const watcher = await client(port, { ...root, clientId: 'watcher' });
        await granted(watcher, '#');
        const writer = await client(port, { ...login, clientId: 'mine' });
        for (const topic of topics) writer.publish(topic, 'written');
        found.push(await heard(watcher));
        const everything = await granted(writer, '#');
        for (const topic of topics) watcher.publish(topic, 'to read');
        found.push([everything, await heard(writer)]);
        for (const peer of [watcher, writer]) peer.stream.destroy();
        await sleep(quietMs);
      }
      return found;
    });
  },
);

test('acl_file: patterns are not widened by what a client calls itself', timeout, async () => {
  const patterns = 'user root\ntopic #\npattern readwrite clients/%c/#\n';
  const names = ['+', '#', 'a/b', 'a+b', '$SYS', 'a#'];
  await same(
    [...open, 'password_file FOLDER/users', 'acl_file FOLDER/acl'],
    { users, acl: patterns },
    async ({ port }) => {
      const watcher = await client(port, { user: 'root', secret: 'root-secret', clientId: 'watcher' });
      await granted(watcher, '#');
      for (const clientId of names) {
        const [peer] = await enter(port, { clientId });
        peer.publish('clients/victim/x', `by ${clientId}`);
        await peer.subscribe('clients/#').catch(() => 'end');
        watcher.publish('clients/victim/secret', 'x');
        assert.deepEqual(
          (await heard(peer)).filter((line) => line !== 'closed'),
          [],
          clientId,
        );
        peer.stream.destroy();
      }
      return (await heard(watcher)).filter((line) => line.includes('by'));
    },
  );
});

test('per_listener_settings: users, rules and empty client ids of each listener', timeout, async () => {
  const lines = [
    'per_listener_settings true',
    listener,
    'allow_anonymous true',
    'acl_file FOLDER/acl',
    'allow_zero_length_clientid false',
    'listener OTHER 127.0.0.1',
    'password_file FOLDER/users',
    'auto_id_prefix other-',
  ];
  const found = await same(lines, { users, acl: 'topic read #\ntopic write open\n' }, async ({ port, other }) => {
    const inside = (await answers(other)).map((code) => code === 0);
    const watcher = await client(other, { user: 'bob', secret: 'bob-secret', clientId: 'watcher' });
    await granted(watcher, '#');
    const guest = await client(port, { clientId: 'guest' });
    guest.publish('open', 'x');
    guest.publish('closed', 'x');
    const member = await client(other, { user: 'ada', secret: 'ada-secret', clientId: 'member' });
    member.publish('closed', 'by a member');
    const empty = [await answer(port, { clientId: '' }), await answer(port, { clientId: '', version: 4 })].map(Boolean);
    const [, connack] = await enter(other, { clientId: '', user: 'ada', secret: 'ada-secret' });
    return [inside, await heard(watcher), empty, connack?.properties?.assignedClientIdentifier?.slice(0, 6)];
  });
  assert.deepEqual((found as unknown[])[1], ['closed by a member 0', 'open x 0']);
});

test(
  'the default listener stands beside others where it has a port, and listeners of options alone have their own',
  timeout,
  async () => {
    await same(
      ['port PORT', 'bind_address 127.0.0.1', 'allow_anonymous true', 'max_qos 1', 'listener OTHER 127.0.0.1'],
      {},
      async (place) => {
        const said = async (port: number): Promise<unknown> => (await enter(port))[1]?.properties?.maximumQoS;
        return [await said(place.port), await said(place.other)];
      },
    );
  },
);

test('max_qos: CONNACK, what is granted, wills and publishes above it', timeout, async () => {
  await same([...open, 'max_qos 1'], {}, async ({ port }) => {
    const [five, connack] = await enter(port);
    const found: unknown[] = [connack?.properties?.maximumQoS, await granted(five, 'a', 2)];
    const will = { topic: 'w', payload: encodeUtf8('x'), qos: 2, retain: false } as const;
    found.push(await answer(port, { clientId: 'w5', will }));
    for (const version of [4, 5] as const) {
      const peer = await client(port, { clientId: `p${version}`, version });
      peer.publish('a', 'at it', 1, 1);
      peer.publish('a', 'above', 2, 2);
      found.push((await heard(peer)).includes('closed'));
    }
    return [...found, await heard(five)];
  });
});

test('retain_available false: CONNACK, wills and publishes', timeout, async () => {
  await same([...open, 'retain_available false'], {}, async ({ port }) => {
    const [, connack] = await enter(port, { clientId: 'five' });
    const will = { topic: 'w', payload: encodeUtf8('x'), qos: 0, retain: true } as const;
    const found: unknown[] = [connack?.properties?.retainAvailable, await answer(port, { clientId: 'w5', will })];
    for (const version of [4, 5] as const) {
      const peer = await client(port, { clientId: `p${version}`, version });
      retained(peer, 'kept', 'x', 1);
      found.push((await heard(peer)).includes('closed'));
    }
    const late = await client(port, { clientId: 'late' });
    await granted(late, '#');
    return [...found, await heard(late)];
  });
});

test(
  'mount_point: what is published lies below it, retained and wills too, and nothing else is reached',
  timeout,
  async () => {
    const found = await same(
      [listener, 'mount_point tenants/a/', 'listener OTHER 127.0.0.1', 'allow_anonymous true'],
      {},
      async ({ port, other }) => {
        const watcher = await client(other, { clientId: 'watcher' });
        await granted(watcher, '#');
        const inside = await client(port, { clientId: 'inside' });
        inside.publish('t', 'live');
        retained(inside, 'state', 'kept');
        const will = { topic: 'gone', payload: encodeUtf8('x'), qos: 0, retain: false } as const;
        (await client(port, { clientId: 'dying', will })).stream.destroy();
        const below = await heard(watcher);
        // Mosquitto 2.0 does not cut the mount point off what it delivers, whatever its manual says: only the number is compared.
        await granted(inside, 't');
        await granted(inside, '../b/#');
        await granted(inside, 'tenants/a/t');
        for (const topic of ['tenants/a/t', 't', 'tenants/b/t']) watcher.publish(topic, 'from outside');
        return [below, (await heard(inside)).length];
      },
    );
    assert.deepEqual(found, [['tenants/a/gone x 0', 'tenants/a/state kept 0', 'tenants/a/t live 0'], 1]);
  },
);

test('limits: connections of a listener, keep alive, aliases, a queue', timeout, async () => {
  const lines = [
    ...open,
    'max_connections 3',
    'max_topic_alias 7',
    'listener OTHER 127.0.0.1',
    'max_keepalive 30',
    'max_inflight_messages 2',
    'max_queued_messages 5',
    'max_packet_size 2000',
  ];
  await same(lines, {}, async ({ port, other }) => {
    const answered: boolean[] = [];
    await sleep(quietMs);
    for (let i = 0; i < 5; i++) answered.push((await enter(port, { clientId: `c${i}` }))[1] !== null);
    const [, connack] = await enter(other, { clientId: 'asks', keepAlive: 600 });
    const { serverKeepAlive, maximumPacketSize } = connack?.properties ?? {};
    const properties = { sessionExpiryInterval: 60 };
    const sleeper = await client(other, { clientId: 'sleeper', properties });
    await granted(sleeper, 'q', 1);
    sleeper.stream.destroy();
    await sleep(quietMs);
    const sender = await client(other, { clientId: 'sender' });
    for (let i = 1; i <= 10; i++) sender.publish('q', `${i}`, 1, i);
    await heard(sender);
    const [back] = await enter(other, { clientId: 'sleeper', cleanStart: false, properties });
    // Mosquitto 2.0 lets in one more.
    return [answered.slice(0, 3), answered[4], serverKeepAlive, maximumPacketSize, await heard(back)];
  });
});

test('queue_qos0_messages, and sys_interval 0', timeout, async () => {
  for (const lines of [open, [...open, 'queue_qos0_messages true', 'sys_interval 0']]) {
    await same(lines, {}, async ({ port }) => {
      const properties = { sessionExpiryInterval: 60 };
      const sleeper = await client(port, { clientId: 'sleeper', properties });
      await granted(sleeper, 'q', 1);
      const system = await granted(sleeper, '$SYS/broker/uptime');
      const hasUptime = (await heard(sleeper)).length > 0;
      sleeper.stream.destroy();
      await sleep(quietMs);
      const sender = await client(port, { clientId: 'sender' });
      sender.publish('q', 'zero', 0);
      sender.publish('q', 'one', 1, 1);
      await heard(sender);
      const [back] = await enter(port, { clientId: 'sleeper', cleanStart: false, properties });
      const got = (await heard(back)).filter((line) => line.startsWith('q '));
      return [system, hasUptime, got];
    });
  }
});

test('certificates: required, revoked, and as names, the common one or the whole subject', timeout, async () => {
  const authority = makeCertificate({ subject: [['CN', 'ca']], isAuthority: true });
  const made = (...subject: Parameters<typeof makeCertificate>[0]['subject']) =>
    makeCertificate({ subject, issuer: authority });
  const server = makeCertificate({ subject: [['CN', 'localhost']], issuer: authority, purpose: serverAuth });
  const ada = made(['O', 'Sen, sors + "Co"'], ['CN', 'ada']);
  const revoked = made(['CN', 'gone']);
  const stranger = makeCertificate({ subject: [['CN', 'ada']] });
  const files = {
    'ca.pem': authority.cert,
    'server.pem': server.cert,
    'server-key.pem': server.key,
    'crl.pem': makeRevocationList(authority, [revoked]),
    acl: 'user ada\ntopic write by/name\nuser CN=ada,O=Sen\\, sors \\+ \\"Co\\"\ntopic write by/subject\nuser root\ntopic #\n',
    users,
  };
  const tls = ['cafile ca.pem', 'certfile server.pem', 'keyfile server-key.pem', 'crlfile crl.pem'].map((line) =>
    line.replace(' ', ' FOLDER/'),
  );
  const dial = (port: number, shown: { cert: string; key: string } | null): Promise<Duplex | null> => {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.cert, ...shown });
    return new Promise((done) => {
      socket.once('error', () => done(null));
      socket.once('secureConnect', () => done(socket));
    });
  };
  for (const name of ['', 'use_identity_as_username true', 'use_subject_as_username true']) {
    const lines = [
      'per_listener_settings true',
      listener,
      ...tls,
      'require_certificate true',
      'password_file FOLDER/users',
      'acl_file FOLDER/acl',
      name,
      'listener OTHER 127.0.0.1',
      'allow_anonymous true',
    ];
    const found = await same(lines, files, async ({ port, other }) => {
      const watcher = await client(other, { clientId: 'watcher' });
      await granted(watcher, '#');
      const isIn: boolean[] = [];
      for (const shown of [null, stranger, revoked, ada]) {
        for (const login of [{}, { user: 'root', secret: 'root-secret' }, { user: 'root', secret: 'wrong' }]) {
          const socket = await dial(port, shown);
          const [peer, connack] = socket === null ? [null, null] : await enter(socket, { ...login, clientId: 'shown' });
          isIn.push(connack?.reasonCode === 0);
          for (const topic of ['by/name', 'by/subject', 'by/root'])
            if (connack?.reasonCode === 0) peer?.publish(topic, login.secret ?? '');
          await sleep(50);
          peer?.stream.destroy();
        }
      }
      return [isIn, await heard(watcher)];
    });
    const [isIn] = found as [boolean[]];
    assert.equal(isIn.slice(0, 9).includes(true), false, 'nobody without a certificate that counts');
    assert.equal(isIn.slice(9).includes(true), true);
  }
});

test('a Unix socket, files of a folder in their order, and what follows a bridge', timeout, async () => {
  await same(
    ['listener 0 FOLDER/socket', 'allow_anonymous true', ...open, 'max_connections -1'],
    {},
    async ({ folder }) => {
      return (await enter(await dialUnix(join(folder, 'socket'))))[1]?.reasonCode;
    },
  );
  const conf = {
    'more/B.conf': 'max_keepalive 20\n',
    'more/a.conf': 'max_keepalive 30\nlistener OTHER 127.0.0.1\nmax_qos 0\n',
    'more/b.conf': 'max_keepalive 40\n',
  };
  await same([...open, 'include_dir FOLDER/more', '# OTHER'], conf, async ({ port, other }) => {
    const said: unknown[] = [];
    for (const each of [port, other]) {
      const { maximumQoS, serverKeepAlive } = (await enter(each))[1]?.properties ?? {};
      said.push(maximumQoS, serverKeepAlive);
    }
    return said;
  });
  const bridged = [
    listener,
    'connection other',
    'address 127.0.0.1:1',
    'topic # out',
    'start_type lazy',
    'password_file FOLDER/users',
    'allow_anonymous false',
  ];
  const found = await same(bridged, { users }, async ({ port }) => (await answers(port)).map((code) => code === 0));
  assert.deepEqual(found, [false, true, false, false, false]);
});

test('what is no configuration for Mosquitto is none here', timeout, async () => {
  for (const lines of [
    [...open, 'nonsense 1'],
    [...open, 'max_qos 3'],
    [...open, 'mount_point a/#'],
    [listener, 'allow_anonymous yes'],
    [listener, 'protocol mqttsn'],
    [listener, 'acl_file FOLDER/nowhere'],
    [listener, 'password_file FOLDER/nowhere'],
    [listener, 'certfile FOLDER/nowhere', 'keyfile FOLDER/nowhere'],
    [listener, 'persistent_client_expiration soon'],
    ['listener'],
    ['listener 99999'],
  ]) {
    const place = { port: await freePort(), other: await freePort(), folder: folderWith({}) };
    const file = written(lines, place);
    const theirs = spawn('mosquitto', ['-c', file], { stdio: 'ignore' });
    const [code] = (await Promise.race([once(theirs, 'close'), sleep(3_000, [null])])) as [number | null];
    theirs.kill('SIGKILL');
    assert.notEqual(code, null, `mosquitto starts with ${lines.join('; ')}`);
    const ours = await new RunningCommand(['serve', '-c', file], place.folder).outcome();
    assert.equal(ours.exitCode, 2, `${lines.join('; ')}: ${ours.stderr}`);
  }
});
