import { CATALOG_PENDING } from '../../core/catalog/pending.ts';
import { formatBytes, formatDuration } from '../../core/format.ts';
import type { RestorePlan, RestoreProgress, RestoreResult } from '../../core/restore/flow.ts';
import { describeCompared } from '../../core/restore/reconcile/describeCompared.ts';
import { describeTakenBack, describeTree, wayBackOf } from '../../core/restore/trees/describeTrees.ts';
import { inPsql } from '../../core/restore/names.ts';
import { notTheNewest, planRows } from '../../core/restore/plan/planRows.ts';

/** A restore's story for the Web UI, in the Markdown that its current details show. */
export function describeRestore(progress: RestoreProgress, end?: RestoreResult): string {
  const { id, source, phase, plan, restoring, waitingFor, approvalUntil } = progress;
  return [
    `### Restore ${id} of ${source}: ${end?.state ?? phase}`,
    '',
    ...(end?.problem ? [`**${inCell(end.problem.message)}**`, '', inCell(end.problem.advice ?? ''), ''] : []),
    ...(approvalUntil === undefined
      ? []
      : [
          `**Waits for the update \`approve\` until ${approvalUntil}**, with \`{"by": "your name"}\`. The update \`abort\` ends it.`,
          '',
        ]),
    ...(waitingFor
      ? [`Waits for the ${waitingFor.purpose} \`${waitingFor.workflowId}\`, since ${waitingFor.since}.`, '']
      : []),
    ...(restoring
      ? [
          `Restoring the ${restoring.phase} from ${restoring.backend}: ${formatBytes(restoring.bytes)} of ${formatBytes(restoring.totalBytes)}.`,
          '',
        ]
      : []),
    ...(plan ? planLines(plan) : []),
    ...(end ? endLines(end) : []),
    ...(end?.warnings ?? progress.warnings).map((warning) => `- ${inCell(warning)}`),
    ...(end?.catalog === 'pending' ? [`- ${CATALOG_PENDING}`] : []),
  ].join('\n');
}

function planLines(plan: RestorePlan): string[] {
  return [
    ...notTheNewest(plan.backup.id, plan.newer).flatMap((line) => [`**${inCell(line)}**`, '']),
    '| | |',
    '| --- | --- |',
    ...planRows(plan).map(([name, value]) => `| ${name} | ${inCell(value)} |`),
    '',
    ...plan.findings.map(
      ({ severity, message, advice }) =>
        `- ${severity === 'failure' ? '**refused**' : 'note'}: ${inCell(message)}. ${inCell(advice)}`,
    ),
    '',
  ];
}

function endLines(result: RestoreResult): string[] {
  const { kept, setAside, reconciliation, checks, durations, safetyBackup, backend, trees } = result;
  const files = wayBackOf(trees);
  const takenBack = describeTakenBack(result.setAsideTrees);
  return [
    ...trees.flatMap(describeTree).map((line) => `- ${inCell(line)}`),
    ...(backend === undefined ? [] : [`Read from ${backend}.`, '']),
    ...Object.entries(durations).map(([name, duration]) => `- ${name}: ${formatDuration(duration)}`),
    '',
    ...(reconciliation
      ? [
          `${reconciliation.equal ? 'Equal to what was dumped' : `**${reconciliation.differenceCount} differences**`}: ${describeCompared(reconciliation.compared)}.`,
          '',
          ...reconciliation.differences
            .slice(0, 20)
            .map((each) =>
              inCell(
                `- ${each.kind} ${each.object}: ${each.what} ${each.expected} -> ${each.found} (${each.severity})`,
              ),
            ),
          ...[...reconciliation.notCarried, ...reconciliation.notices].slice(0, 20).map((each) => `- ${inCell(each)}`),
          '',
        ]
      : []),
    ...checks.map(({ name, passed, found }) =>
      inCell(`- check "${name}": ${passed ? 'passed' : `**not passed**, found ${found ?? 'nothing'}`}`),
    ),
    ...(safetyBackup === undefined ? [] : [`The state of before is backup ${safetyBackup}.`, '']),
    ...(kept
      ? [
          `The database of before is kept as ${kept.name}. To go back to it, in \`psql\` of another database:`,
          ...fenced('sql', kept.goBack),
          'When it is no longer needed:',
          ...fenced('sql', inPsql(kept.name, kept.parting, kept.drop)),
        ]
      : []),
    ...(setAside
      ? [
          `The restored database is kept as ${setAside.name}. When it is no longer needed:`,
          ...fenced('sql', inPsql(setAside.name, setAside.parting, setAside.drop)),
        ]
      : []),
    ...takenBack.said.map((line) => `- ${inCell(line)}`),
    ...(takenBack.drop.length > 0 ? ['When they are no longer needed:', ...fenced('sh', takenBack.drop)] : []),
    ...(files.goBack.length > 0 ? ['To have the files of before back:', ...fenced('sh', files.goBack)] : []),
    ...(files.drop.length > 0 ? ['When they are no longer needed:', ...fenced('sh', files.drop)] : []),
  ];
}

function fenced(language: string, lines: readonly string[]): string[] {
  return ['', '```' + language, ...lines, '```', ''];
}

/** What comes from databases and servers must not break the Markdown. */
function inCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ');
}
