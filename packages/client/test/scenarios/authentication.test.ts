/** Enhanced authentication (section 4.12): challenges before CONNACK, and again on a connection that is in use. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8, type Packet, PacketType } from '@pipit/protocol';
import { MqttError } from '../../src/core/failure.ts';
import { ClientWorld, publish } from './client-world.ts';

const method = 'SCRAM';
const data = encodeUtf8('first');

function auth(reasonCode: number, text: string | null): Packet {
  const said = text === null ? {} : { authenticationData: encodeUtf8(text) };
  return { type: PacketType.Auth, reasonCode, properties: { authenticationMethod: method, ...said } };
}

test('A challenge before CONNACK is answered with 0x18 and nothing else goes out [MQTT-3.1.2-30] [MQTT-4.12.0-3]', () => {
  const world = new ClientWorld({ authentication: { method, data } });
  const connect = world.open();
  assert.deepEqual(connect.properties?.authenticationData, data);
  world.publish('t', 'x', { qos: 1 });
  world.subscribe('t');
  world.send(auth(0x18, '?'));
  assert.deepEqual(world.challenges, [encodeUtf8('?')]);
  world.expect();
  world.core.authenticate(encodeUtf8('!'));
  world.expect(auth(0x18, '!'));
});

test('Re-authentication is AUTH 0x19 with the method of CONNECT, beside traffic [MQTT-4.12.1-1]', () => {
  const world = new ClientWorld({ authentication: { method, data } });
  world.accept();
  const answer = world.reauthenticate(encodeUtf8('again'));
  world.expect(auth(0x19, 'again'));
  world.publish('t', 'x');
  world.expect(publish({ topic: 't', payload: 'x' }));
  world.send(auth(0x18, '?'));
  world.core.authenticate(encodeUtf8('!'));
  world.expect(auth(0x18, '!'));
  assert.ok(!answer.call.isSettled);
  world.send(auth(0, null));
  assert.ok(answer.call.isSettled && answer.call.failure === null);
  world.end();
});

test('Re-authentication that the connection does not survive fails, and is not repeated', () => {
  const world = new ClientWorld({ authentication: { method, data } });
  world.accept();
  const answer = world.reauthenticate(null);
  world.expect(auth(0x19, null));
  world.cut();
  const failure = answer();
  assert.ok(failure instanceof MqttError && failure.kind === 'connection');
  world.core.authenticate(encodeUtf8('too late'));
  world.redial();
  world.accept();
  world.end();
});

test('Without a method there is nothing to authenticate, and an AUTH closes [MQTT-4.12.0-7]', () => {
  const world = new ClientWorld();
  world.accept();
  const failure = world.reauthenticate(data)();
  assert.ok(failure instanceof MqttError && failure.kind === 'not-allowed');
  world.expect();
  world.send(auth(0x18, '?'));
  world.expect({ type: PacketType.Disconnect, reasonCode: 0x82 });
  assert.equal(world.statuses.at(-1)?.why.cause, 'protocol-error');
});

test('Re-authentication that the server refuses ends with its DISCONNECT, and fails with its reason [MQTT-4.12.1-2]', () => {
  const world = new ClientWorld({ authentication: { method, data } });
  world.accept();
  const answer = world.reauthenticate(encodeUtf8('again'));
  world.expect(auth(0x19, 'again'));
  world.send({ type: PacketType.Disconnect, reasonCode: 0x87 });
  assert.equal(world.link, 'closing');
  const failure = answer();
  assert.ok(failure instanceof MqttError && failure.kind === 'connection');
  const status = world.statuses.at(-1);
  assert.deepEqual([status?.state, status?.why.cause, status?.why.reasonCode], ['ended', 'disconnected', 0x87]);
  world.expect();
});
