/**
 * The packets that a client sends, written into its output. Throws MqttError for what MQTT forbids, and has then written nothing; false
 * stands for a packet larger than the server takes. Acknowledgements that say yes and most PUBLISHes are written by the output itself.
 */
import {
  isSharedFilter,
  type PropertyValues,
  type PublishProperties,
  reasonCodeAllowed,
  type PacketType as Type,
  topicNameProblem,
  willPlace,
} from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import type { Outgoing } from './call.ts';
import { checkedInteger, notAllowed } from './failure.ts';
import type { Interest, UnsubscribeCall } from './interests.ts';
import type { ReasonProperties } from './message.ts';
import type { CoreOptions } from './options.ts';
import { type Output, publishByte } from './output.ts';
import { writeProperties } from './properties.ts';
import type { SentTopic } from './sent-topics.ts';
import { decodeText } from './text.ts';

const usernameFlag = 0x80;
const passwordFlag = 0x40;
const willRetainFlag = 0x20;
const willFlag = 0x04;
const cleanStartFlag = 0x02;

/** CONNECT for a client id, with or without the session the server may have. */
export function writeConnect(output: Output, options: CoreOptions, clientId: string, cleanStart: boolean): void {
  const { version, username, password, will } = options;
  if (version === 4 && password !== null && username === null) throw notAllowed('Password without User Name'); // [MQTT3-3.1.2-22]
  if (version === 4 && clientId === '' && !cleanStart) throw notAllowed('Client Identifier is empty'); // [MQTT3-3.1.3-7]
  output.packet(PacketType.Connect << 4, () => {
    output.string('MQTT', 'Protocol Name'); // [MQTT-3.1.2-1]
    output.uint8(version);
    output.uint8(connectFlags(options, cleanStart));
    output.uint16(checkedInteger(options.keepAliveSeconds, 0, 0xffff, 'Keep Alive'));
    writeProperties(output, version, PacketType.Connect, version === 5 ? connectProperties(options) : {});
    output.string(clientId, 'Client Identifier'); // [MQTT-3.1.3-1]
    if (will !== null) {
      const problem = topicNameProblem(will.topic, Number.POSITIVE_INFINITY);
      if (problem !== undefined) throw notAllowed(`Will Topic: ${problem}`, ReasonCode.TopicNameInvalid);
      writeProperties(output, version, willPlace, will.properties);
      checkFormat(will.payload, will.properties);
      output.string(will.topic, 'Will Topic');
      output.binary(will.payload, 'Will Payload');
    }
    if (username !== null) output.string(username, 'User Name');
    if (password !== null) output.binary(password, 'Password');
  });
}

function connectFlags({ username, password, will }: CoreOptions, cleanStart: boolean): number {
  let flags = cleanStart ? cleanStartFlag : 0;
  if (username !== null) flags |= usernameFlag;
  if (password !== null) flags |= passwordFlag;
  if (will === null) return flags;
  const qos = checkedInteger(will.qos, 0, 2, 'Will QoS'); // [MQTT-3.1.2-12]
  return flags | willFlag | (qos << 3) | (will.retain ? willRetainFlag : 0);
}

function connectProperties(options: CoreOptions): Parameters<typeof writeProperties>[3] {
  const { limits, authentication } = options;
  // What would only say the default is left out.
  return {
    sessionExpiryInterval: options.sessionExpirySeconds || undefined,
    receiveMaximum: limits.receiveMaximum,
    maximumPacketSize: limits.packetBytesMax,
    topicAliasMaximum: limits.topicAliasMaximum || undefined,
    requestResponseInformation: options.requestResponseInformation || undefined,
    requestProblemInformation: options.requestProblemInformation ? undefined : false,
    userProperties: [...options.userProperties],
    authenticationMethod: authentication?.method,
    authenticationData: authentication?.data ?? undefined,
  };
}

/** A PUBLISH with properties, as the version has them. */
export function writePublish(
  output: Output,
  { payload, qos, retain }: Outgoing,
  topic: SentTopic,
  properties: PublishProperties,
  packetId: number,
  dup: boolean,
  bytesMax: number,
): boolean {
  checkFormat(payload, properties);
  const write = (): void => {
    output.raw(topic.bytes);
    if (qos !== 0) output.uint16(packetId);
    writeProperties(output, 5, PacketType.Publish, properties);
    output.raw(payload);
  };
  return output.packet(publishByte(qos, retain, dup), write, bytesMax);
}

