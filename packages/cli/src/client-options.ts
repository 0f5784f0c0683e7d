/** What `pub` and `sub` have in common on their command lines: whom to connect to, and as whom. Mosquitto's flags. */

import { randomBytes } from 'node:crypto';
import type { ProtocolVersion, QoS } from '@pipit/protocol';
import { encodeUtf8 } from '@pipit/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { usageError } from './command-error.ts';
import type { ClientTls, Target } from './dial.ts';
import type { ConnectionOptions } from './mqtt-connection.ts';

export interface ClientArguments {
  readonly host?: string;
  readonly port?: number;
  readonly unix?: string;
  readonly url?: BrokerUrl;
  readonly id?: string;
  readonly clean: boolean;
  readonly keepAlive: number;
  readonly username?: string;
  readonly password?: string;
  readonly protocolVersion: ProtocolVersion;
  readonly qos: QoS;
  readonly debug?: true;
  readonly cafile?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly insecure?: true;
}

/** The parts of `-L`; the topic is '' for a WebSocket, where the path is the path. */
export interface BrokerUrl {
  readonly scheme: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly host: string;
  readonly port: number | undefined;
  readonly topic: string;
  readonly href: string;
}

const versions: Readonly<Record<string, ProtocolVersion>> = {
  mqttv31: 3,
  '31': 3,
  '3.1': 3,
  mqttv311: 4,
  '311': 4,
  '3.1.1': 4,
  mqttv5: 5,
  '5': 5,
  '5.0': 5,
};

export function addClientOptions(command: Command): Command {
  return command
    .option('-h, --host <host>', 'the broker (default: localhost)')
    .option('-p, --port <port>', 'its port (default: 1883, with TLS 8883)', wholeNumber(1, 65_535))
    .option('--unix <path>', 'a Unix socket instead of host and port')
    .option(
      '-L, --url <url>',
      'mqtt[s]://[user[:password]@]host[:port][/topic] or ws[s]://host[:port][/path]',
      parseUrl,
    )
    .option('-i, --id <client id>', 'the client id (default: the broker chooses one)')
    .addOption(new Option('-c, --no-clean', 'keep the session when the connection ends; needs -i'))
    .option('-k, --keep-alive <seconds>', 'the keep alive', wholeNumber(0, 65_535), 60)
    .option('-u, --username <name>', 'the user name')
    .option('-P, --password <password>', 'the password')
    .option('-q, --qos <qos>', 'the quality of service: 0, 1 or 2', wholeNumber(0, 2), 0)
    .option('-V, --protocol-version <version>', 'the version of MQTT: 5, 311 or 31', parseVersion, 5)
    .option('-d, --debug', 'tell every packet on stderr')
    .option('--cafile <file>', 'TLS: whose certificates are trusted, PEM (default: those of Node)')
    .option('--cert <file>', 'TLS: the certificate of this client, PEM')
    .option('--key <file>', 'TLS: its private key, PEM')
    .option('--insecure', "TLS: take a certificate that bears another host's name");
}

/** Parser of an option that is a whole number. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It has to be a whole number from ${min} to ${max}.`);
  };
}

function parseVersion(text: string): ProtocolVersion {
  const version = versions[text.toLowerCase()];
  if (version === undefined)
    throw new InvalidArgumentError('It has to be 5, 311 or 31 (or mqttv5, mqttv311, mqttv31).');
  return version;
}

// Not the URL class: in a topic, `#` and `?` mean something else.
const urlForm = /^(mqtts?|wss?):\/\/(?:([^:@/]*)(?::([^@/]*))?@)?(\[[^\]]+\]|[^:/[\]]+)(?::(\d{1,5}))?(?:\/(.*))?$/s;

function parseUrl(href: string): BrokerUrl {
  const match = urlForm.exec(href);
  if (match === null) throw new InvalidArgumentError('It has to look like mqtt://user:password@host:port/topic.');
  const [, scheme, username, password, host = '', port, path = ''] = match;
  const isWebSocket = scheme === 'ws' || scheme === 'wss';
  return {
    scheme: scheme as BrokerUrl['scheme'],
    username: decoded(username),
    password: decoded(password),
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? undefined : wholeNumber(1, 65_535)(port),
    topic: isWebSocket ? '' : path,
    href: `${scheme}://${host}${port === undefined ? '' : `:${port}`}/${path === '' ? 'mqtt' : path}`,
  };
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    throw new InvalidArgumentError('A % in the user name or password has to be written %25.');
  }
}

/** Where to connect to. Throws CommandError for options that exclude each other. */
export function targetOf(options: ClientArguments): Target {
  const { unix, url, cafile, cert, key, insecure = false } = options;
  if (unix !== undefined && (url ?? options.host ?? options.port) !== undefined) {
    throw usageError('--unix excludes -h, -p and -L.');
  }
  if ((cert === undefined) !== (key === undefined)) throw usageError('--cert and --key are given together.');
  const hasTlsOptions = (cafile ?? cert) !== undefined || insecure;
  if (unix !== undefined) {
    if (hasTlsOptions) throw usageError('there is no TLS over a Unix socket.');
    return { kind: 'unix', path: unix };
  }
  if (url?.scheme === 'ws' || url?.scheme === 'wss') {
    if (hasTlsOptions) throw usageError('--cafile, --cert, --key and --insecure do not work with a WebSocket.');
    return { kind: 'websocket', url: url.href };
  }
  const host = options.host ?? url?.host ?? 'localhost';
  const port = options.port ?? url?.port;
  if (!hasTlsOptions && url?.scheme !== 'mqtts') return { kind: 'tcp', host, port: port ?? 1883 };
  const tls: ClientTls = {
    insecure,
    ...(cafile !== undefined && { caFile: cafile }),
    ...(cert !== undefined && { certFile: cert }),
    ...(key !== undefined && { keyFile: key }),
  };
  return { kind: 'tls', host, port: port ?? 8883, tls };
}

/** As whom to connect. Throws CommandError for what the version does not allow. */
export function connectionOptions(options: ClientArguments): ConnectionOptions {
  const { id = '', clean, keepAlive, protocolVersion, url } = options;
  if (!clean && id === '') throw usageError('-c needs a client id (-i).');
  const username = options.username ?? url?.username;
  const password = options.password ?? url?.password;
  if (password !== undefined && username === undefined && protocolVersion !== 5) {
    throw usageError('before MQTT 5 a password needs a user name.');
  }
  // MQTT 3.1 has no empty client id.
  const clientId = id === '' && protocolVersion === 3 ? `pipit-${randomBytes(8).toString('hex')}` : id;
  return {
    version: protocolVersion,
    clientId,
    cleanStart: clean,
    keepAliveSeconds: keepAlive,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: encodeUtf8(password) }),
  };
}
