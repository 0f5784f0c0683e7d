/**
 * The judge: hears of every packet the core takes up and every event it tells, in the core's own order, keeps the model, and
 * fails on the first thing that must not be. What the broker writes is judged in written.ts.
 *
 * A packet counts when the core has dealt with it, that is when the next thing happens: until then the events that handling it
 * raised (drops, refusals, who of a shared group was chosen) are kept beside it.
 */

import { type DisconnectPacket, type Packet, PacketType } from '@pipit/protocol';
import type { BrokerEvent, Limits, QueueOverflow } from '../../src/core/index.ts';
import type { Session } from '../../src/core/session.ts';
import { describe, describeEvent } from './describe.ts';
import type { Disk } from './disk.ts';
import { dropped, settleLeftovers } from './dropped.ts';
import { apply, mayRefuse } from './handled.ts';
import { connected, disconnected, revoked, sessionEnded, willFired } from './lives.ts';
import { noteMade } from './made.ts';
import type { MarkName } from './marks.ts';
import type { Model, ModelSession, ModelWill, Routing, Snapshot, View } from './model.ts';
import { SimulationFailure } from './trace.ts';

type Dropped = Extract<BrokerEvent, { type: 'dropped' }>;
/** A drop, and the shared subscription that was being served: the one chosen for last. */
export interface Drop extends Dropped {
  readonly group: string | null;
}

export interface Choice {
  readonly group: string;
  readonly topic: string;
  readonly qos: number;
  /** null: nobody could be chosen. */
  readonly clientId: string | null;
  /** The member that had it and left; null: it was just published. `isEstate`: its session has ended. */
  readonly from: string | null;
  readonly isEstate: boolean;
  /** Which message it is, when its member left and it moves; null: the one that is being handed on. */
  number: number | null;
  /** When that one expires. */
  expiresAt: number;
}

export interface OracleWorld {
  readonly model: Model;
  readonly limits: Limits;
  readonly disk: Disk<Snapshot> | null;
  readonly queueQos0: boolean;
  readonly queueOverflow: QueueOverflow;
  readonly now: () => number;
  /** A time of the core's clock, as one of the world. */
  readonly timeOf: (coreMs: number) => number;
  /** Whether the core still has a session of this client. */
  readonly isThere: (clientId: string) => boolean;
  /** How many ended sessions of this client the core has not passed on yet. */
  readonly estatesOf: (clientId: string) => number;
  /** Whether the core has this packet id in use towards the client. */
  readonly isInFlight: (clientId: string, packetId: number) => boolean;
  readonly mark: (name: MarkName) => void;
  readonly trace: (line: string) => void;
}

export class Oracle {
  readonly world: OracleWorld;
  readonly model: Model;
  private failure: SimulationFailure | null = null;

  // What the simulation tells.
  /** The connection whose input is being handled. */
  acting: View | null = null;
  isStopping = false;
  /** A commit failed and none has succeeded since. */
  isFailing = false;
  diskAnsweredAt = 0;
  /** The client that the operator disconnected last. */
  kicked: string | null = null;
  /** When the turn before this one was over: what is seen new was made since. */
  turnBegan = 0;

  // What is being handled, and what the core has told meanwhile.
  context: { readonly view: View; readonly packet: Packet } | null = null;
  choices: Choice[] = [];
  drops: Drop[] = [];
  /** The reason code with which the PUBLISH was refused, and whether a queue was full then: refusing may end sessions. */
  refusal: number | null = null;
  wasFull = false;
  /** What was taken from a publisher that could have been refused. */
  accepted: Routing | null = null;
  isRouting = false;
  /** What was handed on last, until its drops are settled. */
  handedOn: Routing | null = null;
  /** Who has just lost its connection, or ended. */
  leaving: ModelSession | null = null;
  /** Wills that must be published in this very step. */
  dueWills: { readonly session: ModelSession; readonly will: ModelWill }[] = [];

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

  /** The core is about to handle a packet of this connection. */
  taken(view: View, packet: Packet): void {
    this.finish();
    this.world.trace(`  ${view.link.number} > ${describe(packet)}`);
    this.context = { view, packet };
    view.takenAt = this.world.now();
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
    if (context !== null) apply(this, context.view, context.packet);
    this.refusal = null;
    settleLeftovers(this);
    for (const { session } of this.dueWills) this.fail(`the will of ${session.clientId} was due and not published`);
    this.leaving = null;
  }

  /** The broker lost power: nothing of what it was doing goes on. */
  forget(): void {
    this.context = null;
    this.choices = [];
    this.drops = [];
    this.dueWills = [];
    this.leaving = null;
    this.isFailing = false;
    this.isStopping = false;
  }

  told(event: BrokerEvent): void {
    // Its messages have moved on before its end is told.
    if (event.type === 'session-ended') this.leaving = this.model.sessions.get(event.clientId) ?? this.leaving;
    if (event.type !== 'will-published') {
      if (this.context?.packet.type !== PacketType.Publish) settleLeftovers(this);
      this.world.trace(`  ! ${describeEvent(event)}`);
    }
    switch (event.type) {
      case 'internal-error':
        // It may be our own failure, raised while the core was at work.
        return this.fail(event.error);
      case 'connected':
        return connected(this, event.clientId, event.sessionPresent);
      case 'disconnected':
        return disconnected(this, event);
      case 'session-ended':
        return sessionEnded(this, event.clientId, event.reason);
      case 'will-published':
      case 'will-refused':
        return willFired(this, event.clientId, event.type === 'will-published');
      case 'subscription-revoked':
        return revoked(this, event.clientId, event.filter);
      default:
    }
  }

  counted(event: BrokerEvent): void {
    this.world.trace(`  ! ${describeEvent(event)}`);
    if (event.type === 'dropped') this.droppedNow({ ...event, group: this.choices.at(-1)?.group ?? null });
    else if (event.type === 'publish-refused') {
      this.refusal = event.reasonCode;
      const packet = this.context?.packet;
      this.wasFull = packet?.type === PacketType.Publish && mayRefuse(this, packet, event.topic, event.clientId);
    }
  }

  /** While a message is being handed on, it is not owed to anybody yet: what becomes of it is settled afterwards. */
  private droppedNow(drop: Drop): void {
    if (this.isRouting || this.context?.packet.type === PacketType.Publish) {
      this.drops.push(drop);
      return;
    }
    const view = this.model.sessions.get(drop.clientId)?.view ?? null;
    if (view !== null) noteMade(this, view);
    dropped(this, drop);
  }

  /** The core begins to hand on a message that no packet brought: a will, or a shared one that moves. */
  handsOn(number: number, expiresAt: number): void {
    const last = this.choices.at(-1);
    if (last?.number === null) {
      last.number = number;
      last.expiresAt = expiresAt;
    }
    this.isRouting = true;
  }

  chosen(group: string, topic: string, qos: number, clientId: string | null, from: Session | null): void {
    this.world.trace(`  ! ${group} gives a message on ${topic} to ${clientId}`);
    const isEstate = from?.isEstate === true;
    const who = { group, topic, qos, clientId, from: from?.clientId ?? null, isEstate };
    this.choices.push({ ...who, number: null, expiresAt: Number.NaN });
  }
}
