/**
 * The 27 properties of MQTT 5.0 (section 2.2.2.2) as one table that drives reading, writing and validating them: which
 * packets may carry one, from which side, how often, and which values it may have.
 */

import type { ProtocolVersion, Sender } from './fixed-header.ts';
import type { PacketType as AnyType } from './packet-type.ts';
import * as PacketType from './packet-types.ts';
import type { Reader } from './reader.ts';
import type { ReasonCode as Code } from './reason-code.ts';
import * as ReasonCode from './reason-codes.ts';
import type { Writer } from './writer.ts';

export type UserProperty = readonly [name: string, value: string];

/** Every property under its name. Each packet's `properties` is a part of this. */
export interface PropertyValues {
  /** 1: the payload is UTF-8 text. Absent: 0. */
  payloadFormatIndicator?: 0 | 1;
  /** Seconds. Absent: never. */
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  subscriptionIdentifier?: number;
  /** One for each subscription that matched; only in a PUBLISH from the server. */
  subscriptionIdentifiers?: number[];
  /** Seconds; 0xFFFFFFFF: never. Absent in CONNECT: 0. */
  sessionExpiryInterval?: number;
  assignedClientIdentifier?: string;
  /** Seconds. */
  serverKeepAlive?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  /** Absent: true. */
  requestProblemInformation?: boolean;
  /** Seconds. Absent: 0. */
  willDelayInterval?: number;
  /** Absent: false. */
  requestResponseInformation?: boolean;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  /** Absent: 65,535. */
  receiveMaximum?: number;
  /** Absent: 0. */
  topicAliasMaximum?: number;
  topicAlias?: number;
  /** Absent: 2. */
  maximumQoS?: 0 | 1;
  /** Absent: true. */
  retainAvailable?: boolean;
  userProperties?: UserProperty[];
  /** Bytes of a whole packet. Absent: no limit. */
  maximumPacketSize?: number;
  /** Absent: true. */
  wildcardSubscriptionAvailable?: boolean;
  /** Absent: true. */
  subscriptionIdentifierAvailable?: boolean;
  /** Absent: true. */
  sharedSubscriptionAvailable?: boolean;
}

export type PropertyName = keyof PropertyValues;

/** Where a property block stands: in a packet of a type, or in the will of a CONNECT (0). */
export type PropertyPlace = AnyType | 0;
export const willPlace = 0;

type ValueType =
  | 'uint8'
  | 'boolean'
  | 'uint16'
  | 'uint32'
  | 'variableByteInteger'
  | 'string'
  | 'topic'
  | 'binary'
  | 'userProperty';

export interface Property {
  readonly id: number;
  readonly name: PropertyName;
  /** The standard's name. */
  readonly title: string;
  readonly type: ValueType;
  /** Bit n: allowed in place n. */
  readonly places: number;
  /** The smallest and the largest legal number, and the reason code of any other. */
  readonly min: number;
  readonly max: number;
  readonly valueCode: Code;
  readonly repeats: boolean;
  /** One bit of its own, for the set of properties already seen in a block. */
  readonly bit: number;
}

const will = 1 << willPlace;
const connect = 1 << PacketType.Connect;
const connack = 1 << PacketType.Connack;
const publish = 1 << PacketType.Publish;
const subscribe = 1 << PacketType.Subscribe;
const disconnect = 1 << PacketType.Disconnect;
const auth = 1 << PacketType.Auth;
const acknowledgements =
  (1 << PacketType.Puback) |
  (1 << PacketType.Pubrec) |
  (1 << PacketType.Pubrel) |
  (1 << PacketType.Pubcomp) |
  (1 << PacketType.Suback) |
  (1 << PacketType.Unsuback);
const anywhere =
  will | connect | connack | publish | acknowledgements | subscribe | (1 << PacketType.Unsubscribe) | disconnect | auth;

type Row = readonly [
  id: number,
  name: PropertyName,
  title: string,
  type: ValueType,
  places: number,
  rule?: { readonly min?: number; readonly max?: number; readonly code?: Code; readonly repeats?: true },
];

