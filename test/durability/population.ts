/**
 * The clients around a broker that is killed again and again, and what must be true of their logs: nothing acknowledged is lost,
 * QoS 2 comes once, order is kept, a retained value is the last one, subscriptions are whole, each will comes once.
 */
import assert from 'node:assert/strict';
import { PacketType } from '@pipit/protocol';
import type { Prng } from '../../packages/broker/test/sim/prng.ts';
import { DurableClient } from './durable-client.ts';
import { Tester } from './tester.ts';

const window = 20;
const changedFilters = 12;
const retainedPerPublisher = 3;

/** Publishes numbered messages: to be received by every subscriber, to be shared, to be retained. */
class Publisher {
  readonly client: DurableClient;
  readonly ownTopic: number;
  /** Payloads by where they go. */
  readonly toAll: string[] = [];
  readonly toGroup: string[] = [];
  /** Numbers published to each retained topic, and the last of them that was acknowledged. */
  readonly retained = new Map<string, number>();
  private sent = 0;

  constructor(client: DurableClient, ownTopic: number) {
    this.client = client;
    this.ownTopic = ownTopic;
  }

  publishOne(prng: Prng): void {
    const { client } = this;
    const payload = `${client.clientId}:${++this.sent}`;
    const qos = prng.chance(50) ? 1 : 2;
    const kind = prng.below(10);
    if (kind === 0) {
      const topic = `retained/${this.ownTopic + prng.below(retainedPerPublisher)}`;
      this.retained.set(topic, this.sent);
      this.toAll.push(payload);
      client.publish(topic, payload, qos, true);
    } else if (kind <= 2) {
      this.toGroup.push(payload);
      client.publish(`shared/${prng.below(3)}`, payload, qos);
    } else {
      this.toAll.push(payload);
      client.publish(`topic/${prng.below(3)}`, payload, qos);
    }
  }

  lastAcknowledged(topic: string): number {
    const packet = this.client.acknowledged.findLast((each) => each.topic === topic);
    return packet === undefined ? 0 : numberOf(Buffer.from(packet.payload).toString());
  }
}

export class Population {
  private readonly prng: Prng;
  private readonly publishers = [
    new Publisher(new DurableClient('publisher-5', 5), 0),
    new Publisher(new DurableClient('publisher-4', 4), retainedPerPublisher),
  ];
  private readonly online = [new DurableClient('online-5', 5), new DurableClient('online-4', 4)];
  private readonly offline = [new DurableClient('offline-5', 5), new DurableClient('offline-4', 4)];
  private readonly members = [new DurableClient('member-1'), new DurableClient('member-2')];
  private readonly mortals = [new DurableClient('mortal-5', 5), new DurableClient('mortal-4', 4)];
  /** Subscribes and unsubscribes all the time; what was not confirmed may be either. */
  private readonly changer = new DurableClient('changer');
  private readonly changed = new Map<string, 'yes' | 'no' | 'either'>();
  /** Wills whose CONNACK came, and others that may have been taken. */
  private readonly wills = new Set<string>();
  private readonly possibleWills = new Set<string>();
  private lives = 0;

  constructor(prng: Prng) {
    this.prng = prng;
  }

  private get subscribers(): DurableClient[] {
    return [...this.online, ...this.offline];
  }

  private get all(): DurableClient[] {
    const publishers = this.publishers.map(({ client }) => client);
    return [...publishers, ...this.subscribers, ...this.members, ...this.mortals, this.changer];
  }

  /** Before the first kill: who subscribes to what. */
  async settleIn(port: number): Promise<void> {
    for (const client of this.subscribers) {
      assert.ok(await client.connect(port));
      assert.ok(await client.subscribe('topic/#', 'retained/#', 'wills'));
    }
    for (const member of this.members) {
      assert.ok(await member.connect(port));
      assert.ok(await member.subscribe('$share/group/shared/#'));
    }
    assert.ok(await this.changer.connect(port));
    this.drop();
  }

  drop(): void {
    for (const client of this.all) {
      client.onPacket = () => {};
      client.drop();
    }
  }

