/** Messages: publishing one, and what is retained. */

import { decodeUtf8, type PublishProperties, type QoS, topicFilterProblem, topicNameProblem } from '@pipit/protocol';
import type { LocalMessage } from '../core/index.ts';
import type { Broker } from '../node/broker.ts';
import { type PageQuery, pageFor, pageOf, pageQuery } from './paging.ts';
import { lasting, notFound, RequestError } from './request-error.ts';
import type { Service } from './server.ts';

interface PublishBody {
  topic: string;
  payload?: string;
  payloadBase64?: string;
  qos: QoS;
  retain: boolean;
  properties?: Omit<PublishProperties, 'correlationData'>;
}

const topicLevelsMax = 65_536;
/** How long what is only in the store may take to be read. */
const retainedMsMax = 10_000;

const publishSchema = {
  type: 'object',
  required: ['topic'],
  additionalProperties: false,
  properties: {
    topic: { type: 'string' },
    payload: { type: 'string', description: 'Text, sent as UTF-8.' },
    payloadBase64: { type: 'string', pattern: '^[A-Za-z0-9+/]*={0,2}$', description: 'Bytes, instead.' },
    qos: { enum: [0, 1, 2], default: 0 },
    retain: { type: 'boolean', default: false },
    properties: {
      type: 'object',
      additionalProperties: false,
      properties: {
        payloadFormatIndicator: { enum: [0, 1] },
        messageExpiryInterval: { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
        contentType: { type: 'string' },
        responseTopic: { type: 'string' },
        userProperties: {
          type: 'array',
          items: { type: 'array', items: { type: 'string' }, minItems: 2, maxItems: 2 },
        },
      },
    },
  },
};

export function addMessageRoutes(service: Service): void {
  addPublish(service);
  addRetained(service);
}

function addPublish({ app, broker }: Service): void {
  app.post<{ Body: PublishBody }>(
    '/api/v1/publish',
    {
      schema: {
        tags: ['messages'],
        summary: 'Publishes a message as the broker itself: no permissions apply.',
        body: publishSchema,
        response: {
          200: {
            description: 'Accepted, and as durable as its receivers. `matched`: somebody was subscribed.',
            type: 'object',
            properties: { matched: { type: 'boolean' } },
          },
          422: { description: 'Not accepted.' },
        },
      },
    },
    async ({ body }) => {
      const { topic, payload, payloadBase64, qos, retain, properties } = body;
      if (payload !== undefined && payloadBase64 !== undefined) {
        throw new RequestError(400, 'payload and payloadBase64 exclude each other.');
      }
      const bytes = payloadBase64 === undefined ? (payload ?? '') : Buffer.from(payloadBase64, 'base64');
      const options = { qos, retain, ...(properties !== undefined && { properties }) };
      const reasonCode = await lasting(broker.publish(topic, bytes, options));
      return { matched: reasonCode === 0 };
    },
  );
}

function addRetained({ app, broker, cursors }: Service): void {
  app.get<{ Querystring: PageQuery & { filter: string } }>(
    '/api/v1/retained',
    {
      schema: {
        tags: ['messages'],
        summary: 'Topics with a retained message.',
        querystring: pageQuery({
          filter: { type: 'string', default: '#', description: 'Only topics that match. `#` is all but those with $.' },
        }),
        response: pageOf('Topics'),
      },
    },
    ({ query }) => {
      const { filter } = query;
      const problem = topicFilterProblem(filter, topicLevelsMax);
      if (problem !== undefined) throw new RequestError(400, problem);
      return pageFor(cursors, `retained ${filter}`, query, () => broker.inspection.retained(filter));
    },
  );
  const querystring = {
    type: 'object',
    required: ['topic'],
    additionalProperties: false,
    properties: { topic: { type: 'string' } },
  };
  const missing = { 404: { description: 'Nothing is retained there.' } };
  app.get<{ Querystring: { topic: string } }>(
    '/api/v1/retained/message',
    {
      schema: {
        tags: ['messages'],
        summary: 'The retained message of a topic, with its payload.',
        querystring,
        response: { 200: { description: 'It. A payload that is not UTF-8 is in `payloadBase64`.' }, ...missing },
      },
    },
    async ({ query: { topic } }) => {
      const message = await retainedMessage(broker, admitted(topic));
      if (message === null) throw notFound('The retained message');
      return messageView(message);
    },
  );
  app.delete<{ Querystring: { topic: string } }>(
    '/api/v1/retained/message',
    {
      schema: {
        tags: ['messages'],
        summary:
          'Clears the retained message of a topic. As with any client, subscribers get the empty message that does it.',
        querystring,
        response: { 204: { description: 'Done, as durable as any.' }, ...missing },
      },
    },
    async ({ query: { topic } }, reply) => {
      if (broker.inspection.retainedAt(admitted(topic)) === null) throw notFound('The retained message');
      await lasting(broker.publish(topic, '', { qos: 1, retain: true }));
      reply.code(204).send();
    },
  );
}

function admitted(topic: string): string {
  const problem = topicNameProblem(topic, topicLevelsMax);
  if (problem !== undefined) throw new RequestError(400, problem);
  // As a filter it would be another topic.
  if (topic.startsWith('$share/')) throw new RequestError(400, 'Nothing can be asked about topics below $share/.');
  return topic;
}

/** From memory, or, if it is only in the store, as a subscriber gets it. */
async function retainedMessage(broker: Broker, topic: string): Promise<LocalMessage | null> {
  const { inspection } = broker;
  if (inspection.retainedAt(topic) === null) return null;
  const known = inspection.retainedMessage(topic);
  if (known !== null) return known;
  const subscription = broker.subscribe(topic);
  const timer = setTimeout(() => subscription.close(), retainedMsMax);
  try {
    for await (const message of subscription) if (message.retain) return message;
    throw new RequestError(503, 'The store did not read it in time.');
  } finally {
    clearTimeout(timer);
    subscription.close();
  }
}

function messageView({ topic, payload, qos, properties, clientId }: LocalMessage): object {
  const text = textOf(payload);
  const shown = text === null ? { payloadBase64: Buffer.from(payload).toString('base64') } : { payload: text };
  const { correlationData, ...rest } = properties;
  const correlation =
    correlationData === undefined ? {} : { correlationDataBase64: Buffer.from(correlationData).toString('base64') };
  return { topic, qos, publisher: clientId, ...shown, properties: { ...rest, ...correlation } };
}

function textOf(payload: Uint8Array): string | null {
  try {
    return decodeUtf8(payload, 0, payload.length);
  } catch {
    return null;
  }
}
