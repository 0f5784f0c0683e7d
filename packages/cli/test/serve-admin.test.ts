import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { run, scratch, startServeIn } from './command.ts';

const timeout = { timeout: 60_000 };

describe('pipit serve --admin', { concurrency: 2 }, () => {
  test('prints its tokens once, and serves with them after a restart', timeout, async () => {
    const cwd = mkdtempSync(join(scratch, 'admin-'));
    const first = await startServeIn(cwd, '--tcp', '0', '--admin', '0');
    const token = await first.until('stdout', /^token of admin \(write\), shown only now: (\S+)$/m);
    const ask = async (url: string, path: string): Promise<Response> =>
      fetch(url + path, { headers: { authorization: `Bearer ${token}` } });
    const url = await first.until('stdout', /^(http:\/\/127\.0\.0\.1:\d+) \(HTTP API\)$/m);
    assert.equal((await ask(url, '/api/v1/clients')).status, 200);
    const port = await first.until('stdout', /^mqtt:\/\/\S+:(\d+)$/m);
    await run(['pub', '-p', port, '-t', 't', '-q', '1', '-r', '-m', 'x']);
    const { exitCode, stderr } = await first.stop();
    assert.equal(exitCode, 0);
    assert.ok(!stderr.includes(token));
    assert.ok(!readFileSync(join(cwd, 'pipit-data/http-tokens'), 'utf8').includes(token));

    const second = await startServeIn(cwd, '--tcp', '0', '--admin', '0');
    const again = await second.until('stdout', /^(http:\/\/127\.0\.0\.1:\d+) \(HTTP API\)$/m);
    assert.doesNotMatch(second.stdout, /shown only now/);
    const configuration = (await (await ask(again, '/api/v1/configuration')).json()) as { admin: object };
    assert.deepEqual(configuration.admin, { host: '127.0.0.1', port: 0 });
    // The store does not mind the file beside its own.
    assert.equal((await second.stop()).exitCode, 0);
    const verified = await run(['store', 'verify', join(cwd, 'pipit-data')]);
    assert.equal(verified.exitCode, 0, verified.stdout + verified.stderr);
  });

  test('does not start when it cannot open the API', timeout, async () => {
    const cwd = mkdtempSync(join(scratch, 'admin-'));
    const first = await startServeIn(cwd, '--memory', '--tcp', '0', '--admin', '0');
    const port = await first.until('stdout', /^http:\/\/127\.0\.0\.1:(\d+) \(HTTP API\)$/m);
    const { exitCode, stdout, stderr } = await run(['serve', '--memory', '--tcp', '0', '--admin', port]);
    assert.deepEqual([exitCode, stdout, stderr], [1, '', `127.0.0.1:${port} is already in use.\n`]);
    await first.stop();
  });
});
