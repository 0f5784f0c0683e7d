/**
 * What a case is, and how families of cases are written down. A case says what any correct broker does, shows it by
 * effects (who received what, then silence), and passes every answer the standard allows.
 *
 * An id is a statement of the standard, if need be with a word behind it (`MQTT-1.5.4-1 topic`), or a name of our own:
 * `5.0/<section> <what>` for errors without a statement, `3.1/<what>` for MQTT 3.1, `info/<what>` for what is open.
 */
import type { ProtocolVersion } from '@pipit/protocol';
import type { Bench } from './bench.ts';

export interface Case {
  readonly id: string;
  readonly title: string;
  readonly version: ProtocolVersion;
  /** The statements it shows; its own id when it has none. */
  readonly statements: readonly string[];
  /** `information`: nothing to pass or fail; what `run` resolves to is the finding. */
  readonly kind: 'statement' | 'information';
  /** Waits for something of a second or more: started first, beside the others. */
  readonly isSlow: boolean;
  /** Throws a Mismatch or NotApplicable; for information, resolves to the finding, a string. */
  readonly run: (bench: Bench) => Promise<unknown>;
}

export type Run = Case['run'];

/** The statement or own name an id begins with. */
export function statementOf(id: string): string {
  return id.startsWith('MQTT') ? (id.split(' ')[0] as string) : id;
}

export function versionOf(id: string): ProtocolVersion {
  if (id.startsWith('MQTT-') || id.startsWith('5.0/')) return 5;
  return id.startsWith('3.1/') ? 3 : 4;
}

/** One case for each version among `ids`; the first id of a version names the case, all of them are shown by it. */
export function cases(
  ids: string | readonly string[],
  title: string,
  run: Run,
  { isSlow = false, kind = 'statement' as Case['kind'] } = {},
): Case[] {
  const all = typeof ids === 'string' ? [ids] : ids;
  const versions = [...new Set(all.map(versionOf))];
  return versions.map((version) => {
    const own = all.filter((id) => versionOf(id) === version);
    return { id: own[0] as string, title, version, statements: own.map(statementOf), kind, isSlow, run };
  });
}

/** As `cases`, for what has to wait for a clock of the broker. */
export function slowCases(ids: string | readonly string[], title: string, run: Run): Case[] {
  return cases(ids, title, run, { isSlow: true });
}

/** Information about versions 5.0 and 3.1.1, or those named. */
export function information(
  name: string,
  title: string,
  versions: readonly ProtocolVersion[],
  run: Run,
  { isSlow = false } = {},
): Case[] {
  const words = { 3: '3.1', 4: '3.1.1', 5: '5.0' } as const;
  return versions.map((version) => {
    const id = `info/${name} ${words[version]}`;
    return { id, title, version, statements: [id], kind: 'information', isSlow, run };
  });
}
