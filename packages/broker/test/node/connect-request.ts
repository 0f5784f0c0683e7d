/** What an authority is asked about a CONNECT that says next to nothing; `said` is what matters to the test. */

import type { AuthenticationRequest } from '../../src/core/index.ts';

export function connectRequest(said: Partial<AuthenticationRequest> = {}): AuthenticationRequest {
  return {
    kind: 'connect',
    peer: { transport: 'tcp', address: '192.0.2.1:1000', listener: 'mqtt://127.0.0.1:1883' },
    version: 5,
    clientId: 'c',
    username: null,
    password: null,
    method: null,
    data: null,
    userProperties: [],
    principal: null,
    memory: null,
    ...said,
  };
}
