/**
 * The lines of an export: one JSON object each, told apart by `type`. What each field means is in docs/store-tools.md; it is kept
 * stable. Times are wall times. Nothing here depends on the numbers that a store gives to sessions and messages.
 */

import {
  type PublishProperties,
  type QoS,
  topicFilterProblem,
  topicNameProblem,
  type UserProperty,
} from '@pipit/protocol';
import * as z from 'zod';
import type { StoredMessage, StoredSession, StoredSubscription } from '../core/index.ts';
import { decodePropertyBlock, encodePropertyBlock } from '../core/index.ts';

export const exportVersion = 1;

/** The clock of the records against the wall. */
export interface Times {
  readonly wall: number;
  readonly clock: number;
}

// ── What is legal

const text = z.string().max(65_535);
const wholeNumber = z.number().int().min(0);
const packetId = z.number().int().min(0).max(65_535);
const qos = z.union([z.literal(0), z.literal(1), z.literal(2)]);
const time = z.iso.datetime({ precision: 3 }).nullable();
const bytes = z.base64();

function checked(problemOf: (value: string) => string | undefined): z.ZodType<string> {
  return text.superRefine((value, context) => {
    const problem = problemOf(value);
    if (problem !== undefined) context.addIssue(problem);
  });
}

const topic = checked((value) => topicNameProblem(value));
const filter = checked((value) => topicFilterProblem(value));

const message = z.strictObject({
  topic,
  qos,
  retain: z.boolean(),
  publisher: text.nullable(),
  properties: z.strictObject({
    payloadFormatIndicator: z.union([z.literal(0), z.literal(1)]).optional(),
    messageExpiryInterval: wholeNumber.max(0xffff_ffff).optional(),
    contentType: text.optional(),
    responseTopic: text.optional(),
    correlationData: bytes.optional(),
    userProperties: z.array(z.tuple([text, text])).optional(),
  }),
  payload: bytes,
});

/** A message, or the number of the `message` line before. */
const messageOrNumber = z.union([wholeNumber, message]);

const line = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('store'), version: z.literal(exportVersion), at: time.unwrap() }),
  z.strictObject({
    type: z.literal('session'),
    session: text,
    clientId: text,
    principal: text.nullable(),
    expirySeconds: z.number().min(0),
    closedAt: time,
    rights: text.exactOptional(),
    will: z.strictObject({ delaySeconds: z.number().min(0), expiresAt: time, message }).nullable(),
  }),
  z.strictObject({
    type: z.literal('subscription'),
    session: text,
    filter,
    shareName: text.min(1).nullable(),
    qos,
    noLocal: z.boolean(),
    retainAsPublished: z.boolean(),
    identifier: wholeNumber.max(268_435_455),
  }),
  z.strictObject({ type: z.literal('received'), session: text, packetId: packetId.min(1) }),
  z.strictObject({ type: z.literal('message'), number: wholeNumber, message }),
  z.strictObject({
    type: z.literal('queued'),
    session: text,
    sequence: wholeNumber.min(1),
    qos,
    retain: z.boolean(),
    identifiers: z.array(wholeNumber.max(268_435_455)).nullable(),
    group: text.nullable(),
    packetId,
    released: z.boolean(),
    expiresAt: time,
    message: messageOrNumber,
  }),
  z.strictObject({
    type: z.literal('retained'),
    topic,
    principal: text.exactOptional(),
    expiresAt: time,
    messageExpiresAt: time.exactOptional(),
    message: messageOrNumber,
  }),
]);

export type Line = z.infer<typeof line>;
export type LineOf<Type extends Line['type']> = Extract<Line, { type: Type }>;
export type MessageJson = z.infer<typeof message>;

/** Throws an Error that says what is wrong with it. */
export function parseLine(source: string): Line {
  const result = line.safeParse(JSON.parse(source));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join('.') ?? '';
  throw new Error(`${path === '' ? '' : `${path}: `}${issue?.message ?? 'not as it should be'}`);
}

// ── From a store

/** The wall time; null: never. */
export function timeOf(clock: number, { wall, clock: now }: Times): string | null {
  const at = Math.round(clock - now + wall);
  return Math.abs(at) <= lastDate ? new Date(at).toISOString() : null;
}

/** Years have four digits. */
const lastDate = Date.UTC(9999, 0);

/** All but its lifetime, which is that of the line it stands in. */
export function messageJson(stored: StoredMessage): MessageJson {
  const { topic: name, qos: messageQoS, retain, publisher, properties, payload } = stored;
  return {
    topic: name,
    qos: messageQoS,
    retain,
    publisher,
    properties: propertiesJson(decodePropertyBlock(properties)),
    payload: base64(payload),
  };
}

function propertiesJson({ correlationData, userProperties, ...rest }: PublishProperties): MessageJson['properties'] {
  const { payloadFormatIndicator, messageExpiryInterval, contentType, responseTopic } = rest;
  return {
    ...(payloadFormatIndicator !== undefined && { payloadFormatIndicator }),
    ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
    ...(contentType !== undefined && { contentType }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData: base64(correlationData) }),
    ...(userProperties !== undefined && { userProperties: userProperties.map(([name, value]) => [name, value]) }),
  };
}

export function sessionJson({ key, ...session }: StoredSession, times: Times): LineOf<'session'> {
  const { clientId, principal, expirySeconds, closedAtClock, rights, will } = session;
  return {
    type: 'session',
    session: key,
    clientId,
    principal,
    expirySeconds,
    closedAt: timeOf(closedAtClock, times),
    ...(rights !== undefined && { rights }),
    will: will === null ? null : willJson(will, times),
  };
}

type Will = NonNullable<StoredSession['will']>;

function willJson({ delaySeconds, message: stored }: Will, times: Times): LineOf<'session'>['will'] {
  return { delaySeconds, expiresAt: timeOf(stored.expiresAtClock, times), message: messageJson(stored) };
}

export function subscriptionJson(key: string, subscription: StoredSubscription): LineOf<'subscription'> {
  const { filter: name, shareName = null, ...options } = subscription;
  return { type: 'subscription', session: key, filter: name, shareName, ...options };
}

// ── Into a store

/** By the clock of the records; Infinity: never. */
export function clockOf(at: string | null, { wall, clock }: Times): number {
  return at === null ? Number.POSITIVE_INFINITY : Date.parse(at) - wall + clock;
}

/** Throws an EncodeError when its properties are not legal. */
export function storedMessage(json: MessageJson, id: number, expiresAtClock: number): StoredMessage {
  const { topic: name, qos: messageQoS, retain, publisher, payload } = json;
  const { correlationData, userProperties, ...rest } = json.properties;
  const { block, expiryAt } = encodePropertyBlock({
    ...(rest as PublishProperties),
    ...(correlationData !== undefined && { correlationData: Buffer.from(correlationData, 'base64') }),
    ...(userProperties !== undefined && { userProperties: userProperties as UserProperty[] }),
  });
  return {
    id,
    topic: name,
    qos: messageQoS as QoS,
    retain,
    properties: block,
    payload: Buffer.from(payload, 'base64'),
    expiryAt,
    expiresAtClock,
    publisher,
  };
}

function base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
