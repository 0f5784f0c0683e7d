/**
 * What a principal may publish and receive: ordered rules over topic filters, evaluated synchronously.
 *
 * The first rule that applies decides; where there are rules and none applies the answer is no. A subscription is granted by a
 * rule that covers the whole filter asked for; single topics below it may still be denied, and are then not delivered. The rules
 * are one object shared by all sessions they were given to: changing them (`replace`) changes them for all at once.
 */

import { filterMatches, parseFilter, type QoS, ReasonCode, splitTopic } from '@pipit/protocol';

export interface Rule {
  readonly effect: 'allow' | 'deny';
  /** `subscribe`: to ask for a filter and to receive what matches; `request`: to ask only, whatever of it is then received. */
  readonly action: 'publish' | 'subscribe' | 'request' | 'all';
  /**
   * A topic filter. `${name}` in it stands for a value of the subject (see `Subject`). A filter with a share name,
   * `$share/group/filter`, is about shared subscriptions only; `+` stands for any group.
   */
  readonly filter: string;
  /** Only these principals, and members of these groups; '' is whoever is nobody in particular. Both absent: everybody. */
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
  /** Only messages published with, or subscriptions asked for at, one of these. Absent: all. */
  readonly qos?: readonly QoS[];
  /** Only messages published with RETAIN set (true) or not set (false). Absent: both. Nothing else asks. */
  readonly retain?: boolean;
  /** What a deny answers (5.0): 0x80 or above; default 0x87 Not authorized. */
  readonly reasonCode?: number;
}

/** Who asks. */
export interface Subject {
  /** The principal; '' for nobody in particular. */
  readonly name: string;
  /** Groups it is in beside those that the rules know of (see `Groups`). */
  readonly groups: readonly string[];
  /** What stands for `${name}` in filters. A rule whose name has no value here does not apply. */
  readonly values: Readonly<Record<string, string>>;
  /** Names whose value cannot stand for one level. */
  readonly unfit?: readonly string[];
  /** Which authority let it in, in that one's words, and by what: another mark is another password. */
  readonly via?: string;
  readonly mark?: string;
  /** The set of users and rules that it came in by (see `Terms`); absent: the one that has no name. */
  readonly access?: string;
}

/** The members of each group, by principal. */
export type Groups = Readonly<Record<string, readonly string[]>>;

/** What is asked of the rules. */
export type Deed =
  | { readonly action: 'publish'; readonly topic: string; readonly qos: QoS; readonly retain: boolean }
  | {
      readonly action: 'subscribe';
      readonly filter: string;
      readonly shareName?: string | undefined;
      readonly qos: QoS;
    };

/**
 * What a rule is not about: this action, this subject, this QoS, RETAIN as it is, this share name, this topic or filter; or it
 * speaks of a value that the subject does not have.
 */
export type Mismatch = 'action' | 'subject' | 'qos' | 'retain' | 'share' | 'value' | 'topic';

interface Compiled extends Rule {
  readonly shareName: string | undefined;
  readonly plain: string;
  readonly isTemplate: boolean;
}

/** The rules that some permissions share. */
class RuleBook {
  rules: readonly Compiled[] = [];
  /** How often they were written. */
  revision = 0;
  /** The groups of each principal. */
  private memberships = new Map<string, Set<string>>();

  write(rules: readonly Rule[], groups: Groups): void {
    this.revision++;
    this.rules = rules.map(compile);
    this.memberships = new Map();
    for (const [group, members] of Object.entries(groups)) {
      for (const member of members) {
        const known = this.memberships.get(member);
        if (known === undefined) this.memberships.set(member, new Set([group]));
        else known.add(group);
      }
    }
  }

  isAbout({ users, groups }: Rule, subject: Subject): boolean {
    if (users === undefined && groups === undefined) return true;
    if (users?.includes(subject.name) === true) return true;
    const known = this.memberships.get(subject.name);
    return groups?.some((group) => known?.has(group) === true || subject.groups.includes(group)) === true;
  }
}

const nobody: Subject = { name: '', groups: [], values: {} };

export class Permissions {
  /** Who they are for. */
  subject: Subject = nobody;
  /** The rules came with the login and are this subject's own: they are kept with its session. */
  readonly isOwn: boolean;
  private book = new RuleBook();

  constructor(rules: readonly Rule[], groups: Groups = {}, { isOwn = false }: { readonly isOwn?: boolean } = {}) {
    this.isOwn = isOwn;
    this.book.write(rules, groups);
  }

  get rules(): readonly Rule[] {
    return this.book.rules;
  }

  /** The same rules for somebody in particular. Throws a TypeError for a value that is no `isFilterValue`. */
  for(subject: Subject): Permissions {
    for (const [name, value] of Object.entries(subject.values)) {
      if (!isFilterValue(value))
        throw new TypeError(`The value of \${${name}} cannot stand for one level of a filter.`);
    }
    const permissions = new Permissions([], {}, { isOwn: this.isOwn });
    permissions.book = this.book;
    permissions.subject = subject;
    return permissions;
  }

