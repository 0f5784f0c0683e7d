/** Debts that end without delivery: reported as dropped for a true reason, or moved on to another member of a group. */

import { oweMember } from './handled.ts';
import { bigPayloadBytes, type ModelSession, type Owed } from './model.ts';
import type { Choice, Drop, Oracle } from './oracle.ts';

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
  const { leaving, model } = oracle;
  const isMovable = (owed: Owed): boolean =>
    owed.group === choice.group &&
    owed.routing.topic === choice.topic &&
    owed.routing.qos === choice.qos &&
    owed.routing.expiresAt > oracle.world.now() &&
    (owed.phase === 'waiting' || (owed.phase === 'sent' && owed.qos === 1));
  if (choice.clientId === null) return;
  const line = leaving?.line ?? [];
  const at = Math.max(
    line.findIndex((owed) => isMovable(owed) && owed.phase === 'sent'),
    line.findIndex(isMovable),
  );
  const owed = line[at];
  if (leaving === null || owed === undefined) return oracle.fail(`a message of ${choice.group} moved that nobody had`);
  if (choice.clientId === leaving.clientId) return;
  const session = model.sessions.get(choice.clientId);
  const subscription = session?.subscriptions.get(choice.group);
  if (session === undefined || subscription === undefined)
    return oracle.fail(`a message of ${choice.group} moved to a stranger`);
  line.splice(at, 1);
  oracle.moved++;
  oracle.world.mark(
    owed.phase === 'sent' ? 'shared message moved after it was sent' : 'shared message moved before it was sent',
  );
  oweMember(oracle, session, subscription, owed.routing, choice.group);
}

/** A drop that was reported is a debt no more, if the reason is true. */
export function dropped(oracle: Oracle, { clientId, topic, reason, group }: Drop): void {
  const { now, limits, mark } = oracle.world;
  const session =
    oracle.model.sessions.get(clientId) ?? (oracle.leaving?.clientId === clientId ? oracle.leaving : undefined);
  if (session === undefined) return oracle.fail(`a message for ${clientId} was dropped, who does not exist`);
  const { view } = session;
  // Only its will has brought it back after a power cut: nobody is owed anything by it.
  if (!session.lasts && view === null && !session.isEnded) return;
  const here = (owed: Owed): boolean => owed.routing.topic === topic;
  const take = (list: Owed[] | undefined, suits: (owed: Owed) => boolean, isLast = false): boolean => {
    const at = isLast ? (list?.findLastIndex(suits) ?? -1) : (list?.findIndex(suits) ?? -1);
    if (at >= 0) list?.splice(at, 1);
    return at >= 0;
  };
  const isWaiting = (owed: Owed): boolean => here(owed) && owed.phase === 'waiting';
  // Given up when it was to be sent again.
  const isGone = (owed: Owed): boolean =>
    here(owed) && owed.phase === 'sent' && !oracle.world.isInFlight(clientId, owed.packetId);
  const isBig = (owed: Owed): boolean =>
    here(owed) && owed.phase !== 'released' && owed.routing.payloadBytes > bigPayloadBytes / 2;
  switch (reason) {
    case 'queue-full': {
      mark('queue overflow');
      const bytes = session.line.reduce(
        (sum, { routing }) => sum + routing.topic.length + routing.payloadBytes + 160,
        0,
      );
      const isFull = session.line.length > limits.queueMessagesMax || bytes > limits.queueBytesMax;
      return oracle.expect(
        isFull && take(session.line, (owed) => isWaiting(owed) && owed.group === group, true),
        `a message for ${clientId} was dropped from a queue with room`,
      );
    }
    case 'expired': {
      mark('message expired in a queue');
      // What is expired when it is to be queued is dropped itself; otherwise it is the oldest.
      const { handedOn } = oracle;
      const isNew = (owed: Owed): boolean => isWaiting(owed) && owed.routing === handedOn && owed.group === group;
      if (handedOn !== null && handedOn.expiresAt <= now())
        return oracle.expect(take(session.line, isNew), 'an expired message is lost');
      const isExpired = (owed: Owed): boolean => here(owed) && owed.routing.expiresAt <= now();
      // A shared message that is on its way to another member may expire after it was sent.
      const mayMove = (owed: Owed): boolean => isExpired(owed) && isGone(owed) && owed.group !== null;
      return oracle.expect(
        take(session.line, mayMove) || take(session.line, (owed) => isWaiting(owed) && isExpired(owed)),
        `a message for ${clientId} was dropped before it expired`,
      );
    }
    case 'not-authorized': {
      mark('queued message dropped for a lost right');
      // After a restart a session has no permissions until somebody connects to it, who is told after oracle.
      const may = oracle.model.mayReceive(
        session.permissions === null ? { permissions: session.principal } : session,
        topic,
      );
      oracle.expect(!may, `${clientId} may receive ${topic}`);
      return oracle.expect(
        take(session.line, isGone) || take(session.line, isWaiting),
        'a message was dropped that nobody waits for',
      );
    }
    case 'unsent-full':
      mark('QoS 0 dropped for a slow reader');
      return oracle.expect(
        take(view?.now, here, true) || take(session.line, (owed) => isWaiting(owed) && owed.qos === 0, true),
        `nothing for ${clientId} was there to be dropped`,
      );
    case 'packet-too-large':
      mark('message larger than the peer takes');
      oracle.expect(view !== null && view.packetBytesMax < bigPayloadBytes, `${clientId} takes packets of any size`);
      return oracle.expect(
        take(view?.now, isBig) || take(session.line, isBig) || takeReplay(session, topic),
        'a small message was too large',
      );
    default:
      return oracle.fail(`a message for ${clientId} was dropped: ${reason}`);
  }
}

function takeReplay(session: ModelSession, topic: string): boolean {
  return session.replays.some(({ left }) => left.delete(topic));
}
