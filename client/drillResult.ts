import { CATALOG_PENDING } from '../core/catalog/pending.ts';
import { describeDifference } from '../core/drill/differences.ts';
import type { DrilledPart, DrillProgress, DrillResult } from '../core/drill/run.ts';
import { formatBytes, formatDuration } from '../core/format.ts';
import type { ProgressView } from './progress.ts';
import { EXIT_CODES, type ExitCode, type Style, type Terminal } from './terminal.ts';

export function exitCodeOfDrill({ leftBehind }: DrillResult): ExitCode {
  return leftBehind.length > 0 ? EXIT_CODES.degraded : EXIT_CODES.done;
}

/** A finished drill for people: verdict, time to recover, what was compared, and every difference that is known. */
export function describeDrillResult(result: DrillResult, terminal: Terminal): string {
  const { source, outcome, backup, backend, recovery, usual, bytes, parts } = result;
  const of = backup === undefined ? '' : `, backup ${backup} from ${backend ?? '-'}, ${formatBytes(bytes)}`;
  const remarks = [
    ...parts.flatMap((part) => part.differences.map((each) => `${each.severity}: ${describeDifference(each)}`)),
    ...result.leftBehind.map((text) => `Left behind: ${text}`),
    ...(result.heal === undefined ? [] : [`Healing: ${result.heal} makes the copy whole again.`]),
    ...result.warnings.map((warning) => `Note: ${warning}`),
    ...(result.catalog === 'pending' ? [`Note: ${CATALOG_PENDING}`] : []),
  ];
  return [
    `Drill of ${source}${of}: ${terminal.paint(COLOURS[outcome], outcome)}`,
    ...(recovery === undefined ? [] : [`Time to recover: ${formatDuration(recovery)}${usually(usual)}`]),
    ...(parts.length === 0 ? [] : ['', partsTable(parts, terminal)]),
    ...(remarks.length === 0 ? [] : ['', ...remarks]),
  ].join('\n');
}

export function viewOfDrill({ phase, waitingFor, parts, backup, backend, problem }: DrillProgress): ProgressView {
  const waiting = phase === 'waiting' && waitingFor ? ` for the ${waitingFor.purpose} ${waitingFor.workflowId}` : '';
  const of = backup === undefined ? '' : ` ${backup} from ${backend ?? '-'}`;
  return {
    phase: `${phase}${waiting}${of}`,
    lines: parts.map(({ part, state, bytes }) => ({ label: part, done: bytes, state })),
    ...(phase === 'removing' && problem !== undefined && { notice: problem }),
  };
}

export function isDrillResult(detail: unknown): detail is DrillResult {
  return typeof detail === 'object' && detail !== null && 'leftBehind' in detail && 'outcome' in detail;
}

const COLOURS: Readonly<Record<DrillResult['outcome'], Style>> = { passed: 'green', failed: 'red', aborted: 'yellow' };

function usually(usual: number | undefined): string {
  return usual === undefined ? '' : ` (usually ${formatDuration(usual)})`;
}

function partsTable(parts: readonly DrilledPart[], terminal: Terminal): string {
  const rows = parts.map(({ part, bytes, phases, compared, differenceCount, checks }) => [
    part,
    formatBytes(bytes),
    formatDuration(Object.values(phases).reduce((sum, each) => sum + each, 0)),
    compared,
    differenceCount === 0 ? '0' : terminal.paint('red', String(differenceCount)),
    checks.length === 0 ? '-' : `${checks.filter(({ passed }) => passed).length} of ${checks.length}`,
  ]);
  return terminal.table(['PART', 'SIZE', 'TIME', 'COMPARED', 'DIFFERENCES', 'CHECKS PASSED'], rows);
}
