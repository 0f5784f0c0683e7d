import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { DoctorReport } from '../src/doctor/doctor-report.ts';
import { type RunningCommand, run, scratch, startServe } from './command.ts';

const certificates = `${import.meta.dirname}/../../broker/test/node/certificates`;
const tls = ['--cert', `${certificates}/server.pem`, '--key', `${certificates}/server-key.pem`];

async function examined(
  ...args: readonly string[]
): Promise<{ exitCode: number; report: DoctorReport; ids: string[] }> {
  const { exitCode, stdout, stderr } = await run(['doctor', ...args, '--listen', '0.3', '--rounds', '5', '--json']);
  assert.equal(stderr, '');
  const report = JSON.parse(stdout) as DoctorReport;
  return { exitCode, report, ids: report.findings.map(({ level, id }) => `${level} ${id}`).sort() };
}

describe('pipit doctor', () => {
  let serve: RunningCommand;
  let url: string;
  let secure: string;
  let webSocket: string;

  before(async () => {
    serve = await startServe('--memory', '--tcp', '0', '--tls', '0', '--wss', '0', ...tls, '--log-level', 'silent');
    url = await serve.until('stdout', /^(mqtt:\S+)$/m);
    secure = await serve.until('stdout', /^(mqtts:\S+)$/m);
    webSocket = await serve.until('stdout', /^(wss:\S+)$/m);
  });
  after(async () => assert.equal((await serve.stop()).exitCode, 0));

  test('tells what an open broker does, limits and shows to anybody; leaves nothing behind', async () => {
    const { exitCode, report, ids } = await examined(url);
    const yes = { is: 'yes' };
    assert.equal(exitCode, 3);
    assert.deepEqual(report.versions, { '3.1': yes, '3.1.1': yes, '5.0': yes });
    assert.deepEqual(report.capabilities, {
      qos: [0, 1, 2],
      retained: yes,
      wildcards: yes,
      shared: yes,
      subscriptionIdentifiers: yes,
      sessions: yes,
    });
    assert.deepEqual(report.limits, {
      receiveMaximum: 1000,
      maximumPacketSize: 16_777_216,
      topicAliasMaximum: 64,
      serverKeepAlive: null,
      sessionExpiryInterval: 604_800,
    });
    for (const trips of Object.values(report.roundTripMs ?? {})) assert.equal(trips?.count, 5);
    assert.equal(report.tls, null);
    assert.deepEqual(ids, ['warning anonymous', 'warning hash-granted', 'warning sys']);
    const left = await run(['sub', '-L', url, '-t', '#', '--retained-only', '-W', '1']);
    assert.equal(left.stdout, '');
    const sessions = await run(['sub', '-L', url, '-t', '$SYS/broker/clients/disconnected', '-C', '1', '-W', '2']);
    assert.match(sessions.stdout, /^0?$/m);
  });

  test('names what anybody can read', async () => {
    await run(['pub', '-L', url, '-t', 'secret/plan', '-m', 'x', '-r', '-q', '1']);
    const { report, ids } = await examined(url);
    assert.ok(ids.includes('warning hash'), ids.join());
    assert.match(report.findings.find(({ id }) => id === 'hash')?.text ?? '', /such as secret\/plan/);
    await run(['pub', '-L', url, '-t', 'secret/plan', '-n', '-r', '-q', '1']);
  });

  test('warns of what travels unencrypted beyond this machine, more so with a password', async () => {
    // An address that is this machine, and does not look like it.
    const at = url.replace('127.0.0.1', '0.0.0.0');
    assert.ok((await examined(at)).ids.includes('warning plain'));
    assert.ok((await examined(at, '-u', 'me', '-P', 'secret')).ids.includes('problem plain'));
    assert.ok(!(await examined(url, '-u', 'me', '-P', 'secret')).ids.some((id) => id.includes('plain')));
  });

  test('looks at TLS: protocol, chain, days left, name', async () => {
    for (const at of [secure, `mqtts://localhost:${new URL(secure).port}`]) {
      const { report, ids } = await examined(at, '--cafile', `${certificates}/ca.pem`);
      const [leaf, authority] = report.tls?.chain ?? [];
      assert.equal(report.tls?.protocol, 'TLSv1.3');
      assert.equal(report.tls.problem, null);
      assert.match(leaf?.names ?? '', /DNS:localhost/);
      assert.equal(authority?.subject, 'O=Pipit tests, CN=Test authority');
      assert.ok((leaf?.daysLeft ?? 0) > 30_000);
      assert.ok(!ids.some((id) => id.includes('certificate')), ids.join());
    }
  });

  test('says nothing to a broker whose certificate is not good, by TLS or WebSocket, and says why', async () => {
    for (const [args, why] of [
      [[secure], /^it is not signed by the authorities that Node trusts/],
      [[webSocket], /^it is not signed by the authorities that Node trusts/],
    ] as const) {
      const { exitCode, report, ids } = await examined(...args);
      assert.equal(exitCode, 3);
      assert.deepEqual(ids, ['problem certificate']);
      assert.match(report.tls?.problem ?? '', why);
      assert.deepEqual([report.version, report.versions['5.0'].is], [null, 'unknown']);
    }
  });

  test('is text for people without --json', async () => {
    const { exitCode, stdout } = await run(['doctor', '-L', url, '--listen', '0', '--rounds', '1', '-V', '311']);
    assert.equal(exitCode, 3);
    assert.match(stdout, /^mqtt:\S+, looked at with MQTT 3\.1\.1\n\nversions +5\.0, 3\.1\.1, 3\.1\nQoS +0, 1, 2\n/);
    assert.match(stdout, /\nwarning {2}Anybody may connect, /);
  });

  test('who is not there, or not a broker, is told in a sentence', async () => {
    for (const [at, exitCode, sentence] of [
      ['mqtt://127.0.0.1:1', 1, /^Error: Connection refused\n$/],
      [url.replace('mqtt:', 'mqtts:'), 1, /^Error: there is no TLS at 127\.0\.0\.1:\d+: .*\.\n$/],
      ['http://127.0.0.1', 2, /It has to look like mqtt:/],
    ] as const) {
      const outcome = await run(['doctor', at, '--timeout', '2']);
      assert.match(outcome.stderr, sentence);
      assert.deepEqual([outcome.exitCode, outcome.stdout], [exitCode, '']);
    }
  });
});

