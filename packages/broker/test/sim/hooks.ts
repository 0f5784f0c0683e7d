/**
 * Where the oracle listens inside the core: every event at the moment it is told, who of a shared group was chosen, and every
 * packet when the core takes it up and when it has dealt with it. Listening changes nothing.
 */

import { decodePacket } from '@pipit/protocol';
import type { BrokerEvent, Connection, Core } from '../../src/core/index.ts';
import { numberIn, type View } from './model.ts';
import type { Oracle } from './oracle.ts';

/** `created`: a client got a session that is new. */
export function listen(core: Core, oracle: Oracle, created: (event: { readonly clientId: string }) => void): void {
  const { state } = core;
  const { events, publication } = state;
  const tell = state.tell.bind(state);
  state.tell = (event: BrokerEvent) => {
    oracle.told(event);
    if (event.type === 'connected' && !event.sessionPresent) created(event);
    tell(event);
  };
  const count = events.count.bind(events);
  events.count = (event, deadlines, now) => {
    oracle.counted(event);
    return count(event, deadlines, now);
  };
  const again = events.again.bind(events);
  events.again = (kind, topic) => {
    oracle.counted({ ...kind.event, topic });
    again(kind, topic);
  };
  const fromMessage = publication.fromMessage.bind(publication);
  publication.fromMessage = (message, now) => {
    const number = numberIn(message.bytes.subarray(message.payloadStart, message.payloadEnd));
    oracle.handsOn(number, oracle.world.timeOf(message.expiresAt));
    fromMessage(message, now);
  };
  listenToGroups(core, oracle);
}

/** Groups come with their first member: each is listened to from then on. */
function listenToGroups({ state }: Core, oracle: Oracle): void {
  const { router } = state;
  const subscribe = router.subscribe.bind(router);
  router.subscribe = (session, filter, shareName, options) => {
    const isNew = subscribe(session, filter, shareName, options);
    const key = `$share/${shareName}/${filter}`;
    const group = router.group(key);
    if (group === undefined || Object.hasOwn(group, 'choose')) return isNew;
    const choose = group.choose.bind(group);
    group.choose = (of, message, from) => {
      const member = choose(of, message, from);
      const { topic, qos } = message;
      oracle.chosen(key, topic.name, qos, member?.session.clientId ?? null, from);
      return member;
    };
    return isNew;
  };
}

export function watchFrames(view: View, connection: Connection, oracle: Oracle): void {
  const { framer } = connection;
  const next = framer.next.bind(framer);
  framer.next = () => {
    if (!next()) {
      oracle.finish();
      return false;
    }
    const bytes = framer.bytes.slice(framer.start, framer.end);
    oracle.taken(view, decodePacket(bytes, 0, bytes.length, connection.version, 'client'));
    return true;
  };
  const keepRest = framer.keepRest.bind(framer);
  framer.keepRest = () => {
    oracle.finish();
    keepRest();
  };
}
