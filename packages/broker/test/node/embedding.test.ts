import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { MqttClient } from 'mqtt';
import {
  type AnyEvent,
  type Broker,
  type BrokerOptions,
  createBroker,
  type LocalMessage,
  Permissions,
  type Verdict,
} from '../../src/index.ts';
import { dialTcp } from './dial.ts';
import { MqttPeer, publishedBy, publishPacket } from './mqtt-peer.ts';

const timeout = { timeout: 20_000 };

async function withBroker(body: (broker: Broker) => Promise<void>, options: BrokerOptions = {}): Promise<void> {
  const broker = createBroker({ sysIntervalMs: null, ...options });
  await broker.start();
  try {
    await body(broker);
  } finally {
    await broker.stop();
  }
}

async function connected(broker: Broker, clientId: string): Promise<MqttPeer> {
  const peer = new MqttPeer(broker.connect());
  const connack = await peer.connect(clientId);
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
  assert.equal(connack.reasonCode, 0);
  return peer;
}

function text({ payload }: LocalMessage): string {
  return Buffer.from(payload).toString();
}

/** Lets pending turns of the event loop, and what they cause, happen. */
async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((done) => setImmediate(done));
}

/** The CONNACK's or PUBACK's reason code. */
function reasonCodeOf(packet: Awaited<ReturnType<MqttPeer['next']>>): number {
  assert.ok(packet !== 'end' && 'reasonCode' in packet, 'a packet with a reason code');
  return packet.reasonCode;
}

test('publish and subscribe in process, beside a client in memory', timeout, async () => {
  await withBroker(async (broker) => {
    const peer = await connected(broker, 'peer');
    await peer.subscribe('to/#', 1);
    const got: LocalMessage[] = [];
    const subscription = broker.subscribe(['from/+', 'to/+'], (message) => got.push(message));
    peer.publish('from/peer', 'hello', 1, 7);
    assert.equal(reasonCodeOf(await peer.next()), 0);
    const properties = { contentType: 'text/plain', userProperties: [['a', 'b'] as const] };
    assert.equal(await broker.publish('to/peer', 'hi', { qos: 1, retain: true, properties }), 0);
    const packet = await peer.next();
    assert.deepEqual(publishedBy(packet), { topic: 'to/peer', payload: 'hi', qos: 1 });
    assert.ok(packet !== 'end' && packet.type === PacketType.Publish);
    assert.deepEqual(packet.properties, properties);
    assert.deepEqual(
      got.map(({ topic, qos, clientId, properties: each }) => ({ topic, qos, clientId, each })),
      [
        { topic: 'from/peer', qos: 1, clientId: 'peer', each: {} },
        { topic: 'to/peer', qos: 1, clientId: null, each: properties },
      ],
    );
    subscription.close();
    peer.publish('from/peer', 'unheard', 1, 8);
    assert.equal(reasonCodeOf(await peer.next()), ReasonCode.NoMatchingSubscribers);
    assert.equal(got.length, 2);
    const late: LocalMessage[] = [];
    broker.subscribe('to/#', (message) => late.push(message));
    await turns();
    assert.deepEqual(
      late.map((message) => [text(message), message.retain]),
      [['hi', true]],
    );
  });
});

test('what is not legal is refused by a throw or a rejection, and changes nothing', timeout, async () => {
  await withBroker(async (broker) => {
    await assert.rejects(broker.publish('a/+', 'x'), { name: 'Violation' });
    await assert.rejects(broker.publish('a', 'x', { properties: { topicAlias: 0 } }), { name: 'EncodeError' });
    assert.throws(() => broker.subscribe('a/#/b', () => {}), { name: 'Violation' });
    assert.equal(await broker.publish('a', 'x'), ReasonCode.NoMatchingSubscribers);
  });
});

