import { CATALOG_PENDING } from '../core/catalog/pending.ts';
import type { Configuration, SourceConfiguration } from '../core/config/schema.ts';
import { formatDuration } from '../core/format.ts';
import { describeCompared } from '../core/restore/reconcile/describeCompared.ts';
import { describeTakenBack, describeTree, wayBackOf } from '../core/restore/trees/describeTrees.ts';
import { inPsql } from '../core/restore/names.ts';
import { notTheNewest, planRows } from '../core/restore/plan/planRows.ts';
import type { RestoreInput, RestoreProgress, RestoreResult, RestoreState } from '../core/restore/flow.ts';
import { startFormLink } from '../worker/connection.ts';
import type { ProgressView } from './progress.ts';
import type { ViewedRun } from './runWorkflow.ts';
import { EXIT_CODES, type ExitCode, type Style, type Terminal } from './terminal.ts';

export function exitCodeOfRestore({ state }: RestoreResult): ExitCode {
  const codes: Readonly<Record<RestoreState, ExitCode>> = {
    planned: EXIT_CODES.done,
    restored: EXIT_CODES.done,
    degraded: EXIT_CODES.degraded,
    undone: EXIT_CODES.failed,
    failed: EXIT_CODES.failed,
  };
  return codes[state];
}

export function isRestoreResult(detail: unknown): detail is RestoreResult {
  return typeof detail === 'object' && detail !== null && 'createdRoles' in detail && 'state' in detail;
}

export function viewOfRestore(progress: RestoreProgress, run: ViewedRun): ProgressView {
  const { phase, restoring, waitingFor, approvalUntil, safetyBackup } = progress;
  return {
    phase:
      waitingFor === undefined
        ? `${phase}${safetyBackup === undefined ? '' : `: ${safetyBackup}`}`
        : `waiting for the ${waitingFor.purpose} ${waitingFor.workflowId}`,
    lines: restoring
      ? [{ label: restoring.phase, done: restoring.bytes, total: restoring.totalBytes, state: restoring.backend }]
      : [],
    ...(approvalUntil !== undefined && { notice: askForApproval(progress, approvalUntil, run) }),
  };
}

/** What to know of a restore that nobody watches; undefined where it waits for nobody. */
export function unattendedRestore(
  { mode = 'new', confirm, dryRun }: RestoreInput,
  { approval }: SourceConfiguration['restore'],
  run: ViewedRun,
): string | undefined {
  if (dryRun) return undefined;
  if (approval === 'required') return ['It waits to be approved:', ...approvalCommands(run)].join('\n');
  if (mode === 'new' || confirm !== undefined) return undefined;
  return ['Where it replaces something, it waits to be approved:', ...approvalCommands(run)].join('\n');
}

function approvalCommands(run: ViewedRun): string[] {
  const update = (name: string, input: object) =>
    `temporal workflow update execute --address ${run.target.address} --namespace ${run.target.namespace} --workflow-id ${run.workflowId} --name ${name} --input '${JSON.stringify(input)}'`;
  return [
    `approve it in the Web UI${run.link === undefined ? '' : ` (${run.link})`}, or with`,
    `  ${update('approve', { by: 'your name' })}`,
    'or end it with',
    `  ${update('abort', { by: 'your name', reason: 'why' })}`,
  ];
}

function askForApproval({ plan }: RestoreProgress, until: string, run: ViewedRun): string {
  return [
    `waits to be approved until ${until}. ${plan?.approval.why ?? ''}`,
    ...(plan ? notTheNewest(plan.backup.id, plan.newer).map((line) => `  ${line}`) : []),
    ...(plan ? planRows(plan).map(([name, value]) => `  ${name}: ${value}`) : []),
    ...approvalCommands(run),
  ].join('\n');
}

