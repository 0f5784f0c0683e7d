/** Whatever a server sends, legal packets out of turn or bytes that are none: nothing is thrown, and every call is settled at the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePacket, type Packet } from '@pipit/protocol';
import fc from 'fast-check';
import { packet } from '../../protocol/test/arbitrary.ts';
import { ClientWorld } from './scenarios/client-world.ts';

type Step =
  | { readonly kind: 'packet'; readonly packet: Packet; readonly cutAt: number; readonly flip: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'publish'; readonly qos: 0 | 1 | 2 }
  | { readonly kind: 'subscribe' | 'cut' | 'wait' | 'accept' };

const steps = (version: 4 | 5): fc.Arbitrary<Step[]> => {
  const sent = fc.record({
    kind: fc.constant('packet' as const),
    packet: packet(version, 'server'),
    cutAt: fc.oneof({ weight: 8, arbitrary: fc.constant(-1) }, fc.nat(20)),
    flip: fc.oneof({ weight: 8, arbitrary: fc.constant(-1) }, fc.nat(40)),
  });
  const raw = fc.record({ kind: fc.constant('bytes' as const), bytes: fc.uint8Array({ maxLength: 20 }) });
  const publish = fc.record({
    kind: fc.constant('publish' as const),
    qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  });
  const other = fc.record({
    kind: fc.constantFrom('subscribe' as const, 'cut' as const, 'wait' as const, 'accept' as const),
  });
  return fc.array(
    fc.oneof(
      { weight: 6, arbitrary: sent },
      { weight: 1, arbitrary: raw },
      { weight: 3, arbitrary: publish },
      { weight: 3, arbitrary: other },
    ),
    { maxLength: 40 },
  );
};

/** Packet identifiers of answers are made small, so that some of them are of something asked. */
function near(each: Packet): Packet {
  return 'packetId' in each && each.packetId > 4 ? { ...each, packetId: (each.packetId % 4) + 1 } : each;
}

function bytesOf(step: Extract<Step, { kind: 'packet' }>, version: 4 | 5): Uint8Array {
  const bytes = encodePacket(near(step.packet), version, 'server');
  if (step.flip >= 0 && step.flip < bytes.length) bytes[step.flip] = (bytes[step.flip] as number) ^ 0x41;
  return step.cutAt < 0 ? bytes : bytes.subarray(0, step.cutAt);
}

for (const version of [4, 5] as const) {
  test(`no server can make the client throw or forget a call, version ${version}`, () => {
    fc.assert(
      fc.property(steps(version), (list) => {
        const world = new ClientWorld({ version, keepAliveSeconds: 30 });
        const calls: { isSettled: boolean }[] = [];
        for (const step of list) {
          if (step.kind === 'publish') calls.push(world.publish('t', 'x', { qos: step.qos }).message);
          else if (step.kind === 'subscribe') calls.push(world.subscribe(['a', 'b/#']).call);
          else if (step.kind === 'wait') world.advance(20_000);
          else if (step.kind === 'accept' && world.dialled.length > 0) {
            // The last words on the link before.
            world.take();
            world.accept();
          } else if (world.link !== 'open') continue;
          else if (step.kind === 'cut') world.cut();
          else if (step.kind === 'bytes') world.sendRaw(step.bytes);
          else if (step.kind === 'packet') world.sendRaw(bytesOf(step, version));
        }
        world.core.end(0, {}, 1_000, world.now);
        world.advance(2_000);
        assert.equal(world.core.phase, 'ended');
        assert.ok(calls.every(({ isSettled }) => isSettled));
        assert.equal(world.core.deadline, Number.POSITIVE_INFINITY);
      }),
      { numRuns: 400 },
    );
  });
}
