/** What somebody who was let in may do: the broker's rules, for this principal in particular. */

import { ReasonCode } from '@pipit/protocol';
import type {
  Acceptance,
  AuthenticationRequest,
  Authority,
  Permissions,
  Refusal,
  Subject,
  Verdict,
} from '../core/index.ts';
import { isFilterValue } from '../core/index.ts';

/** A judge's acceptance with what it knows of the principal beside its name. */
export interface Identification extends Acceptance {
  readonly groups?: readonly string[];
  /** For templates: `claim.site` → `north`. */
  readonly values?: Readonly<Record<string, string>>;
  /** See `Subject`. */
  readonly via?: string;
  readonly mark?: string;
  readonly access?: string;
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
      return verdict.outcome === 'accept' ? permitted(request, verdict, permissions) : verdict;
    },
  };
}

/** The acceptance with permissions for its subject; null: it may do everything. */
export function permitted(
  request: AuthenticationRequest,
  identification: Identification,
  broker: Permissions | null,
): Acceptance | Refusal {
  const { groups: _, values: _values, via: _via, mark: _mark, access: _access, ...acceptance } = identification;
  const permissions = identification.permissions ?? broker;
  if (permissions === null) return acceptance;
  const subject = subjectOf(request, identification);
  const unfit = unfitName(permissions, subject);
  return unfit === undefined ? { ...acceptance, permissions: permissions.for(subject) } : refusalFor(unfit);
}

/** A name that the rules use and whose value cannot stand in them. */
export function unfitName(permissions: Permissions, { unfit }: Subject): string | undefined {
  return unfit?.find((name) => permissions.names.has(name));
}

function subjectOf(request: AuthenticationRequest, identification: Identification): Subject {
  const { principal, values, assignedClientId } = identification;
  return subjectWith(identification, {
    ...values,
    clientId: assignedClientId ?? request.clientId,
    username: principal ?? undefined,
    'cert.cn': request.peer.certificate?.commonName,
  });
}

/** Of `known`, what has no value is left out, and what cannot stand for one level is named. */
export function subjectWith(
  {
    principal,
    groups = [],
    via,
    mark,
    access,
  }: Pick<Identification, 'principal' | 'groups' | 'via' | 'mark' | 'access'>,
  known: Readonly<Record<string, string | undefined>>,
): Subject {
  const values: Record<string, string> = {};
  const unfit: string[] = [];
  for (const [name, value] of Object.entries(known)) {
    if (value === undefined || value === '') continue;
    if (isFilterValue(value)) values[name] = value;
    else unfit.push(name);
  }
  return {
    name: principal ?? '',
    groups,
    values,
    ...(unfit.length > 0 && { unfit }),
    ...(via !== undefined && { via }),
    ...(mark !== undefined && { mark }),
    ...(access !== undefined && { access }),
  };
}

function refusalFor(name: string): Refusal {
  const reasonCode = name === 'clientId' ? ReasonCode.ClientIdentifierNotValid : ReasonCode.NotAuthorized;
  return { outcome: 'refuse', reasonCode, reason: unfitReason(name) };
}

export function unfitReason(name: string): string {
  return `${name} has a character in it that rules about it cannot take: + # or /, or $ at its beginning`;
}
