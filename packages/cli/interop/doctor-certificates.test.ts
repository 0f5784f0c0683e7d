/** What `pipit doctor` says of certificates and of old TLS: real servers, Pipit's and Mosquitto's, each with one thing wrong. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createServer, type SecureVersion } from 'node:tls';
import { startMosquitto } from '../../broker/test/node/mosquitto.ts';
import type { DoctorReport } from '../src/doctor/doctor-report.ts';
import { run, scratch, startServe } from '../test/command.ts';
import { type CertificateFiles, makeCertificate } from './certificates.ts';

const folder = mkdtempSync(join(scratch, 'certificates-'));
const good = { name: 'localhost', daysLeft: 365, rsaBits: 2048, signedBy: null };
const authority = makeCertificate(folder, 'authority', { ...good, name: 'An authority', rsaBits: 0 });
const signed = { ...good, signedBy: authority };

/** Runs a broker with the certificate and gives its URL; `body` may ask for more of the TLS of Mosquitto. */
type Start = (certificate: CertificateFiles, more?: readonly string[]) => Promise<string>;

const stops: (() => unknown)[] = [];
after(async () => {
  for (const stop of stops) await stop();
});

const brokers: Readonly<Record<string, Start>> = {
  Pipit: async ({ cert, key }) => {
    const serve = await startServe('--memory', '--tls', '0', '--cert', cert, '--key', key, '--log-level', 'silent');
    stops.push(() => serve.stop());
    const url = await serve.until('stdout', /^(mqtts:\S+)$/m);
    return `mqtts://localhost:${new URL(url).port}`;
  },
  Mosquitto: async ({ cert, key }, more = []) => {
    const broker = await startMosquitto(['allow_anonymous true', `certfile ${cert}`, `keyfile ${key}`, ...more]);
    stops.push(() => broker.stop());
    return `mqtts://localhost:${broker.port}`;
  },
};

interface Seen {
  readonly exitCode: number;
  readonly report: DoctorReport;
  /** `level id`, and the sentence. */
  readonly findings: ReadonlyMap<string, string>;
}

/** Findings of TLS alone: what else there is to say of an open broker is tested elsewhere. */
async function examined(url: string, ...args: readonly string[]): Promise<Seen> {
  const { exitCode, stdout, stderr } = await run(['doctor', url, ...args, '--listen', '0', '--rounds', '1', '--json']);
  assert.equal(stderr, '');
  const report = JSON.parse(stdout) as DoctorReport;
  const found = report.findings.filter(({ id }) => id !== 'anonymous');
  return { exitCode, report, findings: new Map(found.map(({ level, id, text }) => [`${level} ${id}`, text])) };
}

const trusting = ['--cafile', authority.cert];

for (const [name, start] of Object.entries(brokers)) {
  describe(`pipit doctor and the TLS of ${name}`, () => {
    test('says nothing of a certificate that is good', async () => {
      const url = await start(makeCertificate(folder, `${name}-good`, signed));
      const { report, findings } = await examined(url, ...trusting);
      assert.deepEqual([...findings], []);
      assert.deepEqual([report.tls?.problem, report.tls?.chain[0]?.bits, report.version], [null, 2048, '5.0']);
    });

    test('warns of a certificate that expires soon, and goes on', async () => {
      const url = await start(makeCertificate(folder, `${name}-soon`, { ...signed, daysLeft: 10.5 }));
      const { exitCode, report, findings } = await examined(url, ...trusting);
      assert.deepEqual([...findings.keys()], ['warning certificate-expires']);
      assert.match(findings.get('warning certificate-expires') ?? '', /expires in 10 days: renew it/);
      assert.deepEqual([exitCode, report.tls?.chain[0]?.daysLeft, report.version], [3, 10, '5.0']);
    });

    for (const [title, options, why, args] of [
      ['that expired', { ...signed, daysLeft: -3 }, /it expired on \d{4}-\d\d-\d\dT/, trusting],
      ['for another host', { ...signed, name: 'other.example' }, /other\.example/, trusting],
      ['that signed itself', good, /signed by itself and by nobody who is trusted/, []],
    ] as const) {
      test(`refuses to go on with a certificate ${title}, but with --insecure`, async () => {
        const file = `${name}${title.replaceAll(' ', '-')}`;
        const url = await start(makeCertificate(folder, file, options));
        const strict = await examined(url, ...args);
        assert.deepEqual([strict.exitCode, [...strict.findings.keys()]], [3, ['problem certificate']]);
        assert.match(strict.findings.get('problem certificate') ?? '', why);
        assert.match(strict.report.tls?.problem ?? '', why);
        assert.deepEqual([strict.report.version, strict.report.versions['5.0'].is], [null, 'unknown']);
        const insecure = await examined(url, ...args, '--insecure');
        assert.deepEqual([insecure.exitCode, [...insecure.findings.keys()]], [3, ['problem certificate']]);
        assert.equal(insecure.report.tls?.problem, strict.report.tls?.problem);
        assert.equal(insecure.report.version, '5.0');
      });
    }
  });
}

