/** Debts that end without delivery: reported as dropped for a true reason, or moved on to another member of a group. */

import { oweMember } from './handled.ts';
import { noteMade } from './made.ts';
import { bigPayloadBytes, likeliest, type ModelSession, type Owed, type Routing } from './model.ts';
import type { Choice, Drop, Oracle } from './oracle.ts';
import { isFull } from './room.ts';

export function settleLeftovers(oracle: Oracle): void {
  const { choices, drops } = oracle;
  oracle.isRouting = false;
  oracle.choices = [];
  oracle.drops = [];
  for (const choice of choices) redispatched(oracle, choice);
  for (const drop of drops) dropped(oracle, drop);
  oracle.handedOn = null;
}

/** A shared message moves on from the member that left. */
function redispatched(oracle: Oracle, choice: Choice): void {
  const { model } = oracle;
  const isMovable = (owed: Owed): boolean =>
    owed.group === choice.group &&
    owed.routing.topic === choice.topic &&
    owed.routing.qos === choice.qos &&
    owed.routing.number === choice.number &&
    owed.routing.expiresAt > oracle.world.now() &&
    (owed.phase === 'waiting' || (owed.phase === 'sent' && owed.qos === 1));
  if (choice.clientId === null) return;
  const leaving = oracle.leaving?.clientId === choice.from ? oracle.leaving : undefined;
  const estates = choice.isEstate ? model.estates.filter(({ clientId }) => clientId === choice.from) : [];
  const from = [leaving, ...estates, model.sessions.get(choice.from ?? '')];
  const member = from.find((each) => each?.line.some(isMovable));
  const line = member?.line ?? [];
  const owed = likeliest(line.filter(isMovable), choice.expiresAt, 0);
  if (owed === undefined)
    return oracle.fail(
      `#${choice.number} of ${choice.group} moved that nobody had: ${line.map(({ routing, group, phase }) => `#${routing.number} ${group} ${phase}`).join(', ')}`,
    );
  const session = model.sessions.get(choice.clientId);
  const subscription = session?.subscriptions.get(choice.group);
  if (session === undefined || subscription === undefined)
    return oracle.fail(`a message of ${choice.group} moved to a stranger`);
  line.splice(line.indexOf(owed), 1);
  oracle.world.mark(
    owed.phase === 'sent' ? 'shared message moved after it was sent' : 'shared message moved before it was sent',
  );
  const moved = oweMember(oracle, session, subscription, owed.routing, choice.group);
  moved.isUnpromised = owed.isUnpromised || member?.lasts === false;
}

/** A drop that was reported is a debt no more, if the reason is true. */
export function dropped(oracle: Oracle, drop: Drop): void {
  const { clientId, topic, reason } = drop;
  const { world, leaving, model } = oracle;
  if (reason === 'session-ended') return leftBehind(oracle, drop);
  const session = model.sessions.get(clientId) ?? (leaving?.clientId === clientId ? leaving : undefined);
  const isGhost = session !== undefined && !session.lasts && session.view === null && !session.isEnded;
  if ((session === undefined || isGhost) && reason === 'expired' && expiredInEstate(oracle, drop)) return;
  // Brought back by a power cut although it does not last: it is gone before anybody can come for it.
  if (session === undefined && world.isThere(clientId)) return;
  if (session === undefined) return oracle.fail(`a message for ${clientId} was dropped, who does not exist`);
  const { view } = session;
  // Only its will has brought it back after a power cut: nobody is owed anything by it.
  if (isGhost) return;
  const isHere = (owed: Owed): boolean => owed.routing.topic === topic;
  const isWaiting = (owed: Owed): boolean => isHere(owed) && owed.phase === 'waiting';
  // Given up when it was to be sent again, or to move on.
  const isGone = (owed: Owed): boolean =>
    isHere(owed) && owed.phase === 'sent' && !world.isInFlight(clientId, owed.packetId);
  switch (reason) {
    case 'queue-full':
      world.mark('queue overflow');
      return droppedAsFull(oracle, session, drop);
    case 'displaced':
      world.mark('oldest displaced from a queue');
      return displaced(oracle, session, drop);
    case 'expired':
      world.mark('message expired in a queue');
      return oracle.expect(
        droppedAsExpired(oracle, session, drop, isGone) || expiredInEstate(oracle, drop),
        `a message for ${clientId} was dropped before it expired`,
      );
    case 'not-authorized': {
      world.mark('queued message dropped for a lost right');
      // After a restart a session has no permissions until somebody connects to it, and drops come before that is told.
      const { permissions, principal } = session;
      const may = model.mayReceive({ permissions: permissions ?? principal }, topic);
      oracle.expect(!may, `${clientId} may receive ${topic}`);
      const isOwed = take(session.line, isGone) || take(session.line, isWaiting);
      return oracle.expect(isOwed, 'a message was dropped that nobody waits for');
    }
    case 'unsent-full': {
      world.mark('QoS 0 dropped for a slow reader');
      const isQueued = (owed: Owed): boolean => isWaiting(owed) && owed.qos === 0;
      const now = view?.now ?? [];
      const isCopy = (owed: Owed): boolean => isHere(owed) && owed.group === drop.group;
      const isOwed = take(now, isCopy, true) || take(now, isHere, true) || take(session.line, isQueued, true);
      return oracle.expect(isOwed, `nothing for ${clientId} was there to be dropped`);
    }
    case 'store-lost':
      return oracle.expect(world.disk?.isDamaged === true, `a message for ${clientId} was lost without any damage`);
    case 'packet-too-large':
      world.mark('message larger than the peer takes');
      return droppedAsLarge(oracle, session, topic);
    default:
      return oracle.fail(`a message for ${clientId} was dropped: ${reason}`);
  }
}

