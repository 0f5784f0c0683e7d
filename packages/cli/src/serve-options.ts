/** The command line of `serve`, and the configuration it makes together with the file. */

import { resolve } from 'node:path';
import type { Configuration, DataSettings, ListenerSettings, LogLevel } from '@pipit/broker';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { usageError } from './command-error.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ServeArguments {
  readonly config?: string;
  readonly tcp?: readonly Address[];
  readonly tls?: readonly Address[];
  readonly ws?: readonly Address[];
  readonly wss?: readonly Address[];
  readonly auto?: readonly Address[];
  readonly unix?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly data?: string;
  readonly durability?: DataSettings['durability'];
  readonly memory?: true;
  readonly allowAnonymous?: true;
  readonly logLevel?: LogLevel;
  readonly printConfig?: true;
}

const loopback = '127.0.0.1';

export function addServeOptions(command: Command): Command {
  const listener = (flag: string, what: string): Option =>
    new Option(`--${flag} <[host:]port>`, what).argParser(addAddress);
  return command
    .option('-c, --config <file>', 'the configuration, in YAML')
    .addOption(listener('tcp', 'listen for MQTT; without a host only this machine reaches it'))
    .addOption(listener('tls', 'the same with TLS'))
    .addOption(listener('ws', 'listen for MQTT over WebSocket, path /mqtt'))
    .addOption(listener('wss', 'the same with TLS'))
    .addOption(listener('auto', 'all of these on one port, told apart by their first bytes'))
    .option('--unix <path>', 'listen on a Unix socket', addPath)
    .option('--cert <file>', 'the certificate of --tls, --wss and --auto, PEM')
    .option('--key <file>', 'its private key, PEM')
    .option('--ca <file>', 'let in only clients with a certificate that this authority has signed, PEM')
    .option('--data <directory>', 'keep sessions and messages there instead of in ./pipit-data')
    .addOption(new Option('--durability <level>', 'what an acknowledgement waits for').choices(durabilities))
    .option('--memory', 'keep nothing: the same as --durability memory')
    .option('--allow-anonymous', 'listen beyond this machine although nobody is asked who they are')
    .addOption(new Option('--log-level <level>', 'what to log, on stderr').choices(levels))
    .option('--print-config', 'print the configuration that would be used, and end')
    .addHelpText('after', `\n${notes}`);
}

/** Those of the configuration, which would have to be loaded with the broker. */
const durabilities: readonly DataSettings['durability'][] = ['fsync', 'os', 'memory'];
const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

const notes = `Listeners may be given more than once; if there are any, those of the file are not opened. With none at all:
mqtt://127.0.0.1:1883 and ws://127.0.0.1:8083/mqtt.

Durability is fsync (the disk has it: what was acknowledged outlives a power cut), os (the operating system has it: it outlives
the broker) or memory (nothing is kept).

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 failed, 2 wrong usage or configuration.`;

/** `1883`, `0.0.0.0:1883`, `[::1]:1883`, `localhost:1883` */
function addAddress(text: string, before: readonly Address[] = []): readonly Address[] {
  const match = /^(?:(\[[^\]]+\]|[^:[\]]+):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535)
    throw new InvalidArgumentError('It has to be a port, or host:port, or [IPv6]:port.');
  const host = match[1]?.replace(/^\[|\]$/g, '') ?? loopback;
  return [...before, { host, port }];
}

function addPath(path: string, before: readonly string[] = []): readonly string[] {
  return [...before, path];
}

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
  const listeners = listenersOf(options);
  const { logLevel = configuration.logLevel } = options;
  return {
    ...configuration,
    data: dataOf(configuration.data, options, defaultData),
    listeners: listeners.length > 0 ? listeners : configuration.listeners,
    allowAnonymous: options.allowAnonymous ?? configuration.allowAnonymous,
    logLevel,
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
  if (data === undefined && durability === undefined) return configured;
  const base = configured.durability === 'memory' ? defaultData : configured;
  return { ...base, durability: durability ?? base.durability, directory: resolve(data ?? base.directory) };
}

function listenersOf(options: ServeArguments): ListenerSettings[] {
  const { tcp = [], tls = [], ws = [], wss = [], auto = [], unix = [], cert, key, ca } = options;
  if ((cert === undefined) !== (key === undefined)) throw usageError('--cert and --key are given together.');
  const needsTls = tls.length + wss.length > 0;
  if (needsTls && cert === undefined) throw usageError('--tls and --wss need --cert and --key.');
  if (cert === undefined ? ca !== undefined : !needsTls && auto.length === 0) {
    throw usageError('--cert, --key and --ca are for --tls, --wss and --auto.');
  }
  const trust = ca === undefined ? {} : { ca: resolve(ca), clientCertificate: 'require' as const };
  const secure = cert === undefined || key === undefined ? null : { cert: resolve(cert), key: resolve(key), ...trust };
  return [
    ...tcp.map((address) => ({ type: 'tcp' as const, ...address })),
    ...(secure === null ? [] : tls.map((address) => ({ type: 'tls' as const, ...address, ...secure }))),
    ...ws.map((address) => ({ type: 'ws' as const, ...address })),
    ...(secure === null ? [] : wss.map((address) => ({ type: 'wss' as const, ...address, ...secure }))),
    ...auto.map((address) => ({ type: 'auto' as const, ...address, ...secure })),
    ...unix.map((path) => ({ type: 'unix' as const, path: resolve(path) })),
  ];
}
