import assert from 'node:assert/strict';
import { createHash, createHmac, generateKeyPairSync, pbkdf2Sync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { encodeUtf8, type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { SignJWT } from 'jose';
import { Access } from '../../src/auth/access.ts';
import { anonymousJudge } from '../../src/auth/anonymous.ts';
import { certificateJudge } from '../../src/auth/certificate.ts';
import type { Judge } from '../../src/auth/chain.ts';
import { httpJudge } from '../../src/auth/http.ts';
import { jwtJudge } from '../../src/auth/jwt.ts';
import { readJwtKeys } from '../../src/auth/jwt-keys.ts';
import { PasswordFile, parsePasswords } from '../../src/auth/password-file.ts';
import { hashPassword } from '../../src/auth/password-hash.ts';
import { createBroker, planAccess } from '../../src/index.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { authoritySuite, type Candidate, type Login } from './authority.suite.ts';
import { connectRequest } from './connect-request.ts';
import { connectPacket, MqttPeer } from './mqtt-peer.ts';

function login(username: string | null, password: string | null): Login {
  return { request: { username, password: password === null ? null : encodeUtf8(password) } };
}

const memory = { transport: 'memory', address: 'memory', listener: 'memory:' } as const;

authoritySuite('anonymous', async () => ({
  judge: anonymousJudge(false),
  good: { request: { peer: memory } },
  principal: null,
  bad: null,
  unknown: login('ada', 'secret'),
  isInConnect: true,
}));

const passwordCandidate = (hash: string): Candidate => ({
  judge: new PasswordFile(parsePasswords(`ada:${hash}\n`)),
  good: login('ada', 'secret'),
  principal: 'ada',
  bad: login('ada', 'Secret'),
  unknown: login('eve', 'secret'),
  isInConnect: true,
});

const scrypted = await hashPassword('scrypt', encodeUtf8('secret'), randomBytes(16));
const scrammed = await hashPassword('scram-sha-256', encodeUtf8('secret'), randomBytes(16));
// Made by mosquitto_passwd.
const mosquittos =
  '$7$101$mQWBfoH4iiZCvC+P$n7uRojE5lsWWNB7mJwtkp083vXtpkUkToh65eFnATzQPvOMS3rzApCtk3Pw2uUlPBvDLxXm4tmE0xfD3iKZU0Q==';
authoritySuite('passwords', async () => passwordCandidate(scrypted));
authoritySuite("passwords of Mosquitto's", async () => passwordCandidate(mosquittos));
authoritySuite('passwords stored for SCRAM', async () => passwordCandidate(scrammed));

/** A SCRAM-SHA-256 client of its own (RFC 5802, section 3). */
function scramLogin(password: string, method = 'SCRAM-SHA-256'): Login {
  const first = 'n=ada,r=fyko+d2lbbFgONRv9qkxdawL';
  const answer = (challenge: string): string => {
    const [, nonce = '', salt = '', iterations = ''] = /^r=([^,]*),s=([^,]*),i=(\d+)$/.exec(challenge) ?? [];
    const unproven = `c=biws,r=${nonce}`;
    const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
    const clientKey = createHmac('sha256', salted).update('Client Key').digest();
    const storedKey = createHash('sha256').update(clientKey).digest();
    const signature = createHmac('sha256', storedKey).update(`${first},${challenge},${unproven}`).digest();
    const proof = clientKey.map((byte, i) => byte ^ (signature[i] ?? 0));
    return `${unproven},p=${Buffer.from(proof).toString('base64')}`;
  };
  return { request: { method, data: encodeUtf8(`n,,${first}`) }, answer };
}

authoritySuite('SCRAM', async () => ({
  judge: new PasswordFile(parsePasswords(`ada:${scrammed}\n`)),
  good: scramLogin('secret'),
  principal: 'ada',
  bad: scramLogin('Secret'),
  unknown: scramLogin('secret', 'SCRAM-SHA-1'),
  isInConnect: true,
}));

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ed25519').privateKey;
const keys = readJwtKeys(publicKey.export({ type: 'spki', format: 'pem' }).toString());
const token = (key = privateKey) =>
  new SignJWT({ sub: 'ada' }).setProtectedHeader({ alg: 'EdDSA' }).setExpirationTime('1h').sign(key);

authoritySuite('tokens', async () => ({
  judge: jwtJudge({ keys }),
  good: login(null, await token()),
  principal: 'ada',
  bad: login(null, await token(stranger)),
  unknown: login('ada', 'secret'),
  isInConnect: true,
}));

const certificate = { commonName: 'ada', subject: 'CN=ada', fingerprint: 'AB', alternativeNames: [] };
authoritySuite('certificates', async () => ({
  judge: certificateJudge(),
  good: {
    request: { peer: { transport: 'tls', address: '192.0.2.1:1000', listener: '', certificate } },
  },
  principal: 'ada',
  bad: null,
  unknown: login('ada', 'secret'),
  isInConnect: false,
}));

authoritySuite('an HTTP service', async () => {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { username, password } = JSON.parse(Buffer.concat(chunks).toString());
    const isRight = password === 'secret';
    const verdict = isRight ? { outcome: 'accept', principal: 'ada' } : { outcome: 'refuse' };
    response.end(JSON.stringify(username === 'ada' ? verdict : { outcome: 'pass' }));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    judge: httpJudge({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }),
    good: login('ada', 'secret'),
    principal: 'ada',
    bad: login('ada', 'Secret'),
    unknown: login('eve', 'secret'),
    isInConnect: true,
    dispose: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
});

test('every type of authority that can be configured runs the suite', () => {
  const suites = ['passwords', 'jwt', 'certificate', 'http', 'anonymous'];
  const choices = /must be one of ([^\n]*)/;
  assert.throws(
    () => planAccess(parseConfiguration('authentication: [{ type: none }]', 'test')),
    (error) => {
      const named = choices.exec((error as Error).message)?.[1]?.split(', ') ?? [];
      assert.deepEqual(named.sort(), suites.sort());
      return true;
    },
  );
});

// ── Names that nobody has

async function outcomeOf(judge: Judge, username: string, password: string): Promise<string> {
  const request = connectRequest({ username, password: encodeUtf8(password) });
  return (await judge.authenticate(request)).outcome;
}

test('a name that nobody has costs what one of the file costs, and never gets in by its password', async () => {
  const file = new PasswordFile(parsePasswords(`ada:${mosquittos}\nbob:${mosquittos.replace('101', '102')}\n`));
  const names = Array.from({ length: 50 }, (_, i) => `nobody ${i}`);
  const costs = names.map((name) => file.hashFor(name)).map(({ kind, iterations }) => `${kind} ${iterations}`);
  assert.deepEqual([...new Set(costs)].sort(), ['pbkdf2-sha512 101', 'pbkdf2-sha512 102']);
  assert.deepEqual(
    names.map((name) => file.hashFor(name).iterations),
    names.map((name) => file.hashFor(name).iterations),
  );
  assert.equal(file.hashFor('bob').iterations, 102);
  for (const name of [...names.slice(0, 5), '__proto__', 'constructor', '']) {
    assert.equal(await outcomeOf(file, name, 'secret'), 'pass', name);
  }
  const empty = new PasswordFile(new Map());
  assert.equal(empty.hashFor('ada').kind, 'scrypt');
  assert.equal(await outcomeOf(empty, 'ada', 'secret'), 'pass');
});

test('by SCRAM a client proves itself again beside its traffic; who cannot is disconnected', {
  timeout: 20_000,
}, async () => {
  const rules = [{ effect: 'allow', action: 'all', filter: '#' }] as const;
  const make = (): Judge => new PasswordFile(parsePasswords(`ada:${scrammed}\n`));
  const access = new Access({ judges: [{ type: 'passwords', make }], rules, groups: {} });
  const broker = createBroker({ access });
  await broker.start();
  const peer = new MqttPeer(broker.connect());
  const method = 'SCRAM-SHA-256';
  const propertiesOf = (data: Uint8Array) => ({ authenticationMethod: method, authenticationData: data });
  const next = async (): Promise<Packet> => {
    const packet = await peer.next();
    assert.ok(packet !== 'end');
    return packet;
  };
  const answerTo = (packet: Packet, { answer }: Login): Packet => {
    assert.ok(packet.type === PacketType.Auth && packet.reasonCode === ReasonCode.ContinueAuthentication);
    const challenge = Buffer.from(packet.properties?.authenticationData ?? []).toString();
    const properties = propertiesOf(encodeUtf8(answer?.(challenge) ?? ''));
    return { type: PacketType.Auth, reasonCode: ReasonCode.ContinueAuthentication, properties };
  };
  const good = scramLogin('secret');
  const first = propertiesOf(good.request.data ?? new Uint8Array());
  peer.send({ ...connectPacket('c', 5), properties: first } as Packet);
  peer.send(answerTo(await next(), good));
  const connack = await next();
  assert.ok(connack.type === PacketType.Connack && connack.reasonCode === ReasonCode.Success);
  assert.match(
    Buffer.from(connack.properties?.authenticationData ?? []).toString(),
    /^v=/,
    'the broker proves itself too',
  );
  peer.send({ type: PacketType.Auth, reasonCode: ReasonCode.ReAuthenticate, properties: first });
  const challenge = await next();
  peer.publish('beside', 'it', 1, 7);
  assert.equal((await next()).type, PacketType.Puback);
  peer.send(answerTo(challenge, good));
  const done = await next();
  assert.ok(done.type === PacketType.Auth && done.reasonCode === ReasonCode.Success);
  peer.send({ type: PacketType.Auth, reasonCode: ReasonCode.ReAuthenticate, properties: first });
  peer.send(answerTo(await next(), scramLogin('Secret')));
  const goodbye = await next();
  assert.ok(goodbye.type === PacketType.Disconnect && goodbye.reasonCode === ReasonCode.NotAuthorized);
  assert.equal(await peer.next(), 'end');
  await broker.stop();
});
