import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { PacketType } from '@pipit/protocol';
import type { Batch, StoredPage, StoredState } from '../../src/core/index.ts';
import { type AnyEvent, createBroker, openAdmin, type Store } from '../../src/index.ts';
import { MqttPeer, publishedBy } from '../node/mqtt-peer.ts';
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

test('what is sent is taken for nothing else, and what is wrong is named', timeout, async () => {
  await withApi(async (api) => {
    const events: AnyEvent[] = [];
    const peer = await api.client('c');
    await peer.subscribe('#', 1);
    api.broker.on('event', (event) => events.push(event));
    for (const [path, body, detail] of [
      ['publish', { topic: 't', qos: '1' }, 'body.qos must be equal to one of the allowed values: 0, 1, 2.'],
      ['publish', { topic: 't', retain: 'true' }, 'body.retain must be boolean.'],
      ['publish', { topic: 't', retain: 1 }, 'body.retain must be boolean.'],
      ['publish', { topic: 7 }, 'body.topic must be string.'],
      ['publish', { topic: null }, 'body.topic must be string.'],
      ['publish', { topic: 't', payload: 1 }, 'body.payload must be string.'],
      ['publish', { topic: 't', loud: true }, 'body.loud is not known.'],
      ['publish', { payload: 'x' }, "body must have required property 'topic'."],
      ['publish', [], 'body must be object.'],
      [
        'publish',
        { topic: 't', properties: { userProperties: [['a']] } },
        'body.properties.userProperties.0 must NOT have fewer than 2 items.',
      ],
      ['bans', { type: 'client', value: 5 }, 'body.value must be string.'],
      ['bans', { type: 'client', value: 'c', endSessions: 'yes' }, 'body.endSessions must be boolean.'],
      [
        'bans',
        { type: 'device', value: 'c' },
        'body.type must be equal to one of the allowed values: client, user, address.',
      ],
    ] as const) {
      const answer = await api.ask('POST', `/api/v1/${path}`, body);
      assert.deepEqual([answer.status, answer.json.detail], [400, detail]);
    }
    for (const [query, detail] of [
      ['limit=x', 'querystring.limit must be integer.'],
      ['limit=1&limit=2', 'querystring.limit must be integer.'],
      ['limit=0', 'querystring.limit must be >= 1.'],
      ['limit=1.5', 'querystring.limit must be integer.'],
      ['state=asleep', 'querystring.state must be equal to one of the allowed values: connected, away, waiting.'],
      ['colour=red', 'querystring.colour is not known.'],
    ] as const) {
      const answer = await api.get(`/api/v1/sessions?${query}`);
      assert.deepEqual([answer.status, answer.json.detail], [400, detail]);
    }
    assert.equal((await api.get('/api/v1/sessions?limit=7')).json.items.length, 1);
    const levels = await api.ask('PATCH', '/api/v1/log-levels', { messages: 5 });
    assert.deepEqual([levels.status, levels.json.detail], [400, 'body.messages must be string.']);
    // Nothing of it was done.
    assert.deepEqual(
      events.filter(({ type }) => type !== 'administered'),
      [],
    );
    assert.deepEqual((await api.get('/api/v1/bans')).json.items, []);
    await api.broker.publish('end', 'x');
    assert.equal(publishedBy(await peer.next()).topic, 'end');
  });
});

test('what changes something is answered when it lasts', timeout, async () => {
  const store = new GatedStore();
  await withApi(
    async (api) => {
      const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };
      const peer = new MqttPeer(api.broker.connect());
      peer.send({ type: PacketType.Connect, version: 5, clientId: 'c', keepAlive: 0, ...lasting });
      await peer.next();
      await peer.subscribe('q', 1);
      await api.broker.publish('r', 'x', { qos: 1, retain: true });
      for (const [method, path, body, status, lasts] of [
        ['POST', 'publish', { topic: 'q', payload: 'x', qos: 1 }, 200, 'queued'],
        ['POST', 'publish', { topic: 'r2', payload: 'x', retain: true }, 200, 'retained'],
        ['DELETE', 'retained/message?topic=r', undefined, 204, 'unretained'],
        ['DELETE', 'sessions/c', undefined, 204, 'session-ended'],
      ] as const) {
        store.shut();
        const kinds = store.kinds.length;
        let isAnswered = false;
        const answer = api.ask(method, `/api/v1/${path}`, body).finally(() => {
          isAnswered = true;
        });
        await store.asked;
        // Time for an answer that does not wait.
        for (let i = 0; i < 20; i++) await api.get('/health/live');
        assert.equal(isAnswered, false, path);
        store.open();
        assert.equal((await answer).status, status, path);
        assert.ok(store.kinds.slice(kinds).includes(lasts), `${path}: ${store.kinds.slice(kinds)}`);
      }
      assert.equal((await api.ask('DELETE', '/api/v1/sessions/c')).status, 404);
    },
    { store },
  );
});

/** Makes nothing last while it is shut. */
class GatedStore implements Store {
  readonly durability = 'fsync';
  readonly kinds: string[] = [];
  #gate = Promise.withResolvers<void>();
  #asked = Promise.withResolvers<void>();

  constructor() {
    this.open();
  }

  /** A commit came since it was shut. */
  get asked(): Promise<void> {
    return this.#asked.promise;
  }

  open(): void {
    this.#gate.resolve();
  }

  shut(): void {
    this.#gate = Promise.withResolvers();
    this.#asked = Promise.withResolvers();
  }

  load(): Promise<StoredState> {
    return Promise.resolve({ wall: Date.now(), clock: Date.now(), lastId: 0, sessions: [], retained: [] });
  }

  async commit({ changes }: Batch): Promise<void> {
    this.#asked.resolve();
    await this.#gate.promise;
    this.kinds.push(...changes.map(({ kind }) => kind));
  }

  page(): Promise<StoredPage> {
    return Promise.resolve({ deliveries: [], lost: [] });
  }

  fetch(): Promise<readonly null[]> {
    return Promise.resolve([]);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
