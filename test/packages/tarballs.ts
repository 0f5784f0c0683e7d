/** Every package as npm would publish it, packed once for a test file. Needs `npm run build`. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';

export const root = resolve(import.meta.dirname, '../..');

export interface Tarball {
  /** On npm: `@pipit/client`. */
  readonly name: string;
  readonly path: string;
  /** Inside it, without the folder `package` that all of them have. */
  readonly files: readonly string[];
  readonly manifest: Readonly<Record<string, unknown>>;
}

/** A folder of its own that is gone after the tests of the file. */
export function temporaryFolder(name: string): string {
  const path = mkdtempSync(join(tmpdir(), `pipit-${name}-`));
  after(() => rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
  return path;
}

/** Runs npm and resolves to what it prints; rejects with all it said when it fails. */
export async function npm(cwd: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('npm', args, { cwd });
  return stdout;
}

export async function tarballs(): Promise<readonly Tarball[]> {
  const folder = temporaryFolder('tarballs');
  const list = await npm(root, 'pack', '--workspaces', '--json', '--pack-destination', folder);
  const packed = JSON.parse(list) as readonly {
    readonly name: string;
    readonly filename: string;
    readonly files: readonly { readonly path: string }[];
  }[];
  const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { workspaces: string[] };
  return packed.map(({ name, filename, files }, index) => ({
    name,
    path: join(folder, filename),
    files: files.map(({ path }) => path),
    manifest: JSON.parse(readFileSync(join(root, workspaces[index] as string, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >,
  }));
}
