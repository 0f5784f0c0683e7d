/** The client as the conformance suite drives it. */
import { connect } from '@pipit/client';
import type { ClientDriver } from '@pipit/conformance';

export const pipit: ClientDriver = (settings, received) => {
  const { url, version, clientId, cleanStart, keepAliveSeconds, sessionExpirySeconds, authentication } = settings;
  const { topicAliasMaximum = 0, usesAliases = false } = settings;
  const client = connect(url, {
    version,
    clientId,
    cleanStart,
    keepAliveSeconds,
    sessionExpirySeconds: sessionExpirySeconds ?? 0,
    reconnect: { minMs: 10, maxMs: 50 },
    limits: { topicAliasMaximum, sentTopicAliasMaximum: usesAliases ? 64 : 0 },
    onMessage: ({ topic, payload }) => received({ topic, payload }),
    ...(authentication !== undefined && {
      authentication: { method: authentication.method, data: authentication.data, answer: () => authentication.answer },
    }),
  });
  const connected = client.connected().then(() => undefined);
  // A case may be over before the client is connected, and nobody asks then.
  connected.catch(() => undefined);
  return {
    connected,
    publish: async (topic, payload, options) => {
      await client.publish(topic, payload, options);
    },
    subscribe: async (filter, qos) => {
      await client.subscribe(filter, { qos, handler: ({ topic, payload }) => received({ topic, payload }) });
    },
    reauthenticate: (data) => client.reauthenticate(data),
    disconnect: () => client.end(),
    destroy: () => client.destroy(),
  };
};
