/** A mosquitto.conf means the same to `pipit serve` as to Mosquitto: listeners, what they offer, limits, files, and what is no configuration. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeUtf8 } from '@pipit/protocol';
import { dialUnix } from '../../broker/test/node/dial.ts';
import { freePort } from '../../broker/test/node/ports.ts';
import { RunningCommand } from '../test/command.ts';
import {
  answer,
  answers,
  client,
  enter,
  folderWith,
  granted,
  heard,
  listener,
  open,
  quietMs,
  retained,
  same,
  users,
  written,
} from './beside-mosquitto.ts';

const timeout = { timeout: 60_000 };

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
