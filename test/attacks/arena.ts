/**
 * A broker under attack: an honest pair that talks all the while, hostile peers on listeners of their own, and what must hold.
 *
 * Nothing is timed. Counted are messages (all of them arrive, in order, none twice), what the broker holds (never beyond its limits),
 * and what is left of the attack in its tables, handles and memory when it is over: nothing.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Broker, type BrokerOptions, createBroker, defaultLimits, type Limits } from '@pipit/broker';
import {
  type ConnectPacket,
  encodePacket,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type PublishPacket,
} from '@pipit/protocol';
import { MqttPeer, publishedBy } from '../../packages/broker/test/node/mqtt-peer.ts';

/** Such that an attack of a second or two reaches every one of them. */
const tightLimits: Partial<Limits> = {
  connectionsPerAddressMax: 200,
  acceptsPerSecondPerAddressMax: 500,
  subscriptionsPerSessionMax: 1_000,
  queueMessagesMax: 1_000,
  queueBytesMax: 2 * 1024 * 1024,
  queueBytesTotalMax: 16 * 1024 * 1024,
  unsentBytesMax: 2 * 1024 * 1024,
  unsentBytesStalledMax: 256 * 1024,
  unsentBytesTotalMax: 16 * 1024 * 1024,
  sessionExpiryMax: 1,
  retainedMessagesMax: 2_000,
  retainedBytesMax: 4 * 1024 * 1024,
  retainedExpiryMax: 1,
  eventIntervalMs: 1_000,
};

/** Buffers that the broker keeps to write with again, up to a limit of their own, and what is compiled meanwhile. */
const heapSlackBytes = 40 * 1024 * 1024;
const handleSlack = 4;
const window = 20;
/** Messages that have to arrive after an attack has begun, at least. */
const messagesMin = 200;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export interface Arena {
  readonly broker: Broker;
  readonly limits: Limits;
  /** Opens a socket as if from this address; the broker hears of it from a proxy it trusts. */
  dial(address?: string): Promise<Attacker>;
  /** An attacker that is connected. */
  client(connect: Partial<ConnectPacket> & { clientId: string }, address?: string): Promise<Attacker>;
  readonly webSocketPort: number;
  readonly tlsPort: number;
  /** Where `dial` comes in: only with a header of the PROXY protocol. */
  readonly proxiedPort: number;
  /** Waits until something holds; the honest pair goes on meanwhile. */
  until(what: string, holds: () => boolean): Promise<void>;
}

/** A hostile end: what it is sent is counted and thrown away, unless it does not even read. */
export class Attacker {
  readonly socket: Socket;
  readonly version: ProtocolVersion;
  receivedBytes = 0;
  isClosed = false;

  constructor(socket: Socket, version: ProtocolVersion = 5) {
    this.socket = socket;
    this.version = version;
    socket.on('data', (chunk) => {
      this.receivedBytes += chunk.length;
    });
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** Resolves when the socket has room again, or is gone. */
  async send(...packets: readonly Packet[]): Promise<void> {
    await this.write(Buffer.concat(packets.map((packet) => encodePacket(packet, this.version, 'client'))));
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    if (this.isClosed || !this.socket.writable || this.socket.write(bytes)) return;
    await new Promise<void>((done) => {
      const settle = (): void => {
        this.socket.off('drain', settle).off('close', settle);
        done();
      };
      this.socket.on('drain', settle).on('close', settle);
    });
  }
}

export function publish(fields: Partial<PublishPacket> & { topic: string }): PublishPacket {
  return {
    type: PacketType.Publish,
    payload: new Uint8Array(0),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    ...fields,
  };
}

export function subscribe(packetId: number, filters: readonly string[]): Packet {
  const options = { qos: 1 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const };
  return { type: PacketType.Subscribe, packetId, subscriptions: filters.map((filter) => ({ filter, ...options })) };
}

/** Clients that are connected, each from an address of its own. */
export function clients(arena: Arena, count: number, name: string, fields: object = {}): Promise<Attacker[]> {
  return Promise.all(
    Array.from({ length: count }, (_, at) =>
      arena.client({ clientId: `${name}-${at}`, ...fields }, `198.51.${100 + (at >> 8)}.${at & 255}`),
    ),
  );
}

function certificate(name: string): Buffer {
  return readFileSync(new URL(`../../packages/broker/test/node/certificates/${name}`, import.meta.url));
}

export function connectPacket(fields: Partial<ConnectPacket> & { clientId: string }): ConnectPacket {
  return { type: PacketType.Connect, version: 5, cleanStart: true, keepAlive: 0, ...fields };
}

/** Publishes in order, with a window, and takes what comes back, in order. */
class HonestPair {
  readonly #publisher: MqttPeer;
  readonly #subscriber: MqttPeer;
  #sent = 0;
  #acknowledged = 0;
  #last = Number.POSITIVE_INFINITY;
  received = 0;
  #isOver = false;
  readonly #seen: () => void;

