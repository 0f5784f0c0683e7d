import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { corpus } from './corpus/index.ts';

/** One script for a browser with the whole package and the corpus, from the sources. */
async function bundle(): Promise<string> {
  const result = await build({
    stdin: {
      contents: "export * from '@pipit/protocol'; export { runCorpus } from './corpus/check.ts';",
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'pipit',
    platform: 'browser',
    target: 'es2022',
    conditions: ['pipit-source'],
    logLevel: 'silent',
  });
  assert.deepEqual(result.warnings, []);
  return result.outputFiles[0]?.text ?? '';
}

test('a browser bundle passes the corpus where there is nothing but the language', async () => {
  const context = createContext({});
  runInContext(await bundle(), context);
  for (const name of ['Buffer', 'process', 'TextDecoder', 'TextEncoder', 'setTimeout', 'require']) {
    assert.equal(runInContext(`typeof ${name}`, context), 'undefined');
  }
  const { cases, failed } = JSON.parse(runInContext('JSON.stringify(pipit.runCorpus())', context) as string);
  assert.deepEqual(failed, []);
  assert.equal(cases, Object.values(corpus).flat().length);
});

test('bytes of another realm are bytes', async () => {
  const context = createContext({ password: Uint8Array.of(1, 2, 3) });
  runInContext(await bundle(), context);
  const script = `
    const bytes = pipit.encodePacket(
      { type: 1, version: 4, clientId: 'c', cleanStart: true, keepAlive: 0, username: 'u', password }, 4, 'client');
    pipit.decodePacket(bytes, 0, bytes.length, 4, 'client').password.join()`;
  assert.equal(runInContext(script, context), '1,2,3');
});
