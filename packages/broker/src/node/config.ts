/**
 * The configuration of a broker that runs as a program, and what it means for `createBroker`.
 *
 * The settings themselves are config-settings.ts, their rules config-schema.ts; reading and printing YAML is config-file.ts,
 * which loads what an embedded broker has no use for and is therefore only imported when it is needed.
 */

import { join } from 'node:path';
import { Access, type AccessPlan } from '../auth/access.ts';
import { planAccess } from './access.ts';
import type { BrokerOptions } from './broker.ts';
import type { Configuration, ListenerSettings } from './config-settings.ts';
import { ConfigurationError } from './config-settings.ts';
import { isBehindProxy, isLoopbackHost } from './handshake-rules.ts';
import { ListenError } from './listen-error.ts';
import type { ListenerOptions } from './listener-options.ts';
import { defaultHost, listenerUrl } from './listener-options.ts';
import type { LogStore, StoreOptions } from './log-store.ts';
import { openStore } from './log-store.ts';
import type { ReloadOptions } from './reload.ts';
import type { TlsOptions } from './tls-options.ts';
import { secureContextOptions } from './tls-options.ts';

/**
 * Reads a YAML file, or Mosquitto's own when the name ends in `.conf`; paths in it are relative to its folder. Rejects with a
 * ConfigurationError that has every problem of it.
 */
export async function readConfiguration(path: string): Promise<Configuration> {
  if (isMosquittoConf(path)) {
    const { readMosquittoConf } = await import('./mosquitto-conf.ts');
    return readMosquittoConf(path).configuration;
  }
  const { readConfigurationFile } = await import('./config-file.ts');
  return readConfigurationFile(path);
}

/** What a configuration of Mosquitto's says that is not taken over, a sentence each; of YAML, nothing. Rejects as `readConfiguration`. */
export async function notTakenOver(path: string): Promise<readonly string[]> {
  if (!isMosquittoConf(path)) return [];
  const { readMosquittoConf } = await import('./mosquitto-conf.ts');
  return readMosquittoConf(path).ignored;
}

function isMosquittoConf(path: string): boolean {
  return path.endsWith('.conf');
}

/** As YAML that reads back the same, but for secrets, which it leaves out. */
export async function formatConfiguration(configuration: Configuration): Promise<string> {
  const { configurationYaml } = await import('./config-file.ts');
  return configurationYaml(configuration);
}

/** The configuration for people to look at, without secrets. */
export async function shownConfiguration(configuration: Configuration): Promise<object> {
  const { withoutSecrets } = await import('./config-file.ts');
  return withoutSecrets(configuration);
}

/** What `openAdmin` takes of the configuration; null: there is no HTTP API. Throws a ConfigurationError. */
export function configuredAdmin({ admin, data }: Configuration): ConfiguredAdmin | null {
  if (admin === undefined) return null;
  const { host, port, cert, key, passphrase, tokensFile } = admin;
  const ownFile = data.durability === 'memory' ? null : join(data.directory, 'http-tokens');
  const address = { port, tokensFile: tokensFile ?? ownFile, ...(host !== undefined && { host }) };
  if (cert === undefined || key === undefined) return address;
  const tls = { cert, key, ...(passphrase !== undefined && { passphrase }) };
  const problem = tlsProblem(tls);
  if (problem !== undefined) throw new ConfigurationError([`admin: ${problem}`]);
  return { ...address, tls };
}

interface ConfiguredAdmin {
  readonly host?: string;
  readonly port: number;
  readonly tokensFile: string | null;
  readonly tls?: TlsOptions;
}

/** In the data directory. */
const bansFileName = 'bans.json';

