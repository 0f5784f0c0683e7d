import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Outcome, RunningCommand, scratch } from './command.ts';

// Made by mosquitto_passwd; the password is `secret`.
const ada =
  'ada:$7$101$mQWBfoH4iiZCvC+P$n7uRojE5lsWWNB7mJwtkp083vXtpkUkToh65eFnATzQPvOMS3rzApCtk3Pw2uUlPBvDLxXm4tmE0xfD3iKZU0Q==';
writeFileSync(join(scratch, 'explained-users'), `${ada}\n`);

const rules = join(scratch, 'explained.yaml');
writeFileSync(
  rules,
  `
authentication: [{ type: passwords, file: explained-users }]
groups: { staff: [ada] }
permissions:
  - { effect: deny, action: publish, filter: 'a/#', retain: true }
  - { effect: deny, action: all, filter: 'a/secret', reasonCode: 0x97 }
  - { effect: allow, action: publish, filter: 'sites/\${claim.site}/up', qos: [0, 1] }
  - { effect: allow, action: subscribe, filter: '$share/workers/a/#', users: [bob] }
  - { effect: allow, action: all, filter: 'a/#', groups: [staff] }
access:
  guests: { permissions: [{ effect: allow, action: publish, filter: b, groups: [staff] }] }
  open: {}
`,
);

async function explain(...args: string[]): Promise<Outcome> {
  return new RunningCommand(['explain', '-c', rules, '--client', 'c', ...args], scratch).outcome();
}

test('the rule that decides is named, with why none of those before it does', async () => {
  const allowed = await explain('--user', 'ada', 'publish', 'a/b');
  assert.deepEqual(allowed, {
    exitCode: 0,
    stderr: '',
    stdout: `client c, user ada, in staff
  permissions[0] deny publish a/# with RETAIN
    is not about this: it is about messages with RETAIN
  permissions[1] deny all a/secret
    is not about this: the topic does not match
  permissions[2] allow publish sites/\${claim.site}/up at QoS 0, 1
    is not about this: the client has no claim.site
  permissions[3] allow subscribe $share/workers/a/# for bob
    is not about this: it is about subscribe
  permissions[4] allow all a/# for group staff
    decides: it is the first that applies
allowed
`,
  });
  const denied = await explain('--user', 'ada', 'publish', 'a/secret');
  assert.equal(denied.exitCode, 1);
  assert.match(denied.stdout, /permissions\[1\] .*\n {4}decides.*\ndenied, with reason code 0x97\n$/);
  const retained = await explain('--user', 'ada', '--retain', 'publish', 'a/b');
  assert.match(retained.stdout, /permissions\[0\] .*\n {4}decides.*\ndenied, with reason code 0x87\n$/);
  const none = await explain('publish', 'b');
  assert.equal(none.exitCode, 1);
  assert.match(none.stdout, /^client c, nobody in particular\n(.*\n)+denied: no rule applies\n$/);
});

test('QoS, share names, values of tokens, and what of a subscription is kept back', async () => {
  const site = ['--value', 'claim.site=north', 'publish', 'sites/north/up'];
  assert.equal((await explain('--user', 'ada', '--qos', '1', ...site)).exitCode, 0);
  const high = await explain('--user', 'ada', '--qos', '2', ...site);
  assert.match(high.stdout, /permissions\[2\] .*\n.*it is about QoS 0, 1\n/);
  assert.equal(high.exitCode, 1);
  const shared = await explain('--user', 'bob', 'subscribe', '$share/workers/a/b');
  assert.equal(shared.exitCode, 0);
  assert.match(shared.stdout, /note: no authority of the configuration knows bob/);
  assert.equal((await explain('--user', 'bob', 'subscribe', 'a/b')).exitCode, 1);
  assert.equal((await explain('--user', 'bob', 'subscribe', '$share/others/a/b')).exitCode, 1);
  const wide = await explain('--user', 'ada', 'subscribe', 'a/#');
  assert.match(wide.stdout, /allowed\n {2}note: what permissions\[1\] denies of it is not delivered\n$/);
  const group = await explain('--user', 'eve', '--group', 'staff', 'subscribe', 'a/+');
  assert.equal(group.exitCode, 0);
});

test('a configuration without rules, wrong usage, and values that are refused at CONNECT', async () => {
  const open = join(scratch, 'open.yaml');
  writeFileSync(open, 'logLevel: warn\n');
  const free = await new RunningCommand(['explain', '-c', open, '--client', 'c', 'publish', 'x'], scratch).outcome();
  assert.deepEqual(
    [free.exitCode, free.stdout.split('\n')[1]],
    [0, 'allowed: there are no rules, and nobody is asked who they are'],
  );
  for (const [args, message] of [
    [['steal', 'a'], /neither publish nor subscribe/],
    [['publish', 'a/#'], /'a\/#' is not a topic/],
    [['subscribe', 'a/#/b'], /'a\/#\/b' is not a topic filter/],
    [['--retain', 'subscribe', 'a'], /goes with publish/],
    [['--value', 'x', 'publish', 'a'], /not a name, = and a value/],
  ] as const) {
    const { exitCode, stderr } = await explain(...args);
    assert.deepEqual([exitCode, message.test(stderr)], [2, true], stderr);
  }
  const wild = await explain('--value', 'claim.site=+', 'publish', 'sites/x/up');
  assert.deepEqual([wild.exitCode, wild.stdout], [1, '']);
  assert.match(wild.stderr, /refused at CONNECT/);
  const broken = await new RunningCommand(
    ['explain', '-c', '/nowhere', '--client', 'c', 'publish', 'x'],
    scratch,
  ).outcome();
  assert.equal(broken.exitCode, 2);
  assert.match(broken.stderr, /there is no such file/);
});

test('a listener with users and rules of its own: --access', async () => {
  const guest = await explain('--access', 'guests', '--user', 'ada', 'publish', 'b');
  assert.match(guest.stdout, / {2}access\.guests\.permissions\[0\] .*\n {4}decides.*\nallowed\n$/);
  assert.equal((await explain('--access', 'guests', 'publish', 'b')).exitCode, 1);
  assert.equal((await explain('--access', 'open', 'publish', 'b')).exitCode, 0);
  const none = await explain('--access', 'nowhere', 'publish', 'b');
  assert.equal(none.exitCode, 2);
  assert.match(none.stderr, /no access 'nowhere'/);
});

test('of an acl_file the line is said', async () => {
  writeFileSync(join(scratch, 'explained-acl'), 'user ada\ntopic a/#\n\ntopic deny a/secret\n');
  const config = join(scratch, 'explained-acl.yaml');
  writeFileSync(config, 'aclFile: explained-acl\nauthentication: [{ type: passwords, file: explained-users }]\n');
  const asked = ['explain', '-c', config, '--client', 'c', '--user', 'ada'];
  const { stdout } = await new RunningCommand([...asked, 'publish', 'a/b'], scratch).outcome();
  assert.match(stdout, /explained-acl:4 deny all a\/secret .*\n {4}is not about this: the topic does not match\n/);
  assert.match(stdout, /explained-acl:2 allow all a\/# for ada\n {4}decides: it is the first that applies\nallowed\n$/);
  const asking = await new RunningCommand([...asked, 'subscribe', 'b'], scratch).outcome();
  assert.match(asking.stdout, /explained-acl \(any\) allow request #\n {4}decides/);
  assert.match(asking.stdout, /not delivered: no rule grants receiving it\n$/);
});
