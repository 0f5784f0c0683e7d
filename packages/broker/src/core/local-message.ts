/**
 * Messages as in-process code writes and reads them: properties as objects, payloads of its own.
 */

import { type PublishProperties, type QoS, ReasonCode } from '@pipit/protocol';
import { Message } from './message.ts';
import { decodePropertyBlock, encodePropertyBlock } from './property-block.ts';
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

export function toLocalMessage(message: Message, qos: QoS, retain: boolean): LocalMessage {
  return {
    topic: message.topic.name,
    payload: message.bytes.slice(message.payloadStart, message.payloadEnd),
    qos,
    retain,
    properties: message.propertiesLength === 0 ? {} : propertiesOf(message),
    clientId: message.publisher,
  };
}

function propertiesOf({ bytes, propertiesStart, propertiesEnd }: Message): PublishProperties {
  return decodePropertyBlock(bytes.subarray(propertiesStart, propertiesEnd));
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
  const { block, expiryAt, expirySeconds } = encodePropertyBlock(properties);
  const bytes = new Uint8Array(block.length + payload.length);
  bytes.set(block);
  bytes.set(payload, block.length);
  message.own(bytes, block.length);
  if (expiryAt >= 0) {
    message.expiryAt = expiryAt;
    message.expiresAt = state.now + expirySeconds * 1000;
  }
  return message;
}
