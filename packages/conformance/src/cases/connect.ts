/** CONNECT: its fields, and what the broker answers. Sections 3.1.2, 3.1.3 and 3.1.4; sessions and wills have own files. */
import type { ConnectPacket, Will } from '@pipit/protocol';
import { connectBytes, orCode } from '../bench.ts';
import { type Bytes, field, frame, hex, properties, uint16 } from '../bytes.ts';
import { type Case, cases } from '../case.ts';
import { expectEqual, expectTrue, Mismatch, words } from '../outcome.ts';
import { publishPacket, subscribePacket } from '../peer.ts';

const none = (version: number): number[] => (version === 5 ? hex('00') : []);

export const connectCases: readonly Case[] = [
  ...cases(
    ['MQTT-3.1.4-5', 'MQTT3-3.1.4-4'],
    'A minimal CONNECT is accepted, and the connection works',
    async (bench) => {
      const peer = await bench.client();
      await peer.ping();
      peer.expectNothing();
    },
  ),
  ...cases(
    ['5.0/3.1 first-packet', '3.1.1/3.1 first-packet'],
    'Whatever is sent before CONNECT gets no answer and closes the connection',
    async (bench) => {
      const topic = bench.topic();
      const watcher = await bench.subscriber(topic, 0);
      const inputs: Record<string, Bytes> = {
        PINGREQ: hex('C0 00'),
        PUBLISH: frame(0x30, field(topic), none(bench.version), [1]),
        SUBSCRIBE: frame(0x82, uint16(1), none(bench.version), field(topic), [0]),
        DISCONNECT: hex('E0 00'),
        PUBACK: hex('40 02 00 01'),
        CONNACK: hex('20 02 00 00'),
      };
      await bench.each(Object.entries(inputs), async ([what, bytes]) => {
        const peer = bench.open();
        peer.sendBytes(bytes);
        const answer = await peer.takeOrEnd(`a close without an answer to ${what}`);
        if (answer !== undefined) throw new Mismatch(`no answer to ${what}`, words(answer));
      });
      await bench.silence(watcher);
    },
  ),
  ...cases(
    ['MQTT-3.1.0-2', 'MQTT-3.2.0-2 second', 'MQTT3-3.1.0-2'],
    'A second CONNECT closes the connection and is not answered by CONNACK',
    async (bench) => {
      const packet = bench.connectPacket();
      const peer = bench.open();
      await bench.connect(peer, packet);
      peer.send(packet);
      await bench.refused(peer, 'a second CONNECT', { isCode: orCode() });
    },
  ),
  ...cases(['MQTT-3.1.2-1', 'MQTT3-3.1.2-1'], 'A protocol name that nobody knows is not served', async (bench) => {
    // Under the name of 3.1 a broker may serve what it takes for 3.1.
    const names = ['MQTt', 'mqtt', 'MQTX', '', 'M'.repeat(1000), ...(bench.version === 5 ? ['MQIsdp'] : [])];
    await bench.each(names, async (name) => {
      const peer = bench.open({ version: 4 });
      const level = bench.version;
      peer.sendBytes(connectBytes(level, bench.clientId(), { name: field(name), level }));
      await refusedInSomeForm(peer, `protocol name ${name}`);
    });
  }),
  ...cases('MQTT-3.1.2-2', 'An unknown protocol version is not served', async (bench) => {
    await bench.each([0, 6, 0x7f, 0xff], async (level) => {
      const peer = bench.open({ version: 4 });
      peer.sendBytes(connectBytes(5, bench.clientId(), { level }));
      await refusedInSomeForm(peer, level);
    });
  }),
  ...cases(
    'MQTT3-3.1.2-2',
    'An unknown protocol level gets return code 1 and a close, or what 5.0 allows where that is served',
    async (bench) => {
      await bench.each([2, 6, 0x7f], async (level) => {
        const peer = bench.open({ version: 4 });
        peer.sendBytes(connectBytes(4, bench.clientId(), { level }));
        await refusedInSomeForm(peer, level);
        if (bench.served.includes(5)) return;
        const answers = peer.log.filter((line) => line.startsWith('< '));
        expectEqual(answers, ['< 20 02 00 01'], `what answers level ${level}`);
      });
    },
  ),
  ...cases(['MQTT-3.1.2-3', 'MQTT3-3.1.2-3'], 'The reserved connect flag must be 0', (bench) =>
    bench.refusesConnect({ 'flags 03': connectBytes(bench.version, bench.clientId(), { flags: 0x03 }) }),
  ),
  ...cases(
    ['MQTT-3.1.2-11', 'MQTT3-3.1.2-11', 'MQTT3-3.1.2-13'],
    'Without a will its QoS must be 0, and none of its fields may be there',
    (bench) => {
      const id = bench.clientId();
      const withFlags = (flags: number): Uint8Array => connectBytes(bench.version, id, { flags });
      return bench.refusesConnect({
        'QoS 1 without a will': withFlags(0x0a),
        'QoS 2 without a will': withFlags(0x12),
        'QoS 3 without a will': withFlags(0x1a),
        'will fields behind flags that say none': connectBytes(bench.version, id, {
          payload: [...field(id), ...none(bench.version), ...field('topic'), ...field('payload')],
        }),
      });
    },
  ),
  ...cases(['MQTT-3.1.2-13', 'MQTT3-3.1.2-15'], 'Without a will its RETAIN must be 0', (bench) =>
    bench.refusesConnect({ 'flags 22': connectBytes(bench.version, bench.clientId(), { flags: 0x22 }) }),
  ),
  ...cases(['MQTT-3.1.2-9', 'MQTT3-3.1.2-9'], 'With a will each of its fields must be there', (bench) => {
    const id = bench.clientId();
    const withPayload = (...parts: number[][]): Uint8Array =>
      connectBytes(bench.version, id, { flags: 0x06, payload: [field(id), ...parts].flat() });
    const propertiesOfWill = none(bench.version);
    return bench.refusesConnect({
      'no field': withPayload(),
      'no topic': withPayload(propertiesOfWill, field('payload').slice(0, -1)),
      'no payload': withPayload(propertiesOfWill, field('topic')),
      ...(bench.version === 5 && { 'no properties': withPayload(field('topic'), field('payload')) }),
    });
  }),
  ...cases(['MQTT-3.1.2-12', 'MQTT3-3.1.2-14'], 'Will QoS 3 is refused', (bench) => {
    const id = bench.clientId();
    const payload = [...field(id), ...none(bench.version), ...field(bench.topic()), ...field('x')];
    return bench.refusesConnect({ 'flags 1E': connectBytes(bench.version, id, { flags: 0x1e, payload }) });
  }),
  ...cases(
    ['MQTT-3.1.2-16', 'MQTT-3.1.2-18', 'MQTT3-3.1.2-18', 'MQTT3-3.1.2-20'],
    'User name and password must not be there when their flags are 0',
    (bench) => {
      const id = bench.clientId();
      const payload = (...parts: number[][]): number[] => [field(id), ...parts].flat();
      return bench.refusesConnect({
        'a user name without its flag': connectBytes(bench.version, id, { payload: payload(field('user')) }),
        'a password without its flag': connectBytes(bench.version, id, {
          flags: 0x82,
          payload: payload(field('user'), field('secret')),
        }),
      });
    },
  ),
  ...cases(['MQTT-3.1.2-17', 'MQTT3-3.1.2-19'], 'A user name must be there when its flag is 1', (bench) => {
    const id = bench.clientId();
    return bench.refusesConnect({
      'no user name': connectBytes(bench.version, id, { flags: 0x82 }),
      'half a user name': connectBytes(bench.version, id, { flags: 0x82, payload: [...field(id), 0, 9, 0x75] }),
    });
  }),
  ...cases(['MQTT-3.1.2-19', 'MQTT3-3.1.2-21'], 'A password must be there when its flag is 1', (bench) => {
    const id = bench.clientId();
    return bench.refusesConnect({
      'no password': connectBytes(bench.version, id, { flags: 0xc2, payload: [...field(id), ...field('user')] }),
    });
  }),
  ...cases('MQTT-3.1.2-19 alone', 'A password without a user name is legal', async (bench) => {
    const { username, password, ...packet } = bench.connectPacket();
    const peer = bench.open();
    peer.send({ ...packet, password: Uint8Array.of(1, 2, 3) });
    const answer = await peer.take(2, 'CONNACK');
    // The broker may not like the password, but it has to like the packet.
    const isLiked = answer.reasonCode === 0 || answer.reasonCode === 0x86 || answer.reasonCode === 0x87;
    expectTrue(isLiked, 'CONNACK 0x00, 0x86 or 0x87', answer);
  }),
  ...cases('MQTT3-3.1.2-22', 'A password without a user name is refused', (bench) => {
    const id = bench.clientId();
    return bench.refusesConnect(
      { 'flags 42': connectBytes(4, id, { flags: 0x42, payload: [...field(id), ...field('secret')] }) },
      { returnCodes: [4, 5] },
    );
  }),
  ...cases(
    ['MQTT-3.1.3-1', 'MQTT3-3.1.3-1'],
    'Client id, will, user name and password are read in their order',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic('will');
      const watcher = await bench.subscriber(topic, 1);
      const will = { topic, payload: Uint8Array.of(0, 1, 0xff), qos: 1, retain: false } as const;
      await withAllFields(bench, bench.connectPacket({ will }));
      const message = await watcher.receive('the will');
      expectEqual([message.topic, message.payload, message.qos], [topic, will.payload, 1], 'the will');
      await bench.silence(watcher);
    },
  ),
  ...cases(['MQTT-3.1.3-3', 'MQTT3-3.1.3-3'], 'The client id field must be there', (bench) =>
    bench.refusesConnect(
      {
        'no payload': connectBytes(bench.version, '', { payload: [] }),
        'half a length': connectBytes(bench.version, '', { payload: [0] }),
        'a length beyond the packet': connectBytes(bench.version, '', { payload: [0, 5, 0x61] }),
      },
      { returnCodes: [2] },
    ),
  ),
  ...cases(
    ['MQTT-3.1.3-5', 'MQTT3-3.1.3-5'],
    'Client ids of 1 to 23 letters and digits are accepted',
    async (bench) => {
      const unique = bench.clientId();
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
      const pieces = alphabet.match(/.{1,11}/g) as string[];
      const ids = [
        'Q',
        ...pieces.map((piece) => `${unique}${piece}`.slice(-23)),
        `${unique}xxxxxxxxxxxxxxxxxxxxxxx`.slice(0, 23),
      ];
      await bench.each(ids, async (clientId) => {
        const peer = await bench.client({ clientId });
        await peer.ping();
        await peer.disconnect();
      });
    },
  ),
  ...cases(
    ['MQTT-3.1.3-6', 'MQTT3-3.1.3-6'],
    'Clients with an empty client id are different clients',
    async (bench) => {
      const topic = bench.topic();
      const one = await emptyIdClient(bench);
      const two = await emptyIdClient(bench);
      await one.subscribed(topic, 0);
      await two.subscribed(topic, 0);
      two.sendPublish(topic, 'x');
      await one.takePublish();
      await two.takePublish();
      await bench.silence(one, two);
    },
  ),
  ...cases(
    ['MQTT-3.1.3-7', 'MQTT-3.2.2-16'],
    'An assigned client id is told, is new each time, and is the key of the session',
    async (bench) => {
      const ids = new Set<string>();
      for (let i = 0; i < 5; i++) {
        const peer = await emptyIdClient(bench, 600);
        const id = peer.connack?.properties?.assignedClientIdentifier;
        expectTrue(id !== undefined && id !== '' && !ids.has(id), 'a new Assigned Client Identifier', peer.connack);
        ids.add(id as string);
        await peer.disconnect();
      }
      for (const clientId of ids) {
        const peer = await bench.client({ clientId, durable: true });
        expectEqual(peer.connack?.sessionPresent, true, `Session Present for ${clientId}`);
        expectEqual(peer.connack?.properties?.assignedClientIdentifier, undefined, 'Assigned Client Identifier');
        await peer.disconnect(0, 0);
      }
    },
  ),
  ...cases('MQTT3-3.1.3-8', 'An empty client id with Clean Session 0 gets return code 2 and a close', async (bench) => {
    const peer = bench.open();
    peer.sendBytes(connectBytes(4, '', { flags: 0 }));
    const connack = await bench.connectRefused(peer, 'an empty client id', { returnCodes: [2] });
    expectEqual(connack?.reasonCode, 2, 'return code');
  }),
  ...cases(['MQTT-3.1.3-8', 'MQTT3-3.1.3-9'], 'A client id the broker does not like is refused', async (bench) => {
    bench.needs('rejectedClientId', 'of a client id that is refused');
    const peer = bench.open();
    peer.send(bench.connectPacket({ clientId: bench.facts.rejectedClientId as string }));
    const connack = await bench.connectRefused(peer, 'the client id', {
      returnCodes: [2],
      isCode: (code) => code === 0x85,
    });
    if (bench.version !== 5) expectEqual(connack?.reasonCode, 2, 'return code');
  }),
  ...cases(
    ['MQTT-3.1.4-1', 'MQTT3-3.1.4-1', 'MQTT3-3.2.2-6 no-code'],
    'A CONNECT of another form is refused',
    (bench) => {
      const id = bench.clientId();
      const whole = connectBytes(bench.version, id);
      const truncated = (length: number): Bytes => frame(0x10, whole.slice(2, 2 + length));
      const inputs: Record<string, Bytes> = {
        'a byte behind the payload': connectBytes(bench.version, id, { payload: [...field(id), 0] }),
        'an empty packet': frame(0x10),
        'only the name': truncated(6),
        'no level': truncated(6),
        'no flags': truncated(7),
        'half a keep alive': truncated(9),
      };
      if (bench.version === 5) {
        inputs['a property twice'] = connectBytes(5, id, { properties: properties(hex('21 00 05 21 00 05')) });
        inputs['a property of PUBLISH'] = connectBytes(5, id, { properties: properties(hex('01 01')) });
        inputs['an unknown property'] = connectBytes(5, id, { properties: properties(hex('7E 01')) });
      }
      return bench.refusesConnect(inputs, { isCode: orCode(0x84, 0x85) });
    },
  ),
  ...cases(
    ['MQTT-3.1.4-2', 'MQTT-3.2.2-7', 'MQTT3-3.2.2-5', 'MQTT3-3.2.2-6'],
    'Wrong credentials: refused with a code that exists, then closed',
    async (bench) => {
      bench.needs('rejected', 'of credentials that are refused');
      const { username, password } = bench.facts.rejected as NonNullable<typeof bench.facts.rejected>;
      const peer = bench.open();
      peer.send(bench.connectPacket({ username, password: new TextEncoder().encode(password) }));
      const isCode = (code: number): boolean => code === 0x86 || code === 0x87;
      await bench.connectRefused(peer, 'credentials', { isCode, returnCodes: [4, 5] });
    },
  ),
  ...cases(
    ['MQTT-3.2.2-6', 'MQTT3-3.2.2-4'],
    'A refusal says Session Present 0 even when there is a session, and leaves the session alone',
    async (bench) => {
      bench.needs('rejected', 'of credentials that are refused');
      const { username, password } = bench.facts.rejected as NonNullable<typeof bench.facts.rejected>;
      const clientId = bench.clientId();
      const owner = await bench.client({ clientId, durable: true });
      const stranger = bench.open();
      const secret = new TextEncoder().encode(password);
      stranger.send(bench.connectPacket({ clientId, durable: true, username, password: secret }));
      await bench.connectRefused(stranger, 'credentials', { returnCodes: [4, 5] });
      await owner.ping();
      owner.expectNothing('the connected owner of the session to stay');
    },
  ),
  ...cases(
    ['MQTT-3.1.4-6', 'MQTT3-3.1.4-5'],
    'What follows a refused CONNECT in the same segment has no effect',
    async (bench) => {
      const topic = bench.retainedTopic();
      const watcher = await bench.subscriber(topic, 0);
      const refused: Record<string, Uint8Array> = {
        'reserved flag': connectBytes(bench.version, bench.clientId(), { flags: 0x03 }),
        'no client id': connectBytes(bench.version, '', { payload: [] }),
        'unknown level': connectBytes(bench.version, bench.clientId(), { level: 9 }),
      };
      await bench.each(Object.entries(refused), async ([what, connect]) => {
        const peer = bench.open();
        const publish = frame(0x31, field(topic), none(bench.version), [1]);
        peer.sendBytes([...connect, ...publish]);
        await refusedInSomeForm(peer, what);
      });
      await bench.silence(watcher);
      const late = await bench.subscriber(topic, 0);
      await bench.silence(late);
    },
  ),
  ...cases(
    ['MQTT-3.2.0-1', 'MQTT3-3.2.0-1'],
    'CONNACK comes first, however much is waiting for the client',
    async (bench) => {
      bench.needsQoS(1);
      const topic = bench.topic();
      const clientId = bench.clientId();
      const first = await bench.subscriber(topic, 1, { clientId, durable: true });
      await first.drop();
      const publisher = await bench.client();
      for (let i = 0; i < 20; i++) await publisher.published(topic, `${i}`, { qos: 1 });
      let isFlooding = true;
      const flood = (async () => {
        for (let i = 20; isFlooding; i++) await publisher.published(topic, `${i}`, { qos: 1 });
      })();
      for (let round = 0; round < 5; round++) {
        const again = await bench.client({ clientId, durable: true });
        expectEqual(again.connack?.type, 2, 'first packet');
        await again.takePublish();
        await again.drop();
      }
      isFlooding = false;
      await flood;
    },
  ),
  ...cases('MQTT-3.2.0-2', 'There is one CONNACK a connection', async (bench) => {
    const topic = bench.topic();
    const peer = await bench.subscriber(topic, 0);
    await peer.published(topic, 'x');
    await peer.takePublish();
    await peer.unsubscribe(topic);
    await bench.silence(peer);
  }),
  ...cases(
    ['5.0/3.1.4 pipelining', 'MQTT3-3.1.4-4 pipelining'],
    'Packets behind CONNECT, sent before CONNACK, are served in order',
    async (bench) => {
      const topic = bench.topic();
      const peer = bench.open();
      peer.send(bench.connectPacket(), subscribePacket(1, topic), publishPacket(topic, 'x'), { type: 12 });
      const { packet } = await peer.takeFirst('CONNACK');
      expectEqual(packet.type, 2, 'first packet');
      await peer.take(9, 'SUBACK');
      await peer.takePublish();
      await peer.take(13, 'PINGRESP');
      peer.expectNothing();
    },
  ),
];

