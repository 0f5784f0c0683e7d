/**
 * What a trial is: parties try something together, all at the same time, and it is told apart what went wrong for whom,
 * so that one that fails stops nobody else.
 */
import type { Broker } from './broker.ts';
import { type Client, type Endpoint, type Feature, type Message, transports, versions } from './client.ts';

/** One client in one version over one transport. */
export interface Party {
  readonly client: Client;
  readonly endpoint: Endpoint;
  /** Unique in a trial, and a piece of topic: `MQTT.js/3.1.1/TLS`. */
  readonly name: string;
}

/** Every client in every version over every transport that it and the broker have; `auto`: all on the one port for all. */
export function partiesByTransport(clients: readonly Client[], { addresses }: Broker, auto?: 'auto'): Party[] {
  return clients.flatMap((client) =>
    versions.flatMap((version) =>
      transports.flatMap((transport) => {
        const address = addresses.get(transport === 'Unix' ? transport : (auto ?? transport));
        const unable = client.lacks[transport] !== undefined || (auto !== undefined && transport === 'Unix');
        if (address === undefined || unable) return [];
        return [
          {
            client,
            endpoint: { transport, version, address },
            name: `${client.name}/${version}/${transport}`.replaceAll(' ', '-'),
          },
        ];
      }),
    ),
  );
}

/** Every client in every version, over TCP. */
export function partiesWith(clients: readonly Client[], broker: Broker, feature: Feature): Party[] {
  return partiesByTransport(clients, broker).filter(
    ({ client, endpoint }) => endpoint.transport === 'TCP' && client.lacks[feature] === undefined,
  );
}

export class Faults {
  readonly #faults = new Map<string, string[]>();

  constructor(parties: readonly Party[]) {
    for (const { name } of parties) this.#faults.set(name, []);
  }

  of(party: Party): readonly string[] {
    return this.#faults.get(party.name) ?? ['took no part'];
  }

  add(party: Party, fault: string): void {
    this.#faults.get(party.name)?.push(fault);
  }

  expect(party: Party, what: string, actual: unknown, expected: unknown): void {
    const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (is !== should) this.add(party, `${what}: ${is}, expected ${should}`);
  }

  /** Does something for all parties at the same time; those that fail are left out of the answer. */
  async forAll<T>(
    parties: readonly Party[],
    work: (party: Party, index: number) => Promise<T>,
  ): Promise<Map<Party, T>> {
    const done = new Map<Party, T>();
    await Promise.all(
      parties.map(async (party, index) => {
        try {
          done.set(party, await work(party, index));
        } catch (error) {
          this.add(party, String(error));
        }
      }),
    );
    return done;
  }
}

export type Trial = (parties: readonly Party[]) => Promise<Faults>;

/** The party that publishes for the one of that index: one of another client, where there is another. */
export function partnerOf(parties: readonly Party[], index: number): Party {
  const { client } = parties[index] as Party;
  const others = parties.filter((party) => party.client !== client);
  return (others[index % others.length] ?? parties[index]) as Party;
}

export function publishOne(party: Party, message: Partial<Message> & { topic: string }): Promise<void> {
  const whole = { payload: message.topic, qos: 1, retain: false, ...message } as const;
  return party.client.publish(party.endpoint, [whole]);
}

/** `topic payload QoS`, and whether it came as retained. */
export function shown({ topic, payload, qos, retain }: Message): string {
  return `${topic} "${payload}" QoS ${qos}${retain ? ' retained' : ''}`;
}
