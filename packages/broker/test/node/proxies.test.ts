/** Whom proxies speak for: by the PROXY protocol on every transport, by X-Forwarded-For; and which web pages may connect. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { PacketType } from '@pipit/protocol';
import { createWebSocketStream, WebSocket } from 'ws';
import { type AnyEvent, type Broker, Counter, type ListenerOptions } from '../../src/index.ts';
import { certificateFile, dialTcp, serverTls } from './dial.ts';
import { connectPacket, MqttPeer } from './mqtt-peer.ts';
import { nextEvent, withBroker } from './running-broker.ts';

const timeout = { timeout: 20_000 };
const here = ['127.0.0.1'];
const header = 'PROXY TCP4 203.0.113.9 198.51.100.1 50123 1883\r\n';
const forwarded = '203.0.113.9:50123';

/** The address the broker saw, of a client that connects over this stream. */
async function seenBy(broker: Broker, peer: MqttPeer): Promise<string> {
  const connected = nextEvent(broker, 'connected');
  const connack = await peer.connect('one');
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack && connack.reasonCode === 0);
  return (await connected).peer.address;
}

function secure(socket: Socket): Promise<MqttPeer> {
  const options: ConnectionOptions = { socket, servername: 'localhost', ca: readFileSync(certificateFile('ca')) };
  const secured = connectTls(options);
  return new Promise((done, failed) => {
    secured.once('secureConnect', () => done(new MqttPeer(secured)));
    secured.once('error', failed);
  });
}

/** A WebSocket over a connection that is there, on which a proxy's header was sent. */
function upgrade(socket: Socket, url: string, headers: Record<string, string> = {}): Promise<MqttPeer> {
  const webSocket = new WebSocket(url, 'mqtt', { createConnection: () => socket, headers });
  const stream = createWebSocketStream(webSocket);
  stream.on('error', () => {});
  return new Promise((done, failed) => {
    webSocket.once('open', () => done(new MqttPeer(stream)));
    webSocket.once('error', failed);
  });
}

test(
  'the PROXY protocol names the client on every transport, in one piece with what follows and in bits',
  timeout,
  async () => {
    const transports: readonly [ListenerOptions, (socket: Socket, port: number) => Promise<MqttPeer>][] = [
      [{ type: 'tcp', port: 0, proxyProtocol: here }, async (socket) => new MqttPeer(socket)],
      [{ type: 'auto', port: 0, proxyProtocol: here }, async (socket) => new MqttPeer(socket)],
      [{ type: 'tls', port: 0, tls: serverTls, proxyProtocol: here }, secure],
      [{ type: 'auto', port: 0, tls: serverTls, proxyProtocol: here }, secure],
      [{ type: 'ws', port: 0, proxyProtocol: here }, (socket, port) => upgrade(socket, `ws://127.0.0.1:${port}/mqtt`)],
      [
        { type: 'auto', port: 0, proxyProtocol: here },
        (socket, port) => upgrade(socket, `ws://127.0.0.1:${port}/mqtt`),
      ],
    ];
    for (const [listener, overIt] of transports) {
      await withBroker(listener, async (port, broker) => {
        const socket = await dialTcp(port);
        socket.write(header);
        assert.equal(await seenBy(broker, await overIt(socket, port)), forwarded, listener.type);
        socket.destroy();
        const slow = await dialTcp(port);
        slow.setNoDelay(true);
        for (const byte of header.slice(0, -1)) {
          slow.write(byte);
          await new Promise((done) => setImmediate(done));
        }
        slow.write('\n');
        assert.equal(await seenBy(broker, await overIt(slow, port)), forwarded, `${listener.type} in bits`);
        slow.destroy();
      });
    }
  },
);

