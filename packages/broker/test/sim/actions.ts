/** What users, the network, the operator and fate do, one action at a time. */

import type { ConnectPacket, ProtocolVersion, QoS, SubscriptionRequest } from '@pipit/protocol';
import { encodePacket, PacketType } from '@pipit/protocol';
import type { Rule } from '../../src/core/index.ts';
import type { Client } from './client.ts';
import type { Link } from './link.ts';
import { bigPayloadBytes, payloadOf } from './model.ts';
import type { ActionName } from './options.ts';
import type { Simulation } from './simulation.ts';

const topics = ['a', 'a/b', 'a/b/c', 'b', 'b/c', 'a//c', '$x/a', 'c'];
const filters = ['#', 'a', 'a/#', '+', '+/+', 'a/b', 'a/+/c', 'b/#', '$x/#', 'b', 'a/b/c', 'c'];
const receiveMaximums = [1, 2, 3, 8];
const yearMs = 365 * 24 * 3600 * 1000;
/** How wrong the wall clock is when it is set. */
const clockErrorsMs = [0, 1000, -1000, 90_000, -90_000, yearMs, -yearMs, 20 * yearMs, -20 * yearMs];

export function act(sim: Simulation, name: ActionName): void {
  const { prng } = sim;
  const client = prng.pick(sim.clients);
  const link = sim.openLinks.length === 0 ? null : prng.pick(sim.openLinks);
  sim.log(`${name} ${client.clientId}`);
  switch (name) {
    case 'publish':
      return publish(sim, client, 1);
    case 'burst':
      return publish(sim, client, prng.between(2, 15));
    case 'subscribe':
      return subscribe(sim, client);
    case 'unsubscribe':
      return unsubscribe(sim, client);
    case 'connect':
      return client.phase === 'offline' ? connect(sim, client) : undefined;
    case 'takeover':
      return connect(sim, client);
    case 'leave':
      return leave(sim, client);
    case 'reset':
      // Something is under way then, of which a part may arrive.
      if (prng.chance(50)) publish(sim, client, 2);
      return (prng.chance(50) ? client.link : link)?.reset();
    case 'finish':
      return client.link?.finish();
    case 'freeze':
      if (link !== null) link.isFrozen = true;
      return;
    case 'thaw':
      for (const each of sim.openLinks) if (each.isFrozen) each.drain(prng.chance(50));
      return;
    case 'intrude':
      return intrude(sim, client);
    case 'wait':
      return sim.runFor(prng.pick([100, 2000, 12_000, 40_000]));
    case 'permit':
      return permit(sim, client);
    case 'kick':
      sim.oracle.kicked = client.clientId;
      sim.input(null, () => sim.core.disconnect(client.clientId, 0x98, 'administrative', sim.coreNow));
      return;
    case 'crash':
      return sim.crash(prng.chance(50));
    case 'restart':
      return sim.restart();
    case 'setClock':
      return sim.setClock(prng.pick(clockErrorsMs));
    case 'diskDown':
    case 'diskUp':
      sim.faults.isDiskDown = name === 'diskDown';
      return;
  }
}

/** Connects, taking over whatever is connected under its id. `heals`: with nothing unusual. */
export function connect(sim: Simulation, client: Client, heals = false): void {
  const { prng } = sim;
  const packet = connectPacket(sim, client, heals);
  const number = packet.will === undefined ? 0 : sim.nextMessage();
  if (packet.will !== undefined) packet.will.payload = payloadOf(number, 1);
  const link = sim.open((from, bytes) => client.received(from, bytes), [], number);
  sim.log(`${client.clientId} connects on ${link.number}`);
  client.open(link, packet);
  if (packet.keepAlive > 0) keepAlive(sim, client, link, packet.keepAlive * 1000);
  if (!heals && prng.chance(20)) subscribe(sim, client);
}

function keepAlive(sim: Simulation, client: Client, link: Link, everyMs: number): void {
  sim.schedule.at(sim.schedule.now + everyMs, () => {
    if (client.link !== link) return;
    client.ping();
    keepAlive(sim, client, link, everyMs);
  });
}

function connectPacket(sim: Simulation, client: Client, heals: boolean): ConnectPacket {
  const { prng, options } = sim;
  const { strange } = options;
  const any: ProtocolVersion = prng.pick(options.versions);
  // Publishers of 3.x with full queues may refuse each other for ever: they send again before they acknowledge.
  const version = heals && options.queueOverflow === 'refuse' ? 5 : any;
  const often = (percent: number): boolean => !heals && prng.chance(percent);
  const isV5 = version === 5;
  const packet: ConnectPacket = {
    type: PacketType.Connect,
    version,
    clientId: client.clientId,
    cleanStart: often(strange.cleanPercent),
    keepAlive: often(strange.keepAlivePercent) ? prng.pick([1, 5, 20]) : 0,
    username: client.username,
    password: Uint8Array.of(1),
  };
  if (isV5) {
    packet.properties = {
      sessionExpiryInterval: heals ? 0xffff_ffff : prng.pick(options.expiries),
      ...(options.receiveMaximum < 65_535 && !heals
        ? { receiveMaximum: Math.min(options.receiveMaximum, prng.pick(receiveMaximums)) }
        : {}),
      ...(often(strange.aliasPercent) ? { topicAliasMaximum: prng.pick([1, 2, 5]) } : {}),
      ...(often(strange.smallPacketsPercent) ? { maximumPacketSize: bigPayloadBytes - 50 } : {}),
    };
  }
  if (often(strange.willPercent)) packet.will = will(sim, isV5);
  return packet;
}

