/**
 * In-process code that claims a filter: publishes there go to it alone, and its answer decides the acknowledgement.
 *
 * Acknowledgements leave in the order of the publishes [MQTT-4.6.0-2], so those of a connection with an unanswered claim stand
 * in a line; a long line stops the reading of that connection and of no other.
 */

import { filterMatches, PacketType, type QoS, ReasonCode, reasonCodeAllowed } from '@pipit/protocol';
import { AckLine, acknowledge, type LineEntry, stallLongLine } from './acknowledgement.ts';
import type { Connection } from './connection.ts';
import type { LocalSubscriber } from './local.ts';
import { toLocalMessage } from './local-message.ts';
import type { Message } from './message.ts';
import type { State } from './state.ts';
import type { Topic } from './topic-table.ts';

/** Topics remembered with who claims them. */
const rememberedMax = 10_000;

export class Claims {
  private readonly claims: { readonly filter: string; readonly subscriber: LocalSubscriber }[] = [];
  private readonly remembered = new Map<Topic, LocalSubscriber | null>();

  get isEmpty(): boolean {
    return this.claims.length === 0;
  }

  add(filter: string, subscriber: LocalSubscriber): void {
    this.claims.push({ filter, subscriber });
    this.remembered.clear();
  }

  remove(subscriber: LocalSubscriber): void {
    for (let i = this.claims.length - 1; i >= 0; i--)
      if (this.claims[i]?.subscriber === subscriber) this.claims.splice(i, 1);
    this.remembered.clear();
  }

  /** Who claims this topic: the claim made first wins. */
  find(topic: Topic): LocalSubscriber | null {
    const known = this.remembered.get(topic);
    if (known !== undefined) return known;
    if (this.remembered.size >= rememberedMax) this.remembered.clear();
    const claim = this.claims.find(({ filter }) => filterMatches(filter, topic.name))?.subscriber ?? null;
    this.remembered.set(topic, claim);
    return claim;
  }
}

/** To whom a claim owes its answer: a place in the line of a connection, the promise of an in-process publish, or nobody. */
export type Claimed =
  | { readonly connection: Connection; readonly entry: LineEntry }
  | { readonly token: number }
  | null;

/** A connection's publish waits for its claim in the connection's line. */
export function lineUp(state: State, connection: Connection, qos: QoS, packetId: number): Claimed {
  connection.line ??= new AckLine();
  const type = qos === 0 ? 0 : qos === 1 ? PacketType.Puback : PacketType.Pubrec;
  const changed = qos === 2 && connection.session?.lasts === true && state.journal !== null;
  const entry = connection.line.push(type, packetId, -1, changed);
  stallLongLine(state, connection);
  return { connection, entry };
}

/** Gives a publish to its claim. */
export function claimed(state: State, subscriber: LocalSubscriber, message: Message, debt: Claimed): void {
  const token = state.nextToken();
  subscriber.unsettled.set(token, { delivery: null, claimed: debt });
  state.deliveriesLeft--;
  const { qos, retain } = message;
  state.effects.push({ kind: 'deliver', subscriber, token, message: toLocalMessage(message, qos, retain) });
}

/** The claim has answered: whoever waited is told; in a line, whatever is now at its head with an answer leaves. */
export function answered(state: State, debt: Claimed, reasonCode: number): void {
  if (debt === null) return;
  if ('token' in debt) {
    state.effects.push({ kind: 'published', token: debt.token, reasonCode });
    return;
  }
  const { connection, entry } = debt;
  // A code that is none of PUBACK's or PUBREC's says only that something went wrong.
  const isAllowed = reasonCodeAllowed(reasonCode, PacketType.Puback, 'server');
  const code = isAllowed ? reasonCode : ReasonCode.ImplementationSpecificError;
  entry.reasonCode = connection.version === 5 ? code : ReasonCode.Success;
  const { line, session } = connection;
  // Refused at QoS 2: the exchange is over with the PUBREC [MQTT-4.3.3-9].
  if (entry.type === PacketType.Pubrec && entry.reasonCode >= 0x80 && session !== null) {
    session.received?.delete(entry.packetId);
    connection.inbound = Math.max(0, connection.inbound - 1);
    const { key, incarnation, lasts } = session;
    if (lasts) state.journal?.record({ kind: 'completed', key, incarnation, packetId: entry.packetId });
  }
  if (line === null || !connection.isOpen) return;
  let done = 0;
  while ((line.entries[done]?.reasonCode ?? -1) >= 0) done++;
  if (done === 0) return;
  const leaving = line.entries.splice(0, done);
  const rest = line.entries.length > 0 ? line : null;
  connection.line = null;
  for (const { type, packetId, reasonCode: answer, changed } of leaving) {
    if (type !== 0) acknowledge(state, connection, type, packetId, answer, changed);
  }
  connection.line = rest;
  if (connection.isStalled) state.wake(connection);
}