/** What nobody took of an ended session's shared messages is told with their number at the end. */
function leftBehind(oracle: Oracle, { clientId, count }: Drop): void {
  const { model, world } = oracle;
  const estates = model.estates.filter(
    (each) => each.clientId === clientId && (each.isRemnant || each.line.length >= count),
  );
  const estate = estates.find(({ line }) => line.length === count) ?? estates[0];
  if (estate === undefined) return oracle.fail(`${count} messages of ${clientId} were dropped that it did not have`);
  world.mark('estate with something nobody took');
  model.estates.splice(model.estates.indexOf(estate), 1);
  for (const { group, phase, qos, routing } of estate.line) {
    const mayMove = phase === 'waiting' || (phase === 'sent' && qos === 1);
    if (group === null || !mayMove || routing.qos === 0 || routing.expiresAt <= world.now()) continue;
    const takers = estate.heirs
      .get(group)
      ?.filter(({ session, subscription }) => !session.isEnded && session.subscriptions.get(group) === subscription);
    oracle.expect(
      !takers?.length,
      `#${routing.number} was dropped with the session of ${clientId}, and ${group} has takers`,
    );
  }
}

function expiredInEstate(oracle: Oracle, { clientId, topic }: Drop): boolean {
  const { model, world } = oracle;
  const isGone = ({ routing, group, phase }: Owed): boolean =>
    routing.topic === topic && routing.expiresAt <= world.now() && group !== null && phase !== 'released';
  return model.estates.some((estate) => estate.clientId === clientId && take(estate.line, isGone));
}

/** Takes the first that suits, or the last, out of a list. */
function take(list: Owed[], suits: (owed: Owed) => boolean, isLast = false): boolean {
  const at = isLast ? list.findLastIndex(suits) : list.findIndex(suits);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}

function displaced(oracle: Oracle, session: ModelSession, { clientId, topic }: Drop): void {
  oracle.expect(oracle.world.queueOverflow === 'drop-oldest', 'the oldest was dropped, against the setting');
  if (session.view !== null) noteMade(oracle, session.view);
  const oldest = session.line.find(({ phase }) => phase === 'waiting');
  const isOwed = isFull(oracle, session) && oldest?.routing.topic === topic;
  oracle.expect(isOwed, `a message for ${clientId} was displaced that is not the oldest of a full queue`);
  take(session.line, (owed) => owed === oldest);
}

function droppedAsFull(oracle: Oracle, session: ModelSession, { clientId, topic, group }: Drop): void {
  const { handedOn, world } = oracle;
  const isNewest = (owed: Owed): boolean =>
    owed.routing.topic === topic && owed.phase === 'waiting' && owed.group === group;
  const newest = session.line.findLast(isNewest);
  const isAccepted = handedOn !== null && handedOn === oracle.accepted && (newest?.qos ?? 0) > 0;
  oracle.expect(world.queueOverflow !== 'refuse' || !isAccepted, 'a message was accepted and then dropped');
  const isOwed = isFull(oracle, session) && take(session.line, isNewest, true);
  oracle.expect(isOwed, `a message for ${clientId} was dropped from a queue with room`);
}

/** What is expired when it is to be queued is dropped itself; otherwise it is the oldest. */
function droppedAsExpired(
  oracle: Oracle,
  session: ModelSession,
  { topic, group }: Drop,
  isGone: (owed: Owed) => boolean,
): boolean {
  const now = oracle.world.now();
  const { handedOn } = oracle;
  const isExpired = ({ routing }: Owed): boolean => routing.topic === topic && routing.expiresAt <= now;
  const isWaiting = (owed: Owed): boolean => isExpired(owed) && owed.phase === 'waiting';
  if (handedOn !== null && handedOn.expiresAt <= now) {
    const isNew = (owed: Owed): boolean => isWaiting(owed) && owed.routing === handedOn && owed.group === group;
    return take(session.line, isNew);
  }
  // A shared message that is on its way to another member may expire after it was sent.
  const mayMove = (owed: Owed): boolean => isExpired(owed) && isGone(owed) && owed.group !== null;
  return take(session.line, mayMove) || take(session.line, isWaiting);
}

function droppedAsLarge(oracle: Oracle, session: ModelSession, topic: string): void {
  const { view, line, replays, clientId } = session;
  oracle.expect(view !== null && view.packetBytesMax < bigPayloadBytes, `${clientId} takes packets of any size`);
  const isLarge = (routing: Routing | undefined): boolean => (routing?.payloadBytes ?? 0) > bigPayloadBytes / 2;
  const isBig = ({ routing, phase }: Owed): boolean =>
    routing.topic === topic && phase !== 'released' && isLarge(routing);
  const isOwed =
    take(view?.now ?? [], isBig) ||
    take(line, isBig) ||
    replays.some(({ left }) => isLarge(left.get(topic)) && left.delete(topic));
  oracle.expect(isOwed, 'a small message was too large');
}
