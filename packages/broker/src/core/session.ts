/**
 * A client id's state: what outlives a network connection, or ends with it.
 *
 * Every table here is null until first needed: an idle session is one object. Behaviour lives with the roles: sessions.ts creates,
 * resumes and ends, delivery.ts hands it messages, line.ts keeps those that wait, sending.ts sends, subscribe.ts changes subscriptions.
 */

import type { ReceiveIds, SendWindow } from '@pipit/protocol';
import type { Connection } from './connection.ts';
import type { Deadline } from './deadlines.ts';
import type { CountedKind } from './event-log.ts';
import type { Dropped } from './events.ts';
import type { LocalSubscriber } from './local.ts';
import type { Delivery, Message } from './message.ts';
import type { Missed } from './missed.ts';
import type { Permissions } from './permissions.ts';
import type { Queue, QueueTotal, TailReader } from './queue.ts';
import type { Replay } from './replay.ts';
import type { SharedGroup } from './shared-group.ts';

/** The key of what an ended session leaves behind: no client id has a U+0000 [MQTT-1.5.4-2]. */
export function estateKey(incarnation: number): string {
  return `\u0000${incarnation}`;
}

export function isEstateKey(key: string): boolean {
  return key.startsWith('\u0000');
}

export interface Will {
  readonly message: Message;
  readonly delaySeconds: number;
}

export class Session {
  /** Its name in the session table; the client id unless the verdict chose another. One of its own once it is an estate. */
  key: string;
  readonly clientId: string;
  /** Who created it. Nobody else may resume it. */
  readonly principal: string | null;
  /** Rises for ever over all sessions: tells a session from an earlier one of the same key. */
  readonly incarnation: number;
  /** What waits for all sessions, of which its own is a part. */
  readonly total: QueueTotal;

  // Its two ends: at most one of them.
  connection: Connection | null = null;
  local: LocalSubscriber | null = null;

  // Life.
  /** Session Expiry Interval in seconds, after the cap; 0: ends with its connection. */
  expirySeconds = 0;
  /** Monotonic milliseconds since when there is no connection. */
  closedAt = 0;
  deadline: Deadline | null = null;
  private ownWill: Will | null = null;
  willDeadline: Deadline | null = null;
  isEnded = false;
  /** It has ended for its client, and is here until its shared messages have moved on. */
  isEstate = false;
  /** It would have outlived a connection at some time: its end is told, as its beginning was. */
  hasLasted = false;
  /** The store has a record of it. */
  isRecorded = false;

  // Sending.
  window: SendWindow<Delivery> | null = null;
  /** PUBLISH packets of QoS 1 and 2 that may be sent to this connection now: Receive Maximum less what is open. */
  quota = 0;
  /** Messages in flight at most, those included of which an earlier connection left the PUBREL unanswered: they take no quota. */
  flightMax = 65_535;
  /** Those that are kept to be sent again, what they cost, and how much they may. */
  flightMessages = 0;
  flightBytes = 0;
  flightBytesMax = Number.POSITIVE_INFINITY;
  queue: Queue | null = null;
  /** The last sequence given to a delivery. */
  sequence = 0;
  /** What was in flight when it was resumed is being sent again; how far that has got. */
  isResending = false;
  resentId = 0;
  /** By filter; the first goes first. */
  replays: Map<string, Replay> | null = null;
  /** What it missed, as its client is remembered; null until it missed something. */
  missed: Missed | null = null;
  /** What the last drop was counted as. */
  drops: CountedKind<Dropped> | null = null;

  // Receiving.
  received: ReceiveIds | null = null;

  // Subscribing. The router keeps the subscriptions.
  number = -1;
  subscriptionCount = 0;
  subscriptionBytes = 0;
  groups: Set<SharedGroup> | null = null;
  /** Who looks through what waits for it only in the store: its shared messages go to others, or what it may not have goes. */
  tailReader: TailReader | null = null;
  /** It lost a right, and what waits in the store was not looked through since. */
  isUnweeded = false;
  permissions: Permissions | null = null;

  // Scratch of others.
  planStamp = 0;
  planSlot = 0;
  /** In the ring of waiting work. */
  isWaiting = false;
  /** Already in the open batch as changed. */
  isTouched = false;

  constructor(key: string, clientId: string, principal: string | null, incarnation: number, total: QueueTotal) {
    this.key = key;
    this.clientId = clientId;
    this.principal = principal;
    this.incarnation = incarnation;
    this.total = total;
  }

  get will(): Will | null {
    return this.ownWill;
  }

  set will(will: Will | null) {
    this.total.willBytes += (will?.message.cost ?? 0) - (this.ownWill?.message.cost ?? 0);
    this.ownWill = will;
  }

  /** Whether it outlives its connection: only then its state is kept for redelivery and recorded. */
  get lasts(): boolean {
    return this.expirySeconds > 0 && this.local === null;
  }

  get isOnline(): boolean {
    return this.connection !== null || this.local !== null;
  }

  /** Whether Receive Maximum and the packet ids allow one more message in flight. */
  get hasSlot(): boolean {
    const { window } = this;
    if (this.quota <= 0 || this.flightBytes >= this.flightBytesMax) return false;
    return window === null || (!window.isFull && window.inUse < this.flightMax);
  }

  /** What is in flight now is kept to be sent again. */
  keepFlight(delivery: Delivery): void {
    const { cost } = delivery.message;
    this.flightMessages++;
    this.flightBytes += cost;
    this.total.add(cost);
  }

  /** Gives a packet id in use back, and returns what was kept beside it. */
  closeFlight(packetId: number): Delivery | null {
    const window = this.window as SendWindow<Delivery>;
    const delivery = window.itemOf(packetId);
    window.close(packetId);
    if (delivery === null) return null;
    const { cost } = delivery.message;
    this.flightMessages--;
    this.flightBytes -= cost;
    this.total.remove(cost);
    return delivery;
  }

  /** Nothing is in flight any more, and nothing will be sent again. */
  dropFlights(): void {
    this.total.remove(this.flightBytes, this.flightMessages);
    this.flightMessages = 0;
    this.flightBytes = 0;
    this.window = null;
  }

  /** Whether a QoS 1 or 2 message could be sent at once, before all others. */
  get hasRoom(): boolean {
    if (this.local !== null) return this.local.hasRoom;
    return this.hasSlot && this.queue === null && !this.isResending && this.hasShare;
  }

  /** Whether what it keeps in flight leaves as much of the total to others (see `fits` in line.ts). */
  private get hasShare(): boolean {
    if (this.flightBytes === 0) return true;
    return this.flightBytes < this.total.freeBytes && this.flightMessages < this.total.freeMessages;
  }

  /** Whether something waits to be sent. */
  get hasLine(): boolean {
    return this.queue !== null || this.replays !== null || this.isResending;
  }

  /** By a shared subscription of this name, or else by one of its own. */
  mayReceive(topic: string, shareName?: string): boolean {
    return this.permissions === null || this.permissions.receive(topic, shareName) === 0;
  }

  /** Whether a message that waits for it may still be delivered. */
  mayTake({ message, group }: Delivery): boolean {
    return this.mayReceive(message.topic.name, group?.shareName);
  }
}
