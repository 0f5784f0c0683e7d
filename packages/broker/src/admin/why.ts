/**
 * Why did a message not arrive? From what a client has now and what happened to it lately, in sentences.
 *
 * It tells what is known, not what it guesses: the broker remembers no messages, but the topics of those that a client missed. Where
 * nothing explains it, the answer is a trace.
 */

import { filterMatches, ReasonCode, reasonCodeName } from '@pipit/protocol';
import type { DropReason, Inspection, MissedView, SessionView, SubscriptionView } from '../core/index.ts';
import type { EventOf, EventType } from '../node/event-hub.ts';
import type { History, PastEvent } from './history.ts';

export const findingCodes = [
  'unknown-client',
  'session-ended',
  'away',
  'taken-over',
  'disconnected',
  'refused',
  'not-subscribed',
  'subscribe-refused',
  'subscription-revoked',
  'not-authorized',
  'publish-refused',
  'qos0-while-away',
  'shared',
  'no-local',
  'queued',
  'unacknowledged',
  'window-full',
  'slow-reader',
  'dropped',
  'throttled',
  'nothing-known',
] as const;
export type FindingCode = (typeof findingCodes)[number];

export interface Finding {
  readonly code: FindingCode;
  /** For people. */
  readonly text: string;
  /** ISO 8601: when it happened; absent: it is so now. */
  readonly at?: string;
}

/** What each reason of a dropped message means to who waits for it. */
export const dropSentences: { readonly [Reason in DropReason]: string } = {
  'queue-full': 'its queue was full (limits.queueMessagesMax, limits.queueBytesMax, or those of all queues together)',
  displaced: 'it was the oldest of a full queue, and newer ones came (queueOverflow: drop-oldest)',
  expired: 'it expired while it waited (Message Expiry Interval)',
  'unsent-full': 'it was QoS 0, and the client did not take what it had been sent before (limits.unsentBytesMax)',
  'offline-qos0': 'it was QoS 0, and the client was away',
  'packet-too-large': 'it was larger than the Maximum Packet Size the client gave in CONNECT',
  unmapped: 'its topic does not exist for the client (the mountPoint of its listener, or what an authority maps)',
  'not-authorized': 'the client lost its right to receive it while it waited',
  'session-ended': 'its session ended while it waited',
  'retained-full': 'no more messages can be retained (limits.retainedMessagesMax, limits.retainedBytesMax)',
  'store-lost': 'it could not be read back from the store',
};

/** Subscriptions looked at for one answer. */
const subscriptionsMax = 20_000;
/** Of one kind. */
const findingsMax = 5;

/** The weightiest first; never none. `topic` null: about any topic. */
export function whyNot(inspection: Inspection, history: History, clientId: string, topic: string | null): Finding[] {
  const session = inspection.session(clientId);
  const events = history.of(clientId);
  const missed = inspection.missed(clientId);
  const findings = [
    ...(session === null ? absence(events) : presence(inspection, session, topic)),
    ...drops(missed, events, topic),
    ...refusals(events, topic),
    ...(topic === null ? [] : publishRefusals(history, clientId, topic)),
    ...throttlings(events),
    ...endings(events),
    ...(inspection.queuesQos0 ? [] : absences(events, missed, topic)),
  ];
  if (findings.length > 0) return findings;
  return [{ code: 'nothing-known', text: 'Nothing speaks against it. Was it published? A trace of the topic shows.' }];
}

function absence(events: readonly PastEvent[]): Finding[] {
  if (events.length === 0) {
    return [{ code: 'unknown-client', text: 'There is no session of this client id, and nothing is known of it.' }];
  }
  const ended = newest(events, 'session-ended')[0];
  if (ended === undefined) {
    return [{ code: 'away', text: 'The client is not connected, and has no session in which messages would wait.' }];
  }
  const { reason, dropped } = ended.event;
  const lost = dropped === 0 ? '' : `, and ${messages(dropped)} with it`;
  return [{ code: 'session-ended', text: `Its session ended (${reason})${lost}.`, at: iso(ended) }];
}

function presence(inspection: Inspection, session: SessionView, topic: string | null): Finding[] {
  const { clientId, connection, awaySince, isLocal } = session;
  const isAway = connection === null && !isLocal;
  const found: Finding[] = [];
  if (isAway) {
    const since = awaySince === null ? '' : ` since ${new Date(awaySince).toISOString()}`;
    const kept = inspection.queuesQos0 ? 'messages wait' : 'what is QoS 1 or 2 waits for it, what is QoS 0 does not';
    found.push({ code: 'away', text: `The client is away${since}: ${kept}.` });
  }
  if (topic !== null) {
    const right = inspection.mayReceive(clientId, topic);
    if (right !== null && right.reasonCode !== 0) found.push(notAuthorized(topic, right.rule));
    found.push(...matches(inspection, clientId, topic, isAway));
  }
  return [...found, ...waits(session)];
}

