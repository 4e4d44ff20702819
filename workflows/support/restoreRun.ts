import type { RestoringProgress, StepProblem } from '../../core/backup/run.ts';
import type { RestoreRecord } from '../../core/catalog/restores.ts';
import type { LockHolder } from '../../core/lockHolder.ts';
import { isWhole } from '../../core/restore/trees/describeTrees.ts';
import { partsOf } from '../../core/restore/flow.ts';
import type {
  Abortion,
  Approval,
  BackupToRestore,
  PlannedDatabase,
  RestoreInput,
  RestorePlan,
  RestoreProgress,
  RestoreResult,
  RestoreRunPhase,
  RestoreState,
  RestoreStep,
  RestoredTreeResult,
  TreeStep,
} from '../../core/restore/flow.ts';
import { droppedBy, keptDatabase } from '../../core/restore/names.ts';
import type { PassedOver, Reconciliation, RestoredDatabase } from '../../core/restore/run.ts';
import type { CheckOutcome } from '../../core/restore/reconcile/sqlChecks.ts';
import type { PlacedTree, RestoredTree, TakenBackTree, TreeComparison } from '../../core/restore/trees/trees.ts';

/** A restored database that was in place. */
export type SetAside = Pick<NonNullable<PlannedDatabase['replaces']>, 'name' | 'setAsideAs'>;

/** What the workflow knows of its run while it runs. */
export interface RestoreRun {
  readonly id: string;
  readonly input: RestoreInput;
  readonly startedAt: Date;
  phase: RestoreRunPhase;
  waitingFor?: LockHolder;
  plan?: RestorePlan;
  /** Milliseconds since the epoch. */
  approvalUntil?: number;
  approvedBy?: Approval;
  abortedBy?: Abortion;
  /** From here on neither an abort nor a cancellation is heeded: it is a matter of moments. */
  committed: boolean;
  /** The restored database is in place of the one before. */
  swapped: boolean;
  /** Something was put in place, and taken back. */
  undone: boolean;
  setAside?: SetAside;
  /** Restored files that were in place. */
  readonly setAsideTrees: TakenBackTree[];
  /** Names of the subscriptions in the restored database. */
  restoredSubscriptions?: readonly string[];
  /** Everything is where it belongs. */
  done: boolean;
  safetyBackup?: { readonly workflowId: string; readonly id?: string };
  restoring?: RestoringProgress;
  restored?: RestoredDatabase;
  readonly trees: Map<string, TreeRun>;
  createdRoles: readonly string[];
  reconciliation?: Reconciliation;
  checks: readonly CheckOutcome[];
  /** Milliseconds since the epoch. */
  recoveryBegun?: number;
  recoveryEnded?: number;
  readonly durations: Record<string, number>;
  problem?: StepProblem;
  readonly warnings: string[];
  end?: RestoreResult | undefined;
}

export interface TreeRun {
  restored?: RestoredTree;
  comparison?: TreeComparison;
  placed?: PlacedTree;
}

export function beginRestore(id: string, input: RestoreInput, startedAt: Date): RestoreRun {
  return {
    id,
    input,
    startedAt,
    phase: 'plan',
    committed: false,
    swapped: false,
    undone: false,
    done: false,
    setAsideTrees: [],
    trees: new Map(),
    createdRoles: [],
    checks: [],
    durations: {},
    warnings: [],
  };
}

/** What the steps after the plan are told that restore the database; undefined where none is restored. */
export function databaseStepOf(plan: RestorePlan): RestoreStep | undefined {
  return plan.database && { ...backupOf(plan), database: plan.database };
}

/** The same for each tree. */
export function treeStepsOf(plan: RestorePlan): TreeStep[] {
  const { trees = [], outsideLinks = false } = plan.files ?? {};
  return trees.map(({ place }) => ({ ...backupOf(plan), place, outsideLinks }));
}

function backupOf({ source, backup: { id, manifestSha256 }, copies }: RestorePlan): BackupToRestore {
  return { source, backup: { id, manifestSha256 }, copies };
}

/** What makes way by this plan, in words: a database of the same name is another one by its number. */
export function replacedBy(plan: RestorePlan | undefined): string {
  const trees = (plan?.files?.trees ?? []).flatMap(({ tree, keptAs }) =>
    keptAs.length > 0 ? [`files of ${tree}`] : [],
  );
  const database = plan?.database?.replaces;
  return (
    [...(database ? [`database ${database.name} (OID ${database.oid})`] : []), ...trees].join(' and ') || 'nothing'
  );
}

