/** What the standard says about each reason code: its name (table 2-6), which packets may carry it and which side may send it (3-10). */
import type { Sender } from './fixed-header.ts';
import type { PacketType as Type } from './packet-type.ts';
import * as PacketType from './packet-types.ts';

// Sets of packet types, one bit each: bit n is packet type n.
const connack = 1 << PacketType.Connack;
const puback = (1 << PacketType.Puback) | (1 << PacketType.Pubrec);
const pubrel = (1 << PacketType.Pubrel) | (1 << PacketType.Pubcomp);
const suback = 1 << PacketType.Suback;
const unsuback = 1 << PacketType.Unsuback;
const disconnect = 1 << PacketType.Disconnect;
const auth = 1 << PacketType.Auth;

/** code, name, the packets a server may send it in, the packets a client may send it in */
type Row = readonly [code: number, name: string, server: number, client: number];

const rows: readonly Row[] = [
  [0x00, 'Success', connack | puback | pubrel | suback | unsuback | disconnect | auth, puback | pubrel | disconnect],
  [0x01, 'Granted QoS 1', suback, 0],
  [0x02, 'Granted QoS 2', suback, 0],
  [0x04, 'Disconnect with Will Message', 0, disconnect],
  [0x10, 'No matching subscribers', puback, puback],
  [0x11, 'No subscription existed', unsuback, 0],
  [0x18, 'Continue authentication', auth, auth],
  [0x19, 'Re-authenticate', 0, auth],
  [0x80, 'Unspecified error', connack | puback | suback | unsuback | disconnect, puback | disconnect],
  [0x81, 'Malformed Packet', connack | disconnect, disconnect],
  [0x82, 'Protocol Error', connack | disconnect, disconnect],
  [0x83, 'Implementation specific error', connack | puback | suback | unsuback | disconnect, puback | disconnect],
  [0x84, 'Unsupported Protocol Version', connack, 0],
  [0x85, 'Client Identifier not valid', connack, 0],
  [0x86, 'Bad User Name or Password', connack, 0],
  [0x87, 'Not authorized', connack | puback | suback | unsuback | disconnect, puback],
  [0x88, 'Server unavailable', connack, 0],
  [0x89, 'Server busy', connack | disconnect, 0],
  [0x8a, 'Banned', connack, 0],
  [0x8b, 'Server shutting down', disconnect, 0],
  // Table 2-6 lists 0x8C for DISCONNECT too; table 3-10, which is the normative one, does not.
  [0x8c, 'Bad authentication method', connack, 0],
  [0x8d, 'Keep Alive timeout', disconnect, 0],
  [0x8e, 'Session taken over', disconnect, 0],
  [0x8f, 'Topic Filter invalid', suback | unsuback | disconnect, 0],
  [0x90, 'Topic Name invalid', connack | puback | disconnect, puback | disconnect],
  [0x91, 'Packet Identifier in use', puback | suback | unsuback, puback],
  [0x92, 'Packet Identifier not found', pubrel, pubrel],
  [0x93, 'Receive Maximum exceeded', disconnect, disconnect],
  [0x94, 'Topic Alias invalid', disconnect, disconnect],
  [0x95, 'Packet too large', connack | disconnect, disconnect],
  [0x96, 'Message rate too high', disconnect, disconnect],
  [0x97, 'Quota exceeded', connack | puback | suback | disconnect, puback | disconnect],
  [0x98, 'Administrative action', disconnect, disconnect],
  [0x99, 'Payload format invalid', connack | puback | disconnect, puback | disconnect],
  [0x9a, 'Retain not supported', connack | disconnect, 0],
  // Table 3-10 gives 0x9B to the server; section 3.3.4 lets a client use it too.
  [0x9b, 'QoS not supported', connack | disconnect, disconnect],
  [0x9c, 'Use another server', connack | disconnect, 0],
  [0x9d, 'Server moved', connack | disconnect, 0],
  [0x9e, 'Shared Subscriptions not supported', suback | disconnect, 0],
  [0x9f, 'Connection rate exceeded', connack | disconnect, 0],
  [0xa0, 'Maximum connect time', disconnect, 0],
  [0xa1, 'Subscription Identifiers not supported', suback | disconnect, 0],
  [0xa2, 'Wildcard Subscriptions not supported', suback | disconnect, 0],
];

const byCode: ReadonlyMap<number, Row> = new Map(rows.map((row) => [row[0], row]));

/** The standard's name of a reason code, `Session taken over`; 0x00 is `Success`. Unknown codes come back in hex. */
export function reasonCodeName(code: number): string {
  return byCode.get(code)?.[1] ?? `Reason code 0x${code.toString(16).padStart(2, '0')}`;
}

/** Whether a 5.0 packet of this type may carry the code when this side sends it. */
export function reasonCodeAllowed(code: number, type: Type, sender: Sender): boolean {
  const row = byCode.get(code);
  return row !== undefined && ((sender === 'server' ? row[2] : row[3]) & (1 << type)) !== 0;
}
