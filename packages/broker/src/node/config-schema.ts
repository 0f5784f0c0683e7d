/** The rules for every setting, and how what breaks them is said to a person. */

import { topicNameProblem } from '@pipit/protocol';
import * as z from 'zod';
import { banTypes } from '../auth/ban-list.ts';
import { certificateIdentities } from '../auth/certificate.ts';
import { jwtAlgorithms } from '../auth/jwt-options.ts';
import { normalRange } from '../auth/network-address.ts';
import { ruleSchema } from '../auth/rule-schema.ts';
import type { Limits } from '../core/index.ts';
import type { DataSettings } from './config-settings.ts';
import {
  type Configuration,
  defaultConfiguration,
  defaultData,
  durabilities,
  type LogArea,
  type LogLevel,
  logAreas,
  logFormats,
  logLevels,
} from './config-settings.ts';

const minute = 60_000;
const day = 24 * 60 * minute;
const century = 100 * 365 * 24 * 3600;
const tebibyte = 2 ** 40;
const packetBytes = 268_435_460;

/** Smallest and largest legal value of every limit; whole numbers but for `keepAliveFactor`. */
export const limitRanges: { readonly [Name in keyof Limits]: readonly [min: number, max: number] } = {
  connectPacketBytesMax: [64, packetBytes],
  packetBytesMax: [64, packetBytes],
  handshakeTimeoutMs: [100, 10 * minute],
  connectTimeoutMs: [100, 10 * minute],
  clientIdBytesMax: [23, 65_535],
  connectionsMax: [1, 100_000_000],
  connectionsPerAddressMax: [1, 100_000_000],
  acceptsPerSecondMax: [1, 100_000_000],
  acceptsPerSecondPerAddressMax: [1, 100_000_000],
  connectionsPerPrincipalMax: [1, 100_000_000],
  publishesPerSecondMax: [1, 1_000_000_000],
  receivedBytesPerSecondMax: [64, tebibyte],
  throttledMsMax: [0, day],
  keepAliveFactor: [1, 100],
  serverKeepAliveMax: [1, 65_535],
  receiveMaximum: [1, 65_535],
  sendMaximum: [1, 65_535],
  topicAliasMaximum: [0, 65_535],
  sentTopicAliasMaximum: [0, 65_535],
  topicBytesMax: [1, 65_535],
  topicLevelsMax: [1, 65_536],
  subscriptionsPerSessionMax: [1, 100_000_000],
  subscriptionBytesPerSessionMax: [1, tebibyte],
  filtersPerPacketMax: [1, 100_000_000],
  userPropertiesMax: [0, 100_000_000],
  userPropertyBytesMax: [0, packetBytes],
  willBytesMax: [0, packetBytes],
  willBytesTotalMax: [0, tebibyte],
  queueMessagesMax: [1, 1_000_000_000],
  queueBytesMax: [1024, tebibyte],
  queueMessagesTotalMax: [1, 1_000_000_000],
  queueBytesTotalMax: [1024, tebibyte],
  queuePrefixMessages: [1, 1_000_000_000],
  queuePrefixBytes: [1024, tebibyte],
  queuePrefixBytesTotalMax: [1024, tebibyte],
  unreadableMsMax: [100, day],
  unsentBytesMax: [1024, tebibyte],
  unsentBytesStalledMax: [1024, tebibyte],
  stalledAfterMs: [10, day],
  unsentBytesTotalMax: [1024, tebibyte],
  heldBytesMax: [1024, tebibyte],
  heldMsMax: [10, day],
  uncommittedBytesMax: [1024, tebibyte],
  sessionsMax: [1, 100_000_000],
  sessionExpiryMax: [0, century],
  retainedMessagesMax: [0, 16_000_000],
  retainedBytesMax: [0, tebibyte],
  retainedMessagesPerPrincipalMax: [0, 16_000_000],
  retainedBytesPerPrincipalMax: [0, tebibyte],
  retainedBytesInMemoryMax: [0, tebibyte],
  retainedExpiryMax: [1, century],
  internedTopicsMax: [1, 100_000_000],
  plannedRecipientsMax: [1, 1_000_000_000],
  turnDeliveriesMax: [1, 100_000_000],
  turnBytesMax: [1024, tebibyte],
  burstInputsMin: [1, 1_000_000_000],
  burstTurnsMax: [0, 1000],
  eventIntervalMs: [100, day],
  localWindow: [1, 65_535],
  claimedPublishesMax: [1, 65_535],
};

