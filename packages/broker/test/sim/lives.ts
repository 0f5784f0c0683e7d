/** Connections come and go, sessions begin and end, wills are published: each only when the model says so. */

import type { BrokerEvent } from '../../src/core/index.ts';
import { settleLeftovers } from './dropped.ts';
import { route, routingOf } from './handled.ts';
import { noteMade } from './made.ts';
import { ModelSession, type View } from './model.ts';
import type { Oracle } from './oracle.ts';

type Disconnected = Extract<BrokerEvent, { type: 'disconnected' }>;

export function connected(oracle: Oracle, clientId: string, isPresent: boolean): void {
  const view = oracle.acting;
  if (view === null || view.connect === null) return oracle.fail('a connection opened out of nothing');
  const { connect } = view;
  const { model, world } = oracle;
  let session = model.sessions.get(clientId);
  if (session !== undefined && !session.lasts && session.view === null && !isPresent) {
    end(oracle, session);
    session = undefined;
  }
  oracle.expect(session === undefined || !connect.cleanStart, 'Clean Start kept a session');
  oracle.expect(session === undefined || session.view === null, `two connections own the session of ${clientId}`);
  oracle.expect(isPresent === (session !== undefined), `Session Present is ${isPresent} for ${clientId}`);
  if (session === undefined) {
    session = new ModelSession(clientId, model.nextGeneration(), connect.username ?? null);
    model.sessions.set(clientId, session);
  }
  oracle.expect(
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
  if (session.lasts) session.hasLasted = true;
  const { will } = connect;
  session.will =
    will === undefined
      ? null
      : { packet: will, number: view.willNumber, delaySeconds: will.properties?.willDelayInterval ?? 0 };
  if (session.will !== null) model.wills.set(view.willNumber, session.will);
  session.permissions = model.rules.has(session.principal ?? '') ? session.principal : null;
  session.view = view;
  view.session = session;
  view.version = connect.version;
  view.isPresent = isPresent;
}

export function disconnected(oracle: Oracle, event: Disconnected): void {
  const session = oracle.model.sessions.get(event.clientId);
  const view = session?.view ?? null;
  if (view !== null) noteMade(oracle, view);
  if (session === undefined || view === null)
    return oracle.fail(`${event.clientId} was disconnected without being connected`);
  if (event.by === 'network' && view.link.connection.framer.bufferedBytes > 0) oracle.world.mark('cut in mid-packet');
  if (event.by === 'server') judgeDisconnect(oracle, view, event);
  if (event.by === 'server') view.disconnectCode = event.reasonCode;
  if (session.line.some(({ phase, qos }) => qos === 2 && phase !== 'waiting')) {
    if (event.reasonCode === 0x8e) oracle.world.mark('takeover in mid-QoS 2');
  }
  if (view.session?.replays.some(({ left }) => left.size > 0) === true)
    oracle.world.mark('retained replay cut by a disconnect');
  session.view = null;
  session.closedAt = oracle.world.now();
  oracle.leaving = session;
  if (event.by === 'client' && event.reasonCode === 0) session.will = null;
  if (session.will !== null && session.willDueAt <= oracle.world.now())
    oracle.dueWills.push({ session, will: session.will });
  if (!session.lasts) end(oracle, session);
}

/** Clients here do nothing wrong: the broker must have a reason of its own. */
function judgeDisconnect(oracle: Oracle, view: View, event: Disconnected): void {
  const { now, limits, mark } = oracle.world;
  const { link } = view;
  // Who does not read is not read, either: a packet that has arrived may wait to be taken up.
  const aliveAt = link.isClogged ? Math.max(view.takenAt, link.drainedAt) : Number.POSITIVE_INFINITY;
  const silentMs = now() - Math.min(link.lastReceivedAt, aliveAt);
  switch (event.reasonCode) {
    case 0x8e:
      return oracle.expect(
        oracle.acting !== view && oracle.acting?.connect?.clientId === event.clientId,
        `${event.clientId} was taken over by nobody`,
      );
    case 0x8b:
      return oracle.expect(oracle.isStopping, 'said to be shutting down');
    case 0x8d:
      mark('keep alive timeout');
      return oracle.expect(
        silentMs >= (view.connect?.keepAlive ?? 0) * 1500,
        `keep alive timeout after ${silentMs} ms`,
      );
    case 0x97:
      mark(
        event.reason.startsWith('reads too slowly')
          ? 'slow reader disconnected'
          : 'publish refused while the disk fails',
      );
      return oracle.expect(
        event.reason.startsWith('reads too slowly')
          ? limits.unsentBytesTotalMax < 1e6
          : (oracle.isFailing || oracle.world.queueOverflow === 'refuse') && view.version !== 5,
        event.reason,
      );
    case 0x88:
      mark('held too long for the disk');
      return oracle.expect(
        oracle.world.disk?.isCommitting === true || oracle.isFailing || now() - oracle.diskAnsweredAt < 100,
        event.reason,
      );
    case 0x98:
      return oracle.expect(oracle.kicked === event.clientId, event.reason);
    default:
      return oracle.fail(`a correct client was disconnected: ${event.reasonCode.toString(16)} ${event.reason}`);
  }
}

export function sessionEnded(oracle: Oracle, clientId: string, reason: string): void {
  const session = oracle.model.sessions.get(clientId);
  // One that does not last has ended with its connection.
  if (session === undefined && oracle.leaving?.clientId === clientId) noteEstate(oracle, oracle.leaving);
  if (session === undefined) return;
  if (reason === 'expired') {
    oracle.world.mark('session expired');
    oracle.expect(
      session.view === null && session.expiresAt <= oracle.world.now(),
      `the session of ${clientId} expired early`,
    );
  } else if (reason === 'clean-start')
    oracle.expect(oracle.acting?.connect?.cleanStart === true, 'a session was ended by no Clean Start');
  else oracle.expect(!session.lasts, `a session that lasts was ended: ${reason}`);
  end(oracle, session);
  oracle.expect(session.will === null, `the will of ${clientId} was not published when its session ended`);
}

export function end(oracle: Oracle, session: ModelSession): void {
  if (session.line.length > 0) oracle.world.mark('session ended with messages waiting');
  session.isEnded = true;
  oracle.leaving = session;
  oracle.model.sessions.delete(session.clientId);
  noteEstate(oracle, session);
}

function noteEstate({ model, world }: Oracle, session: ModelSession): void {
  const known = model.estates.filter(({ clientId }) => clientId === session.clientId);
  if (world.estatesOf(session.clientId) <= known.length) return;
  model.estates.push(session);
  for (const { routing } of session.line) {
    for (const [group, members] of model.groupsOf(routing.topic)) {
      const heirs = members.filter((each) => each.session.lasts && each.session.permissions === null);
      session.heirs.set(
        group,
        heirs.filter((each) => each.subscription.qos > 0),
      );
    }
  }
}

/** What the core has passed on to the end owes nobody anything any more. */
export function judgeEstates(oracle: Oracle): void {
  const { model, world } = oracle;
  for (const estate of [...model.estates]) {
    const { clientId } = estate;
    const all = model.estates.filter((each) => each.clientId === clientId);
    if (world.estatesOf(clientId) >= all.length) continue;
    // Which of several it was the core does not say.
    const isOver = ({ line }: ModelSession): boolean => !line.some(({ qos }) => qos > 0);
    const over = all.find(isOver);
    oracle.expect(over !== undefined, `shared messages of ${clientId} are lost with its session`);
    model.estates.splice(model.estates.indexOf(over ?? estate), 1);
  }
}

export function willFired(oracle: Oracle, clientId: string, isPublished: boolean): void {
  const { leaving } = oracle;
  const session =
    leaving?.clientId === clientId && leaving.will !== null ? leaving : oracle.model.sessions.get(clientId);
  if (session === undefined || session.will === null)
    return oracle.fail(`a will of ${clientId} was published that nobody has`);
  const { will } = session;
  oracle.expect(session.view === null, `the will of ${clientId} was published while it is connected`);
  const isDue = session.willDueAt <= oracle.world.now();
  const isCleanStart = oracle.acting?.connect?.cleanStart === true && oracle.acting.connect.clientId === clientId;
  oracle.expect(isDue || session.isEnded || isCleanStart, `the will of ${clientId} was published early`);
  session.will = null;
  oracle.dueWills = oracle.dueWills.filter((due) => due.will !== will);
  const denied = oracle.model.mayPublish(session, will.packet.topic);
  oracle.expect(isPublished === (denied === 0), `the will of ${clientId} and its permissions`);
  if (!isDue) oracle.world.mark('will published by the end of its session');
  if (isDue && will.delaySeconds > 0) oracle.world.mark('will published after its delay');
  if (!isPublished) return;
  const routing = routingOf(
    oracle,
    will.packet,
    will.packet.topic,
    clientId,
    will.packet.properties?.messageExpiryInterval,
  );
  // The end of a session takes its subscriptions first.
  route(oracle, routing, oracle.world.isThere(clientId) ? null : session);
  oracle.world.trace(`  ! will of ${clientId} published`);
  settleLeftovers(oracle);
}

export function revoked(oracle: Oracle, clientId: string, filter: string): void {
  const session = oracle.model.sessions.get(clientId);
  const key = [...(session?.subscriptions ?? [])].find(([, each]) => each.filter === filter)?.[0];
  if (session === undefined || key === undefined)
    return oracle.fail(`${clientId} has no subscription to ${filter} to lose`);
  oracle.expect(
    oracle.model.maySubscribe({ permissions: session.principal }, filter) !== 0,
    `${clientId} lost its right to ${filter} without a rule`,
  );
  session.subscriptions.delete(key);
  oracle.world.mark('subscription revoked');
}
