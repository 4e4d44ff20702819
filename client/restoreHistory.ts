import type { RestoreRecord } from '../core/catalog/restores.ts';
import { formatBytes, formatDuration } from '../core/format.ts';
import type { Style, Terminal } from './terminal.ts';

const STYLES: Readonly<Record<RestoreRecord['outcome'], Style>> = {
  succeeded: 'green',
  failed: 'red',
  refused: 'yellow',
  aborted: 'yellow',
};

/** Restores and drills, newest first, so that one sees how the time to recover grows. Under it, why some failed. */
export function describeRestores(records: readonly RestoreRecord[], terminal: Terminal): string {
  const rows = records.map((record) => [
    record.startedAt,
    record.kind,
    record.source,
    record.backup ?? '-',
    record.backend ?? '-',
    terminal.paint(STYLES[record.outcome], record.outcome),
    formatDuration(record.recovery),
    formatBytes(record.bytes),
    speed(record),
    record.differenceCount === undefined ? '-' : String(record.differenceCount),
  ]);
  const head = [
    'WHEN',
    'WHAT',
    'SOURCE',
    'BACKUP',
    'FROM',
    'OUTCOME',
    'TIME TO RECOVER',
    'SIZE',
    'SPEED',
    'DIFFERENCES',
  ];
  const reasons = records.flatMap(({ startedAt, problem }) =>
    problem === undefined ? [] : [`${startedAt}: ${problem.message}`],
  );
  return [terminal.table(head, rows), ...(reasons.length === 0 ? [] : ['', ...reasons])].join('\n');
}

function speed({ recovery, bytes }: RestoreRecord): string {
  return recovery === undefined || bytes === undefined || recovery === 0
    ? '-'
    : `${formatBytes(Math.round((bytes / recovery) * 1_000))}/s`;
}
