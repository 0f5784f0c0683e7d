/** Listeners with users and rules of their own: who gets in where, what they may do, and what their sessions keep of it. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type ConnectPacket, encodeUtf8, PacketType, ReasonCode } from '@pipit/protocol';
import { hashPassword } from '../../src/auth/password-hash.ts';
import { type Broker, brokerOptions, createBroker, openStore, reloadOptions } from '../../src/index.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { dialTcp } from './dial.ts';
import { connectPacket, MqttPeer, publishedBy } from './mqtt-peer.ts';

const timeout = { timeout: 30_000 };
const folder = mkdtempSync(join(tmpdir(), 'pipit-access-sets-'));
after(() => rmSync(folder, { recursive: true }));

async function passwordsOf(file: string, ...users: [name: string, password: string][]): Promise<string> {
  const path = join(folder, file);
  const lines = users.map(async ([name, password]) => {
    return `${name}:${await hashPassword('scrypt', encodeUtf8(password), Buffer.alloc(16))}\n`;
  });
  writeFileSync(path, (await Promise.all(lines)).join(''));
  return path;
}

const staff = await passwordsOf('staff', ['ada', 'staff-secret']);
const guests = await passwordsOf('guests', ['ada', 'guest-secret']);

/** The first listener has the rules of all, the second is for guests, the third is open, the fourth knows the staff by other rules. */
function text(guestRules = "{ effect: allow, action: all, filter: 'guests/#' }"): string {
  return `
data: { durability: memory }
listeners:
  - { type: tcp, port: 0 }
  - { type: tcp, host: 127.0.0.2, port: 0, access: guests }
  - { type: tcp, host: 127.0.0.3, port: 0, access: open }
  - { type: tcp, host: 127.0.0.4, port: 0, access: reading }
authentication: [{ type: passwords, file: ${staff} }]
permissions: [{ effect: allow, action: all, filter: '#' }]
access:
  guests:
    authentication: [{ type: passwords, file: ${guests} }, { type: anonymous }]
    permissions: [${guestRules}]
  open: {}
  reading:
    authentication: [{ type: passwords, file: ${staff} }]
    permissions: [{ effect: allow, action: subscribe, filter: '#' }]
`;
}

interface Place {
  readonly broker: Broker;
}

const staffPlace = 0;
const guestPlace = 1;
const openPlace = 2;
const readingPlace = 3;

async function enter(
  { broker }: Place,
  place: number,
  clientId: string,
  password: string | null,
): Promise<[peer: MqttPeer, reasonCode: number, isPresent: boolean]> {
  const peer = new MqttPeer(await dialTcp(broker.listeners[place]?.port ?? 0, `127.0.0.${place + 1}`));
  const login = password === null ? {} : { username: 'ada', password: encodeUtf8(password) };
  const properties = { sessionExpiryInterval: 600 };
  const connect = connectPacket(clientId, 5) as ConnectPacket;
  peer.send({ ...connect, ...login, properties, cleanStart: false });
  const connack = await peer.next();
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
  return [peer, connack.reasonCode, connack.sessionPresent];
}

async function publishCode(peer: MqttPeer, topic: string): Promise<number> {
  peer.publish(topic, 'x', 1, 9);
  const puback = await peer.next();
  assert.ok(puback !== 'end' && puback.type === PacketType.Puback);
  return puback.reasonCode;
}

async function subscribeCode(peer: MqttPeer, filter: string): Promise<number | undefined> {
  const suback = await peer.subscribe(filter, 1);
  return suback !== 'end' && suback.type === PacketType.Suback ? suback.reasonCodes[0] : undefined;
}

async function withPlace(body: (place: Place) => Promise<void>, store?: ReturnType<typeof openStore>): Promise<void> {
  const options = brokerOptions(parseConfiguration(text(), 'test'));
  const broker = createBroker({ ...options, ...(store !== undefined && { store }) });
  await broker.start();
  try {
    await body({ broker });
  } finally {
    await broker.stop();
  }
}

test('each listener lets in its own users, with its own rules', timeout, async () => {
  await withPlace(async (place) => {
    const denied = ReasonCode.NotAuthorized;
    const unheard = ReasonCode.NoMatchingSubscribers;
    const wrong = ReasonCode.BadUserNameOrPassword;
    const [member, welcome] = await enter(place, staffPlace, 'a', 'staff-secret');
    assert.equal(welcome, 0);
    assert.equal(await publishCode(member, 'anything'), unheard);
    assert.equal((await enter(place, staffPlace, 'b', null))[1], wrong);
    assert.equal((await enter(place, staffPlace, 'b', 'guest-secret'))[1], wrong);

    const [guest] = await enter(place, guestPlace, 'c', 'guest-secret');
    assert.equal(await publishCode(guest, 'guests/x'), unheard);
    assert.equal(await publishCode(guest, 'anything'), denied);
    assert.equal(await subscribeCode(guest, '#'), denied);
    assert.equal((await enter(place, guestPlace, 'd', 'staff-secret'))[1], wrong);
    const [anonymous] = await enter(place, guestPlace, 'e', null);
    assert.equal(await publishCode(anonymous, 'anything'), denied);

    const [free] = await enter(place, openPlace, 'f', 'whatever');
    assert.equal(await publishCode(free, 'anything'), unheard);
    assert.equal(await subscribeCode(free, '$SYS/#'), 1);

    const [reader] = await enter(place, readingPlace, 'g', 'staff-secret');
    assert.equal(await subscribeCode(reader, '#'), 1);
    assert.equal(await publishCode(reader, 'anything'), denied);
  });
});

