/** Attacks before CONNACK: floods of connections, good, bad and half-open; slow ones; declared lengths; frames of WebSocket. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Counter } from '@pipit/broker';
import { PacketType } from '@pipit/protocol';
import { type Arena, Attacker, connectPacket, underAttack } from './arena.ts';

const timeout = { timeout: 60_000 };
const shortDeadlines = { limits: { handshakeTimeoutMs: 500, connectTimeoutMs: 500 } };

function times<Value>(count: number, make: (at: number) => Promise<Value>): Promise<Value[]> {
  return Promise.all(Array.from({ length: count }, (_, at) => make(at)));
}

/** In batches, so that the attacker's own sockets are not what breaks. */
async function flood(count: number, once: (at: number) => Promise<void>): Promise<void> {
  for (let at = 0; at < count; at += 50) await times(50, (i) => once(at + i));
}

test(
  'a flood of good connections from one address ends at its limits, and never takes the place of others',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      const { broker, limits } = arena;
      let most = 0;
      await flood(1_500, async (at) => {
        await arena.client({ clientId: `flood-${at}` });
        most = Math.max(most, broker.inspection.totals().connections);
      });
      assert.ok(most <= limits.connectionsPerAddressMax + 2, `${most} connections`);
      const { limitsReached } = broker.metrics;
      const refused = (): number =>
        (limitsReached.get('connectionsPerAddressMax') ?? 0) +
        (limitsReached.get('acceptsPerSecondPerAddressMax') ?? 0);
      await arena.until('the others are turned away', () => refused() === 1_500 - limits.connectionsPerAddressMax);
      // Somebody at another address is let in at once.
      const other = await arena.client({ clientId: 'other' }, '198.51.100.7');
      await arena.until('another address is let in', () => other.receivedBytes > 0);
    });
  },
);

test('a flood from a whole IPv6 network is one from one address', timeout, async () => {
  await underAttack(async (arena) => {
    await flood(600, async (at) => {
      await arena.client({ clientId: `flood-${at}` }, `2001:db8:0:1::${at.toString(16)}`);
    });
    assert.ok(arena.broker.inspection.totals().connections <= arena.limits.connectionsPerAddressMax + 2);
  });
});

test('a flood of connections that open and close leaves nothing behind', timeout, async () => {
  await underAttack(async (arena) => {
    await flood(1_500, async (at) => {
      const attacker = await arena.client({ clientId: `flood-${at % 7}` }, `198.51.${at >> 8}.${at & 255}`);
      attacker.socket.destroy();
    });
    await arena.until('all are gone', () => arena.broker.inspection.totals().connections === 2);
  });
});

test('a flood of bad CONNECTs, strangers and noise makes no session', timeout, async () => {
  const refuseHostile = {
    authenticate: ({ clientId }: { clientId: string }) =>
      clientId.startsWith('honest')
        ? ({ outcome: 'accept', principal: null } as const)
        : ({ outcome: 'refuse', reasonCode: 0x86 } as const),
  };
  await underAttack(
    async (arena) => {
      await flood(1_500, async (at) => {
        const attacker = await arena.dial(`198.51.${at >> 8}.${at & 255}`);
        if (at % 3 === 0) await attacker.write(randomBytes(64));
        else if (at % 3 === 1) await attacker.write('GET / HTTP/1.1\r\n\r\n');
        else await attacker.send(connectPacket({ clientId: `bad-${at}`, username: 'u', password: new Uint8Array(9) }));
      });
      await arena.until('all are refused', () => arena.broker.inspection.totals().connections === 2);
      assert.equal(arena.broker.inspection.totals().sessions, 2);
      assert.equal(arena.broker.metrics.get(Counter.SessionsCreated), 2);
    },
    { authority: refuseHostile, ...shortDeadlines },
  );
});

test(
  'half-open connections and slow CONNECTs end at their deadline, however many bytes trickle in',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      const silent = await times(150, (at) => arena.dial(`198.51.100.${at}`));
      const slow = await times(50, (at) => arena.dial(`198.51.101.${at}`));
      const connect = Buffer.concat([Buffer.from([0x10, 0x7f]), Buffer.alloc(0x7f)]);
      for (let at = 0; at < connect.length && slow.some(({ isClosed }) => !isClosed); at++) {
        await Promise.all(slow.map((each) => each.write(connect.subarray(at, at + 1))));
        await new Promise((done) => setTimeout(done, 15));
      }
      await arena.until('all are closed', () => [...silent, ...slow].every(({ isClosed }) => isClosed));
      assert.equal(arena.broker.metrics.limitsReached.get('connectTimeoutMs'), 200);
    }, shortDeadlines);
  },
);

