/** Tokens as passwords: real keys, real sockets, and key sets from a real server that misbehaves. */

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeUtf8, type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { type JWTPayload, SignJWT } from 'jose';
import { chain } from '../../src/auth/chain.ts';
import { jwtJudge } from '../../src/auth/jwt.ts';
import { readJwtKeys, readJwtSecret } from '../../src/auth/jwt-keys.ts';
import type { JwtOptions } from '../../src/auth/jwt-options.ts';
import type { AuthenticationRequest, Verdict } from '../../src/core/index.ts';
import { brokerOptions, ConfigurationError } from '../../src/index.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { connectRequest } from './connect-request.ts';
import { dialTcp } from './dial.ts';
import { connectPacket, MqttPeer } from './mqtt-peer.ts';
import { nextEvent, withBroker } from './running-broker.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-jwt-'));
after(() => rmSync(folder, { recursive: true }));

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const secret = 'a secret of thirty-two bytes....';
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
const keys = [...readJwtKeys(pem(rsa.publicKey) + pem(ec.publicKey) + pem(ed.publicKey)), readJwtSecret(secret)];
const now = () => Math.floor(Date.now() / 1000);

interface Signing {
  readonly alg?: string;
  readonly key?: KeyObject | Uint8Array;
  readonly kid?: string;
}

async function sign(claims: JWTPayload, { alg = 'RS256', key = rsa.privateKey, kid }: Signing = {}): Promise<string> {
  const whole = { sub: 'ada', exp: now() + 60, ...claims };
  return new SignJWT(whole).setProtectedHeader({ alg, ...(kid !== undefined && { kid }) }).sign(key);
}

