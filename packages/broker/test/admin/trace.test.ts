import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType } from '@pipit/protocol';
import { dialTcp } from '../node/dial.ts';
import { MqttPeer } from '../node/mqtt-peer.ts';
import { type Api, withApi } from './api.ts';

const timeout = { timeout: 20_000 };

class TraceReader {
  readonly status: number;
  readonly #abort: AbortController;
  readonly #lines: AsyncGenerator<Record<string, unknown>>;

  constructor(response: Response, abort: AbortController) {
    this.status = response.status;
    this.#abort = abort;
    this.#lines = linesOf(response);
  }

  /** Steps as they come, up to the one that ends it. */
  async until(last: string): Promise<Record<string, unknown>[]> {
    const steps: Record<string, unknown>[] = [];
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error(`no ${last}: ${JSON.stringify(steps)}`);
      const { time, ...step } = value as Record<string, unknown>;
      assert.match(String(time), /^\d{4}-/);
      steps.push(step);
      if (step['step'] === last) return steps;
    }
  }

  async ends(): Promise<void> {
    assert.equal((await this.#lines.next()).done, true);
  }

  abort(): void {
    this.#abort.abort();
  }
}

async function* linesOf(response: Response): AsyncGenerator<Record<string, unknown>> {
  let text = '';
  for await (const chunk of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line);
  }
}

async function trace(api: Api, query: string, right: 'read' | 'write' = 'read'): Promise<TraceReader> {
  const abort = new AbortController();
  const headers = { authorization: `Bearer ${api.token(right)}` };
  const response = await fetch(`${api.admin.url}/api/v1/trace?${query}`, { headers, signal: abort.signal });
  const reader = new TraceReader(response, abort);
  if (reader.status === 200) await reader.until('begun');
  return reader;
}

test('a topic is followed from the publisher to its receivers, without its payload', timeout, async () => {
  await withApi(async (api) => {
    const reader = await trace(api, 'filter=a/%23');
    const properties = { sessionExpiryInterval: 100 };
    const connect = { type: PacketType.Connect, version: 5, cleanStart: true, keepAlive: 0, properties } as const;
    const away = new MqttPeer(api.broker.connect());
    away.send({ ...connect, clientId: 'away' });
    await away.next();
    await away.subscribe('a/+', 1);
    api.broker.disconnect('away');
    const here = await api.client('here');
    await here.subscribe('#', 1);
    here.publish('a/b', 'the-payload', 1, 7);
    here.publish('b', 'unseen', 0);
    const steps = await reader.until('published');
    assert.deepEqual(
      steps.sort((one, two) => String(one['clientId']).localeCompare(String(two['clientId']))),
      [
        {
          step: 'queued',
          clientId: 'away',
          topic: 'a/b',
          qos: 1,
          payloadBytes: 11,
          packetId: 0,
          detail: 'behind 0 others',
        },
        { step: 'sent', clientId: 'here', topic: 'a/b', qos: 1, payloadBytes: 11, packetId: 1, detail: '' },
        {
          step: 'published',
          clientId: 'here',
          topic: 'a/b',
          qos: 1,
          payloadBytes: 11,
          packetId: 7,
          detail: 'to 2 sessions',
        },
      ],
    );
    reader.abort();
  });
});

test('a client is followed with all it does, until the trace has told enough', timeout, async () => {
  await withApi(async (api) => {
    const reader = await trace(api, 'clientId=c&events=8');
    const peer = await api.client('c');
    await peer.subscribe('x', 1);
    await api.broker.publish('x', 'one', { qos: 1 });
    const packet = await peer.next();
    assert.ok(packet !== 'end' && packet.type === PacketType.Publish);
    peer.send({ type: PacketType.Puback, packetId: packet.packetId, reasonCode: 0 });
    peer.publish('$SYS/no', 'x', 0);
    peer.publish('y', 'x', 0);
    const other = await api.client('d');
    other.publish('x', 'two', 0);
    const steps = await reader.until('sent');
    steps.push(...(await reader.until('sent')));
    assert.deepEqual(
      steps.map(({ step, topic, detail }) => [step, topic, detail]),
      [
        ['connected', undefined, undefined],
        ['subscribed', '', 'x: granted'],
        ['sent', 'x', ''],
        ['acknowledged', '', ''],
        ['published', '$SYS/no', 'refused: publishing to this topic is not allowed'],
        ['published', 'y', 'to 0 sessions'],
        ['sent', 'x', ''],
      ],
    );
    // Six told by the trace so far.
    for (let i = 0; i < 5; i++) await api.broker.publish('x', 'more', { qos: 0 });
    assert.deepEqual((await reader.until('ended')).at(-1), { step: 'ended', reason: 'count' });
    await reader.ends();
    for (let i = 0; i < 5; i++) await peer.next();
  });
});

test('an address is followed before it is a client', timeout, async () => {
  await withApi(
    async (api) => {
      const reader = await trace(api, 'address=127.0.0.1');
      const elsewhere = await trace(api, 'address=192.0.2.1&seconds=1');
      const socket = await dialTcp(api.broker.listeners[0]?.port ?? 0);
      socket.on('error', () => {}).write(Buffer.from([0xc0, 0]));
      const [refused] = await reader.until('refused');
      assert.equal(refused?.['reason'], 'the first packet is not CONNECT');
      reader.abort();
      assert.deepEqual(await elsewhere.until('ended'), [{ step: 'ended', reason: 'time' }]);
      socket.destroy();
    },
    { listeners: [{ type: 'tcp', port: 0 }] },
  );
});

test('a trace nobody reads any more is over; there is a bounded number of them', timeout, async () => {
  await withApi(async (api) => {
    const readers = await Promise.all(Array.from({ length: 16 }, () => trace(api, 'filter=%23')));
    assert.deepEqual(new Set(readers.map(({ status }) => status)), new Set([200]));
    assert.equal((await trace(api, 'filter=%23')).status, 429);
    const ended = new Promise((done) => api.broker.on('trace-ended', ({ reason }) => done(reason)));
    readers[0]?.abort();
    assert.equal(await ended, 'asked');
    assert.equal((await trace(api, 'filter=%23')).status, 200);
    for (const query of ['', 'events=5', 'filter=a/%23/b', 'filter=a&events=0', 'filter=a&seconds=3601', 'clientId=']) {
      assert.equal((await trace(api, query)).status, 400, query);
    }
    for (const each of readers) each.abort();
  });
});
