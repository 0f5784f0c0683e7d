/**
 * The members of one shared subscription ($share/name/filter, MQTT 5.0 4.8.2) and whose turn it is.
 *
 * Each message goes to one member: to online ones in turn, first those that have room; with nobody online to a member whose
 * session lasts. Of two that must queue it, one whose queue has room comes first. A message that its member did not finish comes back through `choose` (see session-end in sessions.ts).
 */

import type { QoS } from '@pipit/protocol';
import { visitCost } from './costs.ts';
import { fits } from './line.ts';
import type { Message } from './message.ts';
import { isClogged } from './sending.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

export interface Member {
  readonly session: Session;
  readonly qos: QoS;
  readonly retainAsPublished: boolean;
  /** Its Subscription Identifier as it goes with each message, or null. */
  readonly identifiers: readonly number[] | null;
}

type Suitability = (state: State, member: Member, message: Message) => boolean;

export class SharedGroup {
  readonly shareName: string;
  readonly filter: string;
  /** Its owner number in the subscription tree. */
  readonly number: number;
  /** In no order that means anything; where each session stands is in `places`. */
  readonly members: Member[] = [];
  private readonly places = new Map<Session, number>();
  private turn = 0;

  constructor(shareName: string, filter: string, number: number) {
    this.shareName = shareName;
    this.filter = filter;
    this.number = number;
  }

  /** `$share/name/filter`, its key among all groups. */
  get key(): string {
    return sharedKey(this.shareName, this.filter);
  }

  /** Adds or replaces the member of this session. True when it is new. */
  put(member: Member): boolean {
    const at = this.places.get(member.session);
    if (at === undefined) this.places.set(member.session, this.members.push(member) - 1);
    else this.members[at] = member;
    return at === undefined;
  }

  remove(session: Session): void {
    const at = this.places.get(session);
    if (at === undefined) return;
    // The last takes its place: there may be a hundred thousand, and they may all leave.
    const last = this.members.pop() as Member;
    this.places.delete(session);
    if (last.session === session) return;
    this.members[at] = last;
    this.places.set(last.session, at);
  }

  memberOf(session: Session): Member | undefined {
    const at = this.places.get(session);
    return at === undefined ? undefined : this.members[at];
  }

  /** Who gets the next message, or one that `from` had and leaves to others; undefined: nobody can. */
  choose(state: State, message: Message, from: Session | null): Member | undefined {
    for (const suits of suitabilities) {
      const member = this.next(state, message, from, suits);
      if (member !== undefined) return member;
    }
    return undefined;
  }

  private next(state: State, message: Message, from: Session | null, suits: Suitability): Member | undefined {
    const { members } = this;
    for (let i = 0; i < members.length; i++) {
      const at = (this.turn + i) % members.length;
      const member = members[at] as Member;
      if (member.session === from || !suits(state, member, message)) continue;
      if (!member.session.mayReceive(message.topic.name, this.shareName)) continue;
      this.turn = at + 1;
      if (i >= 4) state.deliveriesLeft -= visitCost(i);
      return member;
    }
    state.deliveriesLeft -= visitCost(members.length);
    return undefined;
  }
}

/** How well a member suits, best first. */
const suitabilities: readonly Suitability[] = [hasRoom, mayQueue, isOnline, mayKeep, lasts];

/** Online, with a free window, and its socket drains. */
function hasRoom(state: State, { session }: Member): boolean {
  const { connection } = session;
  return session.isOnline && session.hasRoom && (connection === null || !isClogged(state, connection));
}

/** Online, and its queue has room. */
function mayQueue(state: State, { session }: Member, { cost }: Message): boolean {
  return session.isOnline && fits(state, session, cost);
}

function isOnline(_: State, { session }: Member): boolean {
  return session.isOnline;
}

/** Away, and its queue has room. */
function mayKeep(state: State, member: Member, message: Message): boolean {
  return lasts(state, member, message) && fits(state, member.session, message.cost);
}

function lasts(_: State, { session, qos }: Member, message: Message): boolean {
  return session.lasts && qos > 0 && message.qos > 0;
}

export function sharedKey(shareName: string, filter: string): string {
  return `$share/${shareName}/${filter}`;
}
