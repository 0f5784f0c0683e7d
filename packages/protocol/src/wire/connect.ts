/** CONNECT (section 3.1): its type, its bytes, and every rule a packet alone can break. */

import type { ProtocolVersion, QoS } from './fixed-header.ts';
import * as PacketType from './packet-types.ts';
import { readProperties, writeProperties } from './property.ts';
import { type PropertyValues, willPlace } from './property-table.ts';
import type { Reader } from './reader.ts';
import * as ReasonCode from './reason-codes.ts';
import { topicNameProblem } from './topic.ts';
import { isUtf8, utf8Text } from './utf8.ts';
import { Writer } from './writer.ts';

export type ConnectProperties = Pick<
  PropertyValues,
  | 'sessionExpiryInterval'
  | 'receiveMaximum'
  | 'maximumPacketSize'
  | 'topicAliasMaximum'
  | 'requestResponseInformation'
  | 'requestProblemInformation'
  | 'userProperties'
  | 'authenticationMethod'
  | 'authenticationData'
>;

export type WillProperties = Pick<
  PropertyValues,
  | 'willDelayInterval'
  | 'payloadFormatIndicator'
  | 'messageExpiryInterval'
  | 'contentType'
  | 'responseTopic'
  | 'correlationData'
  | 'userProperties'
>;

export interface Will {
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  properties?: WillProperties;
}

export interface ConnectPacket {
  type: typeof PacketType.Connect;
  version: ProtocolVersion;
  /** Bit 7 of the protocol level: the client is a bridge. An extension of 3.1 and 3.1.1. */
  bridge?: boolean;
  clientId: string;
  /** Clean Session before 5.0. */
  cleanStart: boolean;
  /** Seconds; 0: none. */
  keepAlive: number;
  username?: string;
  password?: Uint8Array;
  will?: Will;
  properties?: ConnectProperties;
}

const usernameFlag = 0x80;
const passwordFlag = 0x40;
const willRetainFlag = 0x20;
const willFlag = 0x04;
const cleanStartFlag = 0x02;
const reservedFlag = 0x01;
const bridgeBit = 0x80;

/** The version a protocol name and level stand for; undefined when Pipit knows no such protocol. */
function versionOf(name: string, level: number): ProtocolVersion | undefined {
  if (name === 'MQIsdp') return (level & ~bridgeBit) === 3 ? 3 : undefined;
  if (name !== 'MQTT') return undefined; // [MQTT-3.1.2-1]
  if (level === 5) return 5;
  return (level & ~bridgeBit) === 4 ? 4 : undefined;
}

/**
 * What a CONNECT frame asks for, from its protocol name and level alone. `version` is undefined when they cannot be read
 * or name no known protocol: then `name` and `level` tell what could be read. Never throws.
 */
export function peekConnect(
  bytes: Uint8Array,
  start: number,
  end: number,
): { version: ProtocolVersion | undefined; name: string | undefined; level: number | undefined } {
  let at = start + 1;
  while (at < end && (bytes[at] as number) >= 0x80) at += 1;
  at += 1;
  const nameLength = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  const nameEnd = at + 2 + nameLength;
  if (nameEnd > end) return { version: undefined, name: undefined, level: undefined };
  const name = utf8Text(bytes, at + 2, nameEnd);
  const level = nameEnd < end ? bytes[nameEnd] : undefined;
  const version = name === undefined || level === undefined ? undefined : versionOf(name, level);
  return { version, name, level };
}

export function decodeConnect(reader: Reader): ConnectPacket {
  const name = reader.string('Protocol Name');
  if (name !== 'MQTT' && name !== 'MQIsdp') {
    reader.fail(ReasonCode.UnsupportedProtocolVersion, 'unknown Protocol Name'); // [MQTT-3.1.2-1]
  }
  const level = reader.uint8('Protocol Version');
  const version = versionOf(name, level);
  if (version === undefined) {
    // [MQTT-3.1.2-2]
    return reader.fail(ReasonCode.UnsupportedProtocolVersion, `unknown Protocol Version ${level}`, reader.at - 1);
  }
  const flags = reader.uint8('Connect Flags');
  checkFlags(reader, flags, version);
  const packet: ConnectPacket = {
    type: PacketType.Connect,
    version,
    clientId: '',
    cleanStart: (flags & cleanStartFlag) !== 0,
    keepAlive: reader.uint16('Keep Alive'),
  };
  if (level >= bridgeBit) packet.bridge = true;
  if (version === 5) decodeProperties(reader, packet);
  packet.clientId = reader.string('Client Identifier'); // [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4]
  if ((flags & willFlag) !== 0) packet.will = decodeWill(reader, flags, version);
  // MQTT 3.1 servers take a user name or password that is announced but missing for absent.
  if ((flags & usernameFlag) !== 0 && (version !== 3 || reader.left > 0)) {
    packet.username = reader.string('User Name'); // [MQTT-3.1.2-17] [MQTT-3.1.3-12]
  }
  if ((flags & passwordFlag) !== 0 && (version !== 3 || reader.left > 0)) {
    packet.password = reader.binary('Password'); // [MQTT-3.1.2-19]
  }
  reader.expectEnd(); // [MQTT-3.1.2-16] [MQTT-3.1.2-18]
  return packet;
}

