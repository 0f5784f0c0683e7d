/** Going over to a changed configuration while `serve` runs: by SIGHUP, and by the HTTP API. */

import { isDeepStrictEqual } from 'node:util';
import type { Admin, Broker, Configuration, ReloadReport } from '@pipit/broker';
import { ConfigurationError, configuredAdmin, reloadOptions, shownConfiguration } from '@pipit/broker';
import { CommandError } from './command-error.ts';
import type { EventLog } from './event-log.ts';

export interface Reloaded extends ReloadReport {
  /** Settings that have changed and count from the next start only. */
  readonly needsRestart: readonly string[];
}

export class Reloading {
  readonly #read: () => Promise<Configuration>;
  readonly #broker: Broker;
  readonly #log: EventLog;
  #configuration: Configuration;
  #shown: object = {};
  #admin: Admin | null = null;

  /** `read` rejects with a ConfigurationError or a CommandError. */
  constructor(read: () => Promise<Configuration>, configuration: Configuration, broker: Broker, log: EventLog) {
    this.#read = read;
    this.#configuration = configuration;
    this.#broker = broker;
    this.#log = log;
  }

  /** To be called once before it is used. */
  async begin(): Promise<void> {
    this.#shown = await shownConfiguration(this.#configuration);
  }

  /** The configuration in effect, without secrets. */
  get shown(): object {
    return this.#shown;
  }

  set admin(admin: Admin | null) {
    this.#admin = admin;
  }

  /** Whole, or not at all: rejects with a ConfigurationError, a ListenError or a TokenFileError, which is logged, too. */
  async reload(): Promise<Reloaded> {
    try {
      const reloaded = await this.#reload();
      // What does not count yet should not be overlooked.
      this.#log.logger[reloaded.needsRestart.length > 0 ? 'warn' : 'info'](reloaded, 'reloaded');
      return reloaded;
    } catch (error) {
      const problems = error instanceof ConfigurationError ? error.problems : [(error as Error).message];
      this.#log.logger.error({ problems }, 'reload-refused');
      throw error instanceof CommandError ? new ConfigurationError([error.message]) : error;
    }
  }

  async #reload(): Promise<Reloaded> {
    const before = this.#configuration;
    const next = await this.#read();
    const settings = reloadOptions(next);
    // Read in any case, so that what is wrong with it is known now and not at the next start.
    const admin = configuredAdmin(next);
    const administer = await this.#admin?.prepareReload(admin?.tls);
    const shown = await shownConfiguration(effective(before, next));
    const report = await this.#broker.reload(settings);
    administer?.();
    this.#log.configure(next);
    this.#configuration = effective(before, next);
    this.#shown = shown;
    return { ...report, needsRestart: fixedSettings.filter((name) => !isDeepStrictEqual(before[name], next[name])) };
  }
}

/** What is decided at the start. */
const fixedSettings = ['data', 'admin', 'sys', 'logFormat'] as const satisfies readonly (keyof Configuration)[];

/** What holds now. */
function effective(before: Configuration, next: Configuration): Configuration {
  const { admin: _, ...rest } = next;
  const { data, admin, sys, logFormat } = before;
  return { ...rest, data, sys, logFormat, ...(admin !== undefined && { admin }) };
}
