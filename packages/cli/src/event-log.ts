/**
 * The log of `serve`: events of the broker as lines on stderr. JSON, or a readable form where a person looks on.
 *
 * Events carry no payloads and no passwords, so nothing here has to be hidden. Writing never waits for whoever reads the log: what
 * a stuck reader leaves behind is bounded and then dropped.
 */

import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { AnyEvent, EventType, LogLevel } from '@pipit/broker';
import { destination, type Logger, pino } from 'pino';

export interface EventLog {
  event(event: AnyEvent): void;
  logger: Logger;
  /** Resolves when all is written, or when nobody has read it for a second. */
  close(): Promise<void>;
}

const stderrFd = 2;
const waitingBytesMax = 16 * 1024 * 1024;
const closeTimeoutMs = 1_000;

const levels: { readonly [Type in EventType]: 'trace' | 'debug' | 'info' | 'warn' | 'error' } = {
  connected: 'info',
  disconnected: 'info',
  refused: 'warn',
  'publish-refused': 'warn',
  'subscribe-refused': 'warn',
  dropped: 'warn',
  throttled: 'warn',
  'session-created': 'debug',
  'session-ended': 'debug',
  'subscription-revoked': 'info',
  'will-published': 'debug',
  'will-cancelled': 'debug',
  'will-refused': 'warn',
  'commit-failed': 'error',
  'commit-recovered': 'info',
  'store-full': 'error',
  'store-has-room': 'info',
  traced: 'trace',
  'trace-ended': 'debug',
  'internal-error': 'error',
  'page-failed': 'error',
  'fetch-failed': 'error',
  'turned-away': 'warn',
  administered: 'info',
  'authority-failed': 'error',
  banned: 'info',
  unbanned: 'info',
  fault: 'error',
};

export function openEventLog(level: LogLevel): EventLog {
  const isWatched = process.stderr.isTTY === true;
  const stderr = destination({ dest: stderrFd, sync: false, maxLength: waitingBytesMax });
  // The broker goes on when nobody can read what it logs.
  stderr.on('error', () => undefined);
  const options = { level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` };
  const formatters = { level: (label: string) => ({ level: label }) };
  const sink = isWatched ? { write: (line: string) => void process.stderr.write(readable(line)) } : stderr;
  const logger = pino({ ...options, formatters }, sink);
  return {
    logger,
    event: (event) => {
      const { type, ...fields } = event;
      // Who was waited for in vain is worth a line; who began anew is not.
      const isReaped = event.type === 'session-ended' && event.reason === 'expired';
      logger[isReaped ? 'info' : levels[type]](flat(fields), type);
    },
    close: async () => {
      const written = once(stderr, 'close').catch(() => undefined);
      stderr.end();
      await Promise.race([written, setTimeout(closeTimeoutMs)]);
    },
  };
}

/** The peer's fields beside the others, and errors as their text. */
function flat(fields: object): Record<string, unknown> {
  const { peer, error, ...rest } = fields as { peer?: object; error?: unknown };
  return { ...rest, ...peer, ...(error !== undefined && { error: error instanceof Error ? error.stack : error }) };
}

/** `12:00:00.000 warn  refused  reason="…" address=127.0.0.1:5` */
function readable(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const details = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`);
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(msg)}${details.join('')}\n`;
}
