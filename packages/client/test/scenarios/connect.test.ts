/** The life of connections: CONNECT, refusals, when and whom to dial again, keep alive, the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8, PacketType } from '@pipit/protocol';
import { MqttError } from '../../src/core/failure.ts';
import { ack, ClientWorld, publish } from './client-world.ts';

const pingreq = { type: PacketType.Pingreq } as const;

function refuse(world: ClientWorld, reasonCode: number, properties: object = {}): void {
  world.open();
  const list = world.version === 5 ? { properties } : {};
  world.send({ type: PacketType.Connack, sessionPresent: false, reasonCode, ...list });
}

test('CONNECT says all that was asked for', () => {
  const will = {
    topic: 'w',
    payload: encodeUtf8('gone'),
    qos: 1,
    retain: true,
    properties: { willDelayInterval: 5 },
  } as const;
  const world = new ClientWorld({
    clientId: 'me',
    keepAliveSeconds: 30,
    username: 'u',
    password: encodeUtf8('p'),
    will,
    userProperties: [['a', 'b']],
    limits: { receiveMaximum: 7, packetBytesMax: 9_000, topicAliasMaximum: 3 },
  });
  assert.deepEqual(world.open(), {
    type: PacketType.Connect,
    version: 5,
    clientId: 'me',
    cleanStart: true,
    keepAlive: 30,
    username: 'u',
    password: encodeUtf8('p'),
    will,
    properties: {
      sessionExpiryInterval: 300,
      receiveMaximum: 7,
      maximumPacketSize: 9_000,
      topicAliasMaximum: 3,
      userProperties: [['a', 'b']],
    },
  });
});

test('The client id that the server chose is kept', () => {
  const world = new ClientWorld({ clientId: '' });
  world.accept({ assignedClientIdentifier: 'yours' });
  world.cut();
  world.redial();
  assert.equal(world.accept({ sessionPresent: true }).clientId, 'yours');
});

for (const [reasonCode, isFinal] of [
  [0x84, true],
  [0x86, true],
  [0x87, true],
  [0x88, false],
  [0x89, false],
  [0x97, false],
] as const) {
  test(`Refused with 0x${reasonCode.toString(16)} it ${isFinal ? 'stops, and every call has its answer' : 'tries again'}`, () => {
    const world = new ClientWorld();
    const waiting = [world.publish('t', 'x', { qos: 1 }), world.subscribe('t')];
    refuse(world, reasonCode, { reasonString: 'because' });
    const { state, why } = world.statuses.at(-1) ?? {};
    assert.equal(state, isFinal ? 'ended' : 'waiting');
    assert.deepEqual([why?.cause, why?.reasonCode], ['refused', reasonCode]);
    assert.match(why?.message ?? '', /because/);
    for (const answer of waiting) {
      const failure = answer();
      assert.equal(failure instanceof MqttError ? failure.kind : undefined, isFinal ? 'ended' : undefined);
    }
  });
}

test('The return codes of 3.1.1 are told as reason codes', () => {
  const codes = [1, 2, 3, 4, 5].map((code) => {
    const world = new ClientWorld({ version: 4 });
    refuse(world, code);
    return world.statuses.at(-1)?.why.reasonCode;
  });
  assert.deepEqual(codes, [0x84, 0x85, 0x88, 0x86, 0x87]);
});

test('A server that only knows 3.1.1 is told from one that sends rubbish', () => {
  const world = new ClientWorld();
  world.open();
  world.sendRaw(Uint8Array.of(0x20, 2, 0, 1));
  assert.deepEqual([world.statuses.at(-1)?.state, world.statuses.at(-1)?.why.reasonCode], ['ended', 0x84]);
});

test('Taken over (0x8E) it stops; shut down (0x8B) it comes back', () => {
  for (const [reasonCode, state] of [
    [0x8e, 'ended'],
    [0x8b, 'waiting'],
  ] as const) {
    const world = new ClientWorld();
    world.accept();
    world.send({ type: PacketType.Disconnect, reasonCode });
    assert.equal(world.statuses.at(-1)?.state, state);
    assert.deepEqual([world.statuses.at(-1)?.why.cause, world.link], ['disconnected', 'closing']);
  }
});

test('The pause doubles with every failure to its maximum, with full jitter, and is short again after a stable connection', () => {
  const bounds = new Map<number, number>();
  for (let seed = 1; seed <= 200; seed++) {
    const world = new ClientWorld({ seed, reconnect: { minMs: 100, maxMs: 1_000, stableMs: 5_000 } });
    for (let i = 0; i < 6; i++) {
      world.cut('refused');
      const { state, retryInMs } = world.statuses.at(-1) as { state: string; retryInMs?: number };
      if (state === 'waiting') bounds.set(i, Math.max(bounds.get(i) ?? 0, retryInMs ?? 0));
      world.redial();
    }
    world.accept();
    world.advance(4_999);
    world.cut();
    const after = world.statuses.at(-1) as { attempt: number };
    assert.equal(after.attempt, 7, 'a short connection is no success');
    world.redial();
    world.accept();
    world.advance(5_000);
    world.cut();
    assert.equal((world.statuses.at(-1) as { attempt: number }).attempt, 1);
  }
  const most = [...bounds.values()];
  for (const [i, bound] of [100, 200, 400, 800, 1_000, 1_000].entries()) {
    const seen = most[i] as number;
    assert.ok(seen <= bound && seen > bound * 0.9, `${seen} of ${bound}`);
  }
});

test('Servers are tried in turn, with a pause only after all of them', () => {
  const world = new ClientWorld({ servers: 3 });
  const order: unknown[] = [];
  for (let i = 0; i < 4; i++) {
    order.push(...world.dialled);
    world.cut('refused');
    if (world.dialled.length === 0) {
      order.push('pause');
      world.redial();
    }
  }
  assert.deepEqual(order, [0, 1, 2, 'pause', 0]);
});

test('A Server Reference is followed only when that is allowed, and not for ever', () => {
  const strict = new ClientWorld();
  refuse(strict, 0x9c, { serverReference: 'other:1884' });
  assert.equal(strict.statuses.at(-1)?.state, 'ended');
  const world = new ClientWorld({ followServerReference: true });
  for (let i = 0; i < 3; i++) {
    refuse(world, 0x9d, { serverReference: `other-${i} another` });
    assert.deepEqual(world.dialled, [`other-${i}`]);
  }
  refuse(world, 0x9d, { serverReference: 'again' });
  assert.equal(world.statuses.at(-1)?.state, 'ended');
});

test('Sent elsewhere in the middle of a connection it goes there, and what was open goes along', () => {
  const world = new ClientWorld({ followServerReference: true });
  world.accept();
  world.publish('t', 'x', { qos: 1 });
  world.take();
  world.send({ type: PacketType.Disconnect, reasonCode: 0x9c, properties: { serverReference: 'other' } });
  assert.deepEqual(world.dialled, ['other']);
  world.accept();
  world.expect(publish({ topic: 't', payload: 'x', qos: 1, packetId: 1 }));
});

test('Dialling and CONNECT have their time', () => {
  const world = new ClientWorld({ limits: { connectTimeoutMs: 1_000 } });
  world.advance(1_000);
  assert.deepEqual([world.link, world.statuses.at(-1)?.why.cause], ['cut', 'no-answer']);
  world.redial();
  world.open();
  world.advance(1_000);
  assert.deepEqual([world.link, world.statuses.at(-1)?.why.message], ['cut', 'There is no answer to CONNECT']);
});

test('What comes before CONNACK closes, and so does a second CONNACK', () => {
  const world = new ClientWorld();
  world.open();
  world.send(publish({ topic: 't' }));
  assert.equal(world.statuses.at(-1)?.why.cause, 'protocol-error');
  const twice = new ClientWorld();
  twice.accept();
  twice.send({ type: PacketType.Connack, sessionPresent: false, reasonCode: 0 });
  twice.expect({ type: PacketType.Disconnect, reasonCode: 0x82 });
});

test('PINGREQ goes out when nothing else did, or nothing was heard [MQTT-3.1.2-20]', () => {
  const world = new ClientWorld({ keepAliveSeconds: 100 });
  world.accept();
  world.advance(74_999);
  world.expect();
  world.advance(1);
  world.expect(pingreq);
  world.send({ type: PacketType.Pingresp });
  for (let i = 0; i < 8; i++) {
    world.advance(10_000);
    world.publish('t', '');
  }
  assert.ok(
    world.take().some(({ type }) => type === PacketType.Pingreq),
    'a server that says nothing is asked',
  );
});

test('The keep alive of the server takes the place of ours; 0 asks never [MQTT-3.1.2-21]', () => {
  const world = new ClientWorld({ keepAliveSeconds: 100 });
  world.accept({ serverKeepAlive: 8 });
  world.advance(6_000);
  world.expect(pingreq);
  const never = new ClientWorld();
  never.accept();
  never.advance(10_000_000);
  never.end();
});

test('A server that does not answer PINGREQ is given up; while we do not read it is not', () => {
  const world = new ClientWorld({ keepAliveSeconds: 10, limits: { pingTimeoutMs: 5_000 } });
  world.accept();
  world.advance(7_500);
  world.expect(pingreq);
  world.advance(4_999);
  assert.equal(world.link, 'open');
  world.advance(1);
  assert.deepEqual([world.link, world.statuses.at(-1)?.why.cause], ['cut', 'no-answer']);
  const slow = new ClientWorld({ keepAliveSeconds: 10, holdsMessages: true, limits: { unconsumedBytesMax: 100 } });
  slow.accept();
  slow.send(publish({ topic: 't' }));
  assert.ok(slow.isPaused);
  slow.advance(60_000);
  assert.equal(slow.link, 'open');
  assert.ok(slow.take().length >= 7, 'it still says that it is there');
  slow.consume();
  slow.advance(7_000);
  slow.end();
});

test('A change of the network cuts a wait short, and probes a connection without dropping it', () => {
  const world = new ClientWorld();
  world.cut('unreachable');
  world.core.networkChanged(world.now);
  world.settle();
  assert.equal(world.dialled.length, 1);
  world.accept();
  world.core.networkChanged(world.now);
  world.expect(pingreq);
  world.send({ type: PacketType.Pingresp });
  world.advance(60_000);
  assert.equal(world.link, 'open');
});

test('The end waits for what is open, says goodbye, and takes nothing more', () => {
  const world = new ClientWorld();
  world.accept();
  const open = world.publish('t', 'x', { qos: 1 });
  world.take();
  world.core.end(0, { sessionExpiryInterval: 0 }, 5_000, world.now);
  const late = world.publish('t', 'late')();
  assert.ok(late instanceof MqttError && late.kind === 'ended');
  world.expect();
  world.send(ack('Puback', 1));
  assert.deepEqual(open(), { reasonCode: 0 });
  world.expect({ type: PacketType.Disconnect, reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
  assert.deepEqual([world.link, world.statuses.at(-1)?.state], ['closing', 'ended']);
});

test('The end has its time, also where there is no connection', () => {
  for (const isConnected of [true, false]) {
    const world = new ClientWorld();
    if (isConnected) world.accept();
    const open = world.publish('t', 'x', { qos: 1 });
    world.core.end(0, {}, 5_000, world.now);
    world.advance(4_999);
    assert.equal(open(), undefined);
    world.advance(1);
    const failure = open();
    assert.ok(failure instanceof MqttError && failure.kind === 'ended');
    assert.equal(world.statuses.at(-1)?.state, 'ended');
    world.dialled.length = 0;
    world.advance(1_000_000);
    assert.deepEqual(world.dialled, [], 'nothing is dialled any more');
  }
});

test('A link that opens after the client was destroyed wakes nothing', () => {
  const world = new ClientWorld();
  world.core.destroy();
  world.core.opened(world.now);
  world.settle();
  assert.equal(world.core.phase, 'ended');
  assert.equal(world.core.deadline, Number.POSITIVE_INFINITY);
});

test('Without reconnecting one failure is the end', () => {
  const world = new ClientWorld({ reconnect: { enabled: false } });
  world.accept();
  world.cut();
  assert.equal(world.statuses.at(-1)?.state, 'ended');
});

test('Every status says why it came: after a pause still what led to it, and what became of the network', () => {
  const world = new ClientWorld({ reconnect: { minMs: 1_000, maxMs: 1_000 }, seed: 3 });
  const said = (): string[] =>
    world.statuses.splice(0).map(({ state, why }) => `${state}: ${why.cause}, ${why.message}`);
  world.accept();
  assert.deepEqual(said(), [
    'connecting: asked, The application asked for it',
    'connected: asked, The application asked for it',
  ]);
  world.cut('reset');
  world.redial();
  world.cut('nothing there');
  world.core.networkChanged(world.now);
  world.settle();
  world.accept();
  assert.deepEqual(said(), [
    'waiting: lost, reset',
    'connecting: lost, reset',
    'waiting: dial-failed, nothing there',
    'connecting: network-changed, The network may be another',
    'connected: network-changed, The network may be another',
  ]);
  world.send({ type: PacketType.Disconnect, reasonCode: 0x8e });
  assert.deepEqual(said(), ['ended: disconnected, The server disconnected: Session taken over']);
});
