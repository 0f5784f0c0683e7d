import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BanList } from '../auth/ban-list.ts';
import { defaultLimits, type Limits } from '../core/index.ts';
import { Admission, type Host, type TurnedAway } from './admission.ts';

class Door {
  now = 0;
  readonly bans = new BanList();
  readonly admission: Admission;

  constructor(limits: Partial<Limits>) {
    this.admission = new Admission({ ...defaultLimits, ...limits }, this.bans, () => this.now);
  }

  enter(address: string): Host | TurnedAway | null {
    return this.admission.entered(address);
  }

  /** By what this many were turned away, in order; '' for who came in. */
  enterAll(count: number, address: (at: number) => string): string[] {
    return Array.from({ length: count }, (_, at) => {
      const entered = this.enter(address(at));
      return entered !== null && 'limit' in entered ? entered.limit : '';
    });
  }
}

test('connections of one address are limited, others are not; one that leaves makes room', () => {
  const door = new Door({ connectionsPerAddressMax: 2 });
  const first = door.enter('192.0.2.1:1') as Host;
  assert.deepEqual(
    door.enterAll(2, () => '192.0.2.1:2'),
    ['', 'connectionsPerAddressMax'],
  );
  assert.deepEqual(
    door.enterAll(2, () => '192.0.2.2:2'),
    ['', ''],
  );
  door.admission.left(first);
  assert.deepEqual(
    door.enterAll(2, () => '192.0.2.1:2'),
    ['', 'connectionsPerAddressMax'],
  );
});

test('IPv6 addresses of one /64 are one address', () => {
  const door = new Door({ connectionsPerAddressMax: 2 });
  const within = door.enterAll(3, (at) => `[2001:db8:0:1::${at}]:1`);
  assert.deepEqual(within, ['', '', 'connectionsPerAddressMax']);
  assert.deepEqual(
    door.enterAll(2, (at) => `[2001:db8:0:2::${at}]:1`),
    ['', ''],
  );
});

test('the rate of one address has a burst of two seconds and refills', () => {
  const door = new Door({ acceptsPerSecondPerAddressMax: 3 });
  const refused = 'acceptsPerSecondPerAddressMax';
  assert.deepEqual(
    door.enterAll(8, () => '192.0.2.1:1'),
    ['', '', '', '', '', '', refused, refused],
  );
  assert.deepEqual(
    door.enterAll(1, () => '192.0.2.2:1'),
    [''],
  );
  door.now += 1_000;
  assert.deepEqual(
    door.enterAll(4, () => '192.0.2.1:1'),
    ['', '', '', refused],
  );
});

test('the rate of all is another one', () => {
  const door = new Door({ acceptsPerSecondMax: 1, connectionsMax: 5 });
  const accept = (connections: number): string => door.admission.accepted(connections)?.limit ?? '';
  assert.deepEqual([accept(0), accept(1), accept(2)], ['', '', 'acceptsPerSecondMax']);
  door.now += 1_000;
  assert.deepEqual([accept(5), accept(4), accept(3)], ['connectionsMax', '', 'acceptsPerSecondMax']);
});

test('this machine is not counted, but can be banned', () => {
  const door = new Door({ connectionsPerAddressMax: 1, acceptsPerSecondPerAddressMax: 1 });
  for (const address of ['127.0.0.1:1', '[::1]:1'])
    assert.deepEqual(
      door.enterAll(9, () => address),
      Array(9).fill(''),
    );
  door.bans.add({ type: 'address', value: '127.0.0.0/8' });
  assert.deepEqual(
    door.enterAll(1, () => '127.0.0.1:1'),
    ['banned'],
  );
});

test('a host is forgotten once it has no connections and its rate is full again, however many there were', () => {
  const door = new Door({ acceptsPerSecondPerAddressMax: 5 });
  const hosts: (Host | null)[] = [];
  for (let at = 0; at < 10_000; at++) hosts.push(door.enter(`10.1.${at >> 8}.${at & 255}:1`) as Host);
  assert.equal(door.admission.hosts, 10_000);
  for (const host of hosts) door.admission.left(host);
  assert.equal(door.admission.hosts, 10_000, 'or leaving would refill the rate');
  door.now += 2_000;
  assert.equal(door.admission.hosts, 0);
});

test('one that knocks without end keeps no other from being forgotten', () => {
  const door = new Door({ acceptsPerSecondPerAddressMax: 1 });
  door.admission.left(door.enter('192.0.2.1:1') as Host);
  for (let at = 0; at < 1_000; at++) {
    door.now += 100;
    door.enter('192.0.2.1:1');
    door.admission.left(door.enter(`10.1.${at >> 8}.${at & 255}:1`) as Host);
  }
  assert.ok(door.admission.hosts < 30, `${door.admission.hosts} hosts`);
});

test('hosts that are turned away are forgotten as well', () => {
  const door = new Door({ acceptsPerSecondPerAddressMax: 1 });
  for (let at = 0; at < 100_000; at++) {
    door.now += 0.1;
    door.admission.left(door.enter(`[2001:db8:${(at >> 16).toString(16)}:${(at & 65_535).toString(16)}::1]:1`) as Host);
  }
  assert.ok(door.admission.hosts <= 20_001, `${door.admission.hosts} hosts`);
  door.now += 2_000;
  assert.equal(door.admission.hosts, 0);
});
