/** The two libraries behind one interface, each used as its documentation says. Only the one that is measured is loaded. */

export interface Contender {
  /** Publishes; `done` is called when the library says that it is. */
  publish(topic: string, payload: Uint8Array, qos: 0 | 1, done: () => void): void;
  /** Subscribes; `received` is called with each message. */
  subscribe(filter: string, qos: 0 | 1, received: (payload: Uint8Array) => void): Promise<void>;
  end(): Promise<void>;
}

export type Library = 'pipit' | 'mqtt.js';

export async function contender(library: Library, url: string, version: 4 | 5): Promise<Contender> {
  return library === 'pipit' ? pipit(url, version) : mqttJs(url, version);
}

async function pipit(url: string, version: 4 | 5): Promise<Contender> {
  const { connect } = await import('@pipit/client');
  const client = connect(url, { version });
  await client.connected();
  return {
    publish: (topic, payload, qos, done) => {
      client.publish(topic, payload, { qos }).then(done, fail);
    },
    subscribe: async (filter, qos, received) => {
      await client.subscribe(filter, { qos, handler: ({ payload }) => received(payload) });
    },
    end: () => client.end(),
  };
}

async function mqttJs(url: string, version: 4 | 5): Promise<Contender> {
  const { connectAsync } = await import('mqtt');
  const client = await connectAsync(url, { protocolVersion: version });
  return {
    publish: (topic, payload, qos, done) => {
      client.publish(topic, payload as Buffer, { qos }, (error) => (error ? fail(error) : done()));
    },
    subscribe: async (filter, qos, received) => {
      client.on('message', (_topic, payload) => received(payload));
      await client.subscribeAsync(filter, { qos });
    },
    end: () => client.endAsync(),
  };
}

function fail(error: unknown): never {
  throw error;
}
