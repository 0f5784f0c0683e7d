/** What the standard leaves open, and what this broker does: nothing to pass or fail. */

import type { Packet, PublishProperties } from '@pipit/protocol';
import type { Bench } from '../bench.ts';
import { connectBytes } from '../bench.ts';
import { type Bytes, field, frame, hex, properties, uint16 } from '../bytes.ts';
import { type Case, information } from '../case.ts';
import { words } from '../outcome.ts';
import { type Peer, textOf } from '../peer.ts';

/** What the broker does first about some bytes of an accepted client: its packet in words, or the close. */
async function reaction(bench: Bench, bytes: Bytes): Promise<string> {
  const peer = await bench.client();
  peer.sendBytes(bytes);
  peer.send({ type: 12 });
  return answerTo(peer);
}

function inWords(packet: Packet): string {
  return packet.type === 13 ? 'goes on' : `answers ${words(packet)}`;
}

/** What a connection is told first, in words. */
async function answerTo(peer: Peer): Promise<string> {
  const answer = await peer.takeOrEnd('an answer or a close');
  return answer === undefined ? 'closes without a word' : inWords(answer);
}

/** A session that is resumed more than two seconds after a QoS 1 message was sent to it and not acknowledged. */
async function resumedLater(bench: Bench, list: PublishProperties): Promise<{ again: Peer }> {
  const topic = bench.topic();
  const clientId = bench.clientId();
  const owner = await bench.subscriber(topic, 1, { clientId, durable: true });
  const publisher = await bench.client();
  await publisher.published(topic, 'x', { qos: 1, properties: list });
  await owner.takePublish();
  await owner.drop();
  await bench.wait(2.2);
  return { again: await bench.client({ clientId, durable: true }) };
}

const all = [5, 4, 3] as const;
const both = [5, 4] as const;
const none = (version: number): number[] => (version === 5 ? [0] : []);
const copies = (messages: readonly { qos: number }[]): string =>
  `${messages.length} (QoS ${messages.map(({ qos }) => qos).join(', ')})`;

async function willAfterTakeover(bench: Bench, durable: boolean, cleanStart: boolean, delay?: number): Promise<string> {
  const topic = bench.topic();
  const watcher = await bench.subscriber(topic, 0);
  const clientId = bench.clientId();
  const withDelay = delay === undefined ? {} : { properties: { willDelayInterval: delay } };
  await bench.client({
    clientId,
    durable,
    will: { topic, payload: Uint8Array.of(1), qos: 0, retain: false, ...withDelay },
  });
  await bench.client({ clientId, durable: !cleanStart, cleanStart });
  await bench.fence(watcher);
  return watcher.untaken.length > 0 ? 'published' : 'not published';
}

