/** What CONNACK says, and what a broker that announces limits must then do. Sections 3.1.2.11 and 3.2.2. */
import { type Bench, orCode } from '../bench.ts';
import { field, frame, hex, properties, uint16 } from '../bytes.ts';
import { type Case, cases } from '../case.ts';
import { expectEqual, expectTrue, NotApplicable } from '../outcome.ts';
import { subscribePacket } from '../peer.ts';
import { refusedFilter } from './subscribe.ts';

function needsLimit(bench: Bench, name: keyof Bench['connack'], limited: unknown): void {
  if (bench.connack[name] !== limited) throw new NotApplicable(`CONNACK does not say ${name} ${String(limited)}`);
}

/** The highest QoS, which must be below 2. */
function maximumQoS(bench: Bench): 0 | 1 {
  const { maximumQoS: maximum } = bench.connack;
  if (maximum === undefined) throw new NotApplicable('the broker serves all QoS');
  return maximum;
}

const answers: readonly Case[] = [
  ...cases(
    ['MQTT-3.2.2-1', 'MQTT-3.2.2-8'],
    'Every CONNACK has flags 0 or 1 and a code of its table',
    async (bench) => {
      // Both are checked as packets are read; what counts here is to meet many CONNACKs.
      const clientId = bench.clientId();
      for (const durable of [true, true, false]) {
        const peer = await bench.client({ clientId, durable });
        await peer.disconnect();
      }
      for (const list of [properties([0x16], field('data')), properties(hex('21 00 00')), properties(hex('7E 00'))]) {
        const peer = bench.open();
        peer.sendBytes(frame(0x10, field('MQTT'), [5, 2], uint16(60), list, field(bench.clientId())));
        await peer.takeOrEnd('CONNACK or a close');
      }
    },
  ),
  ...cases('MQTT-3.1.2-28', 'Response Information comes only when it was asked for', async (bench) => {
    for (const asked of [false, undefined]) {
      const options = asked === undefined ? {} : { properties: { requestResponseInformation: asked } };
      const peer = await bench.client(options);
      expectEqual(peer.connack?.properties?.responseInformation, undefined, 'Response Information');
    }
  }),
  ...cases(
    'MQTT-3.1.2-29',
    'With Request Problem Information 0 only PUBLISH, CONNACK and DISCONNECT have reasons',
    async (bench) => {
      bench.needsQoS(2);
      const peer = await bench.client({ properties: { requestProblemInformation: false } });
      const denied = bench.facts.deniedTopic;
      const topics = denied === undefined ? [bench.topic()] : [bench.topic(), denied];
      for (const [i, topic] of topics.entries()) {
        peer.sendPublish(topic, 'x', { qos: 1, packetId: 10 + i });
        peer.sendPublish(topic, 'x', { qos: 2, packetId: 20 + i });
        peer.send(subscribePacket(30 + i, topic, 1));
      }
      peer.send({ type: 10, packetId: 40, filters: [bench.topic()] });
      peer.ack(6, 50);
      await peer.takeAck(7, 50);
      await peer.ping();
      for (const packet of peer.untaken) {
        if (packet.type === 3) continue;
        const list = 'properties' in packet ? (packet.properties ?? {}) : {};
        expectTrue(
          !('reasonString' in list) && !('userProperties' in list),
          'no Reason String, no User Property',
          packet,
        );
      }
      expectEqual(peer.untaken.filter(({ type }) => type === 4).length, topics.length, 'number of PUBACKs');
    },
  ),
  ...cases(
    '5.0/3.2.2.3.14 server-keep-alive',
    'Server Keep Alive, where there is one, is not longer than asked for',
    async (bench) => {
      const peer = await bench.client({ keepAlive: 30 });
      const told = peer.connack?.properties?.serverKeepAlive;
      if (told === undefined) throw new NotApplicable('CONNACK has no Server Keep Alive');
      expectTrue(told <= 30, 'a Server Keep Alive of 30 at most', told);
    },
  ),
];

