/**
 * What a principal may publish and receive: ordered rules over topic filters, evaluated synchronously.
 *
 * The first rule that applies decides; where there are rules and none applies the answer is no. A subscription is granted by a
 * rule that covers the whole filter asked for; single topics below it may still be denied, and are then not delivered. The set
 * is one object shared by all sessions it was given to: changing it (`replace`) changes them all at once, and `epoch` tells.
 */

import { filterMatches, ReasonCode, splitTopic } from '@pipit/protocol';

export interface Rule {
  readonly effect: 'allow' | 'deny';
  readonly action: 'publish' | 'subscribe' | 'all';
  /** A topic filter, without share name. */
  readonly filter: string;
  /** What a deny answers (5.0): 0x80 or above; default 0x87 Not authorized. */
  readonly reasonCode?: number;
}

export class Permissions {
  private rules: readonly Rule[];
  /** Rises with every change. */
  epoch = 1;

  constructor(rules: readonly Rule[]) {
    this.rules = rules;
  }

  /** Takes effect at once; tell the core by `permissionsChanged`, which calls this. */
  replace(rules: readonly Rule[]): void {
    this.rules = rules;
    this.epoch++;
  }

  /** 0, or the reason code of the refusal. */
  publish(topic: string): number {
    return this.decide('publish', (rule) => filterMatches(rule.filter, topic));
  }

  /** Whether messages of this topic may be delivered: 0, or the reason code. */
  receive(topic: string): number {
    return this.decide('subscribe', (rule) => filterMatches(rule.filter, topic));
  }

  /** Whether this filter (without share name) may be subscribed to: 0, or the reason code. */
  subscribe(filter: string): number {
    return this.decide('subscribe', (rule) => filterCovers(rule.filter, filter));
  }

  private decide(action: 'publish' | 'subscribe', applies: (rule: Rule) => boolean): number {
    for (const rule of this.rules) {
      if ((rule.action !== action && rule.action !== 'all') || !applies(rule)) continue;
      return rule.effect === 'allow' ? 0 : (rule.reasonCode ?? ReasonCode.NotAuthorized);
    }
    return ReasonCode.NotAuthorized;
  }
}

/** Whether every topic that matches `narrow` also matches `wide`. */
export function filterCovers(wide: string, narrow: string): boolean {
  const wideLevels = splitTopic(wide);
  const narrowLevels = splitTopic(narrow);
  if (narrow.startsWith('$') && (wideLevels[0] === '#' || wideLevels[0] === '+')) return false;
  for (let i = 0; ; i++) {
    const a = wideLevels[i];
    const b = narrowLevels[i];
    if (a === '#') return true;
    if (a === undefined || b === undefined) return a === b;
    if (b === '#' || (a !== '+' && a !== b)) return false;
  }
}
