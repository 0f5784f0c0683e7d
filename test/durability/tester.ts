/** A client of these tests: a socket to a broker, MQTT packets, and what was answered. */
import assert from 'node:assert/strict';
import { type ConnectPacket, type Packet, PacketType, type ProtocolVersion, type PublishPacket } from '@pipit/protocol';
import { dialTcp } from '../../packages/broker/test/node/dial.ts';
import { MqttPeer } from '../../packages/broker/test/node/mqtt-peer.ts';

export type PacketOf<Type extends Packet['type']> = Extract<Packet, { type: Type }>;

export class Tester {
  readonly peer: MqttPeer;
  connack!: PacketOf<typeof PacketType.Connack>;

  private constructor(peer: MqttPeer) {
    this.peer = peer;
  }

  /** Sends CONNECT and waits for CONNACK. */
  static async connect(port: number, clientId: string, more: Partial<ConnectPacket> = {}): Promise<Tester> {
    const tester = await Tester.connecting(port, clientId, more);
    tester.connack = await tester.take(PacketType.Connack);
    return tester;
  }

  /** Sends CONNECT and waits for nothing. */
  static async connecting(port: number, clientId: string, more: Partial<ConnectPacket> = {}): Promise<Tester> {
    const version: ProtocolVersion = more.version ?? 5;
    const tester = new Tester(new MqttPeer(await dialTcp(port), version));
    const connect = { cleanStart: true, keepAlive: 0, ...more };
    tester.peer.send({ type: PacketType.Connect, version, clientId, ...connect });
    return tester;
  }

  /** The next packet, which must be of this type. */
  async take<Type extends Packet['type']>(type: Type): Promise<PacketOf<Type>> {
    const packet = await this.peer.next();
    assert.ok(packet !== 'end', `the broker closed the connection instead of sending packet type ${type}`);
    assert.equal(packet.type, type);
    return packet as PacketOf<Type>;
  }

  async subscribe(filter: string, qos: 0 | 1 | 2): Promise<void> {
    const packet = await this.peer.subscribe(filter, qos);
    assert.ok(packet !== 'end' && packet.type === PacketType.Suback);
    assert.deepEqual(packet.reasonCodes, [qos]);
  }

  publish(topic: string, payload: string, more: Partial<PublishPacket> = {}): void {
    const packet = { topic, payload: Buffer.from(payload), qos: 0 as const, retain: false, dup: false, packetId: 0 };
    this.peer.send({ type: PacketType.Publish, ...packet, ...more });
  }

  /** Receives so many QoS 1 messages of a line, acknowledges each, and returns their payloads. */
  async drain(count: number): Promise<string[]> {
    const payloads: string[] = [];
    while (payloads.length < count) {
      const { packetId, payload } = await this.take(PacketType.Publish);
      payloads.push(Buffer.from(payload).toString());
      this.peer.send({ type: PacketType.Puback, packetId, reasonCode: 0 });
    }
    return payloads;
  }

  /** Nothing but what was taken has come. */
  async expectNothing(): Promise<void> {
    this.peer.send({ type: PacketType.Pingreq });
    await this.take(PacketType.Pingresp);
  }

  drop(): void {
    this.peer.stream.destroy();
  }
}

/** A session that outlives its connection. */
export const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3_600 } } as const;
