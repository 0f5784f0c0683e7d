/** The client against Mosquitto: the same messages as against Pipit, and a session over a restart of the server. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, type Status } from '@pipit/client';
import { startMosquitto } from '../../broker/test/node/mosquitto.ts';
import { answered, freePorts } from '../../broker/test/node/ports.ts';

const [tcp, ws] = (await freePorts(2)) as [number, number];
const listeners = ['allow_anonymous true', `listener ${ws} 127.0.0.1`, 'protocol websockets'];
let mosquitto = await startMosquitto(listeners, {}, String(tcp));
await answered(ws);
after(() => mosquitto.stop());

for (const url of [`mqtt://127.0.0.1:${tcp}`, `ws://127.0.0.1:${ws}`]) {
  for (const version of [4, 5] as const) {
    test(`${url.slice(0, url.indexOf(':'))}, version ${version}: every QoS and size, once and in order`, async () => {
      const client = connect(url, { version });
      const subscription = await client.subscribe('t/#', { qos: 2 });
      const payloads = ['', 'a', 'x'.repeat(20_000)];
      const answers = payloads.flatMap((payload, i) =>
        ([0, 1, 2] as const).map((qos) => client.publish(`t/${i}`, payload, { qos })),
      );
      const seen = new Map<number, string[]>();
      for (let i = 0; i < 9; i++) {
        const { value } = await subscription.next();
        seen.set(value.qos, [...(seen.get(value.qos) ?? []), value.text()]);
      }
      assert.deepEqual([...seen.keys()].sort(), [0, 1, 2]);
      for (const each of seen.values()) assert.deepEqual(each, payloads);
      await Promise.all(answers);
      await client.end();
    });
  }
}

test('Request and response, aliases and a thousand messages 100 deep', async () => {
  const client = connect(`mqtt://127.0.0.1:${tcp}`);
  await client.respond('double', (request) => `${Number(request.text()) * 2}`);
  assert.equal((await client.request('double', '21')).text(), '42');
  const subscription = await client.subscribe('many', { qos: 1 });
  const answers = Array.from({ length: 1_000 }, (_, i) => client.publish('many', `${i}`, { qos: 1 }));
  for (let i = 0; i < 1_000; i++) assert.equal((await subscription.next()).value.text(), `${i}`);
  await Promise.all(answers);
  await client.end();
});

test('A server that was killed and forgot everything: subscriptions are made again, QoS 1 arrives', async () => {
  const client = connect(`mqtt://127.0.0.1:${tcp}`, { reconnect: { minMs: 10, maxMs: 100 } });
  const states: Status['state'][] = [];
  client.onStatus(({ state }) => states.push(state));
  const subscription = await client.subscribe('t', { qos: 1 });
  await mosquitto.stop();
  const answer = client.publish('t', 'after', { qos: 1 });
  mosquitto = await startMosquitto(listeners, {}, String(tcp));
  await answer;
  await client.publish('t', 'last', { qos: 1 });
  const seen = [(await subscription.next()).value.text()];
  if (seen[0] === 'after') seen.push((await subscription.next()).value.text());
  assert.equal(seen.at(-1), 'last');
  assert.ok(states.includes('waiting'));
  await client.end();
});
