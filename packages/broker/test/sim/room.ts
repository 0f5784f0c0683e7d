/** How much may wait, as the model sees it: roughly, because what a message counts for is known only roughly. */

import type { ModelSession, Routing } from './model.ts';
import type { Oracle } from './oracle.ts';

/** Whether a session has more waiting than it may, or would have with `copies` more of `routing`. */
export function isFull(
  { world, model, leaving }: Oracle,
  session: ModelSession,
  copies = 0,
  routing?: Routing,
): boolean {
  const { queueMessagesMax, queueBytesMax, queueMessagesTotalMax, queueBytesTotalMax } = world.limits;
  const more = copies * costOf(routing);
  const messages = session.line.length + copies;
  const bytes = session.line.reduce((sum, owed) => sum + costOf(owed.routing), more);
  if (messages > queueMessagesMax || bytes > queueBytesMax) return true;
  // A session that ends counts until its will is published.
  const ended = leaving === null ? model.estates : [...model.estates, leaving];
  const sessions = new Set([...model.sessions.values(), ...ended]);
  const all = [...sessions].flatMap(({ line }) => line);
  // Where copies for groups will go is not known before.
  const planned = routing === undefined ? 0 : model.sessions.size + model.groupsOf(routing.topic).size;
  const allBytes = all.reduce((sum, owed) => sum + costOf(owed.routing), planned * costOf(routing));
  return messages + all.length + planned > queueMessagesTotalMax || bytes + allBytes > queueBytesTotalMax;
}

function costOf(routing: Routing | undefined): number {
  return routing === undefined ? 0 : routing.topic.length + routing.payloadBytes + 160;
}
