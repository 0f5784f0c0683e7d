/** What can be set in a configuration, and what holds where nothing is said. */

import { resolve } from 'node:path';
import type { Ban } from '../auth/ban-list.ts';
import type { CertificateIdentity } from '../auth/certificate.ts';
import type { HttpOptions } from '../auth/http.ts';
import type { JwtOptions } from '../auth/jwt-options.ts';
import type { Durability, Groups, Limits, QueueOverflow, Rule } from '../core/index.ts';
import { defaultLimits } from '../core/index.ts';
import type { ListenerOptions } from './listener-options.ts';
import { defaultHost } from './listener-options.ts';
import type { TlsOptions } from './tls-options.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What log lines are about: each may have a level of its own. */
export const logAreas = ['connections', 'messages', 'sessions', 'store', 'broker'] as const;
export type LogArea = (typeof logAreas)[number];

/** `auto`: readable where a person looks on, else JSON. */
export const logFormats = ['auto', 'json', 'pretty'] as const;
export type LogFormat = (typeof logFormats)[number];

/** As `TlsOptions`, with paths of PEM files only. */
export type TlsSettings = Omit<TlsOptions, 'cert' | 'key' | 'ca' | 'crl'> & {
  cert: string;
  key: string;
  ca?: string;
  crl?: string;
};

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

export type AuthenticationSettings =
  /** A password file: Pipit's, Mosquitto's, or both in one. */
  | { readonly type: 'passwords'; readonly file: string }
  | { readonly type: 'certificate'; readonly identity?: CertificateIdentity }
  | ({ readonly type: 'http' } & Pick<
      HttpOptions,
      'url' | 'headers' | 'timeoutMs' | 'cacheMs' | 'cacheEntriesMax' | 'expiresInSecondsMax'
    >)
  /** `keys`: files with public keys (PEM, JSON Web Keys); `secretFile`: one whose content is the secret of HS256, HS384, HS512. */
  | ({ readonly type: 'jwt'; readonly keys?: readonly string[]; readonly secretFile?: string } & Omit<
      JwtOptions,
      'keys' | 'cooldownMs' | 'onFailure'
    >)
  /** Who shows nothing: from this machine, and with `allowAnonymous` from everywhere. */
  | { readonly type: 'anonymous' };

/** The HTTP API. With `cert` and `key` it is HTTPS. */
export interface AdminSettings extends Partial<Pick<TlsSettings, 'cert' | 'key' | 'passphrase'>> {
  readonly host?: string;
  readonly port: number;
  /** Absent: `http-tokens` in the data directory; without one there are new tokens at each start. */
  readonly tokensFile?: string;
}

/** Users and rules. */
export interface AccessSettings {
  /** Listen beyond this machine although nobody is asked who they are. */
  readonly allowAnonymous: boolean;
  /** Who is asked who a client is, in turn. Absent: nobody, and everybody gets in as nobody in particular. Empty: nobody gets in. */
  readonly authentication?: readonly AuthenticationSettings[];
  /** Absent: everything is allowed; with `authentication`, nothing. */
  readonly permissions?: readonly Rule[];
  /** The path of an acl_file of Mosquitto's, instead of `permissions`. */
  readonly aclFile?: string;
}

export interface Configuration extends AccessSettings {
  readonly data: DataSettings;
  readonly listeners: readonly ListenerSettings[];
  /** Absent: there is no HTTP API. */
  readonly admin?: AdminSettings;
  /** Users and rules of listeners that name them, instead of those above. */
  readonly access?: Readonly<Record<string, AccessSettings>>;
  /** The members of each group that rules speak of. */
  readonly groups?: Groups;
  /** Who is kept out, whatever they show. Absent: nobody. */
  readonly banned?: readonly Ban[];
  readonly limits: Limits;
  readonly sys: { readonly intervalSeconds: number | false };
  readonly strictText: boolean;
  readonly queueQos0: boolean;
  readonly queueOverflow: QueueOverflow;
  readonly logLevel: LogLevel;
  /** Of areas that have another one. */
  readonly logLevels: { readonly [Area in LogArea]?: LogLevel };
  readonly logFormat: LogFormat;
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
  logLevels: {},
  logFormat: 'auto',
};
