import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8, ReasonCode } from '@pipit/protocol';
import { connectRequest } from '../../test/node/connect-request.ts';
import type { AuthenticationRequest } from '../core/index.ts';
import { chain } from './chain.ts';
import { PasswordFile, PasswordFileError, parsePasswords } from './password-file.ts';
import { hashPassword, parsePasswordHash, verifyPassword } from './password-hash.ts';
import type { Identification } from './permitting.ts';
import { WaitingLine } from './waiting-line.ts';

// Made by mosquitto_passwd, the second with -H sha512.
const mosquittos = `# two of Mosquitto's
ada:$7$101$mQWBfoH4iiZCvC+P$n7uRojE5lsWWNB7mJwtkp083vXtpkUkToh65eFnATzQPvOMS3rzApCtk3Pw2uUlPBvDLxXm4tmE0xfD3iKZU0Q==

bob:$6$rtnqBStXzHPDykKC$OilSMqvPuqBUBpUrg5medFzqU70/V82hm2kSgloHW2W+vUTiYiD5x608OaSSotKZrOpC7jCm2b/Vq4ho5o6tPQ==
`;
// RFC 7914, section 12.
const published =
  '$scrypt$N=1024,r=8,p=16$TmFDbA==$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA==';

function login(username: string | null, password: string | null, address = '192.0.2.1:1000'): AuthenticationRequest {
  return connectRequest({
    peer: { transport: 'tcp', address, listener: 'mqtt://127.0.0.1:1883' },
    username,
    password: password === null ? null : encodeUtf8(password),
  });
}

test("Mosquitto's password files are read as they are", async () => {
  const file = new PasswordFile(parsePasswords(mosquittos));
  for (const [name, password] of [
    ['ada', 'secret'],
    ['bob', 'secret2'],
  ] as const) {
    const answer = await file.authenticate(login(name, password));
    assert.ok(answer.outcome === 'accept' && answer.principal === name);
    const refusal = { outcome: 'refuse', reasonCode: ReasonCode.BadUserNameOrPassword };
    assert.deepEqual(await file.authenticate(login(name, `${password}x`)), refusal);
    assert.deepEqual(await file.authenticate(login(name, '')), refusal);
  }
  for (const [name, password] of [
    ['eve', 'secret'],
    ['', 'secret'],
    ['ada', null],
    [null, null],
  ] as const) {
    assert.deepEqual(await file.authenticate(login(name, password)), { outcome: 'pass' });
  }
});

test('scrypt as RFC 7914 has it; what is hashed here is verified here', async () => {
  assert.equal(await verifyPassword(parsePasswordHash(published), encodeUtf8('password')), true);
  assert.equal(await verifyPassword(parsePasswordHash(published), encodeUtf8('Password')), false);
  for (const kind of ['scrypt', 'scram-sha-256'] as const) {
    const stored = parsePasswordHash(await hashPassword(kind, encodeUtf8('Ⅳ'), Buffer.alloc(16, 7)));
    assert.equal(stored.kind, kind);
    assert.equal(await verifyPassword(stored, encodeUtf8('Ⅳ')), true);
    assert.equal(await verifyPassword(stored, encodeUtf8('IV')), kind === 'scram-sha-256', 'SCRAM folds');
    assert.equal(await verifyPassword(stored, encodeUtf8('V')), false);
  }
});

test('a file that is not one is refused whole, every bad line named', () => {
  const bad = [
    'no colon',
    ':$6$a$b',
    'a:plain',
    'b:$5$x$y',
    'c:$6$salt',
    'd:$7$0$c2FsdA==$aGFzaA==',
    'e:$scrypt$N=3,r=1,p=1$YQ==$YQ==',
  ];
  const twice = mosquittos.split('\n')[1];
  assert.throws(
    () => parsePasswords([...bad, twice, twice, `f:${published.replace('N=1024', 'N=1073741824')}`].join('\n')),
    (error) => {
      assert.ok(error instanceof PasswordFileError);
      assert.deepEqual(error.problems, [
        'line 1 has no name before a colon',
        'line 2 has no name before a colon',
        'line 3 is not a password hash: it does not begin with $',
        'line 4 has a password hash of a kind that is not known here: $5$',
        'line 5 has a password hash with parts missing or too many',
        'line 6 has a password hash whose number of iterations is not from 1 to 10000000',
        'line 7 has a scrypt hash whose N, r and p are not legal or cost too much',
        'line 9 names ada again',
        'line 10 has a scrypt hash whose N, r and p are not legal or cost too much',
      ]);
      return true;
    },
  );
});

