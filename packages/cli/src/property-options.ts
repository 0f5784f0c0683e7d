/** MQTT 5 properties on the command line, as Mosquitto's programs take them: `-D command identifier [name] value`. */

import type {
  ConnectProperties,
  DisconnectProperties,
  PropertyName,
  PublishProperties,
  SubscribeProperties,
  UnsubscribeProperties,
  UserProperty,
  WillProperties,
} from '@pipit/protocol';
import { encodeUtf8 } from '@pipit/protocol';
import { InvalidArgumentError } from 'commander';

/** What was given for each packet. */
export interface PropertyArguments {
  readonly connect?: ConnectProperties;
  readonly will?: WillProperties;
  readonly publish?: PublishProperties;
  readonly subscribe?: SubscribeProperties;
  readonly unsubscribe?: UnsubscribeProperties;
  readonly disconnect?: DisconnectProperties;
}

type Command = keyof PropertyArguments;

/** Between the parts of one argument: no argument of a program has it. */
export const partSeparator = '\0';

type Kind = 'text' | 'bytes' | 'boolean' | 'pair' | readonly [min: number, max: number];

const byte = [0, 1] as const;
const uint16 = [0, 0xffff] as const;
const uint32 = [0, 0xffff_ffff] as const;

const kinds: Readonly<Record<string, readonly [name: PropertyName, kind: Kind]>> = {
  'authentication-data': ['authenticationData', 'bytes'],
  'authentication-method': ['authenticationMethod', 'text'],
  'content-type': ['contentType', 'text'],
  'correlation-data': ['correlationData', 'bytes'],
  'maximum-packet-size': ['maximumPacketSize', uint32],
  'message-expiry-interval': ['messageExpiryInterval', uint32],
  'payload-format-indicator': ['payloadFormatIndicator', byte],
  'receive-maximum': ['receiveMaximum', uint16],
  'request-problem-information': ['requestProblemInformation', 'boolean'],
  'request-response-information': ['requestResponseInformation', 'boolean'],
  'response-topic': ['responseTopic', 'text'],
  'session-expiry-interval': ['sessionExpiryInterval', uint32],
  'subscription-identifier': ['subscriptionIdentifier', [1, 0xfff_ffff]],
  'topic-alias': ['topicAlias', [1, 0xffff]],
  'topic-alias-maximum': ['topicAliasMaximum', uint16],
  'user-property': ['userProperties', 'pair'],
  'will-delay-interval': ['willDelayInterval', uint32],
};

const ofMessage = ['content-type', 'correlation-data', 'message-expiry-interval', 'payload-format-indicator'];
const allowed: Readonly<Record<Command, readonly string[]>> = {
  connect: [
    'authentication-data',
    'authentication-method',
    'maximum-packet-size',
    'receive-maximum',
    'request-problem-information',
    'request-response-information',
    'session-expiry-interval',
    'topic-alias-maximum',
  ],
  will: [...ofMessage, 'response-topic', 'will-delay-interval'],
  publish: [...ofMessage, 'response-topic', 'topic-alias'],
  subscribe: ['subscription-identifier'],
  unsubscribe: [],
  disconnect: ['session-expiry-interval'],
};

/** How many arguments `-D` takes: the last is the value, and a pair has one more. */
export function partCount(identifier: string | undefined): number {
  return identifier === 'user-property' ? 4 : 3;
}

/** Parser of `-D`: `text` is its parts, `before` what earlier ones gave. */
export function collectProperty(text: string, before: PropertyArguments = {}): PropertyArguments {
  const [command = '', identifier = '', ...values] = text.split(partSeparator);
  if (values.length !== partCount(identifier) - 2) {
    throw new InvalidArgumentError('It takes a command, an identifier and a value; user-property a name and a value.');
  }
  const entry = kinds[identifier];
  if (!isCommand(command)) {
    throw new InvalidArgumentError(`${command} is none of ${Object.keys(allowed).join(', ')}.`);
  }
  if (entry === undefined) throw new InvalidArgumentError(`${identifier} is not a property that can be given.`);
  if (identifier !== 'user-property' && !allowed[command].includes(identifier)) {
    throw new InvalidArgumentError(`${identifier} is not allowed for ${command}.`);
  }
  const [name, kind] = entry;
  const own: Readonly<Record<string, unknown>> = before[command] ?? {};
  if (kind === 'pair') {
    const pairs = (own[name] as UserProperty[] | undefined) ?? [];
    return { ...before, [command]: { ...own, [name]: [...pairs, values] } };
  }
  if (own[name] !== undefined) throw new InvalidArgumentError(`${identifier} is given twice.`);
  return { ...before, [command]: { ...own, [name]: parsedValue(identifier, kind, values[0] as string) } };
}

function isCommand(text: string): text is Command {
  return Object.hasOwn(allowed, text);
}

function parsedValue(identifier: string, kind: Exclude<Kind, 'pair'>, text: string): unknown {
  if (kind === 'text') return text;
  if (kind === 'bytes') return encodeUtf8(text);
  const [min, max] = kind === 'boolean' ? byte : kind;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new InvalidArgumentError(`${identifier} has to be a whole number from ${min} to ${max}.`);
  }
  return kind === 'boolean' ? value === 1 : value;
}