function notAuthorized(topic: string, rule: { effect: string; action: string; filter: string } | null): Finding {
  const because = rule === null ? 'no rule allows it' : `by the rule ${rule.effect} ${rule.action} ${rule.filter}`;
  return { code: 'not-authorized', text: `The client may not receive ${topic}: ${because}.` };
}

function matches(inspection: Inspection, clientId: string, topic: string, isAway: boolean): Finding[] {
  const matching: SubscriptionView[] = [];
  let looked = 0;
  for (const each of inspection.subscriptionsOf(clientId)) {
    if (looked++ === subscriptionsMax) break;
    if (each !== null && filterMatches(each.filter, topic)) matching.push(each);
  }
  if (matching.length === 0) {
    const part = looked > subscriptionsMax ? `the first ${subscriptionsMax}` : `its ${looked}`;
    return [{ code: 'not-subscribed', text: `Of ${part} subscriptions none matches ${topic}.` }];
  }
  const found: Finding[] = [];
  const own = matching.filter(({ shareName }) => shareName === undefined);
  if (own.length === 0) {
    const [group] = matching;
    const text = `It matches shared subscriptions only ($share/${group?.shareName}/${group?.filter}): each message goes to one member.`;
    found.push({ code: 'shared', text });
  }
  if (own.length > 0 && own.every(({ noLocal }) => noLocal)) {
    found.push({ code: 'no-local', text: 'It subscribed with No Local: what it publishes itself is not sent to it.' });
  }
  if (isAway && !inspection.queuesQos0 && matching.every(({ qos }) => qos === 0)) {
    const text = 'It subscribed at QoS 0, and is away: nothing waits for it.';
    found.push({ code: 'qos0-while-away', text });
  }
  return found;
}

function waits({ queue, inFlight, connection }: SessionView): Finding[] {
  const found: Finding[] = [];
  if (queue.messages > 0) {
    found.push({ code: 'queued', text: `${messages(queue.messages)} (${queue.bytes} bytes) wait in its queue.` });
  }
  if (inFlight.messages > 0) {
    found.push({ code: 'unacknowledged', text: `${messages(inFlight.messages)} were sent and not acknowledged yet.` });
  }
  if (connection !== null && queue.messages > 0 && inFlight.quota <= 0) {
    const text = 'No more is sent before the client acknowledges some (its Receive Maximum, or limits.sendMaximum).';
    found.push({ code: 'window-full', text });
  }
  if (connection !== null && connection.unsentBytes > 0) {
    const text = `Its socket has not taken ${connection.unsentBytes} bytes that it was sent.`;
    found.push({ code: 'slow-reader', text });
  }
  return found;
}

/** The newest first. */
function drops(missed: MissedView | null, events: readonly PastEvent[], topic: string | null): Finding[] {
  const known = [...(missed?.topics ?? [])].sort((a, b) => b.lastAt - a.lastAt);
  const found = known
    .filter((each) => topic === null || each.topic === topic)
    .map(({ topic: name, reason, count, firstAt, lastAt }): Finding => {
      const since = count === 1 ? '' : `, since ${new Date(firstAt).toISOString()}`;
      const text = `${messages(count)} of ${name}${since}: ${dropSentences[reason]}.`;
      return { code: codeOf(reason), text, at: new Date(lastAt).toISOString() };
    });
  const unnamed = (missed?.others ?? []).map(({ reason, count }): Finding => {
    const which = topic === null ? 'of other topics' : `of topics that are not remembered, ${topic} may be among them`;
    return { code: codeOf(reason), text: `${messages(count)} (${which}): ${dropSentences[reason]}.` };
  });
  return [...found.slice(0, findingsMax), ...unnamed, ...untold(missed, events, topic)];
}

/** Events and the core have their times from two clocks. */
const clockSlackMs = 1_000;

/** What events tell that is not remembered otherwise. */
function untold(missed: MissedView | null, events: readonly PastEvent[], topic: string | null): Finding[] {
  const isRemembered = (past: PastEvent, reason: DropReason): boolean =>
    missed !== null && past.time >= missed.since - clockSlackMs && !lostElsewhere.has(reason);
  const found = newest(events, 'dropped')
    .filter((past) => !isRemembered(past, past.event.reason))
    .map((past): Finding => {
      const { reason, count, topic: last } = past.event;
      const which = last === topic || topic === null ? `of ${last}` : `${last} among them`;
      return { code: 'dropped', text: `${messages(count)} (${which}): ${dropSentences[reason]}.`, at: iso(past) };
    });
  return found.slice(0, findingsMax);
}

