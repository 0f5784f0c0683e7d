/** What can be set in a configuration, and what holds where nothing is said. */

import { resolve } from 'node:path';
import type { Durability, Limits, QueueOverflow, Rule } from '../core/index.ts';
import { defaultLimits } from '../core/index.ts';
import type { ListenerOptions } from './listener-options.ts';
import { defaultHost } from './listener-options.ts';
import type { TlsOptions } from './tls-options.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** As `TlsOptions`, with paths of PEM files only. */
export type TlsSettings = Omit<TlsOptions, 'cert' | 'key' | 'ca'> & { cert: string; key: string; ca?: string };

type OfType<Type extends ListenerOptions['type']> = Omit<Extract<ListenerOptions, { type: Type }>, 'tls' | 'mode'>;

/** `ListenerOptions` in one level, as it is written in a file. */
export type ListenerSettings =
  | OfType<'tcp'>
  | OfType<'ws'>
  | (OfType<'tls'> & TlsSettings)
  | (OfType<'wss'> & TlsSettings)
  | (OfType<'auto'> & Partial<TlsSettings>)
  /** `mode`: octal digits. */
  | (OfType<'unix'> & { mode?: string });

export const durabilities = ['fsync', 'os', 'memory'] as const satisfies readonly Durability[];

/** Where sessions, retained messages and what was acknowledged are kept, and what they outlive. */
export type DataSettings =
  | { readonly durability: 'memory' }
  | { readonly durability: Exclude<Durability, 'memory'>; readonly directory: string; readonly bytesMax: number };

export interface Configuration {
  readonly data: DataSettings;
  readonly listeners: readonly ListenerSettings[];
  /** Listen beyond this machine although nobody is asked who they are. */
  readonly allowAnonymous: boolean;
  /** Absent: everything is allowed. */
  readonly permissions?: readonly Rule[];
  readonly limits: Limits;
  readonly sys: { readonly intervalSeconds: number | false };
  readonly strictText: boolean;
  readonly queueQos0: boolean;
  readonly queueOverflow: QueueOverflow;
  readonly logLevel: LogLevel;
}

/** What is wrong with a configuration: one sentence a problem, each beginning with where it is. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** The directory is that of the process, wherever its configuration lies: so it is absolute from the start. */
export const defaultData = { durability: 'fsync', directory: resolve('pipit-data'), bytesMax: 64 * 2 ** 30 } as const;

export const defaultConfiguration: Configuration = {
  data: defaultData,
  listeners: [
    { type: 'tcp', host: defaultHost, port: 1883 },
    { type: 'ws', host: defaultHost, port: 8083 },
  ],
  allowAnonymous: false,
  limits: defaultLimits,
  sys: { intervalSeconds: 10 },
  strictText: false,
  queueQos0: false,
  queueOverflow: 'drop-newest',
  logLevel: 'info',
};
