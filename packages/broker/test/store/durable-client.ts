/**
 * A client that keeps its own log across the deaths of its broker: what it sent and what was acknowledged, what it received. It
 * keeps its side of the session as MQTT asks, so that whatever is missing or doubled is the broker's doing.
 */

import assert from 'node:assert/strict';
import { type ConnectPacket, type Packet, PacketType, type PublishPacket, type QoS } from '@pipit/protocol';
import { dialTcp } from '../node/dial.ts';
import { MqttPeer } from '../node/mqtt-peer.ts';

type Will = NonNullable<ConnectPacket['will']>;

interface Sent {
  readonly packet: PublishPacket;
  isReleased: boolean;
}

export class DurableClient {
  readonly clientId: string;
  /** Payloads in the order of arrival, with their topics; of QoS 2 each delivery once, of QoS 1 repeats too. */
  readonly received: { readonly topic: string; readonly payload: string; readonly qos: QoS }[] = [];
  /** Payloads acknowledged to the end of their flow. */
  readonly acknowledged: string[] = [];
  /** Called after each packet that came. */
  onPacket: () => void = () => {};
  private readonly open = new Map<number, Sent>();
  private readonly receiving = new Set<number>();
  private lastPacketId = 0;
  private peer: MqttPeer | null = null;
  private hasSession = false;
  private subscribed: (() => void) | null = null;

  constructor(clientId: string) {
    this.clientId = clientId;
  }

  /** Messages sent and not acknowledged to the end. */
  get openCount(): number {
    return this.open.size;
  }

  /** Resolves at CONNACK; the session must be there if there was one. What was open is sent again. */
  async connect(port: number, will?: Will): Promise<void> {
    const peer = new MqttPeer(await dialTcp(port));
    this.peer = peer;
    const properties = { sessionExpiryInterval: 3_600 };
    const rest = { cleanStart: false, keepAlive: 0, properties, ...(will !== undefined && { will }) };
    peer.send({ type: PacketType.Connect, version: 5, clientId: this.clientId, ...rest });
    const connack = await peer.next();
    if (connack === 'end') return;
    assert.equal(connack.type, PacketType.Connack);
    const { sessionPresent } = connack as Extract<Packet, { type: typeof PacketType.Connack }>;
    if (this.hasSession) assert.ok(sessionPresent, `the session of ${this.clientId} is gone`);
    this.hasSession = true;
    for (const [packetId, { packet, isReleased }] of this.open) {
      if (isReleased) peer.send({ type: PacketType.Pubrel, packetId, reasonCode: 0 });
      else peer.send({ ...packet, dup: true });
    }
    void this.listen(peer);
  }

  /** Resolves at SUBACK. */
  async subscribe(filter: string, retainHandling: 0 | 2 = 2): Promise<void> {
    const subscriptions = [{ filter, qos: 2 as const, noLocal: false, retainAsPublished: false, retainHandling }];
    this.peer?.send({ type: PacketType.Subscribe, packetId: 65_000, subscriptions });
    await new Promise<void>((done) => {
      this.subscribed = done;
    });
  }

  publish(topic: string, payload: string, qos: 1 | 2, retain = false): void {
    const packetId = (this.lastPacketId % 60_000) + 1;
    this.lastPacketId = packetId;
    const packet: PublishPacket = {
      type: PacketType.Publish,
      topic,
      payload: Buffer.from(payload),
      qos,
      retain,
      dup: false,
      packetId,
    };
    this.open.set(packetId, { packet, isReleased: false });
    this.peer?.send(packet);
  }

  drop(): void {
    this.peer?.stream.destroy();
    this.peer = null;
  }

  private async listen(peer: MqttPeer): Promise<void> {
    for (let packet = await peer.next(); packet !== 'end'; packet = await peer.next()) {
      if (peer !== this.peer) return;
      this.take(peer, packet);
      this.onPacket();
    }
  }

  private take(peer: MqttPeer, packet: Packet): void {
    switch (packet.type) {
      case PacketType.Suback:
        return this.subscribed?.();
      case PacketType.Publish:
        return this.takePublish(peer, packet);
      case PacketType.Pubrel:
        this.receiving.delete(packet.packetId);
        return peer.send({ type: PacketType.Pubcomp, packetId: packet.packetId, reasonCode: 0 });
      case PacketType.Puback:
      case PacketType.Pubcomp:
        return this.settle(packet.packetId);
      case PacketType.Pubrec: {
        const sent = this.open.get(packet.packetId);
        assert.ok(sent !== undefined, 'PUBREC for what is not open');
        sent.isReleased = true;
        return peer.send({ type: PacketType.Pubrel, packetId: packet.packetId, reasonCode: 0 });
      }
      default:
        assert.fail(`unexpected packet ${packet.type}`);
    }
  }

  private takePublish(peer: MqttPeer, { topic, payload, qos, packetId }: PublishPacket): void {
    const isRepeat = qos === 2 && this.receiving.has(packetId);
    if (!isRepeat) this.received.push({ topic, payload: Buffer.from(payload).toString(), qos });
    if (qos === 2) this.receiving.add(packetId);
    if (qos > 0) peer.send({ type: qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId, reasonCode: 0 });
  }

  private settle(packetId: number): void {
    const sent = this.open.get(packetId);
    if (sent === undefined) return;
    this.open.delete(packetId);
    this.acknowledged.push(Buffer.from(sent.packet.payload).toString());
  }
}
