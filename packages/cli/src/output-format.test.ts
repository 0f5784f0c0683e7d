import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType, type PublishPacket } from '@pipit/protocol';
import { CommandError } from './command-error.ts';
import { OutputFormat } from './output-format.ts';

const message: PublishPacket = {
  type: PacketType.Publish,
  topic: 'a/b',
  payload: Uint8Array.of(0x68, 0x65, 0x6c, 0x6c, 0x6f),
  qos: 1,
  retain: true,
  dup: false,
  packetId: 7,
  properties: {
    contentType: 'text',
    userProperties: [
      ['k', 'v'],
      ['k', 'w'],
    ],
  },
};
const moment = { date: new Date(2026, 0, 2, 3, 4, 5, 6), nanoseconds: 6_000_007 };

const shown = (format: string, changes: Partial<PublishPacket> = {}): string =>
  new OutputFormat(format).apply({ message: { ...message, ...changes }, moment, isPretty: false }).text;

// What mosquitto_sub prints for all of these is compared in interop/mosquitto-programs.test.ts.
const cases: readonly (readonly [format: string, text: string])[] = [
  ['%t %p', 'a/b hello'],
  ['%q%r%m%l', '1175'],
  ['%x %X', '68656c6c6f 68656C6C6F'],
  ['[%5t][%-5t][%.1t][%05t]', '[  a/b][a/b  ][a][  a/b]'],
  ['[%8p][%-8p][%2p][%08p]', '[   hello][hello   ][he][000hello]'],
  ['[%4x][%5x]', '[6865][ 6865]'],
  ['[%04m][%-4m][%4m]', '[0007][7   ][   7]'],
  ['[%C][%R][%D][%P][%E][%A]', '[text][][][k:v k:w][][]'],
  ['%%@@\\\\\\t\\0', '%@\\\t\0'],
  ['@Y-@m-@d @H:@M:@S.@N', '2026-01-02 03:04:05.006000007'],
];
for (const [format, text] of cases) {
  test(`${format} shows ${JSON.stringify(text)}`, () => assert.equal(shown(format), text));
}

test('%j is JSON, text in quotes; %J has the payload as it is', () => {
  const json = JSON.parse(shown('%j')) as Record<string, unknown>;
  assert.deepEqual(
    { ...json, tst: '' },
    {
      tst: '',
      topic: 'a/b',
      qos: 1,
      retain: 1,
      payloadlen: 5,
      mid: 7,
      properties: { 'content-type': 'text', 'user-properties': { k: 'w' } },
      payload: 'hello',
    },
  );
  const payload = new TextEncoder().encode('{"b": 1.50, "1": [ ], "b": "\\u00e9"}');
  assert.match(shown('%J', { payload }), /"payload":\{"b":1\.5,"1":\[\],"b":"\u00c3\u00a9"\}\}$/);
  assert.match(shown('%J', { payload: new Uint8Array(0) }), /"payload":null\}$/);
});

test('a payload that is not JSON is told, and what comes before it shown', () => {
  const formatted = new OutputFormat('%t %J').apply({ message, moment, isPretty: false });
  assert.deepEqual(formatted, {
    text: 'a/b ',
    problem: 'Error: Message payload is not valid JSON on topic a/b.',
  });
});

for (const format of ['%', 'x%', '%5', '%5.', '%z', '%-', '@', '\\', '\\q']) {
  test(`${format} is no format`, () => assert.throws(() => new OutputFormat(format), CommandError));
}
