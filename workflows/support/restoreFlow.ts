import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  ChildWorkflowFailure,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import type { BackupResult } from '../../core/backup/run.ts';
import type { RestoredStep, RestorePlan, RestoreRunPhase, RestoreStep, SwapStep } from '../../core/restore/flow.ts';
import type { Reconciliation } from '../../core/restore/run.ts';
import { backup } from '../backup.ts';
import { problemOf } from './problem.ts';
import { stepOf, type RestoreRun } from './restoreRun.ts';
import {
  checkDatabase,
  createRoles,
  dropDead,
  dropUnfinished,
  reconcileDatabase,
  releaseDatabase,
  restoreDatabase,
  swapDatabases,
  undoSwap,
} from './restoreSteps.ts';

/**
 * The part of a restore that changes something, under the source's lock. What it was making is gone when this rejects,
 * and what is in place is what was there before.
 */
export async function performRestore(run: RestoreRun, show: () => void): Promise<void> {
  const { plan, input } = run;
  if (plan === undefined) throw new TypeError('what is restored was planned');
  const step = stepOf(plan);
  if (plan.safetyBackup) await phase(run, show, 'safety backup', () => backUpBefore(run, plan));
  run.recoveryBegun = Date.now();
  try {
    await attempt(run, 'What dead restores left could not be looked for', () => dropDead(step));
    if (input.createRoles && plan.database && plan.database.createRoles.length > 0)
      run.createdRoles = await phase(run, show, 'roles', () => createRoles(step));
    await phase(run, show, 'restore', async () => {
      run.restored = await restoreDatabase.executeWithOptions({ summary: `into ${step.database.target}` }, [step]);
    });
    const reconciled = await phase(run, show, 'reconcile', () => reconcileDatabase(step));
    run.reconciliation = reconciled.reconciliation;
    requireEqual(step, reconciled.reconciliation);
    run.checks = await phase(run, show, 'checks', () => checkDatabase(step, step.database.target));
    const { oid, oldOid } = reconciled;
    if (step.database.replaces === undefined) await finishNew(run, { ...step, oid });
    else if (oldOid === undefined) throw gone(step.database.replaces.name);
    else await putInPlace(run, { ...step, oid, oldOid }, show);
    run.recoveryEnded = Date.now();
  } finally {
    if (!run.inPlace && !run.released) {
      if (!run.undone) run.phase = 'clean-up';
      show();
      await CancellationScope.nonCancellable(() =>
        attempt(run, `The unfinished database ${step.database.target} may still be there`, () => dropUnfinished(step)),
      );
    }
  }
}

/** By the lock that the restore holds already. */
async function backUpBefore(run: RestoreRun, { source, id, safetyBackup }: RestorePlan): Promise<void> {
  const workflowId = `pre-restore-${source}-${id}`;
  run.safetyBackup = { workflowId };
  try {
    const result: BackupResult = await executeChild(backup, {
      workflowId,
      args: [
        // What is worth saving may be less than there was: that is why somebody restores.
        { source, ...safetyBackup, tier: 'pre-restore', acceptShrink: true },
        { holdsLock: true },
      ],
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      staticSummary: `Backup of ${source} before the restore ${workflowInfo().workflowId}`,
    });
    run.safetyBackup = { workflowId, id: result.id };
  } catch (error) {
    if (isCancellation(error)) throw error;
    const { type, message } = problemOf(error instanceof ChildWorkflowFailure ? error.cause : error);
    run.problem = {
      type,
      message: `What is in place could not be backed up: ${message}`,
      advice:
        'Nothing was changed. Mend it, or, where what is in place is not worth a backup, set safetyBackup to skip (--skip-safety-backup).',
    };
    throw ApplicationFailure.nonRetryable(run.problem.message, type);
  }
}

/** A check that does not pass keeps nobody from looking at a new database; it is only said. */
async function finishNew(run: RestoreRun, step: RestoredStep): Promise<void> {
  await toTheEnd(run, async () => {
    await releaseDatabase(step);
    run.released = true;
  });
}

/** Nothing interrupts it any more; an abort that came in the last moment is heeded. */
async function toTheEnd(run: RestoreRun, work: () => Promise<void>): Promise<void> {
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('Stopped on request.');
  run.committed = true;
  await CancellationScope.nonCancellable(work);
}

/** From here on nothing interrupts it until either database is in place for good. */
async function putInPlace(run: RestoreRun, step: SwapStep, show: () => void): Promise<void> {
  requirePassed(run, 'It was not put in place.');
  await toTheEnd(run, async () => {
    try {
      await phase(run, show, 'swap', () => swapDatabases(step));
      run.inPlace = true;
      run.checks = await phase(run, show, 'checks', () => checkDatabase(step, step.database.name));
      requirePassed(run, `The database of before is back in place as ${step.database.name}.`);
    } catch (error) {
      run.problem ??= problemOf(error);
      await phase(run, show, 'undo', () => takeBack(run, step));
      throw error;
    }
  });
}

/** Also where the swap failed: its answer may be what was lost. */
async function takeBack(run: RestoreRun, step: SwapStep): Promise<void> {
  const { inPlace } = run;
  try {
    await undoSwap(step);
    run.inPlace = false;
    run.undone = inPlace;
  } catch (error) {
    const { message, advice = '' } = problemOf(error);
    run.warnings.push(`The swap could not be taken back: ${message}. ${advice}`);
  }
}

function requireEqual({ backup: { id }, database: { target } }: RestoreStep, found: Reconciliation): void {
  if (found.equal) return;
  const named = found.differences
    .filter(({ severity }) => severity === 'difference')
    .slice(0, 10)
    .map((each) => `${each.kind} ${each.object}: ${each.what} ${each.expected} -> ${each.found}`);
  throw ApplicationFailure.nonRetryable(
    `What was restored of ${id} into ${target} is not what was dumped, in ${found.differenceCount} things: ${named.join('; ')}`,
    'RestoreFailed',
    { advice: 'Nothing was changed. Look at the differences, and restore another backup.' },
  );
}

function requirePassed({ checks }: RestoreRun, consequence: string): void {
  const failed = checks.filter(({ passed }) => !passed);
  if (failed.length === 0) return;
  const named = failed.map(({ name, found }) => `"${name}" (found: ${found ?? 'nothing'})`);
  throw ApplicationFailure.nonRetryable(`The restored database does not pass ${named.join(', ')}`, 'RestoreFailed', {
    advice: `${consequence} Restore another backup, or restore into a new database (mode new) to look at it.`,
  });
}

function gone(name: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(`Database ${name} is gone since the restore was planned`, 'RefusedForSafety', {
    advice: 'Start the restore again: it will be made anew.',
  });
}

async function phase<Result>(
  run: RestoreRun,
  show: () => void,
  name: RestoreRunPhase,
  work: () => Promise<Result>,
): Promise<Result> {
  run.phase = name;
  show();
  const begun = Date.now();
  try {
    return await work();
  } finally {
    run.durations[name] = (run.durations[name] ?? 0) + Date.now() - begun;
  }
}

async function attempt(run: RestoreRun, otherwise: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isCancellation(error)) throw error;
    run.warnings.push(`${otherwise}: ${problemOf(error).message}`);
  }
}
