/** Enhanced authentication and re-authentication: sections 3.15 and 4.12. */
import { anyErrorCode, type Bench, orCode } from '../bench.ts';
import { type Bytes, field, frame, hex, properties } from '../bytes.ts';
import { type Case, cases } from '../case.ts';
import { expectEqual, expectTrue, Mismatch } from '../outcome.ts';
import type { Peer } from '../peer.ts';

type Enhanced = NonNullable<Bench['facts']['enhanced']>;

function enhancedOf(bench: Bench): Enhanced {
  bench.needs('enhanced', 'of an authentication method');
  return bench.facts.enhanced as Enhanced;
}

/** A client in the middle of its exchange: CONNECT sent, one challenge received. */
async function challenged(bench: Bench): Promise<Peer> {
  const { method, data } = enhancedOf(bench);
  const peer = bench.open();
  peer.send(bench.connectPacket({ properties: { authenticationMethod: method, authenticationData: data } }));
  const { packet } = await peer.takeFirst('AUTH');
  if (packet.type !== 15) throw new Mismatch('AUTH', `packet type ${packet.type}`);
  expectEqual([packet.reasonCode, packet.properties?.authenticationMethod], [0x18, method], 'code and method of AUTH');
  return peer;
}

async function authenticated(bench: Bench): Promise<Peer> {
  const { method, answer } = enhancedOf(bench);
  const peer = await challenged(bench);
  peer.send({ type: 15, reasonCode: 0x18, properties: { authenticationMethod: method, authenticationData: answer } });
  const connack = await peer.take(2, 'CONNACK');
  expectEqual(
    [connack.reasonCode, connack.properties?.authenticationMethod],
    [0, method],
    'code and method of CONNACK',
  );
  return peer;
}

/** Blocks of properties that are errors wherever AUTH has them; `method` is the right one. */
function illegalBlocks(method: string): Record<string, Bytes> {
  const named = [0x15, ...field(method)];
  const block = (...parts: readonly Bytes[]): Bytes => properties(named, ...parts);
  return {
    'no method': properties([0x16], field('x')),
    'the method twice': block(named),
    'Authentication Data twice': block([0x16], field('x'), [0x16], field('x')),
    'a Reason String twice': block([0x1f], field('x'), [0x1f], field('x')),
    'a Session Expiry': block(hex('11 00 00 00 05')),
    'a Receive Maximum': block(hex('21 00 05')),
    'a Server Reference': block([0x1c], field('x')),
    'a Subscription Identifier': block(hex('0B 01')),
    'an unknown identifier': block(hex('7E 00')),
    'a cut value': block(hex('26 00 01')),
    'a length beyond the packet': [0x7f, ...named],
  };
}