describe('pipit doctor and what Pipit cannot be told to do', () => {
  const weak = ['ciphers DEFAULT@SECLEVEL=0'];
  const mosquitto = brokers['Mosquitto'] as Start;

  test('a short RSA key is a warning, and a reason not to trust the certificate', async () => {
    const url = await mosquitto(makeCertificate(folder, 'short', { ...signed, rsaBits: 1024 }), weak);
    for (const [args, why] of [
      [trusting, /its key of 1024 bits is too short to be trusted/],
      [[], /not signed by the authorities that Node trusts/],
    ] as const) {
      const { exitCode, report, findings } = await examined(url, ...args);
      assert.equal(exitCode, 3);
      assert.match(findings.get('warning key-size') ?? '', /has 1024 bits: make one of 2048 or more/);
      assert.match(findings.get('problem certificate') ?? '', why);
      assert.equal(report.tls?.chain[0]?.bits, 1024);
    }
  });

  test('Pipit does not begin with such a key, and says so', async () => {
    const { cert, key } = makeCertificate(folder, 'refused', { ...signed, rsaBits: 1024 });
    const { exitCode, stderr } = await run(['serve', '--memory', '--tls', '0', '--cert', cert, '--key', key]);
    assert.notEqual(exitCode, 0);
    assert.match(stderr, /key too small/);
  });

  test('old TLS that is still taken is a warning', async () => {
    const url = await mosquitto(makeCertificate(folder, 'old', signed), ['tls_version tlsv1.1', ...weak]);
    const { exitCode, report, findings } = await examined(url, ...trusting);
    assert.deepEqual([exitCode, [...findings.keys()], report.tls?.protocol], [3, ['warning old-tls'], 'TLSv1.3']);
  });

  test('the want of TLS 1.3 is a note; nothing but old TLS is the end', async () => {
    const { cert, key } = makeCertificate(folder, 'versions', signed);
    const inner = await startMosquitto(['allow_anonymous true']);
    stops.push(() => inner.stop());
    /** TLS that ends in front of the broker, as it does in a load balancer. */
    const inFront = async (minVersion: SecureVersion, maxVersion: SecureVersion): Promise<string> => {
      const pem = { cert: readFileSync(cert), key: readFileSync(key) };
      const server = createServer({ ...pem, minVersion, maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' }, (socket) => {
        const far = connect(Number(inner.port), '127.0.0.1');
        socket.on('error', () => far.destroy()).on('close', () => far.destroy());
        far.on('error', () => socket.destroy()).on('close', () => socket.destroy());
        socket.pipe(far).pipe(socket);
      }).listen(0, '127.0.0.1');
      stops.push(() => server.close());
      await once(server, 'listening');
      return `mqtts://localhost:${(server.address() as AddressInfo).port}`;
    };
    const { report, findings } = await examined(await inFront('TLSv1.2', 'TLSv1.2'), ...trusting);
    assert.deepEqual([[...findings.keys()], report.tls?.protocol], [['note no-tls-1.3'], 'TLSv1.2']);
    const { exitCode, stdout, stderr } = await run(['doctor', await inFront('TLSv1', 'TLSv1.1'), ...trusting]);
    assert.deepEqual([exitCode, stdout], [1, '']);
    assert.match(stderr, /^Error: localhost:\d+ speaks TLS 1\.0 or 1\.1 only, .*\.\n$/);
  });
});
