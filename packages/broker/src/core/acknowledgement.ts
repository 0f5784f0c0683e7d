/**
 * Acknowledgements of PUBLISH leave in the order of the publishes [MQTT-4.6.0-2] [MQTT-4.6.0-3]: behind what is held for a
 * commit, and behind publishes whose claim has not answered yet.
 */

import { PacketType } from '@pipit/protocol';
import type { Connection } from './connection.ts';
import { writeAck } from './sending.ts';
import type { State } from './state.ts';

/** One publish in the line of its connection. */
export interface LineEntry {
  /** 0: QoS 0, nothing to send. */
  readonly type: 0 | typeof PacketType.Puback | typeof PacketType.Pubrec;
  readonly packetId: number;
  /** -1: not answered yet. */
  reasonCode: number;
  readonly changed: boolean;
}

/** Acknowledgements of one connection that wait for claims, in order. */
export class AckLine {
  readonly entries: LineEntry[] = [];

  push(type: LineEntry['type'], packetId: number, reasonCode: number, changed: boolean): LineEntry {
    const entry = { type, packetId, reasonCode, changed };
    this.entries.push(entry);
    return entry;
  }
}

/** Acknowledges a PUBLISH in its turn: behind what is held, and behind publishes whose claim has not answered [MQTT-4.6.0-2]. */
export function acknowledge(
  state: State,
  connection: Connection,
  type: typeof PacketType.Puback | typeof PacketType.Pubrec,
  packetId: number,
  reasonCode: number,
  changed: boolean,
): void {
  if (connection.line !== null) {
    connection.line.push(type, packetId, reasonCode, changed);
    stallLongLine(state, connection);
    return;
  }
  const waits = changed || connection.isHolding;
  writeAck(state, connection, type, packetId, reasonCode, waits);
  if (!waits || type !== PacketType.Puback) return;
  connection.inbound++;
  connection.countHeldAcknowledgement();
  // A 5.0 peer knows how many it may have open. A 3.x one does not: it is not read until the disk has caught up.
  if (connection.inbound >= connection.inboundMax && connection.version !== 5) connection.isStalled = true;
}

/** A line that is long enough stops the reading of its connection, whatever it is that stands in it. */
export function stallLongLine(state: State, connection: Connection): void {
  const { line } = connection;
  if (line !== null && line.entries.length >= state.limits.claimedPublishesMax) connection.isStalled = true;
}
