/** The lines of a mosquitto.conf, those of the files that it includes among them. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ConfigurationError } from './config-settings.ts';

export interface MosquittoLine {
  readonly file: string;
  /** `mosquitto.conf:3` */
  readonly place: string;
  readonly name: string;
  /** Up to the end of the line: there are values with spaces. */
  readonly value: string;
}

/** Throws a ConfigurationError when a file or folder cannot be read. */
export function mosquittoLines(path: string): MosquittoLine[] {
  return linesOf(path).flatMap((line) => {
    if (line.name !== 'include_dir') return [line];
    return included(resolve(dirname(path), line.value)).flatMap(linesOf);
  });
}

function linesOf(path: string): MosquittoLine[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ConfigurationError([`${path}: cannot be read: ${code === 'ENOENT' ? 'there is no such file' : message}`]);
  }
  return text.split(/\r?\n/).flatMap((line, at) => {
    const [, name = '', value = ''] = /^\s*([^\s#]\S*)\s*(.*?)\s*$/.exec(line) ?? [];
    return name === '' ? [] : [{ file: path, place: `${path}:${at + 1}`, name, value }];
  });
}

/** Files whose names end in `.conf`, in their order there: of one letter the upper case first, and no letter before another's. */
function included(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.conf'));
    return names.sort(inOrder).map((name) => join(folder, name));
  } catch (error) {
    throw new ConfigurationError([`include_dir ${folder}: cannot be read: ${(error as Error).message}`]);
  }
}

function inOrder(one: string, other: string): number {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  const [first, second] = a === b ? [one, other] : [a, b];
  return first < second ? -1 : first > second ? 1 : 0;
}
