/**
 * The judge: hears of every packet the core takes up and every event it tells, in the core's own order, keeps the model, and
 * fails on the first thing that must not be. What the broker writes is judged in written.ts.
 *
 * A packet counts when the core has dealt with it, that is when the next thing happens: until then the events that handling it
 * raised (drops, refusals, who of a shared group was chosen) are kept beside it.
 */

import {
  type DisconnectPacket,
  type Packet,
  PacketType,
  type PublishPacket,
  parseFilter,
  type SubscribePacket,
  type UnsubscribePacket,
} from '@pipit/protocol';
import type { BrokerEvent, Limits } from '../../src/core/index.ts';
import { describe, describeEvent } from './describe.ts';
import type { Disk } from './disk.ts';
import { noteMade } from './made.ts';
import type { MarkName } from './marks.ts';
import {
  type Model,
  ModelSession,
  type ModelWill,
  matches,
  numberOf,
  type Owed,
  type Routing,
  type Snapshot,
  type Subscription,
  type View,
} from './model.ts';
import { SimulationFailure } from './trace.ts';

type Dropped = Extract<BrokerEvent, { type: 'dropped' }>;
/** A drop, and the shared subscription that was being served: the one chosen for last. */
interface Drop extends Dropped {
  readonly group: string | null;
}
type Disconnected = Extract<BrokerEvent, { type: 'disconnected' }>;

interface Choice {
  readonly group: string;
  readonly topic: string;
  readonly qos: number;
  /** null: nobody could be chosen. */
  readonly clientId: string | null;
}

export interface OracleWorld {
  readonly model: Model;
  readonly limits: Limits;
  readonly disk: Disk<Snapshot> | null;
  readonly queueQos0: boolean;
  readonly now: () => number;
  /** Whether the core still has a session of this client. */
  readonly isThere: (clientId: string) => boolean;
  /** Whether the core has this packet id in use towards the client. */
  readonly isInFlight: (clientId: string, packetId: number) => boolean;
  readonly mark: (name: MarkName) => void;
  readonly trace: (line: string) => void;
}

export class Oracle {
  readonly world: OracleWorld;
  readonly model: Model;
  /** The connection whose input is being handled. */
  acting: View | null = null;
  private failure: SimulationFailure | null = null;
  isStopping = false;
  /** A commit failed and none has succeeded since. */
  isFailing = false;
  diskAnsweredAt = 0;
  /** Shared messages that moved in this turn: they move all at once. */
  moved = 0;
  /** When the turn before this one was over: what is seen new was made since. */
  turnBegan = 0;

  kicked: string | null = null;

  private context: { readonly view: View; readonly packet: Packet } | null = null;
  private choices: Choice[] = [];
  private drops: Drop[] = [];
  private refusal: number | null = null;
  private isRouting = false;
  /** What was handed on last, until its drops are settled. */
  private handedOn: Routing | null = null;
  private leaving: ModelSession | null = null;
  /** Wills that had to be published in this very step. */
  private dueWills: { readonly session: ModelSession; readonly will: ModelWill }[] = [];

  constructor(world: OracleWorld) {
    this.world = world;
    this.model = world.model;
  }

  fail(rule: string): never {
    this.failure ??= new SimulationFailure(rule);
    throw this.failure;
  }

  expect(truth: boolean, rule: string): void {
    if (!truth) this.fail(rule);
  }

  // ── what the core takes up

  /** The core is about to handle a packet of this connection. */
  taken(view: View, packet: Packet): void {
    this.finish();
    this.world.trace(`  ${view.link.number} > ${describe(packet)}`);
    this.context = { view, packet };
    if (packet.type === PacketType.Connect) view.connect = packet;
    const { session } = view;
    if (packet.type !== PacketType.Disconnect || session === null) return;
    const expiry = (packet as DisconnectPacket).properties?.sessionExpiryInterval;
    if (expiry !== undefined) session.expirySeconds = Math.min(expiry, this.world.limits.sessionExpiryMax);
  }

  /** Whatever was being handled is over. */
  finish(): void {
    const { context } = this;
    this.context = null;
    if (context !== null) this.apply(context.view, context.packet);
    this.refusal = null;
    this.settleLeftovers();
    for (const { session } of this.dueWills) this.fail(`the will of ${session.clientId} was due and not published`);
  }

