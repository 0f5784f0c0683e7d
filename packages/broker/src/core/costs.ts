/**
 * What work takes of a turn's budget, in deliveries: one is a small QoS 0 message handed to one more receiver, about 0.2 µs.
 *
 * Whatever a peer can make the broker do by one packet has a price here or is one delivery, so that no packet is cheap for who sends
 * it and dear for everybody else. Prices are rounded up from measurements.
 */

/** CONNECT with its verdict. */
export const connectCost = 50;
/** To retain a message, or to clear one. */
export const retainCost = 20;
/** To make the plan of a topic, beside what it has to look at. */
export const planCost = 16;
/** An end of a subscription of a session that is gone. */
export const forgetCost = 8;

/** To read so many bytes one by one: text, properties. A payload is not read. */
export function readingCost(bytes: number): number {
  return bytes >>> 5;
}

/** To add, replace or end a subscription. */
export function filterCost(filter: string): number {
  let levels = 1;
  for (let at = filter.indexOf('/'); at >= 0; at = filter.indexOf('/', at + 1)) levels++;
  return 20 + 2 * levels + (filter.length >>> 4);
}

/** To have looked at so many places: nodes of a tree, members of a group. */
export function visitCost(places: number): number {
  return places >>> 2;
}
