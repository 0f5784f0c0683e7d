/** Messages from the server: acknowledged when they are dealt with, in order; QoS 2 once; back-pressure. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType } from '@pipit/protocol';
import { ack, ClientWorld, publish } from './client-world.ts';

test('PUBACK and PUBREC wait until the message is dealt with, and come in the order of arrival [MQTT-4.6.0-2]', () => {
  const world = new ClientWorld({ holdsMessages: true });
  world.accept();
  world.send(publish({ topic: 'a', qos: 1, packetId: 9 }), publish({ topic: 'b', qos: 2, packetId: 4 }));
  world.expect();
  const [first, second] = world.messages.splice(0);
  world.core.consumed(second as never, 0);
  world.settle();
  world.expect();
  world.core.consumed(first as never, 0);
  world.settle();
  world.expect(ack('Puback', 9), ack('Pubrec', 4));
  world.send(ack('Pubrel', 4));
  world.expect(ack('Pubcomp', 4));
});

test('QoS 2 reaches the application once, across a resume too [MQTT-4.3.3-10]', () => {
  const world = new ClientWorld();
  world.accept();
  world.send(publish({ topic: 't', payload: 'x', qos: 2, packetId: 7 }));
  world.expect(ack('Pubrec', 7));
  world.send(publish({ topic: 't', payload: 'x', qos: 2, packetId: 7, dup: true }));
  world.expect(ack('Pubrec', 7));
  world.cut();
  world.redial();
  world.accept({ sessionPresent: true });
  world.send(publish({ topic: 't', payload: 'x', qos: 2, packetId: 7, dup: true }));
  world.expect(ack('Pubrec', 7));
  assert.deepEqual(world.got(), ['t x']);
  world.send(ack('Pubrel', 7));
  world.expect(ack('Pubcomp', 7));
  world.send(publish({ topic: 't', payload: 'y', qos: 2, packetId: 7 }));
  assert.deepEqual(world.got(), ['t y'], 'the identifier is free again');
});

test('A QoS 2 message that the application still has is not acknowledged when it comes again', () => {
  const world = new ClientWorld({ holdsMessages: true });
  world.accept();
  world.send(publish({ topic: 't', payload: 'x', qos: 2, packetId: 7 }));
  world.cut();
  world.redial();
  world.accept({ sessionPresent: true });
  world.send(publish({ topic: 't', payload: 'x', qos: 2, packetId: 7, dup: true }));
  world.expect();
  assert.equal(world.messages.length, 1);
  world.consume();
  world.expect(ack('Pubrec', 7));
});

test('What was held over a lost connection is not acknowledged on the next one', () => {
  const world = new ClientWorld({ holdsMessages: true });
  world.accept();
  world.send(publish({ topic: 't', qos: 1, packetId: 1 }));
  world.cut();
  world.redial();
  world.accept({ sessionPresent: true });
  world.consume();
  world.expect();
  world.send(publish({ topic: 't', qos: 1, packetId: 1, dup: true }));
  world.consume();
  world.expect(ack('Puback', 1));
});

test('What is dealt with after the end, or between two connections, leaves nothing to do', () => {
  const world = new ClientWorld({ holdsMessages: true });
  world.accept();
  world.send(publish({ topic: 't', qos: 1, packetId: 1 }), publish({ topic: 't', qos: 1, packetId: 2 }));
  world.cut();
  world.consume();
  assert.ok(!world.core.isDirty && world.core.output.length === 0);
  world.core.destroy();
  world.settle();
  world.consume();
  assert.ok(!world.core.isDirty && world.core.output.length === 0);
});

test('A new session forgets which QoS 2 identifiers were open', () => {
  const world = new ClientWorld();
  world.accept();
  world.send(publish({ topic: 't', payload: 'x', qos: 2, packetId: 7 }));
  world.expect(ack('Pubrec', 7));
  world.cut();
  world.redial();
  world.accept();
  world.send(publish({ topic: 't', payload: 'y', qos: 2, packetId: 7 }));
  assert.deepEqual(world.got(), ['t x', 't y']);
});

test('A message can be refused with a reason (5.0)', () => {
  const world = new ClientWorld({ holdsMessages: true });
  world.accept();
  world.send(publish({ topic: 't', qos: 1, packetId: 1 }), publish({ topic: 't', qos: 2, packetId: 2 }));
  world.consume(0x83);
  world.consume(0x99);
  world.expect(ack('Puback', 1, 0x83), ack('Pubrec', 2, 0x99));
  world.send(publish({ topic: 't', qos: 2, packetId: 2 }));
  assert.equal(world.messages.length, 1, 'a refused identifier is free');
});

test('Too much unread stops the reading, and what is dealt with lets it go on', () => {
  const world = new ClientWorld({ holdsMessages: true, limits: { unconsumedBytesMax: 1_000 } });
  world.accept();
  for (let i = 0; i < 6; i++) world.send(publish({ topic: 't', payload: `${i}` }));
  assert.ok(world.isPaused);
  world.consume();
  assert.ok(world.isPaused);
  world.consume();
  assert.ok(!world.isPaused);
});

test('While an answer is awaited reading goes on; QoS 0 beyond four times the limit is dropped and counted', () => {
  const world = new ClientWorld({ holdsMessages: true, limits: { unconsumedBytesMax: 1_000 } });
  world.accept();
  const answer = world.publish('t', 'x', { qos: 1 });
  world.take();
  for (let i = 0; i < 40; i++) world.send(publish({ topic: 't', payload: `${i}` }));
  assert.ok(!world.isPaused);
  assert.equal(world.messages.length + world.core.receipts.dropped, 40);
  assert.equal(world.messages.length, 20, '201 bytes each, the last one over 4,000');
  world.send(publish({ topic: 't', qos: 1, packetId: 1 }));
  assert.equal(world.messages.length, 21, 'QoS 1 is not dropped');
  world.send(ack('Puback', 1));
  assert.deepEqual(answer(), { reasonCode: 0 });
  assert.ok(world.isPaused);
  world.publish('t', 'y', { qos: 1 });
  assert.ok(!world.isPaused, 'its answer has to be read');
});

test('Topic aliases of the server are resolved, and do not outlive the connection [MQTT-3.3.2-10]', () => {
  const world = new ClientWorld({ limits: { topicAliasMaximum: 2 } });
  assert.equal(world.accept().properties?.topicAliasMaximum, 2);
  world.send(
    publish({ topic: 'one', properties: { topicAlias: 2 } }),
    publish({ topic: '', properties: { topicAlias: 2 } }),
  );
  const seen = world.messages.splice(0).map(({ topic, properties }) => [topic, properties]);
  assert.deepEqual(seen, [
    ['one', {}],
    ['one', {}],
  ]);
  world.send(publish({ topic: '', properties: { topicAlias: 2, contentType: 'c' } }));
  assert.deepEqual(world.messages.shift()?.properties, { contentType: 'c' });
  world.cut();
  world.redial();
  world.accept();
  world.send(publish({ topic: '', properties: { topicAlias: 2 } }));
  world.expect({ type: PacketType.Disconnect, reasonCode: 0x82 });
});

test('An alias that was not allowed closes with 0x94', () => {
  const world = new ClientWorld({ limits: { topicAliasMaximum: 2 } });
  world.accept();
  world.send(publish({ topic: 'one', properties: { topicAlias: 3 } }));
  world.expect({ type: PacketType.Disconnect, reasonCode: 0x94 });
});

test('A message carries every property, and its bytes are its own', () => {
  const properties = {
    payloadFormatIndicator: 1,
    messageExpiryInterval: 7,
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: Uint8Array.of(1, 2, 3),
    userProperties: [['a', 'b']],
    subscriptionIdentifiers: [3, 4],
  } as const;
  const world = new ClientWorld();
  world.accept();
  world.send(
    publish({
      topic: 't',
      payload: 'x',
      properties: { ...properties, userProperties: [['a', 'b']], subscriptionIdentifiers: [3, 4] },
    }),
  );
  const [message] = world.messages.splice(0);
  assert.deepEqual(message?.properties, properties);
  assert.equal(message?.text(), 'x');
});

test('Chunks may end anywhere', () => {
  const world = new ClientWorld();
  world.accept();
  const bytes = Uint8Array.of(0x32, 0x08, 0, 1, 0x74, 0, 5, 0, 0x78, 0x79, 0x30, 0x04, 0, 1, 0x75, 0);
  for (const byte of bytes) world.sendRaw(Uint8Array.of(byte));
  assert.deepEqual(world.got(), ['t xy', 'u ']);
  world.expect(ack('Puback', 5));
});

test('After PUBREC with 0x80 or above the identifier is free: a PUBLISH with it is a new message [MQTT-4.3.3-9]', () => {
  const world = new ClientWorld({ holdsMessages: true });
  world.accept();
  world.send(publish({ topic: 't', payload: 'refused', qos: 2, packetId: 5 }));
  world.consume(0x97);
  world.expect(ack('Pubrec', 5, 0x97));
  world.send(publish({ topic: 't', payload: 'another', qos: 2, packetId: 5 }));
  assert.equal(world.consume().text(), 'another');
  world.expect(ack('Pubrec', 5));
  world.send(ack('Pubrel', 5));
  world.expect(ack('Pubcomp', 5));
  world.end();
});
