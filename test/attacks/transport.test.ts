/** Attacks on what carries MQTT: TLS handshakes, the PROXY protocol, HTTP upgrades and WebSocket frames, and the HTTP API. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { openAdmin } from '@pipit/broker';
import { encodePacket } from '@pipit/protocol';
import { type Arena, Attacker, connectPacket, underAttack } from './arena.ts';

const timeout = { timeout: 120_000 };
const shortDeadlines = { limits: { handshakeTimeoutMs: 500, connectTimeoutMs: 500 } };

function times<Value>(count: number, make: (at: number) => Promise<Value>): Promise<Value[]> {
  return Promise.all(Array.from({ length: count }, (_, at) => make(at)));
}

function dial(port: number): Attacker {
  return new Attacker(connect({ port, host: '127.0.0.1', noDelay: true }));
}

async function allClosed(arena: Arena, attackers: readonly Attacker[], what: string): Promise<void> {
  await arena.until(`${what}: all are closed`, () => attackers.every(({ isClosed }) => isClosed));
}

/** A record of TLS 1.0 with so many bytes of a handshake message that says it is as long. */
function clientHello(length: number, sent: number): Buffer {
  const head = Buffer.from([0x16, 3, 1, length >> 8, length & 255, 1, 0, (length - 4) >> 8, (length - 4) & 255, 3, 3]);
  return Buffer.concat([head, randomBytes(Math.max(0, sent - 6))]);
}

test(
  'TLS handshakes that are half, garbage, plain text or never begun end by themselves or at their deadline',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      const openings: readonly (readonly [string, Buffer])[] = [
        ['nothing', Buffer.alloc(0)],
        ['one byte', Buffer.from([0x16])],
        ['half a ClientHello', clientHello(512, 100)],
        ['a ClientHello of noise', clientHello(512, 512)],
        ['a record of 64 kB', clientHello(65_535, 20_000)],
        ['an alert', Buffer.from([0x15, 3, 3, 0, 2, 2, 40])],
        ['plain MQTT', Buffer.from(encodePacket(connectPacket({ clientId: 'plain' }), 5, 'client'))],
        ['noise', randomBytes(4_096)],
      ];
      for (const [name, bytes] of openings) {
        const attackers = await times(40, async () => {
          const attacker = dial(arena.tlsPort);
          await attacker.write(bytes);
          return attacker;
        });
        await allClosed(arena, attackers, name);
      }
      assert.equal(arena.broker.inspection.totals().connections, 2);
      assert.ok((arena.broker.metrics.limitsReached.get('handshakeTimeoutMs') ?? 0) >= 120);
    }, shortDeadlines);
  },
);

test('thousands of TLS handshakes held half-open at once, and a client that comes meanwhile', timeout, async () => {
  await underAttack(
    async (arena) => {
      const halves: Attacker[] = [];
      for (let round = 0; round < 20; round++) {
        const some = await times(100, async () => {
          const attacker = dial(arena.tlsPort);
          await attacker.write(clientHello(512, 100));
          return attacker;
        });
        halves.push(...some);
      }
      const { socket, attacker } = await overTls(arena, {});
      await attacker.send(connectPacket({ clientId: 'meanwhile' }));
      await arena.until('it is let in', () => attacker.receivedBytes > 0);
      socket.destroy();
      for (const { socket: half } of halves) half.destroy();
    },
    { limits: { handshakeTimeoutMs: 30_000 } },
  );
});