test('a header and CONNECT in one chunk; version 2; LOCAL speaks for the proxy itself', timeout, async () => {
  await withBroker({ type: 'tcp', port: 0, proxyProtocol: here }, async (port, broker) => {
    const { encodePacket } = await import('@pipit/protocol');
    const connect = encodePacket(connectPacket('one', 5), 5, 'client');
    const binary = (rest: string): Buffer => Buffer.from(`0d0a0d0a000d0a515549540a${rest}`, 'hex');
    const version2 = binary('2111000c' + 'cb007109' + 'c6336401' + 'c3cb' + '075b');
    for (const [head, address] of [
      [Buffer.from(header), forwarded],
      [version2, forwarded],
      [binary('20000000'), null],
    ] as const) {
      const socket = await dialTcp(port);
      const connected = nextEvent(broker, 'connected');
      socket.write(Buffer.concat([head, connect]));
      assert.equal((await connected).peer.address, address ?? `127.0.0.1:${socket.localPort}`);
      socket.destroy();
    }
  });
});

test('garbage, silence, and who is no trusted proxy are refused', timeout, async () => {
  const reasons: string[] = [];
  const gone = async (port: number, bytes: string): Promise<void> => {
    const socket = await dialTcp(port);
    socket.on('error', () => {});
    socket.resume();
    socket.write(bytes);
    await new Promise((done) => socket.once('close', done).once('end', () => socket.end()));
  };
  const note = (broker: Broker): unknown => broker.on('turned-away', ({ reason }) => reasons.push(reason));
  await withBroker(
    { type: 'tcp', port: 0, proxyProtocol: here },
    async (port, broker) => {
      note(broker);
      await gone(port, '\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00');
      await gone(port, 'PROXY TCP4 203.0.113.9');
    },
    { limits: { handshakeTimeoutMs: 200 } },
  );
  await withBroker({ type: 'tcp', port: 0, proxyProtocol: ['192.0.2.0/24'] }, async (port, broker) => {
    note(broker);
    await gone(port, header);
    assert.equal(broker.metrics.get(Counter.ConnectionsOpened), 0);
  });
  assert.deepEqual(reasons, [
    'no PROXY protocol header',
    'no handshake within its time',
    'not a proxy that is trusted here',
  ]);
});

test('limits and bans are about the client behind the proxy, not the proxy', timeout, async () => {
  await withBroker(
    { type: 'tcp', port: 0, proxyProtocol: here },
    async (port, broker) => {
      const comeFrom = async (address: string): Promise<MqttPeer> => {
        const socket = await dialTcp(port);
        socket.write(`PROXY TCP4 ${address} 198.51.100.1 50123 1883\r\n`);
        return new MqttPeer(socket);
      };
      const first = await comeFrom('203.0.113.9');
      assert.notEqual(await first.connect('a'), 'end');
      assert.equal(await (await comeFrom('203.0.113.9')).connect('b'), 'end');
      assert.notEqual(await (await comeFrom('203.0.113.8')).connect('c'), 'end');
      assert.equal(broker.metrics.limitsReached.get('connectionsPerAddressMax'), 1);
      const left = nextEvent(broker, 'disconnected');
      first.stream.end();
      await left;
      // The link is gone a moment later than the connection.
      let again = await (await comeFrom('203.0.113.9')).connect('d');
      while (again === 'end') again = await (await comeFrom('203.0.113.9')).connect('d');
      await broker.ban({ type: 'address', value: '203.0.113.8' });
      assert.equal(await (await comeFrom('203.0.113.8')).connect('c'), 'end');
      const sooner = await (await comeFrom('203.0.113.7')).connect('e');
      assert.notEqual(sooner, 'end');
    },
    { limits: { connectionsPerAddressMax: 1 } },
  );
});

