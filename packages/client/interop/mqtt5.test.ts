/**
 * What of MQTT 5.0 takes two ends that agree, seen on the wire: topic aliases both ways, enhanced authentication, Server
 * References. Mosquitto 2.0 takes aliases and sends none, knows authentication methods by plugins only, and sends nobody
 * elsewhere: there it is the server that is gone to.
 */
import assert from 'node:assert/strict';
import { connect as connectSocket, createServer } from 'node:net';
import { after, test } from 'node:test';
import { createBroker, type Verdict } from '@pipit/broker';
import { type Client, connect, type MqttError } from '@pipit/client';
import { decodePacket, Framer, PacketType, type PublishPacket, viewOf } from '@pipit/protocol';
import { type Server, startMosquitto, startPipit } from './servers.ts';

type Side = 'client' | 'server';

/** What one side of one connection says, PUBLISH packets only: topics as they are on the wire. */
class Overheard {
  readonly publishes: PublishPacket[] = [];
  readonly #framer = new Framer(268_435_460);
  readonly #side: Side;

  constructor(side: Side) {
    this.#side = side;
  }

  take(chunk: Buffer | string): void {
    const bytes = new Uint8Array(Buffer.from(chunk));
    this.#framer.feed(bytes, viewOf(bytes), 0, bytes.length);
    while (this.#framer.next()) {
      const { bytes: whole, start, end } = this.#framer;
      const packet = decodePacket(whole, start, end, 5, this.#side);
      if (packet.type === PacketType.Publish) this.publishes.push(packet);
    }
  }
}

interface Wire {
  readonly url: string;
  /** A pair for each connection. */
  readonly connections: { readonly client: Overheard; readonly server: Overheard }[];
  cut(): void;
  close(): void;
}

/** A server behind somebody who listens. */
async function tapped(port: number): Promise<Wire> {
  const connections: Wire['connections'] = [];
  const cuts = new Set<() => void>();
  const listener = createServer((near) => {
    const far = connectSocket(port, '127.0.0.1');
    const pair = { client: new Overheard('client'), server: new Overheard('server') };
    connections.push(pair);
    near.on('data', (chunk) => pair.client.take(chunk));
    far.on('data', (chunk) => pair.server.take(chunk));
    near.pipe(far).pipe(near);
    const end = (): void => {
      near.destroy();
      far.destroy();
      cuts.delete(end);
    };
    cuts.add(end);
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  const cut = (): void => {
    for (const end of [...cuts]) end();
  };
  const close = (): void => {
    cut();
    listener.close();
  };
  after(close);
  return {
    url: `mqtt://127.0.0.1:${(listener.address() as { port: number }).port}`,
    connections,
    cut,
    close,
  };
}

/** Each packet as `topic` or `topic=alias` or `=alias`. */
const onTheWire = ({ publishes }: Overheard): string[] =>
  publishes.map(({ topic, properties }) => {
    const alias = properties?.topicAlias;
    return alias === undefined ? topic : `${topic}=${alias}`;
  });

const topics = ['aliases/first', 'aliases/second'];

/** Publishes every topic three times over, and has them back, acknowledged. */
async function thereAndBack(client: Client, got: string[]): Promise<void> {
  const sent = [1, 2, 3].flatMap(() => topics);
  for (const topic of sent) await client.publish(topic, 'x', { qos: 1 });
  // Behind all that the server has sent, and all acknowledgements.
  do await client.publish('fence', '', { qos: 2 });
  while (got.length < sent.length);
  assert.deepEqual(got.splice(0), sent);
}

const servers: readonly Server[] = [await startMosquitto(), await startPipit()];

for (const server of servers) {
  test(`${server.name}: a topic used again travels as its alias, and is told anew on the next connection`, async () => {
    const wire = await tapped(server.port);
    const client = connect(wire.url, { reconnect: { minMs: 5, maxMs: 40 } });
    after(() => client.destroy());
    const got: string[] = [];
    await client.subscribe('aliases/+', { qos: 1, handler: ({ topic }) => got.push(topic) });
    assert.ok((client.server.topicAliasMaximum ?? 0) > 0, 'the server takes aliases');
    await thereAndBack(client, got);
    const back = Promise.withResolvers<void>();
    client.onStatus(({ state }) => {
      if (state === 'connected') back.resolve();
    });
    wire.cut();
    await back.promise;
    await thereAndBack(client, got);
    await client.end();
    wire.close();

    // A topic that is used once takes no alias from the others: it has one from its second use on.
    const [first, second] = topics;
    const told = [first, second, `${first}=1`, `${second}=2`, '=1', '=2'];
    // Pipit gives one at once, Mosquitto 2.0 none at all.
    const toldBack =
      server.name === 'Pipit' ? [`${first}=1`, `${second}=2`, '=1', '=2', '=1', '=2'] : [1, 2, 3].flatMap(() => topics);
    assert.equal(wire.connections.length, 2);
    for (const { client: ours, server: theirs } of wire.connections) {
      assert.deepEqual(
        onTheWire(ours).filter((topic) => !topic.includes('fence') && topic !== '=3'),
        told,
      );
      assert.deepEqual(onTheWire(theirs), toldBack);
    }
  });

  test(`${server.name}: without such a method it says so once, and the client ends instead of asking for ever`, async () => {
    const wire = await tapped(server.port);
    const authentication = { method: 'NOBODY-KNOWS', data: Uint8Array.of(1), answer: () => Uint8Array.of(2) };
    const client = connect(wire.url, { authentication, reconnect: { minMs: 1, maxMs: 2 } });
    const waiting = client.publish('t', 'x', { qos: 1 });
    const isTold = ({ kind, reasonCode }: MqttError): boolean => kind === 'ended' && reasonCode === 0x8c;
    await Promise.all([client.connected(), waiting].map((call) => assert.rejects(call, isTold)));
    assert.equal(wire.connections.length, 1);
    wire.close();
  });

  test(`${server.name}: a client that is sent there goes there, with what it had to send; one that may not ends`, async () => {
    const refuse: Verdict = {
      outcome: 'refuse',
      reasonCode: 0x9d,
      serverReference: `127.0.0.1:${server.port} other:1`,
    };
    const broker = createBroker({
      listeners: [{ type: 'tcp', port: 0 }],
      authority: { authenticate: () => refuse },
    });
    await broker.start();
    const url = `mqtt://127.0.0.1:${broker.listeners[0]?.port}`;
    const watcher = connect(server.urls.mqtt);
    const subscription = await watcher.subscribe('moved', { qos: 1 });
    const moving = connect(url, { followServerReference: true });
    await moving.publish('moved', 'here now', { qos: 1 });
    assert.equal((await subscription.next()).value.text(), 'here now');
    assert.deepEqual(moving.status.state === 'connected' && [moving.status.why.cause, moving.status.why.reasonCode], [
      'moved',
      0x9d,
    ]);
    const staying = connect(url);
    await assert.rejects(staying.connected(), ({ reasonCode }: MqttError) => reasonCode === 0x9d);
    await moving.end();
    await watcher.end();
    await broker.stop();
  });
}