/** What `createBroker` takes. Throws a ConfigurationError for what can only be seen on this machine (see `listenerProblems`). */
export function brokerOptions(configuration: Configuration): BrokerOptions {
  const { intervalSeconds } = configuration.sys;
  const { access, ...options } = reloadOptions(configuration);
  const sysIntervalMs = intervalSeconds === false ? null : intervalSeconds * 1000;
  const { data } = configuration;
  const bansFile = data.durability === 'memory' ? {} : { bansFile: join(data.directory, bansFileName) };
  return { ...options, ...bansFile, sysIntervalMs, access: new Access(access) };
}

/** What `Broker.reload` takes. Reads all files that are named. Throws a ConfigurationError, as `brokerOptions`. */
export function reloadOptions(configuration: Configuration): ReloadOptions & { access: AccessPlan } {
  const { banned, limits, strictText, queueQos0, queueOverflow } = configuration;
  const problems = listenerProblems(configuration);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return {
    listeners: configuration.listeners.map(listenerOptions),
    limits,
    strictText,
    queueQos0,
    queueOverflow,
    access: planAccess(configuration),
    banned: banned ?? [],
  };
}

/** The store that the configuration asks for, not yet opened; null: there is none. `told` is what else `openStore` takes. */
export function configuredStore(
  { data }: Configuration,
  told: Pick<StoreOptions, 'onReport' | 'onDamage'>,
): LogStore | null {
  if (data.durability === 'memory') return null;
  const { directory, durability, bytesMax } = data;
  return openStore(directory, { durability, storeBytesMax: bytesMax, ...told });
}

/** Certificates that cannot be used, and listeners that would let in whoever finds them. */
function listenerProblems(configuration: Configuration): string[] {
  const { listeners, access = {} } = configuration;
  const options = listeners.map(listenerOptions);
  const problems = options.flatMap((listener, index) => {
    const problem = 'tls' in listener && listener.tls !== undefined ? tlsProblem(listener.tls) : undefined;
    return problem === undefined ? [] : [`listeners[${index}]: ${problem}`];
  });
  const open = options.filter((listener) => {
    const { allowAnonymous, authentication } = access[listener.access ?? ''] ?? configuration;
    return !allowAnonymous && authentication === undefined && !isGuarded(listener);
  });
  if (open.length > 0) {
    const urls = open.map((listener) => listenerUrl(listener, null)).join(', ');
    problems.push(
      `Other machines could reach ${urls}, and nobody is asked who they are: if that is meant, say so with --allow-anonymous (or allowAnonymous: true).`,
    );
  }
  return problems;
}

function tlsProblem(tls: TlsOptions): string | undefined {
  try {
    secureContextOptions(tls);
    return undefined;
  } catch (error) {
    if (error instanceof ListenError) return error.message;
    throw error;
  }
}

/** Only this machine reaches it, or only holders of a certificate that an authority named here has signed get in. */
function isGuarded(listener: ListenerOptions): boolean {
  if (listener.type === 'unix') return true;
  if (isLoopbackHost(listener.host ?? defaultHost) && !isBehindProxy(listener)) return true;
  if (listener.type === 'auto' || !('tls' in listener)) return false;
  return listener.tls.clientCertificate === 'require' && listener.tls.ca !== undefined;
}

function listenerOptions(settings: ListenerSettings): ListenerOptions {
  if (settings.type === 'unix') {
    const { mode, ...rest } = settings;
    return { ...rest, ...(mode !== undefined && { mode: Number.parseInt(mode, 8) }) };
  }
  if (settings.type === 'tcp' || settings.type === 'ws') return settings;
  const { cert, key, passphrase, ca, crl, clientCertificate, minVersion, ciphers, ...rest } = settings;
  if (cert === undefined || key === undefined) return rest as ListenerOptions;
  const tls: TlsOptions = {
    cert,
    key,
    ...(passphrase !== undefined && { passphrase }),
    ...(ca !== undefined && { ca }),
    ...(crl !== undefined && { crl }),
    ...(clientCertificate !== undefined && { clientCertificate }),
    ...(minVersion !== undefined && { minVersion }),
    ...(ciphers !== undefined && { ciphers }),
  };
  return { ...rest, tls };
}
