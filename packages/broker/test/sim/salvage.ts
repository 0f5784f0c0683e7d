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

/** `at`: when the newest batch that was found had been sealed. */
export function salvage(model: Model, found: KeptState, expected: Expected, at: number): Snapshot {
  const finder = new Finder(model, found, at);
  const sessions = new Map<string, ModelSession>();
  const estates: ModelSession[] = [];
  for (const [key, kept] of found.sessions) {
    const isKnown = expected.kept.sessions.get(key)?.session.incarnation === kept.session.incarnation;
    const known = isKnown ? expected.snapshot?.sessions.get(key) : undefined;
    const made = sessionOf(finder, kept, known);
    if (key.startsWith('\u0000')) estates.push(made);
    else sessions.set(key, made);
  }
  const retained = [...found.retained].map(([topic, { message }]) => [topic, finder.routing(message)] as const);
  return { sessions, estates, retained: new Map(retained) };
}

function sessionOf(
  finder: Finder,
  { session, subscriptions, queue, received }: KeptSession,
  known: ModelSession | undefined,
): ModelSession {
  const { model } = finder;
  const made = new ModelSession(session.clientId, known?.generation ?? model.nextGeneration(), session.principal);
  made.expirySeconds = session.expirySeconds;
  made.hasLasted = made.lasts || queue.size > 0;
  made.closedAt = finder.time(session.closedAtClock);
  made.will = session.will === null ? null : (model.wills.get(numberOf(session.will.message)) ?? null);
  const deliveries = [...queue.values()].sort((a, b) => a.sequence - b.sequence);
  const taken = new Set<number>();
  for (const each of deliveries) {
    // One of the two under a packet id was settled: nobody knows any more which.
    if (taken.has(each.packetId)) continue;
    if (each.packetId !== 0) taken.add(each.packetId);
    made.line.push(owedOf(model, each, finder.routing(each.message), known));
  }
  if (!made.lasts) return made;
  for (const [name, subscription] of subscriptions) made.subscriptions.set(name, subscription);
  made.received = new Set(received);
  return made;
}

function owedOf(model: Model, stored: StoredDelivery, routing: Routing, session: ModelSession | undefined): Owed {
  const { qos, retain, identifiers, group, packetId, released } = stored;
  const known = session?.line.find(
    (each) => each.routing.number === routing.number && each.group === group && each.qos === qos,
  );
  const owed = model.owed(routing, qos, retain, identifiers ?? [], group, known?.isReplay);
  return packetId === 0 ? owed : { ...owed, packetId, phase: released ? 'released' : 'sent' };
}

/** What records of a damaged disk mean to the model. */
class Finder {
  readonly model: Model;
  private readonly found: KeptState;
  private readonly at: number;
  private readonly made = new Map<string, Routing>();

  constructor(model: Model, found: KeptState, at: number) {
    this.model = model;
    this.found = found;
    this.at = at;
  }

  /** Records carry the time of a clock of their own, which every batch compares with that of the world. */
  time(recorded: number): number {
    return recorded - this.found.clock + this.at;
  }

  /** A message is one for all who are owed it. */
  routing(message: StoredMessage): Routing {
    const number = numberOf(message);
    const known = this.model.routings.get(number);
    const { topic, qos, retain, publisher, payload } = message;
    const expiresAt = this.time(message.expiresAtClock);
    // Empty messages have no number.
    const name = `${number > 0 ? number : `id ${message.id}`} ${topic} ${expiresAt}`;
    const routing = this.made.get(name) ?? {
      ...(known ?? { number, topic, qos, retain, publisher, payloadBytes: payload.length, at: this.at }),
      expiresAt,
    };
    this.made.set(name, routing);
    return routing;
  }
}