test('a subscription without a handler is an async iterable; leaving the loop ends it', timeout, async () => {
  await withBroker(async (broker) => {
    const subscription = broker.subscribe('n');
    for (let i = 0; i < 5; i++) await broker.publish('n', String(i), { qos: 1 });
    const got: string[] = [];
    for await (const message of subscription) {
      got.push(text(message));
      if (got.length === 3) break;
    }
    assert.deepEqual(got, ['0', '1', '2']);
    assert.ok(subscription.isClosed);
    assert.equal(await broker.publish('n', 'x'), ReasonCode.NoMatchingSubscribers);
    const waiting = broker.subscribe('n');
    const loop = (async () => {
      const all: string[] = [];
      for await (const message of waiting) all.push(text(message));
      return all;
    })();
    await broker.publish('n', 'last');
    await turns();
    waiting.close();
    assert.deepEqual(await loop, ['last']);
    const handled = broker.subscribe('n', () => {});
    assert.throws(() => handled[Symbol.asyncIterator](), TypeError);
  });
});

test('a subscriber that does not settle gets its window and no more; the rest waits in order', timeout, async () => {
  await withBroker(async (broker) => {
    const got: string[] = [];
    const settle: (() => void)[] = [];
    const handler = (message: LocalMessage): Promise<void> => {
      got.push(text(message));
      return new Promise((done) => settle.push(done));
    };
    broker.subscribe('n', handler, { window: 2 });
    const quick: string[] = [];
    broker.subscribe('n', (message) => quick.push(text(message)));
    for (let i = 0; i < 6; i++) await broker.publish('n', String(i), { qos: 1 });
    await turns();
    assert.deepEqual(got, ['0', '1']);
    assert.equal(quick.length, 6, 'nobody else waits for it');
    settle[1]?.();
    await turns();
    assert.deepEqual(got, ['0', '1', '2']);
    settle[0]?.();
    settle[2]?.();
    await turns();
    assert.deepEqual(got, ['0', '1', '2', '3', '4']);
  });
});

test(
  'a subscriber of a broker with small limits loses the newest beyond its queue, and an event says so',
  timeout,
  async () => {
    await withBroker(
      async (broker) => {
        const dropped = new Promise<AnyEvent>((done) => broker.on('dropped', done));
        const subscription = broker.subscribe('n', { window: 1 });
        for (let i = 0; i < 10; i++) await broker.publish('n', String(i), { qos: 1 });
        const event = await dropped;
        assert.ok(event.type === 'dropped' && event.reason === 'queue-full');
        subscription.close();
      },
      { limits: { queueMessagesMax: 3 } },
    );
  },
);

test('a claim gets its publishes alone, and its answer is the acknowledgement', timeout, async () => {
  await withBroker(async (broker) => {
    const faults: unknown[] = [];
    broker.on('fault', ({ where, error }) => faults.push([where, (error as Error).message]));
    const overheard: string[] = [];
    broker.subscribe('#', ({ topic }) => overheard.push(topic));
    const claim = broker.claim('rpc/+', async (message) => {
      await turns(2);
      if (text(message) === 'throw') throw new Error('no');
      return Number(text(message));
    });
    const peer = await connected(broker, 'peer');
    for (const [index, payload] of ['0', '135', 'throw', '0'].entries()) peer.publish('rpc/x', payload, 1, index + 1);
    const answers: (number | undefined)[][] = [];
    for (let i = 0; i < 4; i++) {
      const packet = await peer.next();
      assert.ok(packet !== 'end' && packet.type === PacketType.Puback);
      answers.push([packet.packetId, packet.reasonCode]);
    }
    assert.deepEqual(answers, [
      [1, 0],
      [2, 0x87],
      [3, 0x80],
      [4, 0],
    ]);
    assert.deepEqual(faults, [['subscriber', 'no']]);
    assert.deepEqual(overheard, []);
    claim.close();
    peer.publish('rpc/x', '0', 1, 9);
    assert.equal(reasonCodeOf(await peer.next()), 0);
    assert.deepEqual(overheard, ['rpc/x']);
  });
});

test('send reaches one client, whatever it subscribed to; disconnect says why', timeout, async () => {
  await withBroker(async (broker) => {
    const one = await connected(broker, 'one');
    const other = await connected(broker, 'other');
    await other.subscribe('#');
    assert.equal(await broker.send('one', 'direct', 'hi', { qos: 1 }), 0);
    assert.deepEqual(publishedBy(await one.next()), { topic: 'direct', payload: 'hi', qos: 1 });
    assert.equal(await broker.send('nobody', 'direct', 'hi'), ReasonCode.NoMatchingSubscribers);
    assert.equal(broker.disconnect('nobody'), false);
    assert.equal(broker.disconnect('other', ReasonCode.ServerMoved, 'go away'), true);
    const packet = await other.next();
    assert.ok(packet !== 'end' && packet.type === PacketType.Disconnect, 'and not the message that was sent to one');
    assert.deepEqual([packet.reasonCode, packet.properties?.reasonString], [ReasonCode.ServerMoved, 'go away']);
    assert.equal(await other.next(), 'end');
  });
});

