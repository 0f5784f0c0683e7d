import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { connectRequest } from '../../test/node/connect-request.ts';
import type { AuthenticationRequest } from '../core/index.ts';
import { BackOff } from './back-off.ts';
import { chain } from './chain.ts';

const at = (host: string, username: string | null) => ({
  peer: { transport: 'tcp', address: `${host}:5000`, listener: '' } as const,
  username,
});

test('the first failures are free, each further one doubles the wait up to the longest', () => {
  let now = 0;
  const backOff = new BackOff({ freeFailures: 2, waitMsMin: 100, waitMsMax: 350, now: () => now });
  const waits = [];
  for (let i = 0; i < 6; i++) {
    backOff.failed(at('192.0.2.1', 'ada'));
    waits.push(backOff.waitMs(at('192.0.2.1', 'ada')));
  }
  assert.deepEqual(waits, [0, 0, 100, 200, 350, 350]);
  now += 349;
  assert.equal(backOff.waitMs(at('192.0.2.1', 'ada')), 1);
  now += 1;
  assert.equal(backOff.waitMs(at('192.0.2.1', 'ada')), 0);
  now += 701;
  backOff.failed(at('192.0.2.1', 'ada'));
  assert.equal(backOff.waitMs(at('192.0.2.1', 'ada')), 0, 'after a long peace it begins anew');
});

test('an address waits for all names, a name for all addresses but the one its owner came from', () => {
  const backOff = new BackOff({ freeFailures: 0, waitMsMin: 100, now: () => 0 });
  backOff.succeeded(at('192.0.2.7', 'ada'));
  backOff.failed(at('192.0.2.1', 'ada'));
  assert.equal(backOff.waitMs(at('192.0.2.1', 'bob')), 100);
  assert.equal(backOff.waitMs(at('192.0.2.1', null)), 100);
  assert.equal(backOff.waitMs(at('192.0.2.2', 'ada')), 100);
  assert.equal(backOff.waitMs(at('192.0.2.2', 'bob')), 0);
  assert.equal(backOff.waitMs(at('192.0.2.7', 'ada')), 0, 'strangers do not lock the owner out');
  backOff.failed(at('192.0.2.7', 'ada'));
  assert.equal(backOff.waitMs(at('192.0.2.7', 'ada')), 100, 'but it is not free to guess from there');
});

test('what is remembered is bounded; the oldest go', () => {
  const backOff = new BackOff({ freeFailures: 0, entriesMax: 10, now: () => 0 });
  for (let i = 0; i < 100; i++) backOff.failed(at(`192.0.2.${i}`, `name ${i}`));
  const held = Array.from({ length: 100 }, (_, i) => i).filter((i) => backOff.waitMs(at(`192.0.2.${i}`, null)) > 0);
  assert.deepEqual(held, [90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
});

test('a chain asks nobody about who has to wait, and does not mind who shows nothing', async () => {
  let now = 0;
  let asked = 0;
  const judge = {
    authenticate: ({ username }: AuthenticationRequest) => {
      asked++;
      if (username === null) return { outcome: 'accept', principal: null } as const;
      return { outcome: 'refuse', reasonCode: ReasonCode.BadUserNameOrPassword } as const;
    },
  };
  const authority = chain([judge], new BackOff({ freeFailures: 1, waitMsMin: 100, now: () => now }));
  const request = (username: string | null) => connectRequest(at('192.0.2.1', username));
  const codes = [];
  for (let i = 0; i < 3; i++) {
    const verdict = await authority.authenticate(request('ada'));
    codes.push(verdict.outcome === 'refuse' && verdict.reasonCode);
  }
  const { BadUserNameOrPassword, ConnectionRateExceeded } = ReasonCode;
  assert.deepEqual(codes, [BadUserNameOrPassword, BadUserNameOrPassword, ConnectionRateExceeded]);
  assert.equal(asked, 2);
  assert.equal((await authority.authenticate(request(null))).outcome, 'accept');
  now += 100;
  const verdict = await authority.authenticate(request('ada'));
  assert.equal(verdict.outcome === 'refuse' && verdict.reasonCode, BadUserNameOrPassword);
});
