/** DISCONNECT and AUTH. */
import { PacketType, type Sender } from '@pipit/protocol';
import type { Case } from './case.ts';
import { bad, bin, bytes, frame, good, props, str, variant } from './case.ts';

const malformed = 0x81;
const protocolError = 0x82;
const disconnect = (reasonCode = 0) => ({ type: PacketType.Disconnect, reasonCode }) as const;
const hex = (code: number): string => code.toString(16).padStart(2, '0');

const clientCodes = [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9b];
const serverCodes = [
  0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
  0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];

function* codes(sender: Sender, allowed: readonly number[]): Generator<Case> {
  for (let code = 1; code < 256; code++) {
    const id = `disconnect-5-${sender}-code-${hex(code)}`;
    const form = `E0 01 ${hex(code)}`;
    if (allowed.includes(code)) yield good(id, 5, sender, form, disconnect(code));
    else yield bad(id, 5, sender, form, protocolError, disconnect(code));
  }
}

const disconnects: readonly Case[] = [
  good('disconnect-3', 3, 'client', 'E0 00', disconnect()),
  good('disconnect-4', 4, 'client', 'E0 00', disconnect()),
  good('disconnect-5-client', 5, 'client', 'E0 00', disconnect()),
  good('disconnect-5-server', 5, 'server', 'E0 00', disconnect()),
  variant('disconnect-5-code-00', 5, 'client', 'E0 01 00', disconnect()),
  variant('disconnect-5-code-00-no-properties', 5, 'client', 'E0 02 00 00', disconnect()),
  variant('disconnect-5-code-8e-no-properties', 5, 'server', 'E0 02 8E 00', disconnect(0x8e)),
  // [MQTT-3.14.2-1]
  ...codes('client', clientCodes),
  ...codes('server', serverCodes),
  good('disconnect-5-session-expiry', 5, 'client', frame('E0', '00 05 11 00000000'), {
    ...disconnect(),
    properties: { sessionExpiryInterval: 0 },
  }),
  good('disconnect-5-server-reference', 5, 'server', frame('E0', '9D', props(`1C${str('b')}1F${str('r')}`)), {
    ...disconnect(0x9d),
    properties: { serverReference: 'b', reasonString: 'r' },
  }),
  // [MQTT-3.14.2-2]
  bad('disconnect-5-session-expiry-from-server', 5, 'server', 'E0 07 00 05 11 00000001', protocolError, {
    ...disconnect(),
    properties: { sessionExpiryInterval: 1 },
  }),
  bad(
    'disconnect-5-server-reference-from-client',
    5,
    'client',
    frame('E0', '00', props(`1C${str('b')}`)),
    protocolError,
    {
      ...disconnect(),
      properties: { serverReference: 'b' },
    },
  ),
  bad('disconnect-4-code', 4, 'client', 'E0 01 00', malformed, disconnect(0x04)),
  bad('disconnect-3-body', 3, 'client', 'E0 02 00 00', malformed),
  bad('disconnect-4-properties', 4, 'client', 'E0 02 00 00', malformed, {
    ...disconnect(),
    properties: { reasonString: 'r' },
  }),
  bad('disconnect-5-surplus', 5, 'client', 'E0 03 00 00 00', malformed),
  bad('disconnect-5-property-length-past-end', 5, 'client', 'E0 02 00 05', malformed),
];

const method = props(`15${str('SC')}`);
const auth = (reasonCode: number) =>
  ({ type: PacketType.Auth, reasonCode, properties: { authenticationMethod: 'SC' } }) as const;

const auths: readonly Case[] = [
  good('auth-5-success', 5, 'server', frame('F0', '00', method), auth(0)),
  good('auth-5-continue-client', 5, 'client', frame('F0', '18', method), auth(0x18)),
  good('auth-5-continue-server', 5, 'server', frame('F0', '18', method), auth(0x18)),
  good('auth-5-again', 5, 'client', frame('F0', '19', method), auth(0x19)),
  good(
    'auth-5-everything',
    ...([5, 'client'] as const),
    frame('F0', '18', props(`15${str('SC')}16${bin('00FF')}1F${str('r')}26${str('k')}${str('v')}`)),
    {
      type: PacketType.Auth,
      reasonCode: 0x18,
      properties: {
        authenticationMethod: 'SC',
        authenticationData: bytes('00FF'),
        reasonString: 'r',
        userProperties: [['k', 'v']],
      },
    },
  ),
  // [MQTT-3.15.2-1]
  bad('auth-5-success-from-client', 5, 'client', frame('F0', '00', method), protocolError, auth(0)),
  bad('auth-5-again-from-server', 5, 'server', frame('F0', '19', method), protocolError, auth(0x19)),
  bad('auth-5-code-80', 5, 'server', frame('F0', '80', method), protocolError, auth(0x80)),
  bad('auth-5-code-01', 5, 'client', frame('F0', '01', method), protocolError, auth(1)),
  bad('auth-5-empty-from-server', 5, 'server', 'F0 00', protocolError, { type: PacketType.Auth, reasonCode: 0 }),
  bad('auth-5-empty-from-client', 5, 'client', 'F0 00', protocolError),
  bad('auth-5-no-method', 5, 'client', frame('F0', '18', props(`16${bin('01')}`)), protocolError, {
    type: PacketType.Auth,
    reasonCode: 0x18,
    properties: { authenticationData: bytes('01') },
  }),
  bad('auth-5-no-properties', 5, 'client', 'F0 02 18 00', protocolError),
  bad('auth-5-no-property-length', 5, 'client', 'F0 01 18', malformed),
  bad('auth-5-surplus', 5, 'client', frame('F0', '18', method, '00'), malformed),
];

export const disconnectCases: readonly Case[] = [...disconnects, ...auths];
