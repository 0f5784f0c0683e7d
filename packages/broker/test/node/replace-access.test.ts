/** Users and rules are exchanged under a running broker: whole or not at all, for everybody, asleep or awake, over real sockets. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeUtf8, type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { Access } from '../../src/auth/access.ts';
import type { PlannedJudge } from '../../src/auth/gate.ts';
import { hashPassword } from '../../src/auth/password-hash.ts';
import { type Broker, brokerOptions, ConfigurationError, planAccess } from '../../src/index.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { connectRequest } from './connect-request.ts';
import { dialTcp } from './dial.ts';
import { connectPacket, MqttPeer, publishedBy } from './mqtt-peer.ts';
import { withBroker } from './running-broker.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-replace-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'passwords');
const acl = join(folder, 'acl');

async function writeUsers(
  users: Readonly<Record<string, string>>,
  kind: 'scrypt' | 'scram-sha-256' = 'scrypt',
): Promise<void> {
  const lines = Object.entries(users).map(
    async ([name, password]) =>
      `${name}:${await hashPassword(kind, encodeUtf8(password), Buffer.alloc(16, password))}\n`,
  );
  writeFileSync(file, (await Promise.all(lines)).join(''));
}

const all = "{ effect: allow, action: all, filter: '#' }";
const configured = (permissions: string, more = '') =>
  parseConfiguration(
    `authentication: [{ type: passwords, file: ${file} }]\npermissions: [${permissions}]\n${more}`,
    'test',
  );
const anybody = (text: string) => parseConfiguration(text, 'test');

async function running(
  configuration: ReturnType<typeof configured>,
  body: (port: number, broker: Broker) => Promise<void>,
): Promise<void> {
  await withBroker({ type: 'tcp', port: 0 }, body, { ...brokerOptions(configuration), listeners: [] });
}

interface Login {
  readonly peer: MqttPeer;
  readonly code: number;
  readonly sessionPresent: boolean;
}

async function login(port: number, clientId: string, name: string | null, password = 'secret'): Promise<Login> {
  const peer = new MqttPeer(await dialTcp(port));
  const credentials = name === null ? {} : { username: name, password: encodeUtf8(password) };
  const properties = { sessionExpiryInterval: 600 };
  peer.send({ ...connectPacket(clientId, 5), cleanStart: false, properties, ...credentials } as Packet);
  const connack = await peer.next();
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
  return { peer, code: connack.reasonCode, sessionPresent: connack.sessionPresent };
}

async function enter(port: number, clientId: string, name: string | null, password = 'secret'): Promise<MqttPeer> {
  const { peer, code } = await login(port, clientId, name, password);
  assert.equal(code, ReasonCode.Success);
  return peer;
}

async function isRefused(peer: MqttPeer): Promise<void> {
  const goodbye = await peer.next();
  assert.ok(goodbye !== 'end' && goodbye.type === PacketType.Disconnect, JSON.stringify(goodbye));
  assert.equal(goodbye.reasonCode, ReasonCode.NotAuthorized);
  assert.equal(await peer.next(), 'end');
}

async function publishCode(peer: MqttPeer, topic: string): Promise<number | undefined> {
  peer.publish(topic, 'x', 1, 7);
  const packet = await peer.next();
  return packet !== 'end' && packet.type === PacketType.Puback ? packet.reasonCode : undefined;
}

/** Everything up to the answer to a PINGREQ. */
async function arrived(peer: MqttPeer): Promise<string[]> {
  peer.send({ type: PacketType.Pingreq });
  const topics: string[] = [];
  for (;;) {
    const packet = await peer.next();
    if (packet !== 'end' && packet.type === PacketType.Pingresp) return topics;
    topics.push(publishedBy(packet).topic);
  }
}

test('users who were removed or have another password go, all others stay', { timeout: 20_000 }, async () => {
  await writeUsers({ ada: 'secret', bob: 'secret', eve: 'secret' });
  await running(configured(all), async (port, broker) => {
    const [ada, bob, eve] = [
      await enter(port, 'a', 'ada'),
      await enter(port, 'b', 'bob'),
      await enter(port, 'e', 'eve'),
    ];
    await eve.subscribe('a/#', 1);
    await writeUsers({ ada: 'secret', bob: 'other' });
    broker.replaceAccess(planAccess(configured(all)));
    await isRefused(bob);
    await isRefused(eve);
    assert.equal(await publishCode(ada, 'a/b'), ReasonCode.NoMatchingSubscribers, 'nothing waits for who is gone');
    assert.equal((await login(port, 'e', 'eve')).code, ReasonCode.BadUserNameOrPassword);
    assert.equal((await login(port, 'b', 'bob')).code, ReasonCode.BadUserNameOrPassword);
    const again = await login(port, 'b', 'bob', 'other');
    assert.deepEqual([again.code, again.sessionPresent], [ReasonCode.Success, true]);
    for (const peer of [ada, again.peer]) peer.stream.destroy();
  });
});

test('rules and groups count at once, also for who sleeps', { timeout: 20_000 }, async () => {
  await writeUsers({ ada: 'secret', bob: 'secret' });
  const staff = "{ effect: allow, action: all, filter: 'staff/#', groups: [staff] }";
  const own = "{ effect: allow, action: all, filter: 'own/${username}' }";
  await running(configured(`${staff}, ${own}`, 'groups: { staff: [ada] }'), async (port, broker) => {
    const ada = await enter(port, 'a', 'ada');
    await ada.subscribe('staff/#', 1);
    await ada.subscribe('own/ada', 1);
    ada.send({ type: PacketType.Disconnect, reasonCode: 0 });
    assert.equal(await ada.next(), 'end');
    await broker.publish('staff/1', 'waits', { qos: 1 });
    await broker.publish('own/ada', 'waits', { qos: 1 });
    const bob = await enter(port, 'b', 'bob');
    assert.equal(await publishCode(bob, 'staff/2'), ReasonCode.NotAuthorized);
    broker.replaceAccess(planAccess(configured(`${staff}, ${own}`, 'groups: { staff: [bob] }')));
    assert.equal(await publishCode(bob, 'staff/3'), ReasonCode.NoMatchingSubscribers);
    const again = await enter(port, 'a', 'ada');
    assert.deepEqual(await arrived(again), ['own/ada']);
    for (const peer of [again, bob]) peer.stream.destroy();
  });
});

