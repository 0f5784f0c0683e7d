/**
 * What a broker knows after its disk was damaged: neither all it knew before nor a part of that, because the record that ends
 * something may be lost as well as the one that begins it. From what was found on the disk a model of it is made anew.
 */

import type { StoredDelivery, StoredMessage } from '../../src/core/index.ts';
import type { KeptState } from '../kept-state.ts';
import { type Model, ModelSession, numberOf, type Owed, type Routing, type Snapshot } from './model.ts';

type KeptSession = KeptState['sessions'] extends Map<string, infer One> ? One : never;

/** What should have been there. */
export interface Expected {
  readonly kept: KeptState;
  readonly snapshot: Snapshot | null;
}

export function salvage(model: Model, found: KeptState, expected: Expected): Snapshot {
  const sessions = new Map<string, ModelSession>();
  const estates: ModelSession[] = [];
  for (const [key, kept] of found.sessions) {
    const isKnown = expected.kept.sessions.get(key)?.session.incarnation === kept.session.incarnation;
    const known = isKnown ? expected.snapshot?.sessions.get(key) : undefined;
    const made = sessionOf(model, found, kept, known);
    if (key.startsWith('\u0000')) estates.push(made);
    else sessions.set(key, made);
  }
  const retained = [...found.retained].map(([topic, message]) => [topic, routingOf(model, found, message)] as const);
  return { sessions, estates, retained: new Map(retained) };
}

function sessionOf(
  model: Model,
  found: KeptState,
  { session, subscriptions, queue, received }: KeptSession,
  known: ModelSession | undefined,
): ModelSession {
  const made = new ModelSession(session.clientId, known?.generation ?? model.nextGeneration(), session.principal);
  made.expirySeconds = session.expirySeconds;
  made.hasLasted = made.lasts || queue.size > 0;
  made.closedAt = worldTime(found, session.closedAtClock);
  made.will = session.will === null ? null : (model.wills.get(numberOf(session.will.message)) ?? null);
  const deliveries = [...queue.values()].sort((a, b) => a.sequence - b.sequence);
  const taken = new Set<number>();
  for (const each of deliveries) {
    // One of the two under a packet id was settled: nobody knows any more which.
    if (taken.has(each.packetId)) continue;
    if (each.packetId !== 0) taken.add(each.packetId);
    made.line.push(owedOf(model, each, routingOf(model, found, each.message), known));
  }
  if (!made.lasts) return made;
  for (const [name, subscription] of subscriptions) made.subscriptions.set(name, subscription);
  made.received = new Set(received);
  return made;
}

function owedOf(model: Model, stored: StoredDelivery, routing: Routing, session: ModelSession | undefined): Owed {
  const { qos, retain, identifiers, group, packetId, released } = stored;
  const known = session?.line.find((each) => each.routing === routing && each.group === group && each.qos === qos);
  const owed = model.owed(routing, qos, retain, identifiers ?? [], group, known?.isReplay);
  return packetId === 0 ? owed : { ...owed, packetId, phase: released ? 'released' : 'sent' };
}

function routingOf(model: Model, found: KeptState, message: StoredMessage): Routing {
  const number = numberOf(message);
  const known = model.routings.get(number);
  if (known !== undefined) return known;
  const { topic, qos, retain, publisher, payload } = message;
  const expiresAt = worldTime(found, message.expiresAtClock);
  return { number, topic, qos, retain, publisher, expiresAt, payloadBytes: payload.length, at: found.wall };
}

/** Records carry the time of a clock that every commit compares with that of the world. */
function worldTime({ wall, clock }: KeptState, recorded: number): number {
  return recorded - clock + wall;
}
