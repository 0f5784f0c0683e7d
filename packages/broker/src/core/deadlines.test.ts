import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Deadline, Deadlines } from './deadlines.ts';

const step = fc.oneof(
  fc.record({
    kind: fc.constant('arm' as const),
    which: fc.nat(15),
    at: fc.oneof(fc.nat(30), fc.constant(Number.POSITIVE_INFINITY)),
  }),
  fc.record({ kind: fc.constant('disarm' as const), which: fc.nat(15) }),
  fc.record({ kind: fc.constant('take' as const), now: fc.nat(30) }),
);

test('the earliest comes first, whatever is armed, moved and disarmed', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const deadlines = new Deadlines();
      const all = Array.from({ length: 16 }, (_, i) => Deadline.of(i, () => undefined));
      const model = new Map<Deadline, number>();
      for (const each of steps) {
        if (each.kind === 'take') {
          const taken = deadlines.take(each.now);
          const earliest = Math.min(...model.values());
          if (earliest > each.now) assert.equal(taken, undefined);
          else {
            assert.ok(taken);
            assert.equal(model.get(taken), earliest);
            assert.equal(taken.isArmed, false);
            model.delete(taken);
          }
        } else {
          const deadline = all[each.which] as Deadline;
          if (each.kind === 'disarm' || each.at === Number.POSITIVE_INFINITY) model.delete(deadline);
          else model.set(deadline, each.at);
          if (each.kind === 'arm') deadlines.arm(deadline, each.at);
          else deadlines.disarm(deadline);
        }
        assert.equal(deadlines.next, Math.min(...model.values()));
        for (const deadline of all) assert.equal(deadline.isArmed, model.has(deadline));
      }
    }),
    { numRuns: 500 },
  );
});
