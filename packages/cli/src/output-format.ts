/**
 * The format of `sub -F`, as mosquitto_sub has it: `%` and a letter for a part of the message, `@` and a letter for the time,
 * `\` and a letter for a control character. Read once, then applied to each message. Text is bytes, a character each.
 */

import type { PublishPacket } from '@pipit/protocol';
import { isoText, type Moment, timeField } from './clock-text.ts';
import { usageError } from './command-error.ts';
import { type Json, jsonText, parseJson, quoted } from './ordered-json.ts';

export interface Arrival {
  readonly message: PublishPacket;
  readonly moment: Moment;
  /** JSON with line ends and tabs. */
  readonly isPretty: boolean;
}

type Piece = (arrival: Arrival) => string;

/** The payload is to be shown as JSON and is not. */
class PayloadError extends Error {
  override readonly name = 'PayloadError';
}

export interface Formatted {
  /** Bytes, a character each; with a problem what comes before it. */
  readonly text: string;
  readonly problem?: string;
}

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\',
  0: '\0',
  a: '\x07',
  e: '\x1b',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** How a value is set: its least and its most characters, to which side, filled with what. */
interface Layout {
  readonly isLeft: boolean;
  readonly isZeroed: boolean;
  readonly width: number;
  readonly widthMax: number;
}

export class OutputFormat {
  readonly #pieces: readonly Piece[];

  /** Throws a CommandError for what is no format. */
  constructor(text: string) {
    this.#pieces = piecesOf(latin1(text));
  }