async function overTls(arena: Arena, options: object): Promise<{ socket: TLSSocket; attacker: Attacker }> {
  const socket = connectTls({ port: arena.tlsPort, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  return { socket, attacker: new Attacker(socket) };
}

test('TLS 1.2 clients that shake hands again and again are not followed', timeout, async () => {
  await underAttack(async (arena) => {
    const { socket, attacker } = await overTls(arena, { maxVersion: 'TLSv1.2' });
    await attacker.send(connectPacket({ clientId: 'again' }));
    await arena.until('it is let in', () => attacker.receivedBytes > 0);
    let followed = 0;
    for (let at = 0; at < 20 && !attacker.isClosed; at++) {
      await new Promise<void>((done) => {
        const isAsked = socket.renegotiate({ rejectUnauthorized: false }, (error) => {
          if (error === null) followed++;
          done();
        });
        if (!isAsked) done();
        setTimeout(done, 50);
      });
    }
    assert.equal(followed, 0);
    socket.destroy();
  });
});

test('headers of the PROXY protocol that lie, do not end, or come byte by byte', timeout, async () => {
  await underAttack(async (arena) => {
    const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
    const binary = (rest: string, body = Buffer.alloc(0)): Buffer =>
      Buffer.concat([signature, Buffer.from(rest, 'hex'), body]);
    const headers: readonly (readonly [string, Buffer])[] = [
      ['none', Buffer.from(encodePacket(connectPacket({ clientId: 'bare' }), 5, 'client'))],
      ['no end', Buffer.from(`PROXY TCP4 ${'1'.repeat(500)}`)],
      ['no address', Buffer.from('PROXY TCP4 a b 1 2\r\n')],
      ['another family', Buffer.from('PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n')],
      ['ports that are none', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 99999 -1\r\n')],
      ['64 kB of TLVs', binary('2111ffff', Buffer.alloc(60_000))],
      ['an address that is not there', binary('21110002', Buffer.alloc(2))],
      ['version 3', binary('3111000c', Buffer.alloc(12))],
      ['a command that is none', binary('2f11000c', Buffer.alloc(12))],
      ['half a signature', signature.subarray(0, 6)],
      ['noise', randomBytes(300)],
      ['nothing', Buffer.alloc(0)],
    ];
    for (const [name, bytes] of headers) {
      const attackers = await times(20, async () => {
        const attacker = dial(arena.proxiedPort);
        await attacker.write(bytes);
        return attacker;
      });
      await allClosed(arena, attackers, name);
    }
    const line = Buffer.from(`PROXY TCP4 203.0.113.7 203.0.113.7 1 2`);
    const slow = await times(20, async () => dial(arena.proxiedPort));
    for (let at = 0; at < 200 && slow.some(({ isClosed }) => !isClosed); at++) {
      await Promise.all(slow.map((each) => each.write(line.subarray(at % line.length, (at % line.length) + 1))));
      await new Promise((done) => setTimeout(done, 15));
    }
    await allClosed(arena, slow, 'byte by byte');
    assert.equal(arena.broker.inspection.totals().connections, 2);
  }, shortDeadlines);
});

test(
  'HTTP that floods: headers without end, many requests, other methods, bodies, foreign upgrades',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      const floods: readonly (readonly [string, () => string])[] = [
        ['headers', () => `GET /mqtt HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(5_000)}`],
        ['one header', () => `GET /mqtt HTTP/1.1\r\nHost: x\r\na: ${'b'.repeat(200_000)}\r\n\r\n`],
        ['a path', () => `GET /${'a'.repeat(200_000)} HTTP/1.1\r\n\r\n`],
        ['a body', () => `POST /mqtt HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n${'x'.repeat(100_000)}`],
        [
          'chunks',
          () => `POST /mqtt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(10_000)}`,
        ],
        ['requests', () => 'GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2_000)],
        ['another upgrade', () => 'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'],
        [
          'sub-protocols',
          () => `GET /mqtt HTTP/1.1\r\nHost: x\r\n${upgrade}Sec-WebSocket-Protocol: ${'a,'.repeat(5_000)}mqtt\r\n\r\n`,
        ],
      ];
      for (const [name, flood] of floods) {
        const attackers = await times(20, async () => {
          const attacker = dial(arena.webSocketPort);
          await attacker.write(flood());
          return attacker;
        });
        await allClosed(arena, attackers, name);
      }
      assert.equal(arena.broker.inspection.totals().connections, 2);
    }, shortDeadlines);
  },
);

const upgrade =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** A WebSocket with MQTT in it, `extensions` asked for. */
async function overWebSocket(arena: Arena, clientId: string | null, extensions = ''): Promise<Attacker> {
  const attacker = dial(arena.webSocketPort);
  let answer = '';
  attacker.socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
  });
  const asked = extensions === '' ? '' : `Sec-WebSocket-Extensions: ${extensions}\r\n`;
  await attacker.write(`GET /mqtt HTTP/1.1\r\nHost: x\r\n${upgrade}${asked}Sec-WebSocket-Protocol: mqtt\r\n\r\n`);
  await arena.until('the handshake is answered', () => answer.includes('\r\n\r\n'));
  assert.match(answer, /^HTTP\/1.1 101 /);
  assert.doesNotMatch(answer, /sec-websocket-extensions/i, 'nothing is compressed');
  if (clientId === null) return attacker;
  const before = attacker.receivedBytes;
  await attacker.write(frame(0x82, Buffer.from(encodePacket(connectPacket({ clientId }), 5, 'client'))));
  await arena.until('it is let in', () => attacker.receivedBytes > before);
  return attacker;
}

/** A masked frame; `declared`: how long it says it is. */
function frame(first: number, payload: Buffer, declared = payload.length): Buffer {
  const mask = Buffer.from([1, 2, 3, 4]);
  const head = declared < 126 ? Buffer.from([first, 0x80 | declared]) : Buffer.alloc(10);
  if (declared >= 126) {
    head.writeUInt16BE((first << 8) | 0xff);
    head.writeBigUInt64BE(BigInt(declared), 2);
  }
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ (mask[at & 3] as number))]);
}

test(
  'fragments of one byte or none, before CONNECT and after it, take no more than what they carry',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      for (const clientId of [null, 'fragments']) {
        const attackers = await times(5, (at) => overWebSocket(arena, clientId && `${clientId}-${at}`));
        for (const [name, payload] of [
          ['one byte', Buffer.from([0x30])],
          ['none', Buffer.alloc(0)],
        ] as const) {
          const before = process.memoryUsage();
          const fragments = Buffer.concat(Array.from({ length: 10_000 }, () => frame(0x00, payload)));
          for (const each of attackers) {
            await each.write(frame(0x02, payload));
            for (let at = 0; at < 40 && !each.isClosed; at++) await each.write(fragments);
          }
          const { arrayBuffers, heapUsed } = process.memoryUsage();
          const grown = arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed;
          // 400,000 fragments each: as buffers of their own they would be 200 MB.
          assert.ok(grown < 150 * 1024 * 1024, `${name}: ${grown} bytes`);
        }
        await allClosed(arena, attackers, 'fragments without end');
      }
    });
  },
);