/** A finished run for people: verdict, plan, what was compared and checked, and the way back. */
export function describeRestoreResult(
  result: RestoreResult,
  terminal: Terminal,
  { configuration, run }: { readonly configuration: Configuration; readonly run: ViewedRun },
): string {
  const { id, source, state, plan, kept, setAside, duration } = result;
  const head = `Restore ${id} of ${source}: ${terminal.paint(COLOURS[state], state)}, ${formatDuration(duration)}`;
  const files = wayBackOf(result.trees);
  const takenBack = describeTakenBack(result.setAsideTrees);
  const form = state === 'planned' ? startFormLink(configuration, run.target, 'restore', run) : undefined;
  return [
    head,
    ...(plan ? notTheNewest(plan.backup.id, plan.newer) : []),
    ...section(plan ? [terminal.table(['', ''], planRows(plan))] : []),
    ...section(
      plan
        ? plan.findings.map(
            ({ severity, message, advice }) => `${severity === 'failure' ? 'Refused' : 'Note'}: ${message}. ${advice}`,
          )
        : [],
    ),
    ...section(outcomeLines(result)),
    ...section(result.warnings.map((warning) => `Note: ${warning}`)),
    ...section(result.catalog === 'pending' ? [`Note: ${CATALOG_PENDING}`] : []),
    ...section(
      kept
        ? [
            `The database of before is kept as ${kept.name}. To go back to it, in psql of another database:`,
            ...kept.goBack.map((sql) => `  ${sql}`),
            'When it is no longer needed:',
            ...droppedIn(kept),
          ]
        : [],
    ),
    ...section(
      setAside
        ? [`The restored database is kept as ${setAside.name}. When it is no longer needed:`, ...droppedIn(setAside)]
        : [],
    ),
    ...section(
      takenBack.drop.length === 0
        ? []
        : [...takenBack.said, 'When they are no longer needed:', ...takenBack.drop.map((line) => `  ${line}`)],
    ),
    ...section(
      files.goBack.length === 0
        ? []
        : ['To have the files of before back:', ...files.goBack.map((line) => `  ${line}`)],
    ),
    ...section(
      files.drop.length === 0 ? [] : ['When they are no longer needed:', ...files.drop.map((line) => `  ${line}`)],
    ),
    ...section(
      form === undefined ? [] : [`To start it in the Web UI, with this input; take dryRun out of it:`, `  ${form}`],
    ),
  ].join('\n');
}

function outcomeLines({ database, backend, passedOver, reconciliation, checks, durations, ...rest }: RestoreResult) {
  const differences = reconciliation?.differences ?? [];
  return [
    ...(database === undefined
      ? []
      : [`Restored into ${database}${backend === undefined ? '' : `, from ${backend}`}.`]),
    ...rest.trees.flatMap(describeTree),
    ...(rest.approvedBy ? [`Approved by ${rest.approvedBy.by}.`] : []),
    ...passedOver.map((each) => `Passed over: ${each.backend}: ${each.reason}`),
    ...(rest.createdRoles.length > 0 ? [`Roles created: ${rest.createdRoles.join(', ')}`] : []),
    ...(rest.safetyBackup === undefined ? [] : [`The state of before is backup ${rest.safetyBackup}.`]),
    ...(reconciliation
      ? [
          `${reconciliation.equal ? 'Equal to what was dumped' : `${reconciliation.differenceCount} differences`}: ${describeCompared(reconciliation.compared)}.`,
        ]
      : []),
    ...differences.map(
      (each) => `${each.severity}: ${each.kind} ${each.object}: ${each.what} ${each.expected} -> ${each.found}`,
    ),
    ...checks.map(
      ({ name, passed, found }) => `Check "${name}": ${passed ? 'passed' : `NOT passed, found ${found ?? 'nothing'}`}`,
    ),
    ...(reconciliation?.notices ?? []).map((notice) => `Note: ${notice}`),
    ...(reconciliation?.notCarried ?? []).map((each) => `Not restored: ${each}`),
    ...(Object.keys(durations).length === 0
      ? []
      : [
          `Times: ${Object.entries(durations)
            .map(([name, time]) => `${name} ${formatDuration(time)}`)
            .join(', ')}`,
        ]),
  ];
}

function droppedIn({ name, parting, drop }: NonNullable<RestoreResult['setAside']>): string[] {
  return inPsql(name, parting, drop).map((line) => `  ${line}`);
}

const COLOURS: Readonly<Record<RestoreState, Style>> = {
  planned: 'green',
  restored: 'green',
  degraded: 'yellow',
  undone: 'red',
  failed: 'red',
};

function section(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', ...lines];
}
