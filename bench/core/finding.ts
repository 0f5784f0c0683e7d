/** One figure of the core, and what it should not be above. */

export interface Finding {
  readonly what: string;
  readonly value: number;
  readonly unit: 'B' | 'MB' | 'ns' | 'ms';
  readonly valueMax: number | null;
}

export function finding(what: string, value: number, unit: Finding['unit'], valueMax: number | null = null): Finding {
  return { what, value, unit, valueMax };
}

export function describeFinding({ what, value, unit, valueMax }: Finding): string {
  const target = valueMax === null ? '' : `  (at most ${valueMax.toFixed(1)}${value > valueMax ? ': MISSED' : ''})`;
  return `${what}: ${value.toFixed(1)} ${unit}${target}`;
}
