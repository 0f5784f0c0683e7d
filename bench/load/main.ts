/** The generator as a process: takes its options as JSON in the first argument, prints `turnedLine` twice, and its result as JSON. */

import { type LoadOptions, runLoad, turnedLine } from './load.ts';

const options = JSON.parse(process.argv[2] as string) as LoadOptions;
const result = await runLoad(options, () => process.stdout.write(`${turnedLine}\n`));
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
