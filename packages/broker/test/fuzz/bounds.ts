/** Nothing grows without bound: the size of every table and buffer of the core, against what the limits say of it. */

import type { Connection } from '../../src/core/connection.ts';
import type { Core } from '../../src/core/core.ts';
import type { Session } from '../../src/core/session.ts';
import type { State } from '../../src/core/state.ts';
import { peers } from './limits.ts';

/** The largest packet of the broker's own, and the largest piece a socket hands over. */
const answerBytesMax = 2_000;
export const chunkBytesMax = 70_000;

export function checkBounds(core: Core): void {
  const { state } = core;
  const { limits } = state;
  const { connections, sessions, retained } = state;
  atMost('connections', connections.size, limits.connectionsMax);
  atMost('sessions', sessions.size, limits.sessionsMax + 1);
  atMost('retained messages', retained.count, limits.retainedMessagesMax);
  atMost('retained bytes', retained.bytes, limits.retainedBytesMax);
  const deadlines = 2 * connections.size + 3 * sessions.size + retained.count + 2;
  atMost('deadlines', state.deadlines['heap'].length, deadlines);
  atMost('interned topics', state.topics['count'], limits.internedTopicsMax);
  atMost('kinds of events counted', state.events['pending'].size, 200);
  // Topics that were forgotten live on as aliases, as the last of a connection, and in wills.
  const topics = limits.internedTopicsMax + connections.size * (limits.topicAliasMaximum + 1) + sessions.size;
  atMost('plans', state.router['planned'].length, topics);
  atMost('unsent bytes of all', state.unsentTotal, limits.unsentBytesTotalMax + limits.packetBytesMax + answerBytesMax);
  for (const connection of connections) checkConnection(state, connection);
  for (const session of sessions.values()) checkSession(state, session);
  checkJournal(state);
}

function checkConnection(state: State, connection: Connection): void {
  const { limits } = state;
  const { clientId, session } = connection;
  atMost(`unparsed bytes of '${clientId}'`, connection.framer.bufferedBytes, limits.packetBytesMax + chunkBytesMax);
  const unsentMax = limits.unsentBytesMax + limits.turnBytesMax + limits.packetBytesMax + answerBytesMax;
  const behindConnack = connection.holdsAll ? connection.heldBytes : 0;
  atMost(`unsent bytes of '${clientId}'`, connection.unsent + connection.out.bytes + behindConnack, unsentMax);
  // What the session keeps anyway may also be held; acknowledgements stop the reading at their limit.
  const heldMax = limits.heldBytesMax + bytesInFlight(session) + answerBytesMax;
  if (!connection.holdsAll) atMost(`bytes held for '${clientId}'`, connection.heldBytes, heldMax);
  atMost(`aliases of '${clientId}'`, connection.aliases?.['topics'].length ?? 0, connection.aliasMaximum + 1);
  atMost(`claims waited for by '${clientId}'`, connection.line?.entries.length ?? 0, limits.claimedPublishesMax);
  if (connection.version === 5) atMost(`open publishes of '${clientId}'`, connection.inbound, connection.inboundMax);
}

function bytesInFlight(session: Session | null): number {
  const window = session?.window ?? null;
  let bytes = 0;
  for (let id = window?.nextAfter(0) ?? 0; id !== 0; id = window?.nextAfter(id) ?? 0)
    bytes += window?.itemOf(id)?.message.cost ?? 0;
  return bytes;
}

function checkSession({ limits }: State, session: Session): void {
  const { key } = session;
  const bytes = bytesInFlight(session);
  atMost(`bytes in flight to '${key}'`, bytes, limits.queueBytesMax + limits.packetBytesMax);
  if (bytes !== session.flightBytes)
    throw new Error(`${bytes} bytes are in flight to '${key}', not ${session.flightBytes}`);
  atMost(`replays of '${key}'`, session.replays?.size ?? 0, limits.subscriptionsPerSessionMax);
  atMost(`groups of '${key}'`, session.groups?.size ?? 0, limits.subscriptionsPerSessionMax);
  atMost(`messages in flight to '${key}'`, session.window?.inUse ?? 0, 2 * limits.sendMaximum);
}

/** What waits for the disk. A turn may add what it likes before anything is in flight; then one packet of each peer is the most. */
function checkJournal(state: State): void {
  const { journal, limits } = state;
  if (journal === null) return;
  const packets = (peers + 2) * (limits.packetBytesMax * limits.sessionsMax + answerBytesMax);
  atMost('bytes of the open batch', journal['openBytes'], limits.uncommittedBytesMax + packets);
  atMost('notes of the open batch', journal['notes'].length, 700);
}

function atMost(what: string, size: number, max: number): void {
  if (size > max) throw new Error(`Without bound: ${what} is ${size}, more than ${max}`);
}

/** The sizes of everything that must be back where it was once the hostile peers and all they left are gone. */
export function sizesOf({ state }: Core): object {
  const { router } = state;
  return {
    sessions: [...state.sessions.keys()].sort(),
    connections: state.connections.size,
    retained: [state.retained.count, state.retained.bytes, [...state.retained].length],
    retainedLevels: state.retained.tree.levelCount,
    retainedPins: state.retained.tree.pinCount,
    retainedCursors: state.retained.cursors,
    fetches: [state.fetches.open.size, state.fetches.activeBytes, state.fetches.stalledBytes],
    deadlines: state.deadlines['heap'].length,
    work: state.work.length,
    pages: state.pages.size,
    subscriptions: router.count,
    groups: router['groups'].size,
    levels: router['tree']['levels'].count,
    owners: router['owners'].filter((each: unknown) => each !== null).length,
    unsent: state.unsentTotal,
    events: state.events['pending'].size,
    notes: state.journal?.['notes'].length ?? 0,
    paused: state.journal?.['paused'].size ?? 0,
    held: [...(state.journal?.holders() ?? [])].length,
  };
}