  /** Lives until it has seen so many packets, or the broker dies first: then it may stop anywhere. */
  async live(port: number, packets: number): Promise<void> {
    const life = ++this.lives;
    const { prng } = this;
    const some = [...this.offline.filter(() => prng.chance(25)), ...this.members.slice(prng.below(2)), ...this.online];
    for (const client of [...some, this.changer]) {
      if (!(await client.connect(port)) || life !== this.lives) return;
    }
    for (const mortal of this.mortals) {
      const payload = `${mortal.clientId}:${life}`;
      this.possibleWills.add(payload);
      if (!(await mortal.connect(port, { topic: 'wills', payload }))) return;
      this.wills.add(payload);
    }
    for (const { client } of this.publishers) {
      if (!(await client.connect(port)) || life !== this.lives) return;
    }
    await Promise.all([this.publish(packets), this.change(life, 1 + prng.below(6))]);
  }

  private async publish(packets: number): Promise<void> {
    const { prng } = this;
    let left = packets;
    await new Promise<void>((done) => {
      for (const publisher of this.publishers) {
        const { client } = publisher;
        const proceed = (): void => {
          while (client.openCount < window) publisher.publishOne(prng);
          if (--left === 0) done();
        };
        client.onPacket = proceed;
        proceed();
      }
    });
  }

  private async change(life: number, times: number): Promise<void> {
    for (let i = 0; i < times && life === this.lives; i++) {
      const filter = `changed/${this.prng.below(changedFilters)}`;
      const wanted = this.prng.chance(50);
      this.changed.set(filter, 'either');
      const isConfirmed = await (wanted ? this.changer.subscribe(filter) : this.changer.unsubscribe(filter));
      if (isConfirmed) this.changed.set(filter, wanted ? 'yes' : 'no');
    }
  }

  /** What a client that knew nothing finds after a restart: retained values, and the subscriptions of `changer`. */
  async inspect(port: number): Promise<void> {
    const known = this.publishers.flatMap((publisher) =>
      [...publisher.retained].map(([topic, last]) => ({ topic, last, least: publisher.lastAcknowledged(topic) })),
    );
    const kept = known.filter(({ least }) => least > 0);
    const values = await retainedValues(
      port,
      kept.map(({ topic }) => topic),
    );
    for (const { topic, last, least } of kept) {
      const value = numberOf(values.get(topic) ?? ':0');
      assert.ok(least <= value && value <= last, `${topic} is ${value}, acknowledged was ${least}, sent ${last}`);
    }
    const prober = await Tester.connect(port, 'prober');
    for (const [i, [filter, expected]] of [...this.changed].entries()) {
      prober.publish(filter, 'probe', { qos: 1, packetId: i + 1 });
      const { reasonCode } = await prober.take(PacketType.Puback);
      const found = reasonCode === 0 ? 'yes' : 'no';
      if (expected !== 'either') assert.equal(found, expected, `the subscription to ${filter}`);
      this.changed.set(filter, found);
    }
    prober.drop();
  }

  /** Everybody comes back and nobody publishes any more; resolves when all that is due has come. */
  async comeToRest(port: number): Promise<void> {
    for (const client of this.all.filter((each) => !this.mortals.includes(each))) assert.ok(await client.connect(port));
    for (;;) {
      const missing = this.missing();
      if (missing === '') break;
      const before = this.progress();
      await new Promise((done) => setTimeout(done, 10_000));
      if (this.missing() !== '') assert.notEqual(this.progress(), before, `nothing comes any more, but ${missing}`);
    }
  }

  private progress(): number {
    return this.all.reduce((sum, { received, acknowledged }) => sum + received.length + acknowledged.length, 0);
  }

