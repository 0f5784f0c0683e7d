/** The driver of MQTT.js (`driven-client.ts` says how it is spoken to). Argument: the file of the certificate authority. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { connect, type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt';
import type { Endpoint, Message, Subscription } from './client.ts';
import type { Command, Told } from './driven-client.ts';

const ca = readFileSync(process.argv[2] as string);
const protocols = {
  TCP: 'mqtt',
  TLS: 'mqtts',
  WebSocket: 'ws',
  'secure WebSocket': 'wss',
  Unix: 'mqtt+unix',
} as const;
const versionOptions = {
  '3.1': { protocolVersion: 3, protocolId: 'MQIsdp' },
  '3.1.1': { protocolVersion: 4 },
  '5.0': { protocolVersion: 5 },
} as const;

const subscribers = new Map<number, MqttClient>();

function tell(told: Told): void {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

function optionsFor({ transport, version, address }: Endpoint, { durableId, will }: Partial<Subscription>) {
  const options: IClientOptions = { ...versionOptions[version], ca, reconnectPeriod: 0, resubscribe: false };
  if (transport === 'Unix') options.path = address as string;
  else Object.assign(options, { host: '127.0.0.1', port: address, path: '/mqtt' });
  if (durableId !== undefined) {
    Object.assign(options, { clientId: durableId, clean: false });
    if (version === '5.0') options.properties = { sessionExpiryInterval: 3600 };
  }
  if (will !== undefined) {
    const { topic, payload, qos, retain } = will;
    options.will = { topic, payload: Buffer.from(payload), qos, retain };
  }
  return { ...options, protocol: protocols[transport] as NonNullable<IClientOptions['protocol']> };
}

async function connected(
  endpoint: Endpoint,
  subscription: Partial<Subscription>,
  received: (message: Message) => void = () => {},
): Promise<{ client: MqttClient; sessionPresent: boolean }> {
  const client = connect(optionsFor(endpoint, subscription));
  // From the first moment on: a resumed session delivers right behind CONNACK.
  client.on('message', (topic, payload, { qos, retain }) => {
    received({ topic, payload: payload.toString(), qos, retain });
  });
  const { promise, resolve, reject } = Promise.withResolvers<IConnackPacket>();
  client.once('connect', resolve);
  client.on('error', reject);
  client.once('close', () => reject(new Error('closed')));
  const { sessionPresent } = await promise;
  return { client, sessionPresent };
}

async function subscribed({ id, endpoint, subscription }: Command & { do: 'subscribe' | 'visit' }) {
  const { client, sessionPresent } = await connected(endpoint, subscription, (message) => {
    tell({ subscriber: id, message });
  });
  const granted = await client.subscribeAsync([...subscription.filters], { qos: subscription.qos });
  const refused = granted.filter(({ qos }) => qos > 2);
  if (refused.length > 0) throw new Error(`not granted: ${JSON.stringify(refused)}`);
  return { client, sessionPresent };
}

async function run(command: Command): Promise<boolean | undefined> {
  if (command.do === 'publish') {
    const { client } = await connected(command.endpoint, {});
    const publish = ({ topic, payload, qos, retain }: Message) => client.publishAsync(topic, payload, { qos, retain });
    await Promise.all(command.messages.map(publish));
    await client.endAsync();
    return undefined;
  }
  if (command.do === 'end') {
    await subscribers.get(command.subscriber)?.endAsync();
    return undefined;
  }
  const { client, sessionPresent } = await subscribed(command);
  if (command.do === 'subscribe') subscribers.set(command.id, client);
  else await client.endAsync();
  return sessionPresent;
}

createInterface(process.stdin).on('line', (line) => {
  const command = JSON.parse(line) as Command;
  run(command).then(
    (sessionPresent) => tell({ done: command.id, ...(sessionPresent === undefined ? {} : { sessionPresent }) }),
    (error: unknown) => tell({ failed: command.id, why: String(error) }),
  );
});
process.stdin.once('end', () => process.exit());
