import { formatBytes, formatDuration } from '../../core/format.ts';
import type { BackupProgress, BackupResult, CopyProgress } from '../../core/backup/run.ts';

/** The run's story for the Web UI, in the Markdown that its current details show. */
export function describeProgress(progress: BackupProgress, end?: BackupResult): string {
  const lines = [
    `### Backup ${progress.id} of ${progress.source}: ${end?.state ?? progress.phase}`,
    '',
    ...verdictOf(end),
    ...waitingLines(progress),
    [
      progress.plan && `plan ${progress.plan}`,
      `${end ? 'ran' : 'running'} for ${formatDuration(progress.elapsed)}`,
      progress.rate !== undefined && `reading ${formatBytes(progress.rate)}/s`,
      progress.timeLeft !== undefined && `about ${formatDuration(progress.timeLeft)} left, going by the last run`,
    ]
      .filter(Boolean)
      .join(', '),
    '',
  ];
  if (progress.parts.length > 0) {
    lines.push('| part | read | sealed | state |', '| --- | --- | --- | --- |');
    for (const part of progress.parts) {
      lines.push(
        `| ${part.part} | ${formatBytes(part.originalBytes)} | ${formatBytes(part.storedBytes)} | ${part.done ? 'done' : 'reading'} |`,
      );
    }
    lines.push('');
  }
  if (progress.copies.length > 0) {
    lines.push('| backend | state | uploaded | read back |', '| --- | --- | --- | --- |');
    for (const copy of progress.copies) {
      const state = copy.problem ? `${copy.state}: ${inCell(copy.problem)}` : copy.state + paceOf(copy);
      lines.push(
        `| ${copy.backend} | ${state} | ${formatBytes(copy.uploadedBytes)} | ${formatBytes(copy.verifiedBytes)} |`,
      );
    }
    lines.push('');
  }
  for (const warning of progress.warnings) lines.push(`- ${inCell(warning)}`);
  return lines.join('\n');
}

function waitingLines({ source, waitingFor }: BackupProgress): string[] {
  if (waitingFor === undefined) return [];
  const { purpose, workflowId, since } = waitingFor;
  return [`Waits for the ${purpose} \`${workflowId}\`, which has been working on ${source} since ${since}.`, ''];
}

function paceOf({ state, bandwidth }: CopyProgress): string {
  if (bandwidth === undefined || state !== 'uploading') return '';
  return bandwidth === null ? ', no limit' : `, at most ${formatBytes(bandwidth)}/s`;
}

function verdictOf(end: BackupResult | undefined): string[] {
  if (end === undefined || end.reasons.length === 0) return [];
  const advice = end.problem?.advice;
  return [...end.reasons.map((reason) => `- ${inCell(reason)}`), ...(advice ? ['', inCell(advice)] : []), ''];
}

function inCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