const limited: readonly Case[] = [
  ...cases('MQTT-3.2.2-9', 'A broker without QoS 2 says so, and refuses what is above', async (bench) => {
    const maximum = maximumQoS(bench);
    const peer = await bench.client();
    peer.sendPublish(bench.topic(), 'x', { qos: (maximum + 1) as 1 | 2, packetId: 1 });
    await bench.refused(peer, 'a QoS above the maximum', { isCode: orCode(0x9b) });
  }),
  ...cases('MQTT-3.2.2-10', 'It still takes subscriptions of every QoS, and grants what it has', async (bench) => {
    const maximum = maximumQoS(bench);
    const peer = await bench.client();
    for (const qos of [0, 1, 2] as const) {
      const codes = await peer.subscribe(bench.topic(), qos);
      expectTrue((codes[0] as number) <= Math.min(maximum, qos), `QoS ${Math.min(maximum, qos)} at most`, codes);
    }
  }),
  ...cases('MQTT-3.2.2-12', 'It refuses a will above its QoS', async (bench) => {
    const qos = (maximumQoS(bench) + 1) as 1 | 2;
    const peer = bench.open();
    peer.send(bench.connectPacket({ will: { topic: bench.topic(), payload: Uint8Array.of(1), qos, retain: false } }));
    await bench.connectRefused(peer, 'Will QoS', { isCode: orCode(0x9b) });
  }),
  ...cases('MQTT-3.2.2-13', 'A broker without retained messages refuses a retained will', async (bench) => {
    needsLimit(bench, 'retainAvailable', false);
    const peer = bench.open();
    peer.send(bench.connectPacket({ will: { topic: bench.topic(), payload: Uint8Array.of(1), qos: 0, retain: true } }));
    await bench.connectRefused(peer, 'Will Retain', { isCode: orCode(0x9a) });
  }),
  ...cases('5.0/3.2.2.3.5 retain', 'A broker without retained messages refuses RETAIN 1', async (bench) => {
    needsLimit(bench, 'retainAvailable', false);
    await bench.refuses({ 'RETAIN 1': frame(0x31, field(bench.topic()), [0], [1]) }, { isCode: orCode(0x9a) });
  }),
  ...cases('5.0/3.2.2.3.11 wildcards', 'A broker without wildcards refuses them', async (bench) => {
    needsLimit(bench, 'wildcardSubscriptionAvailable', false);
    const packet = frame(0x82, uint16(1), [0], field(`${bench.topic()}/#`), [0]);
    await bench.refuses({ 'a filter with #': packet }, { isCode: orCode(0xa2), isAnswer: refusedFilter });
  }),
  ...cases(
    '5.0/3.2.2.3.12 subscription-identifiers',
    'A broker without Subscription Identifiers refuses them',
    async (bench) => {
      needsLimit(bench, 'subscriptionIdentifierAvailable', false);
      const packet = frame(0x82, uint16(1), hex('02 0B 01'), field(bench.topic()), [0]);
      await bench.refuses({ 'identifier 1': packet }, { isCode: orCode(0xa1), isAnswer: refusedFilter });
    },
  ),
  ...cases(
    '5.0/3.2.2.3.13 shared-subscriptions',
    'A broker without shared subscriptions refuses them',
    async (bench) => {
      needsLimit(bench, 'sharedSubscriptionAvailable', false);
      const packet = frame(0x82, uint16(1), [0], field(`$share/g/${bench.topic()}`), [0]);
      await bench.refuses({ '$share/g/…': packet }, { isCode: orCode(0x9e), isAnswer: refusedFilter });
    },
  ),
  ...cases('MQTT3-3.8.3-2', 'Filters with wildcards are served, or refused', async (bench) => {
    const topic = bench.topic('x');
    const peer = await bench.client();
    peer.send(subscribePacket(1, `${topic}/#`));
    const answer = await peer.takeOrEnd('SUBACK or a close');
    if (answer === undefined) return;
    const code = answer.type === 9 ? answer.reasonCodes[0] : undefined;
    expectTrue(code === 0 || code === 0x80, 'SUBACK 0x00 or 0x80', answer);
    peer.sendPublish(`${topic}/y`, 'x');
    if (code === 0) await peer.takePublish('a message by the wildcard');
    await bench.silence(peer);
  }),
];

export const connackCases: readonly Case[] = [...answers, ...limited];
