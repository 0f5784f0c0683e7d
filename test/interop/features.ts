/** What MQTT has beyond handing on messages, tried by every client on its own and by all of them with each other. */
import type { Feature, Message, Subscriber, Victim } from './client.ts';
import { Faults, type Party, partnerOf, publishOne, shown, type Trial } from './trial.ts';

async function endAll(faults: Faults, subscribers: ReadonlyMap<Party, Subscriber>): Promise<void> {
  await faults.forAll([...subscribers.keys()], (party) => (subscribers.get(party) as Subscriber).end());
}

/** What a subscriber got, in an order that does not depend on who was faster. */
function contents({ inbox }: Subscriber, besides: string): string[] {
  return inbox.messages
    .filter(({ topic }) => topic !== besides)
    .map(shown)
    .sort();
}

/** Everybody leaves a retained message; newcomers get all of them; everybody clears theirs; newcomers get none. */
const retained: Trial = async (parties) => {
  const faults = new Faults(parties);
  const newcomers = () =>
    faults.forAll(parties, ({ client, endpoint }) => client.subscribe(endpoint, { filters: ['retained/#'], qos: 1 }));
  const left = parties.map(
    ({ name }) => ({ topic: `retained/${name}`, payload: 'kept', qos: 1, retain: true }) as const,
  );
  const cleared = left.map((message) => ({ ...message, payload: '', retain: false }));

  await faults.forAll(parties, ({ client, endpoint }, index) => client.publish(endpoint, [left[index] as Message]));
  const present = await newcomers();
  await faults.forAll([...present.keys()], (party) => present.get(party)!.inbox.until('retained/', parties.length));
  await faults.forAll(parties, (party) =>
    publishOne(party, { topic: `retained/${party.name}`, payload: '', retain: true }),
  );
  const all = 2 * parties.length;
  await faults.forAll([...present.keys()], (party) => present.get(party)!.inbox.until('retained/', all));
  for (const [party, subscriber] of present) {
    const expected = [...left, ...cleared].map(shown).sort();
    faults.expect(party, 'retained messages, then their end', contents(subscriber, ''), expected);
  }

  const late = await newcomers();
  await publishOne(parties[0] as Party, { topic: 'retained/end' });
  await faults.forAll([...late.keys()], (party) => late.get(party)!.inbox.until('retained/end'));
  for (const [party, subscriber] of late) {
    faults.expect(party, 'retained messages when all are cleared', contents(subscriber, 'retained/end'), []);
  }
  await endAll(faults, present);
  await endAll(faults, late);
  return faults;
};

/** Everybody hears the wills of all whose process is killed, and none of those who said goodbye. */
const will: Trial = async (parties) => {
  const faults = new Faults(parties);
  const willOf = ({ name }: Party, how: string): Message => ({
    topic: `will/${how}/${name}`,
    payload: 'gone',
    qos: 1,
    retain: false,
  });
  const observers = await faults.forAll(parties, ({ client, endpoint }) =>
    client.subscribe(endpoint, { filters: ['will/#'], qos: 1 }),
  );
  await faults.forAll(parties, (party) =>
    party.client.visit(party.endpoint, { filters: ['other'], qos: 0, will: willOf(party, 'polite') }),
  );
  const victims = await faults.forAll(parties, (party) =>
    party.client.subscribeAlone(party.endpoint, { filters: ['other'], qos: 0, will: willOf(party, 'killed') }),
  );
  await faults.forAll([...victims.keys()], (party) => (victims.get(party) as Victim).kill());
  const watching = [...observers.keys()];
  await faults.forAll(watching, (party) => observers.get(party)!.inbox.until('will/killed/', victims.size));
  await publishOne(parties[0] as Party, { topic: 'will/end' });
  await faults.forAll(watching, (party) => observers.get(party)!.inbox.until('will/end'));
  for (const [party, observer] of observers) {
    const expected = parties.map((victim) => shown(willOf(victim, 'killed'))).sort();
    faults.expect(party, 'wills heard', contents(observer, 'will/end'), expected);
  }
  await endAll(faults, observers);
  return faults;
};

/** A session collects messages while its client is away, and hands them over in order when it returns. */
const session: Trial = async (parties) => {
  const faults = new Faults(parties);
  await faults.forAll(parties, async (party, index) => {
    const { client, endpoint, name } = party;
    const topic = `session/${name}`;
    const subscription = { filters: [topic, `${topic}/end`], qos: 2, durableId: `durable-${index}` } as const;
    const collected = ([1, 2] as const).flatMap((qos) =>
      ['one', 'two', 'three'].map((payload) => ({ topic, payload, qos, retain: false })),
    );
    const known = (sessionPresent: boolean | undefined, expected: boolean) => {
      // MQTT 3.1 has no such flag.
      if (sessionPresent !== undefined && endpoint.version !== '3.1')
        faults.expect(party, 'session present', sessionPresent, expected);
    };
    known(await client.visit(endpoint, subscription), false);
    const partner = partnerOf(parties, index);
    await partner.client.publish(partner.endpoint, collected);
    const subscriber = await client.subscribe(endpoint, subscription);
    known(subscriber.sessionPresent, true);
    await publishOne(partner, { topic: `${topic}/end`, qos: 2 });
    await subscriber.inbox.until(`${topic}/end`);
    const received = subscriber.inbox.messages.filter((message) => message.topic === topic);
    faults.expect(party, `from ${partner.name} while away`, received.map(shown), collected.map(shown));
    await subscriber.end();
  });
  return faults;
};

/** Two members of a group share what another client publishes: each message goes to one of them, and both get some. */
const shared: Trial = async (parties) => {
  const faults = new Faults(parties);
  await faults.forAll(parties, async (party, index) => {
    const { client, endpoint, name } = party;
    const topic = `shared/${name}`;
    const subscription = { filters: [`$share/pair/${topic}`, `${topic}/end`], qos: 1 } as const;
    const members = [await client.subscribe(endpoint, subscription), await client.subscribe(endpoint, subscription)];
    const messages = Array.from({ length: 20 }, (_, number) => `${number + 10}`).map(
      (payload) => ({ topic, payload, qos: 1, retain: false }) as const,
    );
    const partner = partnerOf(parties, index);
    await partner.client.publish(partner.endpoint, messages);
    await publishOne(partner, { topic: `${topic}/end` });
    for (const { inbox } of members) await inbox.until(`${topic}/end`);
    const shares = members.map((member) => contents(member, `${topic}/end`));
    faults.expect(party, `both together, from ${partner.name}`, shares.flat().sort(), messages.map(shown));
    faults.expect(party, 'members with nothing', shares.filter((share) => share.length === 0).length, 0);
    for (const member of members) await member.end();
  });
  return faults;
};

export const features: Readonly<Record<Feature, Trial>> = { retained, will, session, shared };
