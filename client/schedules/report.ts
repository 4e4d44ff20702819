import type { Terminal } from '../terminal.ts';

/** One schedule as it is, held against the configuration. */
export interface ScheduleReport {
  readonly id: string;
  readonly name: string;
  readonly cron?: string;
  readonly timezone?: string;
  readonly workflowType?: string;
  /** `surplus`: Temporal has it, and the configuration no longer does. */
  readonly state: 'created' | 'updated' | 'removed' | 'in place' | 'missing' | 'differs' | 'surplus';
  readonly paused: boolean;
  /** Why it is paused, where somebody said so. */
  readonly note?: string;
  /** ISO 8601. */
  readonly next?: string;
  readonly last?: string;
}

export function describeSchedules(reports: readonly ScheduleReport[], terminal: Terminal): string {
  if (reports.length === 0) return 'No schedule is configured.';
  const rows = reports.map(({ id, cron, timezone, workflowType, state, paused, note, next, last }) => [
    id,
    workflowType ?? '-',
    cron ?? '-',
    timezone ?? '-',
    ['missing', 'differs', 'surplus'].includes(state) ? terminal.paint('yellow', state) : state,
    paused ? `paused${note === undefined ? '' : `: ${note}`}` : (next ?? '-'),
    last ?? '-',
  ]);
  const table = terminal.table(['SCHEDULE', 'STARTS', 'WHEN', 'TIME ZONE', 'STATE', 'NEXT', 'LAST'], rows);
  const differs = reports.some(({ state }) => ['missing', 'differs', 'surplus'].includes(state));
  return differs ? `${table}\n\nMake them so: holdfast schedules apply` : table;
}
