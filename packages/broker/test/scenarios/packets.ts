/** Short ways to write packets in scenarios: what is not said is empty, 0 or false. */

import {
  type ConnackPacket,
  type DisconnectPacket,
  type Packet,
  PacketType,
  type PublishPacket,
  type QoS,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubackPacket,
  type UnsubscribePacket,
} from '@pipit/protocol';
import { text } from './world.ts';

type Loose<Body> = Partial<Omit<Body, 'payload'>> & { payload?: string | Uint8Array };

export function publish(fields: Loose<PublishPacket> & { topic: string }): PublishPacket {
  const { payload = '', ...rest } = fields;
  return {
    type: PacketType.Publish,
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    ...rest,
    payload: typeof payload === 'string' ? text(payload) : payload,
  };
}

export function subscribe(
  packetId: number,
  ...filters: (string | (Partial<SubscriptionRequest> & { filter: string }))[]
): SubscribePacket {
  return {
    type: PacketType.Subscribe,
    packetId,
    subscriptions: filters.map((each) => ({
      qos: 0 as QoS,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
      ...(typeof each === 'string' ? { filter: each } : each),
    })),
  };
}

/** `$share` filters and options: subscribeWith(1, {subscriptionIdentifier: 7}, …). */
export function subscribeWith(
  packetId: number,
  properties: NonNullable<SubscribePacket['properties']>,
  ...filters: Parameters<typeof subscribe>[1][]
): SubscribePacket {
  return { ...subscribe(packetId, ...filters), properties };
}

export function unsubscribe(packetId: number, ...filters: string[]): UnsubscribePacket {
  return { type: PacketType.Unsubscribe, packetId, filters };
}

export const suback = (packetId: number, ...reasonCodes: number[]): Packet => ({
  type: PacketType.Suback,
  packetId,
  reasonCodes,
});
export const unsuback = (packetId: number, ...reasonCodes: number[]): UnsubackPacket => ({
  type: PacketType.Unsuback,
  packetId,
  reasonCodes,
});
export const puback = (packetId: number, reasonCode = 0): Packet => ({ type: PacketType.Puback, packetId, reasonCode });
export const pubrec = (packetId: number, reasonCode = 0): Packet => ({ type: PacketType.Pubrec, packetId, reasonCode });
export const pubrel = (packetId: number, reasonCode = 0): Packet => ({ type: PacketType.Pubrel, packetId, reasonCode });
export const pubcomp = (packetId: number, reasonCode = 0): Packet => ({
  type: PacketType.Pubcomp,
  packetId,
  reasonCode,
});
export const pingreq: Packet = { type: PacketType.Pingreq };
export const pingresp: Packet = { type: PacketType.Pingresp };

export function connack(fields: Partial<ConnackPacket> = {}): ConnackPacket {
  return { type: PacketType.Connack, sessionPresent: false, reasonCode: 0, ...fields };
}

/** What every 5.0 client is told by a broker with default limits. */
export const announced = { receiveMaximum: 1_000, maximumPacketSize: 16 * 1024 * 1024, topicAliasMaximum: 64 };

export function disconnect(reasonCode = 0, properties?: DisconnectPacket['properties']): DisconnectPacket {
  return { type: PacketType.Disconnect, reasonCode, ...(properties === undefined ? {} : { properties }) };
}

export function auth(
  reasonCode: number,
  properties: Extract<Packet, { type: typeof PacketType.Auth }>['properties'],
): Packet {
  return { type: PacketType.Auth, reasonCode, ...(properties === undefined ? {} : { properties }) };
}
