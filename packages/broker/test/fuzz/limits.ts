/** Limits so small that a short script reaches every one of them, and how many hostile peers there are. */

import type { Limits } from '../../src/core/limits.ts';

export const peers = 5;

export const smallLimits: Limits = {
  connectPacketBytesMax: 3_000,
  packetBytesMax: 40_000,
  handshakeTimeoutMs: 10_000,
  connectTimeoutMs: 10_000,
  clientIdBytesMax: 65_535,
  connectionsMax: peers + 1, // two of them are honest: the last hostile one finds no room
  connectionsPerAddressMax: 10_000, // this and the next two are about sockets, which come before the core
  acceptsPerSecondMax: 10_000,
  acceptsPerSecondPerAddressMax: 500,
  connectionsPerPrincipalMax: 10, // the honest pair is nobody in particular, as all others are
  publishesPerSecondMax: 500,
  receivedBytesPerSecondMax: 100_000,
  throttledMsMax: 5_000,
  keepAliveFactor: 1.5,
  serverKeepAliveMax: 65_535, // the honest pair may be silent for ever
  receiveMaximum: 5,
  sendMaximum: 8,
  topicAliasMaximum: 4,
  sentTopicAliasMaximum: 3,
  topicBytesMax: 5_000,
  topicLevelsMax: 16,
  subscriptionsPerSessionMax: 6,
  subscriptionBytesPerSessionMax: 200_000,
  filtersPerPacketMax: 10,
  userPropertiesMax: 8,
  userPropertyBytesMax: 4_000,
  willBytesMax: 1_000,
  willBytesTotalMax: 3_000,
  queueMessagesMax: 20,
  queueBytesMax: 60_000,
  queueMessagesTotalMax: 200,
  queueBytesTotalMax: 400_000,
  queuePrefixMessages: 4,
  queuePrefixBytes: 2_000,
  queuePrefixBytesTotalMax: 6_000,
  unreadableMsMax: 60_000,
  unsentBytesMax: 6_000,
  unsentBytesStalledMax: 1_500,
  stalledAfterMs: 1_000,
  unsentBytesTotalMax: 12_000,
  heldBytesMax: 300,
  heldMsMax: 30_000,
  uncommittedBytesMax: 60_000,
  sessionsMax: 8,
  sessionExpiryMax: 20_000,
  retainedMessagesMax: 4,
  retainedBytesMax: 50_000,
  retainedMessagesPerPrincipalMax: 3,
  retainedBytesPerPrincipalMax: 30_000,
  retainedBytesInMemoryMax: 3_000,
  retainedExpiryMax: 10_000,
  internedTopicsMax: 8,
  plannedRecipientsMax: 6,
  turnDeliveriesMax: 20_000,
  turnBytesMax: 20_000,
  burstInputsMin: 2,
  burstTurnsMax: 3,
  eventIntervalMs: 10_000,
  localWindow: 3,
  claimedPublishesMax: 3,
};

/** By then every session, retained message, will and event of a hostile peer is gone. */
export const afterEverythingMs = 2 * smallLimits.sessionExpiryMax * 1000;
