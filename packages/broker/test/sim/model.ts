/**
 * What a broker has to know, in maps and lists, and the rules of MQTT that decide who is owed what. Small and slow on purpose,
 * and written without looking at the core's way of doing it. Times are milliseconds of the simulated world.
 */

import type { ConnectPacket, ProtocolVersion, PublishPacket, QoS } from '@pipit/protocol';
import type { Rule, StoredDelivery } from '../../src/core/index.ts';
import type { Link } from './link.ts';

/** Payloads are either below half of this, or this. */
export const bigPayloadBytes = 300;

/** One handing-on of a message. */
export interface Routing {
  /** The number in its payload; 0: the payload is empty. */
  readonly number: number;
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly publisher: string | null;
  readonly expiresAt: number;
  readonly payloadBytes: number;
  readonly at: number;
}

/** A place in the line of one session. */
export interface Owed {
  readonly serial: number;
  readonly routing: Routing;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
  readonly group: string | null;
  readonly isReplay: boolean;
  phase: 'waiting' | 'sent' | 'released';
  packetId: number;
  /** The link it was last sent on, and the one its PUBREL was last sent on. */
  sentOn: number;
  releasedOn: number;
  /** It comes from before a power cut: how far the broker had got with it may be unknown. */
  isRestored: boolean;
  /** It came from a member whose session did not last: no acknowledgement says that it does. */
  isUnpromised: boolean;
}

export interface Subscription {
  readonly filter: string;
  readonly shareName: string | undefined;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly identifier: number;
}

/** Retained messages that a subscription is owed: by topic, those stored when it was made. */
export interface Replay {
  readonly filter: string;
  qos: QoS;
  identifiers: readonly number[];
  /** What the session published itself is left out; or was, for a part of it. */
  noLocal: boolean;
  mayLackOwn: boolean;
  /** Rights changed while it was under way: some of it may have been skipped. */
  mayLackSome: boolean;
  readonly left: Map<string, Routing>;
}

export interface ModelWill {
  readonly packet: NonNullable<ConnectPacket['will']>;
  readonly number: number;
  readonly delaySeconds: number;
}

export class ModelSession {
  readonly clientId: string;
  readonly generation: number;
  readonly principal: string | null;
  expirySeconds = 0;
  /** It would have outlived a connection at some time. */
  hasLasted = false;
  /** What a power cut left of a session that did not last any more: for a moment it is owed things by subscriptions of before. */
  isRemnant = false;
  closedAt = 0;
  view: View | null = null;
  subscriptions = new Map<string, Subscription>();
  line: Owed[] = [];
  received = new Set<number>();
  replays: Replay[] = [];

  will: ModelWill | null = null;
  /** Its name among the sets of permissions; null: everything is allowed. */
  permissions: string | null = null;
  isEnded = false;
  /** When it ended: by group, those who would take its shared messages whether they are there or not. */
  heirs = new Map<string, { readonly session: ModelSession; readonly subscription: Subscription }[]>();

  constructor(clientId: string, generation: number, principal: string | null) {
    this.clientId = clientId;
    this.generation = generation;
    this.principal = principal;
  }

  get lasts(): boolean {
    return this.expirySeconds > 0;
  }

  get expiresAt(): number {
    return this.closedAt + this.expirySeconds * 1000;
  }

  get willDueAt(): number {
    return this.closedAt + Math.min(this.will?.delaySeconds ?? 0, this.expirySeconds) * 1000;
  }

  /** What waited for a session that did not last was in memory, but for what had waited before. */
  loseUnstored(stored: readonly StoredDelivery[]): void {
    this.line = this.line.filter(({ routing, group }) =>
      stored.some((each) => each.group === group && numberOf(each.message) === routing.number),
    );
  }

  /** What a power cut leaves of it. */
  copy(): ModelSession {
    const copy = new ModelSession(this.clientId, this.generation, this.principal);
    copy.expirySeconds = this.expirySeconds;
    copy.closedAt = this.view === null ? this.closedAt : Number.POSITIVE_INFINITY;
    copy.will = this.will;
    copy.hasLasted = this.hasLasted;
    copy.isRemnant = this.isRemnant;
    if (this.hasLasted) copy.line = this.line.map((owed) => ({ ...owed, isRestored: true }));
    if (!this.lasts) return copy;
    copy.subscriptions = new Map(this.subscriptions);
    copy.received = new Set(this.received);
    return copy;
  }
}

/** An acknowledgement the broker owes on one connection. */
export interface Awaited {
  readonly type: number;
  readonly packetId: number;
  /** null: not foretold. */
  readonly reasonCode: number | null;
  readonly reasonCodes?: readonly number[];
  /** What must be on the disk before it leaves. */
  readonly routing?: Routing;
  readonly subscriptions?: readonly Subscription[];
  readonly gone?: Set<string>;
}

