/** Packets and events as lines of the trace. */

import { type Packet, PacketType } from '@pipit/protocol';
import type { BrokerEvent } from '../../src/core/index.ts';
import { numberOf } from './model.ts';

export function describe(packet: Packet): string {
  const { type, ...rest } = packet;
  const name = Object.keys(PacketType).find((each) => PacketType[each as keyof typeof PacketType] === type);
  const fields = Object.entries(rest).map(([key, value]) => {
    if (value instanceof Uint8Array)
      return `${key}=${key === 'payload' ? `#${numberOf({ payload: value })}(${value.length})` : value.length}`;
    return `${key}=${JSON.stringify(value, (_, each: unknown) => (each instanceof Uint8Array ? each.length : each))}`;
  });
  return `${name} ${fields.filter((field) => !/=(false|0|\[\])$/.test(field)).join(' ')}`;
}

export function describeEvent(event: BrokerEvent): string {
  const { type, ...rest } = event;
  const fields = Object.entries(rest).filter(([key]) => key !== 'peer' && key !== 'count');
  return `${type} ${fields.map(([key, value]) => `${key}=${String(value)}`).join(' ')}`;
}
