/** Who may connect: honest peers under a name of their own; hostile ones as their user name asks, under rules that change. */

import type { AuthenticationRequest, Connection, TopicMapping, Verdict } from '../../src/core/index.ts';
import { Permissions, type Rule } from '../../src/core/permissions.ts';

/** Nobody may publish where the honest pair does. */
const denied: Rule = { effect: 'deny', action: 'publish', filter: 'honest/#' };
const rules: readonly (readonly Rule[])[] = [
  [denied, { effect: 'allow', action: 'all', filter: '#' }, { effect: 'allow', action: 'subscribe', filter: '$SYS/#' }],
  [
    denied,
    { effect: 'deny', action: 'subscribe', filter: 'x', reasonCode: 0x83 },
    { effect: 'allow', action: 'all', filter: '+' },
  ],
];

const prefix = 'mapped/';
const mapping: TopicMapping = {
  topicIn: (topic) => (topic.endsWith('!') ? null : prefix + topic),
  topicOut: (topic) => (topic.startsWith(prefix) && topic.length > prefix.length ? topic.slice(prefix.length) : null),
  filterIn: (filter) => (filter.startsWith('$share') ? null : prefix + filter),
};

interface Question {
  readonly connection: Connection;
  readonly exchange: number;
  readonly request: AuthenticationRequest;
}

export const userNames = ['low', 'mapped', 'short', 'late', 'no', 'moved', 'unsendable', 'other'] as const;

export class Authority {
  readonly permissions = new Permissions(rules[0] as readonly Rule[]);
  readonly open: Question[] = [];
  private changes = 0;

  /** Undefined: the answer comes later, or never. */
  ask(question: Question): Verdict | undefined {
    const { request } = question;
    if (request.peer.address.startsWith('honest')) return { outcome: 'accept', principal: 'honest' };
    if (request.username === 'late') {
      this.open.push(question);
      return undefined;
    }
    return this.decide(request);
  }

  nextRules(): readonly Rule[] {
    return rules[++this.changes % rules.length] as readonly Rule[];
  }

  decide(request: AuthenticationRequest): Verdict {
    if (request.method !== null && request.kind !== 'continue') return { outcome: 'continue', data: Uint8Array.of(1) };
    const { permissions } = this;
    const accept = { outcome: 'accept', principal: null, permissions } as const;
    if (request.kind === 'continue') {
      const isRight = request.data?.[0] !== 0;
      return isRight ? { ...accept, data: Uint8Array.of(2) } : { outcome: 'refuse', reasonCode: 0x87 };
    }
    switch (request.username) {
      case 'low':
        return {
          ...accept,
          capabilities: {
            maximumQoS: 1,
            retain: false,
            wildcards: false,
            shared: false,
            subscriptionIdentifiers: false,
          },
          limits: {
            receiveMaximum: 2,
            packetBytesMax: 200,
            keepAliveMax: 5,
            sessionExpiryMax: 50,
            topicAliasMaximum: 1,
          },
        };
      case 'mapped':
        return { ...accept, mapping, capabilities: { deliveredQoS: 'published' } };
      case 'short':
        return { ...accept, expiresInMs: 5_000, reason: 'for a while', userProperties: [['a', 'b']] };
      case 'no':
        return { outcome: 'refuse', reasonCode: 0x86 };
      case 'moved':
        return { outcome: 'refuse', reasonCode: 0x9d, serverReference: 'elsewhere', reason: 'x'.repeat(300) };
      case 'unsendable':
        return { outcome: 'refuse', reasonCode: 0x87, reason: 'x'.repeat(70_000) };
      case 'other':
        return { ...accept, principal: 'other' };
      default:
        return accept;
    }
  }
}