/** All that can be wrong with a number is said in one sentence. */
function numberWithin(min: number, max: number): z.ZodNumber {
  return z.number(`must be a number from ${min} to ${max}`).min(min).max(max);
}

function wholeNumber(min: number, max: number, what = `must be a whole number from ${min} to ${max}`): z.ZodNumber {
  return z.int(what).min(min).max(max);
}

function oneOf<const Values extends readonly string[]>(
  values: Values,
): z.ZodEnum<{ [Value in Values[number]]: Value }> {
  return z.enum(values, `must be one of ${values.join(', ')}`);
}

const text = z.string('must be a text').min(1, 'must not be empty');
const flag = z.boolean('must be true or false');

const range = z.string('must be an address or a range').refine(isRange, 'must be an address or a range');
const ranges = z.array(range, 'must be a list').min(1, 'must have an address').readonly();

function isRange(value: string): boolean {
  return normalRange(value) !== null;
}

const port = { host: text.exactOptional(), port: wholeNumber(0, 65_535) };
const socket = { ...port, proxyProtocol: ranges.exactOptional() };
const origin = z
  .string('must be an origin')
  .refine(isOrigin, "must be an origin such as https://app.example.com, or '*'");

export function isOrigin(value: string): boolean {
  return value === '*' || (URL.canParse(value) && new URL(value).origin === value.toLowerCase());
}

const webSocket = {
  path: z.string('must be a path').startsWith('/', 'must begin with /').exactOptional(),
  requireSubprotocol: flag.exactOptional(),
  origins: z.array(origin, 'must be a list').readonly().exactOptional(),
  forwardedFor: ranges.exactOptional(),
};

const tls = {
  cert: text,
  key: text,
  passphrase: text.exactOptional(),
  ca: text.exactOptional(),
  crl: text.exactOptional(),
  clientCertificate: oneOf(['none', 'request', 'require']).exactOptional(),
  minVersion: oneOf(['TLSv1.2', 'TLSv1.3']).exactOptional(),
  ciphers: text.exactOptional(),
};

const prefix = 'must be the beginning of a topic: without + and #, and not with $ in front';

/** What every listener may hold its clients to. */
const terms = {
  mountPoint: z.string(prefix).refine(isMountPoint, prefix).exactOptional(),
  maximumQoS: z.literal([0, 1, 2], 'must be 0, 1 or 2').exactOptional(),
  retainAvailable: flag.exactOptional(),
  topicAliasMaximum: wholeNumber(0, 65_535).exactOptional(),
  allowEmptyClientId: flag.exactOptional(),
  connectionsMax: wholeNumber(0, 100_000_000).exactOptional(),
  access: text.exactOptional(),
  usernameAsClientId: flag.exactOptional(),
  assignedClientIdPrefix: z.string('must be a text').max(50, 'must have no more than 50 characters').exactOptional(),
};

export function isMountPoint(text: string): boolean {
  return topicNameProblem(`${text}x`, Number.POSITIVE_INFINITY) === undefined && !text.startsWith('$');
}

const octal = "must be three octal digits in quotes, such as '660'";

