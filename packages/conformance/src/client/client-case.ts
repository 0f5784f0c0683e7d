/** What a client case is, and the few steps that its families share. */
import { encodeUtf8, PacketType, type ProtocolVersion, type PublishPacket, type QoS } from '@pipit/protocol';
import { statementOf, versionOf } from '../case.ts';
import type { Peer } from '../peer.ts';
import type { ClientBench } from './client-bench.ts';
import type { ClientUnderTest } from './client-under-test.ts';

export interface ClientCase {
  readonly id: string;
  readonly title: string;
  readonly version: ProtocolVersion;
  readonly statements: readonly string[];
  /** Moves tens of thousands of messages: it may take much longer than others. */
  readonly isLong: boolean;
  /** Throws a Mismatch or NotApplicable. */
  readonly run: (bench: ClientBench) => Promise<void>;
}

/** One case for each version among `ids`; the first id of a version names the case, all of them are shown by it. */
export function clientCases(
  ids: string | readonly string[],
  title: string,
  run: ClientCase['run'],
  { isLong = false } = {},
): ClientCase[] {
  const all = typeof ids === 'string' ? [ids] : ids;
  return [...new Set(all.map(versionOf))].map((version) => {
    const own = all.filter((id) => versionOf(id) === version);
    return { id: own[0] as string, title, version, statements: own.map(statementOf), isLong, run };
  });
}

export const text = (value: string): Uint8Array => encodeUtf8(value);

/** Asks for a publish whose end nobody waits for: the server decides when it ends, if ever. */
export function publishing(client: ClientUnderTest, topic: string, payload: string, qos: QoS, retain = false): void {
  client.publish(topic, text(payload), { qos, retain }).catch(() => {});
}

export async function takePublishes(peer: Peer, count: number): Promise<PublishPacket[]> {
  const packets: PublishPacket[] = [];
  for (let i = 0; i < count; i++) packets.push(await peer.takePublish(`PUBLISH ${i + 1} of ${count}`));
  return packets;
}

/** Publishes at QoS 1 and subscribes, with a server that answers. */
export async function roundTrip(client: ClientUnderTest, peer: Peer): Promise<void> {
  const published = client.publish('t', text('x'), { qos: 1 });
  const { packetId } = await peer.takePublish();
  peer.ack(PacketType.Puback, packetId);
  await published;
  const subscribed = client.subscribe('t', 0);
  const subscribe = await peer.take(PacketType.Subscribe, 'SUBSCRIBE');
  peer.send({ type: PacketType.Suback, packetId: subscribe.packetId, reasonCodes: [0] });
  await subscribed;
}
