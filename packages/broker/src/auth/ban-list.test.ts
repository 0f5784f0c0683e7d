import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Verdict } from '../core/index.ts';
import { type Ban, BanList, banning } from './ban-list.ts';

test('a ban is about one client id, user name, address or range, and nobody else', () => {
  const bans = new BanList();
  bans.add({ type: 'client', value: 'meter' });
  bans.add({ type: 'user', value: 'ada' });
  bans.add({ type: 'address', value: '192.0.2.0/24' });
  bans.add({ type: 'address', value: '2001:db8::/32' });
  const found = (suspect: Parameters<BanList['find']>[0]): string | undefined => bans.find(suspect)?.value;
  assert.equal(found({ clientId: 'meter' }), 'meter');
  assert.equal(found({ clientId: 'ada', username: 'meter', principal: null }), undefined);
  assert.equal(found({ username: 'ada' }), 'ada');
  assert.equal(found({ principal: 'ada' }), 'ada');
  assert.equal(found({ address: '192.0.2.9:1883' }), '192.0.2.0/24');
  assert.equal(found({ address: '[::ffff:192.0.2.9]:1883' }), '192.0.2.0/24');
  assert.equal(found({ address: '[2001:db8::7]:1' }), '2001:db8:0:0:0:0:0:0/32');
  assert.equal(found({ address: '192.0.3.9:1883' }), undefined);
  assert.equal(found({ clientId: '192.0.2.9' }), undefined);
});

test('a ban ends when its time has come, and is gone then', () => {
  let now = Date.parse('2030-01-01T00:00:00Z');
  const bans = new BanList([], () => now);
  bans.add({ type: 'client', value: 'a', until: '2030-01-01T01:00:00+01:00' });
  assert.equal(bans.find({ clientId: 'a' }), null, 'over at once');
  bans.add({ type: 'address', value: '10.0.0.0/8', until: '2030-01-01T00:01:00Z' });
  now += 59_999;
  assert.equal(bans.find({ address: '10.1.1.1:5' })?.value, '10.0.0.0/8');
  now += 1;
  assert.deepEqual([...bans], []);
  assert.equal(bans.find({ address: '10.1.1.1:5' }), null);
  assert.equal(bans.size, 0);
  assert.equal(bans.remove('address', '10.0.0.0/8'), false);
});

test('a range that has expired hides no wider one', () => {
  let now = 0;
  const bans = new BanList([], () => now);
  bans.add({ type: 'address', value: '10.1.0.0/16', until: '1970-01-01T00:00:01Z' });
  bans.add({ type: 'address', value: '10.0.0.0/8', until: '1970-01-01T00:00:02Z' });
  const found: (string | undefined)[] = [];
  for (; now <= 2_000; now += 1_000) found.push(bans.find({ address: '10.1.2.3:1' })?.value);
  assert.deepEqual(found, ['10.1.0.0/16', '10.0.0.0/8', undefined]);
});

test('all writings of an address are one ban; the later one replaces the earlier', () => {
  const bans = new BanList();
  bans.add({ type: 'address', value: '192.0.2.77/24', reason: 'first' });
  bans.add({ type: 'address', value: '192.0.2.0/24', reason: 'second' });
  assert.deepEqual([...bans], [{ type: 'address', value: '192.0.2.0/24', reason: 'second', isConfigured: false }]);
  assert.equal(bans.remove('address', '192.0.2.1/24'), true);
  assert.equal(bans.find({ address: '192.0.2.77:1' }), null);
});

test('those of the configuration end only there, and are replaced whole or not at all', () => {
  const bans = new BanList([{ type: 'client', value: 'a' }]);
  assert.equal(bans.remove('client', 'a'), false);
  bans.add({ type: 'client', value: 'b' });
  assert.throws(
    () =>
      bans.configure([
        { type: 'client', value: 'c' },
        { type: 'address', value: 'nowhere' },
      ]),
    TypeError,
  );
  assert.deepEqual(
    [...bans].map(({ value }) => value),
    ['a', 'b'],
  );
  bans.configure([{ type: 'client', value: 'c' }]);
  assert.deepEqual([...bans].map(({ value }) => value).sort(), ['b', 'c']);
});

test('what says nothing is no ban', () => {
  const bans = new BanList();
  const wrong = [
    { type: 'client', value: '' },
    { type: 'address', value: '192.0.2.0/33' },
    { type: 'planet', value: 'x' },
    { type: 'client', value: 'a', until: 'tomorrow' },
    { type: 'client' },
  ];
  for (const ban of wrong) assert.throws(() => bans.add(ban as Ban), TypeError);
  assert.equal(bans.size, 0);
});

test('a banned client is refused with 0x8A and nobody is asked; who turns out to be banned is, too', async () => {
  let asked = 0;
  const accept: Verdict = { outcome: 'accept', principal: 'proven' };
  for (const answer of [accept, Promise.resolve(accept)]) {
    const bans = new BanList();
    const authority = banning(
      {
        authenticate: () => {
          asked++;
          return answer;
        },
      },
      bans,
    );
    const request = {
      clientId: 'c',
      username: 'u',
      peer: { transport: 'tcp', address: '192.0.2.1:5', listener: '' },
    } as AuthenticationRequest;
    assert.deepEqual(await authority.authenticate(request), accept);
    for (const [ban, times] of [
      [{ type: 'client', value: 'c', reason: 'lost' }, 0],
      [{ type: 'user', value: 'u' }, 0],
      [{ type: 'address', value: '192.0.2.1' }, 0],
      [{ type: 'user', value: 'proven' }, 1],
    ] as const) {
      bans.add(ban);
      asked = 0;
      const verdict = await authority.authenticate(request);
      assert.equal('reasonCode' in verdict && verdict.reasonCode, ReasonCode.Banned);
      assert.match('reason' in verdict ? (verdict.reason ?? '') : '', /is banned/);
      assert.equal(asked, times);
      bans.remove(ban.type, ban.value);
    }
  }
});
