import { median, type Measurement, type Sample } from './measure.ts';

/** A target of the design's section 14 that this run can judge. */
export interface Verdict {
  readonly target: string;
  readonly measured: string;
  /** Empty where the design sets no limit and only wants the price shown. */
  readonly verdict: 'ok' | 'missed' | 'not measured' | '';
}

export function atMost(target: string, value: number | undefined, limit: number, unit = 'x'): Verdict {
  return verdictOf(target, value, unit, value !== undefined && value <= limit);
}

export function atLeast(target: string, value: number | undefined, limit: number): Verdict {
  return verdictOf(target, value, 'x', value !== undefined && value >= limit);
}

function verdictOf(target: string, value: number | undefined, unit: string, reached: boolean): Verdict {
  if (value === undefined) return { target, measured: '', verdict: 'not measured' };
  return { target, measured: `${fixed(value, 2)} ${unit}`, verdict: reached ? 'ok' : 'missed' };
}

export function priceOf(target: string, value: number | undefined): Verdict {
  return { target, measured: value === undefined ? '' : `${fixed(value, 2)} x`, verdict: '' };
}

export function ratio(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined || other === 0 ? undefined : one / other;
}

export function middle(
  measurement: Measurement | undefined,
  value: (sample: Sample) => number | undefined,
): number | undefined {
  return median((measurement?.samples ?? []).map(value).filter((each) => each !== undefined));
}

export function fixed(value: number | undefined, digits: number): string {
  return value === undefined ? '' : value.toFixed(digits);
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [tableLine(head), tableLine(head.map(() => '---')), ...rows.map(tableLine)].join('\n');
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`;
}

export function cpuText(measurement: Measurement): string {
  const names = Object.keys(measurement.samples[0]?.cpu ?? {});
  return names
    .map(
      (name) =>
        `${name} ${fixed(
          middle(measurement, (sample) => sample.cpu[name]),
          1,
        )}`,
    )
    .join(', ');
}

export function verdictTable(verdicts: readonly Verdict[]): string {
  return table(
    ['target', 'measured', ''],
    verdicts.map(({ target, measured, verdict }) => [target, measured, verdict]),
  );
}
