import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run, scratch, start, startServeIn, startSub } from './command.ts';

const timeout = { timeout: 60_000 };

test('pipit why and pipit trace tell what happened to a message', timeout, async () => {
  const cwd = mkdtempSync(join(scratch, 'why-'));
  const serve = await startServeIn(cwd, '--memory', '--tcp', '0', '--admin', '0');
  const token = await serve.until('stdout', /^token of reader .*: (\S+)$/m);
  const api = await serve.until('stdout', /^(http:\S+) \(HTTP API\)$/m);
  const port = await serve.until('stdout', /^mqtt:\/\/\S+:(\d+)$/m);
  const tokenFile = join(cwd, 'token');
  writeFileSync(tokenFile, `${token}\n`);
  const asked = ['--api', api, '--token-file', tokenFile];

  const unknown = await run(['why', 'sleeper', 'a/b', ...asked]);
  assert.deepEqual(unknown, {
    exitCode: 0,
    stdout: 'There is no session of this client id, and nothing is known of it.\n',
    stderr: '',
  });
  const follow = start('trace', '--filter', 'a/#', '--events', '3', ...asked);
  const raw = start('trace', '--filter', 'a/#', '--events', '3', '--json', ...asked);
  await follow.until('stdout', /^\S+ begun$/m);
  await raw.until('stdout', /"step":"begun"/);
  const sub = await startSub('-p', port, '-i', 'sleeper', '-c', '-V', '311', '-q', '1', '-t', 'a/b', '-t', 'b');
  await run(['pub', '-p', port, '-i', 'giver', '-q', '1', '-t', 'a/b', '-m', 'the-payload']);
  const followed = await follow.outcome();
  assert.equal(followed.exitCode, 0);
  assert.match(followed.stdout, /^\d\d:\d\d:\d\d\.\d{3} sent +sleeper {2}a\/b QoS 1, 11 bytes, packet id \d+$/m);
  assert.match(followed.stdout, /^\S+ published +giver {2}a\/b QoS 1, 11 bytes, packet id 1, to 1 sessions$/m);
  assert.match(followed.stdout, /^\S+ ended +count$/m);
  const steps = (await raw.outcome()).stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).step);
  assert.deepEqual(steps, ['begun', 'sent', 'published', 'acknowledged', 'ended']);
  assert.doesNotMatch(followed.stdout, /the-payload/);

  sub.process.kill('SIGKILL');
  await sub.outcome();
  await serve.until('stderr', /"clientId":"sleeper"[^\n]*"msg":"disconnected"/);
  await run(['pub', '-p', port, '-q', '1', '-t', 'b', '-m', 'x']);
  const away = await run(['why', 'sleeper', 'b', ...asked]);
  assert.match(
    away.stdout,
    /^The client is away since .*: what is QoS 1 or 2 waits for it, what is QoS 0 does not\.\n1 message \(\d+ bytes\) wait/,
  );
  const json = await run(['why', 'sleeper', 'c', '--json', '--api', api], '', { PIPIT_TOKEN: token });
  const { findings } = JSON.parse(json.stdout) as { findings: { code: string }[] };
  assert.deepEqual(
    findings.slice(0, 2).map(({ code }) => code),
    ['away', 'not-subscribed'],
  );

  await refusals(api, asked);
  writeFileSync(tokenFile, 'pipit_wrong');
  const refused = await run(['why', 'c', ...asked]);
  assert.deepEqual([refused.exitCode, refused.stderr], [1, `${api} refused: A valid bearer token is needed.\n`]);
  await serve.stop();
});

/** Each is told in one sentence. */
async function refusals(api: string, asked: readonly string[]): Promise<void> {
  const wrong: readonly [args: string[], exitCode: number, stderr: RegExp][] = [
    [['why', 'c', '--api', api], 2, /^Error: A token is needed/],
    [['why', 'c', '--api', 'nowhere'], 2, /is not a URL/],
    [['why', 'c', '--api', api, '--token-file', '/nowhere'], 1, /^\/nowhere cannot be read/],
    [['trace', ...asked], 2, /What is to be followed/],
    [['trace', '--filter', 'a/#/b', ...asked], 1, /refused: /],
    [['why', 'c', ...asked, '--api', 'http://127.0.0.1:1'], 1, /^http:\/\/127\.0\.0\.1:1 does not answer: /],
  ];
  for (const [args, exitCode, stderr] of wrong) {
    const outcome = await run(args, '', { PIPIT_TOKEN: '' });
    assert.equal(outcome.exitCode, exitCode, outcome.stderr);
    assert.match(outcome.stderr, stderr);
    assert.equal(outcome.stderr.trimEnd().split('\n').length, 1);
  }
}
