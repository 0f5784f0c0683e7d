/** That no option of Mosquitto's programs is forgotten: they are read out of their own --help. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { commands } from '../src/commands.ts';
import { plainArguments } from '../src/mosquitto-arguments.ts';
import { program } from '../src/program.ts';

/** docs/command-line.md says so. */
const leftOut = ['--proxy', '--tls-engine', '--tls-engine-kpass-sha1'];

for (const [theirs, ours] of [
  ['pub', 'pub'],
  ['sub', 'sub'],
  ['rr', 'rpc'],
] as const) {
  test(`pipit ${ours} has every option of mosquitto_${theirs}`, async () => {
    const { stdout } = spawnSync(`mosquitto_${theirs}`, ['--help'], { encoding: 'utf8' });
    const listed = stdout.split('\n').flatMap((line) => /^ +(-\S.*?) : /.exec(line)?.[1]?.split(/,\s*/) ?? []);
    const names = listed.map((each) => each.split(' ')[0] as string).filter((name) => !leftOut.includes(name));
    assert.ok(names.length > 30, names.join());
    const pipit = await program(commands, () => undefined);
    const options = pipit.commands.find((each) => each.name() === ours)?.options ?? [];
    const known = new Set(['--help', ...options.flatMap(({ short, long }) => [short, long])]);
    const unknown = names.filter((name) => !known.has(plainArguments([name], options)[0]));
    assert.deepEqual(unknown, []);
  });
}
