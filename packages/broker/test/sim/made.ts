/**
 * PUBLISH packets, judged against the model as soon as the core has made them: when they leave is another matter (written.ts),
 * because some are held for a commit, and some of those never leave.
 */

import { decodePacket, Framer, PacketType, type PublishPacket, viewOf } from '@pipit/protocol';
import type { Connection } from '../../src/core/index.ts';
import { describe } from './describe.ts';
import { likeliest, type ModelSession, numberOf, type Owed, type Replay, type View } from './model.ts';
import type { Oracle } from './oracle.ts';

/** The parts of an output that are nobody's business but the core's and ours. */
interface Output {
  readonly full: readonly { readonly bytes: Uint8Array; readonly length: number }[] | null;
  readonly slab: { readonly bytes: Uint8Array; readonly length: number };
}

/** Notes what was made for this connection since it was last asked. */
export function noteMade(oracle: Oracle, view: View): void {
  const { session, link } = view;
  if (session === null || session.view !== view) return;
  let zeros = 0;
  for (const packet of publishesOf(link.connection)) {
    const isNoted =
      packet.qos === 0
        ? ++zeros <= view.zeros.length
        : session.line.some((each) => each.packetId === packet.packetId && each.sentOn === link.number);
    if (!isNoted) judgeMade(oracle, view, session, packet);
  }
}

/** What waits to leave, now or with a commit. */
function* publishesOf(connection: Connection): Generator<PublishPacket> {
  const { out, heldSealed, heldOpen } = connection as unknown as Record<string, Output | null>;
  for (const output of [out, heldSealed, heldOpen]) {
    if (output == null) continue;
    const framer = new Framer(1 << 24);
    for (const { bytes, length } of [...(output.full ?? []), output.slab]) {
      framer.feed(bytes, viewOf(bytes), 0, length);
      while (framer.next()) {
        if ((framer.bytes[framer.start] as number) >> 4 !== PacketType.Publish) continue;
        yield decodePacket(framer.bytes, framer.start, framer.end, connection.version, 'server') as PublishPacket;
      }
    }
  }
}

function judgeMade(oracle: Oracle, view: View, session: ModelSession, packet: PublishPacket): void {
  const topic = topicOf(oracle, view, packet);
  const owed =
    packet.qos === 0
      ? findQos0(oracle, view, session, packet, topic)
      : findFlight(oracle, view, session, packet, topic);
  judgeForm(oracle, view, session, packet, owed);
  if (packet.qos === 0) {
    view.zeros.push(owed);
    return;
  }
  oracle.expect(
    view.open.size < Math.min(view.receiveMaximum, oracle.world.limits.sendMaximum),
    'more in flight than Receive Maximum allows',
  );
  if (packet.packetId < 1000 && session.line.some((each) => each.packetId > 65_000))
    oracle.world.mark('packet id wrapped');
  view.open.add(packet.packetId);
  view.sent.set(packet.packetId, owed.serial);
  owed.packetId = packet.packetId;
  owed.phase = 'sent';
  owed.sentOn = view.link.number;
}

function topicOf(oracle: Oracle, view: View, packet: PublishPacket): string {
  const alias = packet.properties?.topicAlias ?? 0;
  const maximum = view.connect?.properties?.topicAliasMaximum ?? 0;
  oracle.expect(alias <= maximum, `topic alias ${alias} above ${maximum}`);
  if (packet.topic === '') {
    oracle.world.mark('alias used');
    return view.sentAliases.get(alias) ?? oracle.fail('a topic alias that was never set');
  }
  if (alias > 0) view.sentAliases.set(alias, packet.topic);
  else if (maximum > 0 && view.sentAliases.size > 0) oracle.world.mark('alias table full');
  return packet.topic;
}

/**
 * Of copies that look the same, which one this is: the packet does not tell, the core does, of what it has in flight. There a
 * session that does not last keeps no message of its own subscriptions. And 3.x has no Subscription Identifiers.
 */