/** Section 3.3.2.3.2: who makes a message answers for its Payload Format Indicator. */
function checkFormat(payload: Uint8Array, properties: PublishProperties | undefined): void {
  if (properties?.payloadFormatIndicator !== 1) return;
  try {
    decodeText(payload);
  } catch {
    throw notAllowed(
      'the payload is not the UTF-8 its Payload Format Indicator promises',
      ReasonCode.PayloadFormatInvalid,
    );
  }
}

/** SUBSCRIBE. What is beside the filters holds for all of them: an interest that has any is alone. */
export function writeSubscribe(
  output: Output,
  batch: readonly Interest[],
  packetId: number,
  version: 4 | 5,
  bytesMax?: number,
): boolean {
  const [{ identifier, userProperties }] = batch as [Interest, ...Interest[]];
  const properties = {
    ...(identifier !== null && { subscriptionIdentifier: identifier }),
    ...(userProperties.length > 0 && { userProperties: [...userProperties] }),
  };
  const write = (): void => {
    output.uint16(packetId);
    writeProperties(output, version, PacketType.Subscribe, properties);
    for (const { filter, request } of batch) {
      output.string(filter, 'Topic Filter');
      output.uint8(subscriptionOptions(filter, request, version));
    }
  };
  return output.packet((PacketType.Subscribe << 4) | 2, write, bytesMax);
}

function subscriptionOptions(filter: string, request: Interest['request'], version: 4 | 5): number {
  const { noLocal, retainAsPublished } = request;
  const qos = checkedInteger(request.qos, 0, 2, 'QoS');
  const retainHandling = checkedInteger(request.retainHandling, 0, 2, 'Retain Handling');
  if (noLocal && isSharedFilter(filter))
    throw notAllowed('No Local on a Shared Subscription', ReasonCode.ProtocolError); // [MQTT-3.8.3-4]
  const options = qos | (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0) | (retainHandling << 4);
  if (version === 4 && options > 2) throw notAllowed('Subscription options other than QoS take MQTT 5.0');
  return options;
}

export function writeUnsubscribe(
  output: Output,
  { filters, userProperties }: Pick<UnsubscribeCall, 'filters' | 'userProperties'>,
  packetId: number,
  version: 4 | 5,
): void {
  output.packet((PacketType.Unsubscribe << 4) | 2, () => {
    output.uint16(packetId);
    writeProperties(output, version, PacketType.Unsubscribe, {
      ...(userProperties.length > 0 && { userProperties: [...userProperties] }),
    });
    for (const filter of filters) output.string(filter, 'Topic Filter');
  });
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP. `words` go along with a reason code that is not 0. */
export function writeAcknowledgement(
  output: Output,
  type: Type,
  packetId: number,
  reasonCode: number,
  words?: ReasonProperties | null,
): void {
  const firstByte = (type << 4) | (type === PacketType.Pubrel ? 2 : 0);
  if (reasonCode === 0) return output.acknowledge(firstByte, packetId);
  checkReasonCode(type, reasonCode);
  output.packet(firstByte, () => {
    output.uint16(packetId);
    output.uint8(reasonCode);
    if (words) writeProperties(output, 5, type, words);
  });
}

/** DISCONNECT or AUTH. Before 5.0 a DISCONNECT has no words. */
export function writeReason(
  output: Output,
  version: 4 | 5,
  type: typeof PacketType.Disconnect | typeof PacketType.Auth,
  reasonCode: number,
  properties: PropertyValues,
): void {
  checkReasonCode(type, reasonCode);
  output.packet(type << 4, () => {
    if (version === 4) return;
    output.uint8(reasonCode);
    writeProperties(output, version, type, properties);
  });
}

function checkReasonCode(type: Type, reasonCode: number): void {
  if (reasonCodeAllowed(reasonCode, type, 'client')) return;
  throw notAllowed(`A client may not say Reason Code ${reasonCode} here`, ReasonCode.ProtocolError);
}
