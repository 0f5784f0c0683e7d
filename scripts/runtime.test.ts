/** The command line on a Node that is too old for it: one sentence and exit code 1, before anything else is loaded. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';

const BIN = resolve(import.meta.dirname, '../packages/cli/bin/pipit.js');

/** Runs the bin on this Node, made to say that it is another one. */
function runAs(version: string): { status: number | null; stdout: string; stderr: string } {
  const disguise = `
    Object.defineProperty(process, 'version', { value: 'v${version}' });
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(disguise)}`, BIN, '--version'];
  return spawnSync(process.execPath, args, { encoding: 'utf8' });
}

for (const version of ['18.20.4', '20.20.2', '22.17.1']) {
  test(`Node ${version} is told what pipit needs`, () => {
    const { status, stdout, stderr } = runAs(version);
    assert.equal(stderr, `pipit needs Node 22.18 or newer; this is v${version}\n`);
    assert.equal(stdout, '');
    assert.equal(status, 1);
  });
}

for (const version of ['22.18.0', '23.0.0', '24.1.0']) {
  test(`Node ${version} is let through`, () => {
    assert.doesNotMatch(runAs(version).stderr, /pipit needs Node/);
  });
}
