import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type RunningCommand, run, scratch, startServeIn, startSub } from './command.ts';

const timeout = { timeout: 60_000 };

interface Served {
  readonly serve: RunningCommand;
  readonly file: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it.
  ask(method: string, path: string, body?: object): Promise<{ status: number; json: any }>;
}

/** A broker with this configuration, whose file is `pipit.yaml`, and its API. */
async function served(yaml: string): Promise<Served> {
  const cwd = mkdtempSync(join(scratch, 'reload-'));
  const file = join(cwd, 'pipit.yaml');
  writeFileSync(file, yaml);
  const serve = await startServeIn(cwd, '-c', file, '--memory', '--admin', '0');
  const token = await serve.until('stdout', /^token of admin .*: (\S+)$/m);
  const url = await serve.until('stdout', /^(http:\S+) \(HTTP API\)$/m);
  return {
    serve,
    file,
    ask: async (method, path, body) => {
      const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) };
      const answer = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
      return { status: answer.status, json: await answer.json() };
    },
  };
}

describe('pipit serve, reloaded', { concurrency: 2 }, () => {
  test('by SIGHUP: users, rules, listeners and limits; clients stay', timeout, async () => {
    const yaml = 'listeners: [{ type: tcp, port: 0 }]\n';
    const { serve, file, ask } = await served(yaml);
    const port = await serve.until('stdout', /^mqtt:\/\/\S+:(\d+)$/m);
    const sub = await startSub('-p', port, '-t', '#', '-u', 'ada', '-P', 'first', '-i', 'ada');
    const users = join(file, '../users');
    await run(['passwd', users, 'ada'], 'first\n');
    const guarded =
      'authentication: [{ type: passwords, file: users }]\npermissions: [{ effect: allow, action: all, filter: a/# }]\n';
    writeFileSync(
      file,
      `${yaml}${guarded}limits: { receiveMaximum: 9 }\nlogLevels: { messages: debug }\nsys: { intervalSeconds: 5 }\n`,
    );
    serve.process.kill('SIGHUP');
    const line = JSON.parse(await serve.until('stderr', /^(.*"msg":"reloaded".*)$/m)) as Record<string, unknown>;
    assert.deepEqual([line['limits'], line['access'], line['needsRestart']], [['receiveMaximum'], true, ['sys']]);
    const denied = await run(['pub', '-p', port, '-t', 'a/b', '-m', 'no', '-V', '5']);
    assert.notEqual(denied.exitCode, 0);
    const as = ['-p', port, '-u', 'ada', '-P', 'first', '-q', '1', '-V', '5'];
    assert.notEqual((await run(['pub', ...as, '-t', 'b', '-m', 'no'])).exitCode, 0);
    assert.equal((await run(['pub', ...as, '-t', 'a/b', '-m', 'yes'])).exitCode, 0);
    const { json } = await ask('GET', '/api/v1/configuration');
    assert.deepEqual([json.limits.receiveMaximum, json.sys.intervalSeconds], [9, 10]);
    assert.equal((await ask('GET', '/api/v1/log-levels')).json.messages, 'debug');
    assert.equal((await serve.stop()).exitCode, 0);
    sub.process.kill();
  });

  test('what counts from the next start only is named, with a warning, until it is as it was', timeout, async () => {
    const cwd = mkdtempSync(join(scratch, 'restart-'));
    const file = join(cwd, 'pipit.yaml');
    const common = 'listeners: [{ type: tcp, port: 0 }]\n';
    const before = `${common}data: { directory: here }\nadmin: { port: 0 }\n`;
    writeFileSync(file, before);
    const serve = await startServeIn(cwd, '-c', file);
    const token = await serve.until('stdout', /^token of admin .*: (\S+)$/m);
    const url = await serve.until('stdout', /^(http:\S+) \(HTTP API\)$/m);
    const headers = { authorization: `Bearer ${token}` };
    const reload = async (yaml: string): Promise<{ needsRestart: string[]; limits: string[] }> => {
      writeFileSync(file, yaml);
      const answer = await fetch(`${url}/api/v1/reload`, { method: 'POST', headers });
      assert.equal(answer.status, 200);
      return (await answer.json()) as { needsRestart: string[]; limits: string[] };
    };
    const inEffect = async (): Promise<object> => {
      const answer = await fetch(`${url}/api/v1/configuration`, { headers });
      const { data, admin, sys, logFormat } = (await answer.json()) as Record<string, unknown>;
      return { data, admin, sys, logFormat };
    };
    const held = await inEffect();
    for (const [name, change] of [
      ['data', before.replace('here', 'elsewhere')],
      ['data', `${common}data: { durability: memory }\nadmin: { port: 0 }\n`],
      ['admin', before.replace('admin: { port: 0 }', 'admin: { port: 1 }')],
      ['admin', `${common}data: { directory: here }\n`],
      ['sys', `${before}sys: { intervalSeconds: 3 }\n`],
      ['logFormat', `${before}logFormat: pretty\n`],
    ] as const) {
      const { needsRestart, limits } = await reload(`${change}limits: { receiveMaximum: 7 }\n`);
      assert.deepEqual([needsRestart, limits], [[name], ['receiveMaximum']], change);
      assert.deepEqual(await inEffect(), held, 'what is shown is what holds');
      assert.deepEqual((await reload(before)).needsRestart, []);
    }
    const { stderr } = await serve.stop();
    const levels = stderr.match(/^.*"msg":"reloaded".*$/gm)?.map((line) => JSON.parse(line).level);
    assert.deepEqual(
      levels,
      Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? 'warn' : 'info')),
    );
  });

  test('a bad file is refused whole, told with every problem, and the broker goes on as it was', timeout, async () => {
    const yaml = 'listeners: [{ type: tcp, port: 0 }]\npermissions: [{ effect: allow, action: all, filter: a }]\n';
    const { serve, file, ask } = await served(yaml);
    const port = await serve.until('stdout', /^mqtt:\/\/\S+:(\d+)$/m);
    const bad: readonly [text: string, problem: RegExp][] = [
      ['listeners: [{ type: tcp, port: x }]\nlimits: { receiveMaximum: 0 }\n', /limits\.receiveMaximum: must be/],
      ['listeners: [{ type: tcp, host: 0.0.0.0, port: 0 }]\n', /nobody is asked who they are/],
      [`${yaml}authentication: [{ type: passwords, file: nowhere }]\n`, /nowhere: cannot be read/],
      [`listeners: [{ type: tls, port: 0, cert: none.pem, key: none.pem }]\n`, /none\.pem cannot be read/],
      [`{{`, /is not YAML/],
    ];
    for (const [text, problem] of bad) {
      writeFileSync(file, text);
      const { status, json } = await ask('POST', '/api/v1/reload');
      assert.equal(status, 422);
      assert.match(json.problems.join('\n'), problem);
      const as = ['-p', port, '-q', '1', '-V', '5', '-m', 'x'];
      assert.equal((await run(['pub', ...as, '-t', 'a'])).exitCode, 0);
      assert.notEqual((await run(['pub', ...as, '-t', 'b'])).exitCode, 0);
    }
    serve.process.kill('SIGHUP');
    await serve.until('stderr', /(?:"msg":"reload-refused"[\s\S]*){6}/);
    writeFileSync(file, yaml.replace('filter: a ', 'filter: b '));
    assert.equal((await ask('POST', '/api/v1/reload')).status, 200);
    assert.equal((await run(['pub', '-p', port, '-q', '1', '-V', '5', '-m', 'x', '-t', 'b'])).exitCode, 0);
    assert.equal((await serve.stop()).exitCode, 0);
  });

  test('log levels by area, and no secret or payload in any of it', timeout, async () => {
    const yaml =
      'listeners: [{ type: tcp, port: 0 }]\nauthentication: [{ type: passwords, file: users }]\nlogLevel: trace\n';
    const cwd = mkdtempSync(join(scratch, 'secrets-'));
    await run(['passwd', join(cwd, 'users'), 'ada'], 'the-right-password\n');
    writeFileSync(join(cwd, 'pipit.yaml'), `${yaml}permissions: [{ effect: allow, action: all, filter: '#' }]\n`);
    const serve = await startServeIn(cwd, '-c', join(cwd, 'pipit.yaml'), '--memory', '--admin', '0');
    const token = await serve.until('stdout', /^token of admin .*: (\S+)$/m);
    const url = await serve.until('stdout', /^(http:\S+) \(HTTP API\)$/m);
    const port = await serve.until('stdout', /^mqtt:\/\/\S+:(\d+)$/m);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const trace = await fetch(`${url}/api/v1/trace?filter=%23`, { headers });
    await fetch(`${url}/api/v1/clients`, { headers: { authorization: 'Bearer the-wrong-token' } });
    await run(['pub', '-p', port, '-u', 'ada', '-P', 'the-wrong-password', '-t', 'a', '-m', 'the-payload']);
    await run(['pub', '-p', port, '-u', 'ada', '-P', 'the-right-password', '-t', 'a', '-q', '1', '-m', 'the-payload']);
    await fetch(`${url}/api/v1/publish`, { method: 'POST', headers, body: '{"topic":"a","payload":"the-payload"}' });
    await serve.until('stderr', /"msg":"administered"/);
    const levels = await fetch(`${url}/api/v1/log-levels`, {
      method: 'PATCH',
      headers,
      body: '{"all":"warn","store":"debug"}',
    });
    assert.deepEqual(await levels.json(), {
      connections: 'warn',
      messages: 'warn',
      sessions: 'warn',
      store: 'debug',
      broker: 'warn',
    });
    for (const body of ['{"nothing":"warn"}', '{"all":"loud"}']) {
      assert.equal((await fetch(`${url}/api/v1/log-levels`, { method: 'PATCH', headers, body })).status, 400);
    }
    await trace.body?.cancel();
    const before = serve.stderr.length;
    await run(['pub', '-p', port, '-u', 'ada', '-P', 'the-right-password', '-t', 'a', '-m', 'x', '-i', 'quiet']);
    const { stderr, stdout } = await serve.stop();
    assert.doesNotMatch(stderr.slice(before), /quiet/);
    for (const type of ['refused', 'connected', 'traced', 'turned-away', 'administered']) {
      assert.match(stderr, new RegExp(`"msg":"${type}"`));
    }
    const secrets = ['the-wrong-password', 'the-right-password', 'the-payload', 'the-wrong-token', token];
    for (const secret of secrets) {
      assert.ok(!stderr.includes(secret) && !stderr.includes(Buffer.from(secret).toString('base64')), secret);
    }
    assert.equal(stdout.split(token).length, 2);
  });

  test('a readable log on request', timeout, async () => {
    const cwd = mkdtempSync(join(scratch, 'pretty-'));
    const serve = await startServeIn(cwd, '--memory', '--tcp', '0', '--log-format', 'pretty');
    const port = await serve.until('stdout', /:(\d+)$/m);
    await run(['pub', '-p', port, '-i', 'someone', '-t', 'a', '-m', 'x']);
    const { stderr } = await serve.stop();
    assert.match(stderr, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: connected \{.*"clientId":"someone".*\}$/m);
  });
});
