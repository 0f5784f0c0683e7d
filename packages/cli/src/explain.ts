/**
 * `pipit explain`: which rule decides about a deed, and why none of those before it. It reads the configuration as the broker would
 * and asks the rules themselves; what a service or a token would add is said on the command line.
 */

import type { AccessPlan, AclRule, Deed, Mismatch, Rule, Subject } from '@pipit/broker';
import { ConfigurationError, Permissions, planAccess, readConfiguration } from '@pipit/broker';
import { parseFilter, type QoS, topicFilterProblem, topicNameProblem } from '@pipit/protocol';
import { CommandError, exitCodes, usageError } from './command-error.ts';
import type { ExplainArguments } from './explain-options.ts';

/** Resolves to 0 when it is allowed, to 1 when it is not. Rejects with a CommandError. */
export async function explainCommand(action: string, topic: string, options: ExplainArguments): Promise<number> {
  const deed = deedOf(action, topic, options);
  const { plan, source } = await planOf(options);
  const subject = subjectOf(options);
  const lines = [...introduction(plan, subject, options)];
  if (plan.rules === null && plan.judges === null) {
    console.log([...lines, 'allowed: there are no rules, and nobody is asked who they are'].join('\n'));
    return 0;
  }
  const rules = plan.rules ?? [];
  const permissions = permissionsFor(rules, plan, subject);
  const passed = permissions.explain(deed);
  for (const [index, mismatch] of passed.entries()) {
    const rule = rules[index] as Rule;
    lines.push(
      `  ${placeOf(rule, index, source)} ${ruleText(rule)}`,
      `    is not about this: ${why(mismatch, rule, deed, subject)}`,
    );
  }
  const deciding = rules[passed.length];
  if (deciding === undefined) lines.push('denied: no rule applies');
  else {
    lines.push(
      `  ${placeOf(deciding, passed.length, source)} ${ruleText(deciding)}`,
      '    decides: it is the first that applies',
    );
    lines.push(deciding.effect === 'allow' ? 'allowed' : `denied, with reason code ${codeText(deciding.reasonCode)}`);
    if (deciding.effect === 'allow')
      lines.push(...undelivered(permissions, rules.slice(0, passed.length), deed, source));
  }
  console.log(lines.join('\n'));
  return deciding?.effect === 'allow' ? 0 : exitCodes.failure;
}

function deedOf(action: string, topic: string, { qos, retain }: ExplainArguments): Deed {
  const level = qos as QoS;
  if (action === 'publish') {
    const problem = topicNameProblem(topic, Number.POSITIVE_INFINITY);
    if (problem !== undefined) throw usageError(`'${topic}' is not a topic: ${problem}.`);
    return { action, topic, qos: level, retain: retain === true };
  }
  if (action !== 'subscribe') throw usageError(`'${action}' is neither publish nor subscribe.`);
  if (retain === true) throw usageError('--retain is about messages: it goes with publish.');
  const problem = topicFilterProblem(topic, Number.POSITIVE_INFINITY);
  if (problem !== undefined) throw usageError(`'${topic}' is not a topic filter: ${problem}.`);
  const { filter, shareName } = parseFilter(topic);
  return { action, filter, shareName, qos: level };
}

/** `source`: what its rules are called. */
async function planOf({ config, access }: ExplainArguments): Promise<{ plan: AccessPlan; source: string }> {
  try {
    const configuration = await readConfiguration(config);
    const plan = planAccess(configuration);
    if (access === undefined) return { plan, source: configuration.aclFile ?? 'permissions' };
    const set = plan.sets?.get(access);
    if (set === undefined) throw usageError(`the configuration has no access '${access}'.`);
    const aclFile = configuration.access?.[access]?.aclFile;
    return { plan: { ...set, groups: plan.groups }, source: aclFile ?? `access.${access}.permissions` };
  } catch (error) {
    throw error instanceof ConfigurationError ? new CommandError(error.message, exitCodes.usage) : error;
  }
}

function subjectOf({ client, user, group = [], value = [] }: ExplainArguments): Subject {
  const told = value.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw usageError(`'${text}' is not a name, = and a value.`);
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  const values = { ...Object.fromEntries(told), clientId: client, ...(user !== undefined && { username: user }) };
  return { name: user ?? '', groups: group, values };
}

