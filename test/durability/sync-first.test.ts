/**
 * What is acknowledged is on the disk first: seen by `strace`, the `fdatasync` of what an answer stands for has returned before the
 * answer is written to the socket. And with `os` nothing is waited for but the write.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import {
  type ConnectPacket,
  encodePacket,
  type Packet,
  PacketType,
  type ProtocolVersion,
  ReasonCode,
} from '@pipit/protocol';
import { dialTcp } from '../../packages/broker/test/node/dial.ts';
import { MqttPeer } from '../../packages/broker/test/node/mqtt-peer.ts';
import { Child } from '../interop/child.ts';
import { Served } from './served.ts';
import { readTrace, type SystemCall, straced } from './system-calls.ts';

const timeout = { timeout: 60_000 };
const folder = mkdtempSync(join(tmpdir(), 'pipit-strace-'));
after(() => rmSync(folder, { recursive: true }));

/** What was asked, what was answered, and what of it can be found in the log. */
interface Exchange {
  readonly name: string;
  readonly request: Uint8Array;
  readonly answer: Uint8Array;
  readonly stored: string;
}

/** A client that notes what it asked and what came of it. */
class Asker {
  readonly peer: MqttPeer;
  readonly version: ProtocolVersion;
  readonly exchanges: Exchange[];

  constructor(peer: MqttPeer, version: ProtocolVersion, exchanges: Exchange[]) {
    this.peer = peer;
    this.version = version;
    this.exchanges = exchanges;
  }

  /** Sends a packet; what comes next, to `answerer`, is its answer and has this type. `stored`: a text of what must be kept first. */
  async ask(name: string, packet: Packet, type: Packet['type'], stored = '', answerer: Asker = this): Promise<Packet> {
    this.peer.send(packet);
    const answer = await answerer.peer.next();
    assert.ok(answer !== 'end' && answer.type === type, `${name}: ${JSON.stringify(answer)}`);
    const request = encodePacket(packet, this.version, 'client');
    this.exchanges.push({ name, request, answer: encodePacket(answer, answerer.version, 'server'), stored });
    return answer;
  }
}

const { Connack, Connect, Puback, Pubcomp, Publish, Pubrec, Pubrel, Suback, Subscribe, Unsuback, Unsubscribe } =
  PacketType;

/** One exchange of every kind whose answer waits for the disk. Names and packet ids occur once. */
async function converse(port: number, version: ProtocolVersion): Promise<Exchange[]> {
  const exchanges: Exchange[] = [];
  const connect = async (clientId: string): Promise<Asker> => {
    const asker = new Asker(new MqttPeer(await dialTcp(port), version), version, exchanges);
    const will = {
      topic: `will-${clientId}`,
      payload: Buffer.from(clientId),
      qos: 1,
      retain: false,
      properties: {},
    } as const;
    const properties = version === 5 ? { sessionExpiryInterval: 3_600 } : {};
    const packet: ConnectPacket = {
      type: Connect,
      version,
      clientId,
      cleanStart: false,
      keepAlive: 0,
      will,
      properties,
    };
    await asker.ask(`CONNACK of ${clientId}`, packet, Connack, clientId);
    return asker;
  };
  const publish = (topic: string, payload: string, qos: 1 | 2, packetId: number, retain = false): Packet => {
    return { type: Publish, topic, payload: Buffer.from(payload), qos, retain, dup: false, packetId };
  };
  const subscribe = (filter: string, qos: 1 | 2, packetId: number): Packet => {
    const subscription = { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const };
    return { type: Subscribe, packetId, subscriptions: [subscription] };
  };
  const ack = (type: typeof Puback | typeof Pubrec | typeof Pubrel | typeof Pubcomp, packetId: number): Packet => {
    return { type, packetId, reasonCode: 0 };
  };
  const sender = await connect('the-sender');
  const receiver = await connect('the-receiver');
  await receiver.ask('SUBACK', subscribe('topic-one', 1, 101), Suback, 'topic-one');
  await receiver.ask('SUBACK', subscribe('topic-two', 2, 102), Suback, 'topic-two');
  await receiver.ask('SUBACK', subscribe('topic-gone', 2, 103), Suback, 'topic-gone');
  await receiver.ask('UNSUBACK', { type: Unsubscribe, packetId: 104, filters: ['topic-gone'] }, Unsuback, 'topic-gone');

  await sender.ask('PUBACK', publish('topic-one', 'payload-one', 1, 201), Puback, 'payload-one');
  await receiver.peer.next();
  await sender.ask(
    'PUBACK of a retained message',
    publish('kept', 'payload-kept', 1, 202, true),
    Puback,
    'payload-kept',
  );
  await sender.ask('PUBREC', publish('nobody', 'payload-nobody', 2, 203), Pubrec);
  await sender.ask('PUBCOMP', ack(Pubrel, 203), Pubcomp);

  // QoS 2 to a session that lasts: the message and its packet id are kept before it leaves, and so is what follows.
  const delivered = await sender.ask(
    'PUBLISH',
    publish('topic-two', 'payload-two', 2, 204),
    Publish,
    'payload-two',
    receiver,
  );
  assert.ok(delivered.type === Publish);
  assert.equal(((await sender.peer.next()) as Packet).type, Pubrec);
  await receiver.ask('PUBREL', ack(Pubrec, delivered.packetId), Pubrel);
  sender.peer.stream.destroy();
  receiver.peer.stream.destroy();
  return exchanges;
}

