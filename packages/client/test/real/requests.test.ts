/** Request and response, and topics with types, against Pipit's broker on real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Client, connect, json, type MqttError, type StandardSchema, text, topic } from '@pipit/client';
import * as z from 'zod';
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

test('Schemas of Zod: input on the way out, output on the way in, with transforms and checks that take their time', async () => {
  const schema = z.object({
    at: z.iso.datetime().transform((time) => new Date(time)),
    celsius: z.number().refine(async (value) => Promise.resolve(value > -274), 'colder than cold'),
    unit: z.string().default('C'),
  });
  const measured = topic('measured/{room}').with(schema);
  await withPair(async (publisher, subscriber) => {
    const invalid: string[] = [];
    const subscription = await measured.subscribe(subscriber, {
      qos: 1,
      invalid: (error) => invalid.push((error as Error).message),
    });
    await publisher.publish('measured/a', '{"at":"2026-01-02T03:04:05Z","celsius":-300}', { qos: 1 });
    await measured.publish(publisher, { room: 'b' }, { at: '2026-01-02T03:04:05Z', celsius: 21 }, { qos: 1 });
    for await (const { params, payload } of subscription) {
      const at: Date = payload.at;
      const unit: string = payload.unit;
      assert.deepEqual(
        [params.room, at.getTime(), payload.celsius, unit],
        ['b', Date.UTC(2026, 0, 2, 3, 4, 5), 21, 'C'],
      );
      break;
    }
    assert.deepEqual(invalid, ['The payload does not fit: colder than cold']);
    // @ts-expect-error: what is published is the input, a text and no Date
    await assert.rejects(measured.publish(publisher, { room: 'b' }, { at: new Date(), celsius: 1 }), /does not fit/);
  });
});

test('A schema may be a function that has the property, as those of other libraries are', async () => {
  type Even = StandardSchema<number, { readonly half: number }>;
  const even: Even & ((value: unknown) => boolean) = Object.assign((value: unknown) => Number(value) % 2 === 0, {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value: unknown) =>
        even(value)
          ? { value: { half: Number(value) / 2 } }
          : { issues: [{ message: 'odd', path: ['a', { key: 1 }] }] },
    },
  } as const);
  const counts = topic('count').with(even);
  await withPair(async (publisher, subscriber) => {
    const got = Promise.withResolvers<number>();
    await counts.subscribe(subscriber, { handler: ({ payload }) => got.resolve(payload.half) });
    await assert.rejects(counts.publish(publisher, {}, 3), (error: MqttError) => /odd/.test(error.message));
    await counts.publish(publisher, {}, 42);
    assert.equal(await got.promise, 21);
  });
});

test('A client id that no topic may have a level of still gets its answers', async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port) => {
    const client = connect(`mqtt://127.0.0.1:${port}`, { clientId: 'line 1/+#' });
    await client.respond('echo', (request) => request.payload);
    assert.equal((await client.request('echo', 'hello')).text(), 'hello');
    await client.end();
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