const flag = { max: 1 };
const positive = { min: 1 };

const rows: readonly Row[] = [
  [0x01, 'payloadFormatIndicator', 'Payload Format Indicator', 'uint8', publish | will, flag],
  [0x02, 'messageExpiryInterval', 'Message Expiry Interval', 'uint32', publish | will],
  [0x03, 'contentType', 'Content Type', 'string', publish | will],
  [0x08, 'responseTopic', 'Response Topic', 'topic', publish | will],
  [0x09, 'correlationData', 'Correlation Data', 'binary', publish | will],
  [0x0b, 'subscriptionIdentifier', 'Subscription Identifier', 'variableByteInteger', subscribe, positive],
  [
    0x0b,
    'subscriptionIdentifiers',
    'Subscription Identifier',
    'variableByteInteger',
    publish,
    { min: 1, repeats: true },
  ],
  [0x11, 'sessionExpiryInterval', 'Session Expiry Interval', 'uint32', connect | connack | disconnect],
  [0x12, 'assignedClientIdentifier', 'Assigned Client Identifier', 'string', connack],
  [0x13, 'serverKeepAlive', 'Server Keep Alive', 'uint16', connack],
  [0x15, 'authenticationMethod', 'Authentication Method', 'string', connect | connack | auth],
  [0x16, 'authenticationData', 'Authentication Data', 'binary', connect | connack | auth],
  [0x17, 'requestProblemInformation', 'Request Problem Information', 'boolean', connect, flag],
  [0x18, 'willDelayInterval', 'Will Delay Interval', 'uint32', will],
  [0x19, 'requestResponseInformation', 'Request Response Information', 'boolean', connect, flag],
  [0x1a, 'responseInformation', 'Response Information', 'string', connack],
  [0x1c, 'serverReference', 'Server Reference', 'string', connack | disconnect],
  [0x1f, 'reasonString', 'Reason String', 'string', connack | acknowledgements | disconnect | auth],
  [0x21, 'receiveMaximum', 'Receive Maximum', 'uint16', connect | connack, positive],
  [0x22, 'topicAliasMaximum', 'Topic Alias Maximum', 'uint16', connect | connack],
  [0x23, 'topicAlias', 'Topic Alias', 'uint16', publish, { min: 1, code: ReasonCode.TopicAliasInvalid }], // [MQTT-3.3.2-8]
  [0x24, 'maximumQoS', 'Maximum QoS', 'uint8', connack, flag],
  [0x25, 'retainAvailable', 'Retain Available', 'boolean', connack, flag],
  [0x26, 'userProperties', 'User Property', 'userProperty', anywhere, { repeats: true }],
  [0x27, 'maximumPacketSize', 'Maximum Packet Size', 'uint32', connect | connack, positive],
  [0x28, 'wildcardSubscriptionAvailable', 'Wildcard Subscription Available', 'boolean', connack, flag],
  [0x29, 'subscriptionIdentifierAvailable', 'Subscription Identifier Available', 'boolean', connack, flag],
  [0x2a, 'sharedSubscriptionAvailable', 'Shared Subscription Available', 'boolean', connack, flag],
];

/** The table, in the order properties are written in. */
const properties: readonly Property[] = rows.map(([id, name, title, type, places, rule], index) => ({
  id,
  name,
  title,
  type,
  places,
  min: rule?.min ?? 0,
  max: rule?.max ?? Number.POSITIVE_INFINITY,
  valueCode: rule?.code ?? ReasonCode.ProtocolError,
  repeats: rule?.repeats ?? false,
  bit: 1 << index,
}));

/** [place][id] → the property, where it is allowed. */
const byPlaceAndId: readonly (readonly (Property | undefined)[])[] = Array.from({ length: 16 }, (_, place) =>
  Array.from({ length: 0x2b }, (_, id) =>
    properties.find((property) => property.id === id && (property.places & (1 << place)) !== 0),
  ),
);

const byName: ReadonlyMap<string, Property> = new Map(properties.map((property) => [property.name, property]));

