/** Client certificates over real TLS: who is revoked, and who a certificate says somebody is, odd ones included. */

import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import type { CertificateIdentity } from '../../src/index.ts';
import {
  type Broker,
  type BrokerOptions,
  certificateJudge,
  chain,
  type ListenerOptions,
  Permissions,
  permitting,
} from '../../src/index.ts';
import { dialTcp, dialTls, dialWebSocket, serverTls } from './dial.ts';
import { MqttPeer } from './mqtt-peer.ts';
import { nextEvent, withBroker } from './running-broker.ts';
import { type CertificateOptions, type Made, makeCertificate, makeRevocationList, serverAuth } from './x509.ts';

const authority = makeCertificate({ subject: [['CN', 'Fleet authority']], isAuthority: true });
const device = (options: Partial<CertificateOptions> = {}) =>
  makeCertificate({ subject: [['CN', 'device 7']], issuer: authority, ...options });

/** The same reason is told again soon. */
const soon: BrokerOptions = { limits: { eventIntervalMs: 100 } };

function listener(
  options: { ca?: string; crl?: string; clientCertificate?: 'request' | 'require' } = {},
): ListenerOptions {
  const { ca = authority.cert, crl, clientCertificate = 'require' } = options;
  const tls = {
    ...serverTls,
    ca: Buffer.from(ca),
    clientCertificate,
    ...(crl !== undefined && { crl: Buffer.from(crl) }),
  };
  return { type: 'tls', port: 0, tls };
}

async function connected(port: number, shown: Pick<Made, 'cert' | 'key'>, more: object = {}): Promise<MqttPeer> {
  const peer = new MqttPeer(await dialTls(port, { cert: shown.cert, key: shown.key, ...more }));
  const connack = await peer.connect('c');
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack, 'turned away');
  assert.equal(connack.reasonCode, ReasonCode.Success);
  return peer;
}

/** The client may believe for a moment that it is in (TLS 1.3); no byte of MQTT is answered. */
async function turnedAway(
  broker: Broker,
  port: number,
  shown: Pick<Made, 'cert' | 'key'>,
  more: object = {},
): Promise<string> {
  const told = nextEvent(broker, 'turned-away');
  const end = await dialTls(port, { cert: shown.cert, key: shown.key, ...more }).then(
    (socket) => new MqttPeer(socket).connect('c'),
    () => 'end',
  );
  assert.equal(end, 'end');
  return (await told).reason;
}

test('a revoked certificate is turned away, and each time again', { timeout: 20_000 }, async () => {
  const [good, bad] = [device(), device()];
  const crl = makeRevocationList(authority, [bad]);
  for (const clientCertificate of ['require', 'request'] as const) {
    await withBroker(
      listener({ crl, clientCertificate }),
      async (port, broker) => {
        for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
          assert.match(await turnedAway(broker, port, bad, { maxVersion }), /REVOKED|CERT_REVOKED/i);
          assert.match(await turnedAway(broker, port, bad, { maxVersion }), /REVOKED|CERT_REVOKED/i);
          const peer = await connected(port, good, { maxVersion });
          peer.stream.destroy();
        }
      },
      soon,
    );
  }
});

test('without a list for its authority, or with one that is too old, nobody gets in', { timeout: 20_000 }, async () => {
  const other = makeCertificate({ subject: [['CN', 'Another authority']], isAuthority: true });
  const [ours, theirs] = [device(), device({ issuer: other })];
  const ca = authority.cert + other.cert;
  await withBroker(listener({ ca, crl: makeRevocationList(authority, []) }), async (port, broker) => {
    (await connected(port, ours)).stream.destroy();
    assert.match(await turnedAway(broker, port, theirs), /CRL/);
  });
  const lists = makeRevocationList(authority, []) + makeRevocationList(other, [theirs]);
  await withBroker(listener({ ca, crl: lists }), async (port, broker) => {
    (await connected(port, ours)).stream.destroy();
    assert.match(await turnedAway(broker, port, theirs), /REVOKED/);
  });
  await withBroker(listener({ crl: makeRevocationList(authority, [], '210101') }), async (port, broker) => {
    assert.match(await turnedAway(broker, port, ours), /CRL/);
  });
  const forged = makeRevocationList({ ...other, subject: authority.subject }, []);
  await withBroker(listener({ crl: forged }), async (port, broker) => {
    assert.match(await turnedAway(broker, port, ours), /CRL/);
  });
});

