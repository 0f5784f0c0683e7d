/** DISCONNECT (section 3.14): before 5.0 from the client only, and empty. */

import type { ProtocolVersion, Sender } from './fixed-header.ts';
import * as PacketType from './packet-types.ts';
import { hasProperties, readProperties, writeProperties } from './property.ts';
import type { PropertyValues } from './property-table.ts';
import type { Reader } from './reader.ts';
import { reasonCodeAllowed } from './reason-code-table.ts';
import * as ReasonCode from './reason-codes.ts';
import { Writer } from './writer.ts';

export type DisconnectProperties = Pick<
  PropertyValues,
  'sessionExpiryInterval' | 'reasonString' | 'userProperties' | 'serverReference'
>;

export interface DisconnectPacket {
  type: typeof PacketType.Disconnect;
  /** Before 5.0 always 0. */
  reasonCode: number;
  properties?: DisconnectProperties;
}

export function decodeDisconnect(reader: Reader, version: ProtocolVersion, sender: Sender): DisconnectPacket {
  const packet: DisconnectPacket = { type: PacketType.Disconnect, reasonCode: ReasonCode.NormalDisconnection };
  if (version === 5 && reader.left > 0) {
    packet.reasonCode = reader.uint8('Reason Code');
    if (!reasonCodeAllowed(packet.reasonCode, PacketType.Disconnect, sender)) {
      const problem = `a ${sender} may not disconnect with Reason Code ${packet.reasonCode}`;
      reader.fail(ReasonCode.ProtocolError, problem, reader.at - 1); // [MQTT-3.14.2-1]
    }
    if (reader.left > 0) {
      const properties = readProperties(reader, PacketType.Disconnect, sender);
      if (properties !== undefined) packet.properties = properties;
    }
  }
  reader.expectEnd();
  return packet;
}

export function encodeDisconnect(packet: DisconnectPacket, version: ProtocolVersion, sender: Sender): Uint8Array {
  const { reasonCode, properties } = packet;
  const writer = new Writer('DISCONNECT', 32);
  if (version === 5 && !reasonCodeAllowed(reasonCode, PacketType.Disconnect, sender)) {
    writer.fail(ReasonCode.ProtocolError, `a ${sender} may not disconnect with Reason Code ${reasonCode}`);
  }
  if (version !== 5 && reasonCode !== ReasonCode.NormalDisconnection) {
    writer.fail(ReasonCode.MalformedPacket, 'reason codes exist since 5.0 only');
  }
  const withProperties = hasProperties(properties);
  if (reasonCode !== ReasonCode.NormalDisconnection || withProperties) writer.uint8(reasonCode, 'Reason Code');
  if (withProperties) writeProperties(writer, version, PacketType.Disconnect, sender, properties);
  return writer.finish(PacketType.Disconnect << 4);
}
