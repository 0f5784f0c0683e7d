/**
 * What an operator may see of the broker, as plain data: read, never changed.
 *
 * Whatever there can be a million of is a generator that may rest between turns while anything comes and goes: it shows each
 * thing that was there all the time, and yields null for one that it looked at and does not show, so that who draws from it can
 * count the work. Only who asks for one retained message gets a payload; there are no passwords here.
 */

import type { QoS } from '@pipit/protocol';
import type { Connection } from './connection.ts';
import { type DropReason, dropReasons } from './events.ts';
import { type LocalMessage, toLocalMessage } from './local-message.ts';
import type { MissedTopic } from './missed.ts';
import type { Rule } from './permissions.ts';
import type { Peer } from './ports.ts';
import type { Subscription } from './router.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

/** Times are wall-clock milliseconds. */
export interface SessionView {
  readonly clientId: string;
  /** Who created it; null: nobody in particular. */
  readonly principal: string | null;
  /** Null: it is away. */
  readonly connection: ConnectionView | null;
  /** In-process code of the broker's own program. */
  readonly isLocal: boolean;
  /** Seconds it outlives its connection. */
  readonly expirySeconds: number;
  readonly awaySince: number | null;
  readonly expiresAt: number | null;
  readonly subscriptions: number;
  readonly queue: QueueView;
  readonly inFlight: FlightView;
  readonly willTopic: string | null;
}

export interface ConnectionView {
  readonly address: string;
  readonly transport: Peer['transport'];
  readonly listener: string;
  readonly version: number;
  readonly username: string | null;
  /** 0: none. */
  readonly keepAliveMs: number;
  /** Accepted for it and not taken by its socket. */
  readonly unsentBytes: number;
  /** The broker does not read from it now. */
  readonly isPaused: boolean;
}

export interface QueueView {
  readonly messages: number;
  readonly bytes: number;
  readonly inMemory: number;
}

export interface FlightView {
  readonly messages: number;
  /** How many more may be sent before one is acknowledged. */
  readonly quota: number;
}

export interface SubscriptionView extends Subscription {
  readonly clientId: string;
}

export interface RetainedView {
  readonly topic: string;
  /** Of topic, properties and payload, with what the broker adds for keeping it. */
  readonly bytes: number;
  readonly expiresAt: number | null;
}

export interface WaitingView {
  readonly topic: string;
  readonly qos: QoS;
  readonly payloadBytes: number;
  readonly publisher: string | null;
  readonly expiresAt: number | null;
}

export interface MissedView {
  /** Since when this is all of it. */
  readonly since: number;
  readonly topics: readonly MissedTopic[];
  /** How many of topics that are not among them. */
  readonly others: readonly { readonly reason: DropReason; readonly count: number }[];
}

export interface Totals {
  readonly uptimeMs: number;
  readonly connections: number;
  readonly sessions: number;
  readonly subscriptions: number;
  readonly sharedSubscriptions: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  readonly unsentBytes: number;
  /** The last commit failed; it is tried again. */
  readonly storeFails: boolean;
  /** What would be added is refused. */
  readonly storeIsFull: boolean;
  readonly isStopping: boolean;
}

/** What the rules say to one topic for one session. */
export interface RightView {
  /** 0, or the reason code of the refusal. */
  readonly reasonCode: number;
  readonly rule: Rule | null;
}

export class Inspection {
  private readonly state: State;

  constructor(state: State) {
    this.state = state;
  }

  totals(): Totals {
    const { state } = this;
    return {
      uptimeMs: Math.round(state.now - state.startedAt),
      connections: state.connections.size,
      sessions: state.sessions.size,
      subscriptions: state.router.count,
      sharedSubscriptions: state.router.sharedCount,
      retainedMessages: state.retained.count,
      retainedBytes: state.retained.bytes,
      queuedMessages: state.queueTotal.messages,
      queuedBytes: state.queueTotal.bytes,
      unsentBytes: state.unsentTotal,
      storeFails: state.journal?.isFailing === true,
      storeIsFull: state.journal?.isFull === true,
      isStopping: state.isStopping,
    };
  }

  /** What is published at QoS 0 waits for who is away. */
  get queuesQos0(): boolean {
    return this.state.options.queueQos0 === true;
  }

  session(clientId: string): SessionView | null {
    const session = this.state.sessionOf(clientId);
    return session === null ? null : describe(this.state, session);
  }

  /** Of clients whose ids begin with `prefix`. */
  *sessions(shows: (session: SessionView) => boolean, prefix = ''): Generator<SessionView | null> {
    for (const session of this.state.sessions.values()) {
      const isMeant = !session.isEstate && session.clientId.startsWith(prefix);
      const view = isMeant ? describe(this.state, session) : null;
      yield view !== null && shows(view) ? view : null;
    }
  }

  *subscriptions(shows: (subscription: SubscriptionView) => boolean): Generator<SubscriptionView | null> {
    for (const session of this.state.sessions.values()) {
      if (session.isEstate || session.subscriptionCount === 0) yield null;
      else yield* this.listing(session, shows);
    }
  }

