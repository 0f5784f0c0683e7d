/**
 * The server of the HTTP API: who is let in, what is done at most, and how failures are told (RFC 9457).
 *
 * Without a token there is nothing but the health checks. Every request that changes something is an event with the name of the
 * token it was made with.
 */

import { STATUS_CODES } from 'node:http';
import { type SecureContextOptions, Server as TlsServer } from 'node:tls';
import swagger from '@fastify/swagger';
import { DecodeError, EncodeError, reasonCodeName } from '@pipit/protocol';
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { Violation } from '../core/index.ts';
import type { Broker } from '../node/broker.ts';
import { ConfigurationError } from '../node/config-settings.ts';
import { ListenError, listenError } from '../node/listen-error.ts';
import { defaultHost, hostAndPort } from '../node/listener-options.ts';
import { PublishError } from '../node/program-publish.ts';
import { secureContextOptions } from '../node/tls-options.ts';
import type { AdminOptions } from './admin.ts';
import { addBanRoutes } from './ban-routes.ts';
import { addBrokerRoutes } from './broker-routes.ts';
import { addClientRoutes } from './client-routes.ts';
import { Cursors } from './cursors.ts';
import { addHealthRoutes } from './health-routes.ts';
import { History } from './history.ts';
import { addMessageRoutes } from './message-routes.ts';
import { RequestError } from './request-error.ts';
import { TokenFileError, type Tokens } from './tokens.ts';
import { addTraceRoutes } from './trace-routes.ts';

/** What every route works with. */
export interface Service {
  readonly app: FastifyInstance;
  readonly broker: Broker;
  readonly options: AdminOptions;
  readonly cursors: Cursors;
  readonly history: History;
}

const routes: readonly ((service: Service) => void)[] = [
  addHealthRoutes,
  addBrokerRoutes,
  addClientRoutes,
  addBanRoutes,
  addMessageRoutes,
  addTraceRoutes,
];

const socketsMax = 128;
const requestTimeoutMs = 30_000;
/** A payload of the greatest packet there is by default, in base64. */
const bodyBytesMax = 24 * 1024 * 1024;
/** Client ids stand in paths. */
const pathPartLengthMax = 16_384;

/** Rejects with a ListenError. */
export async function openServer(
  broker: Broker,
  options: AdminOptions,
  tokens: Tokens,
): Promise<{ url: string; close: () => Promise<void>; certify: (context: SecureContextOptions) => void }> {
  const { host = defaultHost, port, tls } = options;
  const settings = {
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    connectionTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: pathPartLengthMax },
    // What is not known is refused, not left out; and nothing is taken for what it is not.
    ajv: { customOptions: { removeAdditional: false as const, coerceTypes: false as const } },
    schemaErrorFormatter: (errors: ValidationError[], part: string) => new RequestError(400, sentenceOf(errors, part)),
  };
  const app: FastifyInstance =
    tls === undefined ? fastify(settings) : fastify({ ...settings, https: secureContextOptions(tls) });
  app.server.maxConnections = socketsMax;
  const scheme = tls === undefined ? 'http' : 'https';
  const name = (actual: number): string => `${scheme}://${hostAndPort(host, actual)}`;
  let url = name(port);
  const history = new History(broker);
  const cursors = new Cursors();
  guard(app, broker, tokens, () => url);
  // What is said is described in the document; nothing is left out of it for that.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value, asTime));
  await describe(app, options);
  const service: Service = { app, broker, options, cursors, history };
  for (const add of routes) add(service);
  const close = async (): Promise<void> => {
    history.close();
    cursors.close();
    await app.close();
  };
  try {
    await app.listen({ host, port });
  } catch (error) {
    await close();
    throw listenError(hostAndPort(host, port), error as { code?: string; message?: string });
  }
  const address = app.server.address();
  if (typeof address === 'object' && address !== null) url = name(address.port);
  // Over TLS or not is decided once.
  const certify = (context: SecureContextOptions): void => {
    if (app.server instanceof TlsServer) app.server.setSecureContext(context);
  };
  return { url, close, certify };
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The name of the token it came with. */
    tokenName: string;
  }
  interface FastifyContextConfig {
    /** Asks for no token. */
    isOpen?: boolean;
  }
}