export const authenticationCases: readonly Case[] = [
  ...cases('MQTT-4.12.0-1', 'An authentication method nobody knows is refused', async (bench) => {
    const peer = bench.open();
    peer.send(bench.connectPacket({ properties: { authenticationMethod: 'no-such-method' } }));
    await bench.connectRefused(peer, 'an unknown method', { isCode: (code) => code === 0x8c || code === 0x87 });
  }),
  ...cases(
    ['MQTT-4.12.0-2', 'MQTT-4.12.0-5', 'MQTT-3.15.2-1'],
    'An exchange: AUTH 0x18, the answer, CONNACK 0x00, all with the method',
    async (bench) => {
      const peer = await authenticated(bench);
      await peer.ping();
      peer.expectNothing();
    },
  ),
  ...cases('MQTT-4.12.0-4', 'A wrong answer is refused', async (bench) => {
    const { method, wrongAnswer } = enhancedOf(bench);
    const peer = await challenged(bench);
    const exchange = { authenticationMethod: method, authenticationData: wrongAnswer };
    peer.send({ type: 15, reasonCode: 0x18, properties: exchange });
    await bench.connectRefused(peer, 'a wrong answer');
  }),
  ...cases('MQTT-4.12.0-5 other-method', 'AUTH with another method is refused', async (bench) => {
    const { answer } = enhancedOf(bench);
    const peer = await challenged(bench);
    const exchange = { authenticationMethod: 'another', authenticationData: answer };
    peer.send({ type: 15, reasonCode: 0x18, properties: exchange });
    await bench.connectRefused(peer, 'another method');
  }),
  ...cases('MQTT-3.15.2-1 client', 'AUTH with a code a client may not send is refused', async (bench) => {
    const { method } = enhancedOf(bench);
    for (const code of [0x00, 0x80]) {
      const peer = await challenged(bench);
      const list = [0x15, ...field(method)];
      peer.sendBytes(frame(0xf0, [code, list.length], list));
      await bench.connectRefused(peer, `AUTH ${code}`);
    }
  }),
  ...cases(
    ['MQTT-3.15.2-2', 'MQTT-3.15.2-3'],
    'AUTH leaves Reason String and User Properties out where they do not fit',
    async (bench) => {
      const { method, data } = enhancedOf(bench);
      const maximumPacketSize = 64;
      const peer = bench.open();
      peer.send(
        bench.connectPacket({
          properties: { authenticationMethod: method, authenticationData: data, maximumPacketSize },
        }),
      );
      const { bytes } = await peer.takeFirst('AUTH');
      expectTrue(bytes.length <= maximumPacketSize, `an AUTH of ${maximumPacketSize} bytes at most`, bytes);
    },
  ),
  ...cases(
    ['5.0/4.12.1 re-authentication', 'MQTT-4.12.0-2 again'],
    'Re-authentication runs beside traffic and succeeds',
    async (bench) => {
      const { method, data, answer } = enhancedOf(bench);
      const topic = bench.topic();
      const peer = await authenticated(bench);
      await peer.subscribed(topic, 0);
      peer.send({ type: 15, reasonCode: 0x19, properties: { authenticationMethod: method, authenticationData: data } });
      peer.sendPublish(topic, 'x');
      await peer.takePublish();
      expectEqual((await peer.take(15, 'AUTH')).reasonCode, 0x18, 'code of AUTH');
      peer.send({
        type: 15,
        reasonCode: 0x18,
        properties: { authenticationMethod: method, authenticationData: answer },
      });
      const done = await peer.take(15, 'AUTH');
      expectEqual([done.reasonCode, done.properties?.authenticationMethod], [0, method], 'code and method of AUTH');
      await bench.silence(peer);
    },
  ),
  ...cases(
    '5.0/3.15.2.2 properties',
    'AUTH without its method, with a property twice, of other packets, unknown or cut is refused',
    async (bench) => {
      const { method } = enhancedOf(bench);
      await bench.each(Object.entries(illegalBlocks(method)), async ([what, list]) => {
        const peer = await challenged(bench);
        peer.sendBytes(frame(0xf0, [0x18], list));
        await bench.connectRefused(peer, `AUTH with ${what}`);
      });
    },
  ),
  ...cases(
    'MQTT-3.1.2-29 auth',
    'With Request Problem Information 0 AUTH has neither Reason String nor User Properties',
    async (bench) => {
      const { method, data, answer } = enhancedOf(bench);
      const exchange = { authenticationMethod: method, authenticationData: data };
      const peer = bench.open();
      peer.send(bench.connectPacket({ properties: { ...exchange, requestProblemInformation: false } }));
      const auths = [await peer.take(15, 'AUTH')];
      const reply = { type: 15, reasonCode: 0x18, properties: { ...exchange, authenticationData: answer } } as const;
      peer.send(reply);
      await peer.take(2, 'CONNACK');
      peer.send({ type: 15, reasonCode: 0x19, properties: exchange });
      auths.push(await peer.take(15, 'AUTH'));
      peer.send(reply);
      auths.push(await peer.take(15, 'AUTH'));
      for (const packet of auths) {
        const { reasonString, userProperties } = packet.properties ?? {};
        const isBare = reasonString === undefined && userProperties === undefined;
        expectTrue(isBare, 'no Reason String, no User Property', packet);
      }
    },
  ),
  ...cases('MQTT-4.12.1-2', 'Failed re-authentication closes the connection', async (bench) => {
    const { method, data, wrongAnswer } = enhancedOf(bench);
    const peer = await authenticated(bench);
    peer.send({ type: 15, reasonCode: 0x19, properties: { authenticationMethod: method, authenticationData: data } });
    await peer.take(15, 'AUTH');
    peer.send({
      type: 15,
      reasonCode: 0x18,
      properties: { authenticationMethod: method, authenticationData: wrongAnswer },
    });
    await bench.refused(peer, 'a wrong answer');
  }),
  ...cases('5.0/4.12.1 other-method', 'Re-authentication with another method is refused', async (bench) => {
    const peer = await authenticated(bench);
    peer.send({ type: 15, reasonCode: 0x19, properties: { authenticationMethod: 'another' } });
    await bench.refused(peer, 'another method', { isCode: (code) => orCode(0x87)(code) });
  }),
  ...cases('MQTT-4.12.0-6', 'Without a method there is no AUTH, and no method in CONNACK', async (bench) => {
    const peer = await bench.client();
    expectEqual(peer.connack?.properties?.authenticationMethod, undefined, 'Authentication Method in CONNACK');
    await bench.silence(peer);
  }),
  ...cases('5.0/4.12 auth-without-method', 'AUTH on a connection that began without a method is refused', (bench) => {
    const list = [0x15, ...field('m')];
    const packetOf = (code: number): Uint8Array => frame(0xf0, [code, list.length], list);
    return bench.refuses({ 'AUTH 0x18': packetOf(0x18), 'AUTH 0x19': packetOf(0x19) }, { isCode: anyErrorCode });
  }),
];
