/** mosquitto_pub and mosquitto_sub. */
import { outputOf } from './child.ts';
import type { Endpoint, QoS } from './client.ts';
import { ProgramClient, type Reader } from './program-client.ts';

const noWebSocket = 'the 2.0 programs know no WebSocket';
const versionFlags = { '3.1': 'mqttv31', '3.1.1': 'mqttv311', '5.0': 'mqttv5' } as const;

/**
 * `atReference`: the broker is Mosquitto 2.0.11, which loses track of what it still has to send to a client of MQTT 5.0
 * that wants 20 messages at most at once, as mosquitto_sub does unless told otherwise.
 */
export function mosquittoClient(caFile: string, atReference: boolean): ProgramClient {
  const version = /version (\S+)/.exec(outputOf('mosquitto_sub', ['--help'], 'mosquitto-clients'))?.[1];
  return new ProgramClient({
    name: 'mosquitto',
    description: `mosquitto_pub and mosquitto_sub ${version}`,
    lacks: { WebSocket: noWebSocket, 'secure WebSocket': noWebSocket },
    publish: ['mosquitto_pub'],
    // Its output is a pipe, and it would keep back all but messages.
    subscribe: ['stdbuf', '-oL', 'mosquitto_sub', '-d', '-F', '%j'],
    leave: '-E',
    address: ({ transport, address }: Endpoint) =>
      transport === 'Unix'
        ? ['--unix', `${address}`]
        : ['-h', '127.0.0.1', '-p', `${address}`, ...(transport === 'TLS' ? ['--cafile', caFile] : [])],
    version: (endpoint: Endpoint) => versionFlags[endpoint.version],
    subscribeFlags: ({ version }: Endpoint) =>
      atReference && version === '5.0' ? ['-D', 'connect', 'receive-maximum', '65535'] : [],
    reader: () => read,
  });
}

const read: Reader = (line) => {
  if (line.startsWith('{')) {
    // An empty payload is null.
    const { topic, payload, qos, retain } = JSON.parse(line) as {
      topic: string;
      payload: string | null;
      qos: QoS;
      retain: 0 | 1;
    };
    return { topic, payload: payload ?? '', qos, retain: retain === 1 };
  }
  const granted = /^Subscribed \(mid: \d+\): (.*)$/.exec(line)?.[1];
  if (granted === undefined) return undefined;
  return granted.split(', ').every((code) => Number(code) <= 2) ? 'subscribed' : 'refused';
};
