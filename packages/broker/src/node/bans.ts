/**
 * Bans while a broker runs: made and taken away, told, kept in a file, and put into effect on who is connected already.
 *
 * Whom a ban is about is auth/ban-list.ts; who comes is looked at in admission.ts (sockets) and by the authority (CONNECT).
 */

import {
  type Ban,
  BanList,
  type BanType,
  banSentence,
  type ListedBan,
  networkAddressOf,
  type Suspect,
} from '../auth/ban-list.ts';
import type { Connection } from '../core/index.ts';
import { BanFile } from './ban-file.ts';
import type { EventHub } from './event-hub.ts';

/** Disconnects everybody for whom there is a reason. */
type Expel = (reasonFor: (connection: Connection) => string | null) => void;

export class Bans {
  readonly list: BanList;
  readonly #file: BanFile | null;
  readonly #events: EventHub;
  readonly #expel: Expel;

  /** `path`: of the file they are kept in; undefined: nowhere. Throws a TypeError for a ban that says nothing. */
  constructor(configured: readonly Ban[], path: string | undefined, events: EventHub, expel: Expel) {
    this.list = new BanList(configured);
    this.#file = path === undefined ? null : new BanFile(path, this.list);
    this.#events = events;
    this.#expel = expel;
  }

  /** Throws a TypeError for a ban that says nothing. */
  static check(bans: readonly Ban[]): void {
    new BanList(bans);
  }

  async load(): Promise<void> {
    await this.#file?.load((error) => this.#events.fault('bans', error));
  }

  /** Replaces those of the configuration. Throws a TypeError, and nothing has changed. */
  configure(configured: readonly Ban[]): void {
    this.list.configure(configured);
    if (configured.length > 0) this.#apply(new BanList(configured), 'is banned');
  }

  /** Counts at once. Throws a TypeError for what cannot be banned; to be followed by `save`. */
  add(ban: Ban): ListedBan {
    if (Date.parse(ban.until ?? '') <= Date.now()) throw new TypeError(`${ban.until} is over: nobody would be banned`);
    const kept = this.list.add(ban);
    const { isConfigured: _, type: what, ...rest } = kept;
    this.#events.tell({ type: 'banned', what, ...rest });
    this.#apply(new BanList([kept]), banSentence(kept));
    return kept;
  }

  /** Rejects when they cannot be written. */
  async save(): Promise<void> {
    await this.#file?.save();
  }

  async remove(type: BanType, value: string): Promise<boolean> {
    if (!this.list.remove(type, value)) return false;
    this.#events.tell({ type: 'unbanned', what: type, value });
    await this.#file?.save();
    return true;
  }

  #apply(bans: BanList, reason: string): void {
    this.#expel((connection) => (bans.find(suspectOf(connection)) === null ? null : reason));
  }
}

/** What a connection says of itself that bans may be about. */
function suspectOf({ clientId, username, session, peer }: Connection): Suspect {
  return { clientId, username, principal: session?.principal ?? null, address: networkAddressOf(peer) };
}
