/**
 * Messages as in-process code writes and reads them: properties as objects, payloads of its own.
 */

import {
  decodePacket,
  encodePacket,
  noBytes,
  PacketType,
  PublishFrame,
  type PublishPacket,
  type PublishProperties,
  type QoS,
  ReasonCode,
  viewOf,
} from '@pipit/protocol';
import { Message } from './message.ts';
import type { State } from './state.ts';
import { Violation } from './violation.ts';

/** A message as in-process code publishes it. Topic and properties must be legal; otherwise EncodeError or a Violation is thrown. */
export interface LocalPublish {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties?: PublishProperties;
  /** Publish in the name of this client: its No Local subscriptions do not get the message. */
  readonly clientId?: string;
}

/** A message as in-process code receives it. Payload and properties are its own. */
export interface LocalMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties: PublishProperties;
  /** The publisher's client id; null when it was not a connected client. */
  readonly clientId: string | null;
}

/** A topic of one byte, for packets that are made for their properties only. */
const anyTopic = 'x';
const anyTopicBytes = [0, 1, 0x78];

export function toLocalMessage(message: Message, qos: QoS, retain: boolean): LocalMessage {
  return {
    topic: message.topic.name,
    payload: message.bytes.slice(message.payloadStart, message.payloadEnd),
    qos,
    retain,
    properties: message.propertiesLength === 0 ? {} : decodeProperties(message),
    clientId: message.publisher,
  };
}

function decodeProperties(message: Message): PublishProperties {
  const block = message.bytes.subarray(message.propertiesStart, message.propertiesEnd);
  const body = [...anyTopicBytes, ...variableByteInteger(block.length)];
  const head = [PacketType.Publish << 4, ...variableByteInteger(body.length + block.length), ...body];
  const packet = new Uint8Array(head.length + block.length);
  packet.set(head);
  packet.set(block, head.length);
  return (decodePacket(packet, 0, packet.length, 5, 'client') as PublishPacket).properties ?? {};
}

function variableByteInteger(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}

/** Throws EncodeError on illegal properties, Violation on an illegal topic. */
export function toMessage(state: State, publish: LocalPublish): Message {
  const { qos, retain, payload, properties } = publish;
  const topic = state.topics.internName(publish.topic);
  if (topic === null) throw new Violation(ReasonCode.TopicNameInvalid, `'${publish.topic}' is not a topic name`);
  const message = new Message(topic);
  message.qos = qos;
  message.retain = retain;
  message.publisher = publish.clientId ?? null;
  const frame = new PublishFrame();
  let block = noBytes as Uint8Array;
  if (properties !== undefined) {
    const packet: PublishPacket = {
      type: PacketType.Publish,
      topic: anyTopic,
      payload: noBytes,
      qos: 0,
      retain: false,
      dup: false,
      packetId: 0,
      properties,
    };
    const bytes = encodePacket(packet, 5, 'client');
    let body = 1;
    while ((bytes[body++] as number) >= 0x80);
    frame.read(bytes, viewOf(bytes), 0, body, bytes.length, 5, 'client');
    block = bytes.subarray(frame.propertiesStart, frame.propertiesEnd);
  }
  const bytes = new Uint8Array(block.length + payload.length);
  bytes.set(block);
  bytes.set(payload, block.length);
  message.own(bytes, block.length);
  if (frame.messageExpiryAt >= 0) {
    message.expiryAt = frame.messageExpiryAt - frame.propertiesStart;
    message.expiresAt = state.now + frame.messageExpiryInterval * 1000;
  }
  return message;
}
