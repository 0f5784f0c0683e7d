/** `pipit serve`: runs a broker until it is asked to stop. */

import type { Broker, Configuration } from '@pipit/broker';
import {
  brokerOptions,
  ConfigurationError,
  createBroker,
  defaultConfiguration,
  formatConfiguration,
  ListenError,
  readConfiguration,
} from '@pipit/broker';
import { CommandError, exitCodes } from './command-error.ts';
import { openEventLog } from './event-log.ts';
import { type ServeArguments, withArguments } from './serve-options.ts';

/** Resolves to 0 after a graceful stop. Rejects with a CommandError when it cannot start. */
export async function serve(options: ServeArguments, version: string): Promise<number> {
  const configuration = await configurationOf(options);
  const broker = create(configuration, version);
  if (options.printConfig === true) {
    process.stdout.write(await formatConfiguration(configuration));
    return 0;
  }
  const log = openEventLog(configuration.logLevel);
  broker.on('event', (event) => log.event(event));
  const asked = stopSignal();
  await start(broker);
  console.log('memory: nothing survives a restart');
  for (const listener of broker.listeners) console.log(listener.url);
  console.log('ready');
  log.logger.info({ signal: await asked }, 'stopping');
  await broker.stop();
  log.logger.info('stopped');
  await log.close();
  return 0;
}

async function configurationOf(options: ServeArguments): Promise<Configuration> {
  try {
    const read = options.config === undefined ? defaultConfiguration : await readConfiguration(options.config);
    return withArguments(read, options);
  } catch (error) {
    throw refused(error);
  }
}

function create(configuration: Configuration, version: string): Broker {
  try {
    return createBroker({ ...brokerOptions(configuration), version });
  } catch (error) {
    throw refused(error);
  }
}

async function start(broker: Broker): Promise<void> {
  try {
    await broker.start();
  } catch (error) {
    if (error instanceof ListenError) throw new CommandError(error.message, exitCodes.failure);
    throw error;
  }
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
