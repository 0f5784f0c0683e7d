/** What a rule has to look like where a person or another program wrote it. */

import { PacketType, ReasonCode, reasonCodeAllowed, topicFilterProblem } from '@pipit/protocol';
import * as z from 'zod';
import type { Rule } from '../core/index.ts';

const refusal = 'must be a reason code of 0x80 or above that PUBACK or SUBACK may carry, such as 0x87';
const effects = ['allow', 'deny'] as const;
const actions = ['publish', 'subscribe', 'request', 'all'] as const;
const qosProblem = 'must be 0, 1 or 2, or a list of them';
const qos = z.literal([0, 1, 2], qosProblem);
const names = z.array(z.string('must be a name')).min(1, 'must name somebody').exactOptional();

export const ruleSchema: z.ZodType<Rule> = z
  .strictObject({
    effect: z.enum(effects, `must be one of ${effects.join(', ')}`),
    action: z.enum(actions, `must be one of ${actions.join(', ')}`),
    filter: z.string('must be a topic filter').superRefine((filter, context) => {
      // What a template stands for is one level that is no wildcard.
      const problem = topicFilterProblem(filter.replace(/\$\{[^}/+#]+\}/g, 'x'), Number.POSITIVE_INFINITY);
      const isAnyGroup = filter.startsWith('$share/+/');
      if (problem !== undefined && !isAnyGroup) context.addIssue(`is not a topic filter: ${problem}`);
    }),
    users: names,
    groups: names,
    qos: z
      .union([qos.transform((one) => [one]), z.array(qos, qosProblem).min(1, qosProblem)], qosProblem)
      .exactOptional(),
    retain: z.boolean('must be true or false').exactOptional(),
    reasonCode: z.int(refusal).refine(isRefusal, refusal).exactOptional(),
  })
  .refine(({ effect, reasonCode }) => effect === 'deny' || reasonCode === undefined, {
    path: ['reasonCode'],
    message: 'must not be there: only what is denied has a reason',
  })
  .refine(({ action, retain }) => action === 'publish' || retain === undefined, {
    path: ['retain'],
    message: 'must not be there: only publishing has it',
  });

function isRefusal(reasonCode: number): boolean {
  const packets = [PacketType.Puback, PacketType.Suback];
  return (
    reasonCode >= ReasonCode.UnspecifiedError && packets.some((type) => reasonCodeAllowed(reasonCode, type, 'server'))
  );
}
