/**
 * Who may connect and what they may do, as one thing that can be exchanged while the broker runs.
 *
 * A plan is made whole before it counts (`planAccess` in node/access.ts); from `replace` on every login and every publish goes by
 * the new one, and the core is then given `review` for who is there already. The rules live in one set of permissions all along, so
 * that a change of rules counts for everybody at once.
 */

import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Authority, Groups, Holder, Rule, Standing, Subject } from '../core/index.ts';
import { Permissions, type Verdict } from '../core/index.ts';
import { BackOff } from './back-off.ts';
import { chain, type Judge, type Word } from './chain.ts';
import { type Identification, permitted, subjectWith, unfitName, unfitReason } from './permitting.ts';

/** What a judge could not do: an authority that does not answer, keys that cannot be had. */
export interface AccessFailure {
  /** The type of the authority: `http`, `jwt`. */
  readonly authority: string;
  readonly reason: string;
}

export interface PlannedJudge {
  /** As it is called in configurations. Who was let in by it stays so by whatever has the same type. */
  readonly type: string;
  make(onFailure: (reason: string) => void): Judge;
}

export interface AccessPlan {
  /** Null: nobody is asked who they are, and everybody gets in as nobody in particular. */
  readonly judges: readonly PlannedJudge[] | null;
  /** Null: everything is allowed, unless there are judges; then nothing is. */
  readonly rules: readonly Rule[] | null;
  readonly groups: Groups;
}

const open = 'open';
const openAcceptance = { outcome: 'accept', principal: null, via: open } as const satisfies Identification;
/** May do nothing, whatever the rules say. */
const nothing = new Permissions([]);

export class Access implements Authority {
  /** Told when a judge could not do its work. The login was refused. */
  onFailure: ((failure: AccessFailure) => void) | null = null;
  private readonly permissions = new Permissions([]);
  private readonly backOff = new BackOff();
  private judges: readonly { readonly type: string; readonly judge: Judge }[] | null = null;
  private authority: Authority | null = null;
  private isRuled = false;
  /** Counts plans. */
  private epoch = 0;

  constructor(plan: AccessPlan) {
    this.replace(plan);
  }

  /** From now on this plan, for every login, publish and delivery. Who is there already is settled by a review (`Core.reviewed`). */
  replace({ judges, rules, groups }: AccessPlan): void {
    this.epoch++;
    this.judges =
      judges?.map(({ type, make }) => ({
        type,
        judge: make((reason) => this.onFailure?.({ authority: type, reason })),
      })) ?? null;
    this.authority = this.judges === null ? null : chain(this.judges.map(tagged), this.backOff);
    this.isRuled = rules !== null || judges !== null;
    this.permissions.replace(rules ?? [], groups);
  }

  authenticate(request: AuthenticationRequest): Verdict | Promise<Verdict> {
    return this.authority === null ? this.openVerdict(request) : this.ask(this.authority, request);
  }

  private async ask(authority: Authority, request: AuthenticationRequest): Promise<Verdict> {
    const { epoch } = this;
    const verdict = await authority.authenticate(request);
    if (verdict.outcome !== 'accept') return verdict;
    const answer = permitted(request, verdict, this.permissions);
    // The plan may have changed while it was asked.
    if (answer.outcome !== 'accept' || epoch === this.epoch) return answer;
    const { principal, permissions = null } = answer;
    const { clientId, peer } = request;
    const standing = this.review({ clientId, principal, peer, permissions });
    if (standing.ends !== null)
      return { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized, reason: standing.ends };
    const { permissions: _, ...rest } = answer;
    return { ...rest, ...(standing.permissions !== null && { permissions: standing.permissions }) };
  }

  /** What the holder of a session may do by this plan, without asking anybody. */
  readonly review = ({ clientId, principal, peer, permissions }: Holder): Standing => {
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
  };

  private openVerdict(request: AuthenticationRequest): Verdict {
    // To accept a method that was never run would tell the client that it had been [MQTT-4.12.0-1].
    if (request.method !== null) return { outcome: 'refuse', reasonCode: ReasonCode.BadAuthenticationMethod };
    return this.isRuled ? permitted(request, openAcceptance, this.permissions) : openAcceptance;
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