export const informationCases: readonly Case[] = [
  ...information('announced', 'What CONNACK announces', [5], async (bench) => words({ ...bench.connack })),
  ...information('1-overlapping', 'Copies for two overlapping subscriptions', both, async (bench) => {
    bench.needsWildcards();
    const root = bench.topic();
    const peer = await bench.client();
    await peer.subscribe(`${root}/+`, 0);
    await peer.subscribe(`${root}/#`, 2);
    const publisher = await bench.client();
    await publisher.published(`${root}/b`, 'x', { qos: 2 });
    return copies(await bench.received(peer, publisher));
  }),
  ...information(
    '2-will-on-takeover',
    'Will of a durable connection that is taken over, Clean Start 0, no delay',
    both,
    (bench) => willAfterTakeover(bench, true, false),
  ),
  ...information('3-will-on-clean-takeover', 'Will of a connection that is taken over by a clean one', both, (bench) =>
    willAfterTakeover(bench, false, true),
  ),
  ...information(
    '3-will-delay-expiry-0',
    'Will with a delay of a session that ends with its connection, taken over',
    [5],
    (bench) => willAfterTakeover(bench, false, false, 600),
  ),
  ...information(
    '4-will-delay-clean-start',
    'Will with a delay of a durable session, ended by Clean Start 1',
    [5],
    (bench) => willAfterTakeover(bench, true, true, 600),
  ),
  ...information('payload-format-2', 'Payload Format Indicator 2', [5], (bench) =>
    reaction(bench, frame(0x30, field(bench.topic()), properties(hex('01 02')), [1])),
  ),
  ...information('6-qos-0-offline', 'QoS 0 messages for an absent session', both, async (bench) => {
    const topic = bench.topic();
    const clientId = bench.clientId();
    const owner = await bench.subscriber(topic, 1, { clientId, durable: true });
    await owner.disconnect();
    const publisher = await bench.client();
    await publisher.published(topic, 'x');
    await publisher.ping();
    const again = await bench.client({ clientId, durable: true });
    const messages = await bench.received(again, publisher);
    return messages.length > 0 ? 'queued' : 'dropped';
  }),
  ...information(
    '7-no-matching-subscribers',
    'Codes of PUBACK and PUBREC when nobody is subscribed',
    [5],
    async (bench) => {
      const peer = await bench.client();
      const codes = [
        await peer.publish(bench.topic(), 'x', { qos: 1 }),
        await peer.publish(bench.topic(), 'x', { qos: 2 }),
      ];
      return codes.map((code) => `0x${code.toString(16)}`).join(', ');
    },
  ),
  ...information('8-denied', 'PUBLISH to a denied topic at each QoS', all, async (bench) => {
    bench.needs('deniedTopic', 'of a topic that is denied');
    const topic = field(bench.facts.deniedTopic as string);
    const results = [];
    for (const qos of [0, 1, 2]) {
      const packet = frame(0x30 | (qos << 1), topic, qos === 0 ? [] : uint16(1), none(bench.version), [1]);
      results.push(await reaction(bench, packet));
    }
    return results.join('; ');
  }),
  ...information(
    '9-receive-maximum',
    'One QoS 2 PUBLISH more than the announced Receive Maximum',
    [5],
    async (bench) => {
      const maximum = bench.connack.receiveMaximum ?? 65_535;
      if (maximum > 5000) return `Receive Maximum ${maximum}: not tried`;
      const peer = await bench.client();
      const topic = field(bench.topic());
      for (let id = 1; id <= maximum + 1; id++) peer.sendBytes(frame(0x34, topic, uint16(id), [0]));
      for (;;) {
        const answer = await peer.takeOrEnd('an answer to every PUBLISH');
        if (answer === undefined) return 'closes without a word';
        if (answer.type === 14) return inWords(answer);
        if (answer.type === 5 && answer.reasonCode >= 0x80) return inWords(answer);
        if (answer.type === 5 && answer.packetId === maximum + 1) return 'accepts it';
      }
    },
  ),
  ...information('10-control-characters', 'A topic with U+0001, and one with U+FFFE', both, async (bench) => {
    const results = [];
    for (const text of [hex('61 01'), hex('61 EF BF BE')]) {
      results.push(await reaction(bench, frame(0x30, field(text), none(bench.version), [1])));
    }
    return results.join('; ');
  }),
  ...information('11-foreign-property', 'A property of CONNECT in PUBLISH', [5], (bench) =>
    reaction(bench, frame(0x30, field(bench.topic()), properties(hex('21 00 05')), [1])),
  ),
  ...information('12-subscription-options', 'Requested QoS 3, and Retain Handling 3', [5], async (bench) => {
    const filter = field(bench.topic());
    const results = [];
    for (const options of [0x03, 0x30])
      results.push(await reaction(bench, frame(0x82, uint16(1), [0], filter, [options])));
    return results.join('; ');
  }),
  ...information('13-subscription-identifier', 'A Subscription Identifier in a PUBLISH to the broker', [5], (bench) =>
    reaction(bench, frame(0x30, field(bench.topic()), properties(hex('0B 05')), [1])),
  ),
  ...information('14-wildcard-topic', 'A wildcard in a topic name', both, (bench) =>
    reaction(bench, frame(0x30, field(`${bench.topic()}/#`), none(bench.version), [1])),
  ),
  ...information('15-expiry-0', 'Message Expiry 0 for an absent session', [5], async (bench) => {
    const topic = bench.topic();
    const clientId = bench.clientId();
    const owner = await bench.subscriber(topic, 1, { clientId, durable: true });
    await owner.disconnect();
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1, properties: { messageExpiryInterval: 0 } });
    const again = await bench.client({ clientId, durable: true });
    const messages = await bench.received(again, publisher);
    return messages.length > 0 ? 'delivered later' : 'not kept';
  }),
  ...information(
    '16-expired-in-flight',
    'A QoS 1 message that was sent and expired, when its session is resumed',
    [5],
    async (bench) => {
      const { again } = await resumedLater(bench, { messageExpiryInterval: 1 });
      const messages = await bench.received(again);
      return messages.length > 0 ? 'sent again' : 'dropped';
    },
    { isSlow: true },
  ),
  ...information(
    '17-expiry-again',
    'Message Expiry 600 on what is sent again two seconds later',
    [5],
    async (bench) => {
      const { again } = await resumedLater(bench, { messageExpiryInterval: 600 });
      const left = (await again.receive()).properties?.messageExpiryInterval ?? 'absent';
      return left === 600 ? '600, as at first' : `${left}`;
    },
    { isSlow: true },
  ),
  ...information('18-outgoing-aliases', 'Topic aliases towards a client that allows ten', [5], async (bench) => {
    const topic = bench.topic();
    const peer = await bench.client({ properties: { topicAliasMaximum: 10 } });
    await peer.subscribed(topic, 0);
    const publisher = await bench.client();
    for (let i = 0; i < 3; i++) publisher.sendPublish(topic, 'x');
    const aliases = [];
    for (let i = 0; i < 3; i++) aliases.push((await peer.takePublish()).properties?.topicAlias);
    return aliases.some((alias) => alias !== undefined) ? 'used' : 'not used';
  }),
  ...information('21-qos-2-handed-on', 'When a QoS 2 message is handed on', both, async (bench) => {
    const topic = bench.topic();
    const watcher = await bench.subscriber(topic, 0);
    const peer = await bench.client();
    peer.sendPublish(topic, 'x', { qos: 2, packetId: 1 });
    await peer.takeAck(5, 1);
    await bench.fence(watcher, peer);
    return watcher.untaken.length > 0 ? 'at PUBLISH' : 'at PUBREL';
  }),
  ...information(
    '22-resent-live',
    'QoS 1 and 2 messages that are not acknowledged for six seconds, the connection being open',
    [4, 3],
    async (bench) => {
      const topic = bench.topic();
      const peer = await bench.subscriber(topic, 2);
      const publisher = await bench.client();
      for (const qos of [1, 2] as const) await publisher.published(topic, `${qos}`, { qos });
      for (let i = 0; i < 2; i++) await peer.takePublish();
      await bench.wait(6);
      await peer.ping();
      const again = peer.untaken.filter(({ type }) => type === 3).length;
      return again === 0 ? 'not sent again' : `sent again ${again} times`;
    },
    { isSlow: true },
  ),
  ...information(
    '23-shared-choice',
    'Twelve messages for three members of a shared subscription',
    [5],
    async (bench) => {
      bench.needsShared();
      const topic = bench.topic();
      const filter = `$share/${bench.clientId()}/${topic}`;
      const members: Peer[] = [];
      for (let i = 0; i < 3; i++) members.push(await bench.subscriber(filter, 0));
      const publisher = await bench.client();
      for (let i = 0; i < 12; i++) await publisher.published(topic, `${i}`, { qos: 1 });
      const counts = [];
      for (const member of members) counts.push((await bench.received(member, publisher)).length);
      return counts.join(' + ');
    },
  ),
  ...information('24-shared-3.1.1', '$share of a 3.1.1 client', [4], async (bench) => {
    const topic = bench.topic();
    const peer = await bench.client();
    const [code] = await peer.subscribe(`$share/${bench.clientId()}/${topic}`, 0);
    peer.sendPublish(topic, 'x');
    const messages = await bench.received(peer, peer);
    return code === 0 && messages.length === 1 ? 'works' : `SUBACK ${code}, ${messages.length} messages`;
  }),
  ...information('25-bad-share', 'Subscribing $share//t', [5], (bench) =>
    reaction(bench, frame(0x82, uint16(1), [0], field(`$share//${bench.topic()}`), [0])),
  ),
  ...information('27-unknown-level', 'CONNECT of level 6, and of level 2', [4], async (bench) => {
    const results = [];
    for (const level of [6, 2]) {
      const peer = bench.open();
      peer.sendBytes(connectBytes(4, bench.clientId(), { level }));
      await peer.over().catch(() => {});
      results.push(peer.log.filter((line) => line.startsWith('<')).join(' ') || 'closes without a word');
    }
    return results.join('; ');
  }),
  ...information('28-empty-client-id', 'An empty client id', all, async (bench) => {
    const peer = bench.open();
    peer.sendBytes(connectBytes(bench.version, ''));
    return answerTo(peer);
  }),
  ...information('29-bad-credentials', 'Wrong credentials', all, async (bench) => {
    bench.needs('rejected', 'of credentials that are refused');
    const { username, password } = bench.facts.rejected as NonNullable<typeof bench.facts.rejected>;
    const peer = bench.open();
    peer.send(bench.connectPacket({ username, password: new TextEncoder().encode(password) }));
    return answerTo(peer);
  }),
  ...information('30-unknown-identifiers', 'PUBREL, and PUBREC, for unknown identifiers', [5], async (bench) => {
    const results = [];
    for (const bytes of [hex('62 02 00 4D'), hex('50 02 00 4D')]) results.push(await reaction(bench, bytes));
    return results.join('; ');
  }),
  ...information('31-wrong-acknowledgement', 'PUBREC for a QoS 1 delivery', [5], async (bench) => {
    const topic = bench.topic();
    const peer = await bench.subscriber(topic, 1);
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1 });
    peer.ack(5, (await peer.takePublish()).packetId);
    peer.send({ type: 12 });
    const answer = await peer.takeOrEnd('an answer or a close');
    return answer === undefined ? 'closes without a word' : inWords(answer);
  }),
  ...information('32-repeated-publish', 'A QoS 2 PUBLISH sent five times before its PUBREL', both, async (bench) => {
    const peer = await bench.client();
    const topic = bench.topic();
    const results: string[] = [];
    for (let i = 0; i < 5; i++) {
      peer.sendPublish(topic, 'x', { qos: 2, packetId: 1, dup: i > 0 });
      const answer = await peer.takeOrEnd('PUBREC, or an end');
      results.push(answer === undefined ? 'closes' : words(answer));
      if (answer?.type !== 5) break;
    }
    return results.join('; ');
  }),
  ...information('33-levels', 'A topic of 250 levels', both, (bench) =>
    reaction(bench, frame(0x30, field(Array(250).fill('a').join('/')), none(bench.version), [1])),
  ),
  ...information('35-dollar-topics', 'PUBLISH to $SYS and to another $ topic', both, async (bench) => {
    const results = [];
    for (const topic of ['$SYS/broker/x', `$${bench.clientId()}/x`]) {
      const watcher = await bench.client();
      await watcher.subscribe(topic, 0);
      const publisher = await bench.client();
      publisher.sendPublish(topic, 'x', { qos: 1, packetId: 1 });
      const answer = await publisher.takeOrEnd('an answer or a close');
      await bench.fence(watcher);
      const got = watcher.untaken.some((packet) => packet.type === 3 && textOf(packet) === 'x');
      results.push(`${answer === undefined ? 'closes' : words(answer)}, ${got ? 'delivered' : 'not delivered'}`);
    }
    return results.join('; ');
  }),
  ...information('36-clean-start-in-flight', 'Open messages when a clean start takes over', both, async (bench) => {
    const topic = bench.topic();
    const clientId = bench.clientId();
    const one = await bench.subscriber(topic, 1, { clientId, durable: true });
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1 });
    await one.takePublish();
    const two = await bench.client({ clientId, cleanStart: true });
    return (await bench.received(two, publisher)).length > 0 ? 'delivered to the new session' : 'discarded';
  }),
  ...information('password-alone', 'A password without a user name', [3], async (bench) => {
    const peer = bench.open();
    const id = bench.clientId();
    peer.sendBytes(connectBytes(3, id, { flags: 0x42, payload: [...field(id), ...field('secret')] }));
    return answerTo(peer);
  }),
  ...information('retained-again', 'Retained messages when a subscription is repeated', [3], async (bench) => {
    const topic = bench.retainedTopic();
    const publisher = await bench.client();
    await publisher.published(topic, 'kept', { qos: 1, retain: true });
    const reader = await bench.subscriber(topic, 0);
    await reader.takePublish('the retained message');
    await reader.subscribed(topic, 0);
    return (await bench.received(reader, publisher)).length > 0 ? 'sent again' : 'not sent again';
  }),
  ...information(
    'bridge-level',
    'CONNECT of level 0x83, by which some bridges say what they are',
    [3],
    async (bench) => {
      const peer = bench.open();
      peer.sendBytes(connectBytes(3, bench.clientId(), { level: 0x83 }));
      return answerTo(peer);
    },
  ),
  ...information('after-disconnect', 'A PUBLISH behind DISCONNECT in the same segment', both, async (bench) => {
    const topic = bench.topic();
    const watcher = await bench.subscriber(topic, 0);
    const peer = await bench.client();
    peer.sendBytes([0xe0, 0, ...frame(0x30, field(topic), none(bench.version), [1])]);
    await peer.over();
    await bench.fence(watcher);
    return watcher.untaken.length > 0 ? 'delivered' : 'ignored';
  }),
];