test(
  'frames that announce what never comes, pings and closes by the thousand, and compression that was not agreed upon',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      const announced = await times(50, (at) => overWebSocket(arena, `announced-${at}`));
      const before = process.memoryUsage().arrayBuffers;
      await Promise.all(announced.map((each) => each.write(frame(0x82, Buffer.alloc(100), 16 * 1024 * 1024))));
      const pinging = await times(10, (at) => overWebSocket(arena, `pinging-${at}`));
      const pings = Buffer.concat(Array.from({ length: 5_000 }, () => frame(0x89, Buffer.alloc(125))));
      for (const { socket } of pinging) socket.pause();
      for (let round = 0; round < 5; round++)
        await Promise.race([Promise.all(pinging.map((each) => each.write(pings))), patience()]);
      const grown = process.memoryUsage().arrayBuffers - before;
      assert.ok(grown < 64 * 1024 * 1024, `${grown} bytes`);
      for (const each of [...announced, ...pinging]) each.socket.destroy();
      const tooLong = await times(10, (at) => overWebSocket(arena, `long-${at}`));
      await Promise.all(tooLong.map((each) => each.write(frame(0x82, Buffer.alloc(100), 2 ** 40))));
      await allClosed(arena, tooLong, 'a terabyte in a frame');
      const bomb = Buffer.concat(
        Array.from({ length: 1_000 }, () => Buffer.from('ecc1010d000000c2a0f74f6d0e370000', 'hex')),
      );
      const compressed = await times(10, (at) => overWebSocket(arena, `bomb-${at}`, 'permessage-deflate'));
      await Promise.all(compressed.map((each) => each.write(frame(0xc2, bomb))));
      await allClosed(arena, compressed, 'compressed frames');
      for (let round = 0; round < 10; round++) {
        const closing = await times(20, (at) => overWebSocket(arena, at % 2 === 0 ? `closing-${at}` : null));
        await Promise.all(
          closing.map((each) =>
            each.write(Buffer.concat(Array.from({ length: 50 }, () => frame(0x88, Buffer.from([3, 232]))))),
          ),
        );
        await allClosed(arena, closing, 'close frames');
      }
    });
  },
);

function patience(): Promise<void> {
  return new Promise((done) => setTimeout(done, 300));
}

test(
  'the HTTP API: strangers with large, slow, deep and many requests take nothing from the broker',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      const admin = await openAdmin(arena.broker, { port: 0, tokensFile: null });
      const port = Number(new URL(admin.url).port);
      const token = admin.newTokens.find(({ right }) => right === 'write')?.token ?? '';
      const head = (rest: string): string => `POST /api/v1/publish HTTP/1.1\r\nHost: 127.0.0.1\r\n${rest}`;
      const own = `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
      try {
        const strangers: readonly (readonly [string, string])[] = [
          ['a body of 100 MB', head(`Content-Length: 100000000\r\n\r\n${'x'.repeat(200_000)}`)],
          ['headers without end', head('a: b\r\n'.repeat(10_000))],
          ['a token of 200 kB', head(`Authorization: Bearer ${'x'.repeat(200_000)}\r\n\r\n`)],
          ['a body of 100 MB with a token', head(`${own}Content-Length: 100000000\r\n\r\n${'x'.repeat(2_000_000)}`)],
        ];
        for (const [name, bytes] of strangers) {
          const attackers = await times(20, async () => {
            const attacker = dial(port);
            await attacker.write(bytes);
            return attacker;
          });
          await arena.until(`${name}: each is answered or closed`, () =>
            attackers.every(({ isClosed, receivedBytes }) => isClosed || receivedBytes > 0),
          );
          for (const { socket } of attackers) socket.destroy();
        }
        const deep = `{"topic":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
        const keys = `{${Array.from({ length: 5_000 }, (_, at) => `"k${at}":1`).join(',')}}`;
        for (const body of [deep, keys, '{', '', '"__proto__"', '{"__proto__":{"topic":"t"}}']) {
          const response = await fetch(`${admin.url}/api/v1/publish`, {
            method: 'POST',
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            body,
          });
          assert.equal(Math.floor(response.status / 100), 4, `${body.slice(0, 20)}: ${response.status}`);
        }
        // Sockets that say nothing are at most as many as there may be, and go.
        const silent = await times(300, async () => dial(port));
        await arena.until(
          'those beyond the limit are closed',
          () => silent.filter(({ isClosed }) => !isClosed).length <= 128,
        );
        for (const { socket } of silent) socket.destroy();
        const answer = await fetch(`${admin.url}/health/live`, { headers: { authorization: `Bearer ${token}` } });
        assert.ok(answer.status < 500);
      } finally {
        await admin.close();
      }
    });
  },
);
