/**
 * System calls of a process and its threads, as `strace` saw them. What one call caused another begins after it has returned, so
 * the order of the lines of a trace is an order of events: where a call begins and where it returns.
 */
import { readFileSync } from 'node:fs';

export interface SystemCall {
  readonly name: string;
  /** The path or the addresses behind its file descriptor. */
  readonly file: string;
  /** What was written or read. */
  bytes: Buffer;
  /** Lines of the trace; `returned` is Infinity while it has not. */
  readonly began: number;
  returned: number;
  result: number;
}

/** The command line that runs a program under strace; the process started is the program itself. */
export function straced(file: string): readonly string[] {
  const calls = 'read,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,sync_file_range';
  return ['strace', '-D', '-f', '-yy', '-xx', '-s', '65536', '--seccomp-bpf', '-o', file, '-e', `trace=${calls}`];
}

const whole = /^(\d+) +(\w+)\(\d+<(.*?)>(.*)$/;
const resumed = /^(\d+) +<\.\.\. (\w+) resumed>(.*)$/;

/** Everything that strace wrote, in the order in which the calls began. */
export function readTrace(file: string): readonly SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, SystemCall>();
  for (const [line, text] of readFileSync(file, 'latin1').split('\n').entries()) {
    const [, thread = '', name = '', file = '', rest = ''] = whole.exec(text) ?? [];
    if (name !== '') {
      const began: SystemCall = {
        name,
        file: unhex(file).toString(),
        bytes: bytesIn(rest),
        began: line,
        returned: Infinity,
        result: -1,
      };
      calls.push(began);
      if (rest.endsWith('<unfinished ...>')) open.set(thread, began);
      else finish(began, line, rest);
      continue;
    }
    const [, again = '', , more = ''] = resumed.exec(text) ?? [];
    const call = open.get(again);
    if (call === undefined) continue;
    open.delete(again);
    if (call.bytes.length === 0) call.bytes = bytesIn(more);
    finish(call, line, more);
  }
  return calls;
}

function finish(call: SystemCall, line: number, rest: string): void {
  call.returned = line;
  call.result = Number(/= (-?\d+)[^=]*$/.exec(rest)?.[1]);
}

/** All strings of the arguments: `writev` has several. */
function bytesIn(text: string): Buffer {
  return Buffer.concat([...text.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = '']) => unhex(hex)));
}

/** `\x2f\x74`, and what strace does not escape even so. */
function unhex(text: string): Buffer {
  return Buffer.from(
    text.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}
