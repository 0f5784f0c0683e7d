/** What a store holds, as JSON for programs. */

import type { SessionSummary, StoreReader } from '@pipit/broker';
import type { InspectArguments } from './store-options.ts';

/** Everything of the overview; messages only when they are asked for by `--session` or `--retained`, and without payloads. */
export async function storeJson(reader: StoreReader, { session, retained }: InspectArguments): Promise<object> {
  const { directory, processId, lastCommit, report, segments, sessions } = reader;
  const shown = session === undefined ? sessions : sessions.filter(({ session: { key } }) => key === session);
  return {
    directory,
    processId,
    lastCommit: lastCommit === null ? null : { at: new Date(lastCommit.wall).toISOString(), clock: lastCommit.clock },
    report,
    segments,
    sessions: shown.map((each) => sessionJson(reader, each)),
    retainedCount: reader.topics().length,
    ...(session !== undefined && { queue: await queueJson(reader, session) }),
    ...(retained !== undefined && { retained: await retainedJson(reader, retained) }),
  };
}

function sessionJson({ lastCommit }: StoreReader, summary: SessionSummary): object {
  const { session, subscriptions, received, queued, inFlight, queuedBytes } = summary;
  const { key, clientId, principal, expirySeconds, will, closedAtClock } = session;
  const isConnected = !Number.isFinite(closedAtClock);
  return {
    session: key,
    clientId,
    principal,
    expirySeconds,
    will: will === null ? null : { topic: will.message.topic, delaySeconds: will.delaySeconds },
    connected: isConnected,
    offlineSince: isConnected ? null : timeOf(lastCommit, closedAtClock),
    queued,
    queuedBytes,
    inFlight,
    received,
    subscriptions,
  };
}

async function queueJson(reader: StoreReader, key: string): Promise<object[]> {
  const queue: object[] = [];
  for await (const { message, ...delivery } of reader.queue(key)) {
    const { topic, payload, expiresAtClock } = message;
    queue.push({ ...delivery, topic, bytes: payload.length, expires: timeOf(reader.lastCommit, expiresAtClock) });
  }
  return queue;
}

async function retainedJson(reader: StoreReader, filter: string): Promise<object[]> {
  const found: object[] = [];
  for await (const { topic, message, expiresAtClock } of reader.retained(reader.topics(filter))) {
    const { payload, qos } = message;
    found.push({ topic, qos, bytes: payload.length, expires: timeOf(reader.lastCommit, expiresAtClock) });
  }
  return found;
}

/** The wall time of a time of the records; null: never. */
function timeOf(lastCommit: StoreReader['lastCommit'], clock: number): string | null {
  if (lastCommit === null || !Number.isFinite(clock)) return null;
  return new Date(lastCommit.wall + clock - lastCommit.clock).toISOString();
}
