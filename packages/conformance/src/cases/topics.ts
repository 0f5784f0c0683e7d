/** Topics and filters: which are legal, and which match. Section 4.7. Shared subscriptions: section 4.8. */
import { filterMatches } from '@pipit/protocol';
import { type Bench, orCode } from '../bench.ts';
import { field, frame, uint16 } from '../bytes.ts';
import { type Case, cases, slowCases } from '../case.ts';
import { expectEqual, expectTrue } from '../outcome.ts';
import { type Peer, textOf } from '../peer.ts';
import { refusedFilter } from './subscribe.ts';

const none = (version: number): number[] => (version === 5 ? [0] : []);

function refusesFilters(bench: Bench, filters: readonly string[]): Promise<void> {
  const packetOf = (filter: string): Uint8Array => frame(0x82, uint16(1), none(bench.version), field(filter), [0]);
  return bench.refuses(Object.fromEntries(filters.map((filter) => [filter, packetOf(filter)])), {
    isCode: orCode(0x8f, 0xa2),
    isAnswer: refusedFilter,
  });
}

/** Subscribes each filter by a client of its own, publishes all topics, and compares who got what with `expected`. */
async function matrix(
  bench: Bench,
  filters: readonly string[],
  topics: readonly string[],
  expected: (filter: string, topic: string) => boolean,
): Promise<void> {
  const publisher = await bench.client();
  await bench.each(filters, async (filter) => {
    const peer = await bench.subscriber(filter, 0);
    for (const topic of topics) publisher.sendPublish(topic, topic);
    const got = (await bench.received(peer, publisher)).map(({ topic }) => topic);
    const wanted = topics.filter((topic) => expected(filter, topic));
    // Filters run beside each other, so that every topic may come several times.
    const own = [...new Set(got.filter((topic) => topics.includes(topic)))].sort();
    expectEqual(own, wanted.toSorted(), `topics that match ${filter}:`);
  });
}

const legal: readonly Case[] = [
  ...cases(['MQTT-4.7.1-1', 'MQTT3-4.7.1-2'], '"#" stands alone, at the end', async (bench) => {
    bench.needsWildcards();
    const root = bench.topic();
    await refusesFilters(bench, [
      `${root}#`,
      `${root}/#/b`,
      `${root}/#/`,
      `${root}/a#`,
      `${root}/##`,
      `${root}/#+`,
      `${root}/+#`,
    ]);
    const peer = await bench.client();
    for (const filter of [`${root}/#`, `${root}/a/#`]) await peer.subscribed(filter, 0);
  }),
  ...cases(['MQTT-4.7.1-2', 'MQTT3-4.7.1-3'], '"+" fills a level', async (bench) => {
    bench.needsWildcards();
    const root = bench.topic();
    await refusesFilters(bench, [`${root}+`, `${root}/b+`, `${root}/+b`, `${root}/++`, `${root}/+b/c`]);
    const peer = await bench.client();
    for (const filter of [`${root}/+`, `${root}/+/c`, `${root}/+/+/#`, `+/${root}`]) await peer.subscribed(filter, 0);
  }),
  ...cases(['MQTT-4.7.3-1 filter', 'MQTT3-4.7.3-1 filter'], 'A filter has at least one character', async (bench) => {
    await refusesFilters(bench, ['']);
    const unsubscribe = frame(0xa2, uint16(1), none(bench.version), field(''));
    await bench.refuses(
      { 'UNSUBSCRIBE of the empty filter': unsubscribe },
      {
        isCode: orCode(0x8f),
        // Nothing was subscribed under it, and 5.0 may say just that.
        isAnswer: (packet) => packet.type === 11 && packet.reasonCodes.every((code) => code >= 0x11),
      },
    );
  }),
];

