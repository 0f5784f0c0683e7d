/**
 * The members of one shared subscription ($share/name/filter, MQTT 5.0 4.8.2) and whose turn it is.
 *
 * Each message goes to one member: to online ones in turn, first those that have room; with nobody online to a member whose
 * session lasts. A message that its member did not finish comes back through `choose` (see session-end in sessions.ts).
 */

import type { QoS } from '@pipit/protocol';
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

export class SharedGroup {
  readonly shareName: string;
  readonly filter: string;
  /** Its owner number in the subscription tree. */
  readonly number: number;
  readonly members: Member[] = [];
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
    const at = this.indexOf(member.session);
    if (at >= 0) this.members[at] = member;
    else this.members.push(member);
    return at < 0;
  }

  remove(session: Session): void {
    const at = this.indexOf(session);
    if (at < 0) return;
    this.members.splice(at, 1);
    if (at < this.turn) this.turn--;
  }

  memberOf(session: Session): Member | undefined {
    return this.members[this.indexOf(session)];
  }

  /** Who gets the next message, published at `qos`; undefined: nobody can. */
  choose(state: State, topic: string, qos: QoS): Member | undefined {
    return (
      this.next(({ session }) => hasRoom(state, session) && session.mayReceive(topic)) ??
      this.next(({ session }) => session.isOnline && session.mayReceive(topic)) ??
      this.next(({ session, qos: granted }) => qos > 0 && granted > 0 && session.lasts && session.mayReceive(topic))
    );
  }

  private next(suits: (member: Member) => boolean): Member | undefined {
    const { members } = this;
    for (let i = 0; i < members.length; i++) {
      const at = (this.turn + i) % members.length;
      const member = members[at] as Member;
      if (!suits(member)) continue;
      this.turn = at + 1;
      return member;
    }
    return undefined;
  }

  private indexOf(session: Session): number {
    return this.members.findIndex((member) => member.session === session);
  }
}

/** Online, with a free window, and its socket drains. */
function hasRoom(state: State, { connection, hasRoom: hasWindow, isOnline }: Session): boolean {
  return isOnline && hasWindow && (connection === null || !isClogged(state, connection));
}

export function sharedKey(shareName: string, filter: string): string {
  return `$share/${shareName}/${filter}`;
}