const listener = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('tcp'), ...terms, ...socket }),
  z.strictObject({ type: z.literal('tls'), ...terms, ...socket, ...tls }),
  z.strictObject({ type: z.literal('ws'), ...terms, ...socket, ...webSocket }),
  z.strictObject({ type: z.literal('wss'), ...terms, ...socket, ...webSocket, ...tls }),
  z
    .strictObject({ type: z.literal('auto'), ...terms, ...socket, ...webSocket, ...tls })
    .extend({ cert: text.exactOptional(), key: text.exactOptional() })
    .refine(isWholeTls, 'must have cert and key together, and both for any other setting of TLS'),
  z.strictObject({
    type: z.literal('unix'),
    ...terms,
    path: text,
    mode: z
      .string(octal)
      .regex(/^[0-7]{3}$/, octal)
      .exactOptional(),
  }),
]);

function isWholeTls(settings: object): boolean {
  const named = Object.keys(tls).filter((name) => name in settings);
  return named.length === 0 || (named.includes('cert') && named.includes('key'));
}

/** One text, or a list of them. */
const texts = z
  .union([text.transform((one) => [one]), z.array(text).min(1)], 'must be a text, or a list of them')
  .exactOptional();

const jwt = z
  .strictObject({
    type: z.literal('jwt'),
    keys: texts,
    secretFile: text.exactOptional(),
    jwksUrl: z
      .string('must be a URL')
      .refine(isSafeUrl, 'must be an https URL, or http to this machine')
      .exactOptional(),
    algorithms: z.array(oneOf(jwtAlgorithms)).min(1, 'must name one').exactOptional(),
    issuers: texts,
    audiences: texts,
    clockToleranceSeconds: wholeNumber(0, 600).exactOptional(),
    allowUnlimited: flag.exactOptional(),
    principalClaim: text.exactOptional(),
    clientIdClaim: text.exactOptional(),
    groupsClaim: text.exactOptional(),
    permissionsClaim: text.exactOptional(),
    timeoutMs: wholeNumber(10, minute).exactOptional(),
    cacheMs: wholeNumber(1_000, day).exactOptional(),
  })
  .refine(({ keys, secretFile, jwksUrl }) => (keys ?? secretFile ?? jwksUrl) !== undefined, {
    message: 'must have keys, a secretFile or a jwksUrl',
  });

const admin = z
  .strictObject({
    ...port,
    cert: text.exactOptional(),
    key: text.exactOptional(),
    passphrase: text.exactOptional(),
    tokensFile: text.exactOptional(),
  })
  .refine(isWholeTls, 'must have cert and key together, and both for passphrase');

const authentication = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('passwords'), file: text }),
  z.strictObject({ type: z.literal('certificate'), identity: oneOf(certificateIdentities).exactOptional() }),
  z.strictObject({
    type: z.literal('http'),
    url: z.string('must be a URL').refine(isSafeUrl, 'must be an https URL, or http to this machine'),
    headers: z.record(text, text, 'must be a mapping').exactOptional(),
    timeoutMs: wholeNumber(10, minute).exactOptional(),
    cacheMs: wholeNumber(0, day).exactOptional(),
    cacheEntriesMax: wholeNumber(1, 10_000_000).exactOptional(),
    expiresInSecondsMax: wholeNumber(1, 31_536_000).exactOptional(),
  }),
  jwt,
  z.strictObject({ type: z.literal('anonymous') }),
]);

/** Passwords travel there. */
function isSafeUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  const isHere = hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  return protocol === 'https:' || (protocol === 'http:' && isHere);
}

const banned = z
  .strictObject({
    type: oneOf(banTypes),
    value: text,
    reason: text.exactOptional(),
    until: z.iso.datetime({ offset: true, error: "must be a time such as '2030-01-31T12:00:00Z'" }).exactOptional(),
  })
  .refine(({ type, value }) => type !== 'address' || isRange(value), {
    path: ['value'],
    message: 'must be an address or a range',
  });

