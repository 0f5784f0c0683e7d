/** Messages as lines of JSON: what `sub --json` prints and `pub --json` reads. Bytes that are not UTF-8 text are in base64. */

import type { PublishPacket, PublishProperties, QoS, UserProperty } from '@pipit/protocol';
import { decodeUtf8, encodeUtf8, isUtf8, topicNameProblem } from '@pipit/protocol';
import type { OutgoingMessage } from './mqtt-connection.ts';

interface MessageLine {
  readonly time?: string;
  readonly topic: string;
  readonly payload?: string;
  readonly payloadBase64?: string;
  readonly qos?: QoS;
  readonly retain?: boolean;
  readonly properties?: LineProperties;
}

type LineProperties = Omit<PublishProperties, 'correlationData' | 'userProperties'> & {
  readonly correlationDataBase64?: string;
  readonly userProperties?: readonly UserProperty[];
};

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** What a line says. */
export type LineMessage = Pick<PublishPacket, 'topic' | 'payload' | 'qos' | 'retain' | 'properties'>;

/** Without the line end. */
export function lineOf({ topic, payload, qos, retain, properties = {} }: LineMessage, date: Date): string {
  const content = isUtf8(payload, 0, payload.length)
    ? { payload: decodeUtf8(payload, 0, payload.length) }
    : { payloadBase64: base64(payload) };
  const line: MessageLine = {
    time: date.toISOString(),
    topic,
    ...content,
    qos,
    retain,
    ...(Object.keys(properties).length > 0 && { properties: lineProperties(properties) }),
  };
  return JSON.stringify(line);
}

function lineProperties({ correlationData, ...others }: PublishProperties): LineProperties {
  return { ...others, ...(correlationData !== undefined && { correlationDataBase64: base64(correlationData) }) };
}

/** `defaults`: what a line need not say. A text instead: what is wrong with the line. */
export function messageOf(
  text: string,
  defaults: { readonly topic: string | undefined; readonly qos: QoS; readonly retain: boolean },
): OutgoingMessage | string {
  const line = objectOf(text);
  if (line === undefined) return 'it is not a JSON object';
  const { topic = defaults.topic, qos = defaults.qos, retain = defaults.retain, payload = '', payloadBase64 } = line;
  if (typeof topic !== 'string') return 'it has no topic, and there is no -t';
  const problem = topicNameProblem(topic);
  if (problem !== undefined) return problem;
  if (qos !== 0 && qos !== 1 && qos !== 2) return 'qos has to be 0, 1 or 2';
  if (typeof retain !== 'boolean') return 'retain has to be true or false';
  if (typeof payload !== 'string') return 'payload has to be a text';
  if (payloadBase64 !== undefined && typeof payloadBase64 !== 'string') return 'payloadBase64 has to be a text';
  const bytes =
    payloadBase64 === undefined ? encodeUtf8(payload) : new Uint8Array(Buffer.from(payloadBase64, 'base64'));
  const properties = propertiesOf(line.properties);
  return { topic, payload: bytes, qos, retain, ...(properties !== undefined && { properties }) };
}

function objectOf(text: string): Partial<MessageLine> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Without what belongs to the connection that the message came by. */
function propertiesOf(line: LineProperties | undefined): PublishProperties | undefined {
  if (line === undefined) return undefined;
  const { correlationDataBase64, subscriptionIdentifiers: _, topicAlias: __, ...others } = line;
  const data = correlationDataBase64 === undefined ? undefined : Buffer.from(correlationDataBase64, 'base64');
  const properties = { ...others, ...(data !== undefined && { correlationData: new Uint8Array(data) }) };
  return Object.keys(properties).length === 0 ? undefined : (properties as PublishProperties);
}
