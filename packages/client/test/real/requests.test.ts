/** Request and response, and topics with types, against Pipit's broker on real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Client, connect, json, type MqttError, type StandardSchema, text, topic } from '@pipit/client';
import { withBroker } from '../../../broker/test/node/running-broker.ts';

async function withPair(
  body: (asker: Client, answerer: Client) => Promise<void>,
  errors: unknown[] = [],
): Promise<void> {
  await withBroker({ type: 'tcp', port: 0 }, async (port) => {
    const url = `mqtt://127.0.0.1:${port}`;
    const clients = [connect(url), connect(url, { onError: (error) => errors.push(error) })] as const;
    try {
      await body(...clients);
    } finally {
      for (const client of clients) client.destroy();
    }
  });
}

test('Answers reach the request they belong to, whatever their order', async () => {
  await withPair(async (asker, answerer) => {
    const first = Promise.withResolvers<void>();
    await answerer.respond('double', async (request) => {
      if (request.text() === '1') await first.promise;
      else first.resolve();
      return { payload: `${Number(request.text()) * 2}`, properties: { contentType: 'text/plain' } };
    });
    const [one, two] = await Promise.all([asker.request('double', '1'), asker.request('double', '2')]);
    assert.deepEqual([one.text(), two.text(), two.properties.contentType], ['2', '4', 'text/plain']);
  });
});

test('A request that nobody answers fails in time, by its signal, and when its responder fails', async () => {
  const errors: unknown[] = [];
  await withPair(async (asker, answerer) => {
    await answerer.respond('broken', () => {
      throw new Error('no');
    });
    const kind = (error: MqttError): string => error.kind;
    const failed = await Promise.all([
      asker.request('nobody', '', { timeoutMs: 20 }).catch(kind),
      asker.request('nobody', '', { signal: AbortSignal.abort() }).catch(kind),
      asker.request('broken', '', { timeoutMs: 100 }).catch(kind),
    ]);
    assert.deepEqual(failed, ['timed-out', 'aborted', 'timed-out']);
    assert.deepEqual(
      errors.map((error) => (error as Error).message),
      ['no'],
    );
  }, errors);
});

test('3.1.1 has no requests', async () => {
  const client = connect('mqtt://127.0.0.1:1', { version: 4 });
  await assert.rejects(client.request('t', ''), (error: MqttError) => error.kind === 'not-allowed');
  client.destroy();
});

interface Reading {
  readonly celsius: number;
}

const reading: StandardSchema<Reading> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      typeof (value as Partial<Reading> | null)?.celsius === 'number'
        ? { value: value as Reading }
        : { issues: [{ message: 'celsius is missing' }] },
  },
};

const temperature = topic('site/{site}/{room}/temp').with(reading);

test('A typed topic publishes what fits, and hands on what fits with its parameters', async () => {
  await withPair(async (publisher, subscriber) => {
    const invalid: string[] = [];
    const subscription = await temperature.subscribe(subscriber, {
      qos: 1,
      params: { site: 'north' },
      invalid: (_, message) => invalid.push(message.text()),
    });
    assert.deepEqual(subscription.subscription.filters, ['site/north/+/temp']);
    await temperature.publish(publisher, { site: 'south', room: 'a' }, { celsius: 1 }, { qos: 1 });
    await publisher.publish('site/north/a/temp', '{}', { qos: 1 });
    await publisher.publish('site/north/a/temp', 'no JSON', { qos: 1 });
    await temperature.publish(publisher, { site: 'north', room: 'b' }, { celsius: 21 }, { qos: 1 });
    for await (const { params, payload, message } of subscription) {
      const typed: { site: string; room: string; celsius: number } = { ...params, ...payload };
      assert.deepEqual(typed, { site: 'north', room: 'b', celsius: 21 });
      assert.equal(message.properties.contentType, 'application/json');
      break;
    }
    assert.deepEqual(invalid, ['{}', 'no JSON']);
    await assert.rejects(
      temperature.publish(publisher, { site: 'north', room: 'b' }, {} as Reading),
      /does not fit: celsius is missing/,
    );
  });
});

test('A pattern makes topics and filters of its parameters, and takes topics apart', () => {
  const pattern = topic('a/{x}/c/{y}');
  assert.equal(pattern.topic({ x: '1', y: '2' }), 'a/1/c/2');
  assert.equal(pattern.filter(), 'a/+/c/+');
  assert.equal(pattern.filter({ y: '2' }), 'a/+/c/2');
  assert.deepEqual(pattern.match('a/1/c/2'), { x: '1', y: '2' });
  assert.equal(pattern.match('a/1/b/2'), null);
  assert.equal(pattern.match('a/1/c/2/d'), null);
  for (const value of ['', 'a/b', '+', '#']) assert.throws(() => pattern.topic({ x: value, y: '2' }), /parameter x/);
  // @ts-expect-error: a parameter is missing
  assert.throws(() => pattern.topic({ x: '1' }), /parameter y/);
  for (const wrong of ['a/{x}/{x}', 'a/b{x}', 'a/#', '']) assert.throws(() => topic(wrong));
  assert.equal(text.decode(text.encode('ä')), 'ä');
  assert.throws(() => json.encode(undefined), TypeError);
});