  /** The broker lost power: nothing of what it was doing goes on. */
  forget(): void {
    this.context = null;
    this.choices = [];
    this.drops = [];
    this.dueWills = [];
    this.leaving = null;
    this.leaving = null;
    this.isFailing = false;
    this.isStopping = false;
  }

  private apply(view: View, packet: Packet): void {
    const { session } = view;
    if (session === null) return;
    switch (packet.type) {
      case PacketType.Publish:
        return this.publish(view, session, packet);
      case PacketType.Puback:
        return this.settled(view, session, packet.packetId);
      case PacketType.Pubrec:
        return this.pubrec(view, session, packet.packetId, packet.reasonCode);
      case PacketType.Pubrel: {
        const isKnown = session.received.delete(packet.packetId);
        view.awaited.push({
          type: PacketType.Pubcomp,
          packetId: packet.packetId,
          reasonCode: isKnown || view.version !== 5 ? 0 : 0x92,
        });
        return;
      }
      case PacketType.Pubcomp:
        return this.settled(view, session, packet.packetId);
      case PacketType.Subscribe:
        return this.subscribe(view, session, packet);
      case PacketType.Unsubscribe:
        return this.unsubscribe(view, session, packet);
      default:
    }
  }

  // ── PUBLISH and its acknowledgements

  private publish(view: View, session: ModelSession, packet: PublishPacket): void {
    const { qos, packetId, retain } = packet;
    const alias = packet.properties?.topicAlias ?? 0;
    const topic = packet.topic === '' ? (view.receivedAliases.get(alias) ?? '') : packet.topic;
    if (alias > 0) view.receivedAliases.set(alias, topic);
    const type = qos === 1 ? PacketType.Puback : PacketType.Pubrec;
    if (qos === 2 && session.received.has(packetId)) {
      this.world.mark('QoS 2 resent after its PUBREC was lost');
      view.awaited.push({ type, packetId, reasonCode: 0 });
      return;
    }
    const denied = this.model.mayPublish(session, topic);
    const { refusal } = this;
    this.expect(denied === 0 || refusal !== null, `a PUBLISH to ${topic} was accepted without the right to it`);
    if (refusal !== null) {
      this.expect(
        refusal === denied || (refusal === 0x97 && denied === 0 && this.isFailing),
        `a PUBLISH was refused with ${refusal}`,
      );
      if (refusal === 0x97) this.world.mark('publish refused while the disk fails');
      if (qos > 0 && session.view === view)
        view.awaited.push({ type, packetId, reasonCode: view.version === 5 ? refusal : 0 });
      return;
    }
    this.expect(
      !this.isFailing || !(retain || (qos === 2 && session.lasts)),
      'what needs the disk was accepted while it fails',
    );
    const seconds = packet.properties?.messageExpiryInterval;
    const routing = this.routingOf(packet, topic, session.clientId, seconds);
    if (qos === 2) session.received.add(packetId);
    const matched = this.route(routing, null);
    if (qos === 0) return;
    view.awaited.push({ type, packetId, reasonCode: matched === 0 && view.version === 5 ? 0x10 : 0, routing });
  }

  private routingOf(
    packet: Pick<PublishPacket, 'payload' | 'qos' | 'retain'>,
    topic: string,
    publisher: string,
    seconds: number | undefined,
  ): Routing {
    const now = this.world.now();
    const { qos, retain, payload } = packet;
    const expiresAt = seconds === undefined ? Number.POSITIVE_INFINITY : now + seconds * 1000;
    return {
      number: numberOf(packet),
      topic,
      qos,
      retain,
      publisher,
      expiresAt,
      payloadBytes: payload.length,
      at: now,
    };
  }

