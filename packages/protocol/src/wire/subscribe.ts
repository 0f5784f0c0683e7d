/**
 * SUBSCRIBE and SUBACK (sections 3.8 and 3.9). A filter's text is only checked as a string when decoding: a bad filter
 * is answered in SUBACK, beside the good ones of the same packet.
 */

import type { AckProperties } from './ack.ts';
import type { ProtocolVersion, QoS } from './fixed-header.ts';
import { fixedFlags } from './fixed-header.ts';
import * as PacketType from './packet-types.ts';
import { readProperties, writeProperties } from './property.ts';
import type { PropertyValues } from './property-table.ts';
import type { Reader } from './reader.ts';
import { reasonCodeAllowed } from './reason-code-table.ts';
import * as ReasonCode from './reason-codes.ts';
import { isSharedFilter, topicFilterProblem } from './topic.ts';
import { Writer } from './writer.ts';

export type SubscribeProperties = Pick<PropertyValues, 'subscriptionIdentifier' | 'userProperties'>;

/** One filter and its options; all but `qos` are false or 0 before 5.0. */
export interface SubscriptionRequest {
  filter: string;
  qos: QoS;
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: 0 | 1 | 2;
}

export interface SubscribePacket {
  type: typeof PacketType.Subscribe;
  packetId: number;
  /** Empty only when a 3.1 client sent it so. */
  subscriptions: SubscriptionRequest[];
  properties?: SubscribeProperties;
}

export interface SubackPacket {
  type: typeof PacketType.Suback;
  packetId: number;
  /** One for each filter, in their order; before 5.0 the granted QoS or (3.1.1) 0x80. */
  reasonCodes: number[];
  properties?: AckProperties;
}

export function decodeSubscribe(reader: Reader, version: ProtocolVersion): SubscribePacket {
  const packet: SubscribePacket = { type: PacketType.Subscribe, packetId: reader.packetId(), subscriptions: [] };
  if (version === 5) {
    const properties = readProperties(reader, PacketType.Subscribe, 'client');
    if (properties !== undefined) packet.properties = properties;
  }
  // [MQTT-3.8.3-2]; MQTT 3.1 servers answer an empty SUBSCRIBE with an empty SUBACK.
  if (reader.left === 0 && version !== 3) reader.fail(ReasonCode.ProtocolError, 'there is no Topic Filter');
  while (reader.left > 0) packet.subscriptions.push(decodeSubscription(reader, version));
  return packet;
}

function decodeSubscription(reader: Reader, version: ProtocolVersion): SubscriptionRequest {
  const filter = reader.string('Topic Filter'); // [MQTT-3.8.3-1]
  const at = reader.at;
  const options = reader.uint8('Subscription Options');
  const qos = options & 3;
  const noLocal = (options & 0x04) !== 0;
  const retainHandling = (options >> 4) & 3;
  if (version === 5) {
    // [MQTT-3.8.3-5]
    if (options >= 0x40) reader.fail(ReasonCode.MalformedPacket, 'a reserved subscription option is set', at);
    if (qos === 3) reader.fail(ReasonCode.ProtocolError, 'requested QoS is 3', at);
    if (retainHandling === 3) reader.fail(ReasonCode.ProtocolError, 'Retain Handling is 3', at);
    // [MQTT-3.8.3-4]
    if (noLocal && isSharedFilter(filter))
      reader.fail(ReasonCode.ProtocolError, 'No Local on a Shared Subscription', at);
  } else if (options > 2) {
    reader.fail(ReasonCode.MalformedPacket, `requested QoS is ${options}`, at); // [MQTT3-3.8.3-4]
  }
  return {
    filter,
    qos: qos as QoS,
    noLocal,
    retainAsPublished: (options & 0x08) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  };
}

export function encodeSubscribe(packet: SubscribePacket, version: ProtocolVersion): Uint8Array {
  const { packetId, subscriptions, properties } = packet;
  const writer = new Writer('SUBSCRIBE', 64);
  if (subscriptions.length === 0) writer.fail(ReasonCode.ProtocolError, 'there is no Topic Filter'); // [MQTT-3.8.3-2]
  writer.packetId(packetId);
  writeProperties(writer, version, PacketType.Subscribe, 'client', properties);
  for (const subscription of subscriptions) encodeSubscription(writer, subscription, version);
  return writer.finish((PacketType.Subscribe << 4) | fixedFlags(PacketType.Subscribe));
}

function encodeSubscription(writer: Writer, subscription: SubscriptionRequest, version: ProtocolVersion): void {
  const { filter, qos, noLocal, retainAsPublished, retainHandling } = subscription;
  const fail = (problem: string): never => writer.fail(ReasonCode.ProtocolError, problem);
  const problem = topicFilterProblem(filter, Number.POSITIVE_INFINITY);
  if (problem !== undefined) writer.fail(ReasonCode.TopicFilterInvalid, problem);
  if (qos !== 0 && qos !== 1 && qos !== 2) fail(`requested QoS is ${qos as number}`);
  if (retainHandling !== 0 && retainHandling !== 1 && retainHandling !== 2) {
    fail(`Retain Handling is ${retainHandling as number}`);
  }
  if (noLocal && isSharedFilter(filter)) fail('No Local on a Shared Subscription'); // [MQTT-3.8.3-4]
  if (version !== 5 && (noLocal || retainAsPublished || retainHandling !== 0)) {
    writer.fail(ReasonCode.MalformedPacket, 'subscription options other than QoS exist since 5.0 only');
  }
  writer.string(filter, 'Topic Filter');
  const options = qos | (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0) | (retainHandling << 4);
  writer.uint8(options, 'Subscription Options');
}

function subackCodeAllowed(code: number, version: ProtocolVersion): boolean {
  if (version === 5) return reasonCodeAllowed(code, PacketType.Suback, 'server'); // [MQTT-3.9.3-2]
  return code === 0 || code === 1 || code === 2 || (code === 0x80 && version === 4); // [MQTT3-3.9.3-2]
}

export function decodeSuback(reader: Reader, version: ProtocolVersion): SubackPacket {
  const packet: SubackPacket = { type: PacketType.Suback, packetId: reader.packetId(), reasonCodes: [] };
  if (version === 5) {
    const properties = readProperties(reader, PacketType.Suback, 'server');
    if (properties !== undefined) packet.properties = properties;
  }
  if (reader.left === 0 && version !== 3) reader.fail(ReasonCode.ProtocolError, 'there is no Reason Code');
  while (reader.left > 0) {
    const code = reader.uint8('Reason Code');
    if (!subackCodeAllowed(code, version)) {
      reader.fail(ReasonCode.ProtocolError, `Reason Code ${code} is not one of SUBACK's`, reader.at - 1);
    }
    packet.reasonCodes.push(code);
  }
  return packet;
}

export function encodeSuback(packet: SubackPacket, version: ProtocolVersion): Uint8Array {
  const { packetId, reasonCodes, properties } = packet;
  const writer = new Writer('SUBACK', 8 + reasonCodes.length);
  if (reasonCodes.length === 0 && version !== 3) writer.fail(ReasonCode.ProtocolError, 'there is no Reason Code');
  writer.packetId(packetId);
  writeProperties(writer, version, PacketType.Suback, 'server', properties);
  for (const code of reasonCodes) {
    if (!subackCodeAllowed(code, version)) {
      writer.fail(ReasonCode.ProtocolError, `Reason Code ${code} is not one of SUBACK's`);
    }
    writer.uint8(code, 'Reason Code');
  }
  return writer.finish(PacketType.Suback << 4);
}
