/** What somebody who was let in may do: the broker's rules, for this principal in particular. */

import { ReasonCode } from '@pipit/protocol';
import type { Acceptance, AuthenticationRequest, Authority, Permissions, Refusal, Verdict } from '../core/index.ts';
import { isFilterValue } from '../core/index.ts';

/** A judge's acceptance with what it knows of the principal beside its name. */
export interface Identification extends Acceptance {
  readonly groups?: readonly string[];
  /** For templates: `claim.site` → `north`. */
  readonly values?: Readonly<Record<string, string>>;
}

/**
 * Gives whoever `authority` accepts the permissions as its own, unless the verdict has some already. Templates know `clientId`,
 * `username` (the principal), `cert.cn`, and what the judge told. Who has a value there that is no single level is refused: it would
 * be given a part of the topics that it chose itself.
 */
export function permitting(authority: Authority, permissions: Permissions): Authority {
  return {
    async authenticate(request) {
      const verdict: Verdict | Identification = await authority.authenticate(request);
      if (verdict.outcome !== 'accept' || verdict.permissions !== undefined) return verdict;
      return permitted(request, verdict, permissions);
    },
  };
}

function permitted(
  request: AuthenticationRequest,
  verdict: Identification,
  permissions: Permissions,
): Acceptance | Refusal {
  const { groups = [], values: told = {}, ...acceptance } = verdict;
  const { principal } = acceptance;
  const known: Record<string, string | undefined> = {
    ...told,
    clientId: acceptance.assignedClientId ?? request.clientId,
    username: principal ?? undefined,
    'cert.cn': request.peer.certificate?.commonName,
  };
  const values: Record<string, string> = {};
  for (const name of permissions.names) {
    const value = Object.hasOwn(known, name) ? known[name] : undefined;
    if (value === undefined || value === '') continue;
    if (!isFilterValue(value)) return unfit(name);
    values[name] = value;
  }
  return { ...acceptance, permissions: permissions.for({ name: principal ?? '', groups, values }) };
}

function unfit(name: string): Refusal {
  const reasonCode = name === 'clientId' ? ReasonCode.ClientIdentifierNotValid : ReasonCode.NotAuthorized;
  return {
    outcome: 'refuse',
    reasonCode,
    reason: `${name} has a character in it that rules about it cannot take: + # or /`,
  };
}
