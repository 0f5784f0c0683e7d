/** Writes lines to stdout as fast as they are taken. */

/** Resolves once all of it has left. */
export async function print(lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await new Promise<void>((done) => process.stdout.write(`${lines.join('\n')}\n`, () => done()));
}
