/** Clients, sessions, subscriptions and queues: who is there, what they have, what happened to them; and ending them. */

import { filterMatches, parseFilter, ReasonCode } from '@pipit/protocol';
import type { SessionView, SubscriptionView } from '../core/index.ts';
import type { PastEvent } from './history.ts';
import { type PageQuery, pageFor, pageOf, pageQuery } from './paging.ts';
import { lasting, notFound } from './request-error.ts';
import type { Service } from './server.ts';
import { whyNot } from './why.ts';

interface Named {
  Params: { clientId: string };
}

const params = { type: 'object', properties: { clientId: { type: 'string' } } };
const missing = { 404: { description: 'There is no such client.' } };
const prefix = { type: 'string', description: 'Only client ids that begin with this.' };
const waitingMax = 100;

export function addClientRoutes(service: Service): void {
  addLists(service);
  addClient(service);
  addAnswers(service);
}

function addLists({ app, broker, cursors }: Service): void {
  app.get<{ Querystring: PageQuery & { prefix?: string } }>(
    '/api/v1/clients',
    {
      schema: {
        tags: ['clients'],
        summary: 'Clients that are connected.',
        querystring: pageQuery({ prefix }),
        response: pageOf('Clients'),
      },
    },
    ({ query }) => {
      const { prefix: begin = '' } = query;
      const shows = ({ connection }: SessionView): boolean => connection !== null;
      return pageFor(cursors, `clients ${begin}`, query, () => broker.inspection.sessions(shows, begin));
    },
  );
  const states = ['connected', 'away', 'waiting'] as const;
  app.get<{ Querystring: PageQuery & { prefix?: string; state?: (typeof states)[number] } }>(
    '/api/v1/sessions',
    {
      schema: {
        tags: ['clients'],
        summary: 'Sessions, connected or not.',
        querystring: pageQuery({
          prefix,
          state: { enum: states, description: '`waiting`: those for which messages wait in a queue.' },
        }),
        response: pageOf('Sessions'),
      },
    },
    ({ query }) => {
      const { prefix: begin = '', state } = query;
      const shows = (session: SessionView): boolean => isIn(session, state);
      return pageFor(cursors, `sessions ${state} ${begin}`, query, () => broker.inspection.sessions(shows, begin));
    },
  );
  app.get<{ Querystring: PageQuery & { filter?: string; topic?: string } }>(
    '/api/v1/subscriptions',
    {
      schema: {
        tags: ['clients'],
        summary: 'Subscriptions of all clients.',
        querystring: pageQuery({
          filter: { type: 'string', description: 'Only those of this filter, as it was subscribed to.' },
          topic: { type: 'string', description: 'Only those that match this topic.' },
        }),
        response: pageOf('Subscriptions'),
      },
    },
    ({ query }) => {
      const { filter, topic } = query;
      const asked = filter === undefined ? null : parseFilter(filter);
      const shows = (each: SubscriptionView): boolean =>
        (asked === null || (each.filter === asked.filter && each.shareName === asked.shareName)) &&
        (topic === undefined || filterMatches(each.filter, topic));
      return pageFor(cursors, `subscriptions ${JSON.stringify([filter, topic])}`, query, () =>
        broker.inspection.subscriptions(shows),
      );
    },
  );
}

function isIn({ connection, queue, isLocal }: SessionView, state: string | undefined): boolean {
  if (state === 'connected') return connection !== null;
  if (state === 'away') return connection === null && !isLocal;
  return state === undefined || queue.messages > 0;
}

function addClient({ app, broker }: Service): void {
  app.get<Named>(
    '/api/v1/clients/:clientId',
    {
      schema: {
        tags: ['clients'],
        summary: 'A client and its session.',
        params,
        response: { 200: { description: 'It.', type: 'object' }, ...missing },
      },
    },
    ({ params: { clientId } }) => {
      const session = broker.inspection.session(clientId);
      if (session === null) throw notFound('The client');
      return session;
    },
  );
  const gone = { 204: { description: 'Done.' }, ...missing };
  app.delete<Named & { Querystring: { reason?: string } }>(
    '/api/v1/clients/:clientId',
    {
      schema: {
        tags: ['clients'],
        summary: 'Disconnects a client (0x98). Its session stays, if it was meant to.',
        params,
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: { reason: { type: 'string', maxLength: 1024, description: 'What the client is told.' } },
        },
        response: gone,
      },
    },
    ({ params: { clientId }, query: { reason = 'an operator disconnected it' } }, reply) => {
      if (!broker.disconnect(clientId, ReasonCode.AdministrativeAction, reason)) throw notFound('The client');
      reply.code(204).send();
    },
  );
  app.delete<Named>(
    '/api/v1/sessions/:clientId',
    {
      schema: {
        tags: ['clients'],
        summary:
          'Ends a session with all that waits for it; its client is disconnected first. Answers once that lasts.',
        params,
        response: gone,
      },
    },
    async ({ params: { clientId } }, reply) => {
      if (!(await lasting(broker.endSession(clientId)))) throw notFound('The session');
      reply.code(204).send();
    },
  );
}

function addAnswers({ app, broker, cursors, history }: Service): void {
  app.get<Named & { Querystring: PageQuery }>(
    '/api/v1/clients/:clientId/subscriptions',
    {
      schema: {
        tags: ['clients'],
        summary: 'What a client has subscribed to.',
        params,
        querystring: pageQuery(),
        response: { ...pageOf('Subscriptions'), ...missing },
      },
    },
    ({ params: { clientId }, query }) => {
      if (broker.inspection.session(clientId) === null) throw notFound('The client');
      return pageFor(cursors, `of ${clientId}`, query, () => broker.inspection.subscriptionsOf(clientId));
    },
  );
  app.get<Named>(
    '/api/v1/clients/:clientId/queue',
    {
      schema: {
        tags: ['clients'],
        summary: `What waits for a client: how much, and the first ${waitingMax} in memory, without payloads.`,
        params,
        response: { 200: { description: 'It.', type: 'object' }, ...missing },
      },
    },
    ({ params: { clientId } }) => {
      const session = broker.inspection.session(clientId);
      if (session === null) throw notFound('The client');
      const { queue, inFlight } = session;
      return { ...queue, inFlight, first: broker.inspection.waiting(clientId, waitingMax) };
    },
  );
  app.get<Named>(
    '/api/v1/clients/:clientId/events',
    {
      schema: {
        tags: ['why'],
        summary: 'What happened to a client lately, the oldest first. Also one that is not here any more.',
        params,
        response: { 200: { description: 'Events.', type: 'object' } },
      },
    },
    ({ params: { clientId } }) => ({ items: history.of(clientId).map(eventView) }),
  );
  app.get<Named & { Querystring: { topic?: string } }>(
    '/api/v1/clients/:clientId/why',
    {
      schema: {
        tags: ['why'],
        summary: 'Why a message of a topic did, or would, not reach a client.',
        params,
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: { topic: { type: 'string', description: 'Absent: anything about the client.' } },
        },
        response: { 200: { description: 'Findings, the weightiest first.', type: 'object' } },
      },
    },
    ({ params: { clientId }, query: { topic } }) => ({
      clientId,
      topic: topic ?? null,
      findings: whyNot(broker.inspection, history, clientId, topic ?? null),
    }),
  );
}

/** Times in ISO 8601, the rest as it was told. */
export function eventView({ number, time, event }: PastEvent): object {
  return { number, time: new Date(time).toISOString(), ...event };
}