const matching: readonly Case[] = [
  ...cases(
    ['MQTT-3.3.2-3', 'MQTT3-3.3.2-3'],
    'Every filter gets the topics that match it, and no other',
    async (bench) => {
      bench.needsWildcards();
      const root = bench.topic();
      const ends = ['', '/', '/a', '/a/', '/a/b', '/a/b/c', '/b', '/b/b', '//', '//b', '/a//c', '/a/b/c/d'];
      const filters = [
        '',
        '/#',
        '/+',
        '/+/',
        '/+/b',
        '/a/#',
        '/a/+',
        '/+/+',
        '/+/+/+',
        '/a/b',
        '//+',
        '//#',
        '/+/b/#',
        '/a/+/c',
        '/',
      ];
      const topics = ends.map((end) => `${root}${end}`);
      await matrix(
        bench,
        filters.map((end) => `${root}${end}`),
        topics,
        filterMatches,
      );
    },
  ),
  ...cases(
    ['MQTT-4.7.2-1', 'MQTT3-4.7.2-1'],
    'Filters that begin with a wildcard do not match topics that begin with "$"',
    async (bench) => {
      bench.needsWildcards();
      const root = `$conformance/${bench.topic()}`;
      const wild = await bench.client();
      wild.isEavesdropper = true;
      for (const filter of ['#', '+/#', '+/x']) await wild.subscribe(filter, 0);
      const named = await bench.client();
      const [code] = await named.subscribe(`${root}/#`, 0);
      const publisher = await bench.client();
      publisher.sendPublish(`${root}/x`, 'dollar');
      // The broker may keep such topics from clients; then $SYS is what must not come.
      const got = await bench.received(named, await bench.client());
      expectTrue(got.length <= (code === 0 ? 1 : 0), 'the message once, where it may be subscribed to', got);
      await bench.fence(wild);
      const seen = wild.untaken.flatMap((packet) => (packet.type === 3 ? [packet.topic] : []));
      expectEqual(
        seen.filter((topic) => topic.startsWith('$')),
        [],
        'topics that begin with "$"',
      );
    },
  ),
  ...cases(
    ['MQTT-4.7.3-4', 'MQTT3-4.7.3-4'],
    'Nothing is normalised: only topics of the same bytes match',
    async (bench) => {
      const root = bench.topic();
      const ends = [
        'é',
        'e\u0301',
        'A',
        'a',
        'a/b',
        'a//b',
        'a/',
        'a b',
        'a%20b',
        '\u{1F600}',
        'ﬁ',
        'fi',
        'ß',
        'ss',
        '.',
        '..',
        'a\\b',
      ];
      const topics = ends.map((end) => `${root}/${end}`);
      await matrix(bench, topics, topics, (filter, topic) => filter === topic);
      await matrix(bench, [`/${root}`, root], [`/${root}`, root], (filter, topic) => filter === topic);
    },
  ),
];

/** Two or more members of one shared subscription. */
async function group(
  bench: Bench,
  topic: string,
  members: readonly { qos: 0 | 1 | 2; clientId?: string; durable?: boolean }[],
): Promise<Peer[]> {
  bench.needsShared();
  const filter = `$share/${bench.clientId()}/${topic}`;
  const peers: Peer[] = [];
  for (const { qos, ...options } of members) {
    const peer = await bench.client(options);
    await peer.subscribed(filter, qos);
    peers.push(peer);
  }
  return peers;
}

/** The member to which the only message goes, and the others. */
async function chosen(
  bench: Bench,
  members: readonly Peer[],
  publisher: Peer,
): Promise<{ member: Peer; others: Peer[] }> {
  for (const member of members) await bench.fence(member, publisher);
  const having = members.filter((member) => member.untaken.some(({ type }) => type === 3));
  expectEqual(having.length, 1, 'members that got the message:');
  return { member: having[0] as Peer, others: members.filter((member) => member !== having[0]) };
}

