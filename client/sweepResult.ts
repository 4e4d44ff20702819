import { formatBytes, formatDuration } from '../core/format.ts';
import type { Remnant, SweepReport, SweepResult } from '../core/sweep/run.ts';
import type { Terminal } from './terminal.ts';

/** A finished sweep for people: everything that was removed, everything that was kept and why. */
export function describeSweepResult({ reports, minimumAge, dryRun, state }: SweepResult, terminal: Terminal): string {
  const swept = rowsOf(reports, ({ swept: list }) => list);
  const kept = reports.flatMap((report) => report.kept.map((each) => [report.place, each.folder, each.why]));
  const problems = reports.flatMap((report) =>
    report.problems.map((problem) => `Problem: ${report.place}: ${problem}`),
  );
  const foreign = reports.filter((report) => report.foreign > 0);
  const unlisted = reports.reduce((sum, report) => sum + report.unlisted, 0);
  const verb = dryRun ? 'would be removed' : 'removed';
  return [
    `Sweep of what dead runs left, older than ${formatDuration(minimumAge)}: ${
      swept.length === 0 ? `nothing ${dryRun ? 'would be' : 'was'} removed` : `${swept.length} ${verb}`
    }${state === 'done' ? '' : `, ${terminal.paint('yellow', 'not everything could be swept')}`}`,
    ...section(swept.length > 0, () =>
      terminal.table(['PLACE', verb.toUpperCase(), 'OBJECTS', 'BYTES', 'UPLOADS'], swept),
    ),
    ...section(kept.length > 0, () => terminal.table(['PLACE', 'KEPT', 'WHY'], kept)),
    ...section(problems.length > 0, () => problems.join('\n')),
    ...section(foreign.length > 0, () =>
      foreign
        .map(
          ({ place, foreign: count }) => `Note: ${place} holds ${count} that are not Holdfast's; they are left alone.`,
        )
        .join('\n'),
    ),
    ...section(unlisted > 0, () => `Note: ${unlisted} more; the worker's log lists them all.`),
  ].join('\n');
}

function rowsOf(reports: readonly SweepReport[], listOf: (report: SweepReport) => readonly Remnant[]): string[][] {
  return reports.flatMap((report) =>
    listOf(report).map(({ folder, objects, bytes, uploads }) => [
      report.place,
      folder,
      String(objects),
      formatBytes(bytes),
      String(uploads),
    ]),
  );
}

function section(present: boolean, text: () => string): string[] {
  return present ? ['', text()] : [];
}
