/** What a store holds, as text for a terminal. */

import type { Damage, LogReport, Loss, SessionSummary, StoreReader } from '@pipit/broker';
import type { InspectArguments } from './store-options.ts';

const remainsMax = 10;
const lossesMax = 50;
const columnGap = '  ';

/** A line each for the directory, its log, and what is in it. */
export function overviewLines(reader: StoreReader): string[] {
  const { directory, processId, lastCommit, report, sessions, segments } = reader;
  const live = segments.reduce((sum, { liveBytes }) => sum + liveBytes, 0);
  const queued = sessions.reduce((sum, each) => sum + each.queued, 0);
  const queuedBytes = sessions.reduce((sum, each) => sum + each.queuedBytes, 0);
  const connected = sessions.filter(({ session }) => !Number.isFinite(session.closedAtClock)).length;
  return [
    `directory    ${directory}, ${processId === null ? 'not in use' : `in use by process ${processId}`}`,
    `last commit  ${lastCommit === null ? 'none' : new Date(lastCommit.wall).toISOString()}`,
    `log          ${count(report.segments, 'segment')}, ${size(report.bytes)}, of which ${size(live)} count`,
    `sessions     ${amount(sessions.length)}, ${amount(connected)} of them connected`,
    `queued       ${count(queued, 'message')}, ${size(queuedBytes)}`,
    `retained     ${count(reader.topics().length, 'message')}`,
    `damage       ${damageSummary(report)}`,
  ];
}

function damageSummary({ damage, lostSessions, lostMessages }: LogReport): string {
  const ranges = damage.filter(({ kind }) => kind !== 'unfinished');
  if (ranges.length + lostSessions + lostMessages === 0) return 'none';
  const bytes = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  return `${count(ranges.length, 'range')}, ${size(bytes)}`;
}

/** Tables of the sessions that hold most, and of the segments. */
export function sessionLines(reader: StoreReader, { top, sort }: InspectArguments): string[] {
  const { sessions, segments } = reader;
  const sorted = [...sessions].sort((a, b) => rank(b, sort) - rank(a, sort)).slice(0, top);
  const rows = sorted.map((each) => [
    amount(each.queued),
    size(each.queuedBytes),
    amount(each.inFlight),
    amount(each.subscriptions.length),
    offline(reader, each),
    shown(each.session.key),
  ]);
  const files = segments.slice(-top).map(({ file, bytes, liveBytes }) => [size(bytes), size(liveBytes), file]);
  return [
    ...table(['queued', 'bytes', 'in flight', 'subscriptions', 'offline', 'session'], rows),
    ...more(sessions.length - rows.length, 'session'),
    '',
    ...table(['bytes', 'that count', 'segment'], files),
    ...more(segments.length - files.length, 'older segment'),
  ];
}

function rank({ queued, queuedBytes, inFlight, subscriptions, session }: SessionSummary, sort: string): number {
  switch (sort) {
    case 'queued':
      return queued;
    case 'bytes':
      return queuedBytes;
    case 'in-flight':
      return inFlight;
    case 'subscriptions':
      return subscriptions.length;
    case 'offline':
      return -session.closedAtClock;
    default:
      return 0; // They are sorted by name.
  }
}

/** One session: what it is, its subscriptions, and the first messages for it. */
export async function queueLines(reader: StoreReader, key: string, top: number): Promise<string[]> {
  const found = reader.sessions.find(({ session }) => session.key === key) as SessionSummary;
  const { session, subscriptions, received, queued, queuedBytes, inFlight } = found;
  const rows: string[][] = [];
  for await (const { sequence, qos, packetId, released, message } of reader.queue(key)) {
    const state = packetId === 0 ? 'waits' : released ? `PUBREL ${packetId}` : `sent ${packetId}`;
    const { payload, expiresAtClock, topic } = message;
    rows.push([`${sequence}`, `${qos}`, state, size(payload.length), expiry(reader, expiresAtClock), shown(topic)]);
    if (rows.length === top) break;
  }
  const filters = subscriptions.map(({ filter, shareName, qos, noLocal, retainAsPublished, identifier }) => {
    const name = shareName === undefined ? filter : `$share/${shareName}/${filter}`;
    const options = [`QoS ${qos}`, noLocal && 'no local', retainAsPublished && 'retain as published'];
    return `  ${shown(name)} (${[...options, identifier > 0 && `identifier ${identifier}`].filter(Boolean).join(', ')})`;
  });
  return [
    `session        ${shown(session.key)}`,
    `client id      ${shown(session.clientId)}`,
    `created by     ${session.principal === null ? 'nobody in particular' : shown(session.principal)}`,
    `offline        ${offline(reader, found)}`,
    `expires after  ${duration(session.expirySeconds * 1000)} without a connection`,
    `will           ${session.will === null ? 'none' : `to ${shown(session.will.message.topic)}`}`,
    `received       ${count(received.length, 'QoS 2 message')} not released yet`,
    `queued         ${count(queued, 'message')}, ${size(queuedBytes)}, ${amount(inFlight)} of them in flight`,
    `subscriptions  ${amount(subscriptions.length)}`,
    ...filters.slice(0, top),
    ...more(filters.length - top, 'subscription'),
    '',
    ...table(['number', 'QoS', 'state', 'bytes', 'expires', 'topic'], rows),
    ...more(queued - rows.length, 'message'),
  ];
}

