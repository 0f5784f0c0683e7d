/** Wills: when they are published, when not, and as what. Sections 3.1.2.5 to 3.1.2.7, 3.1.3.2, 3.14.4. */
import { encodePacket, type Packet, type Will, type WillProperties } from '@pipit/protocol';
import type { Bench, ClientOptions } from '../bench.ts';
import { type Case, cases, slowCases } from '../case.ts';
import { expectEqual, expectTrue } from '../outcome.ts';
import { type Peer, textOf } from '../peer.ts';

function will(topic: string, changes: Partial<Will> = {}): Will {
  return { topic, payload: Uint8Array.of(0x77), qos: 0, retain: false, ...changes };
}

function delayed(topic: string, seconds: number, properties: WillProperties = {}): Will {
  return will(topic, { properties: { ...properties, willDelayInterval: seconds } });
}

/** A watcher of a topic and a client with a will there. */
async function scene(
  bench: Bench,
  options: ClientOptions & { readonly of?: (topic: string) => Will } = {},
): Promise<{ topic: string; watcher: Peer; mortal: Peer; clientId: string }> {
  const { of = (topic: string) => will(topic), ...rest } = options;
  const topic = bench.topic('will');
  const watcher = await bench.subscriber(topic, 0);
  const clientId = bench.clientId();
  const mortal = await bench.client({ clientId, ...rest, will: of(topic) });
  return { topic, watcher, mortal, clientId };
}

async function expectWill(bench: Bench, watcher: Peer, topic: string, timeoutMs?: number): Promise<void> {
  const message = await watcher.receive('the will', timeoutMs);
  expectEqual([message.topic, textOf(message), message.retain], [topic, 'w', false], 'topic, payload, RETAIN');
  await bench.silence(watcher);
}

const farewell: readonly Case[] = [
  ...cases(
    ['MQTT-3.1.2-7', 'MQTT3-3.1.2-8'],
    'A connection that is lost has its will published, once',
    async (bench) => {
      const { topic, watcher, mortal } = await scene(bench);
      await mortal.drop();
      await expectWill(bench, watcher, topic);
    },
  ),
  ...cases(['MQTT-3.1.2-8', 'MQTT3-3.1.2-8 error'], 'A protocol error publishes the will', async (bench) => {
    const { topic, watcher, mortal } = await scene(bench);
    mortal.sendBytes([0xf0 & 0x0f, 0]);
    await mortal.over();
    await expectWill(bench, watcher, topic);
  }),
  ...cases(['MQTT-3.14.4-3', 'MQTT3-3.14.4-3'], 'DISCONNECT of 0x00 discards the will', async (bench) => {
    const { watcher, mortal } = await scene(bench);
    await mortal.disconnect();
    await bench.silence(watcher, undefined, 'no will');
    if (bench.version !== 5) return;
    const long = await scene(bench);
    long.mortal.sendBytes([0xe0, 1, 0]);
    await long.mortal.drop();
    await bench.silence(long.watcher, undefined, 'no will');
  }),
  ...cases(
    'MQTT-3.1.2-8 disconnect-with-will',
    'DISCONNECT of 0x04, or of an error, publishes the will',
    async (bench) => {
      for (const code of [0x04, 0x80, 0x93, 0x98]) {
        const { topic, watcher, mortal } = await scene(bench);
        await mortal.disconnect(code);
        await expectWill(bench, watcher, topic);
      }
    },
  ),
  ...cases(['MQTT-3.1.2-10', 'MQTT3-3.1.2-10'], 'A will is gone once it was published, or discarded', async (bench) => {
    const { topic, watcher, mortal, clientId } = await scene(bench, { durable: true });
    await mortal.drop();
    await expectWill(bench, watcher, topic);
    const again = await bench.client({ clientId, durable: true });
    await again.drop();
    await bench.silence(watcher, undefined, 'no second will');
    const leaving = await bench.client({ clientId, durable: true, will: will(topic) });
    await leaving.disconnect();
    const last = await bench.client({ clientId, durable: true });
    await last.drop();
    await bench.silence(watcher, undefined, 'no will that was discarded');
  }),
  ...cases('MQTT3-3.1.2-12', 'Without a will nothing is published when the connection is lost', async (bench) => {
    bench.needsWildcards();
    const name = bench.clientId();
    const watcher = await bench.subscriber(`${bench.topic().split('/')[0]}/#`, 0);
    const mortal = await bench.client({ clientId: name });
    await mortal.drop();
    await bench.silence(watcher);
  }),
];