  /** Hands a message on in the model; how many sessions it matched. */
  private route(routing: Routing, without: ModelSession | null): number {
    const { model } = this;
    const { topic, retain } = routing;
    this.handedOn = routing;
    if (retain && routing.payloadBytes === 0) model.retained.delete(topic);
    else if (retain) model.retained.set(topic, routing);
    let matched = 0;
    for (const session of model.sessions.values()) {
      if (retain && session.replays.some(({ left }) => left.has(topic))) this.world.mark('retained replay superseded');
      if (session === without) continue;
      const plain = model.plainDelivery(session, topic, routing.publisher);
      if (plain === null) continue;
      matched++;
      const { qos, retainAsPublished, identifiers } = plain;
      this.owe(
        session,
        model.owed(routing, Math.min(qos, routing.qos) as 0, retain && retainAsPublished, identifiers, null),
      );
    }
    for (const [group, members] of model.groupsOf(topic)) {
      const present = members.filter(({ session }) => session !== without);
      if (present.length === 0) continue;
      const chosen = this.choice(group, routing);
      const able = present.filter(({ session }) => model.mayReceive(session, topic));
      const online = able.filter(({ session }) => session.view !== null);
      const member = present.find(({ session }) => session.clientId === chosen);
      this.expect(
        chosen === null || (member !== undefined && able.includes(member)),
        `${group} gave a message to ${chosen}, who is not in it`,
      );
      if (online.length > 0)
        this.expect(member !== undefined && online.includes(member), `${group} left its members online out`);
      else if (routing.qos > 0)
        this.expect(
          member !== undefined || !able.some(({ session, subscription }) => session.lasts && subscription.qos > 0),
          `${group} dropped a message that a member would have kept`,
        );
      if (member === undefined) continue;
      matched++;
      this.oweMember(member.session, member.subscription, routing, group);
    }
    return matched;
  }

  private choice(group: string, routing: Routing): string | null {
    const at = this.choices.findIndex(
      (each) => each.group === group && each.topic === routing.topic && each.qos === routing.qos,
    );
    if (at < 0) this.fail(`nobody was chosen for ${group}`);
    return (this.choices.splice(at, 1)[0] as Choice).clientId;
  }

  private oweMember(session: ModelSession, subscription: Subscription, routing: Routing, group: string): void {
    const { qos, retainAsPublished, identifier } = subscription;
    const identifiers = identifier === 0 ? [] : [identifier];
    this.owe(
      session,
      this.model.owed(
        routing,
        Math.min(qos, routing.qos) as 0,
        routing.retain && retainAsPublished,
        identifiers,
        group,
      ),
    );
  }

  private owe(session: ModelSession, owed: Owed): void {
    // Where QoS 0 may be queued, it stands in the line when there is one.
    if (owed.qos > 0 || (this.world.queueQos0 && session.lasts)) session.line.push(owed);
    else if (session.view !== null) session.view.now.push(owed);
  }

  private settled(view: View, session: ModelSession, packetId: number): void {
    view.open.delete(packetId);
    const at = session.line.findIndex((owed) => owed.packetId === packetId && owed.phase !== 'waiting');
    if (at >= 0) session.line.splice(at, 1);
  }

  private pubrec(view: View, session: ModelSession, packetId: number, reasonCode: number): void {
    const owed = session.line.find((each) => each.packetId === packetId && each.phase !== 'waiting');
    if (owed !== undefined && reasonCode >= 0x80) return this.settled(view, session, packetId);
    if (owed !== undefined) {
      owed.phase = 'released';
      owed.releasedOn = 0;
    }
    view.awaited.push({
      type: PacketType.Pubrel,
      packetId,
      reasonCode: owed !== undefined || view.version !== 5 ? 0 : 0x92,
    });
  }

  // ── SUBSCRIBE and UNSUBSCRIBE

  private subscribe(view: View, session: ModelSession, packet: SubscribePacket): void {
    const identifier = packet.properties?.subscriptionIdentifier ?? 0;
    const made: Subscription[] = [];
    const reasonCodes = packet.subscriptions.map((request) => {
      const { shareName, filter } = parseFilter(request.filter);
      const isKnown = session.subscriptions.has(request.filter);
      const isFull = !isKnown && session.subscriptions.size >= this.world.limits.subscriptionsPerSessionMax;
      const refusal = this.model.maySubscribe(session, filter) || (isFull ? 0x97 : 0);
      if (refusal !== 0) return view.version === 5 ? refusal : view.version === 4 ? 0x80 : request.qos;
      const { qos, noLocal, retainAsPublished } = request;
      const subscription = { filter, shareName, qos, noLocal, retainAsPublished, identifier };
      session.subscriptions.set(request.filter, subscription);
      made.push(subscription);
      const wantsRetained = request.retainHandling === 0 || (request.retainHandling === 1 && !isKnown);
      if (shareName === undefined) this.replay(session, subscription, wantsRetained);
      return qos;
    });
    view.awaited.push({
      type: PacketType.Suback,
      packetId: packet.packetId,
      reasonCode: null,
      reasonCodes,
      subscriptions: made,
    });
  }