/** Throws for what the broker would refuse at CONNECT. */
function permissionsFor(rules: readonly Rule[], { groups }: AccessPlan, subject: Subject): Permissions {
  const everybody = new Permissions(rules, groups);
  const used = Object.entries(subject.values).filter(([name]) => everybody.names.has(name));
  try {
    return everybody.for({ ...subject, values: Object.fromEntries(used) });
  } catch (error) {
    throw new CommandError(`refused at CONNECT: ${(error as Error).message}`, exitCodes.failure);
  }
}

function* introduction(
  { judges, groups }: AccessPlan,
  { name, groups: told }: Subject,
  { client }: ExplainArguments,
): Iterable<string> {
  const member = Object.entries(groups).flatMap(([group, members]) => (members.includes(name) ? [group] : []));
  const all = [...new Set([...member, ...told])];
  const whose = name === '' ? 'nobody in particular' : `user ${name}`;
  yield `client ${client}, ${whose}${all.length === 0 ? '' : `, in ${all.join(', ')}`}`;
  if (judges === null || name === '') return;
  const subject = { name, groups: [], values: {} };
  const isKnown = judges.some(({ make }) => make(() => undefined).wordFor?.(subject, null) !== 'gone');
  if (!isKnown) yield `  note: no authority of the configuration knows ${name}: it does not get in`;
}

/** What of a subscription that is allowed is kept back, message by message. */
function* undelivered(permissions: Permissions, before: readonly Rule[], deed: Deed, source: string): Iterable<string> {
  if (deed.action !== 'subscribe') return;
  if (!/[+#]/.test(deed.filter)) {
    if (permissions.receive(deed.filter, deed.shareName) !== 0)
      yield 'but what is published there is not delivered: no rule grants receiving it';
    return;
  }
  for (const [index, rule] of before.entries()) {
    const isDenial = rule.effect === 'deny' && (rule.action === 'subscribe' || rule.action === 'all');
    if (isDenial && rule.qos === undefined)
      yield `  note: what ${placeOf(rule, index, source)} denies of it is not delivered`;
  }
}

/** Of an acl_file its line; what is so in any such file has none. */
function placeOf(rule: Rule & Partial<AclRule>, index: number, source: string): string {
  if (rule.line === undefined) return `${source}[${index}]`;
  return rule.line === 0 ? `${source} (any)` : `${source}:${rule.line}`;
}

function ruleText({ effect, action, filter, users, groups, qos, retain }: Rule): string {
  const whom = [
    ...(users ?? []).map((name) => (name === '' ? 'nobody in particular' : name)),
    ...(groups ?? []).map((name) => `group ${name}`),
  ];
  return [
    effect,
    action,
    filter,
    ...(qos === undefined ? [] : [`at QoS ${qos.join(', ')}`]),
    ...(retain === undefined ? [] : [retain ? 'with RETAIN' : 'without RETAIN']),
    ...(users === undefined && groups === undefined ? [] : [`for ${whom.join(', ')}`]),
  ].join(' ');
}

function why(mismatch: Mismatch, { action, filter, qos, retain }: Rule, deed: Deed, { values }: Subject): string {
  switch (mismatch) {
    case 'action':
      return `it is about ${action}`;
    case 'subject':
      return 'it is about others';
    case 'qos':
      return `it is about QoS ${qos?.join(', ')}`;
    case 'retain':
      return deed.action === 'subscribe'
        ? 'it is about messages'
        : `it is about messages ${retain === true ? 'with' : 'without'} RETAIN`;
    case 'share':
      return 'it is about shared subscriptions, or those of another group';
    case 'value': {
      const missing = [...filter.matchAll(/\$\{([^}]*)\}/g)]
        .map(([, name = '']) => name)
        .filter((name) => !(name in values));
      return `the client has no ${missing.join(', no ')}`;
    }
    case 'topic':
      return deed.action === 'publish' ? 'the topic does not match' : 'it does not cover the whole filter';
  }
}

function codeText(reasonCode = 0x87): string {
  return `0x${reasonCode.toString(16).toUpperCase().padStart(2, '0')}`;
}