test('proxies and WebSockets that never finish their handshake end at their deadline', timeout, async () => {
  await underAttack(async (arena) => {
    const halves = await times(100, async () => {
      const half = new Attacker(connect({ port: arena.webSocketPort, host: '127.0.0.1' }));
      await half.write('GET /mqtt HTTP/1.1\r\nHost: x\r\n');
      return half;
    });
    await arena.until('all are closed', () => halves.every(({ isClosed }) => isClosed));
    assert.equal(arena.broker.metrics.limitsReached.get('handshakeTimeoutMs'), 100);
  }, shortDeadlines);
});

test(
  'declared lengths allocate nothing: 256 MB before CONNECT are refused, 16 MB after it cost what has come',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      const early = await times(100, (at) => arena.dial(`198.51.100.${at}`));
      await Promise.all(early.map((each) => each.write(Buffer.from('10ffffff7f', 'hex'))));
      await arena.until('all are refused', () => early.every(({ isClosed }) => isClosed));
      assert.equal(arena.broker.metrics.limitsReached.get('connectPacketBytesMax'), 100);
      const late = await times(100, (at) => arena.client({ clientId: `l${at}` }, `198.51.101.${at}`));
      await arena.until('all are connected', () => late.every(({ receivedBytes }) => receivedBytes > 0));
      const before = process.memoryUsage().arrayBuffers;
      // 16,777,211 bytes of PUBLISH are announced, a hundred come.
      const start = Buffer.concat([Buffer.from('30fbffff07', 'hex'), Buffer.from([0, 1, 0x74]), Buffer.alloc(100)]);
      await Promise.all(late.map((each) => each.write(start)));
      await settle(arena);
      const grown = process.memoryUsage().arrayBuffers - before;
      assert.ok(grown < 100 * 64 * 1024, `${grown} bytes for a hundred packets that were only announced`);
      assert.ok(late.every(({ isClosed }) => !isClosed));
    });
  },
);

/** Enough of the honest pair's messages that whatever came before has been read. */
async function settle({ broker, until }: Arena): Promise<void> {
  const from = broker.metrics.packetsReceived(PacketType.Publish);
  await until('the broker has read on', () => broker.metrics.packetsReceived(PacketType.Publish) > from + 100);
}

test('abuse of WebSocket frames ends the connection it comes by, and nothing else', timeout, async () => {
  const frame = (first: number, length: number, payload: Buffer): Buffer => {
    const mask = Buffer.from([1, 2, 3, 4]);
    const head =
      length < 126
        ? Buffer.from([first, 0x80 | length])
        : Buffer.concat([Buffer.from([first, 0xff, 0, 0, 0, 0]), uint32(length)]);
    return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ (mask[at & 3] as number))]);
  };
  const noise = randomBytes(64);
  const abuses: readonly (readonly [string, (attacker: Attacker) => Promise<void>])[] = [
    ['a text frame', (each) => each.write(frame(0x81, 5, Buffer.from('hello')))],
    ['no mask', (each) => each.write(Buffer.concat([Buffer.from([0x82, 64]), noise]))],
    ['reserved bits', (each) => each.write(frame(0xf2, 64, noise))],
    ['an unknown opcode', (each) => each.write(frame(0x83, 64, noise))],
    ['a control frame of 200 bytes', (each) => each.write(frame(0x89, 200, Buffer.alloc(200)))],
    ['a fragmented control frame', (each) => each.write(frame(0x09, 4, Buffer.alloc(4)))],
    ['a continuation of nothing', (each) => each.write(frame(0x80, 4, Buffer.alloc(4)))],
    ['2 GB in one frame', (each) => each.write(frame(0x82, 2 ** 31, noise))],
    ['noise', (each) => each.write(randomBytes(4_096))],
    [
      'fragments without end',
      async (each) => {
        await each.write(frame(0x02, 64, noise));
        for (let at = 0; at < 20_000 && !each.isClosed; at++) await each.write(frame(0x00, 64, noise));
      },
    ],
    [
      'pings without end, and no CONNECT',
      async (each) => {
        for (let at = 0; at < 20_000 && !each.isClosed; at++) await each.write(frame(0x89, 4, Buffer.alloc(4)));
      },
    ],
    ['MQTT that is none in a good frame', (each) => each.write(frame(0x82, 64, Buffer.alloc(64, 0xff)))],
  ];
  await underAttack(async (arena) => {
    for (const [name, abuse] of abuses) {
      const attackers = await times(5, async () => {
        const socket = connect({ port: arena.webSocketPort, host: '127.0.0.1', noDelay: true });
        const attacker = new Attacker(socket);
        await attacker.write(
          'GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
            'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n',
        );
        await arena.until('the handshake is answered', () => attacker.receivedBytes > 0 || attacker.isClosed);
        return attacker;
      });
      await Promise.all(attackers.map(abuse));
      await arena.until(`${name} ends the connection`, () => attackers.every(({ isClosed }) => isClosed));
    }
  });
});

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