const form: readonly Case[] = [
  ...cases(['MQTT-3.1.2-14', 'MQTT3-3.1.2-16'], 'A will with RETAIN 0 is not retained', async (bench) => {
    const { topic, watcher, mortal } = await scene(bench);
    bench.willBeRetained(topic);
    await mortal.drop();
    await expectWill(bench, watcher, topic);
    const late = await bench.subscriber(topic, 0);
    await bench.silence(late, undefined, 'nothing retained');
  }),
  ...cases(['MQTT-3.1.2-15', 'MQTT3-3.1.2-17'], 'A will with RETAIN 1 is retained', async (bench) => {
    bench.needsRetain();
    const { topic, watcher, mortal } = await scene(bench, { of: (at) => will(at, { retain: true }) });
    bench.willBeRetained(topic);
    await mortal.drop();
    await expectWill(bench, watcher, topic);
    const late = await bench.subscriber(topic, 0);
    const message = await late.takePublish('the retained will');
    expectEqual([textOf(message), message.retain], ['w', true], 'payload and RETAIN');
  }),
  ...cases(['MQTT-3.1.2-12 qos', 'MQTT3-3.1.2-14 qos'], 'A will has its QoS', async (bench) => {
    bench.needsQoS(2);
    const topic = bench.topic();
    const watcher = await bench.subscriber(topic, 2);
    for (const qos of [0, 1, 2] as const) {
      const mortal = await bench.client({ will: will(topic, { qos }) });
      await mortal.drop();
      expectEqual((await watcher.receive('the will')).qos, qos, 'QoS');
    }
    await bench.silence(watcher);
  }),
  ...cases(
    ['MQTT-3.1.3-10', '5.0/3.1.3.2 will-properties'],
    'The properties of a will are published, its User Properties in their order',
    async (bench) => {
      const userProperties: [string, string][] = [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
        ['', ''],
      ];
      const properties: WillProperties = {
        payloadFormatIndicator: 1,
        contentType: 'text/plain',
        responseTopic: bench.topic(),
        correlationData: Uint8Array.of(0, 0xff),
        userProperties,
      };
      const { watcher, mortal } = await scene(bench, { of: (at) => will(at, { properties }) });
      await mortal.drop();
      const message = await watcher.takePublish('the will');
      expectEqual(message.properties?.userProperties, userProperties, 'User Properties');
      expectEqual(message.properties?.contentType, 'text/plain', 'Content Type');
      expectEqual(message.properties?.responseTopic, properties.responseTopic, 'Response Topic');
      expectEqual(message.properties?.correlationData, properties.correlationData, 'Correlation Data');
      expectEqual(message.properties?.payloadFormatIndicator, 1, 'Payload Format Indicator');
    },
  ),
  ...cases(['MQTT-4.7.0-1 will', 'MQTT3-4.7.1-1 will'], 'A will topic has no wildcards', async (bench) => {
    await bench.each(['a/+', 'a/#', '#', '+'], async (wild) => {
      const name = 'a'.repeat(wild.length);
      const packet = bench.connectPacket({ will: will(name) });
      const peer = bench.open();
      const bytes = encodePacket(packet, bench.version, 'client');
      peer.sendBytes(withText(bytes, name, wild));
      await bench.connectRefused(peer, `will topic ${wild}`);
    });
  }),
];

/** Replaces the last occurrence of a string by another of the same length. */
function withText(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const copy = bytes.slice();
  const codes = Array.from(from, (character) => character.charCodeAt(0));
  for (let at = copy.length - codes.length; at >= 0; at--) {
    if (codes.every((code, i) => copy[at + i] === code)) {
      copy.set(
        Array.from(to, (character) => character.charCodeAt(0)),
        at,
      );
      break;
    }
  }
  return copy;
}

const durable: ClientOptions = { durable: true };