test('handlers that throw or reject are faults, and harm neither the broker nor each other', timeout, async () => {
  await withBroker(async (broker) => {
    const faults: string[] = [];
    const seen: string[] = [];
    broker.on('connected', () => {
      throw new Error('event');
    });
    broker.on('connected', async () => {
      await Promise.reject(new Error('async event'));
    });
    broker.on('connected', ({ clientId }) => seen.push(clientId));
    broker.on('event', ({ type }) => seen.push(type));
    broker.on('fault', ({ where, error }) => faults.push(`${where}: ${(error as Error).message}`));
    broker.subscribe('a', () => {
      throw new Error('subscriber');
    });
    const peer = await connected(broker, 'peer');
    assert.equal(await broker.publish('a', 'x', { qos: 1 }), 0);
    assert.equal(await broker.publish('a', 'y', { qos: 1 }), 0);
    await turns();
    assert.deepEqual(faults.sort(), [
      'event-handler: async event',
      'event-handler: event',
      'subscriber: subscriber',
      'subscriber: subscriber',
    ]);
    assert.ok(seen.includes('peer') && seen.includes('connected') && seen.includes('fault'));
    assert.ok((await peer.subscribe('a')) !== 'end');
  });
});

test('a fault that nobody listens for is a warning of the process', timeout, async () => {
  await withBroker(async (broker) => {
    const warned = once(process, 'warning');
    broker.subscribe('a', () => {
      throw new Error('unheard of');
    });
    await broker.publish('a', 'x');
    const [warning] = (await warned) as [Error];
    assert.equal(warning.message, 'unheard of');
  });
});

test('verdicts: at once, later, thrown, rejected, and none at all', timeout, async () => {
  const answers: Record<string, () => Verdict | Promise<Verdict>> = {
    sync: () => ({ outcome: 'accept', principal: 'p' }),
    late: async () => {
      await turns(3);
      return { outcome: 'accept', principal: 'p', assignedClientId: 'late' };
    },
    refused: () => ({ outcome: 'refuse', reasonCode: ReasonCode.Banned }),
    throws: () => {
      throw new Error('thrown');
    },
    rejects: () => Promise.reject(new Error('rejected')),
    nothing: () => undefined as unknown as Verdict,
  };
  const authority = { authenticate: ({ clientId }: { clientId: string }) => (answers[clientId] as () => Verdict)() };
  await withBroker(
    async (broker) => {
      const faults: string[] = [];
      broker.on('fault', ({ where, error }) => faults.push(`${where}: ${(error as Error).message}`));
      const codes: Record<string, number> = {};
      for (const clientId of Object.keys(answers)) {
        codes[clientId] = reasonCodeOf(await new MqttPeer(broker.connect()).connect(clientId));
      }
      const failed = ReasonCode.UnspecifiedError;
      const refused = ReasonCode.Banned;
      assert.deepEqual(codes, { sync: 0, late: 0, refused, throws: failed, rejects: failed, nothing: failed });
      assert.deepEqual(faults, [
        'authority: thrown',
        'authority: rejected',
        'authority: The authority answered with no verdict',
      ]);
    },
    { authority },
  );
});

test('rules bind everybody when there is no authority, and exclude one', timeout, async () => {
  const rules = [
    { effect: 'deny', action: 'publish', filter: 'secret/#' },
    { effect: 'allow', action: 'all', filter: '#' },
  ] as const;
  await withBroker(
    async (broker) => {
      const peer = await connected(broker, 'peer');
      peer.publish('secret/a', 'x', 1, 1);
      assert.equal(reasonCodeOf(await peer.next()), ReasonCode.NotAuthorized);
      assert.equal(await broker.publish('secret/a', 'x'), ReasonCode.NoMatchingSubscribers, 'the program itself may');
    },
    { rules },
  );
  assert.throws(() =>
    createBroker({ rules, authority: { authenticate: () => ({ outcome: 'accept', principal: null }) } }),
  );
});

