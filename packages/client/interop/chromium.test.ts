/**
 * The client in a real browser: Chromium, over ws and wss, against `pipit serve`. The page runs the bundle an application would
 * ship and reports what it saw to a server of ours.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ListenerOptions } from '@pipit/broker';
import { serverTls } from '../../broker/test/node/dial.ts';
import { withBroker } from '../../broker/test/node/running-broker.ts';
import { bundled } from '../test/bundle.ts';
import { reported } from '../test/page.ts';

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

const ways: readonly (readonly [scheme: string, ListenerOptions])[] = [
  ['ws', { type: 'ws', port: 0 }],
  ['wss', { type: 'wss', port: 0, tls: serverTls }],
];

for (const [scheme, listener] of ways) {
  test(`Chromium over ${scheme}: connects, publishes and subscribes at every QoS, with no polyfill`, async () => {
    await withBroker(listener, async (port) => {
      const script = await bundled(application);
      const url = encodeURIComponent(`${scheme}://localhost:${port}/mqtt`);
      assert.deepEqual(await reported(script, `?broker=${url}`), {
        seen: expected,
        ambient: ['undefined', 'undefined', 'undefined'],
      });
    });
  });
}