test('what a reload revokes is turned away from then on, also with a TLS session of before', {
  timeout: 20_000,
}, async () => {
  const [good, bad] = [device(), device()];
  const before = listener({ crl: makeRevocationList(authority, []) });
  await withBroker(
    before,
    async (port, broker) => {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        await broker.reload({ listeners: [before] });
        const socket = await dialTls(port, { cert: bad.cert, key: bad.key, maxVersion });
        const given = Promise.withResolvers<Buffer>();
        socket.once('session', given.resolve);
        const peer = new MqttPeer(socket);
        await peer.connect('c');
        const session = maxVersion === 'TLSv1.2' ? (socket.getSession() as Buffer) : await given.promise;
        const again = await dialTls(port, { cert: bad.cert, key: bad.key, maxVersion, session });
        assert.equal(again.isSessionReused(), true, 'a session is one to go on with');
        again.destroy();
        const after = listener({ crl: makeRevocationList(authority, [bad]) });
        await broker.reload({ listeners: [after] });
        assert.match(await turnedAway(broker, port, bad, { maxVersion }), /REVOKED/);
        assert.match(await turnedAway(broker, port, bad, { maxVersion, session }), /REVOKED/);
        peer.stream.destroy();
        (await connected(port, good, { maxVersion })).stream.destroy();
      }
    },
    soon,
  );
});

/** Connected with its certificate, and a client id of its own. */
async function letIn(stream: Duplex, clientId: string): Promise<MqttPeer> {
  const peer = new MqttPeer(stream);
  const connack = await peer.connect(clientId);
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack && connack.reasonCode === 0, clientId);
  return peer;
}

async function stays(peer: MqttPeer, name: string): Promise<void> {
  peer.send({ type: PacketType.Pingreq });
  const pong = await peer.next();
  assert.equal(pong !== 'end' && pong.type, PacketType.Pingresp, name);
}

async function goes(peer: MqttPeer, reason: string): Promise<void> {
  const told = await peer.next();
  assert.ok(told !== 'end' && told.type === PacketType.Disconnect, reason);
  assert.equal(told.reasonCode, ReasonCode.NotAuthorized);
  assert.equal(told.properties?.reasonString, reason);
  assert.equal(await peer.next(), 'end');
}

const wasRevoked = 'its client certificate was revoked';
const isUntrusted = 'its client certificate is not trusted any more';

test('who is revoked while connected has to go, by TLS, by WebSocket and half-way in; all others stay', {
  timeout: 20_000,
}, async () => {
  const [good, bad] = [device(), device()];
  const before = listener({ crl: makeRevocationList(authority, []), clientCertificate: 'request' });
  const web = { ...before, type: 'wss' } as ListenerOptions;
  await withBroker(before, async (port, broker) => {
    const { port: webPort } = await broker.listen(web);
    const shown = (made: Made) => ({ cert: made.cert, key: made.key });
    const [staying, going] = [
      await letIn(await dialTls(port, shown(good)), 'good'),
      await letIn(await dialTls(port, shown(bad)), 'bad'),
    ];
    const nobody = await letIn(await dialTls(port), 'nobody');
    const program = await letIn(broker.connect(), 'program');
    const page = await dialWebSocket(`wss://localhost:${webPort}/mqtt`, ['mqtt'], shown(bad));
    const goingPage = await letIn(page.stream, 'page');
    // Not yet CONNECT.
    const silent = await dialTls(port, shown(bad));
    // Not yet TLS.
    const early = await dialTcp(port);
    while (broker.listeners[0]?.pending !== 1) await new Promise((done) => setImmediate(done));

    const told: string[] = [];
    broker.on('disconnected', ({ clientId, by, reason }) => told.push(`${clientId} ${by}: ${reason}`));
    const crl = makeRevocationList(authority, [bad]);
    await broker.reload({ listeners: [before, web] });
    await stays(going, 'nothing has changed');
    const refused = nextEvent(broker, 'refused');
    await broker.reload({
      listeners: [before, web].map((each) => ({
        ...each,
        tls: { ...('tls' in each && each.tls), crl: Buffer.from(crl) },
      })) as ListenerOptions[],
    });
    await goes(going, wasRevoked);
    await goes(goingPage, wasRevoked);
    assert.equal((await refused).reason, wasRevoked);
    assert.deepEqual(told.sort(), [`bad server: ${wasRevoked}`, `page server: ${wasRevoked}`]);
    const away = nextEvent(broker, 'turned-away');
    const late = await dialTls(port, { ...shown(bad), socket: early }).then(
      (socket) => new MqttPeer(socket).connect('late'),
      () => 'end',
    );
    assert.equal(late, 'end');
    assert.equal((await away).reason, wasRevoked);
    for (const [name, peer] of Object.entries({ staying, nobody, program })) await stays(peer, name);
    silent.destroy();
  });
});