function tellApart(oracle: Oracle, view: View, { packetId, qos, properties }: PublishPacket): Likeness {
  const told = view.version === 5 ? sorted(properties?.subscriptionIdentifiers ?? []) : undefined;
  const seconds = properties?.messageExpiryInterval;
  const expiresAt = seconds === undefined ? Number.POSITIVE_INFINITY : oracle.world.now() + seconds * 1000;
  const seen = { identifiers: told, expiresAt, toleranceMs: view.version === 5 ? 1000 : Number.POSITIVE_INFINITY };
  if (qos === 0) return { ...seen, group: undefined };
  const session = view.link.connection.session;
  const delivery = session?.window?.itemOf(packetId) ?? null;
  if (session === null || delivery === null) return { ...seen, group: null };
  const { group, identifiers, sequence, message } = delivery;
  // After a restart the core has no group that nobody is in.
  const stored = oracle.world.disk?.sessions.get(session.key)?.queue.get(sequence);
  return {
    group: group?.key ?? stored?.group ?? null,
    identifiers: sorted(identifiers ?? []),
    expiresAt: oracle.world.timeOf(message.expiresAt),
    toleranceMs: 0,
  };
}

/** undefined: nobody can tell. */
interface Likeness {
  readonly group: string | null | undefined;
  readonly identifiers: string | undefined;
  readonly expiresAt: number;
  /** How exactly that is known. */
  readonly toleranceMs: number;
}

function isSame(owed: Owed, packet: PublishPacket, topic: string): boolean {
  return owed.routing.topic === topic && owed.qos === packet.qos && owed.routing.number === numberOf(packet);
}

/** One message may be owed several times: by a subscription and by shared ones. */
function findWaiting(
  oracle: Oracle,
  view: View,
  line: readonly Owed[],
  packet: PublishPacket,
  topic: string,
): Owed | undefined {
  const { group, identifiers, expiresAt, toleranceMs } = tellApart(oracle, view, packet);
  const same = line.filter(
    (each) =>
      each.phase === 'waiting' &&
      each.retain === packet.retain &&
      isSame(each, packet, topic) &&
      (identifiers === undefined || sorted(each.identifiers) === identifiers),
  );
  const ofGroup = same.filter((each) => each.group === group);
  return likeliest(ofGroup.length > 0 ? ofGroup : same, expiresAt, toleranceMs);
}

function findQos0(oracle: Oracle, view: View, session: ModelSession, packet: PublishPacket, topic: string): Owed {
  const due = findWaiting(oracle, view, view.now, packet, topic);
  if (due !== undefined) {
    const earlier = view.now.slice(0, view.now.indexOf(due));
    view.now.splice(earlier.length, 1);
    const isOvertaken = earlier.some(({ routing }) => routing.topic === topic && routing.number !== due.routing.number);
    const first = earlier.find(({ routing }) => routing.topic === topic && routing.number !== due.routing.number);
    oracle.expect(!isOvertaken, `${describe(packet)} overtook #${first?.routing.number} for ${session.clientId}`);
    return due;
  }
  const queued = findWaiting(oracle, view, session.line, packet, topic);
  if (queued !== undefined) return session.line.splice(session.line.indexOf(queued), 1)[0] as Owed;
  return takeReplay(oracle, view, session, packet, topic) ?? unowed(oracle, view, session, packet, topic);
}

function findFlight(oracle: Oracle, view: View, session: ModelSession, packet: PublishPacket, topic: string): Owed {
  const { line } = session;
  const { packetId, dup } = packet;
  const inUse = line.find((each) => each.packetId === packetId && each.phase !== 'waiting');
  if (inUse !== undefined) {
    oracle.expect(isSame(inUse, packet, topic) && inUse.phase === 'sent', `packet id ${packetId} is in use`);
    oracle.expect(dup, 'a PUBLISH sent again has no DUP');
    judgeOrder(oracle, view, session, inUse);
    return inUse;
  }
  const owed = findWaiting(oracle, view, line, packet, topic);
  oracle.expect(!dup, `DUP on what was never sent to ${session.clientId}: ${describe(packet)}`);
  if (owed !== undefined) {
    judgeOrder(oracle, view, session, owed);
    return owed;
  }
  const replay = takeReplay(oracle, view, session, packet, topic);
  if (replay === undefined) return unowed(oracle, view, session, packet, topic);
  line.push(replay);
  return replay;
}

