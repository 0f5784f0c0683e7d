/** A client of nothing but packets, 5.0 and QoS 1, to try client cases on: it does right, or has one fault. */
import type { ClientDriver, ClientSettings, ClientUnderTest } from '@pipit/conformance';
import { type AuthProperties, type Packet, PacketType, type QoS } from '@pipit/protocol';
import { field, frame, uint16 } from '../src/bytes.ts';
import { openLink } from '../src/link.ts';
import { Peer, subscribePacket } from '../src/peer.ts';

export type Fault = 'id 0' | 'id in use' | 'another method' | 'code 0x18';

/** Longer than any case waits. */
const quietMs = 60_000;

class PlainClient implements ClientUnderTest {
  readonly connected: Promise<void>;
  readonly #peer = new Peer(5, 'client', quietMs);
  readonly #open = new Map<number, () => void>();
  readonly #fault: Fault | null;
  readonly #settings: ClientSettings;
  #lastId = 0;
  #accepted = (): void => {};
  #reauthenticated = (): void => {};

  constructor(settings: ClientSettings, fault: Fault | null) {
    this.#settings = settings;
    this.#fault = fault;
    this.connected = new Promise((done) => {
      this.#accepted = done;
    });
    const { url, clientId, keepAliveSeconds: keepAlive, authentication } = settings;
    this.#peer.link = openLink(url, {}, this.#peer);
    this.#peer.send({
      type: PacketType.Connect,
      version: 5,
      clientId,
      cleanStart: true,
      keepAlive,
      ...(authentication !== undefined && { properties: this.#exchange(authentication.data) }),
    });
    this.#listen().catch(() => {});
  }

  async #listen(): Promise<void> {
    for (;;) {
      const packet = await this.#peer.takeOrEnd('a packet');
      if (packet === undefined) return;
      this.#took(packet);
    }
  }

  #took(packet: Packet): void {
    if (packet.type === PacketType.Connack) this.#accepted();
    if (packet.type === PacketType.Publish && packet.qos === 1) this.#peer.ack(PacketType.Puback, packet.packetId);
    if (packet.type === PacketType.Puback || packet.type === PacketType.Suback) {
      this.#open.get(packet.packetId)?.();
      this.#open.delete(packet.packetId);
    }
    if (packet.type !== PacketType.Auth) return;
    if (packet.reasonCode === 0) return this.#reauthenticated();
    const properties = this.#exchange(this.#settings.authentication?.answer);
    this.#peer.send({ type: PacketType.Auth, reasonCode: 0x18, properties });
  }

  #exchange(authenticationData: Uint8Array = new Uint8Array(0)): AuthProperties & { authenticationMethod: string } {
    return { authenticationMethod: this.#settings.authentication?.method ?? '', authenticationData };
  }

  #nextId(): number {
    const first = this.#fault === 'id 0' ? 0 : 1;
    do this.#lastId = this.#lastId === 65_535 ? first : this.#lastId + 1;
    while (this.#fault !== 'id in use' && this.#open.has(this.#lastId));
    return this.#lastId;
  }

  publish(topic: string, payload: Uint8Array): Promise<void> {
    const packetId = this.#nextId();
    this.#peer.sendBytes(frame(0x32, field(topic), uint16(packetId), [0], payload));
    return new Promise((done) => this.#open.set(packetId, done));
  }

  subscribe(filter: string, qos: QoS): Promise<void> {
    const packetId = this.#nextId();
    this.#peer.send(subscribePacket(packetId, filter, qos));
    return new Promise((done) => this.#open.set(packetId, done));
  }

  reauthenticate(data: Uint8Array): Promise<void> {
    const exchange = this.#exchange(data);
    const properties = this.#fault === 'another method' ? { ...exchange, authenticationMethod: 'another' } : exchange;
    this.#peer.send({ type: PacketType.Auth, reasonCode: this.#fault === 'code 0x18' ? 0x18 : 0x19, properties });
    return new Promise((done) => {
      this.#reauthenticated = done;
    });
  }

  disconnect(): Promise<void> {
    return this.#peer.disconnect();
  }

  destroy(): void {
    this.#peer.cut();
  }
}

export function plainClient(fault: Fault | null): ClientDriver {
  return (settings) => new PlainClient(settings, fault);
}
