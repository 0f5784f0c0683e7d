/** What must hold after every turn: nothing that was due now is left over. */

import { end, judgeEstates } from './lives.ts';
import type { Simulation } from './simulation.ts';

export function judgeTurn(sim: Simulation): void {
  const { core, model, oracle, schedule } = sim;
  judgeEstates(oracle);
  const isBusy = core.deadline() <= sim.coreNow;
  for (const session of model.sessions.values()) {
    const { view } = session;
    if (view !== null && view.now.length > 0) oracle.fail(`a QoS 0 message for ${session.clientId} is lost`);
    if (isBusy || view !== null) continue;
    // After a power cut a session that did not last is there only for its will, and its end is not told.
    if (!session.lasts && session.will === null) {
      end(oracle, session);
      continue;
    }
    oracle.expect(
      session.will === null || session.willDueAt > schedule.now,
      `the will of ${session.clientId} is overdue`,
    );
    oracle.expect(session.expiresAt > schedule.now, `the session of ${session.clientId} is overdue`);
  }
  if (core.isQuiet()) judgeRights(sim);
}

/** With nothing more to do, nothing is kept for a sleeper that it may not receive: a right that comes back brings nothing along. */
function judgeRights({ core, model, oracle }: Simulation): void {
  for (const session of model.sessions.values()) {
    if (session.view !== null || session.permissions === null) continue;
    // Asked for again later, when a page could not be read.
    if (core.state.sessions.get(session.clientId)?.queue?.retry?.isArmed === true) continue;
    const isKept = session.line.find(
      ({ phase, routing }) => phase === 'waiting' && !model.mayReceive(session, routing.topic),
    );
    oracle.expect(
      isKept === undefined,
      `#${isKept?.routing.number} is kept for ${session.clientId}, who may not receive it`,
    );
  }
}