/** Not owed as it is: what comes nearest, so that it can be said what is wrong with it. */
function unowed(oracle: Oracle, view: View, session: ModelSession, packet: PublishPacket, topic: string): Owed {
  for (const list of [view.now, session.line]) {
    const at = list.findIndex((each) => each.phase === 'waiting' && isSame(each, packet, topic));
    if (at < 0) continue;
    return packet.qos === 0 ? (list.splice(at, 1)[0] as Owed) : (list[at] as Owed);
  }
  return oracle.fail(`${session.clientId} got ${describe(packet)} on ${topic}, which it is not owed`);
}

/** A retained message that a subscription is owed; its value is read when its turn comes, and skipped when there is a newer one. */
function takeReplay(
  oracle: Oracle,
  view: View,
  session: ModelSession,
  packet: PublishPacket,
  topic: string,
): Owed | undefined {
  const suits = ({ left, qos, noLocal }: Replay): boolean => {
    const routing = left.get(topic);
    if (routing === undefined || (noLocal && routing.publisher === session.clientId)) return false;
    return routing.number === numberOf(packet) && Math.min(qos, routing.qos) === packet.qos && packet.retain;
  };
  const told = tellApart(oracle, view, packet).identifiers;
  // Several subscriptions may be owed it; what one may have lost for a right is not waited for.
  const due = session.replays.filter(suits).sort((a, b) => Number(a.mayLackSome) - Number(b.mayLackSome));
  const replay = due.find(({ identifiers }) => sorted(identifiers) === told) ?? due[0];
  const routing = replay?.left.get(topic);
  if (replay === undefined || routing === undefined) return undefined;
  replay.left.delete(topic);
  return oracle.model.owed(routing, packet.qos, true, replay.identifiers, null, true);
}

/** Per topic and QoS: nothing overtakes, and after a resume what was sent before goes first [MQTT-4.6.0-1] [MQTT-4.6.0-6]. */
function judgeOrder(oracle: Oracle, view: View, session: ModelSession, owed: Owed): void {
  const { routing, qos } = owed;
  // A replayed one stands in the line where it was noticed, not where it was sent.
  if (routing.number === 0 || owed.isReplay) return;
  for (const earlier of session.line) {
    if (earlier === owed) return;
    // Copies of one message have no order, and one empty message looks like another.
    if (earlier.routing.number === routing.number || earlier.routing.number === 0 || earlier.isReplay) continue;
    if (earlier.routing.topic !== routing.topic || earlier.qos !== qos) continue;
    const isAhead = earlier.phase === 'released' || (earlier.phase === 'sent' && earlier.sentOn === view.link.number);
    oracle.expect(isAhead, `#${routing.number} overtook #${earlier.routing.number} on ${routing.topic}`);
  }
}

function judgeForm(oracle: Oracle, view: View, session: ModelSession, packet: PublishPacket, owed: Owed): void {
  const { routing } = owed;
  const { now } = oracle.world;
  const about = `for ${session.clientId}: ${describe(packet)}`;
  oracle.expect(packet.retain === owed.retain, `RETAIN is ${packet.retain} ${about}`);
  oracle.expect(packet.payload.length === routing.payloadBytes, 'the payload has another length');
  const may = oracle.model.mayReceive(session, routing.topic);
  oracle.expect(may, `${session.clientId} may not receive ${routing.topic}`);
  const isLate = routing.expiresAt <= oracle.turnBegan && routing.at < oracle.turnBegan && owed.phase === 'waiting';
  oracle.expect(!isLate, `${describe(packet)} was sent to ${session.clientId} after it expired`);
  if (view.version !== 5) return;
  const identifiers = sorted(packet.properties?.subscriptionIdentifiers ?? []);
  oracle.expect(
    identifiers === sorted(owed.identifiers),
    `Subscription Identifiers not ${owed.identifiers.join()} ${about}`,
  );
  const seconds = packet.properties?.messageExpiryInterval;
  const hasExpiry = Number.isFinite(routing.expiresAt);
  oracle.expect((seconds !== undefined) === hasExpiry, 'Message Expiry Interval lost or made up');
  if (seconds === undefined) return;
  const most = Math.max(0, Math.ceil((routing.expiresAt - oracle.turnBegan) / 1000));
  const least = Math.max(0, Math.ceil((routing.expiresAt - now()) / 1000));
  const isCounted = seconds >= least && seconds <= most;
  oracle.expect(isCounted, `Message Expiry Interval ${seconds}, not ${least} to ${most}`);
}

function sorted(numbers: readonly number[]): string {
  return [...numbers].sort((a, b) => a - b).join();
}
