/** `pipit conformance`: exit codes, and what it says about brokers that are not there, silent, or gone at once. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { listening } from '../../conformance/test/unruly-server.ts';
import { type RunningCommand, run, startServe } from './command.ts';

describe('with a broker', () => {
  let broker: RunningCommand;
  let url: string;

  before(async () => {
    broker = await startServe('--memory', '--tcp', '0');
    url = await broker.until('stdout', /^mqtt:.*$/m);
  });

  after(() => broker.stop());

  test('a statement that passes: a line, a summary, exit code 0', async () => {
    const { exitCode, stdout } = await run(['conformance', url, '--only', 'MQTT-3.12.4-1']);
    assert.equal(
      stdout,
      [
        'pass MQTT-3.12.4-1  PINGREQ gets PINGRESP, each one',
        `${url}: 1 pass, 0 fail, 0 not applicable, 0 for information (1 case)`,
        '',
      ].join('\n'),
    );
    assert.equal(exitCode, 0);
  });

  test('--mqtt 4 and 3 run no case of 5.0', async () => {
    const { exitCode, stdout } = await run([
      'conformance',
      url,
      '--mqtt',
      '4',
      '3',
      '--only',
      'MQTT3-3.12.4-1',
      '3.1/connect',
    ]);
    assert.match(stdout, /^pass MQTT3-3\.12\.4-1 .*\npass 3\.1\/connect .*\n.*: 2 pass, /);
    assert.equal(exitCode, 0);
  });

  test('--json is one report', async () => {
    const { exitCode, stdout } = await run(['conformance', url, '--json', '--only', 'MQTT-3.12.4-1']);
    const report = JSON.parse(stdout);
    assert.deepEqual(report.summary, { pass: 1, fail: 0, notApplicable: 0, information: 0 });
    assert.equal(report.results[0].outcome, 'pass');
    assert.equal(exitCode, 0);
  });
});

const wrong: Readonly<Record<string, readonly [args: readonly string[], message: RegExp]>> = {
  'no URL': [[], /missing required argument/],
  'an address without a scheme': [['127.0.0.1:1883'], /such as mqtt:\/\/127\.0\.0\.1:1883\.$/m],
  'a name without a scheme': [['localhost'], /such as mqtt:\/\/localhost\.$/m],
  'a URL of another kind': [['http://localhost'], /mqtt:\/\/, mqtts:\/\/, ws:\/\/ or wss:\/\//],
  'a version nobody knows': [['mqtt://127.0.0.1', '--mqtt', '7'], /--mqtt 7: it must be 5, 4 or 3\./],
  'a statement nobody knows': [['mqtt://127.0.0.1', '--only', 'no-such-id'], /no case or statement no-such-id\./],
  'a statement of another version': [
    ['mqtt://127.0.0.1', '--mqtt', '4', '--only', 'MQTT-3.12.4-1'],
    /--only and --mqtt leave no case to run\./,
  ],
};

for (const [what, [args, message]] of Object.entries(wrong)) {
  test(`${what} is wrong usage: exit code 2`, async () => {
    const { exitCode, stdout, stderr } = await run(['conformance', ...args]);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, / at /, 'a stack trace');
    assert.deepEqual([exitCode, stdout], [2, '']);
  });
}

test('nobody listens: one line says so, exit code 1', async () => {
  const { url, close } = await listening(() => {});
  close();
  const { exitCode, stdout } = await run(['conformance', url]);
  assert.equal(
    stdout,
    `FAIL MQTT 5.0, 3.1.1, 3.1: no connection (ECONNREFUSED)\n${url}: none of ${/of (\d+)/.exec(stdout)?.[1]} cases was run\n`,
  );
  assert.equal(exitCode, 1);
});

test('a server that never answers: one line says so, exit code 1', async () => {
  const { url, close } = await listening((socket) => socket.resume());
  const { exitCode, stdout } = await run(['conformance', url, '--timeout', '300']);
  close();
  assert.match(
    stdout,
    /^FAIL MQTT 5\.0, 3\.1\.1, 3\.1: CONNECT gets no answer for 0\.3 s\n.*: none of \d+ cases was run\n$/,
  );
  assert.equal(exitCode, 1);
});

test('a server that closes: one line says so, exit code 1', async () => {
  const { url, close } = await listening((socket) => socket.destroy());
  const { exitCode, stdout } = await run(['conformance', url]);
  close();
  assert.match(
    stdout,
    /^n\/a {2}MQTT 5\.0, 3\.1: CONNECT closes the connection\nFAIL MQTT 3\.1\.1: CONNECT closes the connection\n.*: none of \d+ cases was run\n$/,
  );
  assert.equal(exitCode, 1);
});
