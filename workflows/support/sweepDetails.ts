import { formatBytes, formatCount, formatDuration } from '../../core/format.ts';
import type { SweepReport, SweepRules } from '../../core/sweep/run.ts';

/** A sweep's story for the Web UI, in the Markdown that its current details show. */
export function describeSweep(
  { minimumAge, dryRun }: SweepRules,
  states: readonly (readonly [string, string])[],
  reports: readonly SweepReport[],
): string {
  return [
    `### Sweep of what dead runs left, older than ${formatDuration(minimumAge)}${dryRun ? ': a dry run, nothing is removed' : ''}`,
    '',
    '| place | state |',
    '| --- | --- |',
    ...states.map(([place, state]) => `| ${place} | ${state} |`),
    '',
    ...reports.flatMap(({ place, swept, kept, problems }) => [
      ...swept.map(
        ({ folder, objects, uploads, bytes }) =>
          `- ${place}: ${dryRun ? 'would remove' : 'removed'} ${folder}, ${formatCount(objects, 'object')} (${formatBytes(bytes)}), ${formatCount(uploads, 'upload')}`,
      ),
      ...kept.map(({ folder, why }) => `- ${place}: kept ${folder}: ${why}`),
      ...problems.map((problem) => `- ${place}: ${problem}`),
    ]),
  ].join('\n');
}
