/** What the application sees, on real sockets against Pipit's broker: promises, iterators, handlers, back-pressure, status. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import type { Broker } from '@pipit/broker';
import { type Client, type ConnectOptions, connect, json, type Message, type MqttError } from '@pipit/client';
import { decodePacket, encodePacket, Framer, type Packet, PacketType, viewOf } from '@pipit/protocol';
import { withBroker } from '../../../broker/test/node/running-broker.ts';

/** A broker and a client of it for the length of a test. */
async function withClient(
  options: ConnectOptions,
  body: (client: Client, broker: Broker, url: string) => Promise<void>,
): Promise<void> {
  await withBroker({ type: 'tcp', port: 0 }, async (port, broker) => {
    const url = `mqtt://127.0.0.1:${port}`;
    const client = connect(url, { reconnect: { minMs: 5, maxMs: 20 }, ...options });
    try {
      await body(client, broker, url);
    } finally {
      client.destroy();
    }
  });
}

test('An iterator gets what is published, and leaving the loop ends the subscription', async () => {
  await withClient({}, async (client) => {
    const subscription = await client.subscribe('a/+', { qos: 1 });
    for (const name of ['one', 'two', 'three']) await client.publish(`a/${name}`, name, { qos: 1 });
    const seen: string[] = [];
    for await (const message of subscription) {
      seen.push(`${message.topic} ${message.text()}`);
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen, ['a/one one', 'a/two two']);
    const { reasonCode } = await client.publish('a/four', '', { qos: 1 });
    assert.equal(reasonCode, 0x10, 'nobody wants it any more');
  });
});

test('Handlers get their own messages; one that throws is told and the message is dealt with', async () => {
  const errors: unknown[] = [];
  await withClient({ onError: (error) => errors.push(error) }, async (client) => {
    const seen: string[] = [];
    await client.subscribe('a', { qos: 1, handler: ({ topic }) => seen.push(`first ${topic}`) });
    await client.subscribe('#', { qos: 1, handler: ({ topic }) => seen.push(`all ${topic}`) });
    await client.subscribe('b', {
      handler: () => {
        throw new Error('mine');
      },
    });
    const last = await client.subscribe('end');
    await client.publish('a', '', { qos: 1 });
    await client.publish('b', '', { qos: 1 });
    await client.publish('end', '', { qos: 1 });
    await last.next();
    assert.deepEqual(seen, ['first a', 'all a', 'all b', 'all end']);
    assert.equal((errors[0] as Error).message, 'mine');
  });
});

test('One refused filter does not hide the others', async () => {
  await withClient({}, async (client) => {
    const subscription = await client.subscribe(['ok', '$share/g/also'], { qos: 2 });
    assert.deepEqual([subscription.grantedQoS, subscription.refused], [2, []]);
    await assert.rejects(client.subscribe('a/#/b'), (error: MqttError) => error.kind === 'not-allowed');
  });
});

test('Whoever is slow holds the window of the server, not memory', async () => {
  await withClient({ limits: { receiveMaximum: 4 } }, async (client, broker) => {
    const subscription = await client.subscribe('t', { qos: 1 });
    for (let i = 0; i < 50; i++) await broker.publish('t', `${i}`, { qos: 1 });
    const first = await subscription.next();
    await client.publish('elsewhere', '', { qos: 1 });
    assert.equal(first.value.text(), '0');
    const { value } = await subscription.next();
    assert.equal(value.text(), '1');
    for (let i = 2; i < 50; i++) assert.equal((await subscription.next()).value.text(), `${i}`);
  });
});

test('Messages that the application acknowledges itself come again until it has', async () => {
  await withClient({}, async (client, broker) => {
    const taken: Message[] = [];
    const arrived = Promise.withResolvers<void>();
    await client.subscribe('t', {
      qos: 1,
      manualAck: true,
      handler: (message) => {
        taken.push(message);
        if (taken.length === 2) arrived.resolve();
      },
    });
    await broker.publish('t', 'x', { qos: 1 });
    while (taken.length === 0) await client.publish('turn', '', { qos: 1 });
    await broker.disconnect(client.clientId, 0x89, 'try again');
    await arrived.promise;
    assert.deepEqual(
      taken.map((message) => [message.text(), message.duplicate]),
      [
        ['x', false],
        ['x', true],
      ],
    );
    taken[1]?.ack();
  });
});

