import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { ProgressReport, StepProblem } from '../core/backup/run.ts';
import { formatDuration } from '../core/format.ts';
import {
  abortion,
  ABORTION_EXAMPLE,
  approval,
  APPROVAL_EXAMPLE,
  RESTORE_INPUT_EXAMPLE,
  restoreInput,
  type RestoreProgress,
  type RestoreResult,
} from '../core/restore/flow.ts';
import { restoreId } from '../core/restore/names.ts';
import { invalidInput, parseInput } from './support/input.ts';
import { problemOf } from './support/problem.ts';
import { describeRestore } from './support/restoreDetails.ts';
import { performRestore } from './support/restoreFlow.ts';
import { beginRestore, progressOf, recordOf, replacedBy, resultOf, type RestoreRun } from './support/restoreRun.ts';
import { recordNowOrLater } from './support/recordRecovery.ts';
import { planRestore } from './support/restoreSteps.ts';
import { withSourceLock } from './support/sourceLock.ts';

const progressQuery = defineQuery<RestoreProgress>('progress');
const progressSignal = defineSignal<[ProgressReport]>('reportProgress');
const approveUpdate = defineUpdate<string, [unknown]>('approve');
const abortUpdate = defineUpdate<string, [unknown]>('abort');

/**
 * Restores a backup of a source: shows what it would do, waits until somebody approves it where that is asked for, restores
 * into a new database, holds it against what was dumped, and only then lets it take the place of the one before, which is
 * kept. Whatever fails, the database in place is the one of before or the restored one.
 */
export async function restore(input: unknown): Promise<RestoreResult> {
  const request = parseInput(restoreInput, input, RESTORE_INPUT_EXAMPLE);
  const { startTime } = workflowInfo();
  const run = beginRestore(restoreId(startTime, Math.random), request, startTime);
  const show = (end?: RestoreResult) => {
    run.end = end;
    setCurrentDetails(describeRestore(progressOf(run, Date.now()), end));
  };
  const work = new CancellationScope();
  listen(run, show, () => work.cancel());
  try {
    await work.run(() => perform(run, show));
  } catch (error) {
    // A failure that came before the abort did anything is what it ended with.
    run.problem ??= isCancellation(error) ? stopped(run) : problemOf(error);
  }
  run.phase = 'done';
  const result = await CancellationScope.nonCancellable(() => record(run, resultOf(run, Date.now())));
  show(result);
  if (run.problem) throw failureOf(run.problem, result);
  return result;
}

async function perform(run: RestoreRun, show: () => void): Promise<void> {
  await plan(run, show);
  if (run.input.dryRun) return;
  const approved = await awaitApproval(run, show);
  let waited = approved;
  const lock = {
    purpose: 'restore',
    whenBusy: run.input.whenBusy ?? 'wait',
    onWaiting: (holder: RestoreRun['waitingFor'] & {}) => {
      waited = true;
      run.phase = 'waiting';
      run.waitingFor = holder;
      show();
    },
  };
  await withSourceLock(run.input.source, lock, async () => {
    // What was seen before may be otherwise by now.
    if (waited) await planAgain(run, show);
    await performRestore(run, show);
  });
}

/** What was not shown, approved or confirmed is not replaced. */
async function planAgain(run: RestoreRun, show: () => void): Promise<void> {
  const shown = replacedBy(run.plan);
  await plan(run, show);
  const now = replacedBy(run.plan);
  if (now === shown) return;
  run.problem = {
    type: 'RefusedForSafety',
    message: `What would be replaced changed since the plan was shown: it was ${shown}, and is now ${now}`,
    advice: 'Nothing was changed. Start the restore again, and look at its plan.',
  };
  throw ApplicationFailure.nonRetryable(run.problem.message, run.problem.type);
}

/** The second plan is of the backup that the first one chose. */
async function plan(run: RestoreRun, show: () => void): Promise<void> {
  run.phase = 'plan';
  show();
  const { id, input, plan: earlier } = run;
  run.plan = await (earlier === undefined
    ? planRestore({ id, input })
    : planRestore(
        {
          id,
          input: { ...withoutTime(input), backup: earlier.backup.id },
          manifestSha256: earlier.backup.manifestSha256,
        },
        earlier.files?.hostQueue,
      ));
  // The second one was told which backup: whether that is the newest, only the first one asked.
  if (earlier?.newer) run.plan = { ...run.plan, newer: earlier.newer };
  show();
  const failures = run.plan.findings.filter(({ severity }) => severity === 'failure');
  if (failures.length === 0) return;
  const misspelt = failures.find(({ type }) => type === 'InvalidInput');
  run.problem = {
    type: misspelt ? 'InvalidInput' : 'RefusedForSafety',
    message: failures.map(({ message }) => message).join('; '),
    advice: failures.map(({ advice }) => advice).join(' '),
  };
  throw ApplicationFailure.nonRetryable(run.problem.message, run.problem.type);
}