test('X-Forwarded-For is believed of trusted proxies only, and of them the last that is none', timeout, async () => {
  const cases: readonly [readonly string[], Record<string, string>, string | null][] = [
    [here, { 'x-forwarded-for': '203.0.113.9' }, '203.0.113.9:0'],
    [here, { 'x-forwarded-for': '198.51.100.66, 203.0.113.9, 127.0.0.1' }, '203.0.113.9:0'],
    [here, { 'x-forwarded-for': 'nonsense, 203.0.113.9:777' }, '203.0.113.9:777'],
    [here, { 'x-forwarded-for': '[2001:db8::1]:5' }, '[2001:db8::1]:5'],
    [here, {}, null],
    [['192.0.2.1'], { 'x-forwarded-for': '203.0.113.9' }, null],
  ];
  for (const [forwardedFor, headers, address] of cases) {
    await withBroker({ type: 'ws', port: 0, forwardedFor }, async (port, broker) => {
      const socket = await dialTcp(port);
      const peer = await upgrade(socket, `ws://127.0.0.1:${port}/mqtt`, headers);
      assert.equal(await seenBy(broker, peer), address ?? `127.0.0.1:${socket.localPort}`);
    });
  }
  await withBroker({ type: 'ws', port: 0, forwardedFor: here }, async (port, broker) => {
    const url = `ws://127.0.0.1:${port}/mqtt`;
    await assert.rejects(upgrade(await dialTcp(port), url, { 'x-forwarded-for': 'nonsense' }), /400/);
    await broker.ban({ type: 'address', value: '203.0.113.9' });
    await assert.rejects(upgrade(await dialTcp(port), url, { 'x-forwarded-for': '203.0.113.9' }), /403/);
    await upgrade(await dialTcp(port), url, { 'x-forwarded-for': '203.0.113.8' });
  });
});

/** What a handshake is answered that a page of this origin makes, or a program. */
function status(port: number, origin: string | undefined, host: string): Promise<number> {
  return new Promise((done, failed) => {
    const headers = {
      host: `${host}:${port}`,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-protocol': 'mqtt',
      ...(origin !== undefined && { origin }),
    };
    const asked = request({ port, host: '127.0.0.1', path: '/mqtt', headers });
    asked.on('upgrade', (_, socket) => {
      socket.destroy();
      done(101);
    });
    asked.on('response', (response) => done(response.statusCode ?? 0));
    asked.on('error', failed);
    asked.end();
  });
}

test('a web page connects where its origin is allowed; programs name none and always do', timeout, async () => {
  const events: AnyEvent[] = [];
  const rows: readonly [ListenerOptions, readonly (readonly [string | undefined, number])[]][] = [
    [
      { type: 'ws', port: 0 },
      [
        [undefined, 101],
        ['http://localhost:3000', 101],
        ['http://127.0.0.1:8080', 101],
        ['http://[::1]:8080', 101],
        ['https://evil.example', 403],
        ['http://localhost.evil.example', 403],
        // The host by which a page's name may have been made to point here.
        ['http://broker.example', 403],
        ['null', 403],
        ['', 403],
      ],
    ],
    [
      { type: 'ws', port: 0, host: '0.0.0.0' },
      [
        [undefined, 101],
        ['https://app.example', 101],
        ['null', 101],
      ],
    ],
    [
      { type: 'ws', port: 0, origins: ['https://app.example', 'HTTP://B.example:8080'] },
      [
        [undefined, 101],
        ['https://app.example', 101],
        ['http://b.example:8080', 101],
        ['http://app.example', 403],
        ['https://app.example:444', 403],
        ['http://localhost', 403],
      ],
    ],
    [{ type: 'ws', port: 0, origins: ['*'] }, [['https://evil.example', 101]]],
    [{ type: 'ws', port: 0, forwardedFor: here }, [['https://app.example', 101]]],
  ];
  for (const [listener, origins] of rows) {
    await withBroker(listener, async (port, broker) => {
      broker.on('turned-away', (event) => events.push(event));
      for (const [origin, expected] of origins) {
        assert.equal(
          await status(port, origin, 'broker.example'),
          expected,
          `${origin} at ${JSON.stringify(listener)}`,
        );
      }
    });
  }
  const told = events.map((event) => event.type === 'turned-away' && event.reason);
  assert.deepEqual(new Set(told), new Set(['a web page that is not among the origins allowed here']));
});