/** What the packet allows but this side may not send, in a sentence; undefined when it may. */
function senderProblem(property: Property, place: PropertyPlace, sender: Sender): string | undefined {
  const byClientOnly = property.id === 0x11 && place === PacketType.Disconnect; // [MQTT-3.14.2-2]
  const byServerOnly = property.id === 0x1c || (property.id === 0x0b && place === PacketType.Publish);
  if (!(sender === 'server' ? byClientOnly : byServerOnly)) return undefined;
  return `a ${sender} may not send ${property.title} here`;
}

/**
 * Reads the identifier of the next property and returns its row. `seen` is the set of the bits of the properties before
 * it in the block.
 */
export function readPropertyId(reader: Reader, place: PropertyPlace, sender: Sender, seen: number): Property {
  const at = reader.at;
  const id = reader.variableByteInteger('a property identifier');
  const property = byPlaceAndId[place]?.[id];
  if (property === undefined) {
    const known = properties.find((candidate) => candidate.id === id)?.title ?? `property 0x${id.toString(16)}`;
    return reader.fail(ReasonCode.MalformedPacket, `${known} is not allowed here`, at);
  }
  const problem = senderProblem(property, place, sender);
  if (problem !== undefined) reader.fail(ReasonCode.ProtocolError, problem, at);
  if ((seen & property.bit) !== 0 && !property.repeats) {
    reader.fail(ReasonCode.ProtocolError, `${property.title} occurs twice`, at);
  }
  return property;
}

/** Reads and checks the value behind the identifier without making anything of it; numbers are returned. */
export function checkPropertyValue(reader: Reader, property: Property): number {
  const { title } = property;
  const at = reader.at;
  switch (property.type) {
    case 'uint8':
    case 'boolean':
      return checkNumber(reader, property, reader.uint8(title), at);
    case 'uint16':
      return checkNumber(reader, property, reader.uint16(title), at);
    case 'uint32':
      return checkNumber(reader, property, reader.uint32(title), at);
    case 'variableByteInteger':
      return checkNumber(reader, property, reader.variableByteInteger(title), at);
    case 'binary':
      reader.skipBinary(title);
      return 0;
    case 'userProperty':
      reader.skipString(title); // [MQTT-1.5.7-1]
      reader.skipString(title);
      return 0;
    case 'topic':
      reader.skipString(title);
      checkTopicBytes(reader, title, at + 2, reader.at);
      return 0;
    case 'string':
      reader.skipString(title);
      return 0;
  }
}

function checkNumber(reader: Reader, property: Property, value: number, at: number): number {
  if (value < property.min || value > property.max) {
    reader.fail(property.valueCode, `${property.title} is ${value}`, at);
  }
  return value;
}

function checkTopicBytes(reader: Reader, title: string, start: number, end: number): void {
  if (start === end) reader.fail(ReasonCode.ProtocolError, `${title} is empty`, start); // [MQTT-4.7.3-1]
  for (let at = start; at < end; at++) {
    const byte = reader.bytes[at];
    // [MQTT-3.3.2-14]
    if (byte === 0x2b || byte === 0x23) reader.fail(ReasonCode.ProtocolError, `${title} contains a wildcard`, at);
  }
}

function readPropertyValue(reader: Reader, property: Property): unknown {
  const { title } = property;
  const at = reader.at;
  switch (property.type) {
    case 'string':
      return reader.string(title);
    case 'topic':
      checkPropertyValue(reader, property);
      reader.at = at;
      return reader.string(title);
    case 'binary':
      return reader.binary(title);
    case 'userProperty':
      return [reader.string(title), reader.string(title)]; // [MQTT-1.5.7-1]
    case 'boolean':
      return checkPropertyValue(reader, property) === 1;
    default:
      return checkPropertyValue(reader, property);
  }
}

/** Reads Property Length and the properties behind it; undefined when there are none. */
export function readProperties(reader: Reader, place: PropertyPlace, sender: Sender): PropertyValues | undefined {
  const blockEnd = reader.blockEnd('Property Length');
  if (blockEnd === reader.at) return undefined;
  const packetEnd = reader.end;
  reader.end = blockEnd;
  const values = readPropertyBlock(reader, place, sender);
  reader.end = packetEnd;
  return values;
}

