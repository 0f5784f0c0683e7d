/**
 * A PUBLISH (section 3.3) where it lies in a buffer: where its parts are and what the broker needs to know of them. One
 * instance is read again and again; reading allocates nothing. Every rule of the packet is checked here except the text
 * of the Topic Name, which belongs to whoever makes a string of it.
 */
import { noBytes, noView } from './bytes.ts';
import { DecodeError } from './error.ts';
import type { ProtocolVersion, QoS, Sender } from './fixed-header.ts';
import * as PacketType from './packet-types.ts';
import { checkPropertyValue, readPropertyId } from './property.ts';
import { Reader } from './reader.ts';
import type { ReasonCode as Code } from './reason-code.ts';
import * as ReasonCode from './reason-codes.ts';

/** All offsets are into `bytes`, and all ends exclusive. Valid as long as the buffer read is left alone. */
export class PublishFrame {
  bytes: Uint8Array = noBytes;
  view: DataView = noView;
  /** The fixed header. */
  start = 0;
  end = 0;
  qos: QoS = 0;
  dup = false;
  retain = false;
  /** The Topic Name without the two bytes of its length. Its text is not checked. */
  topicStart = 0;
  topicEnd = 0;
  /** 0 with QoS 0. */
  packetId = 0;
  /** -1 with QoS 0. */
  packetIdAt = -1;
  /** The properties without their length; equal when there are none. Before 5.0 both are payloadStart. */
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;
  /** 0: none. */
  topicAlias = 0;
  /** The property's identifier byte; -1: none. */
  topicAliasAt = -1;
  /** Seconds; -1: none. */
  messageExpiryInterval = -1;
  /** The four bytes of its value; -1: none. */
  messageExpiryAt = -1;
  payloadFormatIndicator: 0 | 1 = 0;
  hasSubscriptionIdentifiers = false;
  /** How many User Properties there are, and how many bytes they take. */
  userProperties = 0;
  userPropertyBytes = 0;

  readonly #reader = new Reader();

  /** Reads the packet bytes[start, end), whose body begins at `body`. Throws DecodeError as decodePacket does. */
  read(
    bytes: Uint8Array,
    view: DataView,
    start: number,
    body: number,
    end: number,
    version: ProtocolVersion,
    sender: Sender,
  ): void {
    const flags = (bytes[start] as number) & 0x0f;
    const qos = (flags >> 1) & 3;
    if (qos === 3) fail(ReasonCode.MalformedPacket, 'QoS is 3', 0); // [MQTT-3.3.1-4]
    if (qos === 0 && flags >= 8) fail(ReasonCode.MalformedPacket, 'DUP with QoS 0', 0); // [MQTT-3.3.1-2]
    if (end - body < 2) fail(ReasonCode.MalformedPacket, 'Topic Name is cut short', body - start);
    const topicEnd = body + 2 + view.getUint16(body);
    let at = topicEnd + (qos === 0 ? 0 : 2);
    if (at > end) fail(ReasonCode.MalformedPacket, 'Topic Name or Packet Identifier is cut short', body - start);
    this.bytes = bytes;
    this.view = view;
    this.start = start;
    this.end = end;
    this.qos = qos as QoS;
    this.dup = flags >= 8;
    this.retain = (flags & 1) !== 0;
    this.topicStart = body + 2;
    this.topicEnd = topicEnd;
    this.packetId = 0;
    this.packetIdAt = -1;
    if (qos !== 0) {
      const packetId = view.getUint16(topicEnd);
      // [MQTT-2.2.1-3] [MQTT-2.2.1-4]
      if (packetId === 0) fail(ReasonCode.ProtocolError, 'Packet Identifier is 0', topicEnd - start);
      this.packetId = packetId;
      this.packetIdAt = topicEnd;
    }
    this.topicAlias = 0;
    this.topicAliasAt = -1;
    this.messageExpiryInterval = -1;
    this.messageExpiryAt = -1;
    this.payloadFormatIndicator = 0;
    this.hasSubscriptionIdentifiers = false;
    this.userProperties = 0;
    this.userPropertyBytes = 0;
    if (version === 5) at = this.#properties(at, sender);
    else {
      this.propertiesStart = at;
      this.propertiesEnd = at;
    }
    this.payloadStart = at;
    if (topicEnd === body + 2 && this.topicAlias === 0) {
      // [MQTT-4.7.3-1]; since 5.0 the name may be left to an alias (section 3.3.2.1).
      const code = version === 5 ? ReasonCode.ProtocolError : ReasonCode.MalformedPacket;
      fail(
        code,
        version === 5 ? 'Topic Name is empty and there is no Topic Alias' : 'Topic Name is empty',
        body - start,
      );
    }
  }

  /** Notes where the properties are, checks them, and returns where they end. */
  #properties(lengthAt: number, sender: Sender): number {
    if (lengthAt < this.end && this.bytes[lengthAt] === 0) {
      this.propertiesStart = lengthAt + 1;
      this.propertiesEnd = lengthAt + 1;
      return lengthAt + 1;
    }
    const reader = this.#reader.open('PUBLISH', this.bytes, this.start, lengthAt, this.end);
    const blockEnd = reader.blockEnd('Property Length');
    reader.end = blockEnd;
    this.propertiesStart = reader.at;
    this.propertiesEnd = blockEnd;
    let seen = 0;
    while (reader.at < blockEnd) {
      const at = reader.at;
      const property = readPropertyId(reader, PacketType.Publish, sender, seen);
      seen |= property.bit;
      this.#note(property.id, at, checkPropertyValue(reader, property));
      if (property.id === 0x26) this.userPropertyBytes += reader.at - at;
    }
    return blockEnd;
  }

  #note(id: number, at: number, value: number): void {
    switch (id) {
      case 0x01:
        this.payloadFormatIndicator = value as 0 | 1;
        break;
      case 0x02:
        this.messageExpiryInterval = value;
        this.messageExpiryAt = at + 1;
        break;
      case 0x0b:
        this.hasSubscriptionIdentifiers = true;
        break;
      case 0x23:
        this.topicAlias = value;
        this.topicAliasAt = at;
        break;
      case 0x26:
        this.userProperties++;
        break;
      default:
    }
  }
}

function fail(reasonCode: Code, problem: string, offset: number): never {
  throw new DecodeError(reasonCode, `PUBLISH: ${problem}`, offset);
}
