/**
 * A mosquitto.conf as a configuration: what it says of listeners, TLS, users, rights, persistence and limits is applied, all else is
 * named. What guards access there and would not here is a problem: the broker must not start more open than it was.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Limits } from '../core/index.ts';
import { limitRanges } from './config-schema.ts';
import {
  type AuthenticationSettings,
  type Configuration,
  ConfigurationError,
  defaultConfiguration,
  type ListenerSettings,
  type LogLevel,
} from './config-settings.ts';

export interface MosquittoConfiguration {
  readonly configuration: Configuration;
  /** What is not taken over, a sentence each, beginning with where it stands. */
  readonly ignored: readonly string[];
}

interface Line {
  readonly place: string;
  readonly name: string;
  readonly value: string;
}

/** What holds for one listener there. */
interface Listening {
  readonly place: string;
  readonly port: number;
  readonly address: string | undefined;
  readonly options: Map<string, Line>;
}

/** Settings of a listener; before the first `listener` they are about the default one. */
const listenerOptions = new Set(
  'protocol certfile keyfile cafile crlfile ciphers tls_version require_certificate use_identity_as_username max_connections'.split(
    ' ',
  ),
);
/** With `per_listener_settings` these belong to a listener, too. */
const accessOptions = new Set(['allow_anonymous', 'password_file', 'acl_file']);
/** They decide who gets in, or what one may do, in ways that are not Pipit's. */
const guards = new Set(
  (
    'plugin auth_plugin global_plugin plugin_load plugin_use psk_file psk_hint use_subject_as_username use_username_as_clientid ' +
    'clientid_prefixes mount_point capath bind_interface enable_control_api accept_protocol_versions'
  ).split(' '),
);
/** What is so here anyway, or is somebody else's work. */
const unneeded = new Set(
  (
    'set_tcp_nodelay allow_duplicate_messages autosave_interval autosave_on_changes persistence_file retry_interval store_clean_interval ' +
    'connection_messages log_timestamp log_timestamp_format upgrade_outgoing_qos websockets_headers_size'
  ).split(' '),
);
/** Known there, and not taken over. */
const named = new Set(
  (
    'user pid_file log_dest log_facility websockets_log_level memory_limit message_size_limit max_inflight_bytes maximum_qos retain_available ' +
    'retain_expiry_interval check_retain_source allow_zero_length_clientid auto_id_prefix http_dir socket_domain dhparamfile tls_engine ' +
    'tls_engine_kpass_sha1 tls_keyform ciphers_tls1.3 websockets_origin max_topic_alias max_topic_alias_broker packet_buffer_size ' +
    'global_max_clients disable_client_cert_date_checks'
  ).split(' '),
);

type Convert = (value: string) => Partial<Configuration> | Partial<Limits> | null;
const unlimited = Number.POSITIVE_INFINITY;

const limitOptions: Readonly<Record<string, (value: string) => Partial<Limits> | null>> = {
  max_inflight_messages: numeric((value) => ({ sendMaximum: value || unlimited })),
  max_queued_messages: numeric((value) => ({ queueMessagesMax: value || unlimited })),
  max_queued_bytes: numeric((value) => ({ queueBytesMax: value || unlimited })),
  max_packet_size: numeric((value) => ({ packetBytesMax: value || unlimited })),
  max_keepalive: numeric((value) => ({ serverKeepAliveMax: value || unlimited })),
  global_max_connections: numeric((value) => ({ connectionsMax: value < 0 ? unlimited : value })),
  persistent_client_expiration: (value) => {
    const [, count = '', unit = ''] = /^(\d+)([hdwmy])$/.exec(value) ?? [];
    const seconds = { h: 3600, d: 86_400, w: 604_800, m: 2_592_000, y: 31_536_000 }[unit];
    return seconds === undefined ? null : { sessionExpiryMax: Number(count) * seconds };
  },
};

const otherOptions: Readonly<Record<string, Convert>> = {
  queue_qos0_messages: flag((queueQos0) => ({ queueQos0 })),
  sys_interval: numeric((seconds) => ({ sys: { intervalSeconds: seconds === 0 ? false : Math.min(seconds, 86_400) } })),
};

const logLevels: Readonly<Record<string, LogLevel>> = {
  error: 'error',
  warning: 'warn',
  notice: 'info',
  information: 'info',
  subscribe: 'debug',
  unsubscribe: 'debug',
  websockets: 'debug',
  debug: 'debug',
  all: 'debug',
  none: 'silent',
};
const levelOrder: readonly LogLevel[] = ['silent', 'error', 'warn', 'info', 'debug'];

/** Reads the file and what it includes. Throws a ConfigurationError with every problem. */
export function readMosquittoConf(path: string): MosquittoConfiguration {
  return new Conversion(linesOf(path), dirname(path)).result();
}

class Conversion {
  readonly #folder: string;
  readonly #problems: string[] = [];
  readonly #ignored: string[] = [];
  readonly #limits: Partial<Limits> = {};
  #others: Partial<Configuration> = {};
  /** The last value of each option that is not of a listener. */
  readonly #general = new Map<string, Line>();
  readonly #listeners: Listening[] = [];
  #logLevel: LogLevel | null = null;
  readonly #isPerListener: boolean;

