/** The client over every transport against Pipit's broker, on real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ListenerOptions } from '@pipit/broker';
import { connect, MqttError, type NodeConnectOptions } from '@pipit/client';
import { certificateFile, serverTls } from '../../../broker/test/node/dial.ts';
import { withBroker } from '../../../broker/test/node/running-broker.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-client-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'socket');

const ca = readFileSync(certificateFile('ca'));
const own = { cert: readFileSync(certificateFile('client')), key: readFileSync(certificateFile('client-key')) };
const mutual = { ...serverTls, ca: certificateFile('ca'), clientCertificate: 'require' } as const;

interface Way {
  readonly name: string;
  readonly listener: ListenerOptions;
  readonly url: (port: number) => string;
  readonly options?: NodeConnectOptions;
}

const ways: readonly Way[] = [
  { name: 'TCP', listener: { type: 'tcp', port: 0 }, url: (port) => `mqtt://127.0.0.1:${port}` },
  { name: 'IPv6', listener: { type: 'tcp', port: 0, host: '::1' }, url: (port) => `mqtt://[::1]:${port}` },
  {
    name: 'TLS with a client certificate',
    listener: { type: 'tls', port: 0, tls: mutual },
    url: (port) => `mqtts://localhost:${port}`,
    options: { tls: { ca, ...own } },
  },
  { name: 'WebSocket', listener: { type: 'ws', port: 0 }, url: (port) => `ws://127.0.0.1:${port}/mqtt` },
  {
    name: 'secure WebSocket with a client certificate',
    listener: { type: 'wss', port: 0, tls: mutual },
    url: (port) => `wss://localhost:${port}/mqtt`,
    options: { tls: { ca, ...own } },
  },
  { name: 'a Unix socket', listener: { type: 'unix', path }, url: () => `unix:${path}` },
];

for (const { name, listener, url, options = {} } of ways) {
  for (const version of [4, 5] as const) {
    test(`${name}, version ${version}: messages of every QoS and size arrive once and whole, in their order`, async () => {
      await withBroker(listener, async (port) => {
        const client = connect(url(port), { ...options, version });
        const subscription = await client.subscribe('t/#', { qos: 2 });
        const payloads = [0, 1, 300, 70_000, 1_000_000].map((size, i) => new Uint8Array(size).fill(i + 1));
        const answers = payloads.flatMap((payload, i) =>
          ([0, 1, 2] as const).map((qos) => client.publish(`t/${i}/${qos}`, payload, { qos })),
        );
        const expected = payloads.flatMap((payload, i) =>
          [0, 1, 2].map((qos) => ({ topic: `t/${i}/${qos}`, payload, qos })),
        );
        for (const { topic, payload, qos } of expected) {
          const { value } = await subscription.next();
          assert.deepEqual([value.topic, value.qos], [topic, qos]);
          assert.ok(Buffer.from(value.payload).equals(payload), topic);
        }
        await Promise.all(answers);
        await client.end();
        assert.equal(client.status.state, 'ended');
      });
    });
  }
}

test('A server without a certificate that we trust is not talked to, and the status says why', async () => {
  await withBroker({ type: 'tls', port: 0, tls: serverTls }, async (port) => {
    const client = connect(`mqtts://localhost:${port}`, { reconnect: false });
    await assert.rejects(client.connected(), /certificate/);
    await client.end();
  });
});

test('Nothing at the address is told, and the next URL is tried', async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port) => {
    const client = connect(['mqtt://127.0.0.1:1', `mqtt://127.0.0.1:${port}`]);
    const seen: string[] = [];
    client.onStatus(({ state, why }) => seen.push(`${state} ${why.cause}`));
    await client.connected();
    assert.deepEqual(seen, ['connecting asked', 'connecting dial-failed', 'connected dial-failed']);
    await client.end();
  });
});

test('A URL of an unknown kind, and a CONNECT that cannot be right, are refused at once', () => {
  assert.throws(() => connect('http://127.0.0.1'), /no transport for http:/);
  assert.throws(
    () => connect('mqtt://127.0.0.1', { version: 4, cleanStart: false, clientId: '' }),
    /Client Identifier/,
  );
  assert.throws(() => connect([]), TypeError);
  assert.ok(new MqttError('ended', '') instanceof Error);
});

test('What TLS has against a server is told in its words, without where in OpenSSL it came from', async () => {
  const server = createServer((socket) => socket.end('this is no TLS at all\r\n')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  for (const scheme of ['mqtts', 'wss']) {
    const client = connect(`${scheme}://127.0.0.1:${port}`, { reconnect: false });
    await assert.rejects(client.connected(), /: TLS: [a-z ]+$/);
  }
  server.close();
});
