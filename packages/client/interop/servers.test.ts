/** What the client promises, against Mosquitto and against Pipit as they are started by a user: the same tests for both. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Client,
  connect,
  type Message,
  MqttError,
  type NodeConnectOptions,
  outboxFolder,
  topic,
} from '@pipit/client';
import { certificateFile } from '../../broker/test/node/dial.ts';
import {
  packetBytesMax,
  type Relay,
  receiveMaximum,
  relayTo,
  type Server,
  startMosquitto,
  startPipit,
} from './servers.ts';

const tls = {
  ca: readFileSync(certificateFile('ca')),
  cert: readFileSync(certificateFile('client')),
  key: readFileSync(certificateFile('client-key')),
};
const soon = { minMs: 5, maxMs: 40 };

/** A client over a link that can be cut, for the length of `body`. */
async function over(
  server: Server,
  options: NodeConnectOptions,
  body: (client: Client, relay: Relay) => Promise<void>,
): Promise<void> {
  const relay = await relayTo(server.port);
  const client = connect(relay.url, { reconnect: soon, ...options });
  try {
    await client.connected();
    await body(client, relay);
  } finally {
    client.destroy();
    await relay.close();
  }
}

/** Resolves when the client is connected again. */
async function cutAndBack(client: Client, relay: Relay): Promise<void> {
  const back = Promise.withResolvers<void>();
  const stop = client.onStatus(({ state }) => {
    if (state === 'connected') back.resolve();
  });
  relay.cut();
  await back.promise;
  stop();
}

function kindOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'kept',
    (error: unknown) => (error instanceof MqttError ? error.kind : String(error)),
  );
}