  private missing(): string {
    const open = this.publishers.filter(({ client }) => client.openCount > 0);
    if (open.length > 0) return `${open.map(({ client }) => client.openCount)} messages are not acknowledged`;
    for (const client of this.subscribers) {
      const seen = new Set(client.received.map(({ payload }) => payload));
      const lost = [...this.toAll(), ...this.wills].filter((payload) => !seen.has(payload));
      if (lost.length > 0) return `${client.clientId} lacks ${lost.length} messages: ${lost.slice(0, 10)}`;
    }
    const shared = new Set(this.members.flatMap(({ received }) => received.map(({ payload }) => payload)));
    const lost = this.publishers.flatMap(({ toGroup }) => toGroup).filter((payload) => !shared.has(payload));
    return lost.length > 0 ? `the group lacks ${lost.length} messages: ${lost.slice(0, 10)}` : '';
  }

  private toAll(): string[] {
    return this.publishers.flatMap(({ toAll }) => toAll);
  }

  /** After `comeToRest`. */
  async judge(port: number): Promise<void> {
    for (const client of this.subscribers) {
      judgeOrder(client);
      const wills = client.received.filter(({ topic }) => topic === 'wills').map(({ payload }) => payload);
      assert.equal(new Set(wills).size, wills.length, `${client.clientId}: a will came twice`);
      for (const will of wills)
        assert.ok(this.possibleWills.has(will), `${client.clientId}: nobody had the will ${will}`);
      const known = new Set([...this.toAll(), ...wills]);
      for (const { payload } of client.received)
        assert.ok(known.has(payload), `${payload} was not for ${client.clientId}`);
    }
    const twice = this.members.flatMap(({ received }) => received).filter(({ qos }) => qos === 2);
    assert.equal(
      new Set(twice.map(({ payload }) => payload)).size,
      twice.length,
      'a shared message of QoS 2 came twice',
    );
    const retained = this.publishers.flatMap((publisher) => [...publisher.retained]);
    const values = await retainedValues(
      port,
      retained.map(([topic]) => topic),
    );
    for (const [topic, last] of retained) assert.equal(numberOf(values.get(topic) ?? ':0'), last, topic);
  }

  /** What it was all about, for people. */
  summary(): string {
    const sent = this.publishers.flatMap(({ client }) => client.acknowledged);
    const ofQos = (qos: number): number => sent.filter((packet) => packet.qos === qos).length;
    const deliveries = [...this.subscribers, ...this.members].reduce((sum, { received }) => sum + received.length, 0);
    return `${ofQos(1)} messages of QoS 1 and ${ofQos(2)} of QoS 2 acknowledged, ${deliveries} deliveries, ${this.wills.size} wills`;
  }
}

function judgeOrder({ clientId, received }: DurableClient): void {
  const lines = new Map<string, number[]>();
  for (const { topic, payload, qos } of received) {
    if (topic === 'wills') continue;
    const line = `${payload.split(':')[0]} to ${topic} at QoS ${qos}`;
    const numbers = lines.get(line) ?? [];
    lines.set(line, numbers);
    numbers.push(numberOf(payload));
  }
  for (const [line, numbers] of lines) {
    const firsts = [...new Set(numbers)];
    assert.deepEqual(
      firsts,
      firsts.toSorted((a, b) => a - b),
      `${clientId}: order from ${line}`,
    );
    if (line.endsWith('2')) assert.equal(firsts.length, numbers.length, `${clientId}: twice from ${line}`);
  }
}

function numberOf(payload: string): number {
  return Number(payload.split(':')[1]);
}

/** By topic, as a new subscriber gets them: at least these topics, unless they do not come within ten seconds. */
async function retainedValues(port: number, topics: readonly string[]): Promise<Map<string, string>> {
  const reader = await Tester.connect(port, 'reader');
  const values = new Map<string, string>();
  const options = { qos: 0 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const };
  reader.peer.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: [{ filter: 'retained/#', ...options }] });
  const late = setTimeout(() => reader.drop(), 10_000);
  for (let missing = topics.length; missing > 0; missing = topics.filter((topic) => !values.has(topic)).length) {
    const packet = await reader.peer.next();
    if (packet === 'end') break;
    if (packet.type === PacketType.Publish) values.set(packet.topic, Buffer.from(packet.payload).toString());
  }
  clearTimeout(late);
  reader.drop();
  return values;
}