/** Told where it happens, of many messages at once. */
const lostElsewhere: ReadonlySet<DropReason> = new Set(['store-lost', 'session-ended', 'retained-full']);

function codeOf(reason: DropReason): FindingCode {
  return reason === 'offline-qos0' ? 'qos0-while-away' : 'dropped';
}

function refusals(events: readonly PastEvent[], topic: string | null): Finding[] {
  const concerns = (filter: string): boolean => topic === null || filterMatches(filter.replace(share, ''), topic);
  const refused = newest(events, 'subscribe-refused')
    .filter(({ event }) => concerns(event.filter))
    .map((past): Finding => {
      const { filter, reason } = past.event;
      return {
        code: 'subscribe-refused',
        text: `Its subscription to ${filter} was refused: ${reason}.`,
        at: iso(past),
      };
    });
  const revoked = newest(events, 'subscription-revoked')
    .filter(({ event }) => concerns(event.filter))
    .map((past): Finding => {
      const text = `Its subscription to ${past.event.filter} was revoked: its rules changed.`;
      return { code: 'subscription-revoked', text, at: iso(past) };
    });
  return [...refused.slice(0, findingsMax), ...revoked.slice(0, findingsMax)];
}

const share = /^\$share\/[^/]*\//;

function publishRefusals(history: History, clientId: string, topic: string): Finding[] {
  const found: Finding[] = [];
  for (const past of history.latest()) {
    const { event } = past;
    if (event.type !== 'publish-refused' || event.topic !== topic) continue;
    const who = event.clientId === clientId ? 'the client itself' : event.clientId;
    const text = `${messages(event.count)} of ${topic}, published by ${who}: refused, ${event.reason}.`;
    found.push({ code: 'publish-refused', text, at: iso(past) });
    if (found.length === findingsMax) break;
  }
  return found;
}

/** What it publishes comes late. */
function throttlings(events: readonly PastEvent[]): Finding[] {
  const [last] = newest(events, 'throttled');
  if (last === undefined) return [];
  return [
    { code: 'throttled', text: `It sends faster than it may (${last.event.reason}): it is read late.`, at: iso(last) },
  ];
}

/** How its connections ended, or did not begin. */
function endings(events: readonly PastEvent[]): Finding[] {
  const ended = newest(events, 'disconnected').map((past): Finding => {
    const { by, reasonCode, reason } = past.event;
    const isTaken = by === 'server' && reasonCode === ReasonCode.SessionTakenOver;
    if (isTaken) {
      const text = 'Another connection with the same client id took its session over.';
      return { code: 'taken-over', text, at: iso(past) };
    }
    return { code: 'disconnected', text: `Disconnected (${by}): ${reason}.`, at: iso(past) };
  });
  const refused = newest(events, 'refused').map((past): Finding => {
    const { reasonCode, reason } = past.event;
    return { code: 'refused', text: `Not let in: ${reason} (${reasonCodeName(reasonCode)}).`, at: iso(past) };
  });
  return [...ended.slice(0, findingsMax), ...refused.slice(0, findingsMax)];
}

/** While it was away nothing was kept of QoS 0, or nothing at all. Not said where it is known what it missed. */
function absences(events: readonly PastEvent[], missed: MissedView | null, topic: string | null): Finding[] {
  const back = newest(events, 'connected')[0];
  const gone = events.findLast(({ event, number }) => event.type === 'disconnected' && number < (back?.number ?? 0));
  if (back === undefined || gone === undefined) return [];
  if (!back.event.sessionPresent) {
    const text = `It was away from ${iso(gone)} on, without a session: what was published until it came back did not wait.`;
    return [{ code: 'away', text, at: iso(back) }];
  }
  if (topic !== null && missed !== null && missed.since <= gone.time) return [];
  const isTold = missed?.topics.some(({ reason }) => reason === 'offline-qos0') === true;
  if (isTold) return [];
  const text = `It was away from ${iso(gone)} on: what was published at QoS 0 until it came back did not wait.`;
  return [{ code: 'qos0-while-away', text, at: iso(back) }];
}

type PastOf<T extends EventType> = PastEvent & { readonly event: EventOf<T> };

function newest<T extends EventType>(events: readonly PastEvent[], type: T): PastOf<T>[] {
  return events.filter((past): past is PastOf<T> => past.event.type === type).reverse();
}

function messages(count: number): string {
  return count === 1 ? '1 message' : `${count} messages`;
}

function iso({ time }: PastEvent): string {
  return new Date(time).toISOString();
}
