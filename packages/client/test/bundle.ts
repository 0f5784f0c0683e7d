/** An application bundled for browsers from the sources, as its author would with esbuild. */
import { build as esbuild } from 'esbuild';

/** The script of a page; `source` is a module that may import `@pipit/client`. Throws when anything of Node is in it. */
export async function bundled(source: string): Promise<string> {
  const [whole] = await build(source, false);
  return whole as string;
}

/** As `bundled`, but in parts: the page's first, which brings along all it imports, then those that are loaded when they are needed. */
export function bundledInParts(source: string): Promise<string[]> {
  return build(source, true);
}

async function build(source: string, splitting: boolean): Promise<string[]> {
  const result = await esbuild({
    stdin: { contents: source, resolveDir: import.meta.dirname },
    outdir: 'nowhere',
    splitting,
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2024',
    conditions: ['pipit-source'],
    logLevel: 'silent',
  });
  if (result.warnings.length > 0) throw new Error(result.warnings.map(({ text }) => text).join('\n'));
  const isFirst = ({ path }: { path: string }): boolean => path.endsWith('stdin.js');
  const files = result.outputFiles.toSorted((a, b) => Number(isFirst(b)) - Number(isFirst(a)));
  return files.map(({ text }) => text);
}