  /** Retained messages are owed from here on; without `isNew` what is still owed goes by the new options. */
  private replay(session: ModelSession, subscription: Subscription, isNew: boolean): void {
    const { filter, qos, identifier, noLocal } = subscription;
    const identifiers = identifier === 0 ? [] : [identifier];
    if (!isNew) {
      const replay = session.replays.find((each) => each.filter === filter);
      if (replay !== undefined)
        Object.assign(replay, { qos, identifiers, noLocal, mayLackOwn: replay.mayLackOwn || noLocal });
      return;
    }
    const left = new Map([...this.model.retained].filter(([topic]) => matches(filter, topic)));
    this.endReplay(session, filter);
    session.replays.push({ filter, qos, identifiers, noLocal, mayLackOwn: noLocal, mayLackSome: false, left });
  }

  private endReplay(session: ModelSession, filter: string): void {
    const replay = session.replays.find((each) => each.filter === filter);
    if (replay === undefined) return;
    if (session.view !== null) noteMade(this, session.view);
    session.replays.splice(session.replays.indexOf(replay), 1);
  }

  private unsubscribe(view: View, session: ModelSession, packet: UnsubscribePacket): void {
    const reasonCodes = packet.filters.map((filter) => {
      this.endReplay(session, filter);
      return session.subscriptions.delete(filter) ? 0 : 0x11;
    });
    const codes = view.version === 5 ? reasonCodes : [];
    view.awaited.push({
      type: PacketType.Unsuback,
      packetId: packet.packetId,
      reasonCode: null,
      reasonCodes: codes,
      gone: packet.filters,
    });
  }

  // ── what the core tells

  told(event: BrokerEvent): void {
    // Its messages have moved on before its end is told.
    if (event.type === 'session-ended') this.leaving = this.model.sessions.get(event.clientId) ?? this.leaving;
    if (event.type !== 'will-published') {
      if (this.context?.packet.type !== PacketType.Publish) this.settleLeftovers();
      this.world.trace(`  ! ${describeEvent(event)}`);
    }
    switch (event.type) {
      case 'internal-error':
        // It may be our own failure, raised while the core was at work.
        return this.fail(event.error);
      case 'connected':
        return this.connected(event.clientId, event.sessionPresent);
      case 'disconnected':
        return this.disconnected(event);
      case 'session-ended':
        return this.sessionEnded(event.clientId, event.reason);
      case 'will-published':
      case 'will-refused':
        return this.willFired(event.clientId, event.type === 'will-published');
      case 'subscription-revoked':
        return this.revoked(event.clientId, event.filter);
      default:
    }
  }

  counted(event: BrokerEvent): void {
    this.world.trace(`  ! ${describeEvent(event)}`);
    if (event.type === 'dropped') this.droppedNow({ ...event, group: this.choices.at(-1)?.group ?? null });
    else if (event.type === 'publish-refused') this.refusal = event.reasonCode;
  }

  /** While a message is being handed on, it is not owed to anybody yet: what becomes of it is settled afterwards. */
  private droppedNow(drop: Drop): void {
    if (this.isRouting || this.context?.packet.type === PacketType.Publish) {
      this.drops.push(drop);
      return;
    }
    const view = this.model.sessions.get(drop.clientId)?.view ?? null;
    if (view !== null) noteMade(this, view);
    this.dropped(drop);
  }

  /** The core begins to hand on a message that no packet brought: a will, or a shared one that moves. */
  handsOn(): void {
    this.isRouting = true;
  }

  chosen(group: string, topic: string, qos: number, clientId: string | null): void {
    this.choices.push({ group, topic, qos, clientId });
  }

