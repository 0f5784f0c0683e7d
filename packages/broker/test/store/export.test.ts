/** What is exported from a store and imported into another is the same store, to whoever looks and to a broker. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type ConnectPacket, type Packet, PacketType } from '@pipit/protocol';
import {
  Access,
  type AuthenticationRequest,
  type Broker,
  type BrokerOptions,
  createBroker,
  type ExportOptions,
  exportStore,
  importStore,
  openStore,
  readStore,
  type StoreError,
} from '../../src/index.ts';
import { MqttPeer, publishPacket } from '../node/mqtt-peer.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-export-'));
after(() => rmSync(folder, { recursive: true }));

async function runBroker<Value>(
  directory: string,
  body: (broker: Broker) => Promise<Value>,
  limits: BrokerOptions['limits'] = {},
): Promise<Value> {
  // With rules, so that sessions have rights that are kept.
  const rules = [{ effect: 'allow', action: 'all', filter: '#' }] as const;
  const judge = {
    authenticate: ({ clientId }: AuthenticationRequest) =>
      ({ outcome: 'accept', principal: `of ${clientId}` }) as const,
  };
  const access = new Access({ judges: [{ type: 'names', make: () => judge }], rules, groups: {} });
  const broker = createBroker({ store: openStore(directory), sysIntervalMs: null, access, limits });
  await broker.start();
  return await body(broker).finally(() => broker.stop());
}

async function connect(broker: Broker, clientId: string, will?: ConnectPacket['will']): Promise<MqttPeer> {
  const peer = new MqttPeer(broker.connect());
  const properties = { sessionExpiryInterval: 3_600, receiveMaximum: 3 };
  const rest = { cleanStart: false, keepAlive: 0, properties, ...(will !== undefined && { will }) };
  peer.send({ type: PacketType.Connect, version: 5, clientId, ...rest });
  await peer.next();
  return peer;
}

/** Drops the socket; resolves when the broker knows. */
async function drop(broker: Broker, peer: MqttPeer, clientId: string): Promise<void> {
  const gone = new Promise<void>((done) => {
    broker.on('disconnected', (event) => {
      if (event.clientId === clientId) done();
    });
  });
  peer.stream.destroy();
  await gone;
}

async function exported(directory: string, options?: ExportOptions): Promise<string[]> {
  const reader = await readStore(directory);
  const lines: string[] = [];
  for await (const line of exportStore(reader, options)) lines.push(line);
  await reader.close();
  return lines;
}

