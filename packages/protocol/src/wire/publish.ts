/** PUBLISH (section 3.3) as an object. What lies where in its bytes, and the rules of that, are publish-frame.ts. */
import { viewOf } from './bytes.ts';
import type { ProtocolVersion, QoS, Sender } from './fixed-header.ts';
import { dupFlag, retainFlag } from './fixed-header.ts';
import * as PacketType from './packet-types.ts';
import { readProperties, writeProperties } from './property.ts';
import type { PropertyValues } from './property-table.ts';
import { PublishFrame } from './publish-frame.ts';
import type { Reader } from './reader.ts';
import * as ReasonCode from './reason-codes.ts';
import { topicNameProblem } from './topic.ts';
import { isUtf8 } from './utf8.ts';
import { Writer } from './writer.ts';

export type PublishProperties = Pick<
  PropertyValues,
  | 'payloadFormatIndicator'
  | 'messageExpiryInterval'
  | 'topicAlias'
  | 'responseTopic'
  | 'correlationData'
  | 'userProperties'
  | 'subscriptionIdentifiers'
  | 'contentType'
>;

export interface PublishPacket {
  type: typeof PacketType.Publish;
  /** Empty only in 5.0, where `topicAlias` then stands for it. */
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  dup: boolean;
  /** 0 with QoS 0. */
  packetId: number;
  properties?: PublishProperties;
}

/** `reader` stands at the first byte of the body. */
export function decodePublish(reader: Reader, version: ProtocolVersion, sender: Sender): PublishPacket {
  const { bytes, start, at, end } = reader;
  const frame = new PublishFrame();
  frame.read(bytes, viewOf(bytes), start, at, end, version, sender);
  const topic = reader.string('Topic Name'); // [MQTT-3.3.2-1]
  if (topic !== '') {
    const problem = topicNameProblem(topic, Number.POSITIVE_INFINITY);
    if (problem !== undefined) reader.fail(ReasonCode.TopicNameInvalid, problem, frame.topicStart); // [MQTT-3.3.2-2]
  }
  const packet: PublishPacket = {
    type: PacketType.Publish,
    topic,
    payload: bytes.slice(frame.payloadStart, end),
    qos: frame.qos,
    retain: frame.retain,
    dup: frame.dup,
    packetId: frame.packetId,
  };
  if (version === 5) {
    reader.at = frame.packetIdAt < 0 ? frame.topicEnd : frame.packetIdAt + 2;
    const properties = readProperties(reader, PacketType.Publish, sender);
    if (properties !== undefined) packet.properties = properties;
  }
  return packet;
}

export function encodePublish(packet: PublishPacket, version: ProtocolVersion, sender: Sender): Uint8Array {
  const { topic, payload, qos, retain, dup, packetId, properties } = packet;
  const writer = new Writer('PUBLISH', 32 + topic.length + payload.length);
  checkPacket(writer, packet, version, sender);
  writer.string(topic, 'Topic Name');
  if (qos !== 0) writer.packetId(packetId);
  writeProperties(writer, version, PacketType.Publish, sender, properties);
  writer.raw(payload, 'the payload');
  return writer.finish((PacketType.Publish << 4) | (dup ? dupFlag : 0) | (qos << 1) | (retain ? retainFlag : 0));
}

function checkPacket(writer: Writer, packet: PublishPacket, version: ProtocolVersion, sender: Sender): void {
  const { topic, payload, qos, dup, packetId, properties } = packet;
  const malformed = (problem: string): never => writer.fail(ReasonCode.MalformedPacket, problem);
  if (qos !== 0 && qos !== 1 && qos !== 2) malformed(`QoS is ${qos as number}`); // [MQTT-3.3.1-4]
  if (qos === 0 && dup) malformed('DUP with QoS 0'); // [MQTT-3.3.1-2]
  if (qos === 0 && packetId !== 0) malformed('Packet Identifier with QoS 0'); // [MQTT-2.2.1-2]
  if (topic !== '') {
    const problem = topicNameProblem(topic, Number.POSITIVE_INFINITY);
    if (problem !== undefined) writer.fail(ReasonCode.TopicNameInvalid, problem); // [MQTT-3.3.2-2]
  } else if (version !== 5) {
    malformed('Topic Name is empty'); // [MQTT3-4.7.3-1]
  } else if (properties?.topicAlias === undefined) {
    writer.fail(ReasonCode.ProtocolError, 'Topic Name is empty and there is no Topic Alias');
  }
  // Section 3.3.2.3.2 binds who makes the message; a server forwards the indicator unchanged [MQTT-3.3.2-4].
  if (sender === 'client' && properties?.payloadFormatIndicator === 1 && !isUtf8(payload, 0, payload.length, true)) {
    writer.fail(ReasonCode.PayloadFormatInvalid, 'the payload is not the UTF-8 its Payload Format Indicator promises');
  }
}