  private connected(clientId: string, isPresent: boolean): void {
    const view = this.acting;
    if (view === null || view.connect === null) return this.fail('a connection opened out of nothing');
    const { connect } = view;
    const { model, world } = this;
    let session = model.sessions.get(clientId);
    if (session !== undefined && !session.lasts && session.view === null && !isPresent) {
      this.end(session);
      session = undefined;
    }
    this.expect(session === undefined || !connect.cleanStart, 'Clean Start kept a session');
    this.expect(session === undefined || session.view === null, `two connections own the session of ${clientId}`);
    this.expect(isPresent === (session !== undefined), `Session Present is ${isPresent} for ${clientId}`);
    if (session === undefined) {
      session = new ModelSession(clientId, model.nextGeneration(), connect.username ?? null);
      model.sessions.set(clientId, session);
    }
    this.expect(
      session.principal === (connect.username ?? null),
      `${connect.username} got the session of ${session.principal}`,
    );
    if (session.will !== null) world.mark('will cancelled by a resume');
    if (session.will !== null && session.will.delaySeconds > 0) world.mark('will delay crossing a resume');
    if (isPresent && session.line.some(({ phase }) => phase === 'released'))
      world.mark('resume with a PUBREL to send again');
    const asked =
      connect.version === 5 ? (connect.properties?.sessionExpiryInterval ?? 0) : connect.cleanStart ? 0 : 0xffff_ffff;
    if (isPresent && session.lasts && asked === 0) world.mark('a lasting session resumed for the last time');
    session.expirySeconds = Math.min(asked, world.limits.sessionExpiryMax);
    const { will } = connect;
    session.will =
      will === undefined
        ? null
        : { packet: will, number: view.willNumber, delaySeconds: will.properties?.willDelayInterval ?? 0 };
    session.permissions = model.rules.has(session.principal ?? '') ? session.principal : null;
    session.view = view;
    view.session = session;
    view.version = connect.version;
    view.isPresent = isPresent;
  }

  private disconnected(event: Disconnected): void {
    const session = this.model.sessions.get(event.clientId);
    const view = session?.view ?? null;
    if (view !== null) noteMade(this, view);
    if (session === undefined || view === null)
      return this.fail(`${event.clientId} was disconnected without being connected`);
    if (event.by === 'network' && view.link.connection.framer.bufferedBytes > 0) this.world.mark('cut in mid-packet');
    if (event.by === 'server') this.judgeDisconnect(view, event);
    if (event.by === 'server') view.disconnectCode = event.reasonCode;
    if (session.line.some(({ phase, qos }) => qos === 2 && phase !== 'waiting')) {
      if (event.reasonCode === 0x8e) this.world.mark('takeover in mid-QoS 2');
    }
    if (view.session?.replays.some(({ left }) => left.size > 0) === true)
      this.world.mark('retained replay cut by a disconnect');
    session.view = null;
    session.closedAt = this.world.now();
    this.leaving = session;
    if (event.by === 'client' && event.reasonCode === 0) session.will = null;
    if (session.will !== null && session.willDueAt <= this.world.now())
      this.dueWills.push({ session, will: session.will });
    if (!session.lasts) this.end(session);
  }

  /** Clients here do nothing wrong: the broker must have a reason of its own. */
  private judgeDisconnect(view: View, event: Disconnected): void {
    const { now, limits, mark } = this.world;
    const silentMs = now() - view.link.lastReceivedAt;
    switch (event.reasonCode) {
      case 0x8e:
        return this.expect(
          this.acting !== view && this.acting?.connect?.clientId === event.clientId,
          `${event.clientId} was taken over by nobody`,
        );
      case 0x8b:
        return this.expect(this.isStopping, 'said to be shutting down');
      case 0x8d:
        mark('keep alive timeout');
        return this.expect(
          silentMs >= (view.connect?.keepAlive ?? 0) * 1500,
          `keep alive timeout after ${silentMs} ms`,
        );
      case 0x97:
        mark(
          event.reason.startsWith('reads too slowly')
            ? 'slow reader disconnected'
            : 'publish refused while the disk fails',
        );
        return this.expect(
          event.reason.startsWith('reads too slowly')
            ? limits.unsentBytesTotalMax < 1e6
            : this.isFailing && view.version !== 5,
          event.reason,
        );
      case 0x88:
        mark('held too long for the disk');
        return this.expect(
          this.world.disk?.pending != null || this.isFailing || now() - this.diskAnsweredAt < 100,
          event.reason,
        );
      case 0x98:
        return this.expect(this.kicked === event.clientId, event.reason);
      default:
        return this.fail(`a correct client was disconnected: ${event.reasonCode.toString(16)} ${event.reason}`);
    }
  }

