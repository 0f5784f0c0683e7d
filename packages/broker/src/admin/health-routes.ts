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
    const problems = problemsOf(broker);
    reply.code(problems.length === 0 ? 200 : 503);
    return { status: problems.length === 0 ? 'ready' : 'not ready', problems };
  });
}

function problemsOf(broker: Service['broker']): string[] {
  if (!broker.isRunning) return ['the broker does not run'];
  const { storeFails, storeIsFull, isStopping } = broker.inspection.totals();
  return [
    ...(isStopping ? ['the broker is shutting down'] : []),
    ...(storeFails ? ['the store fails'] : []),
    ...(storeIsFull ? ['the store is full'] : []),
  ];
}
