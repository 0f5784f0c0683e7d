/** The result of one case, and how running it becomes one: bounded, and never an exception. */
import type { ProtocolVersion } from '@pipit/protocol';
import { Mismatch, NotApplicable } from './outcome.ts';
import type { Peer } from './peer.ts';

export type Outcome = 'pass' | 'fail' | 'not applicable' | 'information';

/** What a case and its result have in common. */
export interface Heading {
  readonly id: string;
  readonly title: string;
  readonly version: ProtocolVersion;
  readonly statements: readonly string[];
}

export interface Result extends Heading {
  readonly outcome: Outcome;
  /** Of a failure. */
  readonly expected?: string;
  readonly seen?: string;
  /** Why it is not applicable, or what there is to know. */
  readonly note?: string;
  /** Of a failure: the bytes of each connection, sent (`>`) and received (`<`). */
  readonly bytes?: readonly (readonly string[])[];
}

export function headOf({ id, title, version, statements }: Heading): Heading {
  return { id, title, version, statements };
}

export interface AttemptOptions {
  /** The connections made by then. */
  readonly peers: readonly Peer[];
  readonly timeoutMs: number;
  /** What `run` resolves to is the finding. */
  readonly isInformation?: boolean;
  /** As long as the case may take, in answers. */
  readonly answersMax?: number;
}

export async function attempt(
  heading: Heading,
  run: () => Promise<unknown>,
  { peers, timeoutMs, isInformation = false, answersMax = 5 }: AttemptOptions,
): Promise<Result> {
  const head = headOf(heading);
  const limitMs = timeoutMs * answersMax;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Mismatch(`an end within ${limitMs / 1000} s`, 'none')), limitMs);
  try {
    const note = await Promise.race([run(), late.promise]);
    return isInformation ? { ...head, outcome: 'information', note: String(note) } : { ...head, outcome: 'pass' };
  } catch (error) {
    if (error instanceof NotApplicable) return { ...head, outcome: 'not applicable', note: error.message };
    const bytes = peers.filter((peer) => peer.log.length > 0).map((peer) => peer.log);
    if (!(error instanceof Mismatch)) {
      const seen = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return { ...head, outcome: 'fail', expected: 'no fault of the suite itself', seen, bytes };
    }
    if (isInformation) return { ...head, outcome: 'information', note: `unclear: ${error.message}`, bytes };
    return { ...head, outcome: 'fail', expected: error.expected, seen: error.seen, bytes };
  } finally {
    clearTimeout(timer);
  }
}
