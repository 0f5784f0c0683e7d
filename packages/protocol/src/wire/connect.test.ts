import assert from 'node:assert/strict';
import { test } from 'node:test';
import { peekConnect } from './connect.ts';

const ascii = (text: string): number[] => Array.from(text, (character) => character.charCodeAt(0));

function peek(name: string, ...level: number[]): ReturnType<typeof peekConnect> {
  const bytes = Uint8Array.of(0xff, 0x10, 0x20, 0x00, name.length, ...ascii(name), ...level);
  return peekConnect(bytes, 1, bytes.length);
}

test('peekConnect tells the version from name and level alone', () => {
  assert.deepEqual(peek('MQIsdp', 3), { version: 3, name: 'MQIsdp', level: 3 });
  assert.deepEqual(peek('MQIsdp', 0x83), { version: 3, name: 'MQIsdp', level: 0x83 });
  assert.deepEqual(peek('MQTT', 4), { version: 4, name: 'MQTT', level: 4 });
  assert.deepEqual(peek('MQTT', 0x84), { version: 4, name: 'MQTT', level: 0x84 });
  assert.deepEqual(peek('MQTT', 5), { version: 5, name: 'MQTT', level: 5 });
});

test('peekConnect tells what it read of an unknown protocol', () => {
  assert.deepEqual(peek('MQTT', 6), { version: undefined, name: 'MQTT', level: 6 });
  assert.deepEqual(peek('MQTT', 3), { version: undefined, name: 'MQTT', level: 3 });
  assert.deepEqual(peek('MQTT', 0x85), { version: undefined, name: 'MQTT', level: 0x85 });
  assert.deepEqual(peek('MQIsdp', 4), { version: undefined, name: 'MQIsdp', level: 4 });
  assert.deepEqual(peek('HTTP', 4), { version: undefined, name: 'HTTP', level: 4 });
  assert.deepEqual(peek('MQTT'), { version: undefined, name: 'MQTT', level: undefined });
  assert.deepEqual(peek('M\xff', 4), { version: undefined, name: undefined, level: 4 });
});

test('peekConnect reads no byte past the end and never throws', () => {
  const whole = Uint8Array.of(0x10, 0x80, 0x01, 0x00, 0x04, ...ascii('MQTT'), 5);
  for (let end = 0; end < whole.length; end++) {
    assert.equal(peekConnect(whole, 0, end).version, undefined, `${end} bytes`);
  }
  assert.equal(peekConnect(whole, 0, whole.length).version, 5);
  assert.equal(peekConnect(Uint8Array.of(0x10, 0xff, 0xff, 0xff, 0xff, 0xff), 0, 6).version, undefined);
});
