/**
 * The 27 properties of MQTT 5.0 (section 2.2.2.2) as one table that drives reading, writing and validating them: which
 * packets may carry one, from which side, how often, and which values it may have.
 */
import type { Sender } from './fixed-header.ts';
import type { PacketType as AnyType } from './packet-type.ts';
import * as PacketType from './packet-types.ts';
import type { ReasonCode as Code } from './reason-code.ts';
import * as ReasonCode from './reason-codes.ts';

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

export type PropertyType =
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
  readonly type: PropertyType;
  /** Bit n: allowed in place n. */
  readonly places: number;
  /** The smallest and the largest legal number, and the reason code of any other. */
  readonly min: number;
  readonly max: number;
  readonly valueCode: Code;
  readonly repeats: boolean;
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
  type: PropertyType,
  places: number,
  rule?: { readonly min?: number; readonly max?: number; readonly code?: Code; readonly repeats?: true },
];

const flag = { max: 1 };
const positive = { min: 1 };

const rows: readonly Row[] = [
  [0x01, 'payloadFormatIndicator', 'uint8', publish | will, flag],
  [0x02, 'messageExpiryInterval', 'uint32', publish | will],
  [0x03, 'contentType', 'string', publish | will],
  [0x08, 'responseTopic', 'topic', publish | will],
  [0x09, 'correlationData', 'binary', publish | will],
  [0x0b, 'subscriptionIdentifier', 'variableByteInteger', subscribe, positive],
  [0x0b, 'subscriptionIdentifiers', 'variableByteInteger', publish, { min: 1, repeats: true }],
  [0x11, 'sessionExpiryInterval', 'uint32', connect | connack | disconnect],
  [0x12, 'assignedClientIdentifier', 'string', connack],
  [0x13, 'serverKeepAlive', 'uint16', connack],
  [0x15, 'authenticationMethod', 'string', connect | connack | auth],
  [0x16, 'authenticationData', 'binary', connect | connack | auth],
  [0x17, 'requestProblemInformation', 'boolean', connect, flag],
  [0x18, 'willDelayInterval', 'uint32', will],
  [0x19, 'requestResponseInformation', 'boolean', connect, flag],
  [0x1a, 'responseInformation', 'string', connack],
  [0x1c, 'serverReference', 'string', connack | disconnect],
  [0x1f, 'reasonString', 'string', connack | acknowledgements | disconnect | auth],
  [0x21, 'receiveMaximum', 'uint16', connect | connack, positive],
  [0x22, 'topicAliasMaximum', 'uint16', connect | connack],
  [0x23, 'topicAlias', 'uint16', publish, { min: 1, code: ReasonCode.TopicAliasInvalid }], // [MQTT-3.3.2-8]
  [0x24, 'maximumQoS', 'uint8', connack, flag],
  [0x25, 'retainAvailable', 'boolean', connack, flag],
  [0x26, 'userProperties', 'userProperty', anywhere, { repeats: true }],
  [0x27, 'maximumPacketSize', 'uint32', connect | connack, positive],
  [0x28, 'wildcardSubscriptionAvailable', 'boolean', connack, flag],
  [0x29, 'subscriptionIdentifierAvailable', 'boolean', connack, flag],
  [0x2a, 'sharedSubscriptionAvailable', 'boolean', connack, flag],
];

/** In the order properties are written in. */
export const propertyTable: readonly Property[] = rows.map(([id, name, type, places, rule]) => ({
  id,
  name,
  type,
  places,
  min: rule?.min ?? 0,
  max: rule?.max ?? Number.POSITIVE_INFINITY,
  valueCode: rule?.code ?? ReasonCode.ProtocolError,
  repeats: rule?.repeats ?? false,
}));

/** Whether this side may send a property that the place allows. */
export function propertyAllowed({ id }: Property, place: PropertyPlace, sender: Sender): boolean {
  if (sender === 'server') return id !== 0x11 || place !== PacketType.Disconnect; // [MQTT-3.14.2-2]
  return id !== 0x1c && (id !== 0x0b || place !== PacketType.Publish);
}
