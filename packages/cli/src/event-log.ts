/**
 * The log of `serve`: events of the broker as lines on stderr. JSON, or a readable form where a person looks on.
 *
 * Each event has an area and a level; each area may be logged at a level of its own, and that can change while it runs. Events
 * carry no payloads and no passwords, so nothing here has to be hidden. Writing never waits for whoever reads the log: what a
 * stuck reader leaves behind is bounded and then dropped.
 */

import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { AnyEvent, Configuration, EventType, LogArea, LogLevel, LogLevels } from '@pipit/broker';
import { hostOf, logAreas, logLevels } from '@pipit/broker';
import { destination, type Logger, pino } from 'pino';
import { defaultLineLimits, LineLimit } from './line-limit.ts';

type LogSettings = Pick<Configuration, 'logLevel' | 'logLevels' | 'logFormat'>;

export interface EventLog {
  event(event: AnyEvent): void;
  /** For what is not an event of the broker. */
  logger: Logger;
  levels: LogLevels;
  /** Goes over to the levels of a configuration. */
  configure(settings: LogSettings): void;
  /** Resolves when all is written, or when nobody has read it for a second. */
  close(): Promise<void>;
}

const stderrFd = 2;
const waitingBytesMax = 16 * 1024 * 1024;
const closeTimeoutMs = 1_000;
const leftOutIntervalMs = 10_000;

type Place = readonly [area: LogArea, level: 'trace' | 'debug' | 'info' | 'warn' | 'error'];

const places: { readonly [Type in EventType]: Place } = {
  connected: ['connections', 'info'],
  disconnected: ['connections', 'info'],
  refused: ['connections', 'warn'],
  'turned-away': ['connections', 'warn'],
  'publish-refused': ['messages', 'warn'],
  throttled: ['messages', 'warn'],
  dropped: ['messages', 'warn'],
  traced: ['messages', 'trace'],
  'trace-ended': ['messages', 'debug'],
  'will-published': ['messages', 'debug'],
  'will-cancelled': ['messages', 'debug'],
  'will-refused': ['messages', 'warn'],
  'session-created': ['sessions', 'debug'],
  'session-ended': ['sessions', 'debug'],
  'subscribe-refused': ['sessions', 'warn'],
  'subscription-revoked': ['sessions', 'info'],
  'commit-failed': ['store', 'error'],
  'commit-recovered': ['store', 'info'],
  'store-full': ['store', 'error'],
  'store-has-room': ['store', 'info'],
  'page-failed': ['store', 'error'],
  'fetch-failed': ['store', 'error'],
  administered: ['broker', 'info'],
  'internal-error': ['broker', 'error'],
  'authority-failed': ['connections', 'error'],
  banned: ['connections', 'info'],
  unbanned: ['connections', 'info'],
  fault: ['broker', 'error'],
};

export async function openEventLog(settings: LogSettings): Promise<EventLog> {
  const stderr = destination({ dest: stderrFd, sync: false, maxLength: waitingBytesMax });
  // The broker goes on when nobody can read what it logs.
  stderr.on('error', () => undefined);
  const root = pino(
    {
      // What is below is decided by area.
      level: 'trace',
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label: string) => ({ level: label }) },
    },
    await sinkOf(settings, stderr),
  );
  const loggers = Object.fromEntries(logAreas.map((area) => [area, root.child({ area })])) as Record<LogArea, Logger>;
  const configure = ({ logLevel, logLevels: own }: LogSettings): void => {
    for (const area of logAreas) loggers[area].level = own[area] ?? logLevel;
  };
  configure(settings);
  const limit = new LineLimit(defaultLineLimits, performance.now());
  const tellLeftOut = (): void => {
    for (const { address, lines } of limit.leftOut(performance.now()))
      loggers.connections.warn({ address, lines }, 'left-out');
  };
  const leftOutTimer = setInterval(tellLeftOut, leftOutIntervalMs).unref();
  return {
    logger: loggers.broker,
    event: (event) => log(loggers, limit, event),
    levels: levelsOf(loggers),
    configure,
    close: async () => {
      clearInterval(leftOutTimer);
      tellLeftOut();
      const written = once(stderr, 'close').catch(() => undefined);
      stderr.end();
      await Promise.race([written, setTimeout(closeTimeoutMs)]);
    },
  };
}

function log(loggers: Readonly<Record<LogArea, Logger>>, limit: LineLimit, event: AnyEvent): void {
  const [area, usual] = places[event.type];
  const logger = loggers[area];
  // Who was waited for in vain is worth a line; who began anew is not.
  const isReaped = event.type === 'session-ended' && event.reason === 'expired';
  const level = isReaped ? 'info' : usual;
  if (!logger.isLevelEnabled(level)) return;
  // What is about the broker itself is always told.
  if (level !== 'error' && area !== 'store' && area !== 'broker' && !limit.takes(hostOfEvent(event), performance.now()))
    return;
  const { type, ...fields } = event;
  logger[level](flat(fields), type);
}

/** By whom an event was caused, as limits for addresses count; '': it does not say. */
function hostOfEvent(event: AnyEvent): string {
  const address = 'peer' in event ? event.peer.address : 'address' in event ? event.address : '';
  return address === '' ? '' : hostOf(address);
}

/** The peer's fields beside the others, and errors as their text. */
function flat(fields: object): Record<string, unknown> {
  const { peer, error, ...rest } = fields as { peer?: object; error?: unknown };
  return { ...rest, ...peer, ...(error !== undefined && { error: error instanceof Error ? error.stack : error }) };
}

type Sink = ReturnType<typeof destination>;

async function sinkOf({ logFormat }: LogSettings, stderr: Sink): Promise<{ write: (line: string) => void }> {
  const isPretty = logFormat === 'pretty' || (logFormat === 'auto' && process.stderr.isTTY === true);
  if (!isPretty) return stderr;
  const { prettyFactory } = await import('pino-pretty');
  const format = prettyFactory({
    colorize: process.stderr.isTTY === true,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    ignore: 'area',
  });
  return { write: (line) => void stderr.write(format(line)) };
}

function levelsOf(loggers: Readonly<Record<LogArea, Logger>>): LogLevels {
  return {
    read: () => Object.fromEntries(logAreas.map((area) => [area, loggers[area].level])),
    change: (levels) => {
      for (const [area, level] of Object.entries(levels)) {
        if (area !== 'all' && !isOneOf(logAreas, area)) throw new RangeError(`There is no area ${area} in the log.`);
        if (!isOneOf(logLevels, level)) throw new RangeError(`There is no level ${level}.`);
      }
      const { all, ...own } = levels as { all?: LogLevel } & { [Area in LogArea]?: LogLevel };
      for (const area of logAreas) loggers[area].level = own[area] ?? all ?? loggers[area].level;
    },
  };
}

function isOneOf<Value extends string>(values: readonly Value[], value: string): value is Value {
  return (values as readonly string[]).includes(value);
}
