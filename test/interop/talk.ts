/** Everybody publishes in every QoS, and everybody hears everybody, themselves too. */
import type { Message, Subscriber } from './client.ts';
import { Faults, type Party, publishOne, shown, type Trial } from './trial.ts';

const payloads = ['first', 'zwölf Grüße 🐦', 'last'];

function messagesOf({ name }: Party, topics: string): Message[] {
  return ([0, 1, 2] as const).flatMap((qos) =>
    payloads.map((payload) => ({ topic: `${topics}/${name}/${qos}`, payload, qos, retain: false })),
  );
}

/** `topics`: how all its topics begin. Subscribed at QoS 2: every message is to arrive in the QoS it was published in. */
export function talk(topics: string): Trial {
  return async (parties) => {
    const faults = new Faults(parties);
    const subscribers = await faults.forAll(parties, ({ client, endpoint }) =>
      client.subscribe(endpoint, { filters: [`${topics}/#`], qos: 2 }),
    );
    const publishers = await faults.forAll(parties, (party) =>
      party.client.publish(party.endpoint, messagesOf(party, topics)),
    );
    // Behind everything else in everybody's line.
    const end = `${topics}/end`;
    await publishOne(parties[0] as Party, { topic: end, qos: 2 });
    const listeners = [...subscribers.keys()];
    await faults.forAll(listeners, (party) => (subscribers.get(party) as Subscriber).inbox.until(end));
    for (const [to, { inbox }] of subscribers) {
      const byTopic = Map.groupBy(inbox.messages, ({ topic }) => topic);
      let expectedCount = 1;
      for (const from of publishers.keys()) {
        const expected = messagesOf(from, topics);
        const received = ([0, 1, 2] as const).flatMap((qos) => byTopic.get(`${topics}/${from.name}/${qos}`) ?? []);
        expectedCount += expected.length;
        faults.expect(to, `from ${from.name}`, received.map(shown), expected.map(shown));
        if (to !== from) faults.expect(from, `to ${to.name}`, received.map(shown), expected.map(shown));
      }
      if (publishers.size === parties.length)
        faults.expect(to, 'messages in all', inbox.messages.length, expectedCount);
    }
    await faults.forAll(listeners, (party) => (subscribers.get(party) as Subscriber).end());
    return faults;
  };
}
