/** All cases for brokers, in the order of a report: by version, newest first, then as the families stand here. */
import type { Case } from './case.ts';
import { authenticationCases } from './cases/authentication.ts';
import { combinedCases } from './cases/combined.ts';
import { connackCases } from './cases/connack.ts';
import { connectCases } from './cases/connect.ts';
import { connectionCases } from './cases/connection.ts';
import { deliveryCases } from './cases/delivery.ts';
import { fixedHeaderCases } from './cases/fixed-header.ts';
import { informationCases } from './cases/information.ts';
import { mqtt31Cases } from './cases/mqtt31.ts';
import { packetSizeCases } from './cases/packet-size.ts';
import { protocolErrorCases } from './cases/protocol-errors.ts';
import { publishCases } from './cases/publish.ts';
import { receivingCases } from './cases/receiving.ts';
import { retainCases } from './cases/retain.ts';
import { sessionCases } from './cases/session.ts';
import { subscribeCases } from './cases/subscribe.ts';
import { textCases } from './cases/text.ts';
import { topicCases } from './cases/topics.ts';
import { willCases } from './cases/will.ts';

const families: readonly (readonly Case[])[] = [
  textCases,
  fixedHeaderCases,
  connectCases,
  connackCases,
  sessionCases,
  willCases,
  publishCases,
  retainCases,
  subscribeCases,
  topicCases,
  receivingCases,
  deliveryCases,
  packetSizeCases,
  combinedCases,
  connectionCases,
  authenticationCases,
  protocolErrorCases,
  mqtt31Cases,
  informationCases,
];

export const brokerCases: readonly Case[] = families.flat().sort((a, b) => b.version - a.version);
