/**
 * Topic names and topic filters (section 4.7), and shared subscriptions' `$share/name/filter` (section 4.8.2).
 * Says what is wrong with one, splits it into levels, and matches one against the other.
 */

/** How many levels a topic name or filter may have unless the caller says otherwise. The standard has no limit. */
export const topicLevelsMax = 128;

const topicBytesMax = 65_535;
const sharePrefix = '$share/';

/** What is wrong with a topic name, in a sentence; undefined when nothing is. */
export function topicNameProblem(topic: string, levelsMax: number = topicLevelsMax): string | undefined {
  if (topic.length === 0) return 'Topic name is empty'; // [MQTT-4.7.3-1]
  if (topic.includes('+') || topic.includes('#')) return 'Topic name contains a wildcard'; // [MQTT-4.7.0-1]
  return textProblem(topic, 'Topic name') ?? levelsProblem(topic, 'Topic name', levelsMax);
}

/**
 * What is wrong with a topic filter, in a sentence; undefined when nothing is. A filter that starts with `$share/` is a
 * shared subscription: its levels are counted behind the share name.
 */
export function topicFilterProblem(filter: string, levelsMax: number = topicLevelsMax): string | undefined {
  const problem = textProblem(filter, 'Topic filter');
  if (problem !== undefined) return problem;
  if (!filter.startsWith(sharePrefix)) return plainFilterProblem(filter, levelsMax);
  const nameEnd = filter.indexOf('/', sharePrefix.length);
  const shareName = filter.slice(sharePrefix.length, nameEnd < 0 ? undefined : nameEnd);
  if (shareName.length === 0) return 'Share name is empty'; // [MQTT-4.8.2-1]
  if (shareName.includes('+') || shareName.includes('#')) return 'Share name contains a wildcard'; // [MQTT-4.8.2-2]
  if (nameEnd < 0) return 'No topic filter follows the share name'; // [MQTT-4.8.2-2]
  return plainFilterProblem(filter.slice(nameEnd + 1), levelsMax);
}

/** What holds for names and filters alike: no U+0000, text that UTF-8 can say, 65,535 bytes. */
function textProblem(text: string, what: string): string | undefined {
  if (text.includes('\0')) return `${what} contains U+0000`; // [MQTT-4.7.3-2]
  if (!text.isWellFormed()) return `${what} contains a lone surrogate`;
  if (text.length * 3 > topicBytesMax && bytesOf(text) > topicBytesMax) {
    return `${what} is longer than ${topicBytesMax} bytes`; // [MQTT-4.7.3-3]
  }
  return undefined;
}

/** How many bytes well-formed text takes. Not that of utf8.ts, which a browser then need not load. */
function bytesOf(text: string): number {
  let bytes = 0;
  // A character is one unit or, of four bytes, two.
  for (const character of text) bytes += character < '\u0080' ? 1 : character < '\u0800' ? 2 : 2 + character.length;
  return bytes;
}

function levelsProblem(text: string, what: string, levelsMax: number): string | undefined {
  let levels = 1;
  for (let at = text.indexOf('/'); at >= 0; at = text.indexOf('/', at + 1)) levels += 1;
  return levels > levelsMax ? `${what} has ${levels} levels, more than ${levelsMax}` : undefined;
}

function plainFilterProblem(filter: string, levelsMax: number): string | undefined {
  if (filter.length === 0) return 'Topic filter is empty'; // [MQTT-4.7.3-1]
  for (let index = 0; index < filter.length; index++) {
    const character = filter[index];
    if (character !== '+' && character !== '#') continue;
    const levelStarts = index === 0 || filter[index - 1] === '/';
    const levelEnds = index === filter.length - 1 || filter[index + 1] === '/';
    if (!levelStarts || !levelEnds) return `Topic filter has a ${character} that is not a level of its own`; // [MQTT-4.7.1-2]
    if (character === '#' && index < filter.length - 1) return 'Topic filter has a # before its last level'; // [MQTT-4.7.1-1]
  }
  return levelsProblem(filter, 'Topic filter', levelsMax);
}

/** Splits a valid `$share/name/filter`; any other filter comes back unchanged. */
export function parseFilter(filter: string): { shareName: string | undefined; filter: string } {
  const nameEnd = filter.startsWith(sharePrefix) ? filter.indexOf('/', sharePrefix.length) : -1;
  if (nameEnd < 0) return { shareName: undefined, filter };
  return { shareName: filter.slice(sharePrefix.length, nameEnd), filter: filter.slice(nameEnd + 1) };
}

/** Whether a filter asks for a shared subscription, be it a valid one or not. */
export function isSharedFilter(filter: string): boolean {
  return filter.startsWith(sharePrefix);
}

/** The levels of a topic name or filter: `/a//b` has four, two of them empty. */
export function splitTopic(topicOrFilter: string): string[] {
  return topicOrFilter.split('/');
}

/**
 * Whether a valid filter matches a valid topic name. Of a shared subscription give the filter behind the share name
 * (parseFilter).
 */
export function filterMatches(filter: string, topic: string): boolean {
  // [MQTT-4.7.2-1]
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  let filterAt = 0;
  let topicAt = 0;
  for (;;) {
    if (filter[filterAt] === '#') return true;
    const filterEnd = levelEnd(filter, filterAt);
    const topicEnd = levelEnd(topic, topicAt);
    const anyLevel = filter[filterAt] === '+';
    if (!anyLevel && !sameLevel(filter, filterAt, filterEnd, topic, topicAt, topicEnd)) return false;
    const filterDone = filterEnd === filter.length;
    if (topicEnd === topic.length) return filterDone || filter.startsWith('/#', filterEnd); // `a/#` matches `a`
    if (filterDone) return false;
    filterAt = filterEnd + 1;
    topicAt = topicEnd + 1;
  }
}

function levelEnd(text: string, start: number): number {
  const slash = text.indexOf('/', start);
  return slash < 0 ? text.length : slash;
}

function sameLevel(a: string, aStart: number, aEnd: number, b: string, bStart: number, bEnd: number): boolean {
  if (aEnd - aStart !== bEnd - bStart) return false;
  for (let index = 0; index < aEnd - aStart; index++) {
    if (a.charCodeAt(aStart + index) !== b.charCodeAt(bStart + index)) return false;
  }
  return true;
}
