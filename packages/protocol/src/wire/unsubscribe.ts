/** UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11). As in SUBSCRIBE, a bad filter is no error of the packet. */
import type { AckProperties } from './ack.ts';
import type { ProtocolVersion } from './fixed-header.ts';
import { fixedFlags } from './fixed-header.ts';
import * as PacketType from './packet-types.ts';
import { readProperties, writeProperties } from './property.ts';
import type { PropertyValues } from './property-table.ts';
import type { Reader } from './reader.ts';
import { reasonCodeAllowed } from './reason-code-table.ts';
import * as ReasonCode from './reason-codes.ts';
import { topicFilterProblem } from './topic.ts';
import { Writer } from './writer.ts';

export type UnsubscribeProperties = Pick<PropertyValues, 'userProperties'>;

export interface UnsubscribePacket {
  type: typeof PacketType.Unsubscribe;
  packetId: number;
  filters: string[];
  properties?: UnsubscribeProperties;
}

export interface UnsubackPacket {
  type: typeof PacketType.Unsuback;
  packetId: number;
  /** One for each filter, in their order; empty before 5.0. */
  reasonCodes: number[];
  properties?: AckProperties;
}

export function decodeUnsubscribe(reader: Reader, version: ProtocolVersion): UnsubscribePacket {
  const packet: UnsubscribePacket = { type: PacketType.Unsubscribe, packetId: reader.packetId(), filters: [] };
  if (version === 5) {
    const properties = readProperties(reader, PacketType.Unsubscribe, 'client');
    if (properties !== undefined) packet.properties = properties;
  }
  if (reader.left === 0) reader.fail(ReasonCode.ProtocolError, 'there is no Topic Filter'); // [MQTT-3.10.3-2]
  while (reader.left > 0) packet.filters.push(reader.string('Topic Filter')); // [MQTT-3.10.3-1]
  return packet;
}

export function encodeUnsubscribe(packet: UnsubscribePacket, version: ProtocolVersion): Uint8Array {
  const { packetId, filters, properties } = packet;
  const writer = new Writer('UNSUBSCRIBE', 64);
  if (filters.length === 0) writer.fail(ReasonCode.ProtocolError, 'there is no Topic Filter'); // [MQTT-3.10.3-2]
  writer.packetId(packetId);
  writeProperties(writer, version, PacketType.Unsubscribe, 'client', properties);
  for (const filter of filters) {
    const problem = topicFilterProblem(filter, Number.POSITIVE_INFINITY);
    if (problem !== undefined) writer.fail(ReasonCode.TopicFilterInvalid, problem);
    writer.string(filter, 'Topic Filter');
  }
  return writer.finish((PacketType.Unsubscribe << 4) | fixedFlags(PacketType.Unsubscribe));
}

export function decodeUnsuback(reader: Reader, version: ProtocolVersion): UnsubackPacket {
  const packet: UnsubackPacket = { type: PacketType.Unsuback, packetId: reader.packetId(), reasonCodes: [] };
  if (version === 5) {
    const properties = readProperties(reader, PacketType.Unsuback, 'server');
    if (properties !== undefined) packet.properties = properties;
    if (reader.left === 0) reader.fail(ReasonCode.ProtocolError, 'there is no Reason Code');
    while (reader.left > 0) packet.reasonCodes.push(decodeReasonCode(reader));
  }
  reader.expectEnd();
  return packet;
}

function decodeReasonCode(reader: Reader): number {
  const code = reader.uint8('Reason Code');
  if (!reasonCodeAllowed(code, PacketType.Unsuback, 'server')) {
    reader.fail(ReasonCode.ProtocolError, `Reason Code ${code} is not one of UNSUBACK's`, reader.at - 1); // [MQTT-3.11.3-2]
  }
  return code;
}

export function encodeUnsuback(packet: UnsubackPacket, version: ProtocolVersion): Uint8Array {
  const { packetId, reasonCodes, properties } = packet;
  const writer = new Writer('UNSUBACK', 8 + reasonCodes.length);
  if (version === 5 && reasonCodes.length === 0) writer.fail(ReasonCode.ProtocolError, 'there is no Reason Code');
  if (version !== 5 && reasonCodes.length > 0) {
    writer.fail(ReasonCode.MalformedPacket, 'reason codes exist since 5.0 only');
  }
  writer.packetId(packetId);
  writeProperties(writer, version, PacketType.Unsuback, 'server', properties);
  for (const code of reasonCodes) {
    if (!reasonCodeAllowed(code, PacketType.Unsuback, 'server')) {
      writer.fail(ReasonCode.ProtocolError, `Reason Code ${code} is not one of UNSUBACK's`);
    }
    writer.uint8(code, 'Reason Code');
  }
  return writer.finish(PacketType.Unsuback << 4);
}
