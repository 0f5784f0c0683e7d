/** A trace as a stream of JSON lines: what happens to messages and connections, as it happens, until its limit. */

import type { ServerResponse } from 'node:http';
import { filterMatches } from '@pipit/protocol';
import type { Broker } from '../node/broker.ts';
import type { AnyEvent } from '../node/event-hub.ts';
import { RequestError } from './request-error.ts';
import type { Service } from './server.ts';

interface TraceQuery {
  clientId?: string;
  address?: string;
  filter?: string;
  events: number;
  seconds: number;
}

/** Of a reader that does not keep up; then lines are left out, and counted. */
const unreadBytesMax = 1024 * 1024;

const querystring = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  anyOf: [{ required: ['clientId'] }, { required: ['address'] }, { required: ['filter'] }],
  properties: {
    clientId: { type: 'string', minLength: 1 },
    address: { type: 'string', minLength: 1, description: 'An IP address.' },
    filter: { type: 'string', minLength: 1, description: 'A topic filter.' },
    events: { type: 'integer', minimum: 1, maximum: 10_000, default: 1000, description: 'It ends after so many.' },
    seconds: { type: 'integer', minimum: 1, maximum: 3600, default: 60, description: 'And after so long.' },
  },
};

export function addTraceRoutes({ app, broker }: Service): void {
  app.get<{ Querystring: TraceQuery }>(
    '/api/v1/trace',
    {
      exposeHeadRoute: false,
      schema: {
        tags: ['why'],
        summary:
          'Follows a client, an address or topics live. What is given must all fit. No payloads. Ends by count, by time, or when nobody reads it.',
        querystring,
        response: { 200: { description: 'A line of JSON for each step (application/x-ndjson).' } },
      },
    },
    (request, reply) => {
      const { clientId, address, filter, events, seconds } = request.query;
      const asked = {
        ...(clientId !== undefined && { clientId }),
        ...(address !== undefined && { address }),
        ...(filter !== undefined && { filter }),
      };
      const trace = begin(broker, { ...asked, eventsMax: events, durationMs: seconds * 1000 });
      reply.hijack();
      // It may well be silent for long.
      request.raw.socket.setTimeout(0);
      new TraceStream(broker, trace, request.query, reply.raw);
    },
  );
}

function begin(broker: Broker, request: Parameters<Broker['trace']>[0]): number {
  let trace: number | null;
  try {
    trace = broker.trace(request);
  } catch (error) {
    if (error instanceof RangeError) throw new RequestError(400, error.message);
    throw error;
  }
  if (trace === null) throw new RequestError(429, 'As many traces as there may be run already.');
  return trace;
}

class TraceStream {
  readonly #trace: number;
  readonly #query: TraceQuery;
  readonly #response: ServerResponse;
  /** Events that are not the trace's own count, too. */
  #left: number;
  #missed = 0;

  constructor(broker: Broker, trace: number, query: TraceQuery, response: ServerResponse) {
    this.#trace = trace;
    this.#query = query;
    this.#response = response;
    this.#left = query.events;
    broker.on('event', this.#told);
    response.once('close', () => {
      broker.off('event', this.#told);
      if (broker.isRunning) broker.endTrace(trace);
    });
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    this.#line({ step: 'begun' });
  }

  readonly #told = (event: AnyEvent): void => {
    if (event.type === 'trace-ended') {
      if (event.trace === this.#trace) this.#end(event.reason);
    } else if (event.type === 'traced') {
      if (event.trace !== this.#trace) return;
      const { type: _, trace: __, ...step } = event;
      this.#write(step);
    } else if (this.#left > 0 && concerns(this.#query, event)) {
      this.#left--;
      const { type: step, ...facts } = event;
      this.#write({ step, ...facts });
    }
  };

  #write(facts: object): void {
    if (this.#response.writableLength > unreadBytesMax) {
      this.#missed++;
      return;
    }
    if (this.#missed > 0) this.#line({ step: 'missed', count: this.#missed });
    this.#missed = 0;
    this.#line(facts);
  }

  #line(facts: object): void {
    this.#response.write(`${JSON.stringify({ time: new Date().toISOString(), ...facts })}\n`);
  }

  #end(reason: string): void {
    if (this.#missed > 0) this.#line({ step: 'missed', count: this.#missed });
    this.#line({ step: 'ended', reason });
    this.#response.end();
  }
}

/** Whether an event of the broker belongs beside what the trace itself tells. */
function concerns({ clientId, address, filter }: TraceQuery, event: AnyEvent): boolean {
  // Each of these is a step of its own.
  if (event.type === 'dropped' || event.type === 'publish-refused') return false;
  const facts = event as { clientId?: string | null; peer?: { address: string }; topic?: string };
  if (clientId !== undefined && facts.clientId !== clientId) return false;
  const from = facts.peer?.address ?? '';
  if (address !== undefined && !(from.startsWith(`${address}:`) || from.startsWith(`[${address}]:`))) return false;
  return filter === undefined || (facts.topic !== undefined && filterMatches(filter, facts.topic));
}
