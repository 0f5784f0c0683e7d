/**
 * Following messages live, for whoever looks for one that does not arrive: of a client, from an address, or of topics.
 *
 * What happens to a message is told as `traced` events, without its payload. Every trace ends by itself, by count or by time.
 * While there is none `state.traces` is null, and all that a message pays is a look at that.
 */

import { filterMatches, type QoS, topicFilterProblem } from '@pipit/protocol';
import { Deadline } from './deadlines.ts';
import type { BrokerEvent } from './events.ts';
import type { Message } from './message.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

/** What is followed: all that is given must fit. */
export interface TraceRequest {
  readonly clientId?: string;
  /** An IP address, as in `Peer.address` but without a port. */
  readonly address?: string;
  /** Topics that match it; steps that are about no topic then do not count. */
  readonly filter?: string;
  readonly eventsMax: number;
  readonly durationMs: number;
}

export const traceSteps = [
  /** A PUBLISH came in; `detail` says to how many it went, or why to none. */
  'published',
  /** A PUBLISH was written to a client, for the first time or again. */
  'sent',
  'queued',
  'acknowledged',
  'dropped',
  'subscribed',
  'unsubscribed',
] as const;
export type TraceStep = (typeof traceSteps)[number];

type EndReason = Extract<BrokerEvent, { type: 'trace-ended' }>['reason'];

/** At once. */
export const tracesMax = 16;

class Trace {
  readonly number: number;
  readonly request: TraceRequest;
  left: number;
  readonly deadline: Deadline;

  constructor(number: number, request: TraceRequest) {
    this.number = number;
    this.request = request;
    this.left = request.eventsMax;
    this.deadline = Deadline.of(this, (state, trace) => endTrace(state, trace.number, 'time'));
  }

  concerns(clientId: string, address: string, topic: string): boolean {
    const { clientId: client, address: from, filter } = this.request;
    if (client !== undefined && client !== clientId) return false;
    if (from !== undefined && !(address === from || address.startsWith(`${from}:`) || address.startsWith(`[${from}]:`)))
      return false;
    return filter === undefined || (topic !== '' && filterMatches(filter, topic));
  }
}

export type Traces = Trace[];

/** The number of the trace; null: there are as many as there may be. Throws a RangeError for a filter that is not legal. */
export function beginTrace(state: State, request: TraceRequest): number | null {
  const problem =
    request.filter === undefined ? undefined : topicFilterProblem(request.filter, state.limits.topicLevelsMax);
  if (problem !== undefined) throw new RangeError(problem);
  if ((state.traces?.length ?? 0) >= tracesMax) return null;
  const trace = new Trace(state.nextToken(), request);
  state.traces = [...(state.traces ?? []), trace];
  state.deadlines.arm(trace.deadline, state.now + request.durationMs);
  return trace.number;
}

export function endTrace(state: State, number: number, reason: EndReason): void {
  const trace = state.traces?.find((each) => each.number === number);
  if (trace === undefined) return;
  const others = (state.traces ?? []).filter((each) => each !== trace);
  state.traces = others.length === 0 ? null : others;
  state.deadlines.disarm(trace.deadline);
  state.tell({ type: 'trace-ended', trace: number, reason });
}

/** Tells a step to every trace that it concerns. `session`: null for the program's own. */
export function traced(
  state: State,
  step: TraceStep,
  session: Session | null,
  topic: string,
  facts: { readonly qos: QoS; readonly payloadBytes: number; readonly packetId: number; readonly detail: string },
): void {
  const clientId = session?.clientId ?? '';
  const address = session?.connection?.peer.address ?? '';
  for (const trace of state.traces ?? []) {
    if (!trace.concerns(clientId, address, topic)) continue;
    state.tell({ type: 'traced', trace: trace.number, step, clientId, topic, ...facts });
    if (--trace.left === 0) endTrace(state, trace.number, 'count');
  }
}

/** The same of a message. */
export function tracedMessage(
  state: State,
  step: TraceStep,
  session: Session | null,
  message: Message,
  qos: QoS,
  packetId: number,
  detail: string,
): void {
  traced(state, step, session, message.topic.name, { qos, payloadBytes: message.payloadLength, packetId, detail });
}