test(
  'a session is its own by the users that know it: of another set by the same name it is somebody else',
  timeout,
  async () => {
    await withPlace(async (place) => {
      const [mine] = await enter(place, staffPlace, 'device', 'staff-secret');
      mine.stream.destroy();
      assert.equal((await enter(place, guestPlace, 'device', 'guest-secret'))[1], ReasonCode.ClientIdentifierNotValid);
      const [, code, isPresent] = await enter(place, readingPlace, 'device', 'staff-secret');
      assert.deepEqual([code, isPresent], [0, true]);
      assert.equal(place.broker.inspection.session('device')?.principal, 'ada');
      await enter(place, guestPlace, 'other', 'guest-secret');
      assert.equal(place.broker.inspection.session('other')?.principal, 'guests:ada');
    });
  },
);

test(
  'after a reload, and after a restart, each session is held to the rules of its own set, awake or asleep',
  timeout,
  async () => {
    const directory = join(folder, 'data');
    await withPlace(
      async (place) => {
        const { broker } = place;
        const [asleep] = await enter(place, guestPlace, 'asleep', 'guest-secret');
        assert.equal(await subscribeCode(asleep, 'guests/a'), 1);
        assert.equal(await subscribeCode(asleep, 'guests/b'), 1);
        asleep.stream.destroy();
        const [free] = await enter(place, openPlace, 'free', null);
        assert.equal(await subscribeCode(free, 'guests/a'), 1);
        const [awake] = await enter(place, guestPlace, 'awake', 'guest-secret');
        assert.equal(await subscribeCode(awake, 'guests/a'), 1);
        const narrower = text("{ effect: allow, action: all, filter: 'guests/b' }");
        const { listeners: _, ...access } = reloadOptions(parseConfiguration(narrower, 'test'));
        await broker.reload(access);
        assert.equal(await publishCode(awake, 'guests/a'), ReasonCode.NotAuthorized);
        await broker.publish('guests/a', 'for the free alone', { qos: 1 });
        assert.equal(publishedBy(await free.next()).payload, 'for the free alone');
        const left = [...broker.inspection.subscriptionsOf('asleep')].flatMap((each) => each?.filter ?? []);
        assert.deepEqual(left, ['guests/b']);
      },
      openStore(directory, { durability: 'os' }),
    );
    // The configuration of before: what is granted again was lost all the same.
    await withPlace(
      async (place) => {
        const { broker } = place;
        await broker.publish('guests/b', 'kept', { qos: 1 });
        const [back, , isPresent] = await enter(place, guestPlace, 'asleep', 'guest-secret');
        assert.equal(isPresent, true);
        assert.equal(publishedBy(await back.next()).payload, 'kept');
        assert.equal(await publishCode(back, 'anything'), ReasonCode.NotAuthorized);
      },
      openStore(directory, { durability: 'os' }),
    );
  },
);

test('a set that is gone lets in nobody, and who is in by it is disconnected', timeout, async () => {
  await withPlace(async (place) => {
    const { broker } = place;
    const [guest] = await enter(place, guestPlace, 'c', 'guest-secret');
    const [member] = await enter(place, staffPlace, 'a', 'staff-secret');
    const plan = reloadOptions(parseConfiguration(text(), 'test')).access;
    broker.replaceAccess({ ...plan, sets: new Map() });
    const farewell = await guest.next();
    assert.ok(farewell !== 'end' && farewell.type === PacketType.Disconnect);
    assert.equal(farewell.reasonCode, ReasonCode.NotAuthorized);
    assert.equal((await enter(place, guestPlace, 'd', 'guest-secret'))[1], ReasonCode.NotAuthorized);
    assert.equal((await enter(place, openPlace, 'd', null))[1], ReasonCode.NotAuthorized);
    assert.equal(await publishCode(member, 'anything'), ReasonCode.NoMatchingSubscribers);
  });
});

test('a listener that names a set needs somebody who knows it', timeout, async () => {
  const broker = createBroker();
  await broker.start();
  await assert.rejects(broker.listen({ type: 'tcp', port: 0, access: 'guests' }), /nobody is there to know it/);
  await broker.stop();
});
