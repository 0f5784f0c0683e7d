/** Pipit as the broker under test: set up so that every fact the suite can be told is there to tell. */
import type {
  Acceptance,
  AuthenticationRequest,
  Authority,
  Broker,
  Capabilities,
  Limits,
  Rule,
  Verdict,
} from '@pipit/broker';
import { createBroker, Permissions } from '@pipit/broker';
import type { Facts } from '@pipit/conformance';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const facts: Facts = {
  rejected: { username: 'nobody', password: 'wrong' },
  rejectedClientId: 'unwelcome',
  deniedTopic: 'conformance/denied',
  enhanced: { method: 'riddle', data: bytes('hello'), answer: bytes('42'), wrongAnswer: bytes('41') },
};

const rules: readonly Rule[] = [
  { effect: 'deny', action: 'all', filter: 'conformance/denied' },
  { effect: 'allow', action: 'all', filter: '#' },
  { effect: 'allow', action: 'all', filter: '$conformance/#' },
];

class RiddleAuthority implements Authority {
  readonly #acceptance: Acceptance;

  constructor(capabilities: Capabilities) {
    this.#acceptance = { outcome: 'accept', principal: null, permissions: new Permissions(rules), capabilities };
  }

  authenticate(request: AuthenticationRequest): Verdict {
    if (request.clientId === facts.rejectedClientId) return { outcome: 'refuse', reasonCode: 0x85 };
    if (request.username === facts.rejected?.username) {
      return { outcome: 'refuse', reasonCode: 0x86, reason: 'a reason that is longer than a small packet may be' };
    }
    if (request.method === null) return this.#acceptance;
    if (request.method !== facts.enhanced?.method) return { outcome: 'refuse', reasonCode: 0x8c };
    if (request.kind !== 'continue') {
      return { outcome: 'continue', data: bytes('?'), reason: 'a reason that is longer than a small packet may be' };
    }
    const answer = new TextDecoder().decode(request.data ?? new Uint8Array(0));
    return answer === '42' ? this.#acceptance : { outcome: 'refuse', reasonCode: 0x87 };
  }
}

export interface RunningPipit {
  readonly broker: Broker;
  readonly url: string;
  readonly facts: Facts;
}

/** Nothing but QoS 0 and 1 and plain filters. */
export const limitedCapabilities: Capabilities = {
  maximumQoS: 1,
  retain: false,
  wildcards: false,
  shared: false,
  subscriptionIdentifiers: false,
};

type CreateBroker = typeof createBroker;

/** Starts a broker on free ports. `make`: another createBroker, such as a mutant's. */
export async function startPipit(
  capabilities: Capabilities = {},
  limits: Partial<Limits> = {},
  make: CreateBroker = createBroker,
): Promise<RunningPipit> {
  const broker = make({
    authority: new RiddleAuthority(capabilities),
    limits,
    listeners: [
      { type: 'tcp', port: 0 },
      { type: 'ws', port: 0 },
    ],
  });
  await broker.start();
  const [tcp, ws] = broker.listeners.map(({ url }) => url);
  return { broker, url: tcp as string, facts: { ...facts, webSocketUrl: ws as string } };
}