/** Exchanges that touch nothing that lasts. */
async function converseVolatile(port: number): Promise<Exchange[]> {
  const exchanges: Exchange[] = [];
  const asker = new Asker(new MqttPeer(await dialTcp(port)), 5, exchanges);
  await asker.ask(
    'CONNACK',
    { type: Connect, version: 5, clientId: 'fleeting', cleanStart: true, keepAlive: 0 },
    Connack,
  );
  const subscriptions = [
    { filter: 'v', qos: 1 as const, noLocal: true, retainAsPublished: false, retainHandling: 0 as const },
  ];
  await asker.ask('SUBACK', { type: Subscribe, packetId: 301, subscriptions }, Suback);
  const payload = Buffer.from('payload-volatile');
  await asker.ask(
    'PUBACK',
    { type: Publish, topic: 'v', payload, qos: 1, retain: false, dup: false, packetId: 302 },
    Puback,
  );
  asker.peer.stream.destroy();
  return exchanges;
}

const isSegment = ({ file }: SystemCall): boolean => /\/segment-\d+\.log$/.test(file);
const isSocket = ({ file }: SystemCall): boolean => file.startsWith('TCP:');
const isWrite = ({ name }: SystemCall): boolean => /^(p?writev?(64)?|sendto|sendmsg)$/.test(name);
const isSync = ({ name }: SystemCall): boolean => name === 'fsync' || name === 'fdatasync';

/** What happened between a request that was read and its answer, which began to be written at `until`. */
function between(calls: readonly SystemCall[], { name, request, answer }: Exchange): { from: number; until: number } {
  const asked = calls.filter((call) => isSocket(call) && call.name === 'read' && call.bytes.includes(request));
  assert.equal(asked.length, 1, `${name}: its request was read once`);
  const from = asked[0]?.returned as number;
  const answered = calls.find(
    (call) => isSocket(call) && isWrite(call) && call.began > from && call.bytes.includes(answer),
  );
  assert.ok(answered !== undefined, `${name}: its answer was written`);
  return { from, until: answered.began };
}

/** The write to the log that what is answered stands for; it has returned before the answer was written. */
function keptBefore(calls: readonly SystemCall[], exchange: Exchange): { write: SystemCall; until: number } {
  const { from, until } = between(calls, exchange);
  const write = calls.find(
    (call) => isSegment(call) && isWrite(call) && call.began > from && call.bytes.includes(exchange.stored),
  );
  assert.ok(
    write !== undefined && write.returned < until,
    `${exchange.name}: written to the log before it was answered`,
  );
  assert.equal(write.result, write.bytes.length, `${exchange.name}: all of it`);
  return { write, until };
}