test('One ack speaks for all subscriptions that leave it to the application, and waits for the others', async () => {
  await withClient({ limits: { receiveMaximum: 1 } }, async (client, broker) => {
    const manual = { qos: 1, manualAck: true } as const;
    const first = await client.subscribe('t', manual);
    const second = await client.subscribe('t/#', manual);
    const loop = await client.subscribe('+', { qos: 1 });
    for (const payload of ['a', 'b']) await broker.publish('t', payload, { qos: 1 });
    const { value } = await first.next();
    assert.equal((await second.next()).value, value);
    assert.equal((await loop.next()).value, value);
    value.ack();
    value.ack();
    let isLate = false;
    const next = first.next().then((result) => {
      isLate = true;
      return result;
    });
    await client.publish('turn', '', { qos: 1 });
    assert.ok(!isLate, 'the loop has not dealt with it');
    const after = loop.next();
    assert.equal((await next).value.text(), 'b');
    assert.equal((await after).value.text(), 'b');
  });
});

test('Back after a lost connection everything goes on; every change of the status says why', async () => {
  await withClient({ clientId: 'me' }, async (client, broker) => {
    const seen: string[] = [];
    client.onStatus(({ state, why }) => seen.push(`${state}: ${why.cause}`));
    const subscription = await client.subscribe('t', { qos: 1 });
    broker.disconnect('me', 0x89, 'busy');
    while (client.status.state === 'connected') await new Promise((done) => setImmediate(done));
    await client.publish('t', 'after', { qos: 1 });
    assert.equal((await subscription.next()).value.text(), 'after');
    assert.deepEqual(seen.slice(0, 3), ['connecting: asked', 'connected: asked', seen[2]]);
    // The pause before the first try may be none at all.
    assert.match(seen[2] ?? '', /^(waiting|connecting): disconnected$/);
    assert.deepEqual(seen.slice(-2), ['connecting: disconnected', 'connected: disconnected']);
    const states: string[] = [];
    const watching = (async () => {
      for await (const { state } of client.statuses()) states.push(state);
    })();
    await client.end();
    await watching;
    assert.deepEqual(states, ['connected', 'ended']);
    assert.deepEqual(await subscription.next(), { done: true, value: undefined });
  });
});

test('`birth` is called on every connection', async () => {
  const births: boolean[] = [];
  const birth = async (client: Client, { sessionPresent }: { sessionPresent: boolean }): Promise<void> => {
    births.push(sessionPresent);
    await client.publish('state', 'online', { qos: 1, retain: true });
  };
  await withClient({ clientId: 'me', birth }, async (client, broker) => {
    await client.connected();
    const subscription = await client.subscribe('state', { retainHandling: 2 });
    broker.disconnect('me', 0x89, 'busy');
    assert.equal((await subscription.next()).value.text(), 'online');
    assert.deepEqual(births, [false, true]);
  });
});

test('Every call settles: by signal, by time, by the end', async () => {
  const client = connect('mqtt://127.0.0.1:1');
  const aborted = client.publish('t', '', { qos: 1, signal: AbortSignal.abort('no') });
  const late = client.publish('t', '', { qos: 1, timeoutMs: 1 });
  const waiting = [client.publish('t', ''), client.subscribe('t'), client.connected()];
  const kinds = Promise.all(
    [aborted, late, ...waiting].map((call) => call.then(String, (error: MqttError) => error.kind)),
  );
  await assert.rejects(late, (error: MqttError) => error.kind === 'timed-out');
  await client.end({ drainMs: 0 });
  assert.deepEqual(await kinds, ['aborted', 'timed-out', 'ended', 'ended', 'ended']);
  await assert.rejects(client.publish('t', ''), (error: MqttError) => error.kind === 'ended');
});

test('A refused connection rejects with the reason of the server', async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port, broker) => {
    const url = `mqtt://127.0.0.1:${port}`;
    const first = connect(url, { clientId: 'same' });
    const subscription = await first.subscribe('t');
    const second = connect(url, { clientId: 'same' });
    await second.connected();
    await assert.rejects(
      subscription.next(),
      (error: MqttError) => error.kind === 'ended' && error.reasonCode === 0x8e,
    );
    assert.equal(broker.metrics === undefined, false);
    await second.end();
  });
});

test('The caller may do with his bytes what he likes once publish has returned', async () => {
  await withClient({}, async (client) => {
    const subscription = await client.subscribe('t', { qos: 2 });
    for (const qos of [0, 1, 2] as const) {
      const bytes = Buffer.from('before');
      const answer = client.publish('t', bytes, { qos });
      bytes.fill('x');
      assert.equal((await subscription.next()).value.text(), 'before');
      await answer;
    }
  });
});

