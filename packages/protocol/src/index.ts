/** MQTT packets and the rules both ends share: everything public of this package. */

// flow: what both ends must agree on
export { ReceiveIds } from './flow/receive-ids.ts';
export { FlightState, SendWindow } from './flow/send-window.ts';
export { ReceivedAliases, SentAliases } from './flow/topic-alias.ts';
// wire: bytes ↔ packets
export type { AckPacket, AckProperties, PubackPacket, PubcompPacket, PubrecPacket, PubrelPacket } from './wire/ack.ts';
export type { AuthPacket, AuthProperties } from './wire/auth.ts';
export { copyBytes, hashBytes, noBytes, noView, sameBytes, viewOf } from './wire/bytes.ts';
export type { ConnackPacket, ConnackProperties } from './wire/connack.ts';
export type { ConnectPacket, ConnectProperties, Will, WillProperties } from './wire/connect.ts';
export { peekConnect } from './wire/connect.ts';
export type { DisconnectPacket, DisconnectProperties } from './wire/disconnect.ts';
export { DecodeError, EncodeError } from './wire/error.ts';
export type { ProtocolVersion, QoS, Sender } from './wire/fixed-header.ts';
export { packetTypeName } from './wire/fixed-header.ts';
export { Framer } from './wire/framer.ts';
export type { Packet } from './wire/packet.ts';
export { decodePacket, encodePacket } from './wire/packet.ts';
export { PacketType } from './wire/packet-type.ts';
export type { PingreqPacket, PingrespPacket } from './wire/ping.ts';
export type { Property, PropertyName, PropertyPlace, PropertyValues, UserProperty } from './wire/property-table.ts';
export { propertyAllowed, propertyTable, willPlace } from './wire/property-table.ts';
export type { PublishPacket, PublishProperties } from './wire/publish.ts';
export { PublishFrame } from './wire/publish-frame.ts';
export { connackReturnCode, ReasonCode } from './wire/reason-code.ts';
export { reasonCodeAllowed, reasonCodeName } from './wire/reason-code-table.ts';
export type { SubackPacket, SubscribePacket, SubscribeProperties, SubscriptionRequest } from './wire/subscribe.ts';
export {
  filterMatches,
  isSharedFilter,
  parseFilter,
  splitTopic,
  topicFilterProblem,
  topicLevelsMax,
  topicNameProblem,
} from './wire/topic.ts';
export type { UnsubackPacket, UnsubscribePacket, UnsubscribeProperties } from './wire/unsubscribe.ts';
export { decodeUtf8, encodeUtf8, hasUnwantedCharacters, isUtf8, utf8Length } from './wire/utf8.ts';
