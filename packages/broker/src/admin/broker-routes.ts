/** The broker as a whole: its numbers, its metrics, its configuration, its log, what happened lately. */

import type { FastifyReply } from 'fastify';
import { eventView } from './client-routes.ts';
import { metricsRegistry } from './metrics.ts';
import { RequestError } from './request-error.ts';
import type { Service } from './server.ts';

export function addBrokerRoutes(service: Service): void {
  addReports(service);
  addSettings(service);
}

function addReports({ app, broker, options, history }: Service): void {
  const registry = metricsRegistry(broker);
  app.get(
    '/metrics',
    { schema: { tags: ['broker'], summary: 'Metrics in the text format of Prometheus.', produces: ['text/plain'] } },
    async (_, reply: FastifyReply) => {
      reply.type(registry.contentType).serializer(String);
      return registry.metrics();
    },
  );
  app.get('/api/v1/openapi.json', { schema: { hide: true } }, () => app.swagger());
  app.get(
    '/api/v1/broker',
    {
      schema: {
        tags: ['broker'],
        summary: 'Version, listeners, what is kept, and how much there is of everything.',
        response: { 200: { description: 'It.', type: 'object' } },
      },
    },
    () => ({
      version: options.version ?? null,
      durability: broker.durability,
      listeners: broker.listeners.map(({ type, url }) => ({ type, url })),
      ...broker.inspection.totals(),
    }),
  );
  app.get<{ Querystring: { limit: number; type?: string } }>(
    '/api/v1/events',
    {
      schema: {
        tags: ['why'],
        summary: 'What happened lately, the newest first.',
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
            type: { type: 'string', description: 'Only events of this type.' },
          },
        },
        response: { 200: { description: 'Events.', type: 'object' } },
      },
    },
    ({ query: { limit, type } }) => {
      const items: object[] = [];
      for (const past of history.latest()) {
        if (items.length === limit) break;
        if (type === undefined || past.event.type === type) items.push(eventView(past));
      }
      return { items };
    },
  );
}

function addSettings({ app, options }: Service): void {
  const { configuration, reload, logLevels } = options;
  app.get(
    '/api/v1/configuration',
    {
      schema: {
        tags: ['broker'],
        summary: 'The configuration in effect, defaults included, secrets left out.',
        response: { 200: { description: 'It.', type: 'object' } },
      },
    },
    () => {
      if (configuration === undefined) throw new RequestError(404, 'This broker has no configuration of its own.');
      return configuration();
    },
  );
  app.post(
    '/api/v1/reload',
    {
      schema: {
        tags: ['broker'],
        summary: 'Reads the configuration again, and applies it whole or not at all. No connection is dropped.',
        response: {
          200: { description: 'Applied: what has changed, and what needs a restart.', type: 'object' },
          422: { description: 'Refused, with every problem; nothing has changed.' },
        },
      },
    },
    () => {
      if (reload === undefined) throw new RequestError(404, 'This broker has no configuration of its own.');
      return reload();
    },
  );
  const levels = { type: 'object', additionalProperties: { type: 'string' } };
  app.get(
    '/api/v1/log-levels',
    {
      schema: {
        tags: ['broker'],
        summary: 'What is logged, by area.',
        response: { 200: { description: 'Levels.', ...levels } },
      },
    },
    () => logLevelsOf(logLevels).read(),
  );
  app.patch<{ Body: Record<string, string> }>(
    '/api/v1/log-levels',
    {
      schema: {
        tags: ['broker'],
        summary: 'Changes what is logged, until the next start or reload.',
        body: levels,
        response: { 200: { description: 'All levels.', ...levels } },
      },
    },
    ({ body }) => {
      const log = logLevelsOf(logLevels);
      try {
        log.change(body);
      } catch (error) {
        if (error instanceof RangeError) throw new RequestError(400, error.message);
        throw error;
      }
      return log.read();
    },
  );
}

function logLevelsOf(logLevels: Service['options']['logLevels']): NonNullable<Service['options']['logLevels']> {
  if (logLevels === undefined) throw new RequestError(404, 'This broker has no log of its own.');
  return logLevels;
}
