/** What `pub`, `sub` and `rpc` have in common on their command lines beside the connection: session, will, properties. Mosquitto's flags. */

import type { ConnectProperties, QoS, Will } from '@pipit/protocol';
import { encodeUtf8, topicNameProblem } from '@pipit/protocol';
import { type Command, Option } from 'commander';
import { usageError } from './command-error.ts';
import {
  addLoginOptions,
  addTargetOptions,
  addTlsOptions,
  type ConnectionArguments,
  clientIdOf,
  loginOf,
} from './connection-options.ts';
import type { ConnectionOptions } from './mqtt-connection.ts';
import { collectProperty, type PropertyArguments } from './property-options.ts';
import { wholeNumber } from './whole-number.ts';

export interface ClientArguments extends ConnectionArguments {
  readonly clean: boolean;
  readonly sessionExpiry?: number;
  readonly qos: QoS;
  readonly property?: PropertyArguments;
  readonly willTopic?: string;
  readonly willPayload?: string;
  readonly willQos?: QoS;
  readonly willRetain?: true;
  readonly debug?: true;
  readonly quiet?: true;
}

const neverExpires = 0xffff_ffff;

export function addClientOptions(command: Command): Command {
  return addTlsOptions(addWillOptions(addSessionOptions(addLoginOptions(addTargetOptions(command)))));
}

function addSessionOptions(command: Command): Command {
  return command
    .addOption(new Option('-c, --no-clean', 'keep the session when the connection ends; needs -i'))
    .option(
      '-x, --session-expiry <seconds>',
      'how long the session outlives the connection; -1: for ever (default: 0, with -c -1)',
      parseExpiry,
    )
    .option('-q, --qos <qos>', 'the quality of service: 0, 1 or 2', wholeNumber(0, 2), 0)
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

function parseExpiry(text: string): number {
  return text === '-1' || text === '∞' ? neverExpires : wholeNumber(0, neverExpires)(text);
}

/** As whom to connect. Throws CommandError for what the version does not allow. */
export function connectionOptions(options: ClientArguments): ConnectionOptions {
  const { clean, keepAlive, protocolVersion, property = {} } = options;
  if (protocolVersion !== 5 && Object.keys(property).length > 0) throw usageError('-D needs MQTT 5.');
  if (!clean && (options.id ?? options.idPrefix ?? '') === '') throw usageError('-c needs a client id (-i).');
  const { username, password } = loginOf(options);
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