test('who was let in by an authority that is not trusted any more has to go; those of the others stay', {
  timeout: 20_000,
}, async () => {
  const other = makeCertificate({ subject: [['CN', 'Another authority']], isAuthority: true });
  const between = makeCertificate({ subject: [['CN', 'Between']], issuer: authority, isAuthority: true });
  const [ours, theirs] = [device(), device({ issuer: other })];
  const chained = device({ issuer: between });
  const chain = { cert: chained.cert + between.cert, key: chained.key };
  await withBroker(listener({ ca: authority.cert + other.cert }), async (port, broker) => {
    const dial = async (shown: Pick<Made, 'cert' | 'key'>, name: string): Promise<MqttPeer> =>
      letIn(await dialTls(port, { cert: shown.cert, key: shown.key }), name);
    const [one, two, three] = [await dial(ours, 'ours'), await dial(theirs, 'theirs'), await dial(chain, 'chained')];
    await broker.reload({ listeners: [listener({ ca: other.cert + authority.cert })] });
    for (const [name, peer] of Object.entries({ one, two, three })) await stays(peer, name);
    await broker.reload({ listeners: [listener({ ca: authority.cert })] });
    await goes(two, isUntrusted);
    await stays(one, 'ours');
    await stays(three, 'by the certificate between that it showed');
    const lists = makeRevocationList(authority, [between]) + makeRevocationList(between, []);
    await broker.reload({ listeners: [listener({ ca: authority.cert, crl: lists })] });
    await goes(three, wasRevoked);
    await stays(one, 'ours');
    // A new key for the same name is another authority.
    const rekeyed = makeCertificate({ subject: authority.subject, isAuthority: true });
    await broker.reload({ listeners: [listener({ ca: rekeyed.cert })] });
    await goes(one, isUntrusted);
  });
});

test('who went on with an earlier TLS session is judged by the certificate of then', { timeout: 20_000 }, async () => {
  const [good, bad] = [device(), device()];
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    await withBroker(listener({ crl: makeRevocationList(authority, []) }), async (port, broker) => {
      const resumed = async (shown: Made, name: string): Promise<MqttPeer> => {
        const options = { cert: shown.cert, key: shown.key, maxVersion };
        const first = await dialTls(port, options);
        const given = new Promise<Buffer>((done) => first.once('session', done));
        await letIn(first, `first ${name}`);
        const session = maxVersion === 'TLSv1.2' ? (first.getSession() as Buffer) : await given;
        first.destroy();
        const again = await dialTls(port, { ...options, session });
        assert.equal(again.isSessionReused(), true);
        return letIn(again, name);
      };
      const [staying, going] = [await resumed(good, 'good'), await resumed(bad, 'bad')];
      await broker.reload({ listeners: [listener({ crl: makeRevocationList(authority, [bad]) })] });
      await goes(going, wasRevoked);
      await stays(staying, 'good');
    });
  }
});

test('a list that writes the name of its authority in another way is its list all the same', {
  timeout: 20_000,
}, async () => {
  const [good, bad] = [device(), device()];
  await withBroker(listener({ crl: makeRevocationList(authority, []) }), async (port, broker) => {
    const dial = async (shown: Made, name: string): Promise<MqttPeer> =>
      letIn(await dialTls(port, { cert: shown.cert, key: shown.key }), name);
    const [staying, going] = [await dial(good, 'good'), await dial(bad, 'bad')];
    await broker.reload({ listeners: [listener({ crl: makeRevocationList(authority, [bad], '491231', true) })] });
    assert.match(await turnedAway(broker, port, bad), /REVOKED/);
    await goes(going, wasRevoked);
    await stays(staying, 'good');
  });
});

