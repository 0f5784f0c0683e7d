/** What was tried with which result, as a table, and what could not be tried, with the reason. */
import type { Broker } from './broker.ts';
import { type Client, type Feature, type Transport, transports, type Version, versions } from './client.ts';

/** `one port`: the listener that tells transports apart. */
export type Column = Transport | Feature | 'one port';

const features = ['retained', 'will', 'session', 'shared'] as const satisfies readonly Feature[];

type Cell = 'passed' | 'failed';

export class Matrix {
  readonly #clients: readonly Client[];
  readonly #columns: readonly Column[];
  readonly #cells = new Map<string, Cell>();

  constructor(clients: readonly Client[], { addresses }: Broker) {
    this.#clients = clients;
    const onePort = addresses.has('auto') ? (['one port'] as const) : [];
    this.#columns = [...transports.filter((transport) => addresses.has(transport)), ...onePort, ...features];
  }

  /** A cell stands for several results when it is set several times; one failure is enough. */
  set(client: Client, version: Version, column: Column, passed: boolean): void {
    const key = `${client.name}/${version}/${column}`;
    this.#cells.set(key, passed && this.#cells.get(key) !== 'failed' ? 'passed' : 'failed');
  }

  /** As Markdown: the table, then a line for each hole. */
  toString(): string {
    const holes: string[] = [];
    const rows = this.#clients.flatMap((client) =>
      versions.map((version) => {
        const cells = this.#columns.map((column) => this.#cell(client, version, column, holes));
        return [client.name, version, ...cells];
      }),
    );
    const table = aligned([['client', 'MQTT', ...this.#columns], ...rows]);
    return `${table}\n\n${holes.map((hole, index) => `- (${index + 1}) ${hole}\n`).join('')}`;
  }

  #cell(client: Client, version: Version, column: Column, holes: string[]): string {
    const cell = this.#cells.get(`${client.name}/${version}/${column}`);
    if (cell !== undefined) return cell === 'passed' ? 'yes' : 'FAILED';
    const reason = column === 'one port' ? undefined : client.lacks[column];
    if (reason === undefined) return 'NOT TRIED';
    const hole = `${client.name}: ${reason}`;
    if (!holes.includes(hole)) holes.push(hole);
    return `(${holes.indexOf(hole) + 1})`;
  }
}

/** A Markdown table, the first row its head. */
function aligned(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows;
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] as number)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(head), rule, ...rows.slice(1).map(line)].join('\n');
}
