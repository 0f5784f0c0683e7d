/** The attacks that there are, each a kind of hostile peer. */

export const attackNames = [
  'connect-flood',
  'bad-connect-flood',
  'half-open',
  'declared-lengths',
  'property-bombs',
  'deep-topics',
  'unreleased-qos2',
  'subscribe-flood',
  'retained-flood',
  'wildcard-storm',
  'wildcard-explosion',
  'closing-hoarders',
  'will-storm',
  'takeover-war',
  'slow-readers',
] as const;
export type AttackName = (typeof attackNames)[number];
