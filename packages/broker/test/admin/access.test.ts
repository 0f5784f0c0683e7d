import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type AnyEvent, createBroker, openAdmin } from '../../src/index.ts';
import { withApi } from './api.ts';

const timeout = { timeout: 20_000 };
const folder = mkdtempSync(join(tmpdir(), 'pipit-admin-'));
after(() => rmSync(folder, { recursive: true }));

test('without a token there is nothing but the health checks', timeout, async () => {
  await withApi(async (api) => {
    const events: AnyEvent[] = [];
    api.broker.on('turned-away', (event) => events.push(event));
    const paths: string[] = [];
    const { json } = await api.get('/api/v1/openapi.json');
    for (const [path, methods] of Object.entries<object>(json.paths)) {
      for (const method of Object.keys(methods)) paths.push(`${method.toUpperCase()} ${path}`);
    }
    assert.ok(paths.length > 20, paths.join());
    for (const each of [...paths, 'GET /api/v1/openapi.json']) {
      const [method = '', path = ''] = each.split(' ');
      for (const token of [null, 'pipit_wrong', '']) {
        const { status, headers } = await api.ask(method, path.replace('{clientId}', 'c'), undefined, token);
        if (path.startsWith('/health/')) assert.equal(status, 200, each);
        else {
          assert.equal(status, 401, each);
          assert.equal(headers.get('www-authenticate'), 'Bearer');
        }
      }
    }
    assert.deepEqual(
      events.map((event) => event.type === 'turned-away' && [event.listener, event.reason, event.count]),
      [[api.admin.url, 'an HTTP request without a valid token', 1]],
    );
  });
});

test('what is not there is told only to who has a token', timeout, async () => {
  await withApi(async (api) => {
    for (const path of ['/', '/nonsense', '/api/v1/../../etc/passwd']) {
      assert.equal((await api.ask('GET', path, undefined, null)).status, 401, path);
    }
    assert.equal((await api.get('/nonsense')).status, 404);
    assert.equal((await api.get('/api/v1/clients/%ff')).status, 400);
    assert.equal((await api.ask('DELETE', '/metrics')).status, 404);
  });
});

test('a token that may read changes nothing', timeout, async () => {
  await withApi(async (api) => {
    const read = api.token('read');
    await api.client('c');
    assert.equal((await api.ask('GET', '/api/v1/clients/c', undefined, read)).status, 200);
    for (const [method, path, body] of [
      ['DELETE', '/api/v1/clients/c'],
      ['DELETE', '/api/v1/sessions/c'],
      ['POST', '/api/v1/publish', { topic: 't' }],
      ['POST', '/api/v1/reload'],
      ['PATCH', '/api/v1/log-levels', { default: 'debug' }],
      ['DELETE', '/api/v1/retained/message?topic=t'],
    ] as const) {
      assert.equal((await api.ask(method, path, body, read)).status, 403, path);
    }
    assert.equal((await api.ask('GET', '/api/v1/clients/c', undefined, read)).json.connection !== null, true);
  });
});

