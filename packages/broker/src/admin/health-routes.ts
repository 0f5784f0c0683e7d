/** Whether the broker is alive, and whether it should be sent clients: for who asks every second, without a token. */

import type { Service } from './server.ts';

export function addHealthRoutes({ app, broker }: Service): void {
  const isOpen = { config: { isOpen: true } };
  const health = { tags: ['health'], security: [], response: { 200: { description: 'Yes.' } } };
  app.get('/health/live', { ...isOpen, schema: { ...health, summary: 'Whether the process answers.' } }, () => ({
    status: 'live',
  }));
  const ready = {
    ...health,
    summary: 'Whether clients should be sent here.',
    response: { 200: { description: 'Yes.' }, 503: { description: 'No, and why.' } },
  };
  app.get('/health/ready', { ...isOpen, schema: ready }, (_, reply) => {
    const { isReady, problems } = readiness(broker);
    reply.code(isReady ? 200 : 503);
    return { status: isReady ? 'ready' : 'not ready', problems };
  });
}

function readiness({ isRunning, inspection }: Service['broker']): { isReady: boolean; problems: string[] } {
  if (!isRunning) return { isReady: false, problems: ['the broker does not run'] };
  const { storeFails, storeIsFull, isStopping } = inspection.totals();
  const problems = [
    ...(isStopping ? ['the broker is shutting down'] : []),
    ...(storeFails ? ['the store fails'] : []),
    ...(storeIsFull ? ['the store is full'] : []),
  ];
  // Of a full store those who come for their messages make room: they have to be let in.
  return { isReady: !isStopping && !storeFails, problems };
}
