/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) over AUTH packets (MQTT 5.0, 4.12): the password never travels, what is stored does not let in,
 * and the client learns that the server knows its password. One exchange is two steps:
 *
 *     client  n,,n=NAME,r=NONCE                    CONNECT
 *     server  r=NONCE+OURS,s=SALT,i=ITERATIONS     AUTH 0x18
 *     client  c=biws,r=NONCE+OURS,p=PROOF          AUTH 0x18
 *     server  v=SIGNATURE                          CONNACK (or AUTH 0x00 when it authenticates again)
 */

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Refusal, Verdict } from '../core/index.ts';
import type { PasswordHash } from './password-hash.ts';
import { scramIterations } from './password-hash.ts';

export const scramMethod = 'SCRAM-SHA-256';

/** Between its two steps. */
interface ScramMemory {
  readonly name: string;
  readonly nonce: string;
  /** Base64 of the header that said there is no channel binding. */
  readonly binding: string;
  readonly firstMessages: string;
  readonly stored: PasswordHash | null;
}

/** Salts of names that nobody has, the same each time, so that they cannot be told from others. */
const decoySecret = randomBytes(32);

/** One step. `find` gives a name's password hash, or null. */
export function scramStep(
  request: AuthenticationRequest,
  find: (name: string) => PasswordHash | null,
  nonce: () => string = () => randomBytes(18).toString('base64'),
): Verdict {
  const text = Buffer.from(request.data ?? []).toString();
  if (request.memory !== null) return finalStep(text, request.memory as ScramMemory);
  if (request.data === null) return { outcome: 'continue', data: null };
  return firstStep(text, request, find, nonce);
}

function firstStep(
  text: string,
  request: AuthenticationRequest,
  find: (name: string) => PasswordHash | null,
  nonce: () => string,
): Verdict {
  const match = /^([ny],(?:a=([^,]*))?,)(n=([^,]*),r=([\x21-\x2b\x2d-\x7e]+))$/.exec(text);
  if (match === null) return refused('the SCRAM message is not legal, or asks for channel binding');
  const [, header = '', authorization, bare = '', rawName = '', clientNonce = ''] = match;
  const name = unescapeName(rawName);
  if (name === null) return refused('the SCRAM message has a name that is not legal');
  const isOther = authorization !== undefined && unescapeName(authorization) !== name;
  if (isOther || (request.username !== null && request.username !== name)) {
    return refused('the SCRAM message names somebody else');
  }
  const found = find(name);
  const stored = found?.kind === 'scram-sha-256' ? found : null;
  const salt = stored?.salt ?? createHmac('sha256', decoySecret).update(name).digest().subarray(0, 16);
  const whole = clientNonce + nonce();
  const challenge = `r=${whole},s=${salt.toString('base64')},i=${stored?.iterations ?? scramIterations}`;
  const binding = Buffer.from(header).toString('base64');
  const memory: ScramMemory = { name, nonce: whole, binding, firstMessages: `${bare},${challenge}`, stored };
  return { outcome: 'continue', data: Buffer.from(challenge), memory };
}

function finalStep(text: string, { name, nonce, binding, firstMessages, stored }: ScramMemory): Verdict {
  const match = /^(c=([^,]*),r=([^,]*)(?:,[^,]+)*),p=([A-Za-z0-9+/]+={0,2})$/.exec(text);
  if (match === null) return refused('the SCRAM message is not legal');
  const [, unproven = '', channel, echoed, proofText = ''] = match;
  const proof = Buffer.from(proofText, 'base64');
  const isOurs = channel === binding && echoed === nonce && proof.length === 32;
  if (!isOurs || stored === null) return notAuthorized;
  const message = `${firstMessages},${unproven}`;
  const signature = createHmac('sha256', stored.hash).update(message).digest();
  const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] ?? 0)));
  if (!timingSafeEqual(createHash('sha256').update(clientKey).digest(), stored.hash)) return notAuthorized;
  const serverSignature = createHmac('sha256', stored.serverKey ?? '')
    .update(message)
    .digest();
  const data = Buffer.from(`v=${serverSignature.toString('base64')}`);
  return { outcome: 'accept', principal: name, data };
}

const notAuthorized: Refusal = { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized };

function refused(reason: string): Refusal {
  return { ...notAuthorized, reason };
}

/** `=2C` is a comma and `=3D` an equals sign; null for any other use of `=`. */
function unescapeName(text: string): string | null {
  const rest = text.replaceAll('=2C', '').replaceAll('=3D', '');
  if (text === '' || rest.includes('=')) return null;
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=').normalize('NFKC');
}