test('a body is not read for who has no token', timeout, async () => {
  await withApi(async (api) => {
    const { port } = new URL(api.admin.url);
    const socket = connect(Number(port), '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    // A gigabyte is announced and never sent: only an answer to the head alone ends this.
    socket.write(
      'POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n',
    );
    while (!answer.includes('401')) await new Promise((done) => socket.once('data', done));
    socket.destroy();
  });
});

test('tokens are kept as hashes, in a file of the owner alone, and made once', timeout, async () => {
  const tokensFile = join(folder, 'http-tokens');
  let shown: string[] = [];
  await withApi(
    async (api) => {
      shown = api.admin.newTokens.map(({ token }) => token);
      assert.deepEqual(
        api.admin.newTokens.map(({ name, right }) => [name, right]),
        [
          ['reader', 'read'],
          ['admin', 'write'],
        ],
      );
    },
    {},
    { tokensFile },
  );
  const text = readFileSync(tokensFile, 'utf8');
  for (const token of shown) assert.ok(!text.includes(token.slice('pipit_'.length)));
  assert.equal(statSync(tokensFile).mode & 0o777, 0o600);
  await withApi(
    async (api) => {
      assert.deepEqual(api.admin.newTokens, []);
      for (const token of shown) assert.equal((await api.ask('GET', '/api/v1/broker', undefined, token)).status, 200);
      // One taken out of the file is worth nothing once the file is read again; a broken file changes nothing.
      writeFileSync(tokensFile, text.replace(/^reader .*$/m, ''));
      (await api.admin.prepareReload(undefined))();
      assert.equal((await api.ask('GET', '/api/v1/broker', undefined, shown[0] ?? '')).status, 401);
      writeFileSync(tokensFile, 'everybody write\n');
      await assert.rejects(api.admin.prepareReload(undefined), {
        name: 'TokenFileError',
        message: /http-tokens:1: must be/,
      });
      assert.equal((await api.ask('GET', '/api/v1/broker', undefined, shown[1] ?? '')).status, 200);
      assert.equal((await api.ask('GET', '/api/v1/broker', undefined, null)).status, 401);
    },
    {},
    { tokensFile },
  );
});

test('a broken file of tokens, or a port that is taken, opens nothing', timeout, async () => {
  const tokensFile = join(folder, 'broken');
  writeFileSync(tokensFile, 'admin write sha256:12\n');
  const broker = createBroker({ sysIntervalMs: null });
  await broker.start();
  await assert.rejects(openAdmin(broker, { port: 0, tokensFile }), { name: 'TokenFileError' });
  const first = await openAdmin(broker, { port: 0, tokensFile: null });
  const port = Number(new URL(first.url).port);
  await assert.rejects(openAdmin(broker, { port, tokensFile: null }), { name: 'ListenError', message: /in use/ });
  await first.close();
  await broker.stop();
});

test('with a certificate it is HTTPS', timeout, async () => {
  const certificates = join(import.meta.dirname, '../node/certificates');
  const tls = { cert: join(certificates, 'server.pem'), key: join(certificates, 'server-key.pem') };
  await withApi(
    async (api) => {
      assert.match(api.admin.url, /^https:\/\/127\.0\.0\.1:\d+$/);
      const { get } = await import('node:https');
      const status = await new Promise((done, failed) => {
        const ca = readFileSync(join(certificates, 'ca.pem'));
        get(
          `${api.admin.url}/health/live`,
          { ca, servername: 'localhost', checkServerIdentity: () => undefined },
          (answer) => done(answer.resume().statusCode),
        ).on('error', failed);
      });
      assert.equal(status, 200);
    },
    {},
    { tls },
  );
});

test('its certificate is read again by a reload, and a bad one changes nothing', timeout, async () => {
  const certificates = join(import.meta.dirname, '../node/certificates');
  const cert = join(folder, 'admin.pem');
  const key = join(folder, 'admin-key.pem');
  copyFileSync(join(certificates, 'server.pem'), cert);
  copyFileSync(join(certificates, 'server-key.pem'), key);
  const name = (url: string): Promise<string> =>
    new Promise((done, failed) => {
      const socket = connectTls({ port: Number(new URL(url).port), rejectUnauthorized: false }, () => {
        done(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      }).on('error', failed);
    });
  await withApi(
    async (api) => {
      copyFileSync(join(certificates, 'client.pem'), cert);
      copyFileSync(join(certificates, 'client-key.pem'), key);
      const apply = await api.admin.prepareReload({ cert, key });
      assert.equal(await name(api.admin.url), 'localhost');
      apply();
      assert.equal(await name(api.admin.url), 'device 7');
      writeFileSync(cert, 'nothing');
      await assert.rejects(api.admin.prepareReload({ cert, key }), { name: 'ListenError' });
      assert.equal(await name(api.admin.url), 'device 7');
    },
    {},
    { tls: { cert, key } },
  );
});

test('what changes something is told with the name of the token', timeout, async () => {
  await withApi(async (api) => {
    const told: unknown[] = [];
    api.broker.on('administered', ({ token, address, action, status }) => {
      assert.match(address, /^127\.0\.0\.1:\d+$/);
      told.push([token, action, status]);
    });
    await api.client('c');
    await api.get('/api/v1/clients');
    await api.ask('DELETE', '/api/v1/clients/c');
    await api.ask('DELETE', '/api/v1/clients/nobody');
    assert.deepEqual(told, [
      ['admin', 'DELETE /api/v1/clients/c', 204],
      ['admin', 'DELETE /api/v1/clients/nobody', 404],
    ]);
  });
});