  constructor(lines: readonly Line[], folder: string) {
    this.#folder = folder;
    this.#isPerListener = lines.some(({ name, value }) => name === 'per_listener_settings' && value === 'true');
    let bridge: string | null = null;
    for (const line of lines) {
      if (line.name === 'connection') {
        bridge = line.value;
        this.#ignored.push(`${line.place}: the bridge ${line.value}: there are no bridges`);
      } else if (line.name === 'listener') {
        bridge = null;
        this.#listen(line);
      } else if (bridge === null) this.#take(line);
    }
  }

  result(): MosquittoConfiguration {
    const isDefault = this.#listeners.length === 0;
    const listeners = isDefault ? this.#defaultListener() : this.#listeners.map((each) => this.#listener(each));
    const access = this.#access(isDefault && !this.#general.has('port'));
    const data = this.#data();
    if (this.#problems.length > 0) throw new ConfigurationError(this.#problems);
    const limits = { ...defaultConfiguration.limits, ...this.#limits };
    const logLevel = this.#logLevel ?? defaultConfiguration.logLevel;
    const configuration = { ...defaultConfiguration, ...this.#others, ...access, data, limits, listeners, logLevel };
    return { configuration, ignored: this.#ignored };
  }

  #listen({ place, value }: Line): void {
    const [port = '', address] = value.split(/\s+/);
    if (!/^\d{1,5}$/.test(port)) this.#problems.push(`${place}: listener needs a port`);
    this.#listeners.push({ place, port: Number(port), address, options: new Map() });
  }

  #take(line: Line): void {
    const { place, name, value } = line;
    const listening = this.#listeners.at(-1);
    const limit = limitOptions[name];
    const other = otherOptions[name];
    if (guards.has(name)) {
      const what = `${name} ${value}`.trim();
      this.#problems.push(`${place}: ${what}: decides who gets in or what they may do, and has no counterpart here`);
    } else if (listenerOptions.has(name) || (this.#isPerListener && accessOptions.has(name))) {
      if (listening === undefined) this.#general.set(name, line);
      else listening.options.set(name, line);
    } else if (limit !== undefined) this.#limit(line, limit(value));
    else if (other !== undefined) {
      const found = other(value);
      if (found === null) this.#problems.push(`${place}: ${name}: ${value} is no value of it`);
      else this.#others = { ...this.#others, ...(found as Partial<Configuration>) };
    } else if (name === 'log_type') this.#log(line);
    else if (named.has(name)) this.#ignored.push(`${place}: ${name}`);
    else if (generalOptions.has(name)) this.#general.set(name, line);
    else if (!unneeded.has(name)) this.#problems.push(`${place}: ${name}: there is no such setting`);
  }

  #limit({ place, name, value }: Line, found: Partial<Limits> | null): void {
    if (found === null) {
      this.#problems.push(`${place}: ${name}: ${value} is no value of it`);
      return;
    }
    for (const [limit, wanted] of Object.entries(found) as [keyof Limits, number][]) {
      const [min, max] = limitRanges[limit];
      this.#limits[limit] = Math.min(max, Math.max(min, wanted));
    }
  }

  /** Mosquitto logs what is listed; here everything from a level on. */
  #log({ place, name, value }: Line): void {
    const level = logLevels[value];
    if (level === undefined) this.#ignored.push(`${place}: ${name} ${value}`);
    else if (levelOrder.indexOf(level) > levelOrder.indexOf(this.#logLevel ?? 'silent')) this.#logLevel = level;
    else this.#logLevel ??= level;
  }

  /** As in Mosquitto 2: without a listener only this machine. */
  #defaultListener(): ListenerSettings[] {
    const port = Number(this.#general.get('port')?.value ?? 1883);
    const address = this.#general.get('bind_address')?.value;
    const isNamed = this.#general.has('port') || address !== undefined;
    const host = address ?? (isNamed ? '::' : '127.0.0.1');
    const options = new Map([...this.#general].filter(([name]) => listenerOptions.has(name)));
    return [this.#listener({ place: 'the default listener', port, address: host, options })];
  }

  #listener({ place, port, address, options }: Listening): ListenerSettings {
    const value = (name: string): string | undefined => options.get(name)?.value;
    const path = (name: string): string => resolve(this.#folder, value(name) ?? '');
    if (port === 0) return { type: 'unix', path: resolve(this.#folder, address ?? '') };
    if (value('max_connections') !== undefined) {
      const single = this.#listeners.length < 2;
      const most = Number(value('max_connections'));
      if (single) this.#limit(options.get('max_connections') as Line, { connectionsMax: most < 0 ? unlimited : most });
      else this.#ignored.push(`${options.get('max_connections')?.place}: max_connections of one of several listeners`);
    }
    const isWebSocket = value('protocol') === 'websockets';
    const place0 = { host: address ?? '::', port };
    if (value('certfile') === undefined && value('keyfile') === undefined) {
      if (value('require_certificate') === 'true')
        this.#problems.push(`${place}: require_certificate without certfile`);
      return { type: isWebSocket ? 'ws' : 'tcp', ...place0 };
    }
    const asked = value('require_certificate') === 'true';
    return {
      type: isWebSocket ? 'wss' : 'tls',
      ...place0,
      cert: path('certfile'),
      key: path('keyfile'),
      ...(value('cafile') !== undefined && { ca: path('cafile') }),
      ...(value('crlfile') !== undefined && { crl: path('crlfile') }),
      ...(value('ciphers') !== undefined && { ciphers: value('ciphers') as string }),
      ...(value('tls_version') === 'tlsv1.3' && { minVersion: 'TLSv1.3' as const }),
      clientCertificate: asked ? 'require' : 'none',
    };
  }

  /** Who gets in and what they may do. There, who has a password may do everything unless an acl_file says otherwise. */
  #access(isLocalOnly: boolean): Partial<Configuration> {
    const value = (name: string): string | undefined => this.#shared(name);
    const allowAnonymous = (value('allow_anonymous') ?? String(isLocalOnly)) === 'true';
    const passwordFile = value('password_file');
    const aclFile = value('acl_file');
    const judges: AuthenticationSettings[] = [];
    if (this.#identity()) judges.push({ type: 'certificate', identity: 'commonName' });
    if (passwordFile !== undefined) judges.push({ type: 'passwords', file: resolve(this.#folder, passwordFile) });
    const isOpen = judges.length === 0 && allowAnonymous;
    if (!isOpen && allowAnonymous) judges.push({ type: 'anonymous' });
    return {
      allowAnonymous,
      // Nobody in the list: nobody gets in, as there.
      ...(!isOpen && { authentication: judges }),
      ...(aclFile !== undefined && { aclFile: resolve(this.#folder, aclFile) }),
      ...(aclFile === undefined &&
        !isOpen && {
          permissions: [
            { effect: 'allow', action: 'all', filter: '#' },
            { effect: 'allow', action: 'subscribe', filter: '$SYS/#' },
          ],
        }),
    };
  }

  /** A setting that may be a listener's there, and is the broker's here: all listeners must agree. */
  #shared(name: string): string | undefined {
    if (!this.#isPerListener || this.#listeners.length === 0) return this.#general.get(name)?.value;
    const values = new Set(this.#listeners.map(({ options }) => options.get(name)?.value));
    if (values.size > 1) {
      this.#problems.push(`per_listener_settings: the listeners differ in ${name}, and here it is the same for all`);
    }
    return [...values][0];
  }

  #identity(): boolean {
    const options = this.#listeners.length > 0 ? this.#listeners.map((each) => each.options) : [this.#general];
    const secured = options.filter((each) => each.get('require_certificate')?.value === 'true');
    const named = secured.filter((each) => each.get('use_identity_as_username')?.value === 'true');
    if (named.length > 0 && named.length < secured.length) {
      this.#problems.push(
        'use_identity_as_username: the listeners with certificates differ in it, and here it is the same for all',
      );
    }
    return named.length > 0;
  }

  #data(): Configuration['data'] {
    if (this.#general.get('persistence')?.value !== 'true') return { durability: 'memory' };
    const location = this.#general.get('persistence_location');
    const directory = resolve(this.#folder, location?.value ?? '.', 'pipit-data');
    const kept = `${location?.place ?? 'persistence true'}: messages in mosquitto.db are not read; data is kept in ${directory}`;
    this.#ignored.push(kept);
    const { bytesMax } = defaultConfiguration.data as { bytesMax: number };
    return { durability: 'fsync', directory, bytesMax };
  }
}

const generalOptions = new Set([
  ...accessOptions,
  'port',
  'bind_address',
  'persistence',
  'persistence_location',
  'per_listener_settings',
]);

function numeric<Result>(make: (value: number) => Result): (value: string) => Result | null {
  return (value) => (/^-?\d+$/.test(value) ? make(Number(value)) : null);
}

function flag<Result>(make: (value: boolean) => Result): (value: string) => Result | null {
  return (value) => (value === 'true' || value === 'false' ? make(value === 'true') : null);
}

/** Comments are lines; a value goes on to the end of its line. */
function linesOf(path: string): Line[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ConfigurationError([`${path}: cannot be read: ${code === 'ENOENT' ? 'there is no such file' : message}`]);
  }
  return text.split(/\r?\n/).flatMap((line, at) => {
    const [, name = '', value = ''] = /^\s*([^\s#]\S*)\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === '') return [];
    if (name !== 'include_dir') return [{ place: `${path}:${at + 1}`, name, value }];
    return included(resolve(dirname(path), value)).flatMap(linesOf);
  });
}

/** Files whose names end in `.conf`, in order. */
function included(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.conf'));
    return names.sort().map((name) => join(folder, name));
  } catch (error) {
    throw new ConfigurationError([`include_dir ${folder}: cannot be read: ${(error as Error).message}`]);
  }
}