function guard(app: FastifyInstance, broker: Broker, tokens: Tokens, url: () => string): void {
  app.decorateRequest('tokenName', '');
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.isOpen === true) return;
    const token = tokens.find(request.headers.authorization);
    const isChange = request.method !== 'GET' && request.method !== 'HEAD';
    if (token !== null && (token.right === 'write' || !isChange)) {
      request.tokenName = token.name;
      return;
    }
    const reason = token === null ? 'an HTTP request without a valid token' : 'an HTTP request beyond its token';
    broker.report({ type: 'turned-away', listener: url(), address: addressOf(request), reason, count: 1 });
    if (token === null) reply.header('www-authenticate', 'Bearer');
    const detail = token === null ? 'A valid bearer token is needed.' : 'This token may only read.';
    throw new RequestError(token === null ? 401 : 403, detail);
  });
  // A query is text: its numbers are read here, and judged by their schema like those of a body.
  app.addHook('preValidation', async (request) => {
    const { properties = {} } = (request.routeOptions.schema?.querystring ?? {}) as { properties?: Properties };
    const query = request.query as Record<string, unknown>;
    for (const [name, value] of Object.entries(query)) {
      if (properties[name]?.type === 'integer' && /^\d{1,15}$/.test(String(value))) query[name] = Number(value);
    }
  });
  app.addHook('onResponse', async (request, reply) => {
    if (request.tokenName === '' || request.method === 'GET' || request.method === 'HEAD') return;
    const { method, url: path, tokenName: token } = request;
    const action = `${method} ${path}`;
    broker.report({ type: 'administered', token, address: addressOf(request), action, status: reply.statusCode });
  });
  app.setErrorHandler<FastifyError>((error, _, reply) => {
    const { status, ...problem } = problemOf(error);
    if (status >= 500 && !(error instanceof RequestError)) broker.report({ type: 'fault', where: 'admin', error });
    sendProblem(reply, status, problem);
  });
  app.setNotFoundHandler((_, reply) => sendProblem(reply, 404, { detail: 'There is no such resource.' }));
}

/** Times are numbers inside the process, and ISO 8601 in answers, as those of events are. */
function asTime(name: string, value: unknown): unknown {
  const isTime = (name === 'awaySince' || name === 'expiresAt') && typeof value === 'number';
  return isTime ? new Date(value).toISOString() : value;
}

type Properties = Readonly<Record<string, { readonly type?: string } | undefined>>;

interface ValidationError {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
}

/** `body.properties.userProperties.0 must be array`. */
function sentenceOf([error]: readonly ValidationError[], part: string): string {
  if (error === undefined) return `${part} is invalid.`;
  const { instancePath, keyword, params, message = 'is invalid' } = error;
  const where = `${part}${instancePath.replaceAll('/', '.')}`;
  if (keyword === 'additionalProperties') return `${where}.${params['additionalProperty']} is not known.`;
  const allowed = keyword === 'enum' ? `: ${(params['allowedValues'] as unknown[]).join(', ')}` : '';
  return `${where} ${message}${allowed}.`;
}

function sendProblem(reply: FastifyReply, status: number, problem: object): void {
  // A stream that has begun can only be cut off.
  if (reply.raw.headersSent) return void reply.raw.destroy();
  reply.code(status).type('application/problem+json');
  reply.send({ title: STATUS_CODES[status] ?? 'Error', status, ...problem });
}

function problemOf(error: FastifyError): { status: number; detail: string; problems?: readonly string[] } {
  if (error instanceof RequestError) return { status: error.statusCode, detail: error.message };
  if (error instanceof PublishError) return { status: 422, detail: `${reasonCodeName(error.reasonCode)}.` };
  if (error instanceof ConfigurationError)
    return { status: 422, detail: 'The configuration was refused; nothing has changed.', problems: error.problems };
  if (error instanceof ListenError || error instanceof TokenFileError) {
    return { status: 422, detail: 'Nothing has changed.', problems: [error.message] };
  }
  if (error instanceof Violation || error instanceof EncodeError || error instanceof DecodeError) {
    return { status: 400, detail: error.message };
  }
  const { statusCode = 500, message } = error;
  return statusCode < 500 ? { status: statusCode, detail: message } : { status: 500, detail: 'An internal error.' };
}

function addressOf({ socket }: FastifyRequest): string {
  const { remoteAddress = 'unknown', remotePort = 0 } = socket;
  return hostAndPort(remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), remotePort);
}

async function describe(app: FastifyInstance, { version = '0' }: AdminOptions): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Pipit', description: 'The HTTP API of a Pipit broker.', version },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
  });
}