const takeover: readonly Case[] = [
  ...cases(
    ['MQTT-3.1.2-8 takeover', 'MQTT3-3.1.2-8 takeover'],
    'Taken over while its session ends with its connection: the will is published',
    async (bench) => {
      const { topic, watcher, clientId } = await scene(bench);
      await bench.client({ clientId });
      await expectWill(bench, watcher, topic);
    },
  ),
  ...cases(
    ['MQTT-3.1.2-8 second-connect', 'MQTT3-3.1.2-8 second-connect'],
    'A second CONNECT, being an error, publishes the will',
    async (bench) => {
      const { topic, watcher, mortal, clientId } = await scene(bench);
      mortal.send(bench.connectPacket({ clientId }));
      await mortal.over();
      await expectWill(bench, watcher, topic);
    },
  ),
  ...cases(
    ['MQTT-3.1.3-9 takeover'],
    'Taken over with its session resumed before the delay is over: no will',
    async (bench) => {
      const { watcher, clientId } = await scene(bench, { ...durable, of: (at) => delayed(at, 600) });
      await bench.client({ clientId, durable: true });
      await bench.silence(watcher, undefined, 'no will');
    },
  ),
];

const timed: readonly Case[] = [
  ...slowCases(
    'MQTT-3.1.3-9',
    'A session resumed before the Will Delay is over: no will, then or later',
    async (bench) => {
      const { watcher, mortal, clientId } = await scene(bench, { ...durable, of: (at) => delayed(at, 2) });
      await mortal.drop();
      await bench.client({ clientId, durable: true });
      await bench.wait(3);
      await bench.silence(watcher, undefined, 'no will');
    },
  ),
  ...slowCases('MQTT-3.1.2-8 delay', 'A will waits for its delay, and comes when that is over', async (bench) => {
    const { topic, watcher, mortal } = await scene(bench, { ...durable, of: (at) => delayed(at, 2) });
    await mortal.drop();
    await bench.silence(watcher, undefined, 'no will before its delay is over');
    await expectWill(bench, watcher, topic, bench.timeoutMs + 3000);
  }),
  ...slowCases('MQTT-3.1.2-8 session-end', 'A will does not wait longer than its session', async (bench) => {
    const { topic, watcher, mortal } = await scene(bench, {
      cleanStart: false,
      expiry: 1,
      of: (at) => delayed(at, 600),
    });
    await mortal.drop();
    await expectWill(bench, watcher, topic, bench.timeoutMs + 3000);
  }),
  ...slowCases(
    ['MQTT-3.1.2-22', 'MQTT-3.2.2-22', 'MQTT3-3.1.2-24'],
    'A silent client is disconnected after 1.5 times its Keep Alive, and its will is published',
    async (bench) => {
      const seconds = keepAliveOf(bench);
      const { topic, watcher, mortal } = await scene(bench, { keepAlive: seconds });
      const told = mortal.connack?.properties?.serverKeepAlive;
      // How late is too late is nowhere said; some look at all clients every few seconds only.
      const limitMs = (told ?? seconds) * 1500 + 2 * bench.timeoutMs;
      await mortal.over('the silent connection to be closed', limitMs);
      const isReason = (packet: Packet): boolean => packet.type === 14 && packet.reasonCode === 0x8d;
      expectTrue(mortal.untaken.every(isReason), 'DISCONNECT 0x8D or nothing before the close', mortal.untaken);
      await expectWill(bench, watcher, topic);
    },
  ),
  ...slowCases(
    ['MQTT-3.1.2-22 active', 'MQTT3-3.1.2-24 active'],
    'Any packet within the Keep Alive keeps the connection',
    async (bench) => {
      const seconds = keepAliveOf(bench);
      const { watcher, mortal } = await scene(bench, { keepAlive: seconds });
      for (let i = 0; i < 3; i++) {
        await bench.wait(0.9 * seconds);
        if (i === 1) mortal.sendPublish(bench.topic(), 'x');
        else mortal.send({ type: 12 });
      }
      await bench.wait(0.5 * seconds);
      await mortal.take(13, 'PINGRESP');
      await mortal.take(13, 'PINGRESP');
      await mortal.ping();
      mortal.expectNothing();
      await bench.silence(watcher, undefined, 'no will');
    },
  ),
  ...slowCases(['5.0/3.1.2.10 keep-alive-0', 'MQTT3-3.1.2-24 zero'], 'Keep Alive 0 is no limit', async (bench) => {
    const peer = await bench.client({ keepAlive: 0 });
    await bench.wait(3);
    await peer.ping();
    peer.expectNothing();
  }),
];

function keepAliveOf(bench: Bench): number {
  return bench.version === 5 ? 1 : 2;
}

export const willCases: readonly Case[] = [...farewell, ...form, ...takeover, ...timed];
