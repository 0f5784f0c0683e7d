/**
 * A client that keeps its own log across the deaths of its broker: what it sent and what was acknowledged, what it received. It
 * keeps its side of the session as MQTT asks, so that whatever is missing or doubled is the broker's doing.
 */
import assert from 'node:assert/strict';
import { type ConnectPacket, type Packet, PacketType, type PublishPacket, type QoS, ReasonCode } from '@pipit/protocol';
import { dialTcp } from '../../packages/broker/test/node/dial.ts';
import { MqttPeer } from '../../packages/broker/test/node/mqtt-peer.ts';

export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
}

interface Sent {
  readonly packet: PublishPacket;
  isReleased: boolean;
}

const packetIdsForPublishing = 60_000;

export class DurableClient {
  readonly clientId: string;
  readonly version: 4 | 5;
  /** In the order of arrival: of QoS 2 each delivery once, of QoS 1 repeats too. */
  readonly received: Received[] = [];
  /** Acknowledged to the end of their flow, in that order. */
  readonly acknowledged: PublishPacket[] = [];
  /** Called after each packet that came. */
  onPacket: () => void = () => {};
  private readonly open = new Map<number, Sent>();
  private readonly receiving = new Set<number>();
  private lastPacketId = 0;
  private peer: MqttPeer | null = null;
  private hasSession = false;
  private confirmed: ((isConfirmed: boolean) => void) | null = null;

  constructor(clientId: string, version: 4 | 5 = 5) {
    this.clientId = clientId;
    this.version = version;
  }

  /** Messages sent and not acknowledged to the end. */
  get openCount(): number {
    return this.open.size;
  }

  /**
   * True at CONNACK, false when the broker died before; the session must be there if there was one. What was open is sent
   * again.
   */
  async connect(port: number, will?: { topic: string; payload: string }): Promise<boolean> {
    const stream = await dialTcp(port).catch(() => null);
    if (stream === null) return false;
    const peer = new MqttPeer(stream, this.version);
    this.peer = peer;
    const properties = this.version === 5 ? { sessionExpiryInterval: 3_600 } : {};
    const packet: ConnectPacket = {
      type: PacketType.Connect,
      version: this.version,
      clientId: this.clientId,
      cleanStart: false,
      keepAlive: 0,
      properties,
      ...(will !== undefined && {
        will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 2, retain: false, properties: {} },
      }),
    };
    peer.send(packet);
    const connack = await peer.next();
    if (connack === 'end') return false;
    assert.ok(connack.type === PacketType.Connack && connack.reasonCode === 0, JSON.stringify(connack));
    if (this.hasSession) assert.ok(connack.sessionPresent, `the session of ${this.clientId} is gone`);
    this.hasSession = true;
    for (const [packetId, { packet, isReleased }] of this.open) {
      if (isReleased) peer.send({ type: PacketType.Pubrel, packetId, reasonCode: 0 });
      else peer.send({ ...packet, dup: true });
    }
    void this.listen(peer);
    return true;
  }

  /** True when it was confirmed, false when the broker died before: it may have happened or not. */
  async subscribe(...filters: string[]): Promise<boolean> {
    const retainHandling = this.version === 5 ? (2 as const) : (0 as const);
    const options = { qos: 2 as const, noLocal: false, retainAsPublished: false, retainHandling };
    const subscriptions = filters.map((filter) => ({ filter, ...options }));
    this.peer?.send({ type: PacketType.Subscribe, packetId: packetIdsForPublishing + 1, subscriptions });
    return this.confirmation();
  }

  /** As `subscribe`. */
  async unsubscribe(filter: string): Promise<boolean> {
    this.peer?.send({ type: PacketType.Unsubscribe, packetId: packetIdsForPublishing + 2, filters: [filter] });
    return this.confirmation();
  }

  publish(topic: string, payload: string, qos: 1 | 2, retain = false): void {
    const packetId = (this.lastPacketId % packetIdsForPublishing) + 1;
    this.lastPacketId = packetId;
    const message = { topic, payload: Buffer.from(payload), qos, retain, dup: false, packetId };
    const packet: PublishPacket = { type: PacketType.Publish, ...message };
    this.open.set(packetId, { packet, isReleased: false });
    this.peer?.send(packet);
  }

  drop(): void {
    this.peer?.stream.destroy();
    this.peer = null;
    this.confirmed?.(false);
    this.confirmed = null;
  }

  private confirmation(): Promise<boolean> {
    if (this.peer === null) return Promise.resolve(false);
    return new Promise((done) => {
      this.confirmed = done;
    });
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
      case PacketType.Disconnect:
        assert.equal(packet.reasonCode, ReasonCode.ServerShuttingDown);
        return;
      case PacketType.Suback:
        assert.ok(packet.reasonCodes.every((code) => code === 2));
        this.confirmed?.(true);
        return;
      case PacketType.Unsuback:
        this.confirmed?.(true);
        return;
      case PacketType.Publish:
        return this.takePublish(peer, packet);
      case PacketType.Pubrel:
        this.receiving.delete(packet.packetId);
        return peer.send({ type: PacketType.Pubcomp, packetId: packet.packetId, reasonCode: 0 });
      case PacketType.Puback:
      case PacketType.Pubcomp:
        assert.ok(packet.reasonCode === 0 || packet.reasonCode === 0x10 || packet.reasonCode === 0x92);
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
    this.acknowledged.push(sent.packet);
  }
}
