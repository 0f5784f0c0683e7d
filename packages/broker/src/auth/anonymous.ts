/** Anybody may connect, as nobody in particular, with the same permissions. */

import type { Acceptance, Authority, Permissions } from '../core/index.ts';

/** `permissions` null: everything is allowed. */
export function anonymousAuthority(permissions: Permissions | null): Authority {
  const verdict: Acceptance = { outcome: 'accept', principal: null, ...(permissions !== null && { permissions }) };
  return { authenticate: () => verdict };
}