type Bench = Parameters<Case['run']>[0];
type Peer = ReturnType<Bench['open']>;

async function emptyIdClient(bench: Bench, expiry = 0): Promise<Peer> {
  const peer = bench.open();
  const options = { clientId: '', cleanStart: true, ...(bench.version === 5 && expiry > 0 && { expiry }) };
  peer.send(bench.connectPacket(options));
  const { packet } = await peer.takeFirst('CONNACK');
  if (packet.type !== 2 || packet.reasonCode !== 0)
    throw new Mismatch('CONNACK 0x00 for an empty client id', words(packet));
  peer.connack = packet;
  return peer;
}

/** A client whose CONNECT had a user name and a password, if the broker lets any in, and that is then lost. */
async function withAllFields(bench: Bench, packet: ConnectPacket): Promise<void> {
  const secret = { username: 'user', password: new TextEncoder().encode('secret') };
  const peer = bench.open();
  peer.send({ ...secret, ...packet });
  const answer = await peer.takeOrEnd('CONNACK');
  const isAccepted = answer?.type === 2 && answer.reasonCode === 0;
  const isUnknown = answer?.type === 2 && [4, 5, 0x86, 0x87].includes(answer.reasonCode);
  if (isAccepted) return peer.drop();
  // Read rightly, and not liked: then who is allowed without a name has to do.
  expectTrue(isUnknown, 'CONNACK 0x00, or a refusal of the user name', answer);
  const other = await bench.client({ will: packet.will as Will });
  await other.drop();
}

/** Refused by CONNACK in the form of 5.0 or of 3.x, or by a close: the broker cannot know what the client would read. */
async function refusedInSomeForm(peer: Peer, what: string | number): Promise<void> {
  const expected = `CONNECT to be refused: ${what}`;
  await peer.over(expected).catch((error) => {
    // A CONNACK in the other version's form does not decode: its bytes are what counts.
    const last = peer.log.at(-1) ?? '';
    if (!/^< 20 [0-9a-f]{2} 00 (01|02|8[0-9a-f])/.test(last)) throw error;
  });
  const packets = peer.log.filter((line) => line.startsWith('< '));
  const isRefusal =
    packets.length === 0 || (packets.length === 1 && /^< 20 [0-9a-f]{2} 00 (?!00)/.test(packets[0] as string));
  expectTrue(isRefusal, expected, packets);
}
