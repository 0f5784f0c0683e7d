/** Enhanced authentication as a client does it: section 4.12. */
import { PacketType, type ReasonCode } from '@pipit/protocol';
import { expectEqual, expectTrue, NotApplicable } from '../outcome.ts';
import type { PacketOf, Peer } from '../peer.ts';
import type { ClientBench } from './client-bench.ts';
import { type ClientCase, clientCases, publishing, roundTrip, text } from './client-case.ts';
import type { ClientUnderTest } from './client-under-test.ts';

const method = 'm';

/** A client that has sent CONNECT with a method, and the server's end of its connection. */
async function begun(bench: ClientBench): Promise<{ client: ClientUnderTest; peer: Peer }> {
  const client = await bench.dial({ authentication: { method, data: text('d'), answer: text('a') } });
  const peer = await bench.link();
  const connect = await peer.take(PacketType.Connect, 'CONNECT');
  if (connect.properties?.authenticationMethod === undefined) throw new NotApplicable('the client sends no method');
  return { client, peer };
}

function sendAuth(peer: Peer, reasonCode: ReasonCode): void {
  const properties = { authenticationMethod: method, authenticationData: text('?') };
  peer.send({ type: PacketType.Auth, reasonCode, properties });
}

function expectAuth({ reasonCode, properties }: PacketOf<typeof PacketType.Auth>, code: number): void {
  expectEqual([reasonCode, properties?.authenticationMethod], [code, method], 'code and method');
}

export const authenticationCases: readonly ClientCase[] = [
  ...clientCases(
    'MQTT-3.1.2-30',
    'With an authentication method nothing but AUTH and DISCONNECT comes before CONNACK',
    async (bench) => {
      const { client, peer } = await begun(bench);
      publishing(client, 't', 'x', 1);
      client.subscribe('t', 0).catch(() => {});
      // What comes between the two answers would be seen with the second.
      for (let i = 0; i < 2; i++) {
        sendAuth(peer, 0x18);
        const answer = await peer.takeOrEnd('AUTH');
        if (answer === undefined) return;
        expectEqual(answer.type, PacketType.Auth, 'packet type');
      }
      peer.expectNothing('nothing before CONNACK');
    },
  ),
  ...clientCases(
    ['MQTT-4.12.0-3', 'MQTT-4.12.0-5 client', 'MQTT-3.15.2-1 sent'],
    'AUTH in answer to a challenge has code 0x18',
    async (bench) => {
      const { peer } = await begun(bench);
      sendAuth(peer, 0x18);
      expectAuth(await peer.take(PacketType.Auth, 'AUTH'), 0x18);
    },
  ),
  ...clientCases('MQTT-4.12.0-7', 'Without a method there is no AUTH', async (bench) => {
    const { client, peer } = await bench.connected();
    await roundTrip(client, peer);
    await bench.silence(peer);
  }),
  ...clientCases(
    ['MQTT-4.12.1-1', 'MQTT-4.12.0-3 again'],
    'Re-authentication begins with AUTH 0x19 of the method of CONNECT, and goes on beside traffic',
    async (bench) => {
      const { client, peer } = await begun(bench);
      bench.welcome(peer, { properties: { authenticationMethod: method } });
      await bench.accepted(client);
      if (client.reauthenticate === undefined) throw new NotApplicable('the client cannot re-authenticate');
      const done = client.reauthenticate(text('again'));
      const begin = await peer.take(PacketType.Auth, 'AUTH');
      expectAuth(begin, 0x19);
      expectEqual(begin.properties?.authenticationData, text('again'), 'Authentication Data');
      await roundTrip(client, peer);
      sendAuth(peer, 0x18);
      expectAuth(await peer.take(PacketType.Auth, 'AUTH'), 0x18);
      sendAuth(peer, 0x00);
      await done;
      await bench.silence(peer);
    },
  ),
  ...clientCases(
    ['MQTT-3.15.2-2 client', 'MQTT-3.15.2-3 client'],
    'AUTH leaves text out that the server has no room for',
    async (bench) => {
      const { client, peer } = await begun(bench);
      const maximumPacketSize = 30;
      bench.welcome(peer, { properties: { authenticationMethod: method, maximumPacketSize } });
      await bench.accepted(client);
      if (client.reauthenticate === undefined) throw new NotApplicable('the client cannot re-authenticate');
      client.reauthenticate(text('again')).catch(() => {});
      const { bytes } = await peer.takeFirst('AUTH');
      expectTrue(bytes.length <= maximumPacketSize, `an AUTH of ${maximumPacketSize} bytes at most`, bytes);
    },
  ),
];
