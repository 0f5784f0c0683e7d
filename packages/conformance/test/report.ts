/** `npm run conformance:report`: runs the suite against Pipit and writes docs/conformance.md. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Result } from '@pipit/conformance';
import { byStatement, exitCodeOf, runSuite, summaryOf } from '@pipit/conformance';
import { limitedCapabilities, startPipit } from './pipit.ts';

const root = join(import.meta.dirname, '../../..');
const versions = { 5: '5.0', 4: '3.1.1', 3: '3.1' } as const;

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
}

/** Results of a full broker, and in the place of what does not apply to it those of a limited one. */
async function runBoth(): Promise<Result[]> {
  const full = await startPipit();
  const limited = await startPipit(limitedCapabilities, { serverKeepAliveMax: 20 });
  const { results } = await runSuite({ url: full.url, facts: full.facts });
  const only = results.filter(({ outcome }) => outcome === 'not applicable').map(({ id }) => id);
  const rest = await runSuite({ url: limited.url, facts: limited.facts, only });
  await Promise.all([full.broker.stop(), limited.broker.stop()]);
  return results.map(
    (result) => rest.results.find(({ id, outcome }) => id === result.id && outcome !== 'not applicable') ?? result,
  );
}

/** One table: a row a statement. */
function table(results: readonly Result[]): string[] {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = byStatement(results).map(({ statement, outcome, results: group }) => {
    const first = group.find((result) => result.outcome === outcome) as Result;
    const note = first.note === undefined ? '' : `: ${first.note}`;
    const others = group.length > 1 ? ` (${group.length} cases)` : '';
    return `| ${statement} | ${outcome} | ${cell(first.title + note + others)} |`;
  });
  return ['| statement | result | what was seen to hold |', '|---|---|---|', ...rows];
}

const results = await runBoth();
const date = new Date().toISOString().slice(0, 10);
const lines = [
  '# Conformance of Pipit',
  '',
  `Written by \`npm run conformance:report\` on ${date} at commit ${git('rev-parse', '--short', 'HEAD')}; do not edit.`,
  'Statements are named by the ids of the standard (`MQTT-…` 5.0, `MQTT3-…` 3.1.1) or by ours where it has none; they are in `spec/`.',
  'The same suite runs against any broker: `pipit conformance mqtt://host:port`. How others do: [conformance-peers.md](conformance-peers.md).',
  'What only a broker with limits can show was run against one with maximum QoS 1 and without retained messages, wildcards,',
  'shared subscriptions and Subscription Identifiers. *information* is what the standard leaves open.',
];
for (const version of [5, 4, 3] as const) {
  const own = results.filter((result) => result.version === version);
  const { pass, fail, notApplicable, information } = summaryOf(own);
  const counts = `${own.length} cases: ${pass} statements pass, ${fail} fail, ${notApplicable} do not apply, ${information} for information.`;
  lines.push('', `## MQTT ${versions[version]}`, '', counts, '', ...table(own));
}
writeFileSync(join(root, 'docs/conformance.md'), `${lines.join('\n')}\n`);
process.exitCode = exitCodeOf(results);
