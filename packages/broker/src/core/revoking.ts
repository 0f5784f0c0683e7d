/** What a session has by rights that it has no more is taken from it. */

import { dropDelivery } from './line.ts';
import { endReplay } from './replay.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';
import { weed } from './weeding.ts';

/** Ends what a session has and its permissions do not grant: subscriptions, and messages that wait; those in the store in steps. */
export function revoke(state: State, session: Session): void {
  for (const { filter, shareName, qos } of [...state.router.subscriptionsOf(session)]) {
    state.deliveriesLeft--;
    if ((session.permissions?.subscribe(filter, qos, shareName) ?? 0) === 0) continue;
    state.router.unsubscribe(session, filter, shareName);
    if (shareName === undefined) endReplay(state, session, filter);
    if (session.lasts) state.journal?.record({ kind: 'unsubscribed', key: session.key, filter, shareName });
    state.tell({ type: 'subscription-revoked', clientId: session.clientId, filter });
  }
  const { queue } = session;
  if (queue === null) return;
  if (queue.tailCount > 0) {
    if (session.connection === null) weed(state, session);
    else session.isUnweeded = true;
  }
  const revoked = queue.extract((delivery) => !session.mayTake(delivery));
  state.deliveriesLeft -= revoked.length;
  for (const delivery of revoked) dropDelivery(state, session, delivery, 'not-authorized');
  if (queue.count === 0) session.queue = null;
}
