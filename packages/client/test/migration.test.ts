/** That the page for those who come from MQTT.js forgets nothing: options, events and methods are read out of its own types. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const home = dirname(createRequire(import.meta.url).resolve('mqtt/package.json'));
const types = readFileSync(join(home, 'build/lib/client.d.ts'), 'utf8');
const page = readFileSync(join(import.meta.dirname, '../../../docs/client-from-mqttjs.md'), 'utf8');

/** The names of a declaration's own members, those that are private or begin with `_` left out. */
function membersOf(declaration: string): string[] {
  const start = types.indexOf(declaration);
  assert.ok(start >= 0, `${declaration} is not in the types of MQTT.js`);
  const body = types.slice(start, types.indexOf('\n}', start));
  const names = [...body.matchAll(/^ {4}(?:get |readonly )?([a-zA-Z]\w*)\??[:(<]/gm)].map(([, name]) => name as string);
  return [...new Set(names)].filter((name) => name !== 'constructor');
}

/** Words in code, such as `a` of `{ a, b }` and of `client.a(x)`. */
const named = new Set([...page.matchAll(/```.*?```|`[^`\n]+`/gs)].flatMap(([code]) => code.match(/\w+/g) ?? []));

/** Nobody's, by the look of it. */
const unknown = ['my'];

for (const declaration of [
  'interface ISecureClientOptions {',
  'interface IClientOptions ',
  'interface IClientPublishOptions {',
  'interface IClientSubscribeOptions ',
  'interface MqttClientEventCallbacks {',
  'class MqttClient ',
]) {
  test(`every member of MQTT.js's ${declaration.replace(/ \{?$/, '')} is on the page`, () => {
    const members = membersOf(declaration);
    assert.ok(members.length > 3, members.join());
    assert.deepEqual(
      members.filter((name) => !named.has(name) && !unknown.includes(name)),
      [],
    );
  });
}
