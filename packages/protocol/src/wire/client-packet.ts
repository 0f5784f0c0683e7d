/**
 * The half of the codec that a client needs: what a server sends is decoded, what a client sends is encoded. The same as
 * decodePacket and encodePacket for those; apart from them so that a browser need not load the other half. PUBLISH is encoded
 * here only: one that arrives is read where it lies, by PublishFrame.
 */
import type { AckPacket } from './ack.ts';
import { decodeAck, encodeAck } from './ack.ts';
import type { AuthPacket } from './auth.ts';
import { decodeAuth, encodeAuth } from './auth.ts';
import type { ConnackPacket } from './connack.ts';
import { decodeConnack } from './connack.ts';
import type { ConnectPacket } from './connect.ts';
import { encodeConnect } from './connect.ts';
import type { DisconnectPacket } from './disconnect.ts';
import { decodeDisconnect, encodeDisconnect } from './disconnect.ts';
import { EncodeError } from './error.ts';
import type { ProtocolVersion } from './fixed-header.ts';
import { openPacket } from './packet-header.ts';
import * as PacketType from './packet-types.ts';
import type { PingreqPacket, PingrespPacket } from './ping.ts';
import { decodePing, encodePing } from './ping.ts';
import type { PublishPacket } from './publish.ts';
import { encodePublish } from './publish.ts';
import * as ReasonCode from './reason-codes.ts';
import type { SubackPacket, SubscribePacket } from './subscribe.ts';
import { decodeSuback, encodeSubscribe } from './subscribe.ts';
import type { UnsubackPacket, UnsubscribePacket } from './unsubscribe.ts';
import { decodeUnsuback, encodeUnsubscribe } from './unsubscribe.ts';

export type ServerPacket =
  | ConnackPacket
  | AckPacket
  | SubackPacket
  | UnsubackPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket;

export type ClientPacket =
  | ConnectPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | UnsubscribePacket
  | PingreqPacket
  | DisconnectPacket
  | AuthPacket;

/** As decodePacket for a packet from a server; a PUBLISH is refused. */
export function decodeServerPacket(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): ServerPacket {
  const { reader, type } = openPacket(bytes, start, end, version, 'server');
  switch (type) {
    case PacketType.Connack:
      return decodeConnack(reader, version);
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return decodeAck(reader, type, version, 'server');
    case PacketType.Suback:
      return decodeSuback(reader, version);
    case PacketType.Unsuback:
      return decodeUnsuback(reader, version);
    case PacketType.Pingresp:
      return decodePing(reader, type) as PingrespPacket;
    case PacketType.Disconnect:
      return decodeDisconnect(reader, version, 'server');
    case PacketType.Auth:
      return decodeAuth(reader, 'server');
    default:
      return reader.fail(ReasonCode.ProtocolError, 'a packet out of turn', reader.start);
  }
}

/** As encodePacket for a packet from a client. */
export function encodeClientPacket(packet: ClientPacket, version: ProtocolVersion): Uint8Array {
  switch (packet.type) {
    case PacketType.Connect:
      return encodeConnect(packet);
    case PacketType.Publish:
      return encodePublish(packet, version, 'client');
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return encodeAck(packet, version, 'client');
    case PacketType.Subscribe:
      return encodeSubscribe(packet, version);
    case PacketType.Unsubscribe:
      return encodeUnsubscribe(packet, version);
    case PacketType.Pingreq:
      return encodePing(packet);
    case PacketType.Disconnect:
      return encodeDisconnect(packet, version, 'client');
    case PacketType.Auth:
      if (version !== 5) throw new EncodeError(ReasonCode.ProtocolError, 'AUTH exists since 5.0 only');
      return encodeAuth(packet, 'client');
  }
}
