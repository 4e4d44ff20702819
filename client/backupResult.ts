import { CATALOG_PENDING } from '../core/catalog/pending.ts';
import type { BackupProgress, BackupResult } from '../core/backup/run.ts';
import { formatBytes, formatDuration, formatRatio } from '../core/format.ts';
import type { ProgressView } from './progress.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from './terminal.ts';

export function exitCodeOfBackup({ state }: BackupResult): ExitCode {
  return { verified: EXIT_CODES.done, degraded: EXIT_CODES.degraded, failed: EXIT_CODES.failed }[state];
}

/** A finished run for people: verdict, parts, copies, and what one should know. */
export function describeBackupResult(result: BackupResult, terminal: Terminal): string {
  const colour = { verified: 'green', degraded: 'yellow', failed: 'red' } as const;
  const proven = result.copies.filter(({ state }) => state === 'verified').length;
  const verdict = terminal.paint(colour[result.state], result.state);
  const head = `Backup ${result.id} of ${result.source} (${result.kind}, ${result.tier}): ${verdict}, ${proven} of ${result.copies.length} copies, ${formatDuration(result.duration)}`;
  return [
    head,
    ...section(partsTable(result, terminal)),
    ...section(copiesTable(result, terminal)),
    ...section(result.reasons.map((reason) => `Not verified: ${reason}`)),
    ...section(result.warnings.map((warning) => `Note: ${warning}`)),
    ...section(result.heal ? [`Healing: ${result.heal} makes the missing copies from the good ones.`] : []),
    ...section(result.catalog === 'pending' ? [`Note: ${CATALOG_PENDING}`] : []),
  ].join('\n');
}

export function viewOfBackup(progress: BackupProgress): ProgressView {
  return {
    phase: phaseOf(progress),
    lines: [
      ...progress.parts.map(({ part, originalBytes, done }) => ({
        label: part,
        done: originalBytes,
        rate: done ? undefined : progress.rate,
        state: done ? 'sealed' : 'reading',
      })),
      ...progress.copies.map(({ backend, uploadedBytes, state, problem }) => ({
        label: backend,
        done: uploadedBytes,
        state: problem === undefined ? state : `${state}: ${problem}`,
      })),
    ],
    timeLeft: progress.timeLeft,
  };
}

function phaseOf({ phase, waitingFor }: BackupProgress): string {
  if (waitingFor === undefined) return phase;
  return `${phase} for the ${waitingFor.purpose} ${waitingFor.workflowId}, under way since ${waitingFor.since}`;
}

export function isBackupResult(detail: unknown): detail is BackupResult {
  return typeof detail === 'object' && detail !== null && 'copies' in detail && 'reasons' in detail;
}

function section(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', ...lines];
}

function partsTable({ parts }: BackupResult, terminal: Terminal): string[] {
  if (parts.length === 0) return [];
  const rows = parts.map((part) => [
    part.part,
    formatBytes(part.originalBytes),
    formatBytes(part.compressedBytes),
    formatBytes(part.storedBytes),
    formatRatio(part.originalBytes, part.storedBytes),
    part.sha256.slice(0, 16),
  ]);
  return [terminal.table(['PART', 'ORIGINAL', 'COMPRESSED', 'STORED', 'RATIO', 'SHA-256'], rows)];
}

function copiesTable({ copies }: BackupResult, terminal: Terminal): string[] {
  if (copies.length === 0) return [];
  const rows = copies.map((copy) => [
    copy.backend,
    copy.state,
    copy.opened ? 'opened' : copy.state === 'verified' ? 'stored' : '-',
    formatBytes(copy.bytes),
    formatDuration(copy.uploadDuration),
    formatDuration(copy.verifyDuration),
    copy.problem?.message.split('\n')[0] ?? '',
  ]);
  return [terminal.table(['BACKEND', 'STATE', 'PROVEN', 'BYTES', 'UPLOAD', 'READ BACK', ''], rows)];
}