test('somebody who was let in stands, has to come back with another password, or is gone', async () => {
  const before = new PasswordFile(parsePasswords(mosquittos));
  const answer = (await before.authenticate(login('ada', 'secret'))) as Identification;
  const subject = { name: 'ada', groups: [], values: {}, ...(answer.mark !== undefined && { mark: answer.mark }) };
  assert.equal(before.wordFor(subject), 'stands');
  assert.equal(new PasswordFile(parsePasswords(mosquittos)).wordFor(subject), 'stands');
  assert.equal(new PasswordFile(parsePasswords(`ada:${published}`)).wordFor(subject), 'stale');
  assert.equal(new PasswordFile(new Map()).wordFor(subject), 'gone');
  const [, hash = ''] = /^ada:(.*)$/m.exec(mosquittos) ?? [];
  assert.ok(answer.mark !== undefined && !hash.includes(answer.mark) && answer.mark.length === 16);
});

test('hashes are made two at a time, and beyond the line nobody waits', async () => {
  const line = new WaitingLine(2, 3);
  const ends: (() => void)[] = [];
  let running = 0;
  let most = 0;
  const work = async (): Promise<true> => {
    most = Math.max(most, ++running);
    await new Promise<void>((end) => ends.push(end));
    running--;
    return true;
  };
  const results = Array.from({ length: 6 }, () => line.run(work));
  assert.equal(await results[5], null, 'the sixth is turned away');
  for (let done = 0; done < 5; done++) {
    while (ends.length === 0) await null;
    ends.shift()?.();
  }
  assert.deepEqual(await Promise.all(results), [true, true, true, true, true, null]);
  assert.equal(most, 2);
  const full = new PasswordFile(parsePasswords(mosquittos), new WaitingLine(0, 0));
  const verdict = await full.authenticate(login('ada', 'secret'));
  assert.equal(verdict.outcome === 'refuse' && verdict.reasonCode, ReasonCode.ServerBusy);
});

test('a chain: the first that knows the peer decides; nobody knowing it is a refusal', async () => {
  const file = new PasswordFile(parsePasswords(mosquittos));
  const open = { authenticate: () => ({ outcome: 'accept', principal: 'anybody' }) as const };
  assert.deepEqual(await chain([file, open]).authenticate(login('eve', 'x')), {
    outcome: 'accept',
    principal: 'anybody',
  });
  const both = await chain([file, open]).authenticate(login('ada', 'x'));
  assert.equal(both.outcome, 'refuse', 'who is known there is not asked about elsewhere');
  for (const who of [login('eve', 'x'), login(null, null)]) {
    const verdict = await chain([file]).authenticate(who);
    assert.equal(verdict.outcome === 'refuse' && verdict.reasonCode, ReasonCode.BadUserNameOrPassword);
  }
  const method = await chain([]).authenticate({ ...login('eve', 'x'), method: 'GS2' });
  assert.equal(method.outcome === 'refuse' && method.reasonCode, ReasonCode.BadAuthenticationMethod);
});

test('steps of one exchange go to the judge that asked for them', async () => {
  const asked: unknown[] = [];
  const passing = { authenticate: () => ({ outcome: 'pass' }) as const };
  const stepping = {
    authenticate: ({ memory }: AuthenticationRequest) => {
      asked.push(memory);
      if (memory === null) return { outcome: 'continue', data: null } as const;
      return { outcome: 'accept', principal: 'x' } as const;
    },
  };
  const both = chain([
    passing,
    {
      authenticate: async (request) => {
        const verdict = stepping.authenticate(request);
        return verdict.outcome === 'continue' ? { ...verdict, memory: 'mine' } : verdict;
      },
    },
  ]);
  const first = await both.authenticate({ ...login(null, null), method: 'M' });
  assert.equal(first.outcome, 'continue');
  const memory = first.outcome === 'continue' ? first.memory : null;
  const last = await both.authenticate({ ...login(null, null), method: 'M', kind: 'continue', memory });
  assert.deepEqual(last, { outcome: 'accept', principal: 'x' });
  assert.deepEqual(asked, [null, 'mine']);
});
