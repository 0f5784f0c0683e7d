/**
 * JSON that is printed as it was read: names in their order and as often as they came, which JSON.parse and JSON.stringify
 * do not keep. Numbers and layout are those of cJSON, by which mosquitto_sub prints. Text is bytes, a character each.
 */

export type Json = string | { readonly items: readonly Json[] } | { readonly members: readonly [string, Json][] };

/** As deep as cJSON goes. */
const depthMax = 1000;
/** A string, a number, true, false, null, or one of []{}:, */
const token = /"(?:[^"\\]|\\.)*"|[^\s[\]{}:,"]+|[[\]{}:,]/gs;

/** A text in quotes. */
export function quoted(text: string): Json {
  return JSON.stringify(text);
}

/** Undefined for what is not JSON, or too deep. */
export function parseJson(text: string): Json | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return new Reader(text.match(token) ?? []).value(0);
}

/** Reads the tokens of what is known to be JSON. */
class Reader {
  readonly #tokens: readonly string[];
  #next = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  value(depth: number): Json | undefined {
    if (depth > depthMax) return undefined;
    const first = this.#take();
    if (first === '[') return this.#items(depth);
    if (first === '{') return this.#members(depth);
    return scalar(first);
  }

  #take(): string {
    return this.#tokens[this.#next++] as string;
  }

  /** Whether a list goes on: takes its comma, or its end. */
  #goesOn(end: string): boolean {
    if (this.#tokens[this.#next] !== end && this.#tokens[this.#next] !== ',') return true;
    return this.#take() === ',';
  }

  #items(depth: number): Json | undefined {
    const items: Json[] = [];
    while (this.#goesOn(']')) {
      const item = this.value(depth + 1);
      if (item === undefined) return undefined;
      items.push(item);
    }
    return { items };
  }

  #members(depth: number): Json | undefined {
    const members: [string, Json][] = [];
    while (this.#goesOn('}')) {
      const name = contentOf(this.#take());
      this.#take();
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      members.push([name, value]);
    }
    return { members };
  }
}

function scalar(text: string): Json {
  if (text.startsWith('"')) return quoted(contentOf(text));
  return /^[-\d]/.test(text) ? numberText(Number(text)) : text;
}

/** Escapes of characters that UTF-8 writes in several bytes; other escapes are passed over. */
const wideEscape = /\\(?:u([\da-f]{4})(?:\\u(d[c-f][\da-f]{2}))?|.)/gi;

/** What a string token stands for. What it says by escapes becomes UTF-8, as what it says plainly is already. */
function contentOf(token: string): string {
  const plain = token.replaceAll(wideEscape, (whole, first?: string, second?: string) => {
    const codes = [first, second].flatMap((digits) => (digits === undefined ? [] : [Number.parseInt(digits, 16)]));
    const [code = 0] = codes;
    return code < 0x80 ? whole : Buffer.from(String.fromCharCode(...codes)).toString('latin1');
  });
  return JSON.parse(plain) as string;
}

/** With 15 digits, or 17 where those are not enough, as C prints it by %g. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) return 'null';
  if (Object.is(value, -0)) return '-0';
  const short = value.toPrecision(15);
  return general(Number(short) === value ? short : value.toPrecision(17), value);
}

/** %g of C for digits that JavaScript gave: no zeros at the end, an exponent of two digits, and below 1e-4 too. */
function general(digits: string, value: number): string {
  const isSmall = value !== 0 && Math.abs(value) < 1e-4 && !digits.includes('e');
  const text = isSmall ? value.toExponential(digits.replace(/^-?0\.0*/, '').length - 1) : digits;
  const [mantissa = '', exponent] = text.split('e');
  const plain = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  if (exponent === undefined) return plain;
  const sign = exponent.startsWith('-') ? '-' : '+';
  return `${plain}e${sign}${exponent.replace(/^[+-]/, '').padStart(2, '0')}`;
}

/** In one line, or with tabs and line ends. */
export function jsonText(json: Json, isPretty: boolean, depth = 0): string {
  if (typeof json === 'string') return json;
  if ('items' in json) {
    return `[${json.items.map((item) => jsonText(item, isPretty, depth + 1)).join(isPretty ? ', ' : ',')}]`;
  }
  const indent = isPretty ? '\t'.repeat(depth + 1) : '';
  const gap = isPretty ? '\t' : '';
  const lines = json.members.map(
    ([name, value]) => `${indent}${quoted(name)}:${gap}${jsonText(value, isPretty, depth + 1)}`,
  );
  if (!isPretty) return `{${lines.join(',')}}`;
  const end = '\t'.repeat(depth);
  return lines.length === 0 ? `{\n${end}}` : `{\n${lines.join(',\n')}\n${end}}`;
}
