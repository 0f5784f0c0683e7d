import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PasswordFile, parsePasswords } from '@pipit/broker';
import { encodeUtf8 } from '@pipit/protocol';
import { connectRequest } from '../../broker/test/node/connect-request.ts';
import { type Outcome, RunningCommand, scratch } from './command.ts';

// Made by mosquitto_passwd; the password is `secret`.
const ada =
  'ada:$7$101$mQWBfoH4iiZCvC+P$n7uRojE5lsWWNB7mJwtkp083vXtpkUkToh65eFnATzQPvOMS3rzApCtk3Pw2uUlPBvDLxXm4tmE0xfD3iKZU0Q==';

async function passwd(input: string, ...args: string[]): Promise<Outcome> {
  const command = new RunningCommand(['passwd', ...args], scratch);
  command.process.stdin.on('error', () => undefined).end(input);
  return command.outcome();
}

async function mayLogIn(file: string, username: string, password: string): Promise<boolean> {
  const passwords = new PasswordFile(parsePasswords(readFileSync(file, 'utf8')));
  const verdict = await passwords.authenticate(connectRequest({ username, password: encodeUtf8(password) }));
  return verdict.outcome === 'accept';
}

test('names are added, changed and removed; other lines stay as they are, and nobody else can read the file', async () => {
  const file = join(scratch, 'passwords');
  assert.deepEqual(await passwd('first\nmore\n', file, 'bob'), { exitCode: 0, stdout: '', stderr: '' });
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(await mayLogIn(file, 'bob', 'first'));
  writeFileSync(file, `# ours\n${ada}\n${readFileSync(file, 'utf8')}`);
  const secret = join(scratch, 'secret');
  writeFileSync(secret, 'second line ends\n');
  assert.equal((await passwd('', file, 'bob', '--password-file', secret, '--scram')).exitCode, 0);
  assert.ok(await mayLogIn(file, 'bob', 'second line ends'));
  assert.ok(!(await mayLogIn(file, 'bob', 'first')));
  assert.ok(await mayLogIn(file, 'ada', 'secret'));
  assert.match(readFileSync(file, 'utf8'), /^# ours\nada:\$7\$.*\nbob:\$scram-sha-256\$.*\n$/);
  assert.equal((await passwd('', file, 'bob', '--delete')).exitCode, 0);
  assert.equal(readFileSync(file, 'utf8'), `# ours\n${ada}\n`);
  assert.deepEqual(
    readdirSync(scratch).filter((name) => name.endsWith('.new')),
    [],
  );
});

test('what cannot be done is said in one sentence, and the file stays as it is', async () => {
  const file = join(scratch, 'notes');
  writeFileSync(file, 'remember the milk\n');
  for (const [input, args, exitCode, sentence] of [
    ['x\n', [file, 'ada'], 1, /notes is not a password file: line 1 has no name/],
    ['x\n', [join(scratch, 'none'), 'a:b'], 2, /A name is not empty/],
    ['\n', [join(scratch, 'none'), 'ada'], 2, /The password is empty/],
    ['', [join(scratch, 'none'), 'ada', '--delete'], 1, /has nobody called ada/],
    ['x\n', [join(scratch, 'none', 'none'), 'ada'], 1, /cannot be used/],
    ['x\n', [join(scratch, 'none'), 'ada', '--password-file', join(scratch, 'nowhere')], 1, /nowhere cannot be used/],
  ] as const) {
    const outcome = await passwd(input, ...args);
    assert.equal(outcome.exitCode, exitCode, outcome.stderr);
    assert.match(outcome.stderr, sentence);
    assert.equal(outcome.stderr.trimEnd().split('\n').length, 1);
  }
  assert.equal(readFileSync(file, 'utf8'), 'remember the milk\n');
});
