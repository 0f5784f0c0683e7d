import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonText, parseJson } from './ordered-json.ts';

// As cJSON prints them.
const cases: readonly (readonly [text: string, printed: string])[] = [
  ['{"10":1,"2":2,"10":3}', '{"10":1,"2":2,"10":3}'],
  [' [ 1 , [ ] , { } , null , true , "a b" ] ', '[1,[],{},null,true,"a b"]'],
  ['[0, -0, 1.0, 100, 1e2, 0.5, 1E+2]', '[0,-0,1,100,100,0.5,100]'],
  ['[1e15, 1e300, 1e-5, 0.0001, 12345678901234567890]', '[1e+15,1e+300,1e-05,0.0001,1.2345678901234567e+19]'],
  ['[0.1, 0.30000000000000004, 1e400]', '[0.1,0.30000000000000004,null]'],
  ['"a\\"b\\\\c\\/d\\u0001"', '"a\\"b\\\\c/d\\u0001"'],
  ['"\\\\u00e9"', '"\\\\u00e9"'],
  ['{"a": {"b": "}{][,:"}}', '{"a":{"b":"}{][,:"}}'],
];
for (const [text, printed] of cases) {
  test(`${text} is printed as ${printed}`, () => {
    const json = parseJson(text);
    assert.ok(json !== undefined);
    assert.equal(jsonText(json, false), printed);
  });
}

test('escapes become UTF-8, a character each byte', () => {
  const json = parseJson('{"\\u00e9": "\\ud83d\\ude00 \\u0041"}');
  assert.ok(json !== undefined);
  assert.equal(Buffer.from(jsonText(json, false), 'latin1').toString(), '{"é":"😀 A"}');
});

test('several lines have tabs, lists none', () => {
  const json = parseJson('{"a":[1,{"b":2}],"c":{}}');
  assert.ok(json !== undefined);
  assert.equal(jsonText(json, true), '{\n\t"a":\t[1, {\n\t\t\t"b":\t2\n\t\t}],\n\t"c":\t{\n\t}\n}');
});

for (const text of ['', '{', '{"a":}', '[1,]', 'nul', '01', "'a'", '1 2', `${'['.repeat(1002)}${']'.repeat(1002)}`]) {
  test(`${text.slice(0, 20)} is not JSON`, () => assert.equal(parseJson(text), undefined));
}
