/** Scripts at random: packets that mean something to one another, mutated now and then, repeated, cut and out of order. */

import { encodePacket, type Packet, PacketType, type ProtocolVersion } from '@pipit/protocol';
import fc from 'fast-check';
import { encodedOf } from '../../../protocol/test/fuzz/encoded.ts';
import { joined } from '../../../protocol/test/fuzz/field.ts';
import { mutate, mutation } from '../../../protocol/test/fuzz/mutation.ts';
import { chunkBytesMax } from './bounds.ts';
import { peers } from './limits.ts';
import { connect, meaningful, qos } from './packets.ts';
import type { Script, Step } from './script.ts';

/** What each peer speaks, if nothing in its CONNECT was mutated. */
const versions: readonly ProtocolVersion[] = [5, 5, 4, 5, 3];

/** One packet, mutated now and then, and now and then sent very often. */
function packets(
  version: ProtocolVersion,
  what: fc.Arbitrary<Packet>,
  often: fc.Arbitrary<number>,
): fc.Arbitrary<Uint8Array> {
  const legal = what.map((packet) => encodePacket(packet, version, 'client'));
  const any = encodedOf(version, 'client').map(({ packet }) => packet);
  const change = fc.oneof({ weight: 14, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: mutation });
  return fc
    .tuple(fc.oneof({ weight: 60, arbitrary: legal }, { weight: 1, arbitrary: any }), change, often)
    .map(([bytes, how, times]) => {
      const done = how === null ? bytes : mutate(bytes, version, how);
      const most = Math.max(1, Math.floor(chunkBytesMax / 10 / Math.max(1, done.length)));
      return joined(Array.from({ length: Math.min(times, most) }, () => done));
    });
}

const once = fc.constant(1);
const oftenNowAndThen = fc.oneof(
  { weight: 12, arbitrary: once },
  { weight: 1, arbitrary: fc.constantFrom(2, 5, 70, 400) },
);

/** One peer's step: a CONNECT for when it has no connection, mostly, and some packets in one piece. */
function talk(peer: number): fc.Arbitrary<readonly Step[]> {
  const version = versions[peer] as ProtocolVersion;
  const hello = fc.option(packets(version, connect(version), once), { freq: 12 });
  const some = fc.array(packets(version, meaningful(version), oftenNowAndThen), { minLength: 1, maxLength: 5 });
  const how = fc.oneof(
    { weight: 15, arbitrary: fc.constant('send' as const) },
    { weight: 1, arbitrary: fc.constant('trickle' as const) },
  );
  return fc.tuple(hello, some, how).map(([first, rest, as]): readonly Step[] => {
    const bytes = joined(rest);
    const isLong = as === 'trickle' && bytes.length > 200;
    return [
      ...(first === null ? [] : [{ peer, do: 'hello', bytes: first } as const]),
      { peer, do: isLong ? 'send' : as, bytes },
    ];
  });
}

const world: fc.Arbitrary<readonly Step[]> = fc
  .oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom(0, 100, 1_500, 11_000, 31_000, 100_000).map((ms): Step => ({ do: 'wait', ms })),
    },
    { weight: 2, arbitrary: fc.constantFrom<Step>({ do: 'inside' }, { do: 'settle' }, { do: 'settle' }) },
    { weight: 2, arbitrary: fc.constantFrom<Step>({ do: 'verdict' }, { do: 'permit' }) },
    { weight: 2, arbitrary: fc.constantFrom<Step>({ do: 'stall' }, { do: 'flow' }, { do: 'flow' }) },
    {
      weight: 2,
      arbitrary: fc.constantFrom<Step>({ do: 'break' }, { do: 'break-pages' }, { do: 'heal' }, { do: 'heal' }),
    },
  )
  .map((step) => [step]);

const socket: fc.Arbitrary<readonly Step[]> = fc
  .tuple(fc.nat(peers - 1), fc.constantFrom('drop' as const, 'freeze' as const, 'thaw' as const))
  .map(([peer, what]) => [{ peer, do: what }]);

const anything = fc.array(
  fc.oneof(
    ...versions.map((_, peer) => ({ weight: 5, arbitrary: talk(peer) })),
    { weight: 5, arbitrary: world },
    { weight: 4, arbitrary: socket },
  ),
  { minLength: 1, maxLength: 30, size: 'max' },
);

const clientIds = ['p', 'q', 'r', 's', 't'] as const;

/** A session that lasts, with a subscription to what is published most; sometimes nothing. */
function settlesIn(peer: number): fc.Arbitrary<readonly Step[]> {
  const version = versions[peer] as ProtocolVersion;
  const lasting = { clientId: clientIds[peer] as string, cleanStart: false, keepAlive: 0 };
  const properties = version === 5 ? { properties: { sessionExpiryInterval: 3_600 } } : {};
  const hello = encodePacket({ type: PacketType.Connect, version, ...lasting, ...properties }, version, 'client');
  const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const subscribed = fc
    .tuple(fc.constantFrom('#', 'x', 'x/#', '$share/g/#'), qos)
    .map(([filter, of]): readonly Step[] => {
      const packet: Packet = {
        type: PacketType.Subscribe,
        packetId: 1,
        subscriptions: [{ filter, qos: of, ...options }],
      };
      return [
        { peer, do: 'hello', bytes: hello },
        { peer, do: 'send', bytes: encodePacket(packet, version, 'client') },
      ];
    });
  return fc.oneof({ weight: 4, arbitrary: subscribed }, { weight: 1, arbitrary: fc.constant([]) });
}

const beginning = fc.tuple(...versions.map((_, peer) => settlesIn(peer))).map((each) => each.flat());

const groups = fc
  .tuple(fc.oneof({ weight: 3, arbitrary: beginning }, { weight: 1, arbitrary: fc.constant([]) }), anything)
  .map(([first, rest]) => [...first, ...rest.flat()]);

const fresh: fc.Arbitrary<Script> = fc.record({
  store: fc.constantFrom('none', 'instant', 'late', 'failing'),
  turnDeliveriesMax: fc.constantFrom(3, 20_000),
  steps: groups,
});

/** Fresh ones, and kept ones with one packet mutated and other steps pushed in. */
export function script(kept: readonly Script[]): fc.Arbitrary<Script> {
  if (kept.length === 0) return fresh;
  const again = fc
    .tuple(fc.constantFrom(...kept), fresh, fc.nat(), fc.nat(), fc.option(mutation))
    .map(([old, other, at, which, how]): Script => {
      const place = at % (old.steps.length + 1);
      const changed = old.steps.map((step, index) =>
        how !== null && index === which % old.steps.length && 'bytes' in step
          ? { ...step, bytes: mutate(step.bytes, 5, how) }
          : step,
      );
      return { ...other, steps: [...changed.slice(0, place), ...other.steps, ...changed.slice(place)] };
    });
  return fc.oneof({ weight: 4, arbitrary: fresh }, { weight: 1, arbitrary: again });
}