test('JSON and text with any character survive', async () => {
  await withClient({}, async (client) => {
    const subscription = await client.subscribe('t');
    const value = { text: 'ä\u0000😀\uFEFF', list: [1, null] };
    await client.publish('t', json.encode(value));
    assert.deepEqual((await subscription.next()).value.json(), value);
    await client.publish('t', value.text);
    assert.equal((await subscription.next()).value.text(), value.text);
  });
});

test('Ending cleanly leaves no session and no will; destroying leaves the will', async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port) => {
    const url = `mqtt://127.0.0.1:${port}`;
    const watcher = connect(url);
    const wills = await watcher.subscribe('will/+');
    const will = (name: string) => ({ topic: `will/${name}`, payload: name });
    const polite = connect(url, { will: will('polite') });
    await polite.connected();
    await polite.end();
    const rude = connect(url, { will: will('rude'), sessionExpirySeconds: 0 });
    await rude.connected();
    rude.destroy();
    assert.equal((await wills.next()).value.text(), 'rude');
    await watcher.end();
  });
});

test('A listener, handler or birth that throws is told, and stops nothing', async () => {
  const errors: string[] = [];
  const onError = (error: unknown): unknown => errors.push((error as Error).message);
  const fail = (name: string) => (): never => {
    throw new Error(name);
  };
  await withClient({ onError, birth: fail('birth') }, async (client, broker) => {
    const stop = client.onStatus(fail('status'));
    const heard: string[] = [];
    client.onStatus(({ state }) => heard.push(state));
    const { clientId } = await client.connected();
    await client.subscribe('t', { handler: fail('handler') });
    await client.publish('t', 'x', { qos: 1 });
    assert.ok(broker.disconnect(clientId, 0x8b));
    await client.publish('t', 'x', { qos: 1 });
    stop();
    await client.end();
    assert.deepEqual(
      heard.filter((state) => state !== 'waiting'),
      ['connecting', 'connected', 'connecting', 'connected', 'ended'],
    );
  });
  assert.deepEqual([...new Set(errors)].sort(), ['birth', 'handler', 'status']);
});

test('A signal or a time gives up whatever waits for the server, and the next call is none the worse', async () => {
  // A server that takes CONNECT and says nothing afterwards.
  const sockets = new Set<Socket>();
  const mute = createServer((socket) => {
    sockets.add(socket);
    socket.once('data', () => socket.write(Uint8Array.of(0x20, 3, 0, 0, 0)));
  }).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const url = `mqtt://127.0.0.1:${(mute.address() as AddressInfo).port}`;
  const authentication = { method: 'M', answer: () => Uint8Array.of(1) };
  const client = connect(url, { authentication, reconnect: false });
  const kind = (call: Promise<unknown>): Promise<unknown> =>
    call.then(
      () => 'kept',
      (error: MqttError) => error.kind,
    );
  const timeoutMs = 20;
  const signal = AbortSignal.timeout(20);
  await client.connected();
  assert.deepEqual(
    await Promise.all([
      kind(client.subscribe('t', { timeoutMs })),
      kind(client.subscribe('t', { signal })),
      kind(client.publish('t', '', { qos: 1, timeoutMs })),
      kind(client.publish('t', '', { qos: 2, signal })),
      kind(client.request('t', '', { timeoutMs })),
      kind(client.request('t', '', { signal })),
      kind(client.reauthenticate(null, { timeoutMs })),
    ]),
    ['timed-out', 'aborted', 'timed-out', 'aborted', 'timed-out', 'aborted', 'timed-out'],
  );
  await client.end({ drainMs: 0 });
  for (const socket of sockets) socket.destroy();
  mute.close();
});

test('Waiting for the end of a subscription can be given up; the subscription has ended all the same', async () => {
  await withClient({}, async (client) => {
    const subscription = await client.subscribe('t');
    const given = subscription.unsubscribe({ signal: AbortSignal.abort() });
    await assert.rejects(given, (error: MqttError) => error.kind === 'aborted');
    // 0x10: nobody has subscribed.
    assert.equal((await client.publish('t', 'x', { qos: 1 })).reasonCode, 0x10);
    assert.deepEqual(await subscription.next(), { done: true, value: undefined });
  });
});

