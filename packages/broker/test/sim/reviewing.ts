/** What becomes of rights over a restart. */

import type { Permissions, Review } from '../../src/core/index.ts';
import type { Model } from './model.ts';

/** With every other seed who slept through a restart is held to the rules of now; otherwise nothing is known of it. */
export function reviewing(
  seed: number,
  { model, permissions }: { readonly model: Model; readonly permissions: ReadonlyMap<string, Permissions> },
): { readonly review?: Review } {
  if (seed % 2 === 0) return {};
  for (const session of model.sessions.values()) {
    session.permissions = model.rules.has(session.principal ?? '') ? session.principal : null;
  }
  return { review: ({ principal }) => ({ permissions: permissions.get(principal ?? '') ?? null, ends: null }) };
}
