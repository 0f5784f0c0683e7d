/**
 * What is refused at admission, before it has touched anything: for want of a right, of the disk, or of room.
 *
 * All or nothing: a PUBLISH that one of its receivers could not keep is refused for all of them, and is not retained either.
 */

import { ReasonCode } from '@pipit/protocol';
import type { LimitName } from './limits.ts';
import { fits } from './line.ts';
import type { Message } from './message.ts';
import { retainRefusal } from './retaining.ts';
import type { Plan } from './router.ts';
import { isClogged } from './sending.ts';
import type { Session } from './session.ts';
import type { Member, SharedGroup } from './shared-group.ts';
import type { State } from './state.ts';

export interface Refusal {
  readonly reasonCode: number;
  /** A sentence for people. */
  readonly reason: string;
  /** The same may be accepted later. */
  readonly mayPass: boolean;
  /** The limit that would be passed, where there is one of this name. */
  readonly limit?: LimitName;
}

const full = ReasonCode.QuotaExceeded;
const disk: Refusal = { reasonCode: full, reason: 'the store is full or fails', mayPass: true };
const retained: Refusal = { reasonCode: full, reason: 'no more messages can be retained', mayPass: false };
const queue: Refusal = { reasonCode: full, reason: 'the queue of a subscriber is full', mayPass: true };

export function denied(reasonCode: number): Refusal {
  return { reasonCode, reason: 'publishing to this topic is not allowed', mayPass: false };
}

/** Why a message must not be taken now; null: it may. `session`: its publisher's; null when it is in-process code. */
export function refusalOf(state: State, session: Session | null, message: Message): Refusal | null {
  const isShort = state.journal !== null && !state.journal.takes(message.cost);
  if (isShort && message.qos === 2 && session?.lasts === true) return disk;
  // What is claimed goes to nobody else, and is not retained.
  if (state.claims !== null && state.claims.find(message.topic) !== null) return null;
  if (isShort && needsDisk(state, message)) return disk;
  const limit = retainRefusal(state, message, session?.principal ?? null);
  if (limit !== null) return { ...retained, limit };
  if (state.options.queueOverflow !== 'refuse' || !overflows(state, message)) return null;
  return isStuck(state, session, message) ? null : queue;
}

function needsDisk(state: State, message: Message): boolean {
  // Clearing a retained message gives room back, when that is all it takes.
  if (message.retain && (message.payloadLength > 0 || state.journal?.isFailing === true)) return true;
  if (message.qos === 0) return false;
  const { recipients, groups } = state.router.plan(message.topic);
  return (
    recipients.some(({ session: to, qos }) => to.lasts && qos > 0) ||
    groups?.some((group) => group.members.some(({ session: to }) => to.lasts)) === true
  );
}

/**
 * A 3.x publisher is refused by the end of its connection, and sends the same again on the next one. When its own queue is full
 * it would never come to read it, and two such could refuse each other for ever.
 */
function isStuck(state: State, session: Session | null, message: Message): boolean {
  return session !== null && session.connection?.version !== 5 && !fits(state, session, message.cost);
}

/** Whether somebody who is due the message at QoS 1 or 2 could neither be sent it nor keep it. */
function overflows(state: State, message: Message): boolean {
  if (message.qos === 0) return false;
  const plan = state.router.plan(message.topic);
  const { recipients, groups } = plan;
  const { queueTotal } = state;
  const { cost } = message;
  let planned = 0;
  // Each finds the total as those before it will have left it.
  const isFull = (recipient: Plan['recipients'][number]): boolean => {
    const due = isOwn(recipient, message) ? recipient.own : recipient;
    if (due === null || due.qos === 0) return false;
    if (!hasRoom(state, due.session, cost, 0) && !fits(state, due.session, cost)) return true;
    queueTotal.add(cost);
    planned++;
    return false;
  };
  let overflow = recipients.some(isFull);
  if (!overflow && groups !== null) {
    // Where the copies of the other groups will go is not known: each may take from the total.
    queueTotal.add(cost * (groups.length - 1), groups.length - 1);
    planned += groups.length - 1;
    overflow = groups.some((group) => isGroupFull(state, group, message, plan));
  }
  queueTotal.remove(cost * planned, planned);
  return overflow;
}

function isOwn(recipient: Plan['recipients'][number], message: Message): boolean {
  return recipient.hasNoLocal && recipient.session.clientId === message.publisher;
}

/** Whether it could be sent a message of this cost at once, and `more` like it. */
function hasRoom(state: State, session: Session, cost: number, more: number): boolean {
  const { connection, quota, window, flightMax, flightMessages, flightBytes, flightBytesMax, total } = session;
  if (!session.isOnline || !session.hasRoom || (connection !== null && isClogged(state, connection))) return false;
  if (more === 0) return true;
  // The first copies may be what clogs the connection for the others.
  const { unsentBytesMax, unsentBytesStalledMax } = state.limits;
  const backlog = (connection?.backlog ?? 0) + cost * more;
  if (connection !== null && backlog > Math.min(unsentBytesMax, unsentBytesStalledMax)) return false;
  const hasSlots = quota > more && (window?.inUse ?? 0) + more < flightMax;
  const bytesMax = Math.min(flightBytesMax, total.freeBytes);
  return hasSlots && flightMessages + more < total.freeMessages && flightBytes + cost * more < bytesMax;
}

/** Whether none of those who may be chosen could keep the message, were every copy they may get to come to the same one. */
function isGroupFull(state: State, group: SharedGroup, message: Message, plan: Plan): boolean {
  const able = group.members.filter(({ session }) => session.mayReceive(message.topic.name, group.shareName));
  const online = able.filter(({ session }) => session.isOnline);
  const eligible = online.length > 0 ? online : able.filter(({ session, qos }) => session.lasts && qos > 0);
  const takes = ({ session, qos }: Member): boolean => {
    if (qos === 0 || fits(state, session, message.cost, plan.groups?.length)) return true;
    const others = copiesFor(session, plan) - 1;
    return hasRoom(state, session, message.cost, others) || fits(state, session, message.cost, others);
  };
  return eligible.length > 0 && !eligible.some(takes);
}

/** How often a message may come to one session: by its own subscriptions once, and by each group it is in. */
function copiesFor(session: Session, { recipients, groups }: Plan): number {
  const own = recipients.some((recipient) => recipient.session === session) ? 1 : 0;
  return (groups ?? []).reduce((sum, group) => sum + (group.memberOf(session) === undefined ? 0 : 1), own);
}
