/**
 * The types as a user's compiler sees them, from what is built: in every module mode, with `skipLibCheck` off, in browsers
 * without the types of Node; and the package in Node both ways. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';

const root = resolve(import.meta.dirname, '../../..');
const folder = mkdtempSync(join(tmpdir(), 'pipit-types-'));
after(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, 'node_modules/@pipit'), { recursive: true });
for (const name of ['client', 'protocol']) {
  symlinkSync(join(root, 'packages', name), join(folder, 'node_modules/@pipit', name));
}
for (const name of ['@types', 'undici-types'])
  symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');

/** Uses what an application uses; a type that is \`any\`, or too wide, fails one of the lines. */
const application = `
const client = connect('wss://broker.example', { clientId: 'me', will: { topic: 'w', payload: 'x', qos: 1 } });
const schema = { '~standard': { version: 1, vendor: 'v', validate: (value: unknown) => ({ value: value as { celsius: number } }) } } as const;
const temperature = topic('site/{site}/temp').with(schema);
async function main(): Promise<void> {
  const { reasonCode } = await client.publish('t', new Uint8Array(1), { qos: 1 });
  const code: number = reasonCode;
  for await (const message of await client.subscribe('t/#')) {
    const text: string = message.text();
    // @ts-expect-error: a payload is bytes
    const wrong: string = message.payload;
    void [text, wrong, code];
  }
  await temperature.publish(client, { site: 'a' }, { celsius: 1 });
  // @ts-expect-error: the parameter has another name
  await temperature.publish(client, { sight: 'a' }, { celsius: 1 });
  for await (const { params, payload } of await temperature.subscribe(client)) {
    const site: string = params.site;
    const celsius: number = payload.celsius;
    // @ts-expect-error: there is no such parameter
    void [site, celsius, params.other];
  }
  const error: unknown = null;
  if (error instanceof MqttError && error.kind === 'refused') void error.reasonCode;
}
void main;
`;
const imported = `import { connect, MqttError, topic } from '@pipit/client';\n${application}`;
const required = `import client_ = require('@pipit/client');\nconst { connect, MqttError, topic } = client_;\n${application}`;

interface Mode {
  readonly name: string;
  readonly file: string;
  readonly source: string;
  readonly options: Readonly<Record<string, unknown>>;
}

const node = { types: ['node'], lib: ['es2024', 'esnext.disposable'] };
const modes: readonly Mode[] = [
  { name: 'nodenext', file: 'a.ts', source: imported, options: { ...node, module: 'nodenext' } },
  { name: 'nodenext, from CommonJS', file: 'b.cts', source: required, options: { ...node, module: 'nodenext' } },
  {
    name: 'a bundler, for Node',
    file: 'c.ts',
    source: imported,
    options: { ...node, module: 'esnext', moduleResolution: 'bundler' },
  },
  {
    name: 'a bundler, for browsers, without the types of Node',
    file: 'd.ts',
    source: imported,
    options: {
      types: [],
      lib: ['es2024', 'esnext.disposable', 'dom', 'dom.iterable'],
      module: 'esnext',
      moduleResolution: 'bundler',
      customConditions: ['browser'],
    },
  },
];

for (const { name, file, source, options } of modes) {
  test(`the types hold under ${name}`, () => {
    writeFileSync(join(folder, file), source);
    const config = {
      compilerOptions: { target: 'es2024', strict: true, noEmit: true, skipLibCheck: false, ...options },
      files: [file],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const { status, stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' });
    assert.equal(stdout, '');
    assert.equal(status, 0);
  });
}

test('the package loads by import and by require, and gives the same', () => {
  const script = `
    const required = require('@pipit/client');
    import('@pipit/client').then((imported) => {
      if (required.connect !== imported.connect) throw new Error('two copies');
      if (typeof imported.outboxFolder !== 'function') throw new Error('not the one for Node');
    });`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});