/** One connection, as the model sees it. */
export class View {
  readonly link: Link;
  version: ProtocolVersion = 4;
  connect: ConnectPacket | null = null;
  session: ModelSession | null = null;
  willNumber = 0;
  /** The CONNACK that is due: Session Present. */
  isPresent = false;
  isConnackSent = false;
  /** When the core took its last packet up. */
  takenAt = 0;
  /** Acknowledgements owed, in the order of what they answer. */
  awaited: Awaited[] = [];
  /** QoS 0 messages due now. */
  now: Owed[] = [];
  /** Packet ids of QoS 1 and 2 that count against the client's Receive Maximum. */
  open = new Set<number>();
  receivedAliases = new Map<number, string>();
  sentAliases = new Map<number, string>();
  /** Serials of what was sent, by packet id. */
  sent = new Map<number, number>();
  /** Reason codes a CONNACK may carry. */
  readonly refusals: ReadonlySet<number>;
  /** QoS 0 messages made and not left. */
  zeros: Owed[] = [];

  disconnectCode: number | null = null;

  constructor(link: Link, refusals: ReadonlySet<number>) {
    this.link = link;
    this.refusals = refusals;
  }

  get receiveMaximum(): number {
    return this.connect?.properties?.receiveMaximum ?? 65_535;
  }

  get packetBytesMax(): number {
    return this.connect?.properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
  }
}

export interface Snapshot {
  readonly sessions: ReadonlyMap<string, ModelSession>;
  readonly estates: readonly ModelSession[];
  readonly retained: ReadonlyMap<string, Routing>;
}

/** Everything the broker knows. */
export class Model {
  sessions = new Map<string, ModelSession>();
  /** Ended sessions of which the core has not yet passed on everything that is shared, in the order of their ends. */
  estates: ModelSession[] = [];
  retained = new Map<string, Routing>();
  readonly rules = new Map<string, readonly Rule[]>();
  /** By number: every message there was, and every will. */
  readonly routings = new Map<number, Routing>();
  readonly wills = new Map<number, ModelWill>();
  private serials = 0;
  private generations = 0;

  nextGeneration(): number {
    return ++this.generations;
  }

  snapshot(): Snapshot {
    const sessions = new Map<string, ModelSession>();
    for (const [key, session] of this.sessions) {
      // What lasts no more may be brought back for its will, or for its line: it ends at once, and shared messages move on.
      const isKept = session.hasLasted || session.will !== null;
      if (isKept) sessions.set(key, session.copy());
    }
    const estates = this.estates.filter(({ hasLasted }) => hasLasted).map((session) => session.copy());
    return { sessions, estates, retained: new Map(this.retained) };
  }

  /** After a power cut: what lasted, every connection closed now; what is due is due so much later. */
  restore(snapshot: Snapshot | null, now: number, delayMs: number): void {
    const later = this.delayed(delayMs);
    const restored = (session: ModelSession): ModelSession => {
      const copy = session.copy();
      copy.line = copy.line.map((owed) => ({ ...owed, routing: later(owed.routing) }));
      return copy;
    };
    this.sessions = new Map();
    for (const [key, session] of snapshot?.sessions ?? []) {
      const copy = restored(session);
      copy.closedAt = Number.isFinite(session.closedAt) ? session.closedAt + delayMs : now;
      copy.isRemnant = !copy.lasts;
      this.sessions.set(key, copy);
    }
    this.estates = (snapshot?.estates ?? []).map(restored);
    this.retained = new Map([...(snapshot?.retained ?? [])].map(([topic, routing]) => [topic, later(routing)]));
  }

  /** Messages as they are after a restart in which so much time was not noticed: each the same for all who are owed it. */
  private delayed(delayMs: number): (routing: Routing) => Routing {
    if (delayMs === 0) return (routing) => routing;
    const made = new Map<Routing, Routing>();
    return (routing) => {
      const known = made.get(routing) ?? { ...routing, expiresAt: routing.expiresAt + delayMs };
      made.set(routing, known);
      if (routing.number > 0) this.routings.set(routing.number, known);
      return known;
    };
  }

  owed(
    routing: Routing,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[],
    group: string | null,
    isReplay = false,
  ): Owed {
    const start = {
      phase: 'waiting',
      packetId: 0,
      sentOn: 0,
      releasedOn: 0,
      isRestored: false,
      isUnpromised: false,
    } as const;
    return { serial: ++this.serials, routing, qos, retain, identifiers, group, isReplay, ...start };
  }

  mayReceive(session: Pick<ModelSession, 'permissions'>, topic: string): boolean {
    return this.decide(session, 'subscribe', (filter) => matches(filter, topic)) === 0;
  }

