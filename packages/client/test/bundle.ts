/** An application bundled for browsers from the sources, as its author would with esbuild. */
import { build } from 'esbuild';

/** The script of a page; `source` is a module that may import `@pipit/client`. Throws when anything of Node is in it. */
export async function bundled(source: string): Promise<string> {
  const result = await build({
    stdin: { contents: source, resolveDir: import.meta.dirname },
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
  return result.outputFiles[0]?.text ?? '';
}