  constructor(publisher: MqttPeer, subscriber: MqttPeer, seen: () => void) {
    this.#publisher = publisher;
    this.#subscriber = subscriber;
    this.#seen = seen;
  }

  /** Rejects when anything is lost, doubled, out of order, or refused. */
  async talk(): Promise<void> {
    await Promise.all([this.#publish(), this.#receive()]);
    assert.equal(this.received, this.#sent, 'every message of the honest pair arrived');
  }

  end(): void {
    this.#isOver = true;
  }

  async #publish(): Promise<void> {
    while (!this.#isOver || this.received < messagesMin) {
      await this.#send(window);
      await sleep(2);
    }
    // Whoever waits for the next message gets one more, and knows that it is the last.
    this.#last = this.#sent + 1;
    await this.#send(1);
  }

  async #send(count: number): Promise<void> {
    for (let at = 0; at < count; at++) {
      this.#sent++;
      this.#publisher.publish('honest/t', `message ${this.#sent}`, 1, (this.#sent % 60_000) + 1);
    }
    while (this.#acknowledged < this.#sent) {
      const ack = await this.#publisher.next();
      assert.ok(ack !== 'end' && ack.type === PacketType.Puback && ack.reasonCode === 0, JSON.stringify(ack));
      this.#acknowledged++;
    }
  }

  async #receive(): Promise<void> {
    while (this.received !== this.#last) {
      const packet = await this.#subscriber.next();
      this.received++;
      assert.equal(publishedBy(packet).payload, `message ${this.received}`);
      const packetId = packet === 'end' || !('packetId' in packet) ? 0 : packet.packetId;
      this.#subscriber.send({ type: PacketType.Puback, packetId, reasonCode: 0 });
      this.#seen();
    }
  }
}

/** Runs `attack` on a broker with `tightLimits`, and holds it to its promises during and after. */
export async function underAttack(attack: (arena: Arena) => Promise<void>, options: BrokerOptions = {}): Promise<void> {
  const limits: Limits = { ...defaultLimits, ...tightLimits, ...options.limits };
  const proxied = { host: '127.0.0.1', port: 0, proxyProtocol: ['127.0.0.1'] };
  const broker = createBroker({
    ...options,
    limits,
    listeners: [
      { type: 'tcp', port: 0 },
      { type: 'tcp', ...proxied },
      { type: 'ws', port: 0 },
      { type: 'tls', port: 0, tls: { cert: certificate('server.pem'), key: certificate('server-key.pem') } },
    ],
    sysIntervalMs: null,
  });
  await broker.start();
  const ports = broker.listeners.map(({ port }) => port ?? 0);
  const [honestPort, hostilePort, webSocketPort, tlsPort] = ports as [number, number, number, number];
  const attackers: Attacker[] = [];
  const publisher = await honest(honestPort, 'honest-publisher');
  const subscriber = await honest(honestPort, 'honest-subscriber');
  await subscriber.subscribe('honest/#', 1);
  const before = leftovers(broker);
  const pair = new HonestPair(publisher, subscriber, () => checkLimits(broker, limits));
  const talk = pair.talk();
  // A promise that fails while nobody waits for it would end the process.
  talk.catch(() => {});
  const dial = async (address = '203.0.113.9'): Promise<Attacker> => {
    const attacker = new Attacker(await open(hostilePort));
    attackers.push(attacker);
    await attacker.write(`PROXY TCP${address.includes(':') ? 6 : 4} ${address} ${address} 50123 1883\r\n`);
    return attacker;
  };
  const arena: Arena = {
    broker,
    limits,
    dial,
    client: async (fields, address) => {
      const socket = await dial(address);
      const attacker = new Attacker(socket.socket, fields.version ?? 5);
      await attacker.send(connectPacket(fields));
      return attacker;
    },
    webSocketPort,
    tlsPort,
    proxiedPort: hostilePort,
    until: (what, holds) => until(what, holds),
  };
  try {
    await Promise.race([attack(arena), talk.then(() => assert.fail('the honest pair stopped'))]);
    for (const { socket } of attackers) socket.destroy();
    attackers.length = 0;
    pair.end();
    await talk;
    await released(broker, before);
  } finally {
    for (const { socket } of attackers) socket.destroy();
    publisher.stream.destroy();
    subscriber.stream.destroy();
    await broker.stop();
  }
}

async function honest(port: number, clientId: string): Promise<MqttPeer> {
  const peer = new MqttPeer(await open(port));
  const connack = await peer.connect(clientId);
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack && connack.reasonCode === 0);
  return peer;
}

