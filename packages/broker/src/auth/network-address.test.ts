import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressRanges, hostOf, isLoopbackAddress, normalRange, withoutPort } from './network-address.ts';

test('a host is an IPv4 address, or the first 64 bits of an IPv6 one', () => {
  assert.equal(hostOf('192.0.2.1:50123'), '192.0.2.1');
  assert.equal(hostOf('[2001:db8:1:2:3:4:5:6]:1'), '2001:db8:1:2::/64');
  assert.equal(hostOf('[2001:db8::1]:1'), '2001:db8:0:0::/64');
  assert.equal(hostOf('[2001:db8::1]:2'), hostOf('[2001:db8::2]:1'));
  assert.equal(hostOf('[::1]:1'), '0:0:0:0::/64');
  assert.equal(hostOf('[::ffff:192.0.2.1]:9'), '192.0.2.1');
  assert.equal(hostOf('[::ffff:c000:201]:9'), '192.0.2.1');
  assert.equal(hostOf('[fe80::1%eth0]:9'), 'fe80:0:0:0::/64');
  assert.equal(hostOf('/run/pipit.sock'), '/run/pipit.sock');
});

test('ports come off, colons of IPv6 do not', () => {
  assert.equal(withoutPort('192.0.2.1:5'), '192.0.2.1');
  assert.equal(withoutPort('192.0.2.1'), '192.0.2.1');
  assert.equal(withoutPort('[::1]:5'), '::1');
  assert.equal(withoutPort('[::1]'), '::1');
  assert.equal(withoutPort('::1'), '::1');
});

test('ranges have their first and last address, and none beside them', () => {
  const cases: readonly [string, readonly string[], readonly string[]][] = [
    ['192.0.2.0/24', ['192.0.2.0', '192.0.2.255', '::ffff:192.0.2.7'], ['192.0.1.255', '192.0.3.0', '::1']],
    ['192.0.2.128/25', ['192.0.2.128', '192.0.2.255'], ['192.0.2.127']],
    ['192.0.2.7', ['192.0.2.7'], ['192.0.2.6', '192.0.2.8']],
    ['2001:db8::/33', ['2001:db8::', '2001:db8:7fff:ffff:ffff:ffff:ffff:ffff'], ['2001:db8:8000::', '2001:db7::']],
    ['2001:db8::1', ['2001:db8:0:0:0:0:0:1'], ['2001:db8::2']],
    ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255'], ['::1', '2001:db8::1']],
    ['::/0', ['::1', '192.0.2.1'], ['no address', '']],
  ];
  for (const [range, inside, outside] of cases) {
    const ranges = new AddressRanges([range]);
    for (const address of inside) assert.equal(ranges.has(address), true, `${address} in ${range}`);
    for (const address of outside) assert.equal(ranges.has(address), false, `${address} in ${range}`);
  }
});

test('a range that is taken out is gone, its parts and the others stay', () => {
  const ranges = new AddressRanges(['10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16']);
  ranges.delete('10.0.0.0/8');
  assert.deepEqual(
    ['10.1.2.3', '10.2.0.0', '10.3.0.0'].map((address) => ranges.has(address)),
    [true, true, false],
  );
});

test('what is no range is refused', () => {
  for (const text of [
    '',
    'localhost',
    '192.0.2.0/33',
    '192.0.2.0/-1',
    '192.0.2.0/',
    '1.2.3',
    '::/129',
    '::/1/2',
    '10.0.0.0/8x',
  ]) {
    assert.throws(() => new AddressRanges([text]), TypeError, text);
    assert.equal(normalRange(text), null, text);
  }
});

test('all writings of a range become one', () => {
  assert.equal(normalRange('192.0.2.9/24'), '192.0.2.0/24');
  assert.equal(normalRange('192.0.2.9/32'), '192.0.2.9');
  assert.equal(normalRange('::ffff:192.0.2.9'), '192.0.2.9');
  assert.equal(normalRange('::ffff:0:0/96'), '0.0.0.0/0');
  assert.equal(normalRange('2001:DB8::1/64'), '2001:db8:0:0:0:0:0:0/64');
  assert.equal(normalRange('2001:db8::1'), '2001:db8:0:0:0:0:0:1');
});

test('loopback is 127/8 and ::1', () => {
  assert.deepEqual(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '128.0.0.1', '::2'].map(isLoopbackAddress), [
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
});
