/**
 * One set of users and rules: who gets in by it, and what whoever got in may do, as long as the set is what it is.
 *
 * The rules live in one set of permissions all along, so that a change of rules counts for everybody at once.
 */

import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Authority, Groups, Holder, Rule, Standing, Subject } from '../core/index.ts';
import { Permissions, type Verdict } from '../core/index.ts';
import { BackOff } from './back-off.ts';
import { chain, type Judge, type Word } from './chain.ts';
import { type Identification, permitted, subjectWith, unfitName, unfitReason } from './permitting.ts';

export interface PlannedJudge {
  /** As it is called in configurations. Who was let in by it stays so by whatever has the same type. */
  readonly type: string;
  make(onFailure: (reason: string) => void): Judge;
}

export interface AccessSet {
  /** Null: nobody is asked who they are, and everybody gets in as nobody in particular. */
  readonly judges: readonly PlannedJudge[] | null;
  /** Null: everything is allowed, unless there are judges; then nothing is. */
  readonly rules: readonly Rule[] | null;
  /**
   * Whose names these are: before a session counts as somebody's own, it stands before the name. Sets that know people by the same
   * names have the same; absent: names stand for themselves.
   */
  readonly realm?: string;
}

const open = 'open';
/** May do nothing, whatever the rules say. */
const nothing = new Permissions([]);
/** What a set with a name allows where nothing else is said: with rules, so that its name is kept with the session. */
const everything: readonly Rule[] = [
  { effect: 'allow', action: 'all', filter: '#' },
  { effect: 'allow', action: 'subscribe', filter: '$SYS/#' },
];

export class Gate implements Authority {
  private readonly name: string;
  private readonly onFailure: (authority: string, reason: string) => void;
  private readonly permissions = new Permissions([]);
  private readonly backOff = new BackOff();
  private judges: readonly { readonly type: string; readonly judge: Judge }[] | null = null;
  private authority: Authority | null = null;
  private isRuled = false;
  private realm = '';
  /** Counts what it was set to. */
  private epoch = 0;

  /** `name`: of its set; '': the one for whom no listener says another. Lets in nobody before it was set. */
  constructor(name: string, onFailure: (authority: string, reason: string) => void) {
    this.name = name;
    this.onFailure = onFailure;
    this.shut();
  }

  set({ judges, rules, realm = '' }: AccessSet, groups: Groups): void {
    this.epoch++;
    this.realm = realm;
    this.judges =
      judges?.map(({ type, make }) => ({ type, judge: make((reason) => this.onFailure(type, reason)) })) ?? null;
    this.authority = this.judges === null ? null : chain(this.judges.map(tagged), this.backOff);
    const granted = rules ?? (this.name !== '' && judges === null ? everything : null);
    this.isRuled = granted !== null || judges !== null;
    this.permissions.replace(granted ?? [], groups);
  }

  /** From now on nobody gets in, and who is in may do nothing. */
  shut(): void {
    this.set({ judges: [], rules: [] }, {});
  }

  authenticate(request: AuthenticationRequest): Verdict | Promise<Verdict> {
    if (this.authority !== null) return this.ask(this.authority, request);
    // To accept a method that was never run would tell the client that it had been [MQTT-4.12.0-1].
    if (request.method !== null) return { outcome: 'refuse', reasonCode: ReasonCode.BadAuthenticationMethod };
    return this.admit(request, { outcome: 'accept', principal: null, via: open });
  }

  private async ask(authority: Authority, request: AuthenticationRequest): Promise<Verdict> {
    const { epoch } = this;
    const verdict = await authority.authenticate(request);
    if (verdict.outcome !== 'accept') return verdict;
    const answer = this.admit(request, verdict);
    // It may have been set anew while it was asked.
    if (answer.outcome !== 'accept' || epoch === this.epoch) return answer;
    const { principal, permissions = null } = answer;
    const { clientId, peer } = request;
    const standing = this.review({ clientId, principal, peer, permissions });
    if (standing.ends !== null)
      return { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized, reason: standing.ends };
    const { permissions: _, ...rest } = answer;
    return { ...rest, ...(standing.permissions !== null && { permissions: standing.permissions }) };
  }

  /** Who was identified, with what it may do. */
  private admit(request: AuthenticationRequest, identification: Identification): Verdict {
    const known = this.name === '' ? identification : { ...identification, access: this.name };
    const answer = permitted(request, known, this.isRuled ? this.permissions : null);
    if (answer.outcome !== 'accept' || answer.principal === null || this.realm === '') return answer;
    return { ...answer, principal: `${this.realm}:${answer.principal}` };
  }

  /** What the holder of a session that came in here may do now, without asking anybody. */
  review({ clientId, principal, peer, permissions }: Holder): Standing {
    // Where nobody was asked and there were no rules, there were no permissions either.
    const subject =
      permissions?.subject ??
      subjectWith(
        { principal, ...(peer !== null && { via: open }) },
        { clientId, username: principal ?? undefined, 'cert.cn': peer?.certificate?.commonName },
      );
    const word = this.wordFor(subject, peer);
    if (word === 'gone') return { permissions: nothing.for(subject), ends: 'is not let in any more' };
    const ends = word === 'stale' ? 'has to authenticate again: the password was changed' : null;
    if (!this.isRuled) return { permissions: null, ends };
    const isCurrent = permissions !== null && (permissions.isOwn || permissions.sharesRulesWith(this.permissions));
    const current = isCurrent ? permissions : this.permissions.for(subject);
    const unfit = unfitName(current, subject);
    if (unfit !== undefined) return { permissions: nothing.for(subject), ends: unfitReason(unfit) };
    return { permissions: current, ends };
  }

  private wordFor(subject: Subject, peer: Holder['peer']): Word {
    const { judges } = this;
    // Of what was recorded before rights were, the rules alone decide.
    if (judges === null || subject.via === undefined) return 'stands';
    // Who came in unasked is whom an anonymous judge lets in.
    const type = subject.via === open ? 'anonymous' : subject.via;
    const words = judges
      .filter((each) => each.type === type)
      .map(({ judge }) => judge.wordFor?.(subject, peer) ?? 'stands');
    return words.find((word) => word === 'stands') ?? words.find((word) => word === 'stale') ?? 'gone';
  }
}

/** The judge, saying that it was the one. */
function tagged({ type, judge }: { readonly type: string; readonly judge: Judge }): Judge {
  return {
    async authenticate(request) {
      const answer = await judge.authenticate(request);
      return answer.outcome === 'accept' ? ({ ...answer, via: type } satisfies Identification) : answer;
    },
  };
}
