/** MQTT.js as the client under test. */
import type { ClientDriver, ClientSettings } from '@pipit/conformance';
import { connect, type IClientOptions } from 'mqtt';

function optionsOf(settings: ClientSettings): IClientOptions {
  const { version, clientId, cleanStart, keepAliveSeconds, sessionExpirySeconds, topicAliasMaximum, usesAliases } =
    settings;
  const { authentication } = settings;
  const properties = {
    ...(sessionExpirySeconds !== undefined && { sessionExpiryInterval: sessionExpirySeconds }),
    ...(topicAliasMaximum !== undefined && { topicAliasMaximum }),
    ...(authentication !== undefined && {
      authenticationMethod: authentication.method,
      authenticationData: Buffer.from(authentication.data),
    }),
  };
  return {
    protocolVersion: version,
    clientId,
    clean: cleanStart,
    keepalive: keepAliveSeconds,
    reconnectPeriod: 10,
    resubscribe: false,
    ...(usesAliases === true && { autoAssignTopicAlias: true, autoUseTopicAlias: true }),
    ...(version === 5 && { properties }),
  };
}

export const mqttJs: ClientDriver = (settings, received) => {
  const client = connect(settings.url, optionsOf(settings));
  client.on('error', () => {});
  client.on('message', (topic, payload) => received({ topic, payload }));
  const { authentication } = settings;
  if (authentication !== undefined) {
    client.handleAuth = (_, done) => {
      const properties = {
        authenticationMethod: authentication.method,
        authenticationData: Buffer.from(authentication.answer),
      };
      done(undefined, { cmd: 'auth', reasonCode: 0x18, properties });
    };
  }
  const connected = new Promise<void>((done) => client.once('connect', () => done()));
  return {
    connected,
    publish: async (topic, payload, { qos, retain = false, properties = {} }) => {
      const { subscriptionIdentifiers, messageExpiryInterval, responseTopic } = properties;
      const [subscriptionIdentifier] = subscriptionIdentifiers ?? [];
      const given = {
        ...(subscriptionIdentifier !== undefined && { subscriptionIdentifier }),
        ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
        ...(responseTopic !== undefined && { responseTopic }),
      };
      const list = Object.keys(given).length === 0 ? {} : { properties: given };
      await client.publishAsync(topic, Buffer.from(payload), { qos, retain, ...list });
    },
    subscribe: async (filter, qos) => {
      await client.subscribeAsync(filter, { qos });
    },
    disconnect: () => client.endAsync(),
    destroy: () => client.end(true),
  };
};