for (const server of [await startMosquitto(), await startPipit()]) {
  for (const version of [4, 5] as const) {
    for (const [scheme, url] of Object.entries(server.urls)) {
      test(`${server.name}, ${scheme}, version ${version}: every QoS there and back`, async () => {
        const client = connect(url, { version, tls });
        const subscription = await client.subscribe(`over/${scheme}/${version}`, { qos: 2 });
        for (const qos of [0, 1, 2] as const) {
          await client.publish(`over/${scheme}/${version}`, `${qos}`, { qos });
          const { value } = await subscription.next();
          assert.deepEqual([value.qos, value.text()], [qos, `${qos}`]);
        }
        await client.end();
      });
    }

    test(`${server.name}, version ${version}: a message over which connections end is set aside, and the others go on`, async () => {
      await over(server, { version, limits: { attemptsMax: 3 } }, async (client) => {
        const subscription = await client.subscribe(`large/${version}`, { qos: 1 });
        const large = client.publish(`large/${version}`, 'x'.repeat(2 * packetBytesMax), { qos: 1 });
        const small = client.publish(`large/${version}`, 'small', { qos: 1 });
        // 5.0 says what is too large; 3.1.1 has no words for it, and closes.
        assert.equal(await kindOf(large), version === 5 ? 'not-allowed' : 'set-aside');
        await small;
        assert.equal((await subscription.next()).value.text(), 'small');
      });
    });

    test(`${server.name}, version ${version}: one refused filter does not hide the others`, async () => {
      await over(server, { version }, async (client) => {
        const subscription = await client.subscribe(['secret/a', 'open/a'], { qos: 1 });
        assert.deepEqual(
          subscription.refused.map(({ filter, reasonCode }) => [filter, reasonCode]),
          [['secret/a', version === 5 ? 0x87 : 0x80]],
        );
        await client.publish('open/a', 'here', { qos: 1 });
        assert.equal((await subscription.next()).value.text(), 'here');
        assert.equal(await kindOf(client.subscribe('secret/b')), 'refused');
      });
    });

    test(`${server.name}, version ${version}: what the application has not acknowledged comes again, until it has`, async () => {
      const options = { version, clientId: `manual-${version}`, cleanStart: version === 5 };
      await over(server, options, async (client, relay) => {
        const name = `manual/${version}`;
        const subscription = await client.subscribe(name, { qos: 1, manualAck: true });
        await client.publish(name, 'first', { qos: 1 });
        assert.equal((await subscription.next()).value.text(), 'first');
        await cutAndBack(client, relay);
        const { value } = await subscription.next();
        assert.deepEqual([value.text(), value.duplicate], ['first', true]);
        value.ack();
        await client.publish(name, 'second', { qos: 1 });
        assert.equal((await subscription.next()).value.text(), 'second');
      });
    });

    test(`${server.name}, version ${version}: an outbox on the disk is sent by the next process's client, in order`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'pipit-outbox-'));
      const name = `outbox/${version}`;
      const nowhere = connect('mqtt://127.0.0.1:1', { version, outbox: outboxFolder(folder) });
      for (const payload of ['a', 'b', 'c']) await nowhere.publish(name, payload, { qos: 1, until: 'stored' });
      await nowhere.end({ drainMs: 0 });
      const watcher = connect(server.urls.mqtt, { version });
      const subscription = await watcher.subscribe(name, { qos: 1 });
      const next = connect(server.urls.mqtt, { version, outbox: outboxFolder(folder) });
      for (const payload of ['a', 'b', 'c']) assert.equal((await subscription.next()).value.text(), payload);
      await next.end();
      await watcher.end();
      rmSync(folder, { recursive: true });
    });

    test(`${server.name}, version ${version}: several URLs in turn, and back by itself with its subscriptions`, async () => {
      const relay = await relayTo(server.port);
      const births: number[] = [];
      const client = connect(['mqtt://127.0.0.1:1', relay.url], {
        version,
        reconnect: soon,
        birth: (self) => {
          births.push(births.length);
          return self.publish(`born/${version}`, 'again', { qos: 1, retain: true });
        },
      });
      const seen: Message[] = [];
      const third = Promise.withResolvers<void>();
      await client.subscribe(`born/${version}`, {
        qos: 1,
        handler: (message) => {
          if (seen.push(message) === 3) third.resolve();
        },
      });
      await cutAndBack(client, relay);
      client.networkChanged();
      await client.publish(`born/${version}`, 'and on', { qos: 1 });
      await third.promise;
      assert.equal(births.length, 2);
      assert.equal(seen.at(-1)?.text(), 'and on');
      await client.end();
      await relay.close();
    });
  }

  test(`${server.name}: its Receive Maximum and its aliases are kept to, 1,000 messages at once`, async () => {
    await over(server, {}, async (client) => {
      assert.equal(client.server.receiveMaximum, receiveMaximum);
      const subscription = await client.subscribe('many/+', { qos: 1 });
      let most = 0;
      const answers = Array.from({ length: 1_000 }, (_, i) => client.publish(`many/${i % 5}`, `${i}`, { qos: 1 }));
      for (let i = 0; i < 1_000; i++) {
        assert.equal((await subscription.next()).value.text(), `${i}`);
        most = Math.max(most, client.outbox.inFlight);
      }
      await Promise.all(answers);
      assert.ok(most <= receiveMaximum && most > 0, `${most} were open`);
    });
  });

  test(`${server.name}: whoever is slow holds the window of the server, not memory`, async () => {
    await over(server, { limits: { receiveMaximum: 3 } }, async (client) => {
      const other = connect(server.urls.mqtt);
      const held: (() => void)[] = [];
      let arrived = 0;
      await client.subscribe('slow', {
        qos: 1,
        handler: () => {
          arrived++;
          return new Promise<void>((done) => held.push(done));
        },
      });
      for (let i = 0; i < 20; i++) await other.publish('slow', `${i}`, { qos: 1 });
      // The answer to a request of ours comes behind all that the server would have sent.
      await client.publish('turn', '', { qos: 1 });
      assert.equal(arrived, 3);
      while (arrived < 20) {
        for (const release of held.splice(0)) release();
        await client.publish('turn', '', { qos: 1 });
      }
      for (const release of held) release();
      await other.end();
    });
  });

  test(`${server.name}: a signal or a time gives up publish, subscribe and request, and nothing hangs`, async () => {
    await over(server, {}, async (client) => {
      const gone = { signal: AbortSignal.abort() };
      assert.deepEqual(
        await Promise.all([
          kindOf(client.publish('t', '', { qos: 1, ...gone })),
          kindOf(client.subscribe('t', gone)),
          kindOf(client.request('nobody', '', { signal: AbortSignal.timeout(20) })),
          kindOf(client.request('nobody', '', { timeoutMs: 20 })),
        ]),
        ['aborted', 'aborted', 'aborted', 'timed-out'],
      );
      await client.publish('t', 'still', { qos: 2 });
    });
  });

  test(`${server.name}: the will of a client that vanishes comes after its delay, unless it is back before`, async () => {
    const watcher = connect(server.urls.mqtt);
    const wills = await watcher.subscribe('will/+', { qos: 1 });
    const will = (name: string, delay: number) =>
      ({ topic: `will/${name}`, payload: name, qos: 1, properties: { willDelayInterval: delay } }) as const;
    const options = { clientId: 'late', sessionExpirySeconds: 60 };
    const late = connect(server.urls.mqtt, { ...options, will: will('late', 60) });
    await late.connected();
    late.destroy();
    const prompt = connect(server.urls.mqtt, { will: will('prompt', 0) });
    await prompt.connected();
    prompt.destroy();
    assert.equal((await wills.next()).value.text(), 'prompt');
    const back = connect(server.urls.mqtt, { ...options, cleanStart: false });
    assert.equal((await back.connected()).sessionPresent, true);
    await back.end({ sessionExpirySeconds: 0 });
    await watcher.publish('will/none', 'none came', { qos: 1 });
    assert.equal((await wills.next()).value.text(), 'none came');
    await watcher.end();
  });

  test(`${server.name}: every property of a message, request and response, and typed topics`, async () => {
    await over(server, {}, async (client) => {
      const subscription = await client.subscribe('all', { qos: 1, subscriptionIdentifier: 7 });
      const properties = {
        payloadFormatIndicator: 1,
        messageExpiryInterval: 60,
        contentType: 'text/plain',
        responseTopic: 'answers',
        correlationData: Uint8Array.of(1, 2),
        userProperties: [
          ['a', '1'],
          ['a', '2'],
        ],
      } as const;
      await client.publish('all', 'x', {
        qos: 1,
        properties: {
          ...properties,
          userProperties: [
            ['a', '1'],
            ['a', '2'],
          ],
        },
      });
      const { value } = await subscription.next();
      assert.deepEqual(value.properties, { ...properties, subscriptionIdentifiers: [7] });

      await client.respond('double/#', (request) => `${Number(request.text()) * 2}`);
      assert.equal((await client.request('double/it', '21')).text(), '42');

      const celsius = { validate: (given: unknown) => ({ value: given as { celsius: number } }) };
      const temperature = topic('site/{site}/temp').with({ '~standard': { version: 1, vendor: 'own', ...celsius } });
      const typed = await temperature.subscribe(client, { qos: 1 });
      await temperature.publish(client, { site: 'north' }, { celsius: 21 }, { qos: 1 });
      for await (const { params, payload } of typed) {
        assert.deepEqual([params.site, payload.celsius], ['north', 21]);
        break;
      }
    });
  });
}