  apply(arrival: Arrival): Formatted {
    let text = '';
    try {
      for (const piece of this.#pieces) text += piece(arrival);
      return { text };
    } catch (error) {
      if (!(error instanceof PayloadError)) throw error;
      return { text, problem: error.message };
    }
  }
}

function latin1(text: string | Uint8Array): string {
  return Buffer.from(text as string).toString('latin1');
}

/** A sequence that is whole, one that is not, or plain text. */
const sequence = /%([-0]*)(\d*)(?:\.(\d*))?([^\d.])|@(.)|\\(.)|[%@\\].*$|[^%@\\]+/gs;

function piecesOf(text: string): Piece[] {
  return [...text.matchAll(sequence)].map(([whole, flags, width, widthMax, letter, time, control]): Piece => {
    if (letter !== undefined) {
      const isLeft = flags?.includes('-') === true;
      const isZeroed = flags?.includes('0') === true && !isLeft;
      const most = widthMax === undefined ? Number.POSITIVE_INFINITY : Number(widthMax);
      return partOf(letter, { isLeft, isZeroed, width: Number(width), widthMax: most });
    }
    if (time !== undefined) return time === '@' ? () => '@' : ({ moment }) => timeField(time, moment);
    if (control !== undefined) return escaped(control);
    if (/^[%@]/.test(whole)) throw usageError('Incomplete format specifier.');
    if (whole.startsWith('\\')) throw usageError('Incomplete escape specifier.');
    return () => whole;
  });
}

function escaped(letter: string): Piece {
  const text = escapes[letter];
  if (text === undefined) throw usageError(`Invalid escape specifier '${letter}'.`);
  return () => text;
}

/** Text: filled with blanks only, and cut where the format says so. */
function set(text: string, { isLeft, width, widthMax }: Layout): string {
  const cut = text.slice(0, widthMax);
  return isLeft ? cut.padEnd(width) : cut.padStart(width);
}

/** A number, or nothing in its place. */
function setNumber(value: number | undefined, { isLeft, isZeroed, width }: Layout): string {
  const text = value === undefined ? '' : `${value}`;
  return isLeft ? text.padEnd(width) : text.padStart(width, isZeroed ? '0' : ' ');
}

/** The payload: its width is both the least and the most. Of hexadecimal, a width shows half as many bytes as it is wide. */
function setPayload(text: string, charactersPerByte: 1 | 2, { isLeft, isZeroed, width }: Layout): string {
  const bytes = Math.min(text.length / charactersPerByte, width);
  const most = charactersPerByte === 1 ? bytes : 2 * Math.floor(bytes / 2);
  const shown = width === 0 ? text : text.slice(0, most);
  return isLeft ? shown.padEnd(width) : shown.padStart(width, isZeroed ? '0' : ' ');
}

function partOf(letter: string, layout: Layout): Piece {
  const part = parts[letter];
  if (part === undefined) throw usageError(`Invalid format specifier '${letter}'.`);
  return (arrival) => part(arrival, layout);
}

const parts: Readonly<Record<string, (arrival: Arrival, layout: Layout) => string>> = {
  '%': () => '%',
  A: ({ message }, layout) => setNumber(message.properties?.topicAlias, layout),
  C: ({ message }, layout) => set(latin1(message.properties?.contentType ?? ''), layout),
  D: ({ message }) => latin1(message.properties?.correlationData ?? ''),
  E: ({ message }, layout) => setNumber(message.properties?.messageExpiryInterval, layout),
  F: ({ message }, layout) => setNumber(message.properties?.payloadFormatIndicator, layout),
  I: ({ moment }, layout) => set(isoText(moment), layout),
  j: (arrival) => jsonOf(arrival, payloadText(arrival.message)),
  J: (arrival) => jsonOf(arrival, payloadJson(arrival.message)),
  l: ({ message }, layout) => setNumber(message.payload.length, layout),
  m: ({ message }, layout) => setNumber(message.packetId, layout),
  p: ({ message }, layout) => setPayload(latin1(message.payload), 1, layout),
  P: ({ message }) => userProperties(message).join(' '),
  q: ({ message }) => `${message.qos}`,
  r: ({ message }) => (message.retain ? '1' : '0'),
  // Nothing is not set, as mosquitto_sub has it for this one.
  R: ({ message: { properties } }, layout) =>
    properties?.responseTopic === undefined ? '' : set(latin1(properties.responseTopic), layout),
  S: ({ message }, layout) => setNumber(message.properties?.subscriptionIdentifiers?.[0], layout),
  t: ({ message }, layout) => set(latin1(message.topic), layout),
  U: ({ moment }) => `${timeField('s', moment)}.${timeField('N', moment)}`,
  x: ({ message }, layout) => setPayload(hexOf(message), 2, layout),
  X: ({ message }, layout) => setPayload(hexOf(message).toUpperCase(), 2, layout),
};

function hexOf({ payload }: PublishPacket): string {
  return Buffer.from(payload).toString('hex');
}

function userProperties({ properties }: PublishPacket): string[] {
  return (properties?.userProperties ?? []).map(([name, value]) => latin1(`${name}:${value}`));
}

function payloadText({ payload }: PublishPacket): Json {
  return payload.length === 0 ? 'null' : quoted(latin1(payload));
}

function payloadJson({ payload, topic }: PublishPacket): Json {
  if (payload.length === 0) return 'null';
  const json = parseJson(latin1(payload));
  if (json === undefined) throw new PayloadError(`Error: Message payload is not valid JSON on topic ${topic}.`);
  return json;
}

/** All of a message, by names of mosquitto_sub. */
function jsonOf({ message, moment, isPretty }: Arrival, payload: Json): string {
  const fraction = `.${timeField('N', moment).slice(0, 6)}Z`;
  const { topic, qos, retain, packetId } = message;
  const members: [string, Json][] = [
    ['tst', quoted(isoText(moment, fraction))],
    ['topic', quoted(latin1(topic))],
    ['qos', `${qos}`],
    ['retain', retain ? '1' : '0'],
    ['payloadlen', `${message.payload.length}`],
  ];
  if (qos > 0) members.push(['mid', `${packetId}`]);
  const properties = propertiesOf(message);
  if (properties.length > 0) members.push(['properties', { members: properties }]);
  members.push(['payload', payload]);
  return jsonText({ members }, isPretty);
}

/** In the order in which they came. */
function propertiesOf({ properties = {} }: PublishPacket): [string, Json][] {
  return Object.entries(properties).flatMap(([name, value]): [string, Json][] => {
    const title = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (value === undefined) return [];
    if (name === 'userProperties') {
      const pairs = value as NonNullable<NonNullable<PublishPacket['properties']>['userProperties']>;
      return [[title, { members: pairs.map(([key, text]) => [latin1(key), quoted(latin1(text))]) }]];
    }
    if (name === 'subscriptionIdentifiers')
      return (value as number[]).map((id) => ['subscription-identifier', `${id}`]);
    if (typeof value === 'number') return [[title, `${value}`]];
    return [[title, quoted(latin1(value as string | Uint8Array))]];
  });
}