export function progressOf(run: RestoreRun, now: number): RestoreProgress {
  const { id, input, phase, waitingFor, plan, approvalUntil, restoring, safetyBackup, startedAt, warnings } = run;
  return {
    id,
    source: input.source,
    phase,
    ...(phase === 'waiting' && waitingFor && { waitingFor }),
    ...(plan && { plan }),
    ...(phase === 'approval' &&
      approvalUntil !== undefined && { approvalUntil: new Date(approvalUntil).toISOString() }),
    ...((phase === 'restore' || phase === 'files') && restoring && { restoring }),
    ...(phase === 'safety backup' && safetyBackup && { safetyBackup: safetyBackup.workflowId }),
    elapsed: now - startedAt.getTime(),
    warnings,
    ...(run.end && { result: run.end }),
  };
}

export function resultOf(run: RestoreRun, now: number): RestoreResult {
  const { id, input, startedAt, plan, restored, problem, recoveryBegun, recoveryEnded } = run;
  const database = plan?.database;
  const replaces = database?.replaces;
  return {
    id,
    source: input.source,
    state: stateOf(run),
    ...(problem && { problem }),
    startedAt: startedAt.toISOString(),
    duration: now - startedAt.getTime(),
    ...(plan && { plan }),
    ...(run.approvedBy && { approvedBy: run.approvedBy }),
    ...(run.abortedBy && { abortedBy: run.abortedBy }),
    ...(run.safetyBackup?.id !== undefined && { safetyBackup: run.safetyBackup.id }),
    ...(restored && { backend: restored.backend }),
    passedOver: uniquely([
      ...(plan?.passedOver ?? []),
      ...(restored?.passedOver ?? []),
      ...[...run.trees.values()].flatMap((tree) => tree.restored?.passedOver ?? []),
    ]),
    createdRoles: run.createdRoles,
    ...(run.reconciliation && { reconciliation: run.reconciliation }),
    checks: run.checks,
    durations: { ...run.durations },
    ...(recoveryBegun !== undefined && recoveryEnded !== undefined && { recovery: recoveryEnded - recoveryBegun }),
    ...(database && (run.swapped || run.done) && { database: database.name }),
    trees: treeResults(run),
    ...(replaces && run.swapped && { kept: keptDatabase(replaces, id) }),
    ...(run.setAside && {
      setAside: {
        name: run.setAside.setAsideAs,
        ...droppedBy(run.setAside.setAsideAs, {
          template: replaces?.template,
          subscriptions: run.restoredSubscriptions,
        }),
      },
    }),
    ...(run.setAsideTrees.length > 0 && { setAsideTrees: run.setAsideTrees }),
    warnings: [...run.warnings, ...(restored?.warnings ?? [])],
  };
}

function treeResults({ trees, done }: RestoreRun): RestoredTreeResult[] {
  return [...trees.values()].flatMap(({ restored, comparison, placed }) =>
    done && restored && comparison && placed ? [{ ...placed, restored, comparison }] : [],
  );
}

function uniquely(passedOver: readonly PassedOver[]): PassedOver[] {
  return passedOver.filter(
    ({ backend, reason }, index) =>
      passedOver.findIndex((each) => each.backend === backend && each.reason === reason) === index,
  );
}

function stateOf({ input, plan, swapped, undone, done, checks, trees, problem }: RestoreRun): RestoreState {
  const whole = [...trees.values()].every(({ restored, comparison }) => !restored || isWhole(restored, comparison));
  const asWished = checks.every(({ passed }) => passed) && (plan?.newer ?? []).length === 0;
  if (done) return whole && asWished ? 'restored' : 'degraded';
  // It could not be taken back.
  if (swapped) return 'degraded';
  if (undone) return 'undone';
  return input.dryRun && problem === undefined ? 'planned' : 'failed';
}

/** What the catalog keeps of it; undefined for what was only looked at or misspelt. */
export function recordOf(
  { input, recoveryBegun, problem, done }: RestoreRun,
  result: RestoreResult,
  run: { readonly workflowId: string; readonly runId: string },
  now: number,
): RestoreRecord | undefined {
  const { plan, durations, recovery, reconciliation } = result;
  if (input.dryRun || plan === undefined || problem?.type === 'InvalidInput') return undefined;
  const aborted = problem?.type === 'Cancelled';
  return {
    ...run,
    kind: 'restore',
    mode: plan.mode,
    source: plan.source,
    backup: plan.backup.id,
    backend: result.backend,
    parts: partsOf(plan),
    partial: input.tables !== undefined || input.paths !== undefined,
    target: plan.database?.name,
    outcome: done ? 'succeeded' : aborted ? 'aborted' : recoveryBegun === undefined ? 'refused' : 'failed',
    problem,
    startedAt: result.startedAt,
    endedAt: new Date(now).toISOString(),
    recovery,
    phases: durations,
    differenceCount: reconciliation?.differenceCount,
  };
}