test('where its listener is gone, any that asks for certificates says whether one counts; where none does, it stays', {
  timeout: 20_000,
}, async () => {
  const [good, bad] = [device(), device()];
  await withBroker(listener(), async (port, broker) => {
    const dial = async (shown: Made, name: string): Promise<MqttPeer> =>
      letIn(await dialTls(port, { cert: shown.cert, key: shown.key }), name);
    const [staying, going] = [await dial(good, 'good'), await dial(bad, 'bad')];
    const crl = makeRevocationList(authority, [bad]);
    const moved = { ...listener({ crl }), type: 'auto' } as ListenerOptions;
    await broker.reload({ listeners: [moved] });
    await goes(going, wasRevoked);
    await stays(staying, 'good');
    await broker.reload({ listeners: [{ type: 'tcp', port: 0 }] });
    await stays(staying, 'good');
  });
});

test('where a certificate is needed, none is told as that', { timeout: 20_000 }, async () => {
  await withBroker(listener(), async (port, broker) => {
    assert.match(await turnedAway(broker, port, { cert: '', key: '' }), /none was shown/);
  });
});

test('another authority, another purpose and an end in the past are turned away', { timeout: 20_000 }, async () => {
  const stranger = makeCertificate({ subject: authority.subject, isAuthority: true });
  await withBroker(listener(), async (port, broker) => {
    for (const shown of [
      device({ issuer: stranger }),
      device({ purpose: serverAuth }),
      device({ until: '210101' }),
      makeCertificate({ subject: [['CN', 'device 7']] }),
    ]) {
      assert.match(await turnedAway(broker, port, shown), /certificate|TLS handshake/);
    }
  });
});

/** Who the broker takes the holder for; null: nobody. */
async function nameOf(port: number, made: Made, told: (string | null)[]): Promise<string | null> {
  const peer = new MqttPeer(await dialTls(port, { cert: made.cert, key: made.key }));
  const connack = await peer.connect('c');
  peer.stream.destroy();
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
  const name = told.pop() ?? null;
  assert.equal(connack.reasonCode, name === null ? ReasonCode.BadUserNameOrPassword : ReasonCode.Success);
  return name;
}

/** Whom it lets in is in `told`. */
function telling(identity: CertificateIdentity, told: (string | null)[]): BrokerOptions {
  const judge = permitting(chain([certificateJudge(identity)]), new Permissions([]));
  return {
    authority: {
      authenticate: async (request) => {
        const verdict = await judge.authenticate(request);
        if (verdict.outcome === 'accept') told.push(verdict.principal);
        return verdict;
      },
    },
  };
}

const odd = (...subject: CertificateOptions['subject']) => device({ subject });
const named = (...alternativeNames: [number, string][]) => device({ subject: [], alternativeNames });

for (const [identity, cases] of [
  [
    'commonName',
    [
      [odd(['CN', 'device 7']), 'device 7'],
      [odd(['O', 'Fleet'], ['CN', 'ädmin ☃']), 'ädmin ☃'],
      [odd(['CN', 'one'], ['CN', 'two']), null],
      [odd(['O', 'CN=admin']), null],
      [odd(['CN', 'admin\0.evil.example']), null],
      [odd(['CN', 'evil\nCN=admin']), null],
      [odd(['CN', '']), null],
      [odd(), null],
      [odd(['CN', 'x'.repeat(2_000)]), null],
    ],
  ],
  [
    'dns',
    [
      [named([2, 'seven.example'], [2, 'other.example']), 'seven.example'],
      [named([1, 'a@b.example'], [2, 'seven.example']), 'seven.example'],
      [named([2, 'admin.example\0.evil.example']), null],
      [named([2, 'x, DNS:admin']), 'x, DNS:admin'],
      [named([6, 'urn:x, DNS:admin']), null],
      [odd(['CN', 'seven.example']), null],
    ],
  ],
  ['uri', [[named([2, 'x'], [6, 'urn:dev:7']), 'urn:dev:7']]],
  ['email', [[named([1, 'ada@b.example']), 'ada@b.example']]],
] as const satisfies readonly [CertificateIdentity, readonly (readonly [Made, string | null])[]][]) {
  test(`who a certificate says its holder is, by ${identity}: what is ambiguous or made to deceive is nobody`, {
    timeout: 20_000,
  }, async () => {
    const told: (string | null)[] = [];
    await withBroker(
      listener(),
      async (port) => {
        for (const [made, name] of cases)
          assert.equal(await nameOf(port, made, told), name, JSON.stringify(made.subject));
      },
      telling(identity, told),
    );
  });
}
