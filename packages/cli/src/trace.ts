/** `pipit trace`: what happens to messages and clients, as it happens. */

import type { TraceArguments } from './api-options.ts';
import { askApi } from './api-request.ts';
import { CommandError, exitCodes, usageError } from './command-error.ts';

/** Resolves to 0 when the trace has ended. Rejects with a CommandError. */
export async function trace({ client, address, filter, events, seconds, ...options }: TraceArguments): Promise<number> {
  const asked = {
    ...(client !== undefined && { clientId: client }),
    ...(address !== undefined && { address }),
    ...(filter !== undefined && { filter }),
  };
  if (Object.keys(asked).length === 0) throw usageError('What is to be followed? --client, --address or --filter.');
  const limits = { events: String(events), seconds: String(seconds) };
  const answer = await askApi(options, '/api/v1/trace', { ...asked, ...limits });
  try {
    let text = '';
    for await (const chunk of (answer.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) console.log(options.json === true ? line : readable(line));
    }
  } catch (error) {
    throw new CommandError(`The trace was cut off: ${(error as Error).message}.`, exitCodes.failure);
  }
  return 0;
}

/** `12:00:00.000 sent         sensor-7  greenhouse/door QoS 1, 4 bytes, id 7` */
function readable(line: string): string {
  const { time, step, clientId, topic, qos, payloadBytes, packetId, detail, reason, ...rest } = JSON.parse(line);
  const head = `${String(time).slice(11, 23)} ${String(step).padEnd(12)} ${clientId ?? ''}`;
  const message =
    topic === undefined || topic === ''
      ? []
      : [`${topic}${qos === undefined ? '' : ` QoS ${qos}, ${payloadBytes} bytes`}`];
  const about = [
    ...message,
    ...(packetId > 0 ? [`packet id ${packetId}`] : []),
    ...[detail, reason].filter((each) => each !== undefined && each !== ''),
    ...Object.entries(rest).map(([name, value]) => `${name} ${JSON.stringify(value)}`),
  ];
  return about.length === 0 ? head.trimEnd() : `${head}  ${about.join(', ')}`;
}