  *subscriptionsOf(clientId: string): Generator<SubscriptionView | null> {
    const session = this.state.sessionOf(clientId);
    if (session !== null) yield* this.listing(session, () => true);
  }

  /** Retained messages that match a filter, which must be legal. `return` it, unless it was drawn to its end. */
  *retained(filter: string): Generator<RetainedView | null> {
    const { retained } = this.state;
    const cursor = retained.cursor(filter);
    try {
      for (let entry = cursor.next(); entry !== null; entry = cursor.next()) {
        yield entry < 0 ? null : this.retainedEntry(entry);
      }
    } finally {
      cursor.close();
    }
  }

  /** With its payload, if it is in memory. */
  retainedMessage(topic: string): LocalMessage | null {
    const entry = this.state.retained.find(topic);
    const message = entry < 0 ? null : this.state.retained.value(entry);
    return message === null ? null : toLocalMessage(message, message.qos, true);
  }

  retainedAt(topic: string): RetainedView | null {
    const entry = this.state.retained.find(topic);
    return entry < 0 ? null : this.retainedEntry(entry);
  }

  /** The first of what waits for a session in memory, in order. */
  waiting(clientId: string, most: number): WaitingView[] {
    const views: WaitingView[] = [];
    for (const { message, qos } of this.state.sessionOf(clientId)?.queue ?? []) {
      if (views.length === most) break;
      views.push({
        topic: message.topic.name,
        qos,
        payloadBytes: message.payloadLength,
        publisher: message.publisher,
        expiresAt: this.wall(message.expiresAt),
      });
    }
    return views;
  }

  /** What a client did not get lately, whether it has a session or not; null: it is not remembered. */
  missed(clientId: string): MissedView | null {
    const { missed: all, wallOffsetMs, startedAt } = this.state;
    const missed = all.find(clientId);
    if (missed === null) return all.isComplete ? { since: startedAt + wallOffsetMs, topics: [], others: [] } : null;
    const topics = [...missed].map(({ firstAt, lastAt, ...rest }) => {
      return { ...rest, firstAt: firstAt + wallOffsetMs, lastAt: lastAt + wallOffsetMs };
    });
    const others = dropReasons
      .map((reason) => ({ reason, count: missed.othersOf(reason) }))
      .filter(({ count }) => count > 0);
    return { since: missed.since + wallOffsetMs, topics, others };
  }

  /** Whether a session may be sent messages of a topic, by any of its shared subscriptions if not by its own; null: there is no such session. */
  mayReceive(clientId: string, topic: string): RightView | null {
    const session = this.state.sessionOf(clientId);
    if (session === null) return null;
    const { permissions, groups } = session;
    const names = [undefined, ...new Set([...(groups ?? [])].map(({ shareName }) => shareName))];
    const shareName = names.find((name) => session.mayReceive(topic, name));
    return {
      reasonCode: permissions?.receive(topic, shareName) ?? 0,
      rule: permissions?.decideReceive(topic, shareName) ?? null,
    };
  }

  private *listing(
    session: Session,
    shows: (subscription: SubscriptionView) => boolean,
  ): Generator<SubscriptionView | null> {
    const { clientId } = session;
    for (const subscription of this.state.router.listing(session)) {
      const view = subscription === null ? null : { clientId, ...subscription };
      yield view !== null && shows(view) ? view : null;
    }
  }

  private retainedEntry(entry: number): RetainedView {
    const { retained } = this.state;
    const { topic, bytes } = { topic: retained.topic(entry), bytes: retained.cost(entry) };
    return { topic, bytes, expiresAt: this.wall(retained.expiresAt(entry)) };
  }

  private wall(at: number): number | null {
    return at === Number.POSITIVE_INFINITY ? null : at + this.state.wallOffsetMs;
  }
}

function describe(state: State, session: Session): SessionView {
  const { clientId, principal, connection, local, expirySeconds, queue, window, quota } = session;
  const isAway = connection === null && local === null;
  const awaySince = isAway ? session.closedAt + state.wallOffsetMs : null;
  const due = session.deadline?.isArmed === true ? session.deadline.at : null;
  return {
    clientId,
    principal,
    connection: connection === null ? null : describeConnection(connection),
    isLocal: local !== null,
    expirySeconds,
    awaySince,
    expiresAt: due === null ? null : due + state.wallOffsetMs,
    subscriptions: session.subscriptionCount,
    queue: { messages: queue?.count ?? 0, bytes: queue?.bytes ?? 0, inMemory: queue?.prefixCount ?? 0 },
    inFlight: { messages: window?.inUse ?? 0, quota },
    willTopic: session.will?.message.topic.name ?? null,
  };
}

function describeConnection(connection: Connection): ConnectionView {
  const { peer, version, username, keepAliveMs, unsent, isPaused } = connection;
  const { address, transport, listener } = peer;
  return { address, transport, listener, version, username, keepAliveMs, unsentBytes: unsent, isPaused };
}