function checkFlags(reader: Reader, flags: number, version: ProtocolVersion): void {
  const fail = (problem: string): never => reader.fail(ReasonCode.MalformedPacket, problem, reader.at - 1);
  const willQoS = (flags >> 3) & 3;
  if ((flags & willFlag) !== 0) {
    if (willQoS === 3) fail('Will QoS is 3'); // [MQTT-3.1.2-12]
  } else if (version !== 3) {
    if (willQoS !== 0) fail('Will QoS without a will'); // [MQTT-3.1.2-11]
    if ((flags & willRetainFlag) !== 0) fail('Will Retain without a will'); // [MQTT-3.1.2-13]
  }
  if ((flags & reservedFlag) !== 0 && version !== 3) fail('the reserved connect flag is set'); // [MQTT-3.1.2-3]
  if (version !== 5 && (flags & passwordFlag) !== 0 && (flags & usernameFlag) === 0) {
    fail('Password without User Name'); // [MQTT3-3.1.2-22]
  }
}

function decodeProperties(reader: Reader, packet: ConnectPacket): void {
  const at = reader.at;
  const properties = readProperties(reader, PacketType.Connect, 'client');
  if (properties === undefined) return;
  packet.properties = properties;
  if (hasDataAlone(packet.properties)) {
    reader.fail(ReasonCode.ProtocolError, 'Authentication Data without Authentication Method', at);
  }
}

function hasDataAlone(properties: ConnectProperties): boolean {
  return properties.authenticationData !== undefined && properties.authenticationMethod === undefined;
}

// [MQTT-3.1.2-9]
function decodeWill(reader: Reader, flags: number, version: ProtocolVersion): Will {
  const properties = version === 5 ? readProperties(reader, willPlace, 'client') : undefined;
  const at = reader.at + 2;
  const topic = reader.string('Will Topic'); // [MQTT-3.1.3-11]
  const problem = topicNameProblem(topic, Number.POSITIVE_INFINITY);
  if (problem !== undefined) reader.fail(ReasonCode.TopicNameInvalid, `Will Topic: ${problem}`, at); // [MQTT-4.7.0-1]
  const will: Will = {
    topic,
    payload: reader.binary('Will Payload'),
    qos: ((flags >> 3) & 3) as QoS,
    retain: (flags & willRetainFlag) !== 0,
  };
  if (properties !== undefined) will.properties = properties;
  return will;
}

export function encodeConnect(packet: ConnectPacket): Uint8Array {
  const { version, will, username, password } = packet;
  const writer = new Writer('CONNECT', 64 + packet.clientId.length + (will?.payload.length ?? 0));
  checkPacket(writer, packet);
  writer.string(version === 3 ? 'MQIsdp' : 'MQTT', 'Protocol Name'); // [MQTT-3.1.2-1]
  writer.uint8(packet.bridge === true ? version | bridgeBit : version, 'Protocol Version');
  writer.uint8(flagsOf(packet), 'Connect Flags');
  writer.uint16(packet.keepAlive, 'Keep Alive');
  writeProperties(writer, version, PacketType.Connect, 'client', packet.properties);
  writer.string(packet.clientId, 'Client Identifier'); // [MQTT-3.1.3-1]
  if (will !== undefined) {
    writeProperties(writer, version, willPlace, 'client', will.properties);
    writer.string(will.topic, 'Will Topic');
    writer.binary(will.payload, 'Will Payload');
  }
  if (username !== undefined) writer.string(username, 'User Name');
  if (password !== undefined) writer.binary(password, 'Password');
  return writer.finish(PacketType.Connect << 4);
}

function flagsOf({ will, username, password, cleanStart }: ConnectPacket): number {
  let flags = cleanStart ? cleanStartFlag : 0;
  if (will !== undefined) flags |= willFlag | (will.qos << 3) | (will.retain ? willRetainFlag : 0);
  if (username !== undefined) flags |= usernameFlag;
  if (password !== undefined) flags |= passwordFlag;
  return flags;
}

function checkPacket(writer: Writer, packet: ConnectPacket): void {
  const { version, clientId, will, properties } = packet;
  const malformed = (problem: string): never => writer.fail(ReasonCode.MalformedPacket, problem);
  if (version !== 3 && version !== 4 && version !== 5) {
    writer.fail(ReasonCode.UnsupportedProtocolVersion, `unknown version ${version as number}`);
  }
  if (version === 5) {
    if (packet.bridge === true) malformed('the bridge bit exists before 5.0 only');
    if (properties !== undefined && hasDataAlone(properties)) {
      writer.fail(ReasonCode.ProtocolError, 'Authentication Data without Authentication Method');
    }
  } else {
    if (packet.password !== undefined && packet.username === undefined) malformed('Password without User Name'); // [MQTT3-3.1.2-22]
    if (clientId === '' && (version === 3 || !packet.cleanStart)) {
      writer.fail(ReasonCode.ClientIdentifierNotValid, 'Client Identifier is empty'); // [MQTT3-3.1.3-7]
    }
  }
  if (will !== undefined) checkWill(writer, will);
}

function checkWill(writer: Writer, will: Will): void {
  if (will.qos !== 0 && will.qos !== 1 && will.qos !== 2) {
    writer.fail(ReasonCode.MalformedPacket, `Will QoS is ${will.qos as number}`); // [MQTT-3.1.2-12]
  }
  const problem = topicNameProblem(will.topic, Number.POSITIVE_INFINITY);
  if (problem !== undefined) writer.fail(ReasonCode.TopicNameInvalid, `Will Topic: ${problem}`);
  if (will.properties?.payloadFormatIndicator === 1 && !isUtf8(will.payload, 0, will.payload.length, true)) {
    writer.fail(ReasonCode.PayloadFormatInvalid, 'Will Payload is not the UTF-8 its Payload Format Indicator promises');
  }
}
