/** Messages to the server: answers, windows, the outbox, and what is sent again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType } from '@pipit/protocol';
import { MqttError } from '../../src/core/failure.ts';
import { ack, ClientWorld, publish } from './client-world.ts';

function kindOf(answer: unknown): string | undefined {
  return answer instanceof MqttError ? answer.kind : undefined;
}

for (const version of [4, 5] as const) {
  test(`QoS 0, 1 and 2 are answered when the socket, PUBACK and PUBCOMP have them, version ${version}`, () => {
    const world = new ClientWorld({ version });
    world.accept();
    const answers = ([0, 1, 2] as const).map((qos) => world.publish('t', `${qos}`, { qos }));
    const [zero, one, two] = answers as [(typeof answers)[0], (typeof answers)[0], (typeof answers)[0]];
    world.expect(
      publish({ topic: 't', payload: '0' }),
      publish({ topic: 't', payload: '1', qos: 1, packetId: 1 }),
      publish({ topic: 't', payload: '2', qos: 2, packetId: 2 }),
    );
    assert.deepEqual([zero(), one(), two()], [{ reasonCode: 0 }, undefined, undefined]);
    world.send(ack('Puback', 1), ack('Pubrec', 2));
    world.expect(ack('Pubrel', 2));
    assert.deepEqual([one(), two()], [{ reasonCode: 0 }, undefined]);
    world.send(ack('Pubcomp', 2));
    assert.deepEqual(two(), { reasonCode: 0 });
    assert.ok(world.core.sender.isIdle);
    world.end();
  });
}

test('A refusal rejects with its reason, and the exchange is over', () => {
  const world = new ClientWorld();
  world.accept();
  const one = world.publish('t', '1', { qos: 1 });
  const two = world.publish('t', '2', { qos: 2 });
  world.take();
  world.send({ type: PacketType.Puback, packetId: 1, reasonCode: 0x97, properties: { reasonString: 'full' } });
  world.send(ack('Pubrec', 2, 0x87));
  for (const [answer, code] of [
    [one(), 0x97],
    [two(), 0x87],
  ] as const) {
    assert.ok(answer instanceof MqttError && answer.kind === 'refused');
    assert.equal(answer.reasonCode, code);
  }
  assert.match((one() as MqttError).message, /Quota exceeded: full/);
  world.end();
});

test('What is asked for before there is a connection waits for it, in order', () => {
  const world = new ClientWorld();
  world.publish('t', 'a');
  world.publish('t', 'b', { qos: 1 });
  world.publish('t', 'c');
  world.accept();
  world.expect(
    publish({ topic: 't', payload: 'a' }),
    publish({ topic: 't', payload: 'b', qos: 1, packetId: 1 }),
    publish({ topic: 't', payload: 'c' }),
  );
});

test('The outbox is full at its count and at its bytes, and says so at once', () => {
  const world = new ClientWorld({ limits: { outboxMessagesMax: 2, outboxBytesMax: 12 } });
  const two = [world.publish('t', '1'), world.publish('t', '2')];
  assert.equal(kindOf(world.publish('t', '3')()), 'outbox-full');
  world.accept();
  assert.deepEqual(
    two.map((answer) => answer()),
    [{ reasonCode: 0 }, { reasonCode: 0 }],
  );
  world.take();
  world.cut();
  assert.equal(world.publish('t', '12345678901')(), undefined, 'twelve bytes are not too many');
  assert.equal(kindOf(world.publish('t', '')()), 'outbox-full', 'thirteen are');
});

test('A full outbox may give up what has waited longest instead; what could never fit is refused all the same', () => {
  const limits = { outboxMessagesMax: 3, outboxBytesMax: 12 };
  const world = new ClientWorld({ outboxOverflow: 'drop-oldest', limits });
  const answers = ['1', '2', '3', '4'].map((payload) => world.publish('t', payload, { qos: 1 }));
  const long = world.publish('t', '12345678', { qos: 1 });
  assert.deepEqual(
    answers.map((answer) => kindOf(answer())),
    ['outbox-full', 'outbox-full', 'outbox-full', undefined],
  );
  assert.equal(kindOf(world.publish('t', '123456789012')()), 'outbox-full', 'thirteen bytes never fit');
  world.accept();
  world.expect(
    publish({ topic: 't', payload: '4', qos: 1, packetId: 1 }),
    publish({ topic: 't', payload: '12345678', qos: 1, packetId: 2 }),
  );
  assert.equal(long(), undefined);
});

test('No more than the Receive Maximum is open, and QoS 0 waits its turn behind [MQTT-3.3.4-7]', () => {
  const world = new ClientWorld();
  world.accept({ receiveMaximum: 2 });
  for (const name of ['a', 'b', 'c']) world.publish('t', name, { qos: 1 });
  world.publish('t', 'd');
  world.expect(
    publish({ topic: 't', payload: 'a', qos: 1, packetId: 1 }),
    publish({ topic: 't', payload: 'b', qos: 1, packetId: 2 }),
  );
  world.send(ack('Puback', 2));
  world.expect(publish({ topic: 't', payload: 'c', qos: 1, packetId: 3 }), publish({ topic: 't', payload: 'd' }));
});

test('With the session everything open is sent again: PUBLISH with DUP, PUBREL, in order [MQTT-4.4.0-1] [MQTT-4.6.0-1]', () => {
  const world = new ClientWorld();
  world.accept();
  const answers = ([1, 2, 2, 1] as const).map((qos, i) => world.publish('t', `${i}`, { qos }));
  world.take();
  world.send(ack('Pubrec', 3));
  world.expect(ack('Pubrel', 3));
  world.cut();
  world.publish('t', 'new');
  world.redial();
  assert.equal(world.accept({ sessionPresent: true }).cleanStart, false);
  world.expect(
    publish({ topic: 't', payload: '0', qos: 1, packetId: 1, dup: true }),
    publish({ topic: 't', payload: '1', qos: 2, packetId: 2, dup: true }),
    ack('Pubrel', 3),
    publish({ topic: 't', payload: '3', qos: 1, packetId: 4, dup: true }),
    publish({ topic: 't', payload: 'new' }),
  );
  world.send(ack('Puback', 1), ack('Pubrec', 2), ack('Pubcomp', 3), ack('Puback', 4));
  world.expect(ack('Pubrel', 2));
  world.send(ack('Pubcomp', 2));
  assert.deepEqual(
    answers.map((answer) => answer()),
    answers.map(() => ({ reasonCode: 0 })),
  );
  world.end();
});

test('What is sent again stays within the Receive Maximum of the new connection', () => {
  const world = new ClientWorld();
  world.accept();
  for (const name of ['a', 'b', 'c']) world.publish('t', name, { qos: 1 });
  world.take();
  world.cut();
  world.redial();
  world.accept({ sessionPresent: true, receiveMaximum: 1 });
  world.expect(publish({ topic: 't', payload: 'a', qos: 1, packetId: 1, dup: true }));
  world.send(ack('Puback', 1));
  world.expect(publish({ topic: 't', payload: 'b', qos: 1, packetId: 2, dup: true }));
  world.send(ack('Puback', 2));
  world.expect(publish({ topic: 't', payload: 'c', qos: 1, packetId: 3, dup: true }));
});

test('Without the session QoS 1 is sent anew, and QoS 2 fails unless the server had it [MQTT-3.2.2-5]', () => {
  const world = new ClientWorld();
  world.accept();
  const one = world.publish('t', 'one', { qos: 1 });
  const two = world.publish('t', 'two', { qos: 2 });
  const taken = world.publish('t', 'taken', { qos: 2 });
  world.take();
  world.send(ack('Pubrec', 3));
  world.take();
  world.cut();
  world.publish('t', 'later', { qos: 1 });
  world.redial();
  world.accept();
  world.expect(
    publish({ topic: 't', payload: 'one', qos: 1, packetId: 1 }),
    publish({ topic: 't', payload: 'later', qos: 1, packetId: 2 }),
  );
  assert.equal(kindOf(two()), 'session-lost');
  assert.deepEqual([one(), taken()], [undefined, { reasonCode: 0 }]);
});

test('A message over which connections end is found one at a time, and set aside', () => {
  const world = new ClientWorld({ limits: { attemptsMax: 4 } });
  world.accept();
  const poison = world.publish('t', 'poison', { qos: 1 });
  const good = world.publish('t', 'good', { qos: 1 });
  const sent: number[] = [];
  for (let i = 0; i < 4; i++) {
    sent.push(world.take().length);
    world.cut();
    world.redial();
    world.accept({ sessionPresent: true });
  }
  assert.deepEqual(sent, [2, 2, 1, 1], 'both, both, then only the one that is suspected');
  assert.equal(kindOf(poison()), 'set-aside');
  world.expect(publish({ topic: 't', payload: 'good', qos: 1, packetId: 2, dup: true }));
  world.send(ack('Puback', 2));
  assert.deepEqual(good(), { reasonCode: 0 });
});

test('Connections that end although messages are answered set nothing aside', () => {
  const world = new ClientWorld({ limits: { attemptsMax: 2 } });
  world.accept();
  const slow = world.publish('t', 'slow', { qos: 1 });
  for (let i = 2; i < 8; i++) {
    world.publish('t', 'quick', { qos: 1 });
    world.send(ack('Puback', i));
    world.take();
    world.cut();
    world.redial();
    world.accept({ sessionPresent: true });
  }
  assert.equal(slow(), undefined);
});

test('What the server does not take fails before it is sent [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15]', () => {
  const world = new ClientWorld();
  world.accept({ maximumQoS: 1, retainAvailable: false, maximumPacketSize: 20 });
  const codes = [
    world.publish('t', 'x', { qos: 2 }),
    world.publish('t', 'x', { retain: true }),
    world.publish('t', '123456789012345'),
    world.publish('t', 'x', { properties: { contentType: '1234567890123456' } }),
    world.publish('a/#', 'x'),
  ].map((answer) => {
    const failure = answer();
    assert.ok(failure instanceof MqttError && failure.kind === 'not-allowed');
    return failure.reasonCode;
  });
  assert.deepEqual(codes, [0x9b, 0x9a, 0x95, 0x95, 0x90]);
  world.expect();
  assert.deepEqual(world.publish('t', '12345678901234')(), { reasonCode: 0 }, 'twenty bytes are not too many');
});

test('Aborted while it waits it is not sent; aborted on its way it keeps its identifier until it is answered', () => {
  const world = new ClientWorld({ limits: { outboxMessagesMax: 1 } });
  const failure = new MqttError('aborted', 'enough');
  const waiting = world.publish('t', 'waiting', { qos: 1 });
  world.core.abort(waiting.message, failure, world.now);
  world.settle();
  assert.equal(waiting(), failure);
  world.publish('t', 'next', { qos: 1 });
  world.accept();
  world.expect(publish({ topic: 't', payload: 'next', qos: 1, packetId: 1 }));
  const underway = world.publish('t', 'underway', { qos: 2 });
  world.take();
  world.core.abort(underway.message, failure, world.now);
  world.settle();
  assert.equal(underway(), failure);
  world.send(ack('Pubrec', 2));
  world.expect(ack('Pubrel', 2));
  world.send(ack('Pubcomp', 2), ack('Puback', 1));
  assert.ok(world.core.sender.isIdle);
});

test('A socket that takes nothing holds messages in the outbox', () => {
  const world = new ClientWorld({ limits: { unsentBytesMax: 100 } });
  world.accept();
  world.isFrozen = true;
  const answers = Array.from({ length: 20 }, (_, i) => world.publish('t', `message ${i}`));
  const answered = answers.filter((answer) => answer() !== undefined).length;
  assert.ok(answered > 3 && answered < 10, `${answered} were written`);
  world.thaw();
  assert.equal(answers.filter((answer) => answer() === undefined).length, 0);
  assert.equal(world.take().length, 20);
});

test('Expiry counts down in the outbox, and what has expired is not sent', () => {
  const world = new ClientWorld();
  const short = world.publish('t', 'short', { properties: { messageExpiryInterval: 5 } });
  world.publish('t', 'long', { properties: { messageExpiryInterval: 60 } });
  world.advance(10_000);
  world.accept();
  assert.equal(kindOf(short()), 'timed-out');
  world.expect(publish({ topic: 't', payload: 'long', properties: { messageExpiryInterval: 50 } }));
});

test('A topic used again gets an alias, as many as the server takes [MQTT-3.2.2-17] [MQTT-3.2.2-18]', () => {
  const world = new ClientWorld();
  world.accept({ topicAliasMaximum: 1 });
  for (let i = 0; i < 3; i++) for (const topic of ['a', 'b']) world.publish(topic, '');
  world.expect(
    publish({ topic: 'a' }),
    publish({ topic: 'b' }),
    publish({ topic: 'a', properties: { topicAlias: 1 } }),
    publish({ topic: 'b' }),
    publish({ topic: '', properties: { topicAlias: 1 } }),
    publish({ topic: 'b' }),
  );
  world.cut();
  world.redial();
  world.accept();
  world.publish('a', '');
  world.expect(publish({ topic: 'a' }));
});
