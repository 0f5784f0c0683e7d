/**
 * A mosquitto.conf as a configuration: what it says of listeners, TLS, users, rights, persistence and limits is applied, all else is
 * named. What guards access there and would not here is a problem: the broker must not start more open than it was.
 *
 * What there is at all, and what becomes of each, is in mosquitto-options.ts.
 */

import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Limits } from '../core/index.ts';
import { limitRanges } from './config-schema.ts';
import {
  type AccessSettings,
  type AuthenticationSettings,
  type Configuration,
  ConfigurationError,
  defaultConfiguration,
  type ListenerSettings,
  type LogLevel,
} from './config-settings.ts';
import { type MosquittoLine, mosquittoLines } from './mosquitto-lines.ts';
import { hasAddress, listenerSettings, type MosquittoListener } from './mosquitto-listener.ts';
import { fateOf, namedOptions } from './mosquitto-options.ts';
import { flagOf, MosquittoValues, numberOf } from './mosquitto-values.ts';

export interface MosquittoConfiguration {
  readonly configuration: Configuration;
  /** What is not taken over, a sentence each, beginning with where it stands. */
  readonly ignored: readonly string[];
}

const unlimited = Number.POSITIVE_INFINITY;
const defaultPort = 1883;

/** What a number means: 0, or what is below it, is unlimited there. */
const limitOptions: Readonly<Record<string, (value: number) => Partial<Limits>>> = {
  max_inflight_messages: (value) => ({ sendMaximum: value || unlimited }),
  max_queued_messages: (value) => ({ queueMessagesMax: value || unlimited }),
  max_queued_bytes: (value) => ({ queueBytesMax: value || unlimited }),
  max_packet_size: (value) => ({ packetBytesMax: value || unlimited }),
  max_keepalive: (value) => ({ serverKeepAliveMax: value || unlimited }),
  global_max_connections: (value) => ({ connectionsMax: value < 0 ? unlimited : value }),
  global_max_clients: (value) => ({ sessionsMax: value < 0 ? unlimited : value }),
  retain_expiry_interval: (minutes) => ({ retainedExpiryMax: minutes * 60 }),
};

const logLevels: Readonly<Record<string, LogLevel>> = {
  error: 'error',
  warning: 'warn',
  notice: 'info',
  information: 'info',
  subscribe: 'debug',
  unsubscribe: 'debug',
  websockets: 'debug',
  internal: 'debug',
  debug: 'debug',
  all: 'debug',
  none: 'silent',
};
const levelOrder: readonly LogLevel[] = ['silent', 'error', 'warn', 'info', 'debug'];

/** Reads the file and what it includes. Throws a ConfigurationError with every problem. */
export function readMosquittoConf(path: string): MosquittoConfiguration {
  return new Conversion(mosquittoLines(path), dirname(path)).result();
}

class Conversion {
  readonly #folder: string;
  readonly #problems: string[] = [];
  readonly #ignored: string[] = [];
  readonly #limits: Partial<Limits> = {};
  /** Of the broker; and of the default listener, what stands under none. */
  readonly #general = new MosquittoValues();
  readonly #listeners: MosquittoListener[] = [];
  /** What lines of a file are about: each file begins with none. */
  readonly #current = new Map<string, MosquittoListener>();
  #logLevel: LogLevel | null = null;
  readonly #isPerListener: boolean;

  constructor(lines: readonly MosquittoLine[], folder: string) {
    this.#folder = folder;
    this.#isPerListener = lines.some(({ name, value }) => name === 'per_listener_settings' && flagOf(value) === true);
    for (const line of lines) this.#take(line);
  }

