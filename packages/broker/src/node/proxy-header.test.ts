import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyHeader } from './proxy-header.ts';

const signature = '0d0a0d0a000d0a515549540a';
const binary = (rest: string): Buffer => Buffer.from(signature + rest, 'hex');
const text = (line: string): Buffer => Buffer.from(line, 'latin1');

const whole: readonly [string, Buffer, string | null][] = [
  ['TCP4', text('PROXY TCP4 192.0.2.7 198.51.100.1 50123 1883\r\n'), '192.0.2.7:50123'],
  ['TCP6', text('PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n'), '[2001:db8::7]:1'],
  ['UNKNOWN', text('PROXY UNKNOWN\r\n'), null],
  ['UNKNOWN with more', text('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), null],
  ['v2 IPv4', binary('21 11 000c c0000207 c6336401 c3cb 075b'.replaceAll(' ', '')), '192.0.2.7:50123'],
  [
    'v2 IPv6 with TLVs',
    binary(
      '21210029' + '20010db8000000000000000000000007' + '20010db8000000000000000000000001' + 'c3cb075b' + '0400020000',
    ),
    '[2001:db8:0:0:0:0:0:7]:50123',
  ],
  ['v2 LOCAL', binary('20000000'), null],
  ['v2 of a Unix socket', binary(`213100d8${'00'.repeat(216)}`), null],
];

for (const [name, header, address] of whole) {
  test(`${name} is read, however it is cut, and what is behind it is left alone`, () => {
    assert.deepEqual(proxyHeader(Buffer.concat([header, text('\x10...')])), { end: header.length, address });
    for (let length = 0; length < header.length; length++) {
      assert.equal(proxyHeader(header.subarray(0, length)), 'more', `${length} bytes`);
    }
  });
}

test('what is no header is refused as soon as that shows', () => {
  const garbage: readonly (string | Buffer)[] = [
    'G',
    '\x10\x0c',
    'PROXX',
    'PROXY TCP4 192.0.2.7 198.51.100.1 50123\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 50123 1883 more\r\n',
    'PROXY TCP4 2001:db8::7 198.51.100.1 1 2\r\n',
    'PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 65536 1\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 01 1\r\n',
    'PROXY TCP4 192.0.2.256 198.51.100.1 1 1\r\n',
    'PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n'.padEnd(120, 'x'),
    'PROXY '.padEnd(107, 'x'),
    binary('11110000'),
    binary('22110000'),
    binary(`2111000b${'00'.repeat(11)}`),
    binary('2111ffff'),
  ];
  for (const each of garbage) {
    const bytes = typeof each === 'string' ? text(each) : each;
    assert.equal(proxyHeader(bytes), 'bad', bytes.toString('latin1').slice(0, 60));
  }
});