function withoutTime({ before: _before, ...input }: RestoreRun['input']): RestoreRun['input'] {
  return input;
}

/** Whether it had to be waited for. */
async function awaitApproval(run: RestoreRun, show: () => void): Promise<boolean> {
  const wanted = run.plan?.approval;
  if (!wanted?.needed) return false;
  run.phase = 'approval';
  run.approvalUntil = Date.now() + wanted.timeout;
  show();
  if (await condition(() => run.approvedBy !== undefined, wanted.timeout)) return true;
  run.problem = {
    type: 'RefusedForSafety',
    message: `Nobody approved the restore within ${formatDuration(wanted.timeout)}`,
    advice: 'Nothing was changed. Start it again, and approve it in time.',
  };
  throw ApplicationFailure.nonRetryable(run.problem.message, run.problem.type);
}

function listen(run: RestoreRun, show: () => void, stop: () => void): void {
  setHandler(progressQuery, () => progressOf(run, Date.now()), {
    description: 'How far the restore is, and its plan.',
  });
  setHandler(
    progressSignal,
    ({ restored }) => {
      if (restored) run.restoring = restored;
      show();
    },
    { description: 'Sent by running steps; not for hands.' },
  );
  setHandler(
    approveUpdate,
    (payload) => {
      run.approvedBy = parseInput(approval, payload, APPROVAL_EXAMPLE);
      return `Approved by ${run.approvedBy.by}: the restore goes on.`;
    },
    {
      description: `Let the restore that is shown go on. ${APPROVAL_EXAMPLE}`,
      validator: (payload) => {
        parseInput(approval, payload, APPROVAL_EXAMPLE);
        if (run.phase !== 'approval' || run.approvedBy)
          throw ApplicationFailure.nonRetryable('Nothing waits to be approved.', 'InvalidInput');
      },
    },
  );
  setHandler(
    abortUpdate,
    (payload) => {
      run.abortedBy = parseInput(abortion, payload, ABORTION_EXAMPLE);
      stop();
      return `Aborted by ${run.abortedBy.by}: what was restored so far is removed, and all else stays as it is.`;
    },
    {
      description: `Stop the restore; nothing is changed. ${ABORTION_EXAMPLE}`,
      validator: (payload) => {
        parseInput(abortion, payload, ABORTION_EXAMPLE);
        const late = tooLateToAbort(run);
        if (late !== undefined) throw ApplicationFailure.nonRetryable(`It is too late: ${late}.`, 'InvalidInput');
        if (run.abortedBy) throw ApplicationFailure.nonRetryable('It is being aborted already.', 'InvalidInput');
      },
    },
  );
}

function tooLateToAbort({ committed, done, phase }: RestoreRun): string | undefined {
  if (phase === 'done' || (phase === 'clean-up' && !done)) return 'the restore has ended, and removes what it made';
  return committed ? 'the restored database takes its place' : undefined;
}

/** Aborted or cancelled, which is heeded only as long as nothing is in place. */
function stopped({ abortedBy: abort, createdRoles }: RestoreRun): StepProblem {
  const reason = abort?.reason === undefined ? '' : `: ${abort.reason}`;
  return {
    type: 'Cancelled',
    message: abort === undefined ? 'Stopped on request.' : `Aborted by ${abort.by}${reason}`,
    advice:
      createdRoles.length === 0
        ? 'Nothing was changed.'
        : `Nothing was changed, but that these roles were made: ${createdRoles.join(', ')}.`,
  };
}

/** What was restored is restored whether or not the catalog hears of it now. */
async function record(run: RestoreRun, result: RestoreResult): Promise<RestoreResult> {
  const { workflowId, runId } = workflowInfo();
  const entry = recordOf(run, result, { workflowId, runId }, Date.now());
  if (entry === undefined) return result;
  const recorded = await recordNowOrLater({ record: entry });
  return recorded === 'pending' ? { ...result, catalog: 'pending' } : result;
}

function failureOf(problem: StepProblem, result: RestoreResult): Error {
  const { type, message, advice } = problem;
  if (type === 'Cancelled' && result.abortedBy === undefined)
    return new CancelledFailure('Stopped on request.', [result]);
  if (type === 'InvalidInput') return invalidInput(message, advice, RESTORE_INPUT_EXAMPLE, result);
  return ApplicationFailure.nonRetryable(message, type, result);
}
