/** The whole corpus: what each packet's bytes are, in every version, and what no packet may be. */
import type { Case } from './case.ts';
import { connectCases } from './connect.ts';
import { disconnectCases } from './disconnect.ts';
import { fixedHeaderCases } from './fixed-header.ts';
import { propertyCases } from './property.ts';
import { publishCases } from './publish.ts';
import { subscribeCases } from './subscribe.ts';

export const corpus: Readonly<Record<string, readonly Case[]>> = {
  'fixed header': fixedHeaderCases,
  'CONNECT, CONNACK': connectCases,
  'PUBLISH and its acknowledgements': publishCases,
  'SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK': subscribeCases,
  'DISCONNECT, AUTH': disconnectCases,
  properties: propertyCases,
};
