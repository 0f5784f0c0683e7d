/** What every command that talks to a broker has on its command line: where the broker is, and as whom to come. Mosquitto's flags. */

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ProtocolVersion } from '@pipit/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type BrokerUrl, parseBrokerUrl } from './broker-url.ts';
import { usageError } from './command-error.ts';
import type { ClientTls, Target, TlsVersion } from './dial.ts';
import { wholeNumber } from './whole-number.ts';

export interface ConnectionArguments {
  readonly host?: string;
  readonly port?: number;
  readonly unix?: string;
  readonly url?: BrokerUrl;
  readonly bind?: string;
  readonly id?: string;
  readonly idPrefix?: string;
  readonly keepAlive: number;
  readonly username?: string;
  readonly password?: string;
  readonly passwordFile?: string;
  readonly protocolVersion: ProtocolVersion;
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

/** For commands that say themselves what becomes of the session. */
export function addConnectionOptions(command: Command): Command {
  return addTlsOptions(addLoginOptions(addTargetOptions(command)));
}

export function addTargetOptions(command: Command): Command {
  return command
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
}

export function addLoginOptions(command: Command): Command {
  return command
    .option('-i, --id <client id>', 'the client id (default: the broker chooses one)')
    .option('-I, --id-prefix <prefix>', 'a client id of this and the process id')
    .option('-k, --keep-alive <seconds>', 'the keep alive', wholeNumber(0, 65_535), 60)
    .addOption(new Option('-u, --username <name>', 'the user name').env('PIPIT_USERNAME'))
    .addOption(new Option('-P, --password <password>', 'the password').env('PIPIT_PASSWORD'))
    .option('--password-file <file>', 'the password is the content of a file')
    .option('-V, --protocol-version <version>', 'the version of MQTT: 5, 311 or 31', parseVersion, 5);
}

export function addTlsOptions(command: Command): Command {
  return command
    .option('--cafile <file>', 'TLS: whose certificates are trusted, PEM (default: those of Node)')
    .option('--capath <folder>', 'TLS: the same, all PEM files of a folder')
    .option('--tls-use-os-certs', 'TLS: trust whom the operating system trusts')
    .option('--cert <file>', 'TLS: the certificate of this client, PEM')
    .option('--key <file>', 'TLS: its private key, PEM')
    .addOption(new Option('--keyform <form>', 'TLS: what the key is in').choices(['pem']).hideHelp())
    .option('--insecure', "TLS: take a certificate that bears another host's name")
    .addOption(
      new Option('--tls-version <version>', 'TLS: no version older than this').choices([
        'tlsv1.3',
        'tlsv1.2',
        'tlsv1.1',
      ]),
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

/** Where to connect to. Throws CommandError for options that exclude each other. */
export function targetOf(options: ConnectionArguments): Target {
  const { unix, url, bind } = options;
  const tls = tlsOf(options);
  if (unix !== undefined) {
    if ((url ?? options.host ?? options.port ?? bind) !== undefined)
      throw usageError('--unix excludes -h, -p, -A and -L.');
    if (tls !== undefined) throw usageError('there is no TLS over a Unix socket.');
    return { kind: 'unix', path: unix };
  }
  if (url?.scheme === 'ws' || url?.scheme === 'wss') {
    if (tls !== undefined && url.scheme === 'ws') throw usageError('the TLS options need wss://.');
    const from = bind === undefined ? {} : { localAddress: bind };
    return { kind: 'websocket', url: url.href, tls: tls ?? { insecure: false }, ...from };
  }
  const host = options.host ?? url?.host ?? 'localhost';
  const port = options.port ?? url?.port;
  const address = { host, ...(bind !== undefined && { localAddress: bind }) };
  if (tls === undefined && url?.scheme !== 'mqtts' && port !== tlsPort)
    return { kind: 'tcp', ...address, port: port ?? 1883 };
  return { kind: 'tls', ...address, port: port ?? tlsPort, tls: tls ?? { insecure: false } };
}

/** What the options say of TLS; undefined when they say nothing. */
function tlsOf(options: ConnectionArguments): ClientTls | undefined {
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

/** User name and password. Throws CommandError for what the version does not allow. */
export function loginOf(options: ConnectionArguments): { readonly username?: string; readonly password?: string } {
  const username = options.username ?? options.url?.username;
  const password = passwordOf(options);
  if (password !== undefined && username === undefined && options.protocolVersion !== 5) {
    throw usageError('before MQTT 5 a password needs a user name.');
  }
  return { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
}

/** '': the broker chooses one. */
export function clientIdOf({ id, idPrefix, protocolVersion }: ConnectionArguments): string {
  if (id !== undefined && idPrefix !== undefined) throw usageError('-i and -I exclude each other.');
  const given = idPrefix === undefined ? (id ?? '') : `${idPrefix}${process.pid}`;
  // MQTT 3.1 has no empty client id.
  return given === '' && protocolVersion === 3 ? `pipit-${randomBytes(8).toString('hex')}` : given;
}

function passwordOf({ password, passwordFile, url }: ConnectionArguments): string | undefined {
  if (passwordFile === undefined) return password ?? url?.password;
  try {
    return readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw usageError(`${passwordFile} cannot be read: ${(error as Error).message}.`);
  }
}
