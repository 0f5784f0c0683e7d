/** The files of a data directory, as the log may know them: in it, or in one of its folders. */

import fs from 'node:fs';
import { join } from 'node:path';

/**
 * Their names in no order, with `/` behind a folder. A folder that may not be read counts as empty: on a disk that is mounted
 * there is `lost+found`, and what the log keeps in folders is copies. Throws when the directory itself cannot be read.
 */
export function dataFileNames(directory: string): string[] {
  return fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isFile()) return [entry.name];
    return entry.isDirectory() ? namesIn(join(directory, entry.name)).map((name) => `${entry.name}/${name}`) : [];
  });
}

function namesIn(folder: string): string[] {
  try {
    const entries = fs.readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  } catch {
    return [];
  }
}