  /** Takes effect at once, for all who share the rules; the core has to be told, by `permissionsChanged`, which calls this, or `review`. */
  replace(rules: readonly Rule[], groups: Groups = {}): void {
    this.book.write(rules, groups);
  }

  /** Rises with each `replace`. */
  get revision(): number {
    return this.book.revision;
  }

  sharesRulesWith(other: Permissions): boolean {
    return this.book === other.book;
  }

  /** Names that stand as `${name}` in the rules. */
  get names(): ReadonlySet<string> {
    const found = this.book.rules.flatMap(({ filter }) => [...filter.matchAll(template)].map(([, name]) => name ?? ''));
    return new Set(found);
  }

  /** 0, or the reason code of the refusal. */
  publish(topic: string, qos: QoS, retain: boolean): number {
    return answerOf(this.decide({ action: 'publish', topic, qos, retain }));
  }

  /** Whether this filter may be subscribed to at this QoS: 0, or the reason code. */
  subscribe(filter: string, qos: QoS, shareName?: string): number {
    return answerOf(this.decide({ action: 'subscribe', filter, shareName, qos }));
  }

  /**
   * Whether messages of this topic may be delivered: 0, or the reason code; by a shared subscription of that name, or else by one of its
   * own. The QoS was decided upon when it was subscribed to: what is allowed at one QoS is received, and what is denied at some only is
   * not denied here.
   */
  receive(topic: string, shareName?: string): number {
    return answerOf(this.decideReceive(topic, shareName));
  }

  /** The rule by which `receive` answers; null when none applies, which is a no. */
  decideReceive(topic: string, shareName?: string): Rule | null {
    for (const rule of this.book.rules) {
      if (rule.action !== 'subscribe' && rule.action !== 'all') continue;
      if (!isAboutShare(rule, shareName) || rule.retain !== undefined) continue;
      if (rule.effect === 'deny' && rule.qos !== undefined) continue;
      if (!this.book.isAbout(rule, this.subject)) continue;
      const filter = this.filterOf(rule);
      if (filter !== null && filterMatches(filter, topic)) return rule;
    }
    return null;
  }

  /** The rule that decides; null when none applies, which is a no. */
  decide(deed: Deed): Rule | null {
    for (const rule of this.book.rules) if (this.mismatch(rule, deed) === null) return rule;
    return null;
  }

  /** Why each of the rules does not apply, up to the one that does: as many as there are when none decides. */
  explain(deed: Deed): Mismatch[] {
    const found: Mismatch[] = [];
    for (const rule of this.book.rules) {
      const mismatch = this.mismatch(rule, deed);
      if (mismatch === null) break;
      found.push(mismatch);
    }
    return found;
  }

  /** What is different between the rule and the deed; null: the rule applies. */
  private mismatch(rule: Compiled, deed: Deed): Mismatch | null {
    if (!isAboutAction(rule, deed)) return 'action';
    if (!this.book.isAbout(rule, this.subject)) return 'subject';
    if (rule.qos?.includes(deed.qos) === false) return 'qos';
    if (deed.action === 'subscribe' ? rule.retain !== undefined : (rule.retain ?? deed.retain) !== deed.retain)
      return 'retain';
    if (!isAboutShare(rule, deed.action === 'publish' ? undefined : deed.shareName)) return 'share';
    const filter = this.filterOf(rule);
    if (filter === null) return 'value';
    const covers = deed.action === 'publish' ? filterMatches(filter, deed.topic) : filterCovers(filter, deed.filter);
    return covers ? null : 'topic';
  }

  /** The rule's filter for this subject; null when it speaks of a value that the subject does not have. */
  private filterOf(rule: Compiled): string | null {
    if (!rule.isTemplate) return rule.plain;
    const { values } = this.subject;
    let isWhole = true;
    const filter = rule.plain.replace(template, (_, name: string) => {
      const value = Object.hasOwn(values, name) ? values[name] : undefined;
      isWhole &&= value !== undefined;
      return value ?? '';
    });
    return isWhole ? filter : null;
  }
}

const template = /\$\{([^}]*)\}/g;

/** Whether a text can stand for `${name}` in a filter: one level at most, that is no wildcard, nor the first of topics that are not for all. */
export function isFilterValue(value: string): boolean {
  return /^[^$+#/][^+#/]*$/.test(value) && !value.includes('\0');
}

function compile(rule: Rule): Compiled {
  const { shareName, filter: plain } = parseFilter(rule.filter);
  return { ...rule, shareName, plain, isTemplate: plain.search(template) >= 0 };
}

function isAboutAction({ action }: Rule, deed: Deed): boolean {
  return action === 'all' || action === deed.action || (action === 'request' && deed.action === 'subscribe');
}

/** A rule without a share name is about filters with one too, and not the other way round. */
function isAboutShare(rule: Compiled, shareName: string | undefined): boolean {
  if (rule.shareName === undefined) return true;
  return shareName !== undefined && (rule.shareName === '+' || rule.shareName === shareName);
}

function answerOf(rule: Rule | null): number {
  return rule?.effect === 'allow' ? 0 : (rule?.reasonCode ?? ReasonCode.NotAuthorized);
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
