/** Who gets in and what they may do, as a configuration says, over real sockets. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeUtf8, type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { hashPassword } from '../../src/auth/password-hash.ts';
import { brokerOptions, ConfigurationError } from '../../src/index.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { certificateFile, dialTcp, dialTls } from './dial.ts';
import { connectPacket, MqttPeer } from './mqtt-peer.ts';
import { withBroker } from './running-broker.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-access-'));
after(() => rmSync(folder, { recursive: true }));

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

// `ada` was made by mosquitto_passwd; her password is `secret`, that of bob `pencil`.
const ada =
  'ada:$7$101$mQWBfoH4iiZCvC+P$n7uRojE5lsWWNB7mJwtkp083vXtpkUkToh65eFnATzQPvOMS3rzApCtk3Pw2uUlPBvDLxXm4tmE0xfD3iKZU0Q==';
const passwords = written(
  'passwords',
  `${ada}\nbob:${await hashPassword('scrypt', encodeUtf8('pencil'), Buffer.alloc(16))}\n`,
);

function login(clientId: string, username: string, password: string): Packet {
  return { ...connectPacket(clientId, 5), username, password: encodeUtf8(password) } as Packet;
}

async function codeOf(peer: MqttPeer): Promise<number> {
  const packet = await peer.next();
  assert.ok(packet !== 'end' && 'reasonCode' in packet, JSON.stringify(packet));
  return packet.reasonCode;
}

async function grantedTo(peer: MqttPeer, filter: string): Promise<number | undefined> {
  const suback = await peer.subscribe(filter, 1);
  return suback !== 'end' && suback.type === PacketType.Suback ? suback.reasonCodes[0] : undefined;
}

async function publishCode(peer: MqttPeer, topic: string): Promise<number> {
  peer.publish(topic, 'x', 1, 7);
  return codeOf(peer);
}

test('passwords, and rules by name: right ones get in, wrong ones are told so, each may do its own', async () => {
  const text = `
listeners: [{ type: tcp, port: 0 }]
authentication: [{ type: passwords, file: ${passwords} }]
groups: { staff: [bob] }
permissions:
  - { effect: allow, action: all, filter: 'own/\${username}/#' }
  - { effect: allow, action: subscribe, filter: '#', groups: [staff] }
`;
  const options = brokerOptions(parseConfiguration(text, 'test'));
  await withBroker(
    { type: 'tcp', port: 0 },
    async (port) => {
      const enter = async (packet: Packet): Promise<[MqttPeer, number]> => {
        const peer = new MqttPeer(await dialTcp(port));
        peer.send(packet);
        return [peer, await codeOf(peer)];
      };
      const [first, welcome] = await enter(login('a', 'ada', 'secret'));
      assert.equal(welcome, ReasonCode.Success);
      assert.equal(await grantedTo(first, 'own/ada/#'), 1);
      assert.equal(await grantedTo(first, 'own/bob/#'), ReasonCode.NotAuthorized);
      assert.equal(await publishCode(first, 'own/bob/x'), ReasonCode.NotAuthorized);
      const [second] = await enter(login('b', 'bob', 'pencil'));
      assert.equal(await publishCode(second, 'own/bob/x'), ReasonCode.NoMatchingSubscribers);
      assert.equal(await grantedTo(second, '#'), 1);
      for (const [name, password] of [
        ['ada', 'pencil'],
        ['eve', 'secret'],
        ['bob', ''],
      ] as const) {
        const [refused, code] = await enter(login('c', name, password));
        assert.equal(code, ReasonCode.BadUserNameOrPassword);
        assert.equal(await refused.next(), 'end');
      }
      const [nameless, code] = await enter(connectPacket('d', 5));
      assert.equal(code, ReasonCode.BadUserNameOrPassword);
      assert.equal(await nameless.next(), 'end');
      for (const peer of [first, second]) peer.stream.destroy();
    },
    { ...options, listeners: [] },
  );
});

test('a certificate is a name, and an acl_file of Mosquitto says what it may do', async () => {
  const acl = written('acl', 'topic read open/#\nuser device 7\ntopic write up/7\npattern read down/%c\n');
  const text = `
authentication: [{ type: certificate }, { type: anonymous }]
aclFile: ${acl}
`;
  const options = brokerOptions(parseConfiguration(text, 'test'));
  const [cert, key, ca] = ['server', 'server-key', 'ca'].map(certificateFile) as [string, string, string];
  const listener = { type: 'tls', port: 0, tls: { cert, key, ca, clientCertificate: 'request' } } as const;
  await withBroker(
    listener,
    async (port) => {
      const device = new MqttPeer(await dialTls(port, { client: 'client' }));
      await device.connect('seven');
      assert.equal(await publishCode(device, 'up/7'), ReasonCode.NoMatchingSubscribers);
      assert.equal(await publishCode(device, 'up/8'), ReasonCode.NotAuthorized);
      const guest = new MqttPeer(await dialTls(port));
      await guest.connect('guest');
      assert.equal(await publishCode(guest, 'up/7'), ReasonCode.NotAuthorized);
      assert.equal(await grantedTo(guest, '#'), 1);
      for (const peer of [device, guest]) peer.stream.destroy();
    },
    { ...options, listeners: [] },
  );
});

test('once anybody is asked, nobody may do what no rule allows', async () => {
  const options = brokerOptions(
    parseConfiguration(`authentication: [{ type: passwords, file: ${passwords} }]`, 'test'),
  );
  await withBroker(
    { type: 'tcp', port: 0 },
    async (port) => {
      const peer = new MqttPeer(await dialTcp(port));
      peer.send(login('a', 'ada', 'secret'));
      assert.equal(await codeOf(peer), ReasonCode.Success);
      assert.equal(await publishCode(peer, 'a'), ReasonCode.NotAuthorized);
      assert.equal(await grantedTo(peer, 'a'), ReasonCode.NotAuthorized);
      peer.stream.destroy();
    },
    { ...options, listeners: [] },
  );
});

test('files that cannot be used are told before anything opens, all problems at once', () => {
  const bad = written('bad', 'nonsense\n');
  const text = `
authentication: [{ type: passwords, file: ${bad} }, { type: passwords, file: /nowhere }]
aclFile: ${bad}
`;
  assert.throws(
    () => brokerOptions(parseConfiguration(text, 'test')),
    (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.equal(error.problems.length, 3);
      assert.match(error.problems.join('\n'), /bad: line 1 has no name.*\n|nowhere: cannot be read/);
      return true;
    },
  );
});

test('rules about the client id hold also where nobody is asked', async () => {
  const text = "permissions: [{ effect: allow, action: publish, filter: 'up/${clientId}' }]";
  const options = brokerOptions(parseConfiguration(text, 'test'));
  await withBroker(
    { type: 'tcp', port: 0 },
    async (port) => {
      const peer = new MqttPeer(await dialTcp(port));
      await peer.connect('seven');
      assert.equal(await publishCode(peer, 'up/seven'), ReasonCode.NoMatchingSubscribers);
      assert.equal(await publishCode(peer, 'up/eight'), ReasonCode.NotAuthorized);
      peer.stream.destroy();
    },
    { ...options, listeners: [] },
  );
});
