/** `pipit serve`: runs a broker until it is asked to stop. */

import { setFlagsFromString } from 'node:v8';
import type {
  Admin,
  AdminOptions,
  Broker,
  BrokerOptions,
  Configuration,
  Damage,
  LogReport,
  LogStore,
} from '@pipit/broker';
import {
  brokerOptions,
  ConfigurationError,
  configuredAdmin,
  configuredStore,
  createBroker,
  defaultConfiguration,
  defaultData,
  formatConfiguration,
  ListenError,
  notTakenOver,
  openAdmin,
  readConfiguration,
  StoreError,
  TokenFileError,
} from '@pipit/broker';
import { CommandError, exitCodes } from './command-error.ts';
import { damageLine, damageOf, foundLine, promiseLine, quarantineOf } from './data-lines.ts';
import { type EventLog, openEventLog } from './event-log.ts';
import { withArguments } from './serve-configuration.ts';
import type { ServeArguments } from './serve-options.ts';
import { Reloading } from './serve-reload.ts';

/** Resolves to 0 after a graceful stop. Rejects with a CommandError when it cannot start. */
export async function serve(options: ServeArguments, version: string): Promise<number> {
  const configuration = await configurationOf(options);
  const settings = settingsOf(configuration);
  if (options.printConfig === true) {
    process.stdout.write(await formatConfiguration(configuration));
    return 0;
  }
  const log = await openEventLog(configuration);
  const data = new Data(configuration, log);
  const broker = createBroker({ ...settings, version, ...(data.store !== null && { store: data.store }) });
  broker.on('event', (event) => log.event(event));
  const asked = stopSignal();
  // Who asks for it before all is open gets what was just read.
  let onHangup = (): Promise<unknown> => Promise.resolve();
  process.on('SIGHUP', () => void onHangup().catch(() => undefined));
  await start(broker);
  const reloading = new Reloading(() => readAll(options), configuration, broker, log);
  await reloading.begin();
  const admin = await startAdmin(broker, configuration, {
    version,
    configuration: () => reloading.shown,
    reload: () => reloading.reload(),
    logLevels: log.levels,
  });
  reloading.admin = admin;
  keepYoungGenerationSmall();
  for (const line of await takenFrom(options.config)) console.log(line);
  for (const line of data.tell()) console.log(line);
  for (const listener of broker.listeners) console.log(listener.url);
  for (const line of adminLines(admin)) console.log(line);
  // What is refused is in the log.
  onHangup = () => reloading.reload();
  console.log('ready');
  log.logger.info({ signal: await asked }, 'stopping');
  await admin?.close();
  await broker.stop().catch(told);
  log.logger.info('stopped');
  await log.close();
  return 0;
}

/**
 * What is made for a message is garbage at once, however small V8's young generation is. Only what stays makes it grow, to 16 MB
 * several times over, which is 1 kB of each of 15,000 idle connections. Who has given Node a size of their own keeps it.
 */
function keepYoungGenerationSmall(): void {
  const given = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  if (!/semi[-_]space/.test(given)) setFlagsFromString('--semi-space-growth-factor=1');
}

/** The store that the configuration asks for, and what is to be told about it. */
class Data {
  readonly store: LogStore | null;
  readonly #promise: string;
  readonly #log: EventLog;
  readonly #startedAt = performance.now();
  #found: { readonly report: LogReport; readonly durationMs: number } | null = null;

  constructor(configuration: Configuration, log: EventLog) {
    this.#log = log;
    this.#promise = promiseLine(configuration.data);
    this.store = configuredStore(configuration, {
      onReport: (report) => {
        this.#found = { report, durationMs: Math.round(performance.now() - this.#startedAt) };
      },
      onDamage: (damage) => this.#damaged([damage]),
    });
  }

  /** Logs what was found, and says it in a line each: what survives what, what was found, what is damaged. */
  tell(): string[] {
    if (this.#found === null) return [this.#promise];
    const { report, durationMs } = this.#found;
    const { damage, losses: _, ...found } = report;
    this.#log.logger.info({ ...found, durationMs }, 'store-loaded');
    this.#damaged(damage);
    const line = damageLine(report, this.#directory);
    return [this.#promise, foundLine(report, durationMs), ...(line === null ? [] : [line])];
  }

  #damaged(damage: readonly Damage[]): void {
    const found = damageOf(damage);
    if (found === null) return;
    this.#log.logger.error({ ...found, quarantine: quarantineOf(this.#directory), damage }, 'store-damaged');
  }

  get #directory(): string {
    return this.store?.directory ?? '';
  }
}

async function readAll(options: ServeArguments): Promise<Configuration> {
  const read = options.config === undefined ? defaultConfiguration : await readConfiguration(options.config);
  return withArguments(read, options, defaultData);
}

/** Of a configuration of Mosquitto's: that it is one, and what of it does not count here. */
async function takenFrom(path: string | undefined): Promise<string[]> {
  if (path?.endsWith('.conf') !== true) return [];
  const ignored = await notTakenOver(path);
  const lines = ignored.map((each) => `not taken over: ${each}`);
  return [`configuration of Mosquitto's: ${path}`, ...lines];
}

async function configurationOf(options: ServeArguments): Promise<Configuration> {
  try {
    return await readAll(options);
  } catch (error) {
    throw refused(error);
  }
}

function settingsOf(configuration: Configuration): BrokerOptions {
  try {
    return brokerOptions(configuration);
  } catch (error) {
    throw refused(error);
  }
}

async function start(broker: Broker): Promise<void> {
  await broker.start().catch(told);
}

function told(error: unknown): never {
  const isExpected = error instanceof ListenError || error instanceof StoreError;
  if (isExpected) throw new CommandError(error.message, exitCodes.failure);
  throw error;
}

/** The HTTP API, if it is asked for. When it cannot be opened nothing stays open. */
async function startAdmin(
  broker: Broker,
  configuration: Configuration,
  service: Pick<AdminOptions, 'version' | 'configuration' | 'reload' | 'logLevels'>,
): Promise<Admin | null> {
  try {
    const settings = configuredAdmin(configuration);
    return settings === null ? null : await openAdmin(broker, { ...settings, ...service });
  } catch (error) {
    await broker.stop();
    const isExpected = error instanceof ListenError || error instanceof TokenFileError;
    if (isExpected) throw new CommandError(error.message, exitCodes.failure);
    throw refused(error);
  }
}

/** Where it is, and tokens that were made now: they are shown here and nowhere else. */
function adminLines(admin: Admin | null): string[] {
  if (admin === null) return [];
  const tokens = admin.newTokens.map(
    ({ name, right, token }) => `token of ${name} (${right}), shown only now: ${token}`,
  );
  return [`${admin.url} (HTTP API)`, ...tokens];
}

function refused(error: unknown): unknown {
  return error instanceof ConfigurationError ? new CommandError(error.message, exitCodes.usage) : error;
}

/** The first signal to stop; the second ends the process at once. */
function stopSignal(): Promise<string> {
  return new Promise((done) => {
    let isAsked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (isAsked) process.exit(exitCodes.failure);
        isAsked = true;
        done(signal);
      });
    }
  });
}
