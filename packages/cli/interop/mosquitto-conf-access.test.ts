/** A mosquitto.conf means the same to `pipit serve` as to Mosquitto: who gets in, by what, and what they may write and read. */

import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { makeCertificate, makeRevocationList, serverAuth } from '../../broker/test/node/x509.ts';
import {
  answer,
  answers,
  client,
  enter,
  granted,
  heard,
  listener,
  open,
  type Place,
  passwordFile,
  quietMs,
  same,
  users,
} from './beside-mosquitto.ts';

const timeout = { timeout: 60_000 };

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
