/** Bans: who is kept out, and keeping somebody out. */

import { type Ban, type BanType, banTypes } from '../auth/ban-list.ts';
import { type PageQuery, pageFor, pageOf, pageQuery } from './paging.ts';
import { lasting, notFound, RequestError } from './request-error.ts';
import type { Service } from './server.ts';

const type = { enum: banTypes };
const value = { type: 'string', minLength: 1, description: 'A client id, a user name, or an address or range.' };

export function addBanRoutes({ app, broker, cursors }: Service): void {
  app.get<{ Querystring: PageQuery }>(
    '/api/v1/bans',
    {
      schema: {
        tags: ['bans'],
        summary: 'Who is kept out.',
        querystring: pageQuery(),
        response: pageOf('Bans'),
      },
    },
    ({ query }) => pageFor(cursors, 'bans', query, () => listed(broker.bans())),
  );
  app.post<{ Body: Ban & { endSessions: boolean } }>(
    '/api/v1/bans',
    {
      schema: {
        tags: ['bans'],
        summary: 'Keeps somebody out from now on; whoever is connected and meant is disconnected.',
        body: {
          type: 'object',
          required: ['type', 'value'],
          additionalProperties: false,
          properties: {
            type,
            value,
            reason: { type: 'string', description: 'The client gets to read it.' },
            endSessions: {
              type: 'boolean',
              default: false,
              description: 'End the sessions of the client or user, too, with what waits for them.',
            },
            until: { type: 'string', description: 'ISO 8601 with a time zone; absent: until it is lifted.' },
          },
        },
        response: { 200: { description: 'The ban as it is kept.', type: 'object' } },
      },
    },
    ({ body: { endSessions, ...ban } }) => {
      return lasting(broker.ban(ban, { endSessions })).catch((error: unknown) => {
        if (error instanceof TypeError) throw new RequestError(400, error.message);
        throw unwritten(error);
      });
    },
  );
  app.delete<{ Querystring: { type: BanType; value: string } }>(
    '/api/v1/bans',
    {
      schema: {
        tags: ['bans'],
        summary: 'Lets somebody in again. What stands in the configuration is lifted there.',
        querystring: {
          type: 'object',
          required: ['type', 'value'],
          additionalProperties: false,
          properties: { type, value },
        },
        response: { 204: { description: 'Done.' }, 404: { description: 'There is no such ban, or not here.' } },
      },
    },
    async ({ query }, reply) => {
      const isLifted = await broker.unban(query.type, query.value).catch((error: unknown) => {
        throw unwritten(error);
      });
      if (!isLifted) throw notFound('The ban');
      reply.code(204).send();
    },
  );
}

function* listed<Item>(all: Iterable<Item>): Generator<Item | null, void, void> {
  yield* all;
}

/** What is done counts, and ends with the process. */
function unwritten(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined || error instanceof RequestError) return error;
  return new RequestError(503, `It is done, until the broker stops: the file of bans cannot be written (${code}).`);
}
