/**
 * Who may connect and what they may do, as one thing that can be exchanged while the broker runs.
 *
 * A plan is made whole before it counts (`planAccess` in node/access.ts); from `replace` on every login and every publish goes by
 * the new one, and the core is then given `review` for who is there already. Each set of users and rules has a gate of its own (gate.ts);
 * which one a client comes by, its listener says (`Terms.access`), and its session remembers.
 */

import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Authority, Groups, Holder, Standing, Verdict } from '../core/index.ts';
import { type AccessSet, Gate } from './gate.ts';

/** What a judge could not do: an authority that does not answer, keys that cannot be had. */
export interface AccessFailure {
  /** The type of the authority: `http`, `jwt`. */
  readonly authority: string;
  readonly reason: string;
}

/** A set for the listeners that name none, and others by their names. */
export interface AccessPlan extends AccessSet {
  readonly groups: Groups;
  readonly sets?: ReadonlyMap<string, AccessSet>;
}

const noGate = 'its listener names users and rules that are not there';

export class Access implements Authority {
  /** Told when a judge could not do its work. The login was refused. */
  onFailure: ((failure: AccessFailure) => void) | null = null;
  private readonly gates = new Map<string, Gate>();
  /** For whom there is none any more. */
  private readonly shut = this.newGate('');

  constructor(plan: AccessPlan) {
    this.replace(plan);
  }

  /** From now on this plan, for every login, publish and delivery. Who is there already is settled by a review (`Core.reviewed`). */
  replace(plan: AccessPlan): void {
    const sets = new Map<string, AccessSet>([...(plan.sets ?? []), ['', plan]]);
    for (const [name, gate] of this.gates) {
      if (sets.has(name)) continue;
      gate.shut();
      this.gates.delete(name);
    }
    for (const [name, set] of sets) {
      const gate = this.gates.get(name) ?? this.newGate(name);
      this.gates.set(name, gate);
      gate.set(set, plan.groups);
    }
  }

  authenticate(request: AuthenticationRequest): Verdict | Promise<Verdict> {
    const gate = this.gates.get(request.peer.terms?.access ?? '');
    return gate?.authenticate(request) ?? { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized, reason: noGate };
  }

  /** What the holder of a session may do by this plan, without asking anybody. */
  readonly review = (holder: Holder): Standing => {
    return (this.gates.get(holder.permissions?.subject.access ?? '') ?? this.shut).review(holder);
  };

  private newGate(name: string): Gate {
    return new Gate(name, (authority, reason) => this.onFailure?.({ authority, reason }));
  }
}
