/** Strings, integers and properties as such: sections 1.5 and 2.2.2. */
import { connectBytes, orCode } from '../bench.ts';
import { type Bytes, field, frame, hex, properties, uint16 } from '../bytes.ts';
import { type Case, cases } from '../case.ts';
import { expectEqual } from '../outcome.ts';
import { subscribePacket, textOf } from '../peer.ts';

/** Sequences of bytes that are not UTF-8. */
const notUtf8: Readonly<Record<string, Bytes>> = {
  'a surrogate (ED A0 80)': hex('61 ED A0 80'),
  'an over-long slash (C0 AF)': hex('C0 AF'),
  'a lone continuation byte (80)': hex('61 80'),
  'a code point above U+10FFFF (F5 80 80 80)': hex('F5 80 80 80'),
  'a cut sequence (E2 82)': hex('61 E2 82'),
};
const withNull: Readonly<Record<string, Bytes>> = { 'U+0000': hex('61 00 62') };

const none = (version: number): number[] => (version === 5 ? hex('00') : []);

/** The string in a client id, user name, will topic, topic and filter, each in a packet that is legal otherwise. */
function inPackets(
  version: 4 | 5,
  id: string,
  place: string,
  texts: Readonly<Record<string, Bytes>>,
): Record<string, Bytes> {
  const packetOf = (text: Bytes): Bytes => {
    switch (place) {
      case 'client-id':
        return connectBytes(version, '', { payload: field(text) });
      case 'user-name':
        return connectBytes(version, '', { flags: 0x82, payload: [...field(id), ...field(text)] });
      case 'will-topic':
        return connectBytes(version, '', {
          flags: 0x06,
          payload: [...field(id), ...none(version), ...field(text), ...field('will')],
        });
      case 'topic':
        return frame(0x30, field(text), none(version), [1]);
      case 'subscribe':
        return frame(0x82, uint16(1), none(version), field(text), [0]);
      default:
        return frame(0xa2, uint16(1), none(version), field(text));
    }
  };
  return Object.fromEntries(Object.entries(texts).map(([what, text]) => [`${what} as ${place}`, packetOf(text)]));
}

const isCode = orCode(0x85, 0x86, 0x8f, 0x90, 0x99);
const refusingAck = (packet: { type: number; reasonCodes?: number[] }): boolean =>
  (packet.type === 9 || packet.type === 11) && packet.reasonCodes?.every((code) => code >= 0x80) === true;

/** CONNECT: in 3.1.1 a bad client id may also be answered by return code 2. */
function connectText(
  ids: string[],
  place: string,
  what: 'UTF-8' | 'U+0000',
  texts: Readonly<Record<string, Bytes>>,
): Case[] {
  return cases(ids, `Text that is not legal (${what}) is refused: ${place}`, (bench) => {
    const version = bench.version === 5 ? 5 : 4;
    const returnCodes = place === 'client-id' ? [2] : place === 'user-name' ? [4, 5] : [];
    return bench.refusesConnect(inPackets(version, bench.clientId(), place, texts), { isCode, returnCodes });
  });
}

function packetText(
  ids: string[],
  place: string,
  what: 'UTF-8' | 'U+0000',
  texts: Readonly<Record<string, Bytes>>,
): Case[] {
  return cases(ids, `Text that is not legal (${what}) is refused: ${place}`, (bench) => {
    const version = bench.version === 5 ? 5 : 4;
    const isAnswer = version === 5 ? refusingAck : undefined;
    return bench.refuses(inPackets(version, '', place, texts), { isCode, ...(isAnswer && { isAnswer }) });
  });
}

