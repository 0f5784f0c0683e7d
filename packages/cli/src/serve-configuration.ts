/** The configuration that the command line of `serve` makes together with the file. */

import { resolve } from 'node:path';
import type { Configuration, DataSettings, ListenerSettings } from '@pipit/broker';
import { usageError } from './command-error.ts';
import type { ServeArguments } from './serve-options.ts';

type KeptData = Exclude<DataSettings, { durability: 'memory' }>;

/**
 * The file's configuration with what the command line says instead; `defaultData`: what holds where nobody says anything.
 * Throws CommandError for options that do not go together.
 */
export function withArguments(
  configuration: Configuration,
  options: ServeArguments,
  defaultData: KeptData,
): Configuration {
  if (options.daemon === true) throw usageError('-d: it stays in the foreground; let the service manager start it.');
  const listeners = listenersOf(options);
  const asked = options.logLevel ?? (options.verbose === true ? 'debug' : undefined);
  const { logFormat = configuration.logFormat } = options;
  return {
    ...configuration,
    data: dataOf(configuration.data, options, defaultData),
    ...(options.admin !== undefined && { admin: { ...configuration.admin, ...options.admin } }),
    listeners: listeners.length > 0 ? listeners : configuration.listeners,
    allowAnonymous: options.allowAnonymous ?? configuration.allowAnonymous,
    logLevel: asked ?? configuration.logLevel,
    // Who asks for a level on the command line means all of the log.
    logLevels: asked === undefined ? configuration.logLevels : {},
    logFormat,
  };
}

/** Whoever names a directory means it to be used: over a file that keeps nothing that is the full durability. */
function dataOf(
  configured: DataSettings,
  { data, durability, memory }: ServeArguments,
  defaultData: KeptData,
): DataSettings {
  if (memory === true && durability !== undefined && durability !== 'memory') {
    throw usageError(`--memory and --durability ${durability} exclude each other.`);
  }
  const isMemory = memory === true || durability === 'memory';
  if (isMemory) {
    if (data !== undefined) throw usageError('--data and --memory exclude each other.');
    return { durability: 'memory' };
  }
  if (data === '') throw usageError('--data: the directory must not be empty.');
  if (data === undefined && durability === undefined) return configured;
  const base = configured.durability === 'memory' ? defaultData : configured;
  return { ...base, durability: durability ?? base.durability, directory: resolve(data ?? base.directory) };
}

function listenersOf(options: ServeArguments): ListenerSettings[] {
  const { tcp = [], port = [], tls = [], ws = [], wss = [], auto = [], unix = [], cert, key, ca } = options;
  if ((cert === undefined) !== (key === undefined)) throw usageError('--cert and --key are given together.');
  const needsTls = tls.length + wss.length > 0;
  if (needsTls && cert === undefined) throw usageError('--tls and --wss need --cert and --key.');
  if (cert === undefined ? ca !== undefined : !needsTls && auto.length === 0) {
    throw usageError('--cert, --key and --ca are for --tls, --wss and --auto.');
  }
  const trust = ca === undefined ? {} : { ca: resolve(ca), clientCertificate: 'require' as const };
  const secure = cert === undefined || key === undefined ? null : { cert: resolve(cert), key: resolve(key), ...trust };
  return [
    ...[...tcp, ...port].map((address) => ({ type: 'tcp' as const, ...address })),
    ...(secure === null ? [] : tls.map((address) => ({ type: 'tls' as const, ...address, ...secure }))),
    ...ws.map((address) => ({ type: 'ws' as const, ...address })),
    ...(secure === null ? [] : wss.map((address) => ({ type: 'wss' as const, ...address, ...secure }))),
    ...auto.map((address) => ({ type: 'auto' as const, ...address, ...secure })),
    ...unix.map((path) => ({ type: 'unix' as const, path: resolve(path) })),
  ];
}
