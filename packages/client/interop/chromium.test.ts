/**
 * The client in a real browser: Chromium, over ws and wss, against `pipit serve`. The page runs the bundle an application would
 * ship and reports what it saw to a server of ours.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ListenerOptions } from '@pipit/broker';
import { serverTls } from '../../broker/test/node/dial.ts';
import { withBroker } from '../../broker/test/node/running-broker.ts';
import { bundled } from '../test/bundle.ts';

const timeoutMs = 60_000;

/** What the page does; `report` posts to our server. */
const application = `
  import { connect } from '@pipit/client';
  const url = new URL(location.href).searchParams.get('broker');
  const report = (seen) => fetch('/seen', { method: 'POST', body: JSON.stringify(seen) });
  try {
    const seen = [];
    for (const version of [5, 4]) {
      const client = connect(url, { version });
      const subscription = await client.subscribe('t/#', { qos: 2 });
      const payloads = ['', 'text ä', 'x'.repeat(300000)];
      for (const [i, payload] of payloads.entries()) {
        for (const qos of [0, 1, 2]) await client.publish('t/' + i, payload, { qos });
      }
      for (const payload of payloads) {
        for (const qos of [0, 1, 2]) {
          const { value } = await subscription.next();
          seen.push([version, value.topic, value.qos === qos, value.text() === payload]);
        }
      }
      await client.end();
      seen.push(client.status.state);
    }
    await report({ seen, ambient: [typeof Buffer, typeof process, typeof global] });
  } catch (error) {
    await report({ error: String(error) });
  }
`;

const expected = [5, 4].flatMap((version) => [
  ...[0, 1, 2].flatMap((i) => [0, 1, 2].map(() => [version, `t/${i}`, true, true])),
  'ended',
]);

/** Opens a page in Chromium and resolves to what it reports. */
async function reported(brokerUrl: string): Promise<unknown> {
  const script = await bundled(application);
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        response.end();
        resolve(JSON.parse(body));
      });
    } else if (request.url === '/script.js') {
      response.setHeader('content-type', 'text/javascript; charset=utf-8').end(script);
    } else {
      response.setHeader('content-type', 'text/html').end('<script type="module" src="/script.js"></script>');
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const profile = mkdtempSync(join(tmpdir(), 'pipit-chromium-'));
  const page = `http://127.0.0.1:${port}/?broker=${encodeURIComponent(brokerUrl)}`;
  // Our test certificate is nobody's.
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--ignore-certificate-errors',
    `--user-data-dir=${profile}`,
  ];
  const browser = spawn('chromium', [...flags, page], { stdio: 'ignore' });
  browser.on('error', () => reject(new Error('there is no Chromium; apt-get install chromium')));
  const timer = setTimeout(() => reject(new Error('the page has reported nothing')), timeoutMs);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    const gone = new Promise((done) => browser.once('close', done));
    if (browser.pid !== undefined) {
      browser.kill('SIGKILL');
      await gone;
    }
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

const ways: readonly (readonly [scheme: string, ListenerOptions])[] = [
  ['ws', { type: 'ws', port: 0 }],
  ['wss', { type: 'wss', port: 0, tls: serverTls }],
];

for (const [scheme, listener] of ways) {
  test(`Chromium over ${scheme}: connects, publishes and subscribes at every QoS, with no polyfill`, async () => {
    await withBroker(listener, async (port) => {
      assert.deepEqual(await reported(`${scheme}://localhost:${port}/mqtt`), {
        seen: expected,
        ambient: ['undefined', 'undefined', 'undefined'],
      });
    });
  });
}
