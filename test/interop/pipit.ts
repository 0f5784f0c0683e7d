/** `pipit pub` and `pipit sub`, built. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { outputOf } from './child.ts';
import type { Endpoint, Message, QoS } from './client.ts';
import { ProgramClient, type Reader } from './program-client.ts';

export const pipitBin = resolve(import.meta.dirname, '../../packages/cli/bin/pipit.js');

export function pipitVersion(): string {
  if (!existsSync(resolve(pipitBin, '../../dist/index.js'))) throw new Error('Pipit is not built: npm run build');
  return outputOf(process.execPath, [pipitBin, '--version'], 'nodejs').trim();
}

export function pipitClient(caFile: string): ProgramClient {
  return new ProgramClient({
    name: 'pipit',
    description: `pipit pub and sub ${pipitVersion()}`,
    lacks: {},
    publish: [process.execPath, pipitBin, 'pub'],
    subscribe: [process.execPath, pipitBin, 'sub', '-v', '-d'],
    // For secure WebSockets, where it takes no --cafile.
    env: { NODE_EXTRA_CA_CERTS: caFile },
    address: ({ transport, address }: Endpoint) => {
      if (transport === 'Unix') return ['--unix', `${address}`];
      if (transport === 'WebSocket') return ['-L', `ws://127.0.0.1:${address}/mqtt`];
      if (transport === 'secure WebSocket') return ['-L', `wss://127.0.0.1:${address}/mqtt`];
      return ['-h', '127.0.0.1', '-p', `${address}`, ...(transport === 'TLS' ? ['--cafile', caFile] : [])];
    },
    version: (endpoint: Endpoint) => endpoint.version,
    reader,
  });
}

/**
 * With -v a message is `topic payload` on standard output; its QoS and retain flag are in the line that -d writes about
 * its packet on standard error. Whichever comes first, the lines of one topic are in the same order on both.
 */
function reader(): Reader {
  const packets: Pick<Message, 'topic' | 'qos' | 'retain'>[] = [];
  const lines: string[] = [];
  const paired = (): Message | undefined => {
    for (const [at, line] of lines.entries()) {
      const packet = packets.find(({ topic }) => line.startsWith(`${topic} `));
      if (packet === undefined) continue;
      lines.splice(at, 1);
      packets.splice(packets.indexOf(packet), 1);
      const payload = line.slice(packet.topic.length + 1);
      return { ...packet, payload: payload === '(null)' ? '' : payload };
    }
    return undefined;
  };
  return (line) => {
    const granted = /received SUBACK \(m\d+, (.*)\)$/.exec(line)?.[1];
    if (granted !== undefined) return granted.split(', ').every((code) => Number(code) <= 2) ? 'subscribed' : 'refused';
    const [, qos, retain, topic] =
      /received PUBLISH \(d\d, q(\d), r(\d), m\d+, '(.*)', \.\.\. \(\d+ bytes\)\)$/.exec(line) ?? [];
    if (topic !== undefined) packets.push({ topic, qos: Number(qos) as QoS, retain: retain === '1' });
    else if (!/^(Client \S+ )?(sending|received) /.test(line)) lines.push(line);
    return paired();
  };
}