test('pipit doctor sees that a broker asks for passwords, what a user may not do, and that nobody else gets in', async () => {
  const users = join(scratch, 'doctor-users');
  const config = join(scratch, 'doctor.yaml');
  await run(['passwd', users, 'ann'], 'right\n');
  writeFileSync(
    config,
    `authentication:
  - { type: passwords, file: ${users} }
limits: { receiveMaximum: 7 }
permissions:
  - { effect: allow, action: all, filter: pipit-doctor/# }
`,
  );
  const serve = await startServe('-c', config, '--memory', '--tcp', '0', '--log-level', 'silent');
  try {
    const url = await serve.until('stdout', /^(mqtt:\S+)$/m);
    const { exitCode, report, ids } = await examined(url, '-u', 'ann', '-P', 'right');
    assert.deepEqual(ids, ['note hash-refused']);
    assert.equal(exitCode, 0);
    assert.equal(report.limits?.receiveMaximum, 7);

    const refused = await examined(url, '-u', 'ann', '-P', 'wrong');
    assert.equal(refused.exitCode, 1);
    assert.deepEqual(refused.ids, ['problem no-connection']);
    assert.equal(refused.report.versions['5.0'].is, 'no');
    assert.match(refused.report.versions['5.0'].why ?? '', /Bad User Name or Password|Not authorized/i);
  } finally {
    await serve.stop();
  }
});

test('pipit doctor sees a broker that asks for a password and does not check it', async () => {
  const service = createServer((request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => {
      const { username } = JSON.parse(text) as { readonly username?: string | null };
      const accept = { outcome: 'accept', principal: 'anybody' };
      response.end(JSON.stringify(username == null ? { outcome: 'refuse', reasonCode: 0x87 } : accept));
    });
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const config = join(scratch, 'credulous.yaml');
  const { port } = service.address() as AddressInfo;
  const everything = "permissions: [{ effect: allow, action: all, filter: '#' }]";
  writeFileSync(config, `authentication: [{ type: http, url: 'http://127.0.0.1:${port}/' }]\n${everything}\n`);
  const serve = await startServe('-c', config, '--memory', '--tcp', '0', '--log-level', 'silent');
  try {
    const url = await serve.until('stdout', /^(mqtt:\S+)$/m);
    const { exitCode, ids } = await examined(url, '-u', 'ann', '-P', 'right');
    assert.deepEqual([exitCode, ids], [3, ['note hash-granted', 'problem any-password']]);
  } finally {
    await serve.stop();
    service.close();
  }
});
