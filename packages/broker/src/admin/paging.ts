/** What all lists of the API have in common: how they are asked for a page, and what that looks like. */

import type { Cursors, Listing, Page } from './cursors.ts';
import { RequestError } from './request-error.ts';

export interface PageQuery {
  readonly cursor?: string;
  readonly limit: number;
}

/** The query of a list with these filters of its own. */
export function pageQuery(filters: Readonly<Record<string, object>> = {}): object {
  return {
    type: 'object',
    additionalProperties: false,
    properties: {
      limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'Items of a page at most.' },
      cursor: { type: 'string', description: '`next` of the page before. Good for one request and a minute.' },
      ...filters,
    },
  };
}

/** What a list answers. */
export function pageOf(what: string): object {
  return {
    200: {
      description: `${what}; \`next\` is the cursor of the next page, or null. A page may be short and go on.`,
      type: 'object',
      properties: {
        items: { type: 'array', items: { type: 'object' } },
        next: { type: ['string', 'null'] },
      },
    },
    410: { description: 'The cursor is not known any more: begin anew.' },
  };
}

/** Rejects with a RequestError for a cursor that leads nowhere. `of` names the list with its filters. */
export async function pageFor<Item>(
  cursors: Cursors,
  of: string,
  { cursor, limit }: PageQuery,
  begin: () => Listing<Item>,
): Promise<Page<Item>> {
  if (cursor === undefined) return cursors.begin(of, begin(), limit);
  const page = await cursors.resume<Item>(of, cursor, limit);
  if (page === null) throw new RequestError(410, 'The cursor is not known any more: begin anew.');
  return page;
}
