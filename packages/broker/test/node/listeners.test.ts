import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { encodePacket, type Packet, PacketType } from '@pipit/protocol';
import { WebSocket } from 'ws';
import {
  type AnyEvent,
  type Broker,
  createBroker,
  defaultLimits,
  ListenError,
  type ListenerOptions,
  type Peer,
} from '../../src/index.ts';
import { certificateFile, dialTcp, dialTls, dialUnix, dialWebSocket, serverTls } from './dial.ts';
import { connectPacket, MqttPeer, publishedBy, publishPacket } from './mqtt-peer.ts';
import { nextEvent, withBroker } from './running-broker.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-listeners-'));
after(() => rmSync(folder, { recursive: true }));

/** A message goes through the broker over this stream, there and back; answers who the broker took the peer for. */
async function exchange(broker: Broker, stream: Duplex): Promise<Peer> {
  const peer = new MqttPeer(stream);
  const connected = nextEvent(broker, 'connected');
  const connack = await peer.connect('one');
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack && connack.reasonCode === 0);
  const suback = await peer.subscribe('a/#');
  assert.ok(suback !== 'end' && suback.type === PacketType.Suback);
  peer.publish('a/b', 'through');
  assert.deepEqual(publishedBy(await peer.next()), { topic: 'a/b', payload: 'through', qos: 0 });
  return (await connected).peer;
}

test('TCP over IPv4 and IPv6, by shared reads and by data events', { timeout: 20_000 }, async () => {
  for (const sharedReads of [true, false]) {
    await withBroker(
      { type: 'tcp', host: '127.0.0.1', port: 0 },
      async (port, broker) => {
        const socket = await dialTcp(port);
        const peer = await exchange(broker, socket);
        assert.deepEqual(peer, {
          transport: 'tcp',
          address: `127.0.0.1:${socket.localPort}`,
          listener: `mqtt://127.0.0.1:${port}`,
        });
      },
      { sharedReads },
    );
  }
  await withBroker({ type: 'tcp', host: '::', port: 0 }, async (port, broker) => {
    const socket = await dialTcp(port, '::1');
    assert.equal((await exchange(broker, socket)).address, `[::1]:${socket.localPort}`);
    const mapped = await dialTcp(port);
    assert.equal((await exchange(broker, mapped)).address, `127.0.0.1:${mapped.localPort}`);
  });
});

test('TLS 1.2 and 1.3, and nothing older', { timeout: 20_000 }, async () => {
  await withBroker({ type: 'tls', port: 0, tls: serverTls }, async (port, broker) => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await dialTls(port, { minVersion: version, maxVersion: version });
      assert.equal(socket.getProtocol(), version);
      assert.equal((await exchange(broker, socket)).transport, 'tls');
    }
    const refused = nextEvent(broker, 'turned-away');
    await assert.rejects(
      dialTls(port, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    );
    assert.match((await refused).reason, /TLS handshake/);
  });
});

test('plain MQTT on a TLS port is turned away', { timeout: 20_000 }, async () => {
  await withBroker({ type: 'tls', port: 0, tls: serverTls }, async (port, broker) => {
    const refused = nextEvent(broker, 'turned-away');
    const peer = new MqttPeer(await dialTcp(port));
    assert.equal(await peer.connect('plain'), 'end');
    assert.match((await refused).reason, /TLS handshake/);
  });
});

