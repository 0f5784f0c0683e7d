/** Anybody may connect, as nobody in particular, with the same permissions; nobody can prove anything. */

import { ReasonCode } from '@pipit/protocol';
import type { Acceptance, Authority, Permissions } from '../core/index.ts';

/** `permissions` null: everything is allowed. */
export function anonymousAuthority(permissions: Permissions | null): Authority {
  const verdict: Acceptance = { outcome: 'accept', principal: null, ...(permissions !== null && { permissions }) };
  return {
    authenticate: ({ method }) =>
      // To accept a method that was never run would tell the client that it had been [MQTT-4.12.0-1].
      method === null ? verdict : { outcome: 'refuse', reasonCode: ReasonCode.BadAuthenticationMethod },
  };
}