async function* linesOf(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

const everything = join(folder, 'everything');

/** Sessions with everything a session can have, and retained messages with everything a message can have. */
async function fill(): Promise<void> {
  await runBroker(everything, async (broker) => {
    const payload = Buffer.from('I am gone');
    const properties = { willDelayInterval: 600, messageExpiryInterval: 60, contentType: 'text/plain' };
    const first = await connect(broker, 'first', { topic: 'wills', payload, qos: 1, retain: true, properties });
    await first.subscribe('q/#', 2);
    const second = await connect(broker, 'second \u2028 é');
    await second.subscribe('q/1', 1);
    await second.subscribe('$share/group/jobs/#', 1);
    // What nobody acknowledges stays in flight, up to Receive Maximum; one goes on to PUBREL.
    await broker.publish('q/1', 'in flight', { qos: 2 });
    const { packetId } = (await first.next()) as Extract<Packet, { type: typeof PacketType.Publish }>;
    first.send({ type: PacketType.Pubrec, packetId, reasonCode: 0 });
    assert.equal(((await first.next()) as Packet).type, PacketType.Pubrel);
    // A QoS 2 message whose PUBREL has not come.
    second.send(publishPacket('elsewhere', 'x', 2, 77));
    const whole = { type: PacketType.Publish, packetId: 0, payload: Buffer.from('x'), qos: 0, dup: false } as const;
    second.send({ ...whole, topic: 'of second', retain: true });
    await drop(broker, first, 'first');
    await drop(broker, second, 'second \u2028 é');
    for (let i = 0; i < 20; i++) await broker.publish(`q/${i % 3}`, `waits ${i}`, { qos: 1 });
    await broker.publish('jobs/a', 'for one of them', { qos: 1 });
    const user = [
      ['name', 'value'],
      ['name', 'another'],
    ] as [string, string][];
    await broker.publish('q/1', 'both', {
      qos: 1,
      retain: true,
      properties: { messageExpiryInterval: 3_000, correlationData: Uint8Array.of(0, 255), userProperties: user },
    });
    await broker.publish('kept', Buffer.from([0, 1, 2, 254, 255]), { qos: 2, retain: true });
  });
}

test('an export holds everything, and an import of it gives the same export', async () => {
  await fill();
  const lines = await exported(everything);
  const types: Record<string, number> = {};
  for (const line of lines) {
    const { type } = JSON.parse(line) as { type: string };
    types[type] = (types[type] ?? 0) + 1;
  }
  // Those of q/1 wait for both sessions and so stand in lines of their own.
  assert.deepEqual(types, { store: 1, session: 2, subscription: 3, received: 1, message: 9, queued: 32, retained: 3 });
  assert.equal(lines.filter((line) => 'rights' in JSON.parse(line)).length, 2, 'what its owners were let in as');
  const retained = lines.map((line) => JSON.parse(line)).filter(({ type }) => type === 'retained');
  assert.deepEqual(
    retained.map(({ topic, principal }) => [topic, principal]).sort(),
    [
      ['kept', undefined],
      ['of second', 'of second \u2028 é'],
      ['q/1', undefined],
    ],
    'who set them',
  );
  const copy = join(folder, 'copy');
  assert.deepEqual(await importStore(copy, linesOf(lines)), {
    sessions: 2,
    subscriptions: 3,
    queued: 32,
    retained: 3,
  });
  assert.deepEqual(await exported(copy), lines);
  // Not larger either: what was stored once still is.
  const [from, to] = await Promise.all([everything, copy].map((each) => readStore(each)));
  const live = (segments: readonly { liveBytes: number }[] = []): number =>
    segments.reduce((sum, { liveBytes }) => sum + liveBytes, 0);
  assert.ok(live(to?.segments) <= live(from?.segments));
  await Promise.all([from?.close(), to?.close()]);
});

test('how long the server keeps a retained message, and how long it lives itself, are two times', async () => {
  const directory = join(folder, 'short-lived');
  await runBroker(
    directory,
    async (broker) => {
      const properties = { messageExpiryInterval: 3_000 };
      await broker.publish('long', 'x', { qos: 1, retain: true, properties });
      await broker.publish('for ever', 'x', { qos: 1, retain: true });
    },
    { retainedExpiryMax: 100 },
  );
  const lines = await exported(directory);
  const [forever, long] = lines.slice(1).map((line) => JSON.parse(line) as Record<string, string>);
  const seconds = (from: string | undefined, to: string | undefined): number =>
    Math.round((Date.parse(to ?? '') - Date.parse(from ?? '')) / 1000);
  assert.equal(seconds(long?.['expiresAt'], long?.['messageExpiresAt']), 2_900);
  assert.ok(forever !== undefined && !('messageExpiresAt' in forever));
  const copy = join(folder, 'short-lived copy');
  await importStore(copy, linesOf(lines));
  assert.deepEqual(await exported(copy), lines);
});

test('a broker on an imported store goes on where the first was', async () => {
  const copy = join(folder, 'served');
  await importStore(copy, linesOf(await exported(everything)));
  await runBroker(copy, async (broker) => {
    const first = await connect(broker, 'first');
    const pubrel = (await first.next()) as Extract<Packet, { type: typeof PacketType.Pubrel }>;
    assert.equal(pubrel.type, PacketType.Pubrel);
    first.send({ type: PacketType.Pubcomp, packetId: pubrel.packetId, reasonCode: 0 });
    const payloads: string[] = [];
    while (payloads.length < 21) {
      const packet = (await first.next()) as Extract<Packet, { type: typeof PacketType.Publish }>;
      assert.equal(packet.type, PacketType.Publish);
      payloads.push(Buffer.from(packet.payload).toString());
      first.send({ type: PacketType.Puback, packetId: packet.packetId, reasonCode: 0 });
      if (payloads.length < 21) continue;
      assert.deepEqual(packet.properties?.userProperties, [
        ['name', 'value'],
        ['name', 'another'],
      ]);
      assert.ok((packet.properties?.messageExpiryInterval ?? 0) <= 3_000);
    }
    assert.deepEqual(payloads, [...Array.from({ length: 20 }, (_, i) => `waits ${i}`), 'both']);
    const reader = await connect(broker, 'reader');
    reader.send({
      type: PacketType.Subscribe,
      packetId: 1,
      subscriptions: [{ filter: 'kept', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
    });
    let packet = (await reader.next()) as Packet;
    if (packet.type === PacketType.Suback) packet = (await reader.next()) as Packet;
    assert.deepEqual([...(packet as { payload: Uint8Array }).payload], [0, 1, 2, 254, 255]);
  });
});

test('parts of it: sessions without retained messages, and retained messages by filter', async () => {
  const typesOf = (lines: readonly string[]): Set<string> => new Set(lines.map((line) => JSON.parse(line).type));
  const sessions = await exported(everything, { retained: null });
  assert.deepEqual(typesOf(sessions), new Set(['store', 'session', 'subscription', 'received', 'message', 'queued']));
  const retained = await exported(everything, { sessions: false, retained: 'q/+' });
  assert.deepEqual(
    retained.map((line) => JSON.parse(line)).map(({ type, topic }) => [type, topic]),
    [
      ['store', undefined],
      ['retained', 'q/1'],
    ],
  );
  assert.equal(Buffer.from(JSON.parse(retained[1] ?? '').message.payload, 'base64').toString(), 'both');
  // Together they are the whole.
  const copy = join(folder, 'parts');
  await importStore(copy, linesOf(sessions));
  await importStore(copy, linesOf(await exported(everything, { sessions: false })));
  const whole = await exported(everything);
  const sortedText = (lines: readonly string[]): string[] => lines.filter((line) => !line.includes('"number"')).sort();
  assert.equal(sortedText(await exported(copy)).length, sortedText(whole).length);
});

test('an import replaces sessions and retained messages of the same names, and leaves the rest', async () => {
  const directory = join(folder, 'existing');
  await runBroker(directory, async (broker) => {
    for (const clientId of ['first', 'other']) {
      const peer = await connect(broker, clientId);
      await peer.subscribe('old', 1);
      await drop(broker, peer, clientId);
    }
    await broker.publish('old', 'old', { qos: 1 });
    await broker.publish('kept', 'old', { qos: 1, retain: true });
    await broker.publish('kept/too', 'old', { qos: 1, retain: true });
  });
  await importStore(directory, linesOf(await exported(everything)));
  const reader = await readStore(directory);
  const filters = reader.sessions.map(({ session, subscriptions, queued }) => [
    session.key,
    subscriptions.map(({ filter }) => filter).sort(),
    queued,
  ]);
  assert.deepEqual(filters, [
    ['first', ['q/#'], 22],
    ['other', ['old'], 1],
    ['second \u2028 é', ['jobs/#', 'q/1'], 10],
  ]);
  assert.deepEqual(reader.topics(), ['kept', 'kept/too', 'of second', 'q/1']);
  for await (const { message } of reader.retained(['kept'])) assert.equal(message.payload.length, 5);
  assert.deepEqual(reader.report.damage, []);
  await reader.close();
});

test('a line that makes no sense is named, and nothing of it is taken', async () => {
  const [store = '', session = '', subscription = ''] = await exported(everything);
  const whole = await exported(everything);
  const queued = whole.find((line) => line.includes('"queued"') && line.includes('"payload"')) ?? '';
  const edit = (line: string, change: (fields: Record<string, unknown>) => void): string => {
    const fields = JSON.parse(line);
    change(fields);
    return JSON.stringify(fields);
  };
  const cases: [lines: string[], expected: RegExp][] = [
    [[store, '{'], /^Line 2: .*JSON/],
    [[session], /^Line 1: the first line has to be of type store\.$/],
    [[store, store], /^Line 2: a second line of type store\.$/],
    [[edit(store, (fields) => (fields['version'] = 2))], /^Line 1: version: /],
    [[store, subscription], /^Line 2: session first has to come before what belongs to it\.$/],
    [[store, session, session], /^Line 3: session first comes twice\.$/],
    [[store, session, edit(subscription, (fields) => (fields['filter'] = 'a/#/b'))], /^Line 3: filter: /],
    [[store, session, edit(subscription, (fields) => (fields['qos'] = 3))], /^Line 3: qos: /],
    [[store, session, edit(subscription, (fields) => (fields['more'] = 1))], /^Line 3: .*more/],
    [[store, session, queued, queued], /^Line 4: session first has two messages of sequence \d+\.$/],
    [
      [store, session, edit(queued, (fields) => (fields['message'] = 5))],
      /^Line 3: message 5 has to come right before/,
    ],
    [[store, session, edit(queued, (fields) => (fields['sequence'] = 0))], /^Line 3: sequence: /],
    [[store, session, '', '{"type":"nothing"}'], /^Line 4: type: /],
  ];
  for (const [index, [lines, expected]] of cases.entries()) {
    const directory = join(folder, `bad ${index}`);
    await assert.rejects(importStore(directory, linesOf(lines)), (error: StoreError) => {
      assert.equal(error.name, 'StoreError');
      assert.match(error.message, expected);
      return true;
    });
    // The directory is free, and what is in it is whole.
    await importStore(directory, linesOf([store]));
  }
});