/** As an attacker would: any header, any signature. */
function forged(header: object, claims: object, signature: (input: string) => Buffer): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part(header)}.${part({ sub: 'ada', exp: now() + 60, ...claims })}`;
  return `${input}.${signature(input).toString('base64url')}`;
}

function request(token: string | null, more: Partial<AuthenticationRequest> = {}): AuthenticationRequest {
  return connectRequest({ username: 'whoever', password: token === null ? null : encodeUtf8(token), ...more });
}

async function ask(options: JwtOptions, token: string): Promise<Verdict> {
  return chain([jwtJudge(options)]).authenticate(request(token));
}

/** The principal, or the reason of the refusal. */
function saidBy(verdict: Verdict): string | null | undefined {
  if (verdict.outcome === 'accept') return verdict.principal;
  return verdict.outcome === 'refuse' ? (verdict.reason ?? `code ${verdict.reasonCode}`) : 'continue';
}

test('tokens by every kind of key are taken, and name their principal', async () => {
  for (const [alg, key] of [
    ['RS256', rsa.privateKey],
    ['PS512', rsa.privateKey],
    ['ES256', ec.privateKey],
    ['EdDSA', ed.privateKey],
    ['HS256', encodeUtf8(secret)],
    ['HS512', encodeUtf8(secret)],
  ] as const) {
    assert.equal(saidBy(await ask({ keys }, await sign({ sub: alg }, { alg, key }))), alg);
  }
});

test('a token cannot choose how it is verified: none, a public key as a secret, another key, another algorithm', async () => {
  const hmac = (key: string | Buffer) => (input: string) => createHmac('sha256', key).update(input).digest();
  const publicKeys = readJwtKeys(pem(rsa.publicKey));
  const nothing = () => Buffer.alloc(0);
  const notAllowed = 'the algorithm of the token is not allowed';
  for (const alg of ['none', 'None', 'nOnE', '', 'HS999']) {
    assert.equal(saidBy(await ask({ keys }, forged({ alg }, {}, nothing))), notAllowed);
  }
  for (const trusted of [publicKeys, keys]) {
    for (const key of [
      pem(rsa.publicKey),
      pem(rsa.publicKey).trimEnd(),
      rsa.publicKey.export({ type: 'spki', format: 'der' }),
    ]) {
      const verdict = await ask({ keys: trusted }, forged({ alg: 'HS256' }, {}, hmac(key)));
      const hasSecret = trusted === keys;
      assert.equal(saidBy(verdict), hasSecret ? 'the signature of the token is not right' : notAllowed);
    }
  }
  const jwk = rsa.publicKey.export({ format: 'jwk' });
  const own = otherRsa.publicKey.export({ format: 'jwk' });
  for (const header of [{ alg: 'RS256' }, { alg: 'RS256', jwk: own }, { alg: 'RS256', jwk, kid: 'x' }]) {
    const token = await new SignJWT({ sub: 'ada', exp: now() + 60 })
      .setProtectedHeader(header)
      .sign(otherRsa.privateKey);
    assert.equal(saidBy(await ask({ keys }, token)), 'the signature of the token is not right');
  }
  assert.equal(saidBy(await ask({ keys, algorithms: ['ES256'] }, await sign({}))), notAllowed);
  const changed = (await sign({})).split('.');
  changed[1] = Buffer.from(JSON.stringify({ sub: 'root', exp: now() + 60 })).toString('base64url');
  assert.equal(saidBy(await ask({ keys }, changed.join('.'))), 'the signature of the token is not right');
  const critical = forged({ alg: 'HS256', crit: ['x'], x: 1 }, {}, hmac(secret));
  assert.equal(saidBy(await ask({ keys }, critical)), 'the token cannot be read');
  assert.equal(saidBy(await ask({ keys: publicKeys, algorithms: ['HS256'] }, critical)), notAllowed);
});

test('when it holds, whose it is and for whom: expired, not valid yet, no end, another issuer or audience', async () => {
  const terms = { keys, issuers: ['https://id.example'], audiences: ['mqtt', 'broker'], clockToleranceSeconds: 5 };
  const good = { iss: 'https://id.example', aud: 'mqtt' };
  const reasonFor = async (claims: JWTPayload) => saidBy(await ask(terms, await sign({ ...good, ...claims })));
  assert.equal(await reasonFor({}), 'ada');
  assert.equal(await reasonFor({ aud: ['x', 'broker'] }), 'ada');
  assert.equal(await reasonFor({ exp: now() - 3 }), 'ada', 'clocks may differ by this much');
  assert.equal(await reasonFor({ exp: now() - 8 }), 'the token has expired');
  assert.equal(await reasonFor({ nbf: now() + 3 }), 'ada');
  assert.equal(await reasonFor({ nbf: now() + 20 }), 'the token is not valid yet');
  assert.equal(await reasonFor({ aud: 'web' }), 'the token has another aud');
  assert.equal(await reasonFor({ aud: undefined as unknown as string }), 'the token has no aud');
  assert.equal(await reasonFor({ exp: undefined as unknown as number }), 'the token has no exp');
  assert.equal(await reasonFor({ exp: 'tomorrow' as unknown as number }), 'the token has another exp');
  assert.equal(await reasonFor({ sub: '' }), 'no name in sub');
  assert.equal(await reasonFor({ sub: 'a\0b' }), 'no name in sub');
  assert.equal(
    await reasonFor({ iss: 'https://other.example' }),
    'code 134',
    'of another issuer: for the next in line',
  );
  const unlimited = await ask({ keys, allowUnlimited: true }, await sign({ exp: undefined as unknown as number }));
  assert.ok(unlimited.outcome === 'accept' && unlimited.expiresInMs === undefined);
});

test('what is no token is for the next in line', async () => {
  const next = { authenticate: () => ({ outcome: 'accept', principal: 'next' }) as const };
  const authority = chain([jwtJudge({ keys }), next]);
  for (const password of ['secret', 'a.b', 'a.b.c.d', 'a b.c.d', `a.b.${'c'.repeat(16 * 1024)}`]) {
    assert.equal(saidBy(await authority.authenticate(request(password))), 'next', password.slice(0, 20));
  }
  assert.equal(saidBy(await authority.authenticate(request(null))), 'next');
  const notText = request(null, { password: new Uint8Array([0xff, 0x2e, 0x2e]) });
  assert.equal(saidBy(await authority.authenticate(notText)), 'next');
  assert.equal(saidBy(await authority.authenticate(request('a.b.c'))), 'the token cannot be read');
});

test('an expired token is no guess, a forged one is', async () => {
  const authority = chain([jwtJudge({ keys })]);
  const expired = await sign({ exp: now() - 100 });
  for (let i = 0; i < 20; i++) {
    assert.equal(saidBy(await authority.authenticate(request(expired))), 'the token has expired');
  }
  assert.equal(saidBy(await authority.authenticate(request(await sign({})))), 'ada');
  const stolen = await sign({}, { key: otherRsa.privateKey });
  const other = { peer: { transport: 'tcp', address: '192.0.2.9:1', listener: '' } } as const;
  for (let i = 0; i < 6; i++) await authority.authenticate(request(stolen, other));
  const verdict = await authority.authenticate(request(await sign({}), other));
  assert.equal(saidBy(verdict), 'too many wrong passwords; try again later');
});

test('claims become the client id, groups, values and rules', async () => {
  const token = await sign({
    name: 'ada',
    device: 'c',
    roles: 'night staff',
    site: 'north',
    floor: 3,
    nested: { a: 1 },
    long: 'x'.repeat(300),
    acl: [{ effect: 'allow', action: 'publish', filter: 'own/#' }],
  });
  const options = { keys, principalClaim: 'name', clientIdClaim: 'device', groupsClaim: 'roles' };
  const verdict = (await ask({ ...options, permissionsClaim: 'acl' }, token)) as Verdict & {
    groups: string[];
    values: object;
  };
  assert.ok(verdict.outcome === 'accept');
  assert.deepEqual(verdict.groups, ['night', 'staff']);
  assert.equal((verdict.values as Record<string, string>)['claim.site'], 'north');
  assert.equal((verdict.values as Record<string, string>)['claim.floor'], '3');
  assert.ok(!('claim.nested' in verdict.values) && !('claim.long' in verdict.values));
  assert.equal(verdict.permissions?.publish('own/a', 0, false), 0);
  assert.equal(verdict.permissions?.publish('other', 0, false), ReasonCode.NotAuthorized);
  assert.equal(saidBy(await ask({ ...options, clientIdClaim: 'site' }, token)), 'the token is for another client id');
  assert.equal(saidBy(await ask({ keys, permissionsClaim: 'roles' }, token)), 'no rules in roles');
  const list = await ask({ keys, groupsClaim: 'roles' }, await sign({ roles: ['a', 7, ''] }));
  assert.deepEqual((list as { groups?: string[] }).groups, ['a']);
});

// ── Key sets

interface KeyServer {
  url: string;
  asked: number;
  answer: (response: ServerResponse) => void;
}

async function withKeyServer(run: (server: KeyServer) => Promise<void>): Promise<void> {
  const keyServer: KeyServer = { url: '', asked: 0, answer: (response) => void response.end() };
  const server = createServer((_, response) => {
    keyServer.asked++;
    keyServer.answer(response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  keyServer.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  try {
    await run(keyServer);
  } finally {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}

const jwk = (key: KeyObject, kid?: string) => ({ ...key.export({ format: 'jwk' }), ...(kid !== undefined && { kid }) });
const served =
  (...set: object[]) =>
  (response: ServerResponse) =>
    void response.end(JSON.stringify({ keys: set }));

test('a key set is fetched once, and again for a key that is new; old keys go with it', async () => {
  await withKeyServer(async (server) => {
    server.answer = served(jwk(rsa.publicKey, 'one'), jwk(ec.publicKey, 'ec'));
    const judge = jwtJudge({ jwksUrl: server.url, cooldownMs: 0 });
    const said = async (token: string) => saidBy(await chain([judge]).authenticate(request(token)));
    const first = await sign({}, { kid: 'one' });
    assert.equal(await said(first), 'ada');
    assert.equal(await said(await sign({}, { kid: 'ec', alg: 'ES256', key: ec.privateKey })), 'ada');
    assert.equal(server.asked, 1);
    server.answer = served(jwk(otherRsa.publicKey, 'two'));
    assert.equal(await said(await sign({}, { kid: 'two', key: otherRsa.privateKey })), 'ada');
    assert.equal(server.asked, 2);
    assert.equal(await said(first), 'the token is by a key that is not known');
  });
});

test('unknown key ids do not make the key set be fetched again and again', async () => {
  await withKeyServer(async (server) => {
    server.answer = served(jwk(rsa.publicKey, 'one'));
    const judge = jwtJudge({ jwksUrl: server.url });
    for (let i = 0; i < 5; i++) {
      const verdict = await judge.authenticate(request(await sign({}, { kid: `made up ${i}` })));
      assert.equal(verdict.outcome === 'refuse' && verdict.reason, 'the token is by a key that is not known');
    }
    assert.equal(server.asked, 1);
  });
});

test('of several keys without ids the right one is found, and only the right one', async () => {
  await withKeyServer(async (server) => {
    server.answer = served(jwk(otherRsa.publicKey), jwk(rsa.publicKey));
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
    assert.equal(saidBy(await ask({ jwksUrl: server.url }, await sign({}))), 'ada');
    const forgedToken = await sign({}, { key: stranger.privateKey });
    assert.equal(saidBy(await ask({ jwksUrl: server.url }, forgedToken)), 'the signature of the token is not right');
  });
});

test('a secret is no key of a key set, whatever the key set says', async () => {
  await withKeyServer(async (server) => {
    const k = Buffer.from(secret).toString('base64url');
    server.answer = served({ kty: 'oct', k, kid: 's', alg: 'HS256' });
    const token = await sign({}, { alg: 'HS256', key: encodeUtf8(secret), kid: 's' });
    assert.equal(saidBy(await ask({ jwksUrl: server.url }, token)), 'the algorithm of the token is not allowed');
    assert.equal(server.asked, 0);
  });
});

test('without keys nobody gets in: a server that fails, says nonsense, too much, elsewhere, nothing, or is not there', async () => {
  const answers: readonly [(response: ServerResponse) => void, RegExp][] = [
    [(response) => void response.writeHead(500).end(), /status 500/],
    [(response) => void response.end('<html>'), /JSON/],
    [(response) => void response.end('{}'), /is none/],
    [(response) => void response.end(`{"keys":[],"x":"${'x'.repeat(2 * 1024 * 1024)}"}`), /more than 1048576 bytes/],
    [(response) => void response.writeHead(302, { location: '/other' }).end(), /status 302/],
    [(response) => void response.destroy(), /fetch/],
    [() => undefined, /timeout/],
    [(response) => void response.write('{"keys":['), /timeout/],
  ];
  await withKeyServer(async (server) => {
    const { url } = server;
    for (const [answer, reason] of [...answers]) {
      server.answer = answer;
      const reasons: string[] = [];
      const options = { jwksUrl: url, timeoutMs: 300, onFailure: (text: string) => void reasons.push(text) };
      const verdict = await ask(options, await sign({}));
      assert.equal(verdict.outcome === 'refuse' && verdict.reasonCode, ReasonCode.ServerUnavailable);
      assert.match(reasons.join(), reason);
      assert.match(reasons.join(), /the key set http/);
    }
  });
});

test('a key set that is too old is not used when no other can be had, and a failing server is not asked for each token', async () => {
  await withKeyServer(async (server) => {
    server.answer = served(jwk(rsa.publicKey, 'one'));
    const judge = jwtJudge({ jwksUrl: server.url, cacheMs: 0 });
    const token = await sign({}, { kid: 'one' });
    assert.equal((await judge.authenticate(request(token))).outcome, 'accept');
    server.answer = (response) => void response.writeHead(503).end();
    const before = server.asked;
    for (let i = 0; i < 10; i++) assert.equal((await judge.authenticate(request(token))).outcome, 'refuse');
    assert.equal(server.asked, before + 1);
  });
});

// ── Over sockets

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function enter(port: number, packet: Packet): Promise<{ peer: MqttPeer; code: number }> {
  const peer = new MqttPeer(await dialTcp(port));
  peer.send(packet);
  const answer = await peer.next();
  assert.ok(answer !== 'end' && 'reasonCode' in answer, JSON.stringify(answer));
  return { peer, code: answer.reasonCode };
}

const publicKeys = written('keys.pem', pem(rsa.publicKey));
const configured = `
authentication:
  - { type: jwt, keys: ${publicKeys}, audiences: mqtt, clockToleranceSeconds: 0, groupsClaim: roles }
