/**
 * What waits only in the store for a session whose client is away, and may not be delivered any more, is taken out of its line: page by page,
 * under the turn's budget. A client that comes back ends that: what is read for it is looked at then.
 */

import { releaseQueue } from './line.ts';
import { mayHave, requestTail, revokeStored } from './paging.ts';
import type { StoredDelivery } from './ports.ts';
import type { TailReader } from './queue.ts';
import type { Session } from './session.ts';
import { type State, Sweep } from './state.ts';

/** Begins, or begins again: rights may have gone that it has not looked for. While somebody else reads the tail it waits. */
export function weed(state: State, session: Session): void {
  session.isUnweeded = true;
  if (session.tailReader instanceof Weeding) session.tailReader.stop();
  if (session.tailReader !== null) return;
  session.isUnweeded = false;
  const { queue, connection, isEnded, isEstate } = session;
  if (queue === null || queue.tailCount === 0 || connection !== null || isEnded || isEstate) return;
  session.tailReader = new Weeding(state, session);
  state.wake(session.tailReader.sweep);
}

class Weeding implements TailReader {
  readonly sweep = new Sweep(() => this.step());
  after: number;
  readonly gapBatch: number;
  private readonly through: number;
  /** Of the rules it goes by. */
  private readonly revision: number | undefined;
  private readonly state: State;
  private readonly session: Session;
  private page: readonly StoredDelivery[] = [];
  private at = 0;

  constructor(state: State, session: Session) {
    this.state = state;
    this.session = session;
    this.after = session.queue?.loadedThrough ?? 0;
    this.gapBatch = session.queue?.gapBatch ?? 0;
    this.through = session.sequence;
    this.revision = session.permissions?.revision;
  }

  paged(page: readonly StoredDelivery[], isEnd: boolean): void {
    this.page = page;
    this.at = 0;
    if (isEnd) this.after = this.through;
  }

  stop(): void {
    const { state, session } = this;
    session.tailReader = null;
    session.isUnweeded = true;
    const { queue } = session;
    if (queue !== null && state.pages.get(queue.page)?.reader === this) queue.page = 0;
  }

  /** True when the budget cut it short. */
  private step(): boolean {
    const { state, session } = this;
    const { queue } = session;
    if (session.tailReader !== this) return false;
    if (queue === null) return this.finish();
    // There are other rules: whoever holds the sessions to them begins here anew.
    if (session.permissions !== null && session.permissions.revision !== this.revision) return false;
    for (; this.at < this.page.length; this.at++) {
      if (state.isSpent) return true;
      const stored = this.page[this.at] as StoredDelivery;
      this.after = stored.sequence;
      state.deliveriesLeft--;
      // It may have come into memory meanwhile.
      if (stored.sequence <= queue.loadedThrough || mayHave(session, stored)) continue;
      queue.gapBatch = state.journal?.number ?? 0;
      revokeStored(state, session, queue, stored);
    }
    this.after = Math.max(this.after, queue.loadedThrough);
    if (this.after >= this.through || queue.tailCount === 0) return this.finish();
    requestTail(state, session, this, queue);
    return false;
  }

  private finish(): boolean {
    const { session } = this;
    session.tailReader = null;
    releaseQueue(session);
    return false;
  }
}
