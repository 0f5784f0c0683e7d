/** What `pub`, `sub` and `rpc` have in common on their command lines: whom to connect to, and as whom. Mosquitto's flags. */

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ConnectProperties, ProtocolVersion, QoS, Will } from '@pipit/protocol';
import { encodeUtf8, topicNameProblem } from '@pipit/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type BrokerUrl, parseBrokerUrl } from './broker-url.ts';
import { usageError } from './command-error.ts';
import type { ClientTls, Target, TlsVersion } from './dial.ts';
import type { ConnectionOptions } from './mqtt-connection.ts';
import { collectProperty, type PropertyArguments } from './property-options.ts';
import { wholeNumber } from './whole-number.ts';

export interface ClientArguments {
  readonly host?: string;
  readonly port?: number;
  readonly unix?: string;
  readonly url?: BrokerUrl;
  readonly bind?: string;
  readonly id?: string;
  readonly idPrefix?: string;
  readonly clean: boolean;
  readonly sessionExpiry?: number;
  readonly keepAlive: number;
  readonly username?: string;
  readonly password?: string;
  readonly passwordFile?: string;
  readonly protocolVersion: ProtocolVersion;
  readonly qos: QoS;
  readonly property?: PropertyArguments;
  readonly willTopic?: string;
  readonly willPayload?: string;
  readonly willQos?: QoS;
  readonly willRetain?: true;
  readonly debug?: true;
  readonly quiet?: true;
  readonly cafile?: string;
  readonly capath?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly insecure?: true;
  readonly tlsVersion?: TlsVersion;
  readonly tlsAlpn?: string;
  readonly tlsUseOsCerts?: true;
  readonly ciphers?: string;
  readonly psk?: string;
  readonly pskIdentity?: string;
}

const neverExpires = 0xffff_ffff;
const tlsPort = 8883;

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
  const withTarget = command
    .option('-h, --host <host>', 'the broker (default: localhost)')
    .option('-p, --port <port>', 'its port (default: 1883, with TLS 8883; 8883 means TLS)', wholeNumber(1, 65_535))
    .option('--unix <path>', 'a Unix socket instead of host and port')
    .option(
      '-L, --url <url>',
      'mqtt[s]://[user[:password]@]host[:port][/topic] or ws[s]://host[:port][/path]',
      parseBrokerUrl,
    )
    .option('-A, --bind <address>', 'the address of this machine to connect from')
    .addOption(new Option('--nodelay', 'send small packets at once, which is what is always done').hideHelp());
  return addTlsOptions(addWillOptions(addSessionOptions(withTarget)));
}

function addSessionOptions(command: Command): Command {
  return command
    .option('-i, --id <client id>', 'the client id (default: the broker chooses one)')
    .option('-I, --id-prefix <prefix>', 'a client id of this and the process id')
    .addOption(new Option('-c, --no-clean', 'keep the session when the connection ends; needs -i'))
    .option(
      '-x, --session-expiry <seconds>',
      'how long the session outlives the connection; -1: for ever (default: 0, with -c -1)',
      parseExpiry,
    )
    .option('-k, --keep-alive <seconds>', 'the keep alive', wholeNumber(0, 65_535), 60)
    .addOption(new Option('-u, --username <name>', 'the user name').env('PIPIT_USERNAME'))
    .addOption(new Option('-P, --password <password>', 'the password').env('PIPIT_PASSWORD'))
    .option('--password-file <file>', 'the password is the content of a file')
    .option('-q, --qos <qos>', 'the quality of service: 0, 1 or 2', wholeNumber(0, 2), 0)
    .option('-V, --protocol-version <version>', 'the version of MQTT: 5, 311 or 31', parseVersion, 5)
    .option(
      '-D, --property <command identifier value>',
      'a property of MQTT 5, such as: -D publish content-type text/plain, or -D connect user-property name value',
      collectProperty,
    )
    .option('-d, --debug', 'tell every packet on stderr')
    .option('--quiet', 'say nothing on stderr when it fails');
}