  result(): MosquittoConfiguration {
    const isLocalOnly = this.#listeners.length === 0 && !this.#hasDefaultListener;
    const listening = isLocalOnly ? this.#localListeners() : [...this.#defaultListener(), ...this.#listeners];
    if (!isLocalOnly && !this.#hasDefaultListener) this.#nameStrays();
    const sets = listening.map((each) => this.#accessOf(each, isLocalOnly));
    const names = this.#accessNames(listening, sets);
    const converted = listening.map((each, index) => this.#listenerOf(each, names[index]));
    const limits = { ...defaultConfiguration.limits, ...this.#limitsOf(listening) };
    const settings = { ...this.#settings(), ...this.#logging() };
    for (const values of [this.#general, ...this.#listeners.map((each) => each.values)]) {
      this.#problems.push(...values.problems);
    }
    if (this.#problems.length > 0) throw new ConfigurationError([...new Set(this.#problems)]);
    const named = sets.flatMap((set, index) => {
      const name = names[index];
      return name === undefined ? [] : [[name, set] as const];
    });
    const configuration: Configuration = {
      ...defaultConfiguration,
      ...settings,
      ...sets[0],
      ...(named.length > 0 && { access: Object.fromEntries(named) }),
      limits,
      listeners: converted,
    };
    return { configuration, ignored: [...new Set(this.#ignored)] };
  }

  // ── line by line

  #take(line: MosquittoLine): void {
    const { place, name, value } = line;
    const values = this.#current.get(line.file)?.values ?? this.#general;
    if (name === 'listener') return this.#listen(line);
    switch (fateOf(name)) {
      case 'general':
        if (name === 'log_type') this.#log(line);
        else if (name === 'log_dest') this.#logTo(line);
        else this.#general.add(line);
        return;
      case 'listener':
        return values.add(line);
      case 'access':
        return (this.#isPerListener ? values : this.#general).add(line);
      case 'stops': {
        const what = `${name} ${value}`.trim();
        this.#problems.push(`${place}: ${what}: decides who gets in or what they may do, and has no counterpart here`);
        return;
      }
      case 'bridge':
        // The rest of it goes with its name.
        if (name === 'connection') this.#ignored.push(`${place}: the bridge ${value}: there are no bridges`);
        return;
      case 'named': {
        const { why, unless } = namedOptions[name] as { why: string; unless?: string };
        if (value !== unless) this.#ignored.push(`${place}: ${name}: ${why}`);
        return;
      }
      case 'unneeded':
        return;
      default:
        this.#problems.push(`${place}: ${name}: there is no such setting`);
    }
  }

  #listen({ file, place, value }: MosquittoLine): void {
    // What comes after a # is a remark, here alone.
    const [port = '', address] = value.replace(/\s*(^|\s)#.*$/, '').split(/\s+/);
    const isPort = /^\d{1,5}$/.test(port) && Number(port) <= 65_535;
    if (!isPort) this.#problems.push(`${place}: listener needs a port`);
    else if (Number(port) === 0 && address === undefined) {
      this.#problems.push(`${place}: listener 0 needs the path of a Unix socket`);
    }
    const listening = { place, port: Number(port), address, values: new MosquittoValues() };
    this.#listeners.push(listening);
    this.#current.set(file, listening);
  }

  /** Mosquitto logs what is listed; here everything from a level on. */
  #log({ place, name, value }: MosquittoLine): void {
    const level = logLevels[value];
    if (level === undefined) this.#ignored.push(`${place}: ${name} ${value}`);
    else if (levelOrder.indexOf(level) > levelOrder.indexOf(this.#logLevel ?? 'silent')) this.#logLevel = level;
    else this.#logLevel ??= level;
  }

  #logTo(line: MosquittoLine): void {
    if (line.value === 'none') this.#general.add(line);
    else if (line.value !== 'stderr')
      this.#ignored.push(`${line.place}: log_dest ${line.value}: the log goes to stderr`);
  }

  // ── what the lines together say

  get #hasDefaultListener(): boolean {
    return this.#general.has('port') || this.#general.has('bind_address');
  }

  /** As in Mosquitto 2: without a listener only this machine. */
  #localListeners(): MosquittoListener[] {
    const local = { place: 'the default listener', port: defaultPort, values: this.#general };
    const addresses = hasAddress('::1') ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
    return addresses.map((address) => ({ ...local, address }));
  }

  /** Beside those that are listed, where a port or an address is given for it. */
  #defaultListener(): MosquittoListener[] {
    if (!this.#hasDefaultListener) return [];
    const port = this.#general.number('port') ?? defaultPort;
    const address = this.#general.text('bind_address');
    return [{ place: 'the default listener', port, address, values: this.#general }];
  }

  /** What stands before all listeners of its file is about the default one, which is not opened. */
  #nameStrays(): void {
    for (const { place, name } of this.#general.lines) {
      const isOfListener = fateOf(name) === 'listener' || (this.#isPerListener && fateOf(name) === 'access');
      if (isOfListener)
        this.#ignored.push(`${place}: ${name}: it stands before the first listener of its file, and there is no port`);
    }
  }

  #listenerOf(listening: MosquittoListener, access: string | undefined): ListenerSettings {
    const own = this.#isPerListener ? listening.values : this.#general;
    const allowEmptyClientId = own.flag('allow_zero_length_clientid');
    const assignedClientIdPrefix = listening.values.text('listener_auto_id_prefix') ?? own.text('auto_id_prefix');
    const retainAvailable = this.#general.flag('retain_available');
    const terms = {
      ...(retainAvailable === false && { retainAvailable }),
      ...(allowEmptyClientId === false && { allowEmptyClientId }),
      ...(assignedClientIdPrefix !== undefined && { assignedClientIdPrefix }),
      ...(access !== undefined && { access }),
    };
    const { settings, problems, ignored } = listenerSettings(listening, this.#folder);
    this.#problems.push(...problems);
    this.#ignored.push(...ignored);
    return { ...settings, ...terms };
  }

  /** Who gets in by a listener and what they may do. There, who has a password may do everything unless an acl_file says otherwise. */
  #accessOf({ values }: MosquittoListener, isLocalOnly: boolean): AccessSettings {
    const own = this.#isPerListener ? values : this.#general;
    const allowAnonymous = values.flag('listener_allow_anonymous') ?? own.flag('allow_anonymous') ?? isLocalOnly;
    const aclFile = own.path('acl_file', this.#folder);
    const file = own.path('password_file', this.#folder);
    const identity = this.#identityOf(values);
    const judges: AuthenticationSettings[] = [];
    if (identity !== null) judges.push({ type: 'certificate', identity });
    else if (file !== undefined) judges.push({ type: 'passwords', file });
    const isOpen = judges.length === 0 && allowAnonymous;
    if (!isOpen && allowAnonymous && identity === null) judges.push({ type: 'anonymous' });
    return {
      allowAnonymous: allowAnonymous && identity === null,
      // Nobody in the list: nobody gets in, as there.
      ...(!isOpen && { authentication: judges }),
      ...(aclFile !== undefined && { aclFile }),
      ...(aclFile === undefined &&
        !isOpen && {
          permissions: [
            { effect: 'allow', action: 'all', filter: '#' },
            { effect: 'allow', action: 'subscribe', filter: '$SYS/#' },
          ],
        }),
    };
  }

  /** Then nothing but the certificate counts, and no password. */
  #identityOf(values: MosquittoValues): 'commonName' | 'subject' | null {
    if (!values.has('certfile')) return null;
    if (values.flag('use_identity_as_username') === true) return 'commonName';
    return values.flag('use_subject_as_username') === true ? 'subject' : null;
  }

  /** The first set is the broker's own; each that differs from it has the name of the first listener that has it. */
  #accessNames(listening: readonly MosquittoListener[], sets: readonly AccessSettings[]): (string | undefined)[] {
    const names: (string | undefined)[] = [];
    for (const [index, set] of sets.entries()) {
      const same = sets.findIndex((each) => isDeepStrictEqual(each, set));
      if (same < index) names.push(names[same]);
      else names.push(index === 0 ? undefined : accessName(listening[index] as MosquittoListener, names));
    }
    return names;
  }

  #limitsOf(listening: readonly MosquittoListener[]): Partial<Limits> {
    for (const [name, make] of Object.entries(limitOptions)) {
      const value = this.#general.number(name);
      if (value !== undefined) this.#limit(make(value));
    }
    const expiry = this.#general.value('persistent_client_expiration', secondsOf);
    if (expiry !== undefined) this.#limit({ sessionExpiryMax: expiry });
    // A listener can only have less than the broker.
    const aliases = listening.flatMap(({ values }) => values.number('max_topic_alias') ?? []);
    if (aliases.length > 0) {
      this.#limit({ topicAliasMaximum: Math.max(defaultConfiguration.limits.topicAliasMaximum, ...aliases) });
    }
    const sent = listening.flatMap(({ values }) => values.number('max_topic_alias_broker') ?? []);
    if (sent.length > 0) this.#limit({ sentTopicAliasMaximum: Math.min(...sent) });
    return this.#limits;
  }

  #limit(found: Partial<Limits>): void {
    for (const [limit, wanted] of Object.entries(found) as [keyof Limits, number][]) {
      const [min, max] = limitRanges[limit];
      this.#limits[limit] = Math.min(max, Math.max(min, wanted));
    }
  }

  #settings(): Pick<Configuration, 'data'> & Partial<Configuration> {
    const queueQos0 = this.#general.flag('queue_qos0_messages');
    const sys = this.#general.number('sys_interval');
    return {
      data: this.#data(),
      ...(queueQos0 !== undefined && { queueQos0 }),
      ...(sys !== undefined && { sys: { intervalSeconds: sys <= 0 ? false : Math.min(sys, 86_400) } }),
    };
  }

  #logging(): Pick<Configuration, 'logLevel' | 'logLevels'> {
    const isSilent = this.#general.has('log_dest');
    const logLevel = isSilent ? 'silent' : (this.#logLevel ?? defaultConfiguration.logLevel);
    const isQuiet = this.#general.flag('connection_messages') === false;
    return { logLevel, logLevels: isQuiet && !isSilent ? { connections: 'warn' } : {} };
  }

  #data(): Configuration['data'] {
    const isKept = this.#general.flag('persistence') ?? this.#general.flag('retained_persistence') ?? false;
    if (!isKept) return { durability: 'memory' };
    const location = this.#general.text('persistence_location') ?? '.';
    const directory = resolve(this.#folder, location, 'pipit-data');
    const place = this.#general.placeOf('persistence_location') ?? 'persistence true';
    this.#ignored.push(`${place}: messages in mosquitto.db are not read; data is kept in ${directory}`);
    const { bytesMax } = defaultConfiguration.data as { bytesMax: number };
    return { durability: 'fsync', directory, bytesMax };
  }
}

function accessName({ port, address }: MosquittoListener, taken: readonly (string | undefined)[]): string {
  const name = port === 0 ? `${address}` : `${port}`;
  return taken.includes(name) ? `${address ?? ''}:${port}` : name;
}

/** `2d`: hours, days, weeks, months, years. */
function secondsOf(value: string): number | undefined {
  const [, count = '', unit = ''] = /^(\d+)([shdwmy])$/.exec(value) ?? [];
  const seconds = { s: 1, h: 3600, d: 86_400, w: 604_800, m: 2_592_000, y: 31_536_000 }[unit];
  return seconds === undefined || numberOf(count) === 0 ? undefined : Number(count) * seconds;
}