test('client certificates: required, requested, and of an unknown authority', { timeout: 20_000 }, async () => {
  const ca = certificateFile('ca');
  await withBroker(
    { type: 'tls', port: 0, tls: { ...serverTls, ca, clientCertificate: 'require' } },
    async (port, broker) => {
      const { certificate } = await exchange(broker, await dialTls(port, { client: 'client' }));
      assert.equal(certificate?.commonName, 'device 7');
      assert.equal(certificate?.subject, 'O=Pipit tests,CN=device 7');
      assert.deepEqual(certificate?.alternativeNames, []);
      assert.match(certificate?.fingerprint ?? '', /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
      for (const client of [undefined, 'stranger-client']) {
        assert.equal(await firstOf(await dialTls(port, client === undefined ? {} : { client })), 'end');
      }
    },
  );
  await withBroker(
    { type: 'tls', port: 0, tls: { ...serverTls, ca, clientCertificate: 'request' } },
    async (port, broker) => {
      assert.equal((await exchange(broker, await dialTls(port))).certificate, undefined);
      assert.equal(
        (await exchange(broker, await dialTls(port, { client: 'client' }))).certificate?.commonName,
        'device 7',
      );
      assert.equal(await firstOf(await dialTls(port, { client: 'stranger-client' })), 'end');
    },
  );
});

function firstOf(stream: Duplex): ReturnType<MqttPeer['next']> {
  return new MqttPeer(stream).connect('first');
}

test('WebSocket, plain and in TLS, with each sub-protocol and with none', { timeout: 20_000 }, async () => {
  await withBroker({ type: 'ws', port: 0 }, async (port, broker) => {
    for (const protocol of ['mqtt', 'mqttv3.1.1', 'mqttv3.1']) {
      const { webSocket, stream } = await dialWebSocket(`ws://127.0.0.1:${port}/mqtt?x=1`, ['other', protocol]);
      assert.equal(webSocket.protocol, protocol);
      const peer = await exchange(broker, stream);
      assert.equal(peer.transport, 'ws');
      assert.equal(peer.listener, `ws://127.0.0.1:${port}/mqtt`);
    }
    const { webSocket, stream } = await dialWebSocket(`ws://127.0.0.1:${port}/mqtt`, []);
    assert.equal(webSocket.protocol, '');
    await exchange(broker, stream);
  });
  await withBroker({ type: 'wss', port: 0, path: '/elsewhere', tls: serverTls }, async (port, broker) => {
    const { stream } = await dialWebSocket(`wss://127.0.0.1:${port}/elsewhere`);
    assert.equal((await exchange(broker, stream)).transport, 'wss');
  });
});

test('WebSocket: packets straddle frames, and a flush is one frame', { timeout: 20_000 }, async () => {
  await withBroker({ type: 'ws', port: 0 }, async (port) => {
    const webSocket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, 'mqtt');
    await new Promise((done) => webSocket.once('open', done));
    const frames: Buffer[] = [];
    const subscription = { filter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const subscribe: Packet = { type: PacketType.Subscribe, packetId: 1, subscriptions: [subscription] };
    const bytes = Buffer.concat([
      encodePacket(connectPacket('straddler', 4), 4, 'client'),
      encodePacket(subscribe, 4, 'client'),
      ...[1, 2, 3].map((each) => encodePacket(publishPacket('a', String(each), 0, 0), 4, 'client')),
    ]);
    const three = new Promise<void>((done) => {
      webSocket.on('message', (frame: Buffer) => {
        frames.push(frame);
        if (Buffer.concat(frames).includes('a3')) done();
      });
    });
    for (const at of [0, 5, 21]) webSocket.send(bytes.subarray(at, at === 0 ? 5 : at === 5 ? 21 : undefined));
    await three;
    const all = Buffer.concat(frames).toString('latin1');
    assert.equal(all, '\x20\x02\0\0\x90\x03\0\x01\0\x30\x04\0\x01a1\x30\x04\0\x01a2\x30\x04\0\x01a3');
    const publishes = frames.filter((frame) => frame.includes('a1'));
    assert.ok(publishes[0]?.includes('a3'), 'what one turn delivers is one frame');
    webSocket.terminate();
  });
});

test('WebSocket: text frames are closed with 1003, oversized messages with 1009', { timeout: 20_000 }, async () => {
  await withBroker({ type: 'ws', port: 0 }, async (port, broker) => {
    const refused = nextEvent(broker, 'refused');
    const text = await dialWebSocket(`ws://127.0.0.1:${port}/mqtt`);
    text.webSocket.send('hello');
    assert.equal(await new Promise((done) => text.webSocket.once('close', done)), 1003);
    assert.equal((await refused).reason, 'a text frame on a WebSocket');
    const large = await dialWebSocket(`ws://127.0.0.1:${port}/mqtt`);
    large.stream.on('error', () => {});
    large.webSocket.send(Buffer.alloc(defaultLimits.connectPacketBytesMax + 65_537));
    assert.equal(await new Promise((done) => large.webSocket.once('close', done)), 1009);
  });
});

/** The HTTP status a server answers to a request on a raw socket. */
async function statusOf(port: number, request: string): Promise<string> {
  const socket = await dialTcp(port);
  socket.write(request);
  const [answer] = (await new Promise<Buffer[]>((done) => socket.once('data', (chunk: Buffer) => done([chunk])))) ?? [];
  socket.destroy();
  return answer?.toString().split('\r\n')[0] ?? '';
}

test('WebSocket: other paths, other sub-protocols and plain HTTP are refused in HTTP', {
  timeout: 20_000,
}, async () => {
  const request = (path: string, extra: string): string =>
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${extra}\r\n`;
  await withBroker({ type: 'ws', port: 0, requireSubprotocol: true }, async (port, broker) => {
    const reasons: string[] = [];
    broker.on('turned-away', ({ reason }) => reasons.push(reason));
    assert.match(await statusOf(port, request('/other', 'Sec-WebSocket-Protocol: mqtt\r\n')), / 404 /);
    assert.match(await statusOf(port, request('/mqtt', 'Sec-WebSocket-Protocol: chat, soap\r\n')), / 400 /);
    assert.match(await statusOf(port, request('/mqtt', '')), / 400 /);
    assert.match(await statusOf(port, request('/mqtt', 'Sec-WebSocket-Protocol: mqtt\r\n')), / 101 /);
    assert.match(await statusOf(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), / 426 /);
    assert.match(await statusOf(port, 'nonsense\r\n\r\n'), / 400 /);
    assert.equal(reasons.length, 4, `each reason is told once: ${reasons}`);
  });
});

test('Unix socket: its mode, a stale file, a file in use, a file that is no socket', { timeout: 20_000 }, async () => {
  const path = join(folder, 'broker.sock');
  await withBroker({ type: 'unix', path, mode: 0o660 }, async (_port, broker) => {
    assert.equal(statSync(path).mode & 0o777, 0o660);
    const peer = await exchange(broker, await dialUnix(path));
    assert.deepEqual(peer, { transport: 'unix', address: path, listener: `unix:${path}` });
    await assert.rejects(createBroker({ listeners: [{ type: 'unix', path }] }).start(), {
      name: 'ListenError',
      message: `${path} is already in use.`,
    });
  });
  const stale = join(folder, 'stale.sock');
  const script = `require('node:net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await new Promise((done) => spawn(process.execPath, ['-e', script]).once('exit', done));
  assert.ok(statSync(stale).isSocket());
  await withBroker({ type: 'unix', path: stale }, async (_port, broker) => {
    await exchange(broker, await dialUnix(stale));
  });
  const file = join(folder, 'file');
  writeFileSync(file, 'precious');
  await assert.rejects(createBroker({ listeners: [{ type: 'unix', path: file }] }).start(), {
    message: `${file} exists and is not a socket.`,
  });
});

test('auto tells TLS, WebSocket and MQTT apart, also when the first byte is late', { timeout: 20_000 }, async () => {
  await withBroker({ type: 'auto', port: 0, tls: serverTls }, async (port, broker) => {
    const transports: string[] = [];
    const check = async (stream: Duplex): Promise<void> =>
      void transports.push((await exchange(broker, stream)).transport);
    const other = await dialTcp(port);
    await check(await dialTcp(port));
    await check(await dialTls(port));
    await check((await dialWebSocket(`ws://127.0.0.1:${port}/mqtt`)).stream);
    await check((await dialWebSocket(`wss://127.0.0.1:${port}/mqtt`)).stream);
    // This one was silent while all of them came and went, and then sends its CONNECT byte by byte.
    const connected = nextEvent(broker, 'connected');
    other.setNoDelay(true);
    for (const byte of encodePacket(connectPacket('late', 5), 5, 'client')) {
      await new Promise((done) => other.write(Uint8Array.of(byte), done));
    }
    assert.equal((await connected).peer.transport, 'tcp');
    assert.deepEqual(transports, ['tcp', 'tls', 'ws', 'wss']);
    other.destroy();
  });
});

test('auto works by data events, too', { timeout: 20_000 }, async () => {
  await withBroker(
    { type: 'auto', port: 0 },
    async (port, broker) => {
      assert.equal((await exchange(broker, await dialTcp(port))).transport, 'tcp');
      assert.equal(
        (await exchange(broker, (await dialWebSocket(`ws://127.0.0.1:${port}/mqtt`)).stream)).transport,
        'ws',
      );
    },
    { sharedReads: false },
  );
});

test('auto closes on any other first byte, on TLS without a certificate, and on silence', {
  timeout: 20_000,
}, async () => {
  await withBroker(
    { type: 'auto', port: 0 },
    async (port, broker) => {
      const reasons: string[] = [];
      broker.on('turned-away', ({ reason }) => reasons.push(reason));
      for (const first of [0x30, 0x16]) {
        const socket = await dialTcp(port);
        socket.resume();
        socket.write(Uint8Array.of(first, 0, 0));
        await new Promise((done) =>
          socket
            .once('close', done)
            .once('end', () => socket.end())
            .once('error', () => {}),
        );
      }
      const silent = await dialTcp(port);
      silent.resume();
      await new Promise((done) => silent.once('close', done).once('end', () => silent.end()));
      assert.deepEqual(reasons, ['neither MQTT, TLS nor WebSocket by its first byte', 'no handshake within its time']);
    },
    { limits: { handshakeTimeoutMs: 200 } },
  );
});

test('a TLS and an HTTP handshake that are never finished are dropped', { timeout: 20_000 }, async () => {
  for (const listener of [
    { type: 'tls', port: 0, tls: serverTls },
    { type: 'ws', port: 0 },
    { type: 'auto', port: 0, tls: serverTls },
  ] as const) {
    await withBroker(
      listener,
      async (port, broker) => {
        const refused = nextEvent(broker, 'turned-away');
        const socket = await dialTcp(port);
        socket.resume();
        socket.on('error', () => {});
        socket.write(listener.type === 'ws' ? 'GET /mqtt HTTP/1.1\r\nHost: x\r\n' : Uint8Array.of(0x16, 3, 1));
        await new Promise((done) => socket.once('close', done).once('end', () => socket.end()));
        assert.match((await refused).reason, /no handshake within its time|TLS handshake/);
      },
      { limits: { handshakeTimeoutMs: 200 } },
    );
  }
});

test('beyond connectionsMax a socket is closed at once, before TLS, and counted', { timeout: 20_000 }, async () => {
  const events: AnyEvent[] = [];
  await withBroker(
    { type: 'auto', port: 0, tls: serverTls },
    async (port, broker) => {
      broker.on('turned-away', (event) => events.push(event));
      await exchange(broker, await dialTcp(port));
      // A handshake counts as well.
      const shaking = await dialTcp(port);
      for (let i = 0; i < 3; i++) await assert.rejects(dialTls(port));
      const gone = nextEvent(broker, 'disconnected');
      broker.disconnect('one');
      await gone;
      shaking.destroy();
    },
    { limits: { connectionsMax: 2 } },
  );
  assert.deepEqual(
    events.map((event) => event.type === 'turned-away' && [event.reason, event.count]),
    [
      ['as many connections as allowed are open', 1],
      ['as many connections as allowed are open', 2],
    ],
  );
});

test('a storm of broken connections leaves no room taken', { timeout: 20_000 }, async () => {
  const connectionsMax = 20;
  const openings = [
    '',
    'GET /mqtt HTTP/1.1\r\n',
    'GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n',
    Uint8Array.of(0x16, 3, 1, 0, 200, 1),
    Uint8Array.of(0x10, 0xff),
    encodePacket(connectPacket('storm', 4), 4, 'client'),
    'x',
  ];
  await withBroker(
    { type: 'auto', port: 0, tls: serverTls },
    async (port) => {
      for (let round = 0; round < 10; round++) {
        const sockets = await Promise.all(openings.map(() => dialTcp(port)));
        await Promise.all(
          sockets.map((socket, index) => {
            socket.on('error', () => {});
            socket.write(openings[index] as string);
            const closed = new Promise((done) => socket.once('close', done));
            if (round % 3 === 0) socket.resetAndDestroy();
            else if (round % 3 === 1) socket.destroy();
            else
              socket
                .resume()
                .end()
                .once('end', () => socket.destroy());
            return closed;
          }),
        );
      }
      const peers: MqttPeer[] = [];
      while (peers.length < connectionsMax) {
        const peer = new MqttPeer(await dialTcp(port), 4);
        // The last ones of the storm may be on their way out still.
        if ((await peer.connect(`after ${peers.length}`)) !== 'end') peers.push(peer);
      }
      assert.equal(await new MqttPeer(await dialTcp(port), 4).connect('one too many'), 'end');
    },
    { limits: { connectionsMax } },
  );
});

test('what cannot be opened is one sentence', { timeout: 20_000 }, async () => {
  const taken = createServer();
  await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done));
  const { port } = taken.address() as { port: number };
  const unreadable = join(folder, 'unreadable.pem');
  writeFileSync(unreadable, 'no certificate');
  chmodSync(unreadable, 0o600);
  const key = serverTls.key;
  const cases: [ListenerOptions, RegExp][] = [
    [{ type: 'tcp', port }, new RegExp(`^127\\.0\\.0\\.1:${port} is already in use\\.$`)],
    [{ type: 'tcp', host: '192.0.2.1', port: 0 }, /^192\.0\.2\.1:0 is not an address of this machine\.$/],
    [{ type: 'tcp', port: 70_000 }, /^127\.0\.0\.1:70000 is not a port: it has to be 0 to 65535\.$/],
    [{ type: 'unix', path: join(folder, 'no', 'where') }, /where lies in a folder that does not exist\.$/],
    [
      { type: 'tls', port: 0, tls: { cert: '/no/cert.pem', key } },
      /^The certificate \/no\/cert\.pem cannot be read: there is no such file\.$/,
    ],
    [{ type: 'tls', port: 0, tls: { cert: unreadable, key } }, /unreadable\.pem is not a PEM certificate: .+\.$/],
    [
      { type: 'tls', port: 0, tls: { cert: serverTls.cert, key: folder } },
      /^The private key .+ cannot be read: it is a folder\.$/,
    ],
    [
      { type: 'wss', port: 0, tls: { cert: serverTls.cert, key: certificateFile('client-key') } },
      /does not belong to the certificate/,
    ],
    [
      { type: 'auto', port: 0, tls: { ...serverTls, ca: unreadable } },
      /^The certificate authority .+ is not a PEM certificate/,
    ],
    [
      { type: 'tls', port: 0, tls: { ...serverTls, ciphers: 'none-such' } },
      /^The TLS settings of mqtts:.+ cannot be used: .+\.$/,
    ],
  ];
  for (const [listener, message] of cases) {
    const broker = createBroker({ listeners: [{ type: 'tcp', port: 0 }, listener] });
    await assert.rejects(broker.start(), (error: Error) => {
      assert.ok(error instanceof ListenError, String(error));
      assert.match(error.message, message);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
    assert.equal(broker.listeners.length, 0, 'the other listener is closed again');
  }
  taken.close();
});

test('stop says 0x8B to everybody, closes the ports and resolves', { timeout: 20_000 }, async () => {
  const broker = createBroker({
    listeners: [
      { type: 'tcp', port: 0 },
      { type: 'ws', port: 0 },
      { type: 'tls', port: 0, tls: serverTls },
    ],
  });
  await broker.start();
  const [tcp, ws, tls] = broker.listeners.map(({ port }) => port ?? 0) as [number, number, number];
  const streams = [await dialTcp(tcp), (await dialWebSocket(`ws://127.0.0.1:${ws}/mqtt`)).stream, await dialTls(tls)];
  const peers = streams.map((stream) => new MqttPeer(stream));
  for (const [index, peer] of peers.entries()) await peer.connect(`client ${index}`);
  // Neither a handshake under way nor a peer that never answers may hold it up.
  const shaking = await dialTcp(tls);
  shaking.on('error', () => {});
  const stopped = broker.stop();
  for (const peer of peers) {
    const packet = await peer.next();
    assert.ok(packet !== 'end' && packet.type === PacketType.Disconnect && packet.reasonCode === 0x8b);
    assert.equal(await peer.next(), 'end');
  }
  await stopped;
  await assert.rejects(dialTcp(tcp));
  assert.equal(broker.stop(), broker.stop());
});
