/** The TLS options of `pipit pub` beside those of mosquitto_pub, against Mosquitto: the same arguments, the same exit codes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Mosquitto, startMosquitto } from '../../broker/test/node/mosquitto.ts';
import { run, scratch } from '../test/command.ts';
import { makeCertificate } from './certificates.ts';

const certificates = join(import.meta.dirname, '../../broker/test/node/certificates');
const pem = (name: string): string => join(certificates, `${name}.pem`);
const folder = mkdtempSync(join(scratch, 'tls-'));
const elsewhere = makeCertificate(folder, 'elsewhere', {
  name: 'other.example',
  daysLeft: 10,
  rsaBits: 0,
  signedBy: null,
});
const server = [`certfile ${pem('server')}`, `keyfile ${pem('server-key')}`];

const brokers = new Map<string, Mosquitto>();
before(async () => {
  for (const [name, configuration] of [
    ['plain', []],
    ['tls', server],
    ['strict', [...server, `cafile ${pem('ca')}`, 'require_certificate true']],
    ['elsewhere', [`certfile ${elsewhere.cert}`, `keyfile ${elsewhere.key}`]],
    ['psk', ['psk_file FOLDER/keys', 'psk_hint hint']],
  ] as const) {
    const files = { keys: 'me:00112233aabbccdd\n' };
    brokers.set(name, await startMosquitto([...configuration, 'allow_anonymous true'], files));
  }
});
after(async () => {
  for (const broker of brokers.values()) await broker.stop();
});

const ca = ['--cafile', pem('ca')];
const ours = ['--cert', pem('client'), '--key', pem('client-key')];
const stranger = ['--cert', pem('stranger-client'), '--key', pem('stranger-client-key')];

/** Broker, arguments, exit code of both, and what is said. */
const cases: readonly (readonly [name: string, args: readonly string[], exitCode: number, said: RegExp])[] = [
  ['tls', ca, 0, /^$/],
  ['tls', [...ca, '--tls-version', 'tlsv1.3'], 0, /^$/],
  ['tls', [...ca, '--tls-version', 'tlsv1.2'], 0, /^$/],
  ['tls', [...ca, '--tls-version', 'tlsv1.1'], 0, /^$/],
  ['tls', [...ca, '--tls-alpn', 'mqtt'], 0, /^$/],
  ['tls', [...ca, '--tls-version', 'tlsv1.2', '--ciphers', 'ECDHE-ECDSA-AES128-GCM-SHA256'], 0, /^$/],
  ['tls', [...ca, '--ciphers', 'NONSENSE'], 1, /^Error: TLS: no cipher match\n$/],
  ['tls', ['--cafile', '/nowhere'], 1, /^Error: \/nowhere cannot be read: .*\.\n$/],
  ['tls', [...ca, '--cert', pem('client')], 1, /^Error: --cert and --key are given together\.\n$/],
  ['tls', [], 7, /^The connection was lost: .*\.\n$/],
  ['strict', [...ca, ...ours], 0, /^$/],
  ['elsewhere', ['--cafile', elsewhere.cert, '--insecure'], 0, /^$/],
  ['psk', ['--psk', '00112233aabbccdd', '--psk-identity', 'me'], 0, /^$/],
  ['psk', ['--psk', 'nothing', '--psk-identity', 'me'], 1, /^Error: --psk has to be hexadecimal\.\n$/],
];

/** Where mosquitto_pub itself ends with one code or another, as it happens: 1, 7 (lost) or 8 (TLS). Ours is always the same. */
const failures: readonly (readonly [name: string, args: readonly string[], exitCode: number, said: RegExp])[] = [
  ['strict', ca, 7, /^The connection was lost: TLS: tls\S* alert certificate required\.\n$/],
  ['strict', [...ca, ...stranger], 7, /^The connection was lost: TLS: tls\S* alert unknown ca\.\n$/],
  ['elsewhere', ['--cafile', elsewhere.cert], 1, /^Error: Hostname\/IP does not match.*\n$/],
  ['tls', ['--cafile', elsewhere.cert], 1, /^Error: TLS: .* signed by nobody who is trusted .*--cafile\n$/],
  ['tls', ['--tls-use-os-certs'], 1, /^Error: TLS: .* signed by nobody who is trusted .*--cafile\n$/],
  ['plain', ca, 1, /^Error: [^\n]+\n$/],
  ['psk', ['--psk', '00', '--psk-identity', 'me'], 1, /^Error: TLS: .*\n$/],
];

const shown = (args: readonly string[]): string => args.join(' ').replaceAll(`${certificates}/`, '').slice(0, 90);

function both(name: string, args: readonly string[]) {
  const port = (brokers.get(name) as Mosquitto).port;
  const all = ['-h', '127.0.0.1', '-p', port, '-t', 'a', '-m', 'x', '-q', '1', ...args];
  return { theirs: spawnSync('mosquitto_pub', all, { timeout: 10_000 }).status, ours: run(['pub', ...all]) };
}

for (const [name, args, exitCode, said] of cases) {
  test(`${exitCode}: to ${name} with ${shown(args)}`, async () => {
    const { theirs, ours: outcome } = both(name, args);
    const { exitCode: mine, stdout, stderr } = await outcome;
    assert.deepEqual([mine, theirs, stdout], [exitCode, exitCode, '']);
    assert.match(stderr, said);
  });
}

for (const [name, args, exitCode, said] of failures) {
  test(`${exitCode}, a TLS error: to ${name} with ${shown(args)}`, async () => {
    const { theirs, ours: outcome } = both(name, args);
    const { exitCode: mine, stdout, stderr } = await outcome;
    assert.ok(theirs === 1 || theirs === 7 || theirs === 8, String(theirs));
    assert.deepEqual([mine, stdout], [exitCode, '']);
    assert.match(stderr, said);
  });
}