test('a configuration that cannot be used changes nothing', { timeout: 20_000 }, async () => {
  await writeUsers({ ada: 'secret' });
  await running(configured(all), async (port, broker) => {
    const ada = await enter(port, 'a', 'ada');
    writeFileSync(file, 'nonsense\n');
    writeFileSync(acl, 'also nonsense\n');
    const text = `authentication: [{ type: passwords, file: ${file} }]\naclFile: ${acl}`;
    assert.throws(
      () => broker.replaceAccess(planAccess(parseConfiguration(text, 'test'))),
      (error) => error instanceof ConfigurationError && error.problems.length === 2,
    );
    assert.equal(await publishCode(ada, 'a'), ReasonCode.NoMatchingSubscribers);
    const another = await enter(port, 'a2', 'ada');
    for (const peer of [ada, another]) peer.stream.destroy();
  });
});

test('asking who they are begins and ends while clients are there', { timeout: 20_000 }, async () => {
  await writeUsers({ ada: 'secret' });
  await running(anybody(''), async (port, broker) => {
    const [first, second] = [await enter(port, '1', null), await enter(port, '2', 'whoever')];
    assert.equal(await publishCode(first, 'a'), ReasonCode.NoMatchingSubscribers);
    // Rules alone: who is there stays, and is nobody in particular.
    broker.replaceAccess(planAccess(anybody("permissions: [{ effect: allow, action: all, filter: 'c/${clientId}' }]")));
    assert.equal(await publishCode(first, 'c/1'), ReasonCode.NoMatchingSubscribers);
    assert.equal(await publishCode(first, 'c/2'), ReasonCode.NotAuthorized);
    broker.replaceAccess(planAccess(configured(all)));
    await isRefused(first);
    await isRefused(second);
    assert.equal((await login(port, '3', null)).code, ReasonCode.BadUserNameOrPassword);
    const ada = await enter(port, 'a', 'ada');
    broker.replaceAccess(planAccess(anybody('')));
    assert.equal(await publishCode(ada, 'a'), ReasonCode.NoMatchingSubscribers);
    const third = await enter(port, '3', null);
    for (const peer of [ada, third]) peer.stream.destroy();
  });
});

test('who came unasked stays where such are let in from this machine', { timeout: 20_000 }, async () => {
  await running(anybody(''), async (port, broker) => {
    const nobody = await enter(port, '1', null);
    broker.replaceAccess(
      planAccess(
        anybody(
          "authentication: [{ type: anonymous }]\npermissions: [{ effect: allow, action: publish, filter: a, users: [''] }]",
        ),
      ),
    );
    assert.equal(await publishCode(nobody, 'a'), ReasonCode.NoMatchingSubscribers);
    assert.equal(await publishCode(nobody, 'b'), ReasonCode.NotAuthorized);
    nobody.stream.destroy();
  });
});

test('a value that new rules cannot take ends the connection that has it', { timeout: 20_000 }, async () => {
  for (const first of ['', `permissions: [${all}]`])
    await running(anybody(first), async (port, broker) => {
      const [plain, wild] = [await enter(port, 'plain', null), await enter(port, 'a/b', null)];
      const rules = "{ effect: deny, action: publish, filter: 'x/${clientId}' }";
      broker.replaceAccess(planAccess(anybody(`permissions: [${rules}, ${all}]`)));
      await isRefused(wild);
      assert.equal(await publishCode(plain, 'x/plain'), ReasonCode.NotAuthorized);
      assert.equal(await publishCode(plain, 'x/other'), ReasonCode.NoMatchingSubscribers);
      plain.stream.destroy();
    });
});

// ── A login that is under way while the plan changes

const request = connectRequest({ username: 'ada' });

test('a verdict of the plan before counts by the plan of now', async () => {
  const slow = (): { judge: PlannedJudge; answer: () => void } => {
    const { promise, resolve } = Promise.withResolvers<{ outcome: 'accept'; principal: string }>();
    const judge = { type: 'slow', make: () => ({ authenticate: () => promise }) };
    return { judge, answer: () => resolve({ outcome: 'accept', principal: 'ada' }) };
  };
  const rule = { effect: 'allow', action: 'publish', filter: 'new' } as const;
  const first = slow();
  const access = new Access({ judges: [first.judge], rules: [], groups: {} });
  const stays = access.authenticate(request);
  access.replace({ judges: [slow().judge], rules: [rule], groups: {} });
  first.answer();
  const verdict = await stays;
  assert.equal(verdict.outcome === 'accept' && verdict.permissions?.publish('new', 0, false), 0);
  const second = slow();
  access.replace({ judges: [second.judge], rules: [rule], groups: {} });
  const goes = access.authenticate(request);
  access.replace({
    judges: [{ type: 'other', make: () => ({ authenticate: () => ({ outcome: 'pass' }) }) }],
    rules: null,
    groups: {},
  });
  second.answer();
  const refused = await goes;
  assert.equal(refused.outcome === 'refuse' && refused.reasonCode, ReasonCode.NotAuthorized);
});