/** Reads properties to the reader's end. */
export function readPropertyBlock(reader: Reader, place: PropertyPlace, sender: Sender): PropertyValues {
  const values: Record<string, unknown> = {};
  let seen = 0;
  while (reader.left > 0) {
    const property = readPropertyId(reader, place, sender, seen);
    const value = readPropertyValue(reader, property);
    if (!property.repeats) values[property.name] = value;
    else if ((seen & property.bit) === 0) values[property.name] = [value];
    else (values[property.name] as unknown[]).push(value); // [MQTT-3.3.2-18]
    seen |= property.bit;
  }
  return values;
}

/** Writes Property Length and the properties, in the order of their identifiers; before 5.0 there must be none. */
export function writeProperties(
  writer: Writer,
  version: ProtocolVersion,
  place: PropertyPlace,
  sender: Sender,
  values: PropertyValues | undefined,
): void {
  if (!hasProperties(values)) {
    if (version === 5) writer.uint8(0, 'Property Length'); // [MQTT-2.2.2-1]
    return;
  }
  if (version !== 5) writer.fail(ReasonCode.MalformedPacket, 'properties exist since 5.0 only');
  const record = values as Readonly<Record<string, unknown>>;
  let present = 0;
  for (const name of Object.keys(record)) {
    if (isAbsent(record[name])) continue;
    const property = byName.get(name);
    if (property === undefined || (property.places & (1 << place)) === 0) {
      writer.fail(ReasonCode.MalformedPacket, `${property?.title ?? name} is not allowed here`);
    }
    const problem = senderProblem(property, place, sender);
    if (problem !== undefined) writer.fail(ReasonCode.ProtocolError, problem);
    present |= property.bit;
  }
  writer.block('Property Length', () => {
    for (const property of properties) {
      if ((present & property.bit) !== 0) writeProperty(writer, property, record[property.name]);
    }
  });
}

/** Whether writing these properties would write any. */
export function hasProperties(values: PropertyValues | undefined): values is PropertyValues {
  return values !== undefined && Object.values(values).some((value) => !isAbsent(value));
}

function isAbsent(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}

function writeProperty(writer: Writer, property: Property, value: unknown): void {
  if (!property.repeats) return writePropertyValue(writer, property, value);
  if (!Array.isArray(value)) writer.fail(ReasonCode.MalformedPacket, `${property.name} must be an array`);
  for (const item of value as unknown[]) writePropertyValue(writer, property, item);
}

function writePropertyValue(writer: Writer, property: Property, value: unknown): void {
  const { title } = property;
  writer.uint8(property.id, title);
  switch (property.type) {
    case 'string':
      return writer.string(value as string, title);
    case 'topic':
      checkTopic(writer, title, value as string);
      return writer.string(value as string, title);
    case 'binary':
      return writer.binary(value as Uint8Array, title);
    case 'userProperty': {
      if (!Array.isArray(value)) writer.fail(ReasonCode.MalformedPacket, `${title} must be a name and a value`);
      const [name, text] = value as unknown as UserProperty;
      writer.string(name, title);
      return writer.string(text, title);
    }
    case 'boolean':
      if (typeof value !== 'boolean') writer.fail(property.valueCode, `${title} must be true or false`);
      return writer.uint8(value ? 1 : 0, title);
    default:
      return writeNumber(writer, property, property.type, value as number);
  }
}

function checkTopic(writer: Writer, title: string, topic: string): void {
  if (topic === '') writer.fail(ReasonCode.ProtocolError, `${title} is empty`);
  if (/[+#]/.test(topic)) writer.fail(ReasonCode.ProtocolError, `${title} contains a wildcard`);
}

type NumberType = 'uint8' | 'uint16' | 'uint32' | 'variableByteInteger';

function writeNumber(writer: Writer, property: Property, type: NumberType, value: number): void {
  if (value < property.min || value > property.max) writer.fail(property.valueCode, `${property.title} is ${value}`);
  writer[type](value, property.title);
}