const limitNames = Object.keys(limitRanges) as (keyof Limits)[];
const limits = z.strictObject(
  Object.fromEntries(
    limitNames.map((name) => {
      const schema = name === 'keepAliveFactor' ? numberWithin : wholeNumber;
      return [name, schema(...limitRanges[name]).default(defaultConfiguration.limits[name])];
    }),
  ) as { [Name in keyof Limits]: z.ZodDefault<z.ZodNumber> },
);

/** Four segments of the store, which is the least it works with. */
const dataBytesMin = 4 * 64 * 2 ** 20;

const data = z
  .strictObject({
    durability: oneOf(durabilities).default(defaultData.durability),
    directory: text.exactOptional(),
    bytesMax: wholeNumber(dataBytesMin, 1024 * tebibyte).exactOptional(),
  })
  .superRefine(({ durability, ...rest }, context) => {
    if (durability !== 'memory') return;
    for (const name of Object.keys(rest)) {
      context.addIssue({ code: 'custom', path: [name], message: 'must not be there: durability memory keeps nothing' });
    }
  })
  .transform(({ durability, directory, bytesMax }): DataSettings => {
    if (durability === 'memory') return { durability };
    return {
      durability,
      directory: directory ?? defaultData.directory,
      bytesMax: bytesMax ?? defaultData.bytesMax,
    };
  });

const interval = 'must be false or a whole number of seconds from 1 to 86400';
const { sys, allowAnonymous, strictText, queueQos0, queueOverflow, logLevel, logFormat } = defaultConfiguration;

const logLevelsOfAreas = z.strictObject(
  Object.fromEntries(logAreas.map((area) => [area, oneOf(logLevels).exactOptional()])) as {
    [Area in LogArea]: z.ZodExactOptional<z.ZodEnum<{ [Level in LogLevel]: Level }>>;
  },
);

const access = {
  allowAnonymous: flag.default(allowAnonymous),
  authentication: z.array(authentication).exactOptional(),
  permissions: z
    .array(ruleSchema)
    .min(1, 'must have a rule; without permissions, everything is allowed')
    .exactOptional(),
  aclFile: text.exactOptional(),
};

function hasOneSource({ permissions, aclFile }: { permissions?: unknown; aclFile?: unknown }): boolean {
  return permissions === undefined || aclFile === undefined;
}

const twoSources = { path: ['aclFile'], message: 'must not be there beside permissions' };

export const configurationSchema: z.ZodType<Configuration> = z
  .strictObject({
    data: data.prefault({}),
    listeners: z
      .array(listener)
      .min(1, 'must have at least one listener')
      .default([...defaultConfiguration.listeners]),
    admin: admin.exactOptional(),
    ...access,
    access: z
      .record(text, z.strictObject(access).refine(hasOneSource, twoSources), 'must be a mapping')
      .exactOptional(),
    groups: z.record(text, z.array(text, 'must be a list of names'), 'must be a mapping').exactOptional(),
    banned: z.array(banned).exactOptional(),
    limits: limits.prefault({}),
    sys: z
      .strictObject({
        intervalSeconds: z
          .union([z.literal(false), wholeNumber(1, 86_400, interval)], interval)
          .default(sys.intervalSeconds),
      })
      .prefault({}),
    strictText: flag.default(strictText),
    queueQos0: flag.default(queueQos0),
    queueOverflow: oneOf(['drop-newest', 'drop-oldest', 'refuse']).default(queueOverflow),
    logLevel: oneOf(logLevels).default(logLevel),
    logLevels: logLevelsOfAreas.prefault({}),
    logFormat: oneOf(logFormats).default(logFormat),
  })
  .refine(hasOneSource, twoSources)
  .superRefine(({ listeners, access: sets = {} }, context) => {
    for (const [index, { access: name }] of listeners.entries()) {
      if (name === undefined || Object.hasOwn(sets, name)) continue;
      const message = 'must be a name under access';
      context.addIssue({ code: 'custom', path: ['listeners', index, 'access'], message });
    }
  });