export const textCases: readonly Case[] = [
  ...connectText(
    ['MQTT-1.5.4-1 client-id', 'MQTT-3.1.3-4', 'MQTT3-1.5.3-1 client-id', 'MQTT3-3.1.3-4'],
    'client-id',
    'UTF-8',
    notUtf8,
  ),
  ...connectText(
    ['MQTT-1.5.4-2 client-id', 'MQTT-3.1.3-4 null', 'MQTT3-1.5.3-2 client-id', 'MQTT3-3.1.3-4 null'],
    'client-id',
    'U+0000',
    withNull,
  ),
  ...connectText(['MQTT-3.1.3-12', 'MQTT-1.5.4-1 user-name', 'MQTT3-3.1.3-11'], 'user-name', 'UTF-8', notUtf8),
  ...connectText(
    ['MQTT-3.1.3-12 null', 'MQTT-1.5.4-2 user-name', 'MQTT3-3.1.3-11 null'],
    'user-name',
    'U+0000',
    withNull,
  ),
  ...connectText(['MQTT-3.1.3-11', 'MQTT3-3.1.3-10'], 'will-topic', 'UTF-8', notUtf8),
  ...connectText(['MQTT-3.1.3-11 null', 'MQTT3-3.1.3-10 null'], 'will-topic', 'U+0000', withNull),
  ...packetText(
    ['MQTT-3.3.2-1', 'MQTT-1.5.4-1 topic', 'MQTT3-3.3.2-1', 'MQTT3-1.5.3-1 topic'],
    'topic',
    'UTF-8',
    notUtf8,
  ),
  ...packetText(
    ['MQTT-1.5.4-2 topic', 'MQTT-4.7.3-2 topic', 'MQTT3-1.5.3-2 topic', 'MQTT3-4.7.3-2 topic'],
    'topic',
    'U+0000',
    withNull,
  ),
  ...packetText(['MQTT-3.8.3-1', 'MQTT3-3.8.3-1'], 'subscribe', 'UTF-8', notUtf8),
  ...packetText(
    ['MQTT-4.7.3-2 filter', 'MQTT-3.8.3-1 null', 'MQTT3-4.7.3-2 filter', 'MQTT3-3.8.3-1 null'],
    'subscribe',
    'U+0000',
    withNull,
  ),
  ...packetText(['MQTT-3.10.3-1', 'MQTT3-3.10.3-1'], 'unsubscribe', 'UTF-8', notUtf8),
  ...packetText(['MQTT-3.10.3-1 null', 'MQTT3-3.10.3-1 null'], 'unsubscribe', 'U+0000', withNull),
  ...cases(
    ['MQTT-3.3.2-1 length', 'MQTT3-3.3.2-1 length'],
    'A topic that is longer than its packet is refused',
    (bench) => bench.refuses({ 'a topic of 9 in a packet of 5 bytes': frame(0x30, uint16(9), hex('61 62 63')) }),
  ),
  ...cases(
    ['MQTT-1.5.4-3', 'MQTT3-1.5.3-3'],
    'EF BB BF is a character like any other: neither stripped nor skipped',
    async (bench) => {
      const plain = bench.topic('a');
      const marked = `\uFEFF${plain}`;
      const inside = `${plain}/\uFEFF`;
      const subscriber = await bench.client();
      for (const filter of [plain, marked, inside]) await subscriber.subscribed(filter, 0);
      const publisher = await bench.client();
      for (const topic of [marked, plain, inside]) publisher.sendPublish(topic, topic);
      const messages = await bench.received(subscriber, publisher);
      expectEqual(
        messages.map(({ topic }) => topic),
        [marked, plain, inside],
        'topics',
      );
    },
  ),
  ...cases(
    'MQTT-1.5.5-1',
    'A Variable Byte Integer of more than four bytes, or over-long, is refused',
    async (bench) => {
      const filter = field(bench.topic());
      await bench.refuses({
        'a Property Length of five bytes': frame(0x82, uint16(1), hex('80 80 80 80 00'), filter, [0]),
        'a Subscription Identifier of five bytes': frame(0x82, uint16(1), hex('06 0B 81 80 80 80 01'), filter, [0]),
        'a Remaining Length of five bytes': hex('C0 80 80 80 80 00'),
      });
    },
  ),
  ...cases('MQTT-1.5.5-1 sent', 'Lengths the broker sends are of the fewest bytes, at every size', async (bench) => {
    const topic = bench.topic();
    const subscriber = await bench.subscriber(topic, 0);
    const publisher = await bench.client();
    // The codec of the suite refuses an over-long length, so that receiving each is the proof.
    for (const size of [0, 1, 100, 127, 128, 16_300, 16_384]) {
      publisher.sendPublish(topic, new Uint8Array(size));
      expectEqual((await subscriber.takePublish()).payload.length, size, 'payload bytes');
    }
    await bench.silence(subscriber, publisher);
  }),
  ...cases('MQTT-1.5.7-1', 'Name and value of a User Property must be legal text', async (bench) => {
    const good = field('ok');
    const pair = (name: Bytes, value: Bytes): number[] => properties([0x26], name, value);
    const inPublish = (list: Bytes): Uint8Array => frame(0x30, field(bench.topic()), list, [1]);
    await bench.refuses(
      {
        'a name of FF FE': inPublish(pair(field(hex('FF FE')), good)),
        'a value of FF FE': inPublish(pair(good, field(hex('FF FE')))),
        'a name with U+0000': inPublish(pair(field(hex('61 00')), good)),
        'a value with U+0000': inPublish(pair(good, field(hex('61 00')))),
        'a surrogate in a value': inPublish(pair(good, field(hex('ED B0 80')))),
      },
      { isCode },
    );
  }),
  ...cases('MQTT-2.2.2-1', 'A packet without its Property Length is refused', async (bench) => {
    await bench.refuses({
      'PUBLISH that ends behind its topic': frame(0x30, field(bench.topic())),
      'SUBSCRIBE without properties': frame(0x82, uint16(1)),
      'UNSUBSCRIBE without properties': frame(0xa2, uint16(1)),
    });
    await bench.refusesConnect({
      'CONNECT of 3.1.1 form at level 5': frame(0x10, field('MQTT'), hex('05 02 00 3C')),
    });
  }),
  ...cases(
    'MQTT-2.2.2-1 sent',
    'CONNACK, PUBLISH, SUBACK and UNSUBACK always have a Property Length',
    async (bench) => {
      const topic = bench.topic();
      const client = bench.open();
      client.send(bench.connectPacket());
      const { bytes } = await client.takeFirst('CONNACK');
      // Behind two bytes of flags and code there is a length that counts the rest.
      const length = bytes.length - 5;
      if (length < 128) expectEqual(bytes[4], length, 'Property Length of CONNACK');
      await client.subscribed(topic, 0);
      client.sendPublish(topic, '');
      const message = await client.takeFirst('PUBLISH');
      expectEqual(message.bytes.length, 2 + 2 + topic.length + 1, 'bytes of a PUBLISH without properties or payload');
      await client.unsubscribe(topic);
      await bench.silence(client);
    },
  ),
  ...cases(['MQTT-3.3.2-13'], 'A Response Topic must be legal text', (bench) =>
    bench.refuses(badProperty(bench.topic(), 0x08), { isCode }),
  ),
  ...cases(['MQTT-3.3.2-19'], 'A Content Type must be legal text', (bench) =>
    bench.refuses(badProperty(bench.topic(), 0x03), { isCode }),
  ),
  ...cases(
    ['MQTT-4.7.3-3', 'MQTT3-4.7.3-3'],
    'A topic and a filter of 65,535 bytes are served, or refused without harm',
    async (bench) => {
      const longest = bench.topic().padEnd(65_535, 'x');
      const client = await bench.client();
      client.send(subscribePacket(1, longest));
      const answer = await client.takeOrEnd('SUBACK or a close');
      if (answer?.type === 9 && answer.reasonCodes[0] === 0) {
        const publisher = await bench.client();
        publisher.sendPublish(longest, 'x');
        const message = await client.takePublish();
        expectEqual([message.topic.length, textOf(message)], [65_535, 'x'], 'length of the topic, and payload');
      }
      const other = await bench.client();
      await other.ping();
    },
  ),
];

function badProperty(topic: string, id: number): Record<string, Bytes> {
  return Object.fromEntries(
    Object.entries({ ...notUtf8, ...withNull }).map(([what, text]) => [
      what,
      frame(0x30, field(topic), properties([id], field(text)), [1]),
    ]),
  );
}
