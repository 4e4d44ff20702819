import { formatBytes, formatDuration } from '../../core/format.ts';
import { describeDifference } from '../../core/drill/differences.ts';
import { CATALOG_PENDING } from '../../core/catalog/pending.ts';
import type { DrillAssignment, DrillProgress, DrillResult, PastDrill } from '../../core/drill/run.ts';

/** A drill's story for the Web UI, in the Markdown that its current details show. */
export function describeDrill(progress: DrillProgress, assignment?: DrillAssignment, end?: DrillResult): string {
  const { source, phase, parts, waitingFor, problem } = progress;
  const lines = [`### Drill of ${source}: ${end?.outcome ?? phase}`, ''];
  if (phase === 'waiting' && waitingFor)
    lines.push(`Waits for the ${waitingFor.purpose} \`${waitingFor.workflowId}\`.`, '');
  if (assignment) {
    const { location, kind, startedAt, backend, bytes, usual } = assignment;
    lines.push(
      `Backup ${location.backup} (${kind}, ${startedAt}) from ${backend}, ${formatBytes(bytes)}` +
        (usual === undefined ? '' : `, usually recovered in ${formatDuration(usual)}`),
      '',
      '| part | state | read |',
      '| --- | --- | --- |',
      ...parts.map(({ part, state, bytes: read }) => `| ${part} | ${state} | ${formatBytes(read)} |`),
      '',
    );
  }
  if (!end && problem !== undefined) lines.push(`**${inline(problem)}**`, '');
  if (end) lines.push(...describeEnd(end));
  const past = assignment?.past ?? [];
  if (past.length > 0) lines.push('#### Drills before', '', ...trend(past));
  return lines.join('\n');
}

function describeEnd({ recovery, problem, parts, warnings, leftBehind, catalog }: DrillResult): string[] {
  const differences = parts.flatMap((part) => part.differences.map(describeDifference));
  return [
    ...(recovery === undefined ? [] : [`Time to recover: **${formatDuration(recovery)}**`, '']),
    ...(problem ? [problem.message, ...(problem.advice ? [problem.advice] : []), ''] : []),
    ...differences.map((text) => `- ${inline(text)}`),
    ...leftBehind.map((text) => `- ${inline(text)}`),
    ...warnings.map((text) => `- ${inline(text)}`),
    ...(catalog === 'pending' ? [`- ${CATALOG_PENDING}`] : []),
    '',
  ];
}

function trend(past: readonly PastDrill[]): string[] {
  return [
    '| when | backup | from | outcome | time to recover | size |',
    '| --- | --- | --- | --- | --- | --- |',
    ...past.map(
      ({ at, backup, backend, outcome, recovery, bytes }) =>
        `| ${at} | ${backup ?? '-'} | ${backend ?? '-'} | ${outcome} | ${formatDuration(recovery)} | ${formatBytes(bytes)} |`,
    ),
  ];
}

function inline(text: string): string {
  return text.replaceAll('\n', ' ');
}