/** Retained messages: how large, how long, where. */
export async function retainedLines(reader: StoreReader, filter: string, top: number): Promise<string[]> {
  const topics = reader.topics(filter);
  const rows: string[][] = [];
  for await (const { topic, message, expiresAtClock } of reader.retained(topics.slice(0, top))) {
    const { payload, qos } = message;
    rows.push([size(payload.length), `${qos}`, expiry(reader, expiresAtClock), shown(topic)]);
  }
  return [
    ...table(['bytes', 'QoS', 'expires', 'topic'], rows),
    ...more(topics.length - Math.min(top, topics.length), 'topic'),
    count(topics.length, 'retained message'),
  ];
}

/** Every damaged range, what it seems to have held (with a reader), and what is lost by it. */
export async function damageLines(report: LogReport, reader: StoreReader | null): Promise<string[]> {
  const lines: string[] = [];
  for (const each of report.damage) {
    const { file, from, to, kind, copy } = each;
    const kept = copy === null ? '' : `; a copy is in ${copy}`;
    lines.push(`${kind}: ${file}, bytes ${from} to ${to} (${size(to - from)}): ${kinds[kind]}${kept}`);
    const held = reader === null || kind === 'unfinished' ? [] : await reader.remains(each);
    for (const words of held.slice(0, remainsMax)) lines.push(`  it seems to have held: ${shown(words)}`);
    if (held.length > remainsMax) lines.push(`  and ${amount(held.length - remainsMax)} records more`);
  }
  return [...lines, ...lossLines(report)];
}

const kinds: Readonly<Record<Damage['kind'], string>> = {
  damaged: 'no whole records',
  unreadable: 'the disk does not give them',
  misplaced: 'they were written to another segment, or by another store',
  missing: 'the file ends before them, or is gone',
  unfinished:
    'behind the last whole batch; as a rule one that was being written when the broker died, never acknowledged',
};

function lossLines(report: LogReport): string[] {
  const { lostRecords, isLossUnknown, lostSessions, lostMessages, losses } = report;
  const lines: string[] = [];
  if (lostRecords > 0) lines.push(`lost: ${count(lostRecords, 'record')}`);
  if (isLossUnknown) lines.push('lost: ends of batches too, and with them nobody knows how many records more');
  const named = losses.slice(0, lossesMax).map((loss) => `  ${shown(lossWords(loss))}`);
  if (lostSessions > 0) lines.push(`lost with them: ${count(lostSessions, 'session')}, with all there was of them`);
  if (lostMessages > 0) lines.push(`lost with them: ${count(lostMessages, 'queued or retained message')}`);
  return [...lines, ...named, ...others(losses.length - named.length)];
}

function lossWords(loss: Loss): string {
  switch (loss.kind) {
    case 'session':
      return `a session whose name is lost, ${count(loss.messages, 'message')}, subscribed to ${loss.filters.join(', ') || 'nothing'}`;
    case 'queued':
      return `message ${loss.sequence} for session ${loss.session}`;
    case 'retained':
      return `the retained message of ${loss.topic}`;
  }
}

// ── Words and numbers

function offline({ lastCommit, processId }: StoreReader, { session }: SessionSummary): string {
  const { closedAtClock } = session;
  if (!Number.isFinite(closedAtClock)) return processId === null ? 'since the broker ended' : 'connected';
  if (lastCommit === null) return '';
  return duration(Math.max(0, Date.now() - lastCommit.wall + lastCommit.clock - closedAtClock));
}

function expiry({ lastCommit }: StoreReader, expiresAtClock: number): string {
  if (!Number.isFinite(expiresAtClock) || lastCommit === null) return 'never';
  const leftMs = expiresAtClock - lastCommit.clock - (Date.now() - lastCommit.wall);
  return leftMs > 0 ? `in ${duration(leftMs)}` : 'expired';
}

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
] as const;

function duration(ms: number): string {
  for (const [unit, unitMs] of units) if (ms >= 2 * unitMs) return `${amount(Math.floor(ms / unitMs))} ${unit}`;
  return `${Math.floor(ms / 1000)} s`;
}

function size(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(1)} ${['', 'k', 'M', 'G', 'T'][power]}B`;
}

function amount(value: number): string {
  return value.toLocaleString('en-US');
}

function count(value: number, what: string): string {
  return `${amount(value)} ${what}${value === 1 ? '' : 's'}`;
}

function more(left: number, what: string): string[] {
  return left > 0 ? [`and ${count(left, `more ${what}`)} (--top shows more)`] : [];
}

function others(left: number): string[] {
  return left > 0 ? [`  and ${amount(left)} more (--json has them)`] : [];
}

/** What others have named may hold control characters, which a terminal would obey. */
function shown(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (each) => JSON.stringify(`${each}`).slice(1, -1));
}

/** Numbers to the right, the last column to the left. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padStart(widths[column] ?? 0))).join(columnGap),
  );
}
