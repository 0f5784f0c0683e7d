/**
 * Other people's clients talk to the broker and to each other through it. The last tests print the matrix of what was
 * tried, and compare it with docs/interop.md: a hole that is not known there is a failure.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { caFile, isReference, startBroker } from './broker.ts';
import type { Feature } from './client.ts';
import { features } from './features.ts';
import { type Column, Matrix } from './matrix.ts';
import { mosquittoClient } from './mosquitto.ts';
import { mqttJsClient } from './mqttjs.ts';
import { pahoClient } from './paho.ts';
import { pipitClient } from './pipit.ts';
import { talk } from './talk.ts';
import { type Faults, type Party, partiesByTransport, partiesWith, type Trial } from './trial.ts';

const clients = [mosquittoClient(caFile, isReference), mqttJsClient(caFile), pahoClient(caFile), pipitClient(caFile)];
const broker = await startBroker();
const matrix = new Matrix(clients, broker);

after(() => Promise.all([...clients.map((client) => client.stop()), broker.stop()]));

/** Declares one test for each party of a trial, which takes place once for all of them. */
function tryOut(title: string, trial: Trial, parties: readonly Party[], column: (party: Party) => Column): void {
  describe(title, () => {
    let faults: Faults;
    before(async () => {
      faults = await trial(parties);
    });
    for (const party of parties) {
      test(party.name.replaceAll('/', ' '), () => {
        const found = faults.of(party);
        matrix.set(party.client, party.endpoint.version, column(party), found.length === 0);
        assert.deepEqual(found, []);
      });
    }
  });
}

tryOut(
  'QoS 0, 1 and 2, from everybody to everybody',
  talk('talk'),
  partiesByTransport(clients, broker),
  ({ endpoint }) => endpoint.transport,
);
if (broker.addresses.has('auto')) {
  const parties = partiesByTransport(clients, broker, 'auto');
  tryOut('the same, with every transport on one port', talk('auto'), parties, () => 'one port');
}
for (const [feature, trial] of Object.entries(features) as [Feature, Trial][]) {
  tryOut(feature, trial, partiesWith(clients, broker, feature), () => feature);
}

test('the matrix has the holes that docs/interop.md names, and no others', () => {
  const table = matrix.toString();
  console.log(`${broker.description} and ${clients.map(({ description }) => description).join(', ')}\n\n${table}`);
  assert.doesNotMatch(table, /FAILED|NOT TRIED/);
  if (isReference) return;
  const documented = readFileSync(new URL('../../docs/interop.md', import.meta.url), 'utf8');
  assert.ok(documented.includes(table), 'docs/interop.md shows another matrix');
});

test('the broker stops when it is asked to', () => broker.stop());
