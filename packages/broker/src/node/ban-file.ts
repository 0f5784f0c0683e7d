/**
 * The bans that were made while the broker ran, in a file beside its data: `{"bans": [{"type", "value", "reason", "until"}]}`.
 *
 * It is written whole under another name and then renamed, one write at a time: after a power cut there is the old one or the
 * new one. A file that cannot be understood is set aside and told, never overwritten.
 */

import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Ban, BanList } from '../auth/ban-list.ts';
import { syncFolder } from './file-disk.ts';

export class BanFile {
  readonly #path: string;
  readonly #bans: BanList;
  #written: Promise<void> = Promise.resolve();
  #isDue = false;

  constructor(path: string, bans: BanList) {
    this.#path = path;
    this.#bans = bans;
  }

  /** Puts what the file says into the list. `failed` is told why not, when it cannot be used. */
  async load(failed: (error: Error) => void): Promise<void> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') failed(error as Error);
      return;
    }
    try {
      const { bans } = JSON.parse(text) as { bans: readonly Ban[] };
      for (const ban of bans) this.#bans.add(ban);
    } catch (error) {
      const aside = `${this.#path}.damaged`;
      await rename(this.#path, aside).catch(failed);
      failed(new Error(`${this.#path} is not a list of bans and was moved to ${aside}`, { cause: error }));
    }
  }

  /** Writes what is in the list when its turn comes. Rejects when that fails. */
  save(): Promise<void> {
    if (!this.#isDue) {
      this.#isDue = true;
      this.#written = this.#written.catch(() => {}).then(() => this.#write());
    }
    return this.#written;
  }

  async #write(): Promise<void> {
    this.#isDue = false;
    const bans = [...this.#bans].filter(({ isConfigured }) => !isConfigured).map(({ isConfigured: _, ...ban }) => ban);
    const path = `${this.#path}.new`;
    const file = await open(path, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ bans }, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(path, this.#path);
    await promisify(syncFolder)(dirname(this.#path));
  }
}
