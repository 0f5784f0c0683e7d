/** Bytes as people keep them in a corpus: hexadecimal digits in groups, `61*3000` for a group repeated. */

const group = /^((?:[0-9a-f]{2})+)(?:\*(\d+))?$/i;
/** A run is written as a repetition from this many bytes on. */
const runMin = 12;

export function bytesOf(text: string): Uint8Array {
  const groups = text.split(/\s+/).filter((each) => each !== '');
  return Uint8Array.from(
    groups.flatMap((each) => {
      const [, digits, times = '1'] = group.exec(each) ?? [];
      if (digits === undefined) throw new Error(`not hexadecimal: ${each}`);
      const bytes = (digits.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
      return Array.from({ length: Number(times) }, () => bytes).flat();
    }),
  );
}

export function textOf(bytes: Uint8Array): string {
  const groups: string[] = [];
  let plain = '';
  for (let at = 0; at < bytes.length; ) {
    const [period, times] = runAt(bytes, at);
    if (times === 1) {
      plain += hex(bytes.subarray(at, at + 1));
      at += 1;
      continue;
    }
    if (plain !== '') groups.push(plain);
    plain = '';
    groups.push(`${hex(bytes.subarray(at, at + period))}*${times}`);
    at += period * times;
  }
  if (plain !== '') groups.push(plain);
  return groups.join(' ');
}

/** The longest repetition of a pattern of up to 16 bytes that begins here and is worth its name: its period and times. */
function runAt(bytes: Uint8Array, at: number): readonly [period: number, times: number] {
  for (let period = 1; period <= 16; period++) {
    let end = at + period;
    while (end < bytes.length && bytes[end] === bytes[end - period]) end += 1;
    const times = Math.floor((end - at) / period);
    if (times >= 3 && times * period >= runMin) return [period, times];
  }
  return [1, 1];
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
