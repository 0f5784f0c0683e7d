/** Whoever shows a client certificate that the listener has verified is who the certificate says. */

import { hasUnwantedCharacters } from '@pipit/protocol';
import type { Peer } from '../core/index.ts';
import { type Judge, pass } from './chain.ts';

/** Which part of the certificate is the principal. Of names of which there are several, the first. */
export type CertificateIdentity = (typeof certificateIdentities)[number];

export const certificateIdentities = ['commonName', 'dns', 'uri', 'email', 'fingerprint'] as const;

const nameLengthMax = 1_024;

/** Passes on who shows none, or one without that part. Name and password are not looked at. */
export function certificateJudge(identity: CertificateIdentity = 'commonName'): Judge {
  return {
    authenticate({ peer, method }) {
      if (method !== null || peer.certificate === undefined) return pass;
      const principal = identityOf(peer.certificate, identity);
      return principal === '' ? pass : { outcome: 'accept', principal };
    },
    wordFor({ name }, peer) {
      const isOther = peer?.certificate !== undefined && identityOf(peer.certificate, identity) !== name;
      return isOther ? 'gone' : 'stands';
    },
  };
}

/** Empty where there is none that one can be called by. */
function identityOf(certificate: NonNullable<Peer['certificate']>, identity: CertificateIdentity): string {
  const name = partOf(certificate, identity);
  return name.length <= nameLengthMax && !hasUnwantedCharacters(name) && !name.includes('\0') ? name : '';
}

function partOf(certificate: NonNullable<Peer['certificate']>, identity: CertificateIdentity): string {
  if (identity === 'commonName' || identity === 'fingerprint') return certificate[identity];
  const prefix = { dns: 'DNS:', uri: 'URI:', email: 'email:' }[identity];
  return certificate.alternativeNames.find((name) => name.startsWith(prefix))?.slice(prefix.length) ?? '';
}
