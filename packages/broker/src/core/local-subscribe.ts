/**
 * In-process code subscribes: a session without a socket, or a claim.
 */

import { parseFilter, ReasonCode, topicFilterProblem } from '@pipit/protocol';
import { claimFilters, type LocalSubscribe, LocalSubscriber } from './local.ts';
import { startReplay } from './replay.ts';
import { createSession } from './sessions.ts';
import type { State } from './state.ts';
import { Violation } from './violation.ts';

/** Throws Violation on a filter that is not legal, or a client id that is taken. */
export function subscribeLocal(state: State, options: LocalSubscribe): LocalSubscriber {
  const { filters, qos = 2, claim = false, noLocal = false, retainAsPublished = false } = options;
  for (const filter of filters) {
    const problem = topicFilterProblem(filter, state.limits.topicLevelsMax);
    if (problem !== undefined) throw new Violation(ReasonCode.TopicFilterInvalid, problem);
  }
  const clientId = options.clientId ?? `local-${state.nextToken()}`;
  if (state.sessions.has(clientId))
    throw new Violation(ReasonCode.ClientIdentifierNotValid, `the client id '${clientId}' is in use`);
  const session = createSession(state, clientId, clientId, null);
  const subscriber = new LocalSubscriber(session, filters, options.window ?? state.limits.localWindow);
  session.local = subscriber;
  if (claim) {
    claimFilters(state, subscriber);
    return subscriber;
  }
  for (const each of filters) {
    const { shareName, filter } = parseFilter(each);
    state.router.subscribe(session, filter, shareName, { qos, noLocal, retainAsPublished, identifier: 0 });
    if (shareName !== undefined || options.retainHandling === 2) continue;
    startReplay(state, session, filter, { qos, identifiers: null, clientId: noLocal ? clientId : null });
  }
  state.wake(session);
  return subscriber;
}