function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  return new Promise((done, failed) => {
    socket.once('connect', () => done(socket));
    socket.once('error', failed);
  });
}

/** At every message of the honest pair: the broker holds no more than it may. */
function checkLimits(broker: Broker, limits: Limits): void {
  const totals = broker.inspection.totals();
  const slackBytes = limits.turnBytesMax;
  assert.ok(totals.unsentBytes <= limits.unsentBytesTotalMax + slackBytes, `${totals.unsentBytes} bytes unsent`);
  assert.ok(totals.queuedBytes <= limits.queueBytesTotalMax, `${totals.queuedBytes} bytes queued`);
  assert.ok(totals.queuedMessages <= limits.queueMessagesTotalMax, `${totals.queuedMessages} messages queued`);
  assert.ok(totals.retainedBytes <= limits.retainedBytesMax, `${totals.retainedBytes} bytes retained`);
  assert.ok(totals.retainedMessages <= limits.retainedMessagesMax, `${totals.retainedMessages} messages retained`);
  assert.ok(totals.connections <= limits.connectionsMax, `${totals.connections} connections`);
  assert.ok(totals.sessions <= limits.sessionsMax, `${totals.sessions} sessions`);
}

interface Leftovers {
  readonly tables: readonly number[];
  readonly handles: number;
  readonly heapBytes: number;
}

function leftovers(broker: Broker): Leftovers {
  collect();
  const { connections, sessions, subscriptions, retainedMessages, queuedMessages } = broker.inspection.totals();
  const { heapUsed, external } = process.memoryUsage();
  return {
    tables: [connections, sessions, subscriptions, retainedMessages, queuedMessages],
    handles: process.getActiveResourcesInfo().filter((kind) => /Socket|TCP|Timeout/.test(kind)).length,
    heapBytes: heapUsed + external,
  };
}

/** Everything an attack took is given back, once its sessions and what it retained have expired. */
async function released(broker: Broker, before: Leftovers): Promise<void> {
  let now = leftovers(broker);
  for (let tries = 0; tries < 100; tries++) {
    const isBack = String(now.tables) === String(before.tables) && now.handles <= before.handles + handleSlack;
    if (isBack && now.heapBytes <= before.heapBytes + heapSlackBytes) return;
    await sleep(100);
    now = leftovers(broker);
  }
  assert.deepEqual(now.tables, before.tables, 'connections, sessions, subscriptions, retained and queued messages');
  assert.ok(now.handles <= before.handles + handleSlack, `${now.handles} handles, ${before.handles} before`);
  assert.fail(`${now.heapBytes} bytes of memory, ${before.heapBytes} before: ${JSON.stringify(process.memoryUsage())}`);
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (holds()) return;
    await sleep(10);
  }
  assert.fail(`it did not come to this: ${what}`);
}