test('Reasons and User Properties go along with DISCONNECT, PUBACK, PUBREC and UNSUBSCRIBE, and CONNECT may ask for none', async () => {
  const said: Packet[] = [];
  const server = createServer((socket) => {
    const framer = new Framer(1_000_000);
    socket.on('data', (chunk) => {
      const bytes = new Uint8Array(chunk as Buffer);
      framer.feed(bytes, viewOf(bytes), 0, bytes.length);
      while (framer.next()) {
        const packet = decodePacket(framer.bytes, framer.start, framer.end, 5, 'client');
        said.push(packet);
        for (const answer of answersTo(packet)) socket.write(encodePacket(answer, 5, 'server'));
      }
    });
  }).listen(0, '127.0.0.1');
  const answersTo = (packet: Packet): Packet[] => {
    const message = {
      type: PacketType.Publish,
      topic: 't',
      payload: new Uint8Array(),
      retain: false,
      dup: false,
    } as const;
    if (packet.type === PacketType.Connect) return [{ type: PacketType.Connack, sessionPresent: false, reasonCode: 0 }];
    if (packet.type === PacketType.Unsubscribe)
      return [{ type: PacketType.Unsuback, packetId: packet.packetId, reasonCodes: [0] }];
    if (packet.type !== PacketType.Subscribe) return [];
    return [
      { type: PacketType.Suback, packetId: packet.packetId, reasonCodes: [2] },
      { ...message, qos: 1, packetId: 7 },
      { ...message, qos: 2, packetId: 8 },
    ];
  };
  await once(server, 'listening');
  const client = connect(`mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    requestProblemInformation: false,
  });
  const userProperties: [string, string][] = [['k', 'v']];
  const subscription = await client.subscribe('t', { qos: 2, manualAck: true });
  for (const reasonString of ['no', 'never'])
    (await subscription.next()).value.ack(0x83, { reasonString, userProperties });
  await subscription.unsubscribe({ userProperties });
  await client.end({ reasonCode: 0x04, properties: { reasonString: 'bye', userProperties } });
  server.close();
  const words = said.map((packet) => [packet.type, 'properties' in packet ? packet.properties : undefined] as const);
  const [[, connectProperties] = []] = words;
  assert.equal((connectProperties as { requestProblemInformation?: boolean }).requestProblemInformation, false);
  assert.deepEqual(words.slice(2), [
    [PacketType.Puback, { reasonString: 'no', userProperties }],
    [PacketType.Pubrec, { reasonString: 'never', userProperties }],
    [PacketType.Unsubscribe, { userProperties }],
    [PacketType.Disconnect, { sessionExpiryInterval: 0, reasonString: 'bye', userProperties }],
  ]);
});

test('What no packet may say is refused where it is said, and the client goes on and ends', async () => {
  await withClient({}, async (client, broker) => {
    const isRefused = (error: MqttError): boolean => error.kind === 'not-allowed';
    const subscription = await client.subscribe('t', { qos: 1, manualAck: true });
    await broker.publish('t', 'x', { qos: 1 });
    const { value } = await subscription.next();
    assert.throws(() => value.ack(0x42), isRefused);
    assert.throws(() => value.ack(0x80, { reasonString: 'a\0b' }), isRefused);
    value.ack();
    await assert.rejects(subscription.unsubscribe({ userProperties: [['a\0', 'b']] }), isRefused);
    await assert.rejects(client.end({ reasonCode: 0x42 }), isRefused);
    await assert.rejects(client.end({ properties: { reasonString: 'a\0b' } }), isRefused);
    await client.publish('t', 'still here', { qos: 1 });
    await client.end();
    assert.equal(client.status.state, 'ended');
  });
});

test('What a program without types hands in is refused, and what it says next still leaves', async () => {
  await withClient({}, async (client) => {
    const heard: string[] = [];
    await client.subscribe('#', { qos: 2, handler: (message) => heard.push(`${message.topic} ${message.text()}`) });
    const isRefused = (error: unknown): boolean => error instanceof Error;
    for (const payload of [123, null, undefined, {}, [1, 2], new ArrayBuffer(3)]) {
      for (const qos of [0, 1] as const)
        await assert.rejects(client.publish('t', payload as string, { qos }), isRefused);
    }
    for (const qos of [3, -1, 1.5, Number.NaN, '1'])
      await assert.rejects(client.publish('t', 'x', { qos: qos as 1 }), isRefused);
    for (const name of [123, null, undefined, '', 'a/#', 'a\0'])
      await assert.rejects(client.publish(name as string, 'x'), isRefused);
    for (const properties of [
      { contentType: 5 },
      { userProperties: { a: 'b' } },
      { messageExpiryInterval: -1 },
      { nonsense: 1 },
      { correlationData: 7 },
      { responseTopic: 'a/#' },
    ]) {
      await assert.rejects(client.publish('t', 'x', { qos: 1, properties: properties as object }), isRefused);
    }
    for (const filter of [123, '', 'a/#/b', [], ['a', 5]])
      await assert.rejects(client.subscribe(filter as string), isRefused);
    await client.publish('t', 'fine', { qos: 2 });
    assert.deepEqual(heard, ['t fine']);
  });
});