function will(sim: Simulation, isV5: boolean): NonNullable<ConnectPacket['will']> {
  const { prng, options } = sim;
  const { strange } = options;
  const delay = isV5 && prng.chance(strange.willDelayPercent) ? { willDelayInterval: prng.pick([1, 5, 30]) } : {};
  const expiry = isV5 && prng.chance(strange.expiryPercent) ? { messageExpiryInterval: prng.pick([1, 10]) } : {};
  return {
    topic: prng.pick(topics.slice(0, options.topics)),
    payload: new Uint8Array(),
    qos: qosOf(sim),
    retain: prng.chance(strange.retainPercent),
    ...(isV5 ? { properties: { ...delay, ...expiry } } : {}),
  };
}

function qosOf(sim: Simulation): QoS {
  const [zero, one, two] = sim.options.qos;
  return Number(sim.prng.weighted({ 0: zero, 1: one, 2: two })) as QoS;
}

function publish(sim: Simulation, client: Client, count: number): void {
  const { prng, options } = sim;
  const { strange } = options;
  if (client.phase !== 'online') return;
  const topic = prng.pick(topics.slice(0, options.topics));
  for (let i = 0; i < count; i++) {
    const retain = prng.chance(strange.retainPercent);
    const clears = retain && prng.chance(20);
    const bytes = prng.chance(strange.bigPercent) ? bigPayloadBytes : prng.between(1, 30);
    const expiry =
      client.version === 5 && prng.chance(strange.expiryPercent)
        ? { properties: { messageExpiryInterval: prng.pick([0, 1, 3, 20]) } }
        : {};
    const payload = clears ? new Uint8Array() : payloadOf(sim.nextMessage(), bytes);
    const message = {
      topic: prng.chance(80) ? topic : prng.pick(topics.slice(0, options.topics)),
      payload,
      qos: qosOf(sim),
      retain,
      ...expiry,
    };
    client.publish(message, prng.chance(strange.aliasPercent));
  }
}

function subscribe(sim: Simulation, client: Client): void {
  const { prng, options } = sim;
  const { strange } = options;
  if (client.link === null) return;
  const isV5 = client.version === 5;
  const count = prng.between(1, 2);
  const wanted = new Map<string, SubscriptionRequest>();
  for (let i = 0; i < count; i++) {
    const isShared = prng.chance(strange.sharedPercent);
    const filter = `${isShared ? `$share/${prng.pick(['g', 'h'])}/` : ''}${prng.pick(filters)}`;
    const has = (): boolean => isV5 && prng.chance(strange.optionsPercent);
    wanted.set(filter, {
      filter,
      qos: prng.pick([0, 1, 2, 2]),
      noLocal: !isShared && has(),
      retainAsPublished: has(),
      retainHandling: has() ? prng.pick([0, 1, 2]) : 0,
    });
  }
  client.subscribe([...wanted.values()], isV5 && prng.chance(strange.optionsPercent) ? prng.between(1, 300) : 0);
}

function unsubscribe(sim: Simulation, client: Client): void {
  const { prng } = sim;
  if (client.phase !== 'online') return;
  const known = [...(sim.model.sessions.get(client.clientId)?.subscriptions.keys() ?? [])];
  client.unsubscribe([known.length > 0 && prng.chance(80) ? prng.pick(known) : prng.pick(filters)]);
}

function leave(sim: Simulation, client: Client): void {
  const { prng } = sim;
  if (client.phase !== 'online' || client.link === null) return;
  const asked = sim.viewOf(client.link)?.connect?.properties?.sessionExpiryInterval ?? 0;
  const expiry = asked > 0 && prng.chance(30) ? prng.pick([0, 2, 100]) : undefined;
  client.leave(prng.chance(40) ? 4 : 0, expiry);
}

/** Somebody else tries to get in under a client's id. */
function intrude(sim: Simulation, client: Client): void {
  const { prng } = sim;
  const version = prng.pick(sim.options.versions);
  const isStranger = prng.chance(50);
  const refusals = version === 5 ? (isStranger ? [0x85, 0x87] : [0x86]) : isStranger ? [2, 5] : [4];
  const link = sim.open(() => {}, refusals, 0);
  sim.log(`a stranger tries ${client.clientId} on ${link.number}`);
  const packet: ConnectPacket = {
    type: PacketType.Connect,
    version,
    clientId: client.clientId,
    cleanStart: prng.chance(50),
    keepAlive: 0,
    username: isStranger ? 'u-stranger' : client.username,
    password: Uint8Array.of(isStranger ? 1 : 2),
    will: { topic: 'a', payload: payloadOf(sim.nextMessage(), 1), qos: 1, retain: true },
  };
  link.send(encodePacket(packet, version, 'client'));
}

function permit(sim: Simulation, client: Client): void {
  const { prng } = sim;
  const permissions = sim.permissions.get(client.username);
  if (permissions === undefined) return;
  const rules: Rule[] = [];
  for (let i = prng.below(3); i > 0; i--) {
    rules.push({
      effect: 'deny',
      action: prng.pick(['publish', 'subscribe', 'all'] as const),
      filter: prng.pick(prng.chance(50) ? topics : filters),
    });
  }
  rules.push({ effect: 'allow', action: 'all', filter: '#' }, { effect: 'allow', action: 'all', filter: '$x/#' });
  sim.changePermissions(client.username, permissions, rules);
}
