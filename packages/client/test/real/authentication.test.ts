/** Enhanced authentication against Pipit's own SCRAM-SHA-256 (RFC 5802, 7677), on real sockets: the hook an application writes. */
import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { chain, hashPassword, PasswordFile, parsePasswords } from '@pipit/broker';
import { type Authentication, connect, type MqttError } from '@pipit/client';
import { withBroker } from '../../../broker/test/node/running-broker.ts';

const method = 'SCRAM-SHA-256';

/** A fresh exchange; `data` goes into CONNECT, or begins a re-authentication. */
function scram(user: string, password: string): Authentication & { readonly data: Uint8Array } {
  const first = `n=${user},r=${randomBytes(12).toString('base64')}`;
  return {
    method,
    data: Buffer.from(`n,,${first}`),
    answer: (challenge: Uint8Array | null) => {
      const said = Buffer.from(challenge ?? []).toString();
      const [, nonce = '', salt = '', rounds = ''] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(said) ?? [];
      const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(rounds), 32, 'sha256');
      const key = createHmac('sha256', salted).update('Client Key').digest();
      const stored = createHash('sha256').update(key).digest();
      const last = `c=biws,r=${nonce}`;
      const signature = createHmac('sha256', stored).update(`${first},${said},${last}`).digest();
      const proof = Buffer.from(key.map((byte, i) => byte ^ (signature[i] as number)));
      return Buffer.from(`${last},p=${proof.toString('base64')}`);
    },
  };
}

async function withUsers(body: (url: string) => Promise<void>): Promise<void> {
  const hash = await hashPassword('scram-sha-256', Buffer.from('pencil'), Buffer.alloc(16, 7));
  const passwords = new PasswordFile(parsePasswords(`ada:${hash}\n`));
  await withBroker({ type: 'tcp', port: 0 }, (port) => body(`mqtt://127.0.0.1:${port}`), {
    authority: chain([passwords]),
  });
}

test('Who knows the password gets in, and authenticates again beside traffic', async () => {
  await withUsers(async (url) => {
    let exchange = scram('ada', 'pencil');
    const authentication: Authentication = {
      method,
      data: exchange.data,
      answer: (challenge: Uint8Array | null) => exchange.answer(challenge),
    };
    const client = connect(url, { authentication });
    const subscription = await client.subscribe('t', { qos: 1 });
    exchange = scram('ada', 'pencil');
    const again = client.reauthenticate(exchange.data);
    await client.publish('t', 'meanwhile', { qos: 1 });
    await again;
    assert.equal((await subscription.next()).value.text(), 'meanwhile');
    await client.end();
  });
});

test('Who does not know it is told so, and does not try for ever', async () => {
  await withUsers(async (url) => {
    const client = connect(url, { authentication: scram('ada', 'pen') });
    await assert.rejects(client.connected(), (error: MqttError) => error.kind === 'ended' && error.reasonCode === 0x87);
  });
});