function addWillOptions(command: Command): Command {
  return command
    .option('--will-topic <topic>', 'the topic of the will, which the broker publishes when the connection is lost')
    .option('--will-payload <text>', 'its message (default: empty)')
    .option('--will-qos <qos>', 'its quality of service', wholeNumber(0, 2))
    .option('--will-retain', 'the broker keeps it for later subscribers');
}

function addTlsOptions(command: Command): Command {
  return command
    .option('--cafile <file>', 'TLS: whose certificates are trusted, PEM (default: those of Node)')
    .option('--capath <folder>', 'TLS: the same, all PEM files of a folder')
    .option('--tls-use-os-certs', 'TLS: trust whom the operating system trusts')
    .option('--cert <file>', 'TLS: the certificate of this client, PEM')
    .option('--key <file>', 'TLS: its private key, PEM')
    .option('--insecure', "TLS: take a certificate that bears another host's name")
    .addOption(
      new Option('--tls-version <version>', 'TLS: this version only').choices(['tlsv1.3', 'tlsv1.2', 'tlsv1.1']),
    )
    .option('--tls-alpn <protocol>', 'TLS: the protocol to ask for')
    .option('--ciphers <list>', 'TLS: the ciphers to offer, in the words of OpenSSL')
    .option('--psk <hex>', 'TLS: a key shared with the broker instead of certificates')
    .option('--psk-identity <name>', 'TLS: whose key it is');
}

function parseVersion(text: string): ProtocolVersion {
  const version = versions[text.toLowerCase()];
  if (version === undefined)
    throw new InvalidArgumentError('It has to be 5, 311 or 31 (or mqttv5, mqttv311, mqttv31).');
  return version;
}

function parseExpiry(text: string): number {
  return text === '-1' || text === '∞' ? neverExpires : wholeNumber(0, neverExpires)(text);
}

/** Where to connect to. Throws CommandError for options that exclude each other. */
export function targetOf(options: ClientArguments): Target {
  const { unix, url, bind } = options;
  const tls = tlsOf(options);
  if (unix !== undefined) {
    if ((url ?? options.host ?? options.port ?? bind) !== undefined)
      throw usageError('--unix excludes -h, -p, -A and -L.');
    if (tls !== undefined) throw usageError('there is no TLS over a Unix socket.');
    return { kind: 'unix', path: unix };
  }
  if (url?.scheme === 'ws' || url?.scheme === 'wss') {
    if (tls !== undefined || bind !== undefined)
      throw usageError('the TLS options and -A do not work with a WebSocket.');
    return { kind: 'websocket', url: url.href };
  }
  const host = options.host ?? url?.host ?? 'localhost';
  const port = options.port ?? url?.port;
  const address = { host, ...(bind !== undefined && { localAddress: bind }) };
  if (tls === undefined && url?.scheme !== 'mqtts' && port !== tlsPort)
    return { kind: 'tcp', ...address, port: port ?? 1883 };
  return { kind: 'tls', ...address, port: port ?? tlsPort, tls: tls ?? { insecure: false } };
}

