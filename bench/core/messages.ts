/** What a message costs the core alone, from the bytes of its PUBLISH to the bytes of its delivery, acknowledgements included. */

import { encodePacket, PacketType, type ProtocolVersion, type QoS, viewOf } from '@pipit/protocol';
import { BenchCore, type Chunk, chunkOf, cpuUs, least } from './bench-core.ts';
import { type Finding, finding } from './finding.ts';

/** In one chunk, and so in flight at once. The 65,535 packet ids are 1,285 times as many, so that none of a chunk's wrap around. */
const messages = 51;
const chunksOfIds = 65_535 / messages;
const turns = 2000;
const rounds = 15;
const fanOut = 500;

interface Shape {
  readonly qos: QoS;
  readonly version: ProtocolVersion;
  readonly subscribers: number;
  readonly userProperties?: number;
}

export function measureMessages(): Finding[] {
  return [
    finding('1 → 1, QoS 0', cost({ qos: 0, version: 4, subscribers: 1 }), 'ns'),
    finding('1 → 1, QoS 1', cost({ qos: 1, version: 4, subscribers: 1 }), 'ns'),
    finding('1 → 1, QoS 2', cost({ qos: 2, version: 4, subscribers: 1 }), 'ns'),
    finding('1 → 1, QoS 1, MQTT 5', cost({ qos: 1, version: 5, subscribers: 1 }), 'ns'),
    finding(
      '1 → 1, QoS 1, MQTT 5, 3 User Properties',
      cost({ qos: 1, version: 5, subscribers: 1, userProperties: 3 }),
      'ns',
    ),
    finding('1 → 500, QoS 0, each delivery', cost({ qos: 0, version: 4, subscribers: fanOut }) / fanOut, 'ns'),
    finding('1 → 500, QoS 1, each delivery', cost({ qos: 1, version: 4, subscribers: fanOut }) / fanOut, 'ns'),
  ];
}

/** CPU nanoseconds of one PUBLISH with all that follows from it. */
function cost(shape: Shape): number {
  const { qos, version, subscribers } = shape;
  const bench = new BenchCore();
  const publisher = bench.connect('publisher', version);
  const readers = Array.from({ length: subscribers }, (_, i) => bench.connect(`subscriber-${i}`, version));
  for (const reader of readers) bench.subscribe(reader, ['bench/topic'], qos);
  bench.settle();
  const published = publishes(shape);
  const released = acknowledgements(PacketType.Pubrel, 0);
  const answers = (type: AckType) => Array.from({ length: chunksOfIds }, (_, i) => acknowledgements(type, i));
  const steps =
    qos === 0 ? [] : (qos === 1 ? [PacketType.Puback] : [PacketType.Pubrec, PacketType.Pubcomp]).map(answers);
  let turn = 0;
  const publish = (): void => {
    bench.received(publisher, published);
    if (qos === 2) bench.received(publisher, released);
    for (const step of steps) {
      for (const reader of readers) bench.put(reader, step[turn % chunksOfIds] as Chunk);
      bench.turn();
    }
    turn++;
  };
  const count = Math.ceil(turns / Math.sqrt(subscribers));
  const us = least(rounds, () =>
    cpuUs(() => {
      for (let i = 0; i < count; i++) publish();
    }),
  );
  return (us * 1000) / (count * messages);
}

function publishes({ qos, version, userProperties = 0 }: Shape): Chunk {
  const properties = Array.from({ length: userProperties }, (_, i) => [`property-${i}`, `value of ${i}`] as const);
  const packets = Array.from({ length: messages }, (_, i) => {
    const packet = {
      type: PacketType.Publish,
      topic: 'bench/topic',
      payload: new Uint8Array(64),
      qos,
      retain: false,
      dup: false,
      packetId: qos === 0 ? 0 : i + 1,
    };
    return encodePacket(
      properties.length === 0 ? packet : { ...packet, properties: { userProperties: properties } },
      version,
      'client',
    );
  });
  return chunkOf(packets);
}

type AckType =
  | typeof PacketType.Puback
  | typeof PacketType.Pubrec
  | typeof PacketType.Pubrel
  | typeof PacketType.Pubcomp;

/** For the packet ids of the n-th chunk. */
function acknowledgements(type: AckType, chunk: number): Chunk {
  const bytes = new Uint8Array(messages * 4);
  const view = viewOf(bytes);
  const head = (type << 4) | (type === PacketType.Pubrel ? 2 : 0);
  for (let i = 0; i < messages; i++) view.setUint32(i * 4, (head << 24) | (2 << 16) | (chunk * messages + i + 1));
  return { bytes, view };
}
