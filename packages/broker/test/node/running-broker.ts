/** A broker for the length of a test, and waiting for what it tells. */

import {
  type Broker,
  type BrokerOptions,
  createBroker,
  type EventOf,
  type EventType,
  type ListenerOptions,
} from '../../src/index.ts';

/** Runs a broker with one listener for the length of `body`. */
export async function withBroker(
  listener: ListenerOptions,
  body: (port: number, broker: Broker) => Promise<void>,
  options: BrokerOptions = {},
): Promise<void> {
  const broker = createBroker({ ...options, listeners: [listener] });
  await broker.start();
  try {
    await body(broker.listeners[0]?.port ?? 0, broker);
  } finally {
    await broker.stop();
  }
}

export function nextEvent<T extends EventType>(broker: Broker, type: T): Promise<EventOf<T>> {
  return new Promise((done) => {
    const handler = (event: EventOf<T>): void => {
      broker.off(type, handler);
      done(event);
    };
    broker.on(type, handler);
  });
}
