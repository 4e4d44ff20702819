import type { StepProblem } from '../../core/backup/run.ts';
import type { RestoreRecord } from '../../core/catalog/restores.ts';
import type { LockHolder } from '../../core/lockHolder.ts';
import type {
  Abortion,
  Approval,
  RestoreInput,
  RestorePlan,
  RestoreProgress,
  RestoreResult,
  RestoreRunPhase,
  RestoreState,
  RestoreStep,
} from '../../core/restore/flow.ts';
import { keptDatabase } from '../../core/restore/names.ts';
import type { Reconciliation, RestoredDatabase, RestoreDatabaseProgress } from '../../core/restore/run.ts';
import type { CheckOutcome } from '../../core/restore/sqlChecks.ts';

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
  /** The restored database was put in place, and is there. */
  inPlace: boolean;
  /** It was there, and was taken back. */
  undone: boolean;
  /** A new database is whole and released. */
  released: boolean;
  safetyBackup?: { readonly workflowId: string; readonly id?: string };
  restoring?: RestoreDatabaseProgress;
  restored?: RestoredDatabase;
  createdRoles: readonly string[];
  reconciliation?: Reconciliation;
  checks: readonly CheckOutcome[];
  /** Milliseconds since the epoch. */
  recoveryBegun?: number;
  recoveryEnded?: number;
  readonly durations: Record<string, number>;
  problem?: StepProblem;
  readonly warnings: string[];
}

export function beginRestore(id: string, input: RestoreInput, startedAt: Date): RestoreRun {
  return {
    id,
    input,
    startedAt,
    phase: 'plan',
    committed: false,
    inPlace: false,
    undone: false,
    released: false,
    createdRoles: [],
    checks: [],
    durations: {},
    warnings: [],
  };
}

/** What the steps after the plan are told. */
export function stepOf({ source, backup: { id, manifestSha256 }, copies, database }: RestorePlan): RestoreStep {
  if (database === undefined) throw new TypeError('the plan restores a database');
  return { source, backup: { id, manifestSha256 }, copies, database };
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
    ...(phase === 'restore' && restoring && { restoring }),
    ...(phase === 'safety backup' && safetyBackup && { safetyBackup: safetyBackup.workflowId }),
    elapsed: now - startedAt.getTime(),
    warnings,
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
    passedOver: [...(plan?.passedOver ?? []), ...(restored?.passedOver ?? [])],
    createdRoles: run.createdRoles,
    ...(run.reconciliation && { reconciliation: run.reconciliation }),
    checks: run.checks,
    durations: { ...run.durations },
    ...(recoveryBegun !== undefined && recoveryEnded !== undefined && { recovery: recoveryEnded - recoveryBegun }),
    ...(database && (run.inPlace || run.released) && { database: database.name }),
    ...(replaces && run.inPlace && { kept: keptDatabase(replaces.name, replaces.keptAs, id) }),
    warnings: [...run.warnings, ...(restored?.warnings ?? [])],
  };
}

function stateOf({ input, inPlace, undone, released, checks, problem }: RestoreRun): RestoreState {
  if (inPlace) return 'restored';
  if (released) return checks.every(({ passed }) => passed) ? 'restored' : 'degraded';
  if (undone) return 'undone';
  return input.dryRun && problem === undefined ? 'planned' : 'failed';
}

/** What the catalog keeps of it; undefined for what was only looked at or misspelt. */
export function recordOf(
  { input, abortedBy, recoveryBegun, problem }: RestoreRun,
  result: RestoreResult,
  run: { readonly workflowId: string; readonly runId: string },
  now: number,
): RestoreRecord | undefined {
  const { plan, durations, recovery, reconciliation } = result;
  if (input.dryRun || plan === undefined || problem?.type === 'InvalidInput') return undefined;
  const succeeded = result.state === 'restored' || result.state === 'degraded';
  const aborted = abortedBy !== undefined || problem?.type === 'Cancelled';
  return {
    ...run,
    kind: 'restore',
    mode: plan.mode,
    source: plan.source,
    backup: plan.backup.id,
    backend: result.backend,
    parts: ['database'],
    partial: input.tables !== undefined,
    target: plan.database?.name,
    outcome: succeeded ? 'succeeded' : aborted ? 'aborted' : recoveryBegun === undefined ? 'refused' : 'failed',
    problem,
    startedAt: result.startedAt,
    endedAt: new Date(now).toISOString(),
    recovery,
    phases: durations,
    differenceCount: reconciliation?.differenceCount,
  };
}
