/** A whole packet from bytes and back: checks the fixed header and leaves the body to the packet's own file. */

import type { PubackPacket, PubcompPacket, PubrecPacket, PubrelPacket } from './ack.ts';
import { decodeAck, encodeAck } from './ack.ts';
import type { AuthPacket } from './auth.ts';
import { decodeAuth, encodeAuth } from './auth.ts';
import type { ConnackPacket } from './connack.ts';
import { decodeConnack, encodeConnack } from './connack.ts';
import type { ConnectPacket } from './connect.ts';
import { decodeConnect, encodeConnect } from './connect.ts';
import type { DisconnectPacket } from './disconnect.ts';
import { decodeDisconnect, encodeDisconnect } from './disconnect.ts';
import { EncodeError } from './error.ts';
import type { ProtocolVersion, Sender } from './fixed-header.ts';
import { packetTypeName, senderAllowed } from './fixed-header.ts';
import { openPacket } from './packet-header.ts';
import type { PacketType as Type } from './packet-type.ts';
import * as PacketType from './packet-types.ts';
import type { PingreqPacket, PingrespPacket } from './ping.ts';
import { decodePing, encodePing } from './ping.ts';
import type { PublishPacket } from './publish.ts';
import { decodePublish, encodePublish } from './publish.ts';
import type { Reader } from './reader.ts';
import * as ReasonCode from './reason-codes.ts';
import type { SubackPacket, SubscribePacket } from './subscribe.ts';
import { decodeSuback, decodeSubscribe, encodeSuback, encodeSubscribe } from './subscribe.ts';
import type { UnsubackPacket, UnsubscribePacket } from './unsubscribe.ts';
import { decodeUnsuback, decodeUnsubscribe, encodeUnsuback, encodeUnsubscribe } from './unsubscribe.ts';

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | PubackPacket
  | PubrecPacket
  | PubrelPacket
  | PubcompPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket;

/**
 * Decodes one whole frame: bytes[start, end) is fixed header and body, and `end` is exactly its end. Strings and bytes in
 * the result are copies. A CONNECT tells its own version; `version` is ignored for it. Throws DecodeError.
 *
 * A topic name with more levels than somebody likes is not an error here, nor is a bad filter: see topic.ts.
 */
export function decodePacket(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
  sender: Sender,
): Packet {
  const { reader, type } = openPacket(bytes, start, end, version, sender);
  return decodeBody(reader, type, version, sender);
}

function decodeBody(reader: Reader, type: Type, version: ProtocolVersion, sender: Sender): Packet {
  switch (type) {
    case PacketType.Connect:
      return decodeConnect(reader);
    case PacketType.Connack:
      return decodeConnack(reader, version);
    case PacketType.Publish:
      return decodePublish(reader, version, sender);
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return decodeAck(reader, type, version, sender);
    case PacketType.Subscribe:
      return decodeSubscribe(reader, version);
    case PacketType.Suback:
      return decodeSuback(reader, version);
    case PacketType.Unsubscribe:
      return decodeUnsubscribe(reader, version);
    case PacketType.Unsuback:
      return decodeUnsuback(reader, version);
    case PacketType.Pingreq:
    case PacketType.Pingresp:
      return decodePing(reader, type);
    case PacketType.Disconnect:
      return decodeDisconnect(reader, version, sender);
    case PacketType.Auth:
      return decodeAuth(reader, sender);
  }
}

/**
 * The packet's bytes in an array of their own, in the shortest legal form. Throws EncodeError on anything the standard
 * forbids, also on what `sender` may not send in that version. Before 5.0 reason codes of acknowledgements and
 * DISCONNECT must be 0 and `properties` absent; a CONNECT tells its own version.
 */
export function encodePacket(packet: Packet, version: ProtocolVersion, sender: Sender): Uint8Array {
  if (!senderAllowed(packet.type, version, sender)) {
    const name = packetTypeName(packet.type);
    throw new EncodeError(ReasonCode.ProtocolError, `${name}: a ${sender} may not send this packet`);
  }
  switch (packet.type) {
    case PacketType.Connect:
      return encodeConnect(packet);
    case PacketType.Connack:
      return encodeConnack(packet, version);
    case PacketType.Publish:
      return encodePublish(packet, version, sender);
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return encodeAck(packet, version, sender);
    case PacketType.Subscribe:
      return encodeSubscribe(packet, version);
    case PacketType.Suback:
      return encodeSuback(packet, version);
    case PacketType.Unsubscribe:
      return encodeUnsubscribe(packet, version);
    case PacketType.Unsuback:
      return encodeUnsuback(packet, version);
    case PacketType.Pingreq:
    case PacketType.Pingresp:
      return encodePing(packet);
    case PacketType.Disconnect:
      return encodeDisconnect(packet, version, sender);
    case PacketType.Auth:
      return encodeAuth(packet, sender);
  }
}