  mayPublish(session: ModelSession, topic: string): number {
    return this.decide(session, 'publish', (filter) => matches(filter, topic));
  }

  maySubscribe(session: Pick<ModelSession, 'permissions'>, filter: string): number {
    return this.decide(session, 'subscribe', (wide) => covers(wide, filter));
  }

  mayUserPublish(username: string, topic: string): number {
    return this.decide({ permissions: username }, 'publish', (filter) => matches(filter, topic));
  }

  private decide(
    { permissions }: Pick<ModelSession, 'permissions'>,
    action: 'publish' | 'subscribe',
    applies: (filter: string) => boolean,
  ): number {
    const rules = permissions === null ? undefined : this.rules.get(permissions);
    if (rules === undefined) return 0;
    const rule = rules.find((each) => (each.action === action || each.action === 'all') && applies(each.filter));
    return rule?.effect === 'allow' ? 0 : (rule?.reasonCode ?? 0x87);
  }

  /** How a session gets a topic by its own subscriptions: the highest QoS, every identifier; null: it does not. */
  plainDelivery(
    session: ModelSession,
    topic: string,
    publisher: string | null,
  ): (Omit<Subscription, 'filter' | 'shareName' | 'identifier' | 'noLocal'> & { identifiers: number[] }) | null {
    if (!this.mayReceive(session, topic)) return null;
    const matching = [...session.subscriptions.values()].filter(
      (each) =>
        each.shareName === undefined &&
        matches(each.filter, topic) &&
        !(each.noLocal && session.clientId === publisher),
    );
    if (matching.length === 0) return null;
    return {
      qos: Math.max(...matching.map(({ qos }) => qos)) as QoS,
      retainAsPublished: matching.some((each) => each.retainAsPublished),
      identifiers: matching.flatMap(({ identifier }) => (identifier === 0 ? [] : [identifier])),
    };
  }

  /** The groups whose filter matches, by `$share/name/filter`, with their members. */
  groupsOf(topic: string): Map<string, { session: ModelSession; subscription: Subscription }[]> {
    const groups = new Map<string, { session: ModelSession; subscription: Subscription }[]>();
    for (const session of this.sessions.values()) {
      for (const [key, subscription] of session.subscriptions) {
        if (subscription.shareName === undefined || !matches(subscription.filter, topic)) continue;
        const members = groups.get(key) ?? [];
        members.push({ session, subscription });
        groups.set(key, members);
      }
    }
    return groups;
  }
}

/** Whether a topic filter (without share name) matches a topic name: 4.7. */
export function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false;
  const pattern = filter.split('/');
  const levels = topic.split('/');
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === '#') return levels.length >= i;
    if (i >= levels.length || (pattern[i] !== '+' && pattern[i] !== levels[i])) return false;
  }
  return pattern.length === levels.length;
}

/** Whether everything that `narrow` matches is matched by `wide`. */
function covers(wide: string, narrow: string): boolean {
  if (narrow.startsWith('$') && /^[+#]/.test(wide)) return false;
  const pattern = wide.split('/');
  const levels = narrow.split('/');
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === '#') return levels.length >= i;
    if (i >= levels.length || levels[i] === '#') return false;
    if (pattern[i] !== '+' && pattern[i] !== levels[i]) return false;
  }
  return pattern.length === levels.length;
}

/**
 * Of several copies that look the same, the first that expires when this one does, as far as that is known: to the second in a
 * packet. Empty messages have nothing else of their own.
 */
export function likeliest(copies: readonly Owed[], expiresAt: number, toleranceMs: number): Owed | undefined {
  const distance = ({ routing }: Owed): number => {
    const ms = routing.expiresAt === expiresAt ? 0 : Math.abs(routing.expiresAt - expiresAt);
    return ms <= toleranceMs ? 0 : ms;
  };
  return copies.reduce<Owed | undefined>(
    (best, each) => (best === undefined || distance(each) < distance(best) ? each : best),
    undefined,
  );
}

/** The number a payload carries; 0: it is empty. */
export function numberOf(packet: Pick<PublishPacket, 'payload'>): number {
  return numberIn(packet.payload);
}

export function numberIn(payload: Uint8Array): number {
  let number = 0;
  for (const byte of payload) {
    if (byte < 0x30 || byte > 0x39) break;
    number = number * 10 + byte - 0x30;
  }
  return number;
}

/** A payload of at least `bytes` bytes that carries a number above 0. */
export function payloadOf(number: number, bytes: number): Uint8Array {
  const digits = String(number);
  const payload = new Uint8Array(Math.max(bytes, digits.length)).fill(0x2e);
  for (let i = 0; i < digits.length; i++) payload[i] = digits.charCodeAt(i);
  return payload;
}
