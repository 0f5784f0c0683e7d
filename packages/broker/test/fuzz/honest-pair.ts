/**
 * Two peers that keep to the rules. Whatever the others do, what one publishes reaches the other: at every QoS, completely, in
 * order, once, and neither is disconnected.
 */

import assert from 'node:assert/strict';
import { encodePacket, type Packet, PacketType, type PublishPacket, type QoS } from '@pipit/protocol';
import type { Arena, Socket } from './arena.ts';

const topic = 'honest/t';

export class HonestPair {
  private readonly arena: Arena;
  private readonly publisher: Socket;
  private readonly subscriber: Socket;
  private readonly heard: Packet[] = [];
  private readonly got: PublishPacket[] = [];
  private sent = 0;

  constructor(arena: Arena) {
    this.arena = arena;
    this.publisher = arena.open(true, (packet) => this.heard.push(packet));
    this.subscriber = arena.open(true, (packet) => this.receive(packet));
    this.say(this.publisher, 4, {
      type: PacketType.Connect,
      version: 4,
      clientId: 'honest-publisher',
      cleanStart: true,
      keepAlive: 0,
    });
    this.say(this.subscriber, 5, {
      type: PacketType.Connect,
      version: 5,
      clientId: 'honest-subscriber',
      cleanStart: false,
      keepAlive: 0,
      properties: { sessionExpiryInterval: 9_999 },
    });
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 2 } as const;
    const subscriptions = [{ filter: topic, qos: 2, ...options } as const];
    this.say(this.subscriber, 5, { type: PacketType.Subscribe, packetId: 1, subscriptions });
    this.expectHeard(PacketType.Connack);
  }

  private say(socket: Socket, version: 4 | 5, packet: Packet): void {
    assert.ok(!socket.isClosed, 'an honest peer stays connected');
    this.arena.send(socket, encodePacket(packet, version, 'client'));
  }

  /** The subscriber takes what comes to the end of its flow; its answers go out with the next exchange's step. */
  private receive(packet: Packet): void {
    if (packet.type === PacketType.Publish) this.got.push(packet);
    else if (packet.type !== PacketType.Pubrel) this.expectOneOf(packet, [PacketType.Connack, PacketType.Suback]);
  }

  private expectOneOf(packet: Packet, types: readonly number[]): void {
    assert.ok(types.includes(packet.type), `an honest subscriber is not sent packet type ${packet.type}`);
  }

  /** One message of a QoS through its whole flow. Those that need the disk are left out while it does not answer. */
  exchange(): void {
    const at = ++this.sent;
    const qos = (this.arena.storeFlows ? at % 3 : 0) as QoS;
    const payload = new TextEncoder().encode(`message ${at}`);
    const packetId = qos === 0 ? 0 : 1; // free again, since every flow is completed
    this.say(this.publisher, 4, { type: PacketType.Publish, topic, payload, qos, packetId, retain: false, dup: false });
    if (qos === 1) this.expectHeard(PacketType.Puback);
    if (qos === 2) {
      this.expectHeard(PacketType.Pubrec);
      this.say(this.publisher, 4, { type: PacketType.Pubrel, packetId, reasonCode: 0 });
      this.expectHeard(PacketType.Pubcomp);
    }
    const [message, ...others] = this.got.splice(0);
    assert.ok(message !== undefined && others.length === 0, 'an honest subscriber gets each message once');
    assert.deepEqual(
      [new TextDecoder().decode(message.payload), message.qos, message.topic],
      [`message ${at}`, qos, topic],
    );
    this.acknowledge(message);
  }

  private acknowledge({ qos, packetId }: PublishPacket): void {
    if (qos === 1) this.say(this.subscriber, 5, { type: PacketType.Puback, packetId, reasonCode: 0 });
    if (qos !== 2) return;
    this.say(this.subscriber, 5, { type: PacketType.Pubrec, packetId, reasonCode: 0 });
    this.say(this.subscriber, 5, { type: PacketType.Pubcomp, packetId, reasonCode: 0 });
  }

  private expectHeard(type: number): void {
    assert.deepEqual(
      this.heard.splice(0).map((packet) => packet.type),
      [type],
      'an honest publisher gets its answer',
    );
  }

  expectNothing(): void {
    assert.deepEqual([...this.heard, ...this.got], [], 'an honest peer gets nothing it did not ask for');
    assert.ok(!this.publisher.isClosed && !this.subscriber.isClosed, 'an honest peer stays connected');
  }
}