const shared: readonly Case[] = [
  ...cases('MQTT-4.8.2-1', 'A shared subscription has a name', (bench) => {
    bench.needsShared();
    return refusesFilters(bench, [`$share//${bench.topic()}`, '$share//', '$share/']);
  }),
  ...cases(
    'MQTT-4.8.2-2',
    'The name of a shared subscription has no wildcards and is followed by a filter',
    (bench) => {
      bench.needsShared();
      const topic = bench.topic();
      return refusesFilters(bench, [
        '$share/g',
        '$share/g/',
        `$share/g+/${topic}`,
        `$share/#/${topic}`,
        `$share/+/${topic}`,
        `$share/g/${topic}#`,
      ]);
    },
  ),
  ...cases(
    '5.0/4.8.2 one-of-all',
    'Each message goes to one member of the group, and to ordinary subscribers besides',
    async (bench) => {
      const topic = bench.topic();
      const members = await group(bench, topic, [{ qos: 1 }, { qos: 1 }, { qos: 1 }]);
      const plain = await bench.subscriber(topic, 1);
      const publisher = await bench.client();
      const texts = Array.from({ length: 12 }, (_, i) => `${i}`);
      for (const text of texts) await publisher.published(topic, text, { qos: 1 });
      const got: string[] = [];
      for (const member of members) got.push(...(await bench.received(member, publisher)).map(textOf));
      expectEqual(
        got.toSorted((a, b) => Number(a) - Number(b)),
        texts,
        'messages of all members together',
      );
      expectEqual((await bench.received(plain, publisher)).map(textOf), texts, 'messages of the ordinary subscriber');
    },
  ),
  ...cases('5.0/4.8.2 two-groups', 'Each group gets each message, whoever is in both', async (bench) => {
    bench.needsShared();
    const topic = bench.topic();
    const both = await bench.client();
    for (const name of [bench.clientId(), bench.clientId()]) await both.subscribed(`$share/${name}/${topic}`, 1);
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 1 });
    expectEqual((await bench.received(both, publisher)).length, 2, 'copies');
  }),
  ...cases('5.0/4.8.2 unsubscribe', 'A member that unsubscribes gets nothing more', async (bench) => {
    const topic = bench.topic();
    bench.needsShared();
    const filter = `$share/${bench.clientId()}/${topic}`;
    const stays = await bench.subscriber(filter, 1);
    const leaves = await bench.subscriber(filter, 1);
    expectEqual(await leaves.unsubscribe(filter), [0], 'UNSUBACK');
    const publisher = await bench.client();
    for (let i = 0; i < 4; i++) await publisher.published(topic, `${i}`, { qos: 1 });
    expectEqual((await bench.received(stays, publisher)).map(textOf), ['0', '1', '2', '3'], 'messages');
    await bench.silence(leaves, publisher);
  }),
  ...cases('MQTT-4.8.2-3', 'A message respects the QoS granted to the member that gets it', async (bench) => {
    bench.needsQoS(2);
    const topic = bench.topic();
    const members = await group(bench, topic, [{ qos: 0 }, { qos: 1 }]);
    const publisher = await bench.client();
    for (let i = 0; i < 8; i++) await publisher.published(topic, `${i}`, { qos: 2 });
    let count = 0;
    for (const [index, member] of members.entries()) {
      for (const { qos } of await bench.received(member, publisher)) {
        expectEqual(qos, index, `QoS of member ${index}`);
        count += 1;
      }
    }
    expectEqual(count, 8, 'messages');
  }),
  ...cases('MQTT-4.8.2-4', 'A QoS 2 delivery that broke off is finished with the same member', async (bench) => {
    bench.needsQoS(2);
    const topic = bench.topic();
    const [a, b] = [bench.clientId(), bench.clientId()];
    const members = await group(bench, topic, [
      { qos: 2, clientId: a, durable: true },
      { qos: 2, clientId: b, durable: true },
    ]);
    const publisher = await bench.client();
    await publisher.published(topic, 'x', { qos: 2 });
    const { member, others } = await chosen(bench, members, publisher);
    const message = await member.takePublish();
    await member.drop();
    for (const other of others) await bench.silence(other, publisher, 'nothing for another member');
    const again = await bench.client({ clientId: member.clientId, durable: true });
    const repeated = await again.receive('the message again');
    expectEqual([textOf(repeated), repeated.packetId], ['x', message.packetId], 'payload and identifier');
    for (const other of others) await bench.silence(other, publisher, 'nothing for another member');
  }),
  ...slowCases(
    'MQTT-4.8.2-5',
    'When the session of the chosen member ends first, no other member gets its QoS 2 message',
    async (bench) => {
      bench.needsQoS(2);
      const topic = bench.topic();
      const members = await group(bench, topic, [
        { qos: 2, clientId: bench.clientId(), durable: true },
        { qos: 2, clientId: bench.clientId(), durable: true },
      ]);
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos: 2 });
      const { member, others } = await chosen(bench, members, publisher);
      await member.takePublish();
      await member.disconnect(0, 1);
      await bench.wait(2.5);
      for (const other of others) await bench.silence(other, publisher, 'nothing for another member');
      const clean = await bench.client({ clientId: member.clientId, durable: true });
      expectEqual(clean.connack?.sessionPresent, false, 'Session Present');
    },
  ),
  ...cases('MQTT-4.8.2-6', 'A message that its member refuses goes to no other', async (bench) => {
    bench.needsQoS(2);
    for (const [qos, ack] of [
      [1, 4],
      [2, 5],
    ] as const) {
      const topic = bench.topic();
      const members = await group(bench, topic, [{ qos }, { qos }]);
      const publisher = await bench.client();
      await publisher.published(topic, 'x', { qos });
      const { member, others } = await chosen(bench, members, publisher);
      const { packetId } = await member.takePublish();
      member.ack(ack, packetId, 0x80);
      for (const peer of [member, ...others]) await bench.silence(peer, publisher, 'nothing for anybody');
    }
  }),
];

export const topicCases: readonly Case[] = [...legal, ...matching, ...shared];