  private sessionEnded(clientId: string, reason: string): void {
    const session = this.model.sessions.get(clientId);
    if (session === undefined) return;
    if (reason === 'expired') {
      this.world.mark('session expired');
      this.expect(
        session.view === null && session.expiresAt <= this.world.now(),
        `the session of ${clientId} expired early`,
      );
    } else if (reason === 'clean-start')
      this.expect(this.acting?.connect?.cleanStart === true, 'a session was ended by no Clean Start');
    else this.expect(!session.lasts, `a session that lasts was ended: ${reason}`);
    this.end(session);
    this.expect(session.will === null, `the will of ${clientId} was not published when its session ended`);
  }

  end(session: ModelSession): void {
    if (session.line.length > 0) this.world.mark('session ended with messages waiting');
    session.isEnded = true;
    this.leaving = session;
    this.model.sessions.delete(session.clientId);
  }

  private willFired(clientId: string, isPublished: boolean): void {
    const { leaving } = this;
    const session =
      leaving?.clientId === clientId && leaving.will !== null ? leaving : this.model.sessions.get(clientId);
    if (session === undefined || session.will === null)
      return this.fail(`a will of ${clientId} was published that nobody has`);
    const { will } = session;
    this.expect(session.view === null, `the will of ${clientId} was published while it is connected`);
    const isDue = session.willDueAt <= this.world.now();
    const isCleanStart = this.acting?.connect?.cleanStart === true && this.acting.connect.clientId === clientId;
    this.expect(isDue || session.isEnded || isCleanStart, `the will of ${clientId} was published early`);
    session.will = null;
    this.dueWills = this.dueWills.filter((due) => due.will !== will);
    const denied = this.model.mayPublish(session, will.packet.topic);
    this.expect(isPublished === (denied === 0), `the will of ${clientId} and its permissions`);
    if (!isDue) this.world.mark('will published by the end of its session');
    if (isDue && will.delaySeconds > 0) this.world.mark('will published after its delay');
    if (!isPublished) return;
    const routing = this.routingOf(
      will.packet,
      will.packet.topic,
      clientId,
      will.packet.properties?.messageExpiryInterval,
    );
    // The end of a session takes its subscriptions first.
    this.route(routing, this.world.isThere(clientId) ? null : session);
    this.world.trace(`  ! will of ${clientId} published`);
    this.settleLeftovers();
  }

  private revoked(clientId: string, filter: string): void {
    const session = this.model.sessions.get(clientId);
    const key = [...(session?.subscriptions ?? [])].find(([, each]) => each.filter === filter)?.[0];
    if (session === undefined || key === undefined)
      return this.fail(`${clientId} has no subscription to ${filter} to lose`);
    this.expect(
      this.model.maySubscribe({ permissions: session.principal }, filter) !== 0,
      `${clientId} lost its right to ${filter} without a rule`,
    );
    session.subscriptions.delete(key);
    this.world.mark('subscription revoked');
  }

  // ── what was raised on the way

  private settleLeftovers(): void {
    const { choices, drops } = this;
    this.isRouting = false;
    this.choices = [];
    this.drops = [];
    for (const choice of choices) this.redispatched(choice);
    for (const drop of drops) this.dropped(drop);
    this.handedOn = null;
  }

  /** A shared message moves on from the member that left. */
  private redispatched(choice: Choice): void {
    const { leaving, model } = this;
    const isMovable = (owed: Owed): boolean =>
      owed.group === choice.group &&
      owed.routing.topic === choice.topic &&
      owed.routing.qos === choice.qos &&
      owed.routing.expiresAt > this.world.now() &&
      (owed.phase === 'waiting' || (owed.phase === 'sent' && owed.qos === 1));
    if (choice.clientId === null) return;
    const line = leaving?.line ?? [];
    const at = Math.max(
      line.findIndex((owed) => isMovable(owed) && owed.phase === 'sent'),
      line.findIndex(isMovable),
    );
    const owed = line[at];
    if (leaving === null || owed === undefined) return this.fail(`a message of ${choice.group} moved that nobody had`);
    if (choice.clientId === leaving.clientId) return;
    const session = model.sessions.get(choice.clientId);
    const subscription = session?.subscriptions.get(choice.group);
    if (session === undefined || subscription === undefined)
      return this.fail(`a message of ${choice.group} moved to a stranger`);
    line.splice(at, 1);
    this.moved++;
    this.world.mark(
      owed.phase === 'sent' ? 'shared message moved after it was sent' : 'shared message moved before it was sent',
    );
    this.oweMember(session, subscription, owed.routing, choice.group);
  }