test('changed permissions revoke a subscription at once', timeout, async () => {
  const permissions = new Permissions([{ effect: 'allow', action: 'all', filter: '#' }]);
  await withBroker(
    async (broker) => {
      const revoked = new Promise<AnyEvent>((done) => broker.on('subscription-revoked', done));
      const peer = await connected(broker, 'peer');
      await peer.subscribe('a');
      broker.changePermissions(permissions, [{ effect: 'allow', action: 'all', filter: 'b' }]);
      assert.equal(await broker.publish('a', 'x'), ReasonCode.NoMatchingSubscribers);
      assert.deepEqual(await revoked, { type: 'subscription-revoked', clientId: 'peer', filter: 'a' });
    },
    { authority: { authenticate: () => ({ outcome: 'accept', principal: null, permissions }) } },
  );
});

test('the bytes before the end of a connection count, however many turns they take', timeout, async () => {
  const body = async (broker: Broker): Promise<void> => {
    const [listener] = broker.listeners;
    const wills: AnyEvent[] = [];
    broker.on('will-published', (event) => wills.push(event));
    const end = async (how: 'end' | 'destroy'): Promise<void> => {
      const got: string[] = [];
      const subscription = broker.subscribe('n', (message) => got.push(text(message)), { window: 10_000 });
      const left = new Promise<AnyEvent>((done) => broker.on('disconnected', done));
      const peer = new MqttPeer(await dialTcp(listener?.port ?? 0), 4);
      const will = { topic: 'will', payload: new Uint8Array(1), qos: 0, retain: false } as const;
      peer.send({ type: PacketType.Connect, version: 4, clientId: how, cleanStart: true, keepAlive: 0, will });
      await peer.next();
      const publishes = Array.from({ length: 5_000 }, (_, i) => publishPacket('n', String(i), 1, i + 1));
      peer.send(...publishes, { type: PacketType.Disconnect, reasonCode: 0 });
      // With `destroy` the acknowledgements hit a closed socket while most of the packets wait for their turn.
      peer.stream[how]();
      const event = await left;
      assert.ok(event.type === 'disconnected' && event.by === 'client', JSON.stringify(event));
      await turns();
      assert.equal(got.length, 5_000);
      subscription.close();
    };
    await end('end');
    await end('destroy');
    assert.deepEqual(wills, []);
  };
  await withBroker(body, { listeners: [{ type: 'tcp', port: 0 }], limits: { turnDeliveriesMax: 50 } });
});

test('a client id that the broker assigns is 128 random bits, however many it assigns', timeout, async () => {
  await withBroker(async (broker) => {
    const connacks = await Promise.all(Array.from({ length: 600 }, () => new MqttPeer(broker.connect()).connect('')));
    const ids = connacks.map((packet) =>
      packet !== 'end' && packet.type === PacketType.Connack ? packet.properties?.assignedClientIdentifier : packet,
    );
    assert.equal(new Set(ids).size, 600);
    for (const id of ids) assert.match(String(id), /^auto-(?!0{32})[0-9a-f]{32}$/);
  });
});

test("somebody else's client over a connection in memory", timeout, async () => {
  await withBroker(async (broker) => {
    const connect = (): Duplex => broker.connect();
    const client = new MqttClient(connect, {
      protocolVersion: 5,
      clientId: 'foreign',
      reconnectPeriod: 0,
    });
    await new Promise((done) => client.once('connect', done));
    await client.subscribeAsync('a', { qos: 2 });
    const message = new Promise<[string, Buffer]>((done) =>
      client.once('message', (...args) => done([args[0], args[1]])),
    );
    await client.publishAsync('a', 'x'.repeat(200_000), { qos: 2 });
    const [topic, payload] = await message;
    assert.deepEqual([topic, payload.length], ['a', 200_000]);
    const gone = new Promise<AnyEvent>((done) => broker.on('disconnected', done));
    client.stream.destroy();
    const event = await gone;
    assert.ok(event.type === 'disconnected' && event.by === 'network');
    client.end(true);
  });
});
