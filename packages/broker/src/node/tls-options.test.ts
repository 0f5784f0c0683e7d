import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alternativeNames } from './tls-options.ts';

test('alternative names of a certificate, as Node writes them', () => {
  assert.deepEqual(alternativeNames(undefined), []);
  assert.deepEqual(alternativeNames('DNS:a.example, IP Address:127.0.0.1, email:x@example.com'), [
    'DNS:a.example',
    'IP Address:127.0.0.1',
    'email:x@example.com',
  ]);
  // What would read as two names is quoted: CVE-2021-44532.
  assert.deepEqual(alternativeNames('DNS:"a.example, DNS:b.example", URI:urn:x:1'), [
    'DNS:a.example, DNS:b.example',
    'URI:urn:x:1',
  ]);
  assert.deepEqual(alternativeNames('URI:"a\\"b"'), ['URI:a"b']);
});