/** What the options say of TLS; undefined when they say nothing. */
function tlsOf(options: ClientArguments): ClientTls | undefined {
  const { cafile, capath, cert, key, tlsVersion, tlsAlpn, ciphers, psk, pskIdentity } = options;
  const { insecure = false, tlsUseOsCerts = false } = options;
  if ((cert === undefined) !== (key === undefined)) throw usageError('--cert and --key are given together.');
  if ((psk === undefined) !== (pskIdentity === undefined)) {
    throw usageError('--psk and --psk-identity are given together.');
  }
  if (psk !== undefined && (cafile ?? capath ?? cert) !== undefined) throw usageError('--psk excludes certificates.');
  if (psk !== undefined && !/^([0-9a-f]{2})+$/i.test(psk)) throw usageError('--psk has to be hexadecimal.');
  const texts = cafile ?? capath ?? cert ?? tlsVersion ?? tlsAlpn ?? ciphers ?? psk;
  if (texts === undefined && !insecure && !tlsUseOsCerts) return undefined;
  return {
    insecure,
    ...(tlsUseOsCerts && { trustsSystem: true }),
    ...(cafile !== undefined && { caFile: cafile }),
    ...(capath !== undefined && { caFolder: capath }),
    ...(cert !== undefined && { certFile: cert }),
    ...(key !== undefined && { keyFile: key }),
    ...(tlsVersion !== undefined && { version: tlsVersion }),
    ...(tlsAlpn !== undefined && { alpn: tlsAlpn }),
    ...(ciphers !== undefined && { ciphers }),
    ...(psk !== undefined && { psk: { key: Buffer.from(psk, 'hex'), identity: pskIdentity as string } }),
  };
}

/** As whom to connect. Throws CommandError for what the version does not allow. */
export function connectionOptions(options: ClientArguments): ConnectionOptions {
  const { clean, keepAlive, protocolVersion, url, property = {} } = options;
  if (protocolVersion !== 5 && Object.keys(property).length > 0) throw usageError('-D needs MQTT 5.');
  const username = options.username ?? url?.username;
  const password = passwordOf(options);
  if (password !== undefined && username === undefined && protocolVersion !== 5) {
    throw usageError('before MQTT 5 a password needs a user name.');
  }
  const properties = connectProperties(options);
  const will = willOf(options);
  return {
    version: protocolVersion,
    clientId: clientIdOf(options),
    cleanStart: clean,
    keepAliveSeconds: keepAlive,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: encodeUtf8(password) }),
    ...(will !== undefined && { will }),
    ...(Object.keys(properties).length > 0 && { properties }),
    ...(property.disconnect !== undefined && { disconnectProperties: property.disconnect }),
  };
}

function clientIdOf({ id, idPrefix, clean, protocolVersion }: ClientArguments): string {
  if (id !== undefined && idPrefix !== undefined) throw usageError('-i and -I exclude each other.');
  const given = idPrefix === undefined ? (id ?? '') : `${idPrefix}${process.pid}`;
  if (!clean && given === '') throw usageError('-c needs a client id (-i).');
  // MQTT 3.1 has no empty client id.
  return given === '' && protocolVersion === 3 ? `pipit-${randomBytes(8).toString('hex')}` : given;
}

function passwordOf({ password, passwordFile, url }: ClientArguments): string | undefined {
  if (passwordFile === undefined) return password ?? url?.password;
  try {
    return readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw usageError(`${passwordFile} cannot be read: ${(error as Error).message}.`);
  }
}

function connectProperties({
  protocolVersion,
  clean,
  sessionExpiry,
  property = {},
}: ClientArguments): ConnectProperties {
  if (sessionExpiry !== undefined && protocolVersion !== 5) throw usageError('-x needs MQTT 5.');
  const sessionExpiryInterval = sessionExpiry ?? (clean || protocolVersion !== 5 ? undefined : neverExpires);
  return { ...(sessionExpiryInterval !== undefined && { sessionExpiryInterval }), ...property.connect };
}

function willOf(options: ClientArguments): Will | undefined {
  const { willTopic: topic, willPayload, willQos, willRetain, property } = options;
  if (topic === undefined) {
    if ((willPayload ?? willQos ?? willRetain ?? property?.will) === undefined) return undefined;
    throw usageError('a will needs a topic (--will-topic).');
  }
  const problem = topicNameProblem(topic);
  if (problem !== undefined) throw usageError(`--will-topic: ${problem}.`);
  return {
    topic,
    payload: encodeUtf8(willPayload ?? ''),
    qos: willQos ?? 0,
    retain: willRetain === true,
    ...(property?.will !== undefined && { properties: property.will }),
  };
}
