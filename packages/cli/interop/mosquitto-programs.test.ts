/**
 * `pipit pub`, `sub` and `rpc` beside mosquitto_pub, mosquitto_sub and mosquitto_rr: the same options, the same bytes on
 * stdout, the same exit codes. Both hear the same messages from the same Mosquitto.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Mosquitto, startMosquitto } from '../../broker/test/node/mosquitto.ts';
import { type Outcome, RunningCommand, run, start } from '../test/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-programs-'));
let broker: Mosquitto;
let port: string;

before(async () => {
  broker = await startMosquitto(['allow_anonymous true', 'password_file FOLDER/users'], { users: '' });
  port = broker.port;
});

after(async () => {
  await broker?.stop();
  rmSync(folder, { recursive: true });
});

/** A program of Mosquitto, with its end and what it printed, a character a byte. */
class Program {
  readonly process;
  readonly #closed: Promise<unknown[]>;
  stdout = '';
  stderr = '';

  constructor(name: string, args: readonly string[]) {
    this.process = spawn(`mosquitto_${name}`, args);
    this.#closed = once(this.process, 'close');
    this.process.stdout.setEncoding('latin1').on('data', (text: string) => {
      this.stdout += text;
    });
    this.process.stderr.setEncoding('latin1').on('data', (text: string) => {
      this.stderr += text;
    });
  }

  async outcome(): Promise<Outcome> {
    await this.#closed;
    return { exitCode: this.process.exitCode ?? -1, stdout: this.stdout, stderr: this.stderr };
  }
}

async function program(name: string, args: readonly string[], input: string | Uint8Array = ''): Promise<Outcome> {
  const running = new Program(name, args);
  running.process.stdin.on('error', () => undefined).end(input);
  return running.outcome();
}

/** How a message is published: options of mosquitto_pub. */
type Message = readonly string[];

let sessions = 0;

/**
 * What both programs print of the same messages: each has a session from before they were published, so that both get all
 * of them, in order and under the same identifiers.
 */
async function heard(
  args: readonly string[],
  messages: readonly Message[],
  { count = messages.length, version = 'mqttv5' } = {},
): Promise<{ mosquitto: Outcome; pipit: Outcome }> {
  const name = `compared${++sessions}`;
  const common = ['-p', port, '-V', version, '-q', '2', '-t', `${name}/#`, '-c'];
  const theirs = [...common, '-i', `${name}m`];
  const ours = ['sub', ...common, '-i', `${name}p`];
  await Promise.all([program('sub', [...theirs, '-E']), run([...ours, '-E'])]);
  for (const message of messages) {
    const topic = message.includes('-t') ? [] : ['-t', `${name}/topic`];
    const own = message.map((arg) => arg.replace('NAME', name));
    const { exitCode, stderr } = await program('pub', ['-p', port, '-V', 'mqttv5', '-q', '1', ...topic, ...own]);
    assert.equal(exitCode, 0, stderr);
  }
  const rest = [...args, '-C', `${count}`, '-W', '10'];
  const [mosquitto, pipit] = await Promise.all([program('sub', [...theirs, ...rest]), run([...ours, ...rest])]);
  return { mosquitto, pipit };
}

/** Digits become 9: for output that has the time in it. */
const withoutDigits = ({ exitCode, stdout, stderr }: Outcome): Outcome => ({
  exitCode,
  stdout: stdout.replaceAll(/\d/g, '9'),
  stderr,
});

const property = (...parts: readonly string[]): readonly string[] => ['-D', 'publish', ...parts];

const rich: Message = [
  '-m',
  'hello',
  ...property('content-type', 'text/plain'),
  ...property('response-topic', 're/sp'),
  ...property('correlation-data', 'cor'),
  ...property('user-property', 'k1', 'v1'),
  ...property('user-property', 'k2', 'v:2'),
  ...property('user-property', 'k1', 'ä'),
  ...property('payload-format-indicator', '1'),
];

const binary = join(folder, 'binary');
writeFileSync(
  binary,
  Uint8Array.from({ length: 256 }, (_, i) => i),
);

