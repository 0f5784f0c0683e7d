/** Whoever shows a client certificate that the listener has verified is who the certificate says. */

import { encodeUtf8, hasUnwantedCharacters } from '@pipit/protocol';
import type { Peer } from '../core/index.ts';
import { type Judge, pass } from './chain.ts';

/** Which part of the certificate is the principal. Of names of which there are several, the first. */
export type CertificateIdentity = (typeof certificateIdentities)[number];

export const certificateIdentities = ['commonName', 'dns', 'uri', 'email', 'fingerprint', 'subject'] as const;

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
  if (identity === 'subject') return distinguishedName(certificate.subject);
  const prefix = { dns: 'DNS:', uri: 'URI:', email: 'email:' }[identity];
  return certificate.alternativeNames.find((name) => name.startsWith(prefix))?.slice(prefix.length) ?? '';
}

/** As RFC 2253 writes it: the last part first, and of what is not ASCII its bytes, as `\\C3`. What is no separator is escaped already. */
function distinguishedName(subject: string): string {
  const parts = subject.match(/(?:\\.|[^,\\])+/gs) ?? [];
  return parts
    .map((part) => part.split(' + ').reverse().join('+'))
    .reverse()
    .join(',')
    .replace(/[^\0-\x7f]+/g, (text) =>
      Array.from(encodeUtf8(text), (byte) => `\\${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    );
}
