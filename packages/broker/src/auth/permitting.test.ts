import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { connectRequest } from '../../test/node/connect-request.ts';
import type { AuthenticationRequest, Peer } from '../core/index.ts';
import { Permissions } from '../core/index.ts';
import { certificateJudge } from './certificate.ts';
import { chain } from './chain.ts';
import { type Identification, permitting } from './permitting.ts';

const certificate: NonNullable<Peer['certificate']> = {
  commonName: 'device 7',
  subject: 'CN=device 7',
  fingerprint: 'AB:CD',
  alternativeNames: ['email:a@example.com', 'URI:urn:device:7', 'DNS:seven.example', 'DNS:other.example'],
};

function request(clientId: string, peer: Partial<Peer> = {}): AuthenticationRequest {
  return connectRequest({
    peer: { transport: 'tls', address: '192.0.2.1:1', listener: '', ...peer },
    clientId,
    username: 'whoever',
  });
}

const rules = new Permissions(
  [
    { effect: 'allow', action: 'publish', filter: 'c/${clientId}' },
    { effect: 'allow', action: 'publish', filter: 'u/${username}' },
    { effect: 'allow', action: 'publish', filter: 'cn/${cert.cn}' },
    { effect: 'allow', action: 'publish', filter: 'site/${claim.site}' },
    { effect: 'allow', action: 'publish', filter: 'staff', groups: ['staff'] },
    { effect: 'allow', action: 'publish', filter: 'night', groups: ['night'] },
  ],
  { staff: ['ada'] },
);

async function mayPublish(identification: Identification, from = request('c1', { certificate })): Promise<string[]> {
  const verdict = await permitting({ authenticate: () => identification }, rules).authenticate(from);
  assert.ok(verdict.outcome === 'accept');
  assert.ok(!('groups' in verdict) && !('values' in verdict), 'the core is told what it knows');
  const topics = ['c/c1', 'c/c2', 'u/ada', 'u/whoever', 'cn/device 7', 'site/north', 'staff', 'night', 'u/', 'site/'];
  return topics.filter((topic) => verdict.permissions?.publish(topic, 0, false) === 0);
}

test('templates are filled with who was let in, not with who it said it was', async () => {
  const values = { 'claim.site': 'north' };
  assert.deepEqual(await mayPublish({ outcome: 'accept', principal: 'ada', groups: ['night'], values }), [
    'c/c1',
    'u/ada',
    'cn/device 7',
    'site/north',
    'staff',
    'night',
  ]);
  assert.deepEqual(await mayPublish({ outcome: 'accept', principal: null }, request('c1')), ['c/c1']);
  assert.deepEqual(await mayPublish({ outcome: 'accept', principal: 'ada', assignedClientId: 'c2' }, request('')), [
    'c/c2',
    'u/ada',
    'staff',
  ]);
});

test('who would choose its part of the topics by wildcards or levels in its names is refused', async () => {
  const accept = (principal: string, values = {}) =>
    permitting({ authenticate: (): Identification => ({ outcome: 'accept', principal, values }) }, rules);
  for (const [authority, clientId, code] of [
    [accept('ada'), '+', ReasonCode.ClientIdentifierNotValid],
    [accept('ada'), 'c1/x', ReasonCode.ClientIdentifierNotValid],
    [accept('ada'), '$SYS', ReasonCode.ClientIdentifierNotValid],
    [accept('#'), 'c1', ReasonCode.NotAuthorized],
    [accept('ada', { 'claim.site': 'a/b' }), 'c1', ReasonCode.NotAuthorized],
  ] as const) {
    const verdict = await authority.authenticate(request(clientId));
    assert.equal(verdict.outcome === 'refuse' && verdict.reasonCode, code);
  }
  const simple = new Permissions([{ effect: 'allow', action: 'all', filter: '#' }]);
  const verdict = await permitting(chain([certificateJudge()]), simple).authenticate(request('a/b', { certificate }));
  assert.equal(verdict.outcome, 'accept', 'where no rule has it in a template any client id will do');
});

test('rules that a verdict brings hold instead, for whom it is about', async () => {
  const own = new Permissions(
    [
      { effect: 'allow', action: 'publish', filter: 'mine/${clientId}' },
      { effect: 'allow', action: 'publish', filter: 'site/${claim.site}' },
    ],
    {},
    { isOwn: true },
  );
  const identification = { outcome: 'accept', principal: 'ada', permissions: own } as const;
  const verdict = await permitting({ authenticate: () => identification }, rules).authenticate(request('c1'));
  assert.ok(verdict.outcome === 'accept');
  const { permissions } = verdict;
  assert.deepEqual(
    ['mine/c1', 'mine/c2', 'u/ada', 'site/'].map((topic) => permissions?.publish(topic, 0, false)),
    [0, ReasonCode.NotAuthorized, ReasonCode.NotAuthorized, ReasonCode.NotAuthorized],
  );
  assert.deepEqual([permissions?.isOwn, permissions?.subject.name], [true, 'ada']);
  const refused = await permitting({ authenticate: () => identification }, rules).authenticate(request('a/b'));
  assert.equal(refused.outcome === 'refuse' && refused.reasonCode, ReasonCode.ClientIdentifierNotValid);
});

test('a certificate says who somebody is by the part that was chosen', async () => {
  for (const [identity, principal] of [
    ['commonName', 'device 7'],
    ['dns', 'seven.example'],
    ['uri', 'urn:device:7'],
    ['email', 'a@example.com'],
    ['fingerprint', 'AB:CD'],
  ] as const) {
    const judge = certificateJudge(identity);
    assert.deepEqual(await judge.authenticate(request('c', { certificate })), { outcome: 'accept', principal });
    assert.deepEqual(await judge.authenticate(request('c')), { outcome: 'pass' });
  }
  // The right side is what `openssl x509 -subject -nameopt RFC2253` prints, and Mosquitto's use_subject_as_username says.
  for (const [subject, principal] of [
    ['C=GB,O=Server,OU=Production,CN=test client', 'CN=test client,OU=Production,O=Server,C=GB'],
    ['C=GB,serialNumber=7 + O=Sm\\, ith \\\\,CN=ada=x\\ ', 'CN=ada=x\\ ,O=Sm\\, ith \\\\+serialNumber=7,C=GB'],
    ['CN=Zü', 'CN=Z\\C3\\BC'],
  ] as const) {
    const peer = { certificate: { ...certificate, subject } };
    const verdict = await certificateJudge('subject').authenticate(request('c', peer));
    assert.deepEqual(verdict, { outcome: 'accept', principal });
  }
  const bare = { ...certificate, alternativeNames: [], commonName: '' };
  for (const identity of ['commonName', 'dns'] as const) {
    assert.deepEqual(await certificateJudge(identity).authenticate(request('c', { certificate: bare })), {
      outcome: 'pass',
    });
  }
});
