/** Anybody may connect, as nobody in particular. */

import { ReasonCode } from '@pipit/protocol';
import type { Acceptance, Authority, Peer, Permissions } from '../core/index.ts';
import { type Judge, pass } from './chain.ts';

/** Everybody gets in, with the same permissions; null: everything is allowed. Nobody can prove anything. */
export function anonymousAuthority(permissions: Permissions | null): Authority {
  const verdict: Acceptance = { outcome: 'accept', principal: null, ...(permissions !== null && { permissions }) };
  return {
    authenticate: ({ method }) =>
      // To accept a method that was never run would tell the client that it had been [MQTT-4.12.0-1].
      method === null ? verdict : { outcome: 'refuse', reasonCode: ReasonCode.BadAuthenticationMethod },
  };
}

/** Lets in who shows neither name nor method: from this machine, or from everywhere. */
export function anonymousJudge(isFromEverywhere: boolean): Judge {
  const isWelcome = (peer: Peer): boolean => isFromEverywhere || isNear(peer);
  return {
    authenticate({ peer, username, method }) {
      if (username !== null || method !== null || !isWelcome(peer)) return pass;
      return { outcome: 'accept', principal: null };
    },
    wordFor: (_, peer) => (peer === null || isWelcome(peer) ? 'stands' : 'gone'),
  };
}

function isNear({ transport, address }: Peer): boolean {
  return transport === 'unix' || transport === 'memory' || isLoopback(address);
}

/** `127.0.0.1:5000`, `[::1]:5000`, `[::ffff:127.0.0.1]:5000` */
function isLoopback(address: string): boolean {
  return /^(127\.\d+\.\d+\.\d+|\[::1\]|\[::ffff:127\.\d+\.\d+\.\d+\]):\d+$/i.test(address);
}