  /** A drop that was reported is a debt no more, if the reason is true. */
  private dropped({ clientId, topic, reason, group }: Drop): void {
    const { now, limits, mark } = this.world;
    const session =
      this.model.sessions.get(clientId) ?? (this.leaving?.clientId === clientId ? this.leaving : undefined);
    if (session === undefined) return this.fail(`a message for ${clientId} was dropped, who does not exist`);
    const { view } = session;
    // Only its will has brought it back after a power cut: nobody is owed anything by it.
    if (!session.lasts && view === null && !session.isEnded) return;
    const here = (owed: Owed): boolean => owed.routing.topic === topic;
    const take = (list: Owed[] | undefined, suits: (owed: Owed) => boolean, isLast = false): boolean => {
      const at = isLast ? (list?.findLastIndex(suits) ?? -1) : (list?.findIndex(suits) ?? -1);
      if (at >= 0) list?.splice(at, 1);
      return at >= 0;
    };
    const isWaiting = (owed: Owed): boolean => here(owed) && owed.phase === 'waiting';
    // Given up when it was to be sent again.
    const isGone = (owed: Owed): boolean =>
      here(owed) && owed.phase === 'sent' && !this.world.isInFlight(clientId, owed.packetId);
    const isBig = (owed: Owed): boolean =>
      here(owed) && owed.phase !== 'released' && owed.routing.payloadBytes > bigPayloadBytes / 2;
    switch (reason) {
      case 'queue-full': {
        mark('queue overflow');
        const bytes = session.line.reduce(
          (sum, { routing }) => sum + routing.topic.length + routing.payloadBytes + 160,
          0,
        );
        const isFull = session.line.length > limits.queueMessagesMax || bytes > limits.queueBytesMax;
        return this.expect(
          isFull && take(session.line, (owed) => isWaiting(owed) && owed.group === group, true),
          `a message for ${clientId} was dropped from a queue with room`,
        );
      }
      case 'expired': {
        mark('message expired in a queue');
        // What is expired when it is to be queued is dropped itself; otherwise it is the oldest.
        const { handedOn } = this;
        const isNew = (owed: Owed): boolean => isWaiting(owed) && owed.routing === handedOn && owed.group === group;
        if (handedOn !== null && handedOn.expiresAt <= now())
          return this.expect(take(session.line, isNew), 'an expired message is lost');
        const isExpired = (owed: Owed): boolean => here(owed) && owed.routing.expiresAt <= now();
        // A shared message that is on its way to another member may expire after it was sent.
        const mayMove = (owed: Owed): boolean => isExpired(owed) && isGone(owed) && owed.group !== null;
        return this.expect(
          take(session.line, mayMove) || take(session.line, (owed) => isWaiting(owed) && isExpired(owed)),
          `a message for ${clientId} was dropped before it expired`,
        );
      }
      case 'not-authorized': {
        mark('queued message dropped for a lost right');
        // After a restart a session has no permissions until somebody connects to it, who is told after this.
        const may = this.model.mayReceive(
          session.permissions === null ? { permissions: session.principal } : session,
          topic,
        );
        this.expect(!may, `${clientId} may receive ${topic}`);
        return this.expect(
          take(session.line, isGone) || take(session.line, isWaiting),
          'a message was dropped that nobody waits for',
        );
      }
      case 'unsent-full':
        mark('QoS 0 dropped for a slow reader');
        return this.expect(
          take(view?.now, here, true) || take(session.line, (owed) => isWaiting(owed) && owed.qos === 0, true),
          `nothing for ${clientId} was there to be dropped`,
        );
      case 'packet-too-large':
        mark('message larger than the peer takes');
        this.expect(view !== null && view.packetBytesMax < bigPayloadBytes, `${clientId} takes packets of any size`);
        return this.expect(
          take(view?.now, isBig) || take(session.line, isBig) || this.takeReplay(session, topic),
          'a small message was too large',
        );
      default:
        return this.fail(`a message for ${clientId} was dropped: ${reason}`);
    }
  }

  private takeReplay(session: ModelSession, topic: string): boolean {
    return session.replays.some(({ left }) => left.delete(topic));
  }
}

/** Payloads are either below half of this, or this. */
export const bigPayloadBytes = 300;
