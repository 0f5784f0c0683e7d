/** The example configurations can be used as they are, once the files that they name are there. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { brokerOptions, configuredAdmin, hashPassword, readConfiguration } from '../../src/index.ts';
import { certificateFile } from './dial.ts';

const examples = join(import.meta.dirname, '../../../../examples/configurations');
const folder = mkdtempSync(join(tmpdir(), 'pipit-examples-'));
after(() => rmSync(folder, { recursive: true }));

test('every example is a configuration that a broker takes', async () => {
  for (const name of ['server', 'server-key', 'ca']) copyFileSync(certificateFile(name), join(folder, `${name}.pem`));
  const hash = await hashPassword('scrypt', Buffer.from('secret'), Buffer.alloc(16, 1));
  writeFileSync(join(folder, 'users'), `ada:${hash}\nliving-room:${hash}\n`);
  const names = readdirSync(examples);
  assert.ok(names.length >= 3);
  for (const name of names) {
    copyFileSync(join(examples, name), join(folder, name));
    const configuration = await readConfiguration(join(folder, name));
    assert.ok((brokerOptions(configuration).listeners ?? []).length > 0, name);
    configuredAdmin(configuration);
    // Nobody gets in unasked.
    assert.ok(configuration.authentication !== undefined && !configuration.allowAnonymous, name);
  }
});