function assertSyncedFirst(calls: readonly SystemCall[], exchange: Exchange): void {
  const { write, until } = keptBefore(calls, exchange);
  const sync = calls.find((call) => isSync(call) && call.file === write.file && call.began > write.returned);
  assert.ok(sync !== undefined && sync.returned < until, `${exchange.name}: synced before it was answered`);
  assert.equal(sync.result, 0);
}

for (const version of [4, 5] satisfies ProtocolVersion[]) {
  test(
    `fsync: every answer is written after the disk has what it stands for, version ${version}`,
    timeout,
    async () => {
      const trace = join(folder, `fsync-${version}`);
      const served = await Served.start(join(folder, `data-${version}`), [], straced(trace));
      // First: the ends of sessions that last are written when nobody waits for them.
      const volatile = await converseVolatile(served.port);
      const exchanges = await converse(served.port, version);
      assert.deepEqual(await served.stop(), { code: 0, signal: null });
      const calls = readTrace(trace);
      assert.equal(exchanges.length, 12);
      for (const exchange of exchanges) assertSyncedFirst(calls, exchange);
      for (const exchange of volatile) {
        const { from, until } = between(calls, exchange);
        // Whoever has nothing to keep waits for no disk.
        const waited = calls.filter((call) => isSegment(call) && call.began > from && call.returned < until);
        assert.deepEqual(waited, [], exchange.name);
      }
    },
  );
}

test(
  'os: the system has it before it is answered, and nothing is synced before the stop, which does',
  timeout,
  async () => {
    const trace = join(folder, 'os');
    const served = await Served.start(join(folder, 'data-os'), ['--durability', 'os'], straced(trace));
    const exchanges = await converse(served.port, 5);
    assert.deepEqual(await served.stop(), { code: 0, signal: null });
    const calls = readTrace(trace);
    for (const exchange of exchanges) keptBefore(calls, exchange);
    const written = calls.filter((call) => isSegment(call) && isWrite(call)).at(-1);
    const synced = calls.filter((call) => isSync(call) && isSegment(call));
    assert.equal(synced.length, 1);
    assert.ok(written !== undefined && (synced[0]?.began as number) > written.returned, 'once, after everything');
    assert.equal(synced[0]?.result, 0);
  },
);

test('the promise of an in-process publish is kept after the disk has its message', timeout, async () => {
  const trace = join(folder, 'embedded');
  const program = `
    import { writeSync } from 'node:fs';
    import { createBroker, openStore } from '@pipit/broker';
    const broker = createBroker({ store: openStore(${JSON.stringify(join(folder, 'data-embedded'))}) });
    await broker.start();
    const reasonCode = await broker.publish('kept', 'payload-embedded', { qos: 1, retain: true });
    writeSync(1, 'published ' + reasonCode);
    await broker.stop();`;
  const command = [...straced(trace), process.execPath, '--input-type=module', '--eval', program];
  const cwd = resolve(import.meta.dirname, '../../packages/cli');
  assert.deepEqual(await new Child(command, { cwd }).ended, { code: 0, signal: null });
  const calls = readTrace(trace);
  const told = calls.find(
    (call) => isWrite(call) && call.bytes.includes(`published ${ReasonCode.NoMatchingSubscribers}`),
  );
  const write = calls.find((call) => isSegment(call) && isWrite(call) && call.bytes.includes('payload-embedded'));
  assert.ok(told !== undefined && write !== undefined);
  const sync = calls.find((call) => isSync(call) && call.file === write.file && call.began > write.returned);
  assert.ok(sync !== undefined && sync.result === 0 && sync.returned < told.began);
});