permissions:
  - { effect: allow, action: publish, filter: 'sites/\${claim.site}/\${username}' }
  - { effect: allow, action: publish, filter: night, groups: [night] }
`;

test('a token opens a connection, gives it its rights, and ends it', { timeout: 20_000 }, async () => {
  const options = brokerOptions(parseConfiguration(configured, 'test'));
  await withBroker(
    { type: 'tcp', port: 0 },
    async (port, broker) => {
      const login = async (claims: JWTPayload) => {
        const password = encodeUtf8(await sign({ aud: 'mqtt', site: 'north', roles: ['night'], ...claims }));
        return enter(port, { ...connectPacket('c', 5), password } as Packet);
      };
      const wrong = await login({ aud: 'web' });
      assert.equal(wrong.code, ReasonCode.NotAuthorized);
      assert.equal(await wrong.peer.next(), 'end');
      const wild = await login({ site: '+' });
      assert.equal(wild.code, ReasonCode.NotAuthorized);
      const ended = nextEvent(broker, 'disconnected');
      const { peer, code } = await login({ exp: now() + 2 });
      assert.equal(code, ReasonCode.Success);
      for (const [topic, answer] of [
        ['sites/north/ada', ReasonCode.NoMatchingSubscribers],
        ['night', ReasonCode.NoMatchingSubscribers],
        ['sites/south/ada', ReasonCode.NotAuthorized],
        ['sites/north/whoever', ReasonCode.NotAuthorized],
      ] as const) {
        peer.publish(topic, 'x', 1, 7);
        const puback = await peer.next();
        assert.equal(puback !== 'end' && puback.type === PacketType.Puback && puback.reasonCode, answer, topic);
      }
      const goodbye = await peer.next();
      assert.ok(goodbye !== 'end' && goodbye.type === PacketType.Disconnect);
      assert.equal(goodbye.reasonCode, ReasonCode.MaximumConnectTime);
      assert.equal(await peer.next(), 'end');
      const { by, reason } = await ended;
      assert.deepEqual([by, reason], ['server', 'what the connection was authenticated by has expired']);
    },
    { ...options, listeners: [] },
  );
});

test('by enhanced authentication a client brings its next token in time, and only its own', {
  timeout: 20_000,
}, async () => {
  const options = brokerOptions(parseConfiguration(configured, 'test'));
  await withBroker(
    { type: 'tcp', port: 0 },
    async (port) => {
      const properties = async (claims: JWTPayload) => ({
        authenticationMethod: 'JWT',
        authenticationData: encodeUtf8(await sign({ aud: 'mqtt', ...claims })),
      });
      const short = await properties({ exp: now() + 2 });
      const { peer, code } = await enter(port, { ...connectPacket('c', 5), properties: short } as Packet);
      assert.equal(code, ReasonCode.Success);
      const longer = await properties({ exp: now() + 60 });
      peer.send({ type: PacketType.Auth, reasonCode: ReasonCode.ReAuthenticate, properties: longer });
      const auth = await peer.next();
      assert.equal(auth !== 'end' && auth.type === PacketType.Auth && auth.reasonCode, ReasonCode.Success);
      // Past the end of the first token it is still there.
      await new Promise((done) => setTimeout(done, 2_500));
      peer.publish('night', 'x', 1, 7);
      const puback = await peer.next();
      assert.ok(puback !== 'end' && puback.type === PacketType.Puback);
      const eve = await properties({ sub: 'eve', exp: now() + 60 });
      peer.send({ type: PacketType.Auth, reasonCode: ReasonCode.ReAuthenticate, properties: eve });
      const goodbye = await peer.next();
      assert.ok(goodbye !== 'end' && goodbye.type === PacketType.Disconnect);
      assert.equal(goodbye.reasonCode, ReasonCode.NotAuthorized);
    },
    { ...options, listeners: [] },
  );
});

test('keys and secrets that cannot be used are told before anything opens', () => {
  const bad = written('bad.pem', 'nonsense');
  const short = written('short', 'short');
  const text = `authentication: [{ type: jwt, keys: [${bad}, /nowhere], secretFile: ${short} }]`;
  assert.throws(
    () => brokerOptions(parseConfiguration(text, 'test')),
    (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.deepEqual(
        error.problems.map((problem) => /no key in it|cannot be read|less than 32 bytes/.exec(problem)?.[0]),
        ['no key in it', 'cannot be read', 'less than 32 bytes'],
      );
      return true;
    },
  );
  assert.throws(
    () => parseConfiguration('authentication: [{ type: jwt }]', 'test'),
    /must have keys, a secretFile or a/,
  );
});
