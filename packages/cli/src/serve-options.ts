/** The command line of `serve`. */

import type { DataSettings, LogFormat, LogLevel } from '@pipit/broker';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Done } from './commands.ts';
import { version } from './version.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ServeArguments {
  readonly config?: string;
  readonly tcp?: readonly Address[];
  /** The next three are Mosquitto's. */
  readonly port?: readonly Address[];
  readonly verbose?: true;
  readonly daemon?: true;
  readonly tls?: readonly Address[];
  readonly ws?: readonly Address[];
  readonly wss?: readonly Address[];
  readonly auto?: readonly Address[];
  readonly unix?: readonly string[];
  readonly admin?: Address;
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly data?: string;
  readonly durability?: DataSettings['durability'];
  readonly memory?: true;
  readonly allowAnonymous?: true;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
  readonly printConfig?: true;
}

const loopback = '127.0.0.1';

export function define(command: Command, done: Done): void {
  const listener = (flag: string, what: string): Option =>
    new Option(`--${flag} <[host:]port>`, what).argParser(addAddress);
  command
    .option('-c, --config <file>', "the configuration, in YAML, or Mosquitto's own (*.conf)")
    .addOption(listener('tcp', 'listen for MQTT; without a host only this machine reaches it'))
    .addOption(listener('tls', 'the same with TLS'))
    .addOption(listener('ws', 'listen for MQTT over WebSocket, path /mqtt'))
    .addOption(listener('wss', 'the same with TLS'))
    .addOption(listener('auto', 'all of these on one port, told apart by their first bytes'))
    .option('--unix <path>', 'listen on a Unix socket', addPath)
    .addOption(
      new Option('--admin <[host:]port>', 'serve the HTTP API; without a host only this machine reaches it').argParser(
        oneAddress,
      ),
    )
    .addOption(new Option('-p, --port <port>', 'the same as --tcp').argParser(addAddress))
    .option('-v, --verbose', 'the same as --log-level debug')
    .addOption(new Option('-d, --daemon').hideHelp())
    .option('--cert <file>', 'the certificate of --tls, --wss and --auto, PEM')
    .option('--key <file>', 'its private key, PEM')
    .option('--ca <file>', 'let in only clients with a certificate that this authority has signed, PEM')
    .option('--data <directory>', 'keep sessions and messages there instead of in ./pipit-data')
    .addOption(new Option('--durability <level>', 'what an acknowledgement waits for').choices(durabilities))
    .option('--memory', 'keep nothing: the same as --durability memory')
    .option('--allow-anonymous', 'listen beyond this machine although nobody is asked who they are')
    .addOption(new Option('--log-level <level>', 'what to log, on stderr').choices(levels))
    .addOption(new Option('--log-format <format>', 'how').choices(formats))
    .option('--print-config', 'print the configuration that would be used, and end')
    .addHelpText('after', `\n${notes}`)
    .action(async (options: ServeArguments) => {
      const { serve } = await import('./serve.ts');
      done(await serve(options, version()));
    });
}

/** Those of the configuration, which would have to be loaded with the broker. */
const durabilities: readonly DataSettings['durability'][] = ['fsync', 'os', 'memory'];
const formats: readonly LogFormat[] = ['auto', 'json', 'pretty'];
const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

const notes = `Listeners may be given more than once; if there are any, those of the file are not opened. With none at all:
mqtt://127.0.0.1:1883 and ws://127.0.0.1:8083/mqtt.

Durability is fsync (the disk has it: what was acknowledged outlives a power cut), os (the operating system has it: it outlives
the broker) or memory (nothing is kept).

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 failed, 2 wrong usage or configuration.

Examples:
  pipit serve
  pipit serve --tcp 1883 --ws 8083 --memory
  pipit serve --tls 0.0.0.0:8883 --cert server.pem --key server-key.pem --config pipit.yaml`;

/** `1883`, `0.0.0.0:1883`, `[::1]:1883`, `localhost:1883` */
function addAddress(text: string, before: readonly Address[] = []): readonly Address[] {
  return [...before, oneAddress(text)];
}

function oneAddress(text: string): Address {
  const match = /^(?:(\[[^\]]+\]|[^:[\]]+):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535)
    throw new InvalidArgumentError('It has to be a port, or host:port, or [IPv6]:port.');
  const host = match[1]?.replace(/^\[|\]$/g, '') ?? loopback;
  return { host, port };
}

function addPath(path: string, before: readonly string[] = []): readonly string[] {
  return [...before, path];
}
