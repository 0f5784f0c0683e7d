/** Times as text: what strftime of C makes of them in its plain locale, in local time. */

/** A moment: milliseconds since 1970, and what of the second has gone in nanoseconds. */
export interface Moment {
  readonly date: Date;
  readonly nanoseconds: number;
}

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const dayMs = 86_400_000;

/** As fine as the clock of this process is. */
export function momentNow(): Moment {
  const ms = performance.timeOrigin + performance.now();
  return { date: new Date(ms), nanoseconds: Math.floor((ms % 1000) * 1e6) };
}

const two = (value: number, pad = '0'): string => `${value}`.padStart(2, pad);

/** Days since the first of January, which is 0. */
function dayOfYear(date: Date): number {
  const start = Date.UTC(date.getFullYear(), 0, 1);
  return (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - start) / dayMs;
}

/** Week of the year; `first`: the day a week begins with. */
function week(date: Date, first: 0 | 1): number {
  return Math.floor((dayOfYear(date) + 7 - ((date.getDay() + 7 - first) % 7)) / 7);
}

/** Year and week of ISO 8601. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 3 - ((date.getDay() + 6) % 7));
  return { year: thursday.getFullYear(), week: 1 + Math.floor(dayOfYear(thursday) / 7) };
}

function zone(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const far = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(far / 60))}${two(far % 60)}`;
}

function zoneName(date: Date): string {
  const parts = new Intl.DateTimeFormat('en', { timeZoneName: 'short' }).formatToParts(date);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
}

const hour12 = (date: Date): number => date.getHours() % 12 || 12;

const fields: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => (days[date.getDay()] as string).slice(0, 3),
  A: (date) => days[date.getDay()] as string,
  b: (date) => (months[date.getMonth()] as string).slice(0, 3),
  B: (date) => months[date.getMonth()] as string,
  c: (date) => all('a b e H:M:S Y', date),
  C: (date) => two(Math.floor(date.getFullYear() / 100)),
  d: (date) => two(date.getDate()),
  D: (date) => all('m/d/y', date),
  e: (date) => two(date.getDate(), ' '),
  F: (date) => all('Y-m-d', date),
  g: (date) => two(isoWeek(date).year % 100),
  G: (date) => `${isoWeek(date).year}`,
  h: (date) => (months[date.getMonth()] as string).slice(0, 3),
  H: (date) => two(date.getHours()),
  I: (date) => two(hour12(date)),
  j: (date) => `${dayOfYear(date) + 1}`.padStart(3, '0'),
  k: (date) => two(date.getHours(), ' '),
  l: (date) => two(hour12(date), ' '),
  m: (date) => two(date.getMonth() + 1),
  M: (date) => two(date.getMinutes()),
  n: () => '\n',
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  P: (date) => (date.getHours() < 12 ? 'am' : 'pm'),
  r: (date) => all('I:M:S p', date),
  R: (date) => all('H:M', date),
  s: (date) => `${Math.floor(date.getTime() / 1000)}`,
  S: (date) => two(date.getSeconds()),
  t: () => '\t',
  T: (date) => all('H:M:S', date),
  u: (date) => `${date.getDay() || 7}`,
  U: (date) => two(week(date, 0)),
  V: (date) => two(isoWeek(date).week),
  w: (date) => `${date.getDay()}`,
  W: (date) => two(week(date, 1)),
  x: (date) => all('m/d/y', date),
  X: (date) => all('H:M:S', date),
  y: (date) => two(date.getFullYear() % 100),
  Y: (date) => `${date.getFullYear()}`,
  z: zone,
  Z: zoneName,
};

/** Several fields, each letter one. */
function all(letters: string, date: Date): string {
  return letters.replaceAll(/[a-zA-Z]/g, (letter) => fields[letter]?.(date) ?? letter);
}

/** The field that `%` and the letter give; what there is not stays as it is. */
export function timeField(letter: string, { date, nanoseconds }: Moment): string {
  if (letter === 'N') return `${nanoseconds}`.padStart(9, '0');
  return fields[letter]?.(date) ?? `%${letter}`;
}

/** 2026-11-20T13:26:55+0000 */
export function isoText({ date }: Moment, fraction = ''): string {
  return `${all('Y-m-d', date)}T${all('H:M:S', date)}${fraction}${zone(date)}`;
}