const plain: readonly Message[] = [
  ['-m', 'text'],
  ['-n'],
  ['-f', binary],
  ['-m', 'ä€😀', '-t', 'NAME/é/x'],
  ['-m', 'last', '-q', '2'],
];

describe('sub prints the same bytes', { concurrency: 2 }, () => {
  for (const args of [[], ['-v'], ['-N'], ['-v', '-N'], ['-F', '%t %p'], ['-F', '%p', '-N', '-v']]) {
    for (const version of ['mqttv311', 'mqttv5']) {
      test(`with ${args.join(' ') || 'no option'}, ${version}`, async () => {
        const { mosquitto, pipit } = await heard(args, plain, { version });
        assert.deepEqual(pipit, mosquitto);
        assert.notEqual(pipit.stdout, '');
      });
    }
  }

  const formats = [
    '%A|%C|%D|%E|%F|%l|%m|%P|%p|%q|%R|%r|%S|%t|%x|%X|%%|@@',
    '%10t|%-10t|%3t|%.3t|%10.3t|%-10.3t|%010t|%-010t',
    '%10p|%-10p|%3p|%.3p|%03p|%010p|%5.2p|%-3p',
    '%10x|%-10x|%4x|%5x|%010x|%1x|%10X|%-12X',
    '%05l|%-5l|%5l|%3q|%03q|%05m|%-5m|%5r|%5D|%5P|',
    '%6F|%06F|%-6F|%6E|%06E|%5S|%05S|%A|%5A|%05A|%-5A|',
    '%30C|%-30C|%.4C|%30R|%-30R|%.2R|%30.2R|',
    '\\\\|\\0|\\a|\\e|\\n|\\r|\\t|\\v|',
    'ä%t€',
  ];
  for (const format of formats) {
    test(`with -F '${format}'`, async () => {
      const { mosquitto, pipit } = await heard(['-F', format], [rich, ['-m', ''], ['-m', 'x', '-q', '2']]);
      assert.deepEqual(pipit, mosquitto);
    });
  }

  const json: readonly Message[] = [
    rich,
    ['-n'],
    ['-m', 'a"\\\n\t\u0001\u007fé😀/<\b\f\r'],
    ['-m', '{"b": 1, "10": [1, 2.50, -0, 1e5, 1e300, 0.1, 1e-5, 0.000123, 12345678901234567890], "2": {}, "b": []}'],
    ['-m', ' "t\\u00e9xt \\/ \\ud83d\\ude00" '],
    ['-m', 'true'],
    ['-m', 'x', ...property('message-expiry-interval', '99999')],
  ];
  for (const args of [
    ['-F', '%j'],
    ['-F', '%j', '--pretty'],
  ]) {
    test(`with ${args.join(' ')}`, async () => {
      const { mosquitto, pipit } = await heard(args, json);
      assert.deepEqual(withoutDigits(pipit), withoutDigits(mosquitto));
    });
  }
  for (const args of [
    ['-F', '%J'],
    ['-F', '%J', '--pretty'],
  ]) {
    test(`with ${args.join(' ')}`, async () => {
      const { mosquitto, pipit } = await heard(
        args,
        json.filter((message) => /^[{ tr]/.test(message[1] ?? '') && message !== rich),
      );
      assert.deepEqual(withoutDigits(pipit), withoutDigits(mosquitto));
    });
  }

  test('with a payload that is not JSON and %J', async () => {
    const { mosquitto, pipit } = await heard(
      ['-F', '%J'],
      [
        ['-m', '{"a":'],
        ['-m', '1'],
      ],
    );
    assert.deepEqual(withoutDigits(pipit), withoutDigits(mosquitto));
  });

  test('with the time in it', async () => {
    const format = '%I|%30I|%-30I|%.4I|%U|@Y-@m-@dT@H:@M@z|@j @U @W @V @u @w @y @C|@N';
    const { mosquitto, pipit } = await heard(['-F', format], [['-m', 'x']]);
    assert.deepEqual(withoutDigits(pipit), withoutDigits(mosquitto));
    // What stays the same for a day, or a month, is compared as it is.
    const days = '@a @A @b @B @e @D @F @G @g @h @p @x @Z @n@t@u';
    const compared = await heard(['-F', days], [['-m', 'x']]);
    assert.deepEqual(compared.pipit, compared.mosquitto);
  });
});

describe('sub chooses the same messages', { concurrency: 2 }, () => {
  const kept: readonly Message[] = [
    ['-m', 'one', '-t', 'NAME/a', '-r'],
    ['-m', 'two', '-t', 'NAME/b', '-r'],
    ['-m', 'three', '-t', 'NAME/b/c', '-r'],
  ];

  /** Retained messages first, the last message of all behind them. */
  async function ofRetained(args: readonly string[]): Promise<{ mosquitto: Outcome; pipit: Outcome }> {
    const name = `retained${++sessions}`;
    for (const message of kept) {
      const own = message.map((arg) => arg.replace('NAME', name));
      assert.equal((await program('pub', ['-p', port, '-q', '1', ...own])).exitCode, 0);
    }
    const all = ['-p', port, '-v', '-t', `${name}/#`, ...args.map((arg) => arg.replace('NAME', name))];
    const [mosquitto, pipit] = [await program('sub', all), await run(['sub', ...all])];
    const hide = (outcome: Outcome): Outcome => ({ ...outcome, stdout: outcome.stdout.replaceAll(name, 'NAME') });
    return { mosquitto: hide(mosquitto), pipit: hide(pipit) };
  }

  for (const args of [
    ['-C', '3'],
    ['-T', 'NAME/b/#', '-W', '1'],
    ['-T', 'NAME/a', '-T', 'NAME/b', '-C', '1'],
    ['-R', '-W', '1'],
    ['--retained-only', '-C', '2'],
    ['-E'],
  ]) {
    test(args.join(' '), async () => {
      const { mosquitto, pipit } = await ofRetained(args);
      assert.deepEqual(pipit, mosquitto);
    });
  }

  test('--remove-retained clears what is not filtered out', async () => {
    for (const side of ['mosquitto', 'pipit']) {
      const name = `removed${side}`;
      for (const message of kept) {
        const own = message.map((arg) => arg.replace('NAME', name));
        assert.equal((await program('pub', ['-p', port, '-q', '1', ...own])).exitCode, 0);
      }
      const args = ['-p', port, '-t', `${name}/#`, '-T', `${name}/a`, '--remove-retained', '-W', '2', '-v'];
      const { stdout } = side === 'pipit' ? await run(['sub', ...args]) : await program('sub', args);
      const lines = ['b two', 'b/c three', 'b (null)', 'b/c (null)'];
      assert.equal(stdout, lines.map((line) => `${name}/${line}\n`).join(''));
      const left = await program('sub', ['-p', port, '-t', `${name}/#`, '-v', '-W', '1']);
      assert.equal(left.stdout, `${name}/a one\n`);
    }
  });

  test('-U ends a subscription of the session', async () => {
    for (const side of ['mosquitto', 'pipit']) {
      const id = ['-p', port, '-i', `unsubscribed${side}`, '-c', '-q', '1'];
      const sub = (...args: string[]): Promise<Outcome> =>
        side === 'pipit' ? run(['sub', ...id, ...args]) : program('sub', [...id, ...args]);
      assert.equal((await sub('-t', `${side}/one`, '-t', `${side}/two`, '-E')).exitCode, 0);
      assert.equal((await sub('-t', `${side}/two`, '-U', `${side}/one`, '-W', '1')).exitCode, 27);
      for (const end of ['one', 'two'])
        await program('pub', ['-p', port, '-q', '1', '-t', `${side}/${end}`, '-m', end]);
      assert.equal((await sub('-t', `${side}/two`, '-C', '1')).stdout, 'two\n');
    }
  });
});

describe('pub sends the same', { concurrency: 2 }, () => {
  const input = 'one\n\nthree\r\nfour\nno end';
  const ways: readonly (readonly [args: readonly string[], input?: string])[] = [
    [['-m', 'text']],
    [['-m', '-dashed']],
    [['-n']],
    [['-f', binary]],
    [['-s'], input],
    [['-l'], input],
    [['--stdin-line'], input],
    [['--stdin-file'], input],
    [['-m', 'x', '--repeat', '3']],
    [['-m', 'x', '--repeat', '2', '--repeat-delay', '0.1']],
    [['-V', 'mqttv5', ...rich]],
    [['-V', '5', '-m', 'x', '-D', 'connect', 'user-property', 'a', 'b', '-D', 'disconnect', 'user-property', 'a', 'b']],
    [['-m', 'x', '-V', 'mqttv31', '-i', 'someone']],
    [['-m', 'x', '-V', 'mqttv311', '-k', '30', '--nodelay', '-M', '5', '-I', 'prefix']],
  ];
  for (const [args, text = ''] of ways) {
    test(args.join(' ').slice(0, 60), async () => {
      const topic = `sent${++sessions}`;
      const session = ['-p', port, '-V', 'mqttv5', '-i', topic, '-c', '-q', '1', '-t', topic];
      const format = ['-F', '%t|%q|%r|%C|%R|%D|%P|%F|%x'];
      await program('sub', [...session, '-E']);
      const all = ['-p', port, '-q', '1', '-t', topic, ...args];
      const theirs = await program('pub', all, text);
      const ours = await run(['pub', ...all], text);
      assert.deepEqual(ours, theirs);
      assert.equal(theirs.exitCode, 0);
      await program('pub', ['-p', port, '-q', '1', '-t', topic, '-m', 'end']);
      const { stdout } = await program('sub', [...session, ...format, '-W', '1']);
      const lines = stdout.trimEnd().split('\n').slice(0, -1);
      assert.ok(lines.length > 0);
      assert.deepEqual(lines.slice(lines.length / 2), lines.slice(0, lines.length / 2));
    });
  }

  test('-r', async () => {
    for (const send of [(args: string[]) => program('pub', args), (args: string[]) => run(['pub', ...args])]) {
      await send(['-p', port, '-t', 'retained', '-m', 'kept', '-r', '-q', '1']);
      const { stdout } = await program('sub', ['-p', port, '-t', 'retained', '-C', '1', '-F', '%r|%p']);
      assert.equal(stdout, '1|kept\n');
      await send(['-p', port, '-t', 'retained', '-n', '-r', '-q', '1']);
      assert.equal((await program('sub', ['-p', port, '-t', 'retained', '-W', '1'])).stdout, '');
    }
  });

  test('a will, with all that belongs to it', async () => {
    const wills: string[] = [];
    for (const side of ['mosquitto', 'pipit']) {
      const topic = `will${side}`;
      const watcher = ['-p', port, '-V', '5', '-i', `${topic}watcher`, '-c', '-q', '2', '-t', topic];
      await run(['sub', ...watcher, '-E']);
      const will = ['--will-topic', topic, '--will-payload', 'gone', '--will-qos', '2', '--will-retain'];
      const properties = ['-D', 'will', 'content-type', 'text', '-D', 'will', 'user-property', 'a', 'b'];
      const args = ['-p', port, '-V', 'mqttv5', '-t', 'nothing', ...will, ...properties];
      const mortal = side === 'pipit' ? start('sub', '-d', ...args) : new Program('sub', ['-d', ...args]);
      if (mortal instanceof RunningCommand) await mortal.until('stderr', /received SUBACK/);
      else await sleep(500);
      mortal.process.kill('SIGKILL');
      await mortal.outcome();
      wills.push((await run(['sub', ...watcher, '-C', '1', '-F', '%p|%q|%C|%P'])).stdout);
      await program('pub', ['-p', port, '-t', topic, '-n', '-r', '-q', '1']);
    }
    assert.deepEqual(wills, ['gone|2|text|a:b\n', 'gone|2|text|a:b\n']);
  });
});

describe('the exit codes are the same', { concurrency: 2 }, () => {
  const cases: readonly (readonly [name: 'pub' | 'sub' | 'rr', args: readonly string[], exitCode: number])[] = [
    ['pub', ['-t', 'a', '-m', 'x'], 0],
    ['pub', ['-t', 'a', '-m', 'x', '-u', 'nobody', '-P', 'wrong', '-V', 'mqttv311'], 5],
    ['pub', ['-t', 'a', '-m', 'x', '-u', 'nobody', '--pw', 'wrong', '-V', 'mqttv5'], 135],
    ['sub', ['-t', 'a', '-u', 'nobody', '-P', 'wrong', '-V', 'mqttv5'], 135],
    ['pub', ['-t', 'a/#', '-m', 'x'], 1],
    ['sub', ['-t', 'a#'], 1],
    ['pub', ['-m', 'x'], 1],
    ['pub', ['-t', 'a'], 1],
    ['pub', ['-t', 'a', '-m', 'x', '-n'], 1],
    ['pub', ['-t', 'a', '-m', 'x', '-q', '3'], 1],
    ['pub', ['-t', 'a', '-m', 'x', '-V', '9'], 1],
    ['pub', ['-t', 'a', '-m', 'x', '--bogus'], 1],
    ['pub', ['-t', 'a', '-f', '/nowhere'], 1],
    ['pub', ['-t', 'a', '-m', 'x', '-i', 'x', '-I', 'y'], 1],
    ['pub', ['-t', 'a', '-m', 'x', '--will-payload', 'x'], 1],
    ['pub', ['-t', 'a', '-m', 'x', '--will-topic', 'a/#'], 1],
    ['pub', ['-V', 'mqttv5', '-t', 'a', '-m', 'x', '-D', 'publish', 'bogus', '1'], 1],
    ['pub', ['-V', 'mqttv5', '-t', 'a', '-m', 'x', '-D', 'publish', 'topic-alias', '99999'], 1],
    ['pub', ['-V', 'mqttv5', '-t', 'a', '-m', 'x', '-D', 'connect', 'topic-alias', '9'], 1],
    ['pub', ['-V', 'mqttv5', '-t', 'a', '-m', 'x', '-D', 'publish'], 1],
    ['sub', ['-t', 'a', '-c'], 1],
    ['sub', ['-V', 'mqttv5', '-t', 'a', '-x', 'foo'], 1],
    ['sub', ['-V', 'mqttv5', '-t', 'a', '-x', '-1', '-i', 'expiring', '-E'], 0],
    ['sub', ['-t', 'a', '-W', '1'], 27],
    ['sub', ['-t', 'a', '-E'], 0],
    ['sub', ['-t', 'a', '-F', '%'], 1],
    ['sub', ['-t', 'a', '-F', '%z'], 1],
    ['sub', ['-t', 'a', '-F', '\\q'], 1],
    ['sub', ['-t', 'a', '-F', '@'], 1],
    ['rr', ['-t', 'a', '-e', 'b', '-m', 'x', '-W', '1'], 27],
  ];
  for (const [name, args, exitCode] of cases) {
    test(`${exitCode}: ${name} ${args.join(' ')}`, async () => {
      const theirs = await program(name, ['-p', port, ...args]);
      const ours = await run([name === 'rr' ? 'rpc' : name, '-p', port, ...args]);
      assert.deepEqual(
        [theirs.exitCode, ours.exitCode, ours.stdout],
        [exitCode, exitCode, theirs.exitCode === 1 ? '' : theirs.stdout],
      );
    });
  }
});

test('rpc prints the response that mosquitto_rr prints', async () => {
  const responder = start('sub', '-p', port, '-d', '-t', 'service', '-F', '%R', '-C', '2');
  await responder.until('stderr', /received SUBACK/);
  const answers: Outcome[] = [];
  for (const [i, side] of ['mosquitto', 'pipit'].entries()) {
    const args = ['-p', port, '-t', 'service', '-e', `answers/${side}`, '-m', 'x', '-v', '-W', '10'];
    const asking = side === 'pipit' ? run(['rpc', ...args]) : program('rr', args);
    await responder.until('stdout', new RegExp(`^answers/${side}$`, 'm'));
    await program('pub', ['-p', port, '-t', `answers/${side}`, '-m', `answer ${i}`]);
    answers.push(await asking);
  }
  assert.deepEqual(answers, [
    { exitCode: 0, stdout: 'answers/mosquitto answer 0\n', stderr: '' },
    { exitCode: 0, stdout: 'answers/pipit answer 1\n', stderr: '' },
  ]);
});
