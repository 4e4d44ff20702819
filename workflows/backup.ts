import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  condition,
  defineQuery,
  defineSignal,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import {
  BACKUP_INPUT_EXAMPLE,
  backupInput,
  type BackupAssignment,
  type BackupInput,
  type BackupProgress,
  type BackupResult,
  type BackupStep,
  type ProgressReport,
  type SealedBackup,
  type SealedCopyStep,
} from '../core/backup/run.ts';
import { backupId } from '../core/repository/backupId.ts';
import { announceWrites } from './support/announceWrites.ts';
import { describeProgress } from './support/backupDetails.ts';
import {
  assign,
  beginAgain,
  beginRun,
  copiesIn,
  progressOf,
  takeReport,
  warn,
  type BackupRun,
  type CopyRun,
} from './support/backupRun.ts';
import { allowBandwidthChanges } from './support/bandwidth.ts';
import { healAfter } from './support/healAfter.ts';
import { invalidInput, parseInput } from './support/input.ts';
import { cleanUp, takeBack } from './support/cleanUp.ts';
import { describeLostHost, hostGone, isHostGone, lostTheHost } from './support/lostHost.ts';
import { problemOf } from './support/problem.ts';
import { recordResult, stepOf } from './support/recordResult.ts';
import { withSourceLock, type SourceLockOptions } from './support/sourceLock.ts';
import { open, preflight, publish, spoolSteps, verifyChecksum } from './support/steps.ts';

export const progressQuery = defineQuery<BackupProgress>('progress');
export const progressSignal = defineSignal<[ProgressReport]>('reportProgress');

/** What a workflow that starts a backup as its child may add. */
export interface BackupParent {
  /** The parent holds the source's lock. */
  readonly holdsLock: true;
}

/**
 * Backs up one source to every backend of a plan and proves each copy. Answers with a `verified` or `degraded` result;
 * a failed run fails the workflow with the reason, and carries the same result as the failure's detail.
 */
export async function backup(input: unknown, parent?: BackupParent): Promise<BackupResult> {
  const request = parseInput(backupInput, input, BACKUP_INPUT_EXAMPLE);
  const { startTime } = workflowInfo();
  const run = beginRun(backupId(startTime, Math.random), request, startTime);
  announceWrites({ source: run.source, backup: run.id });
  const show = (end?: BackupResult) => setCurrentDetails(describeProgress(progressOf(run, Date.now()), end));
  setHandler(progressQuery, () => progressOf(run, Date.now()), { description: 'How far the backup is.' });
  setHandler(
    progressSignal,
    (report) => {
      takeReport(run, report);
      show();
    },
    { description: 'Sent by running steps; not for hands.' },
  );
  allowBandwidthChanges(run, show);

  const lock: SourceLockOptions = {
    purpose: 'backup',
    whenBusy: request.whenBusy ?? 'wait',
    onWaiting: (holder) => {
      run.phase = 'waiting';
      run.waitingFor = holder;
      show();
    },
  };

  const work = async () => {
    if (run.waitingFor) beginNow(run);
    await perform(run, request, show);
    return recordResult(run);
  };
  const underParent = parent?.holdsLock === true && workflowInfo().parent !== undefined;
  const recorded = await (underParent ? work() : withSourceLock(request.source, lock, work));
  const result = await healAfter(recorded);
  show(result);
  if (result.state === 'failed') throw failureOf(result);
  return result;
}

/** Does the work and notes in `run` how it went. Never rejects: what went wrong is in the run. */
async function perform(run: BackupRun, request: BackupInput, show: () => void): Promise<void> {
  try {
    await performSomewhere(run, request, show);
  } catch (error) {
    run.problem ??= problemOf(error);
  }
}

/** Hosts a run may lose before it fails. */
const MOST_LOST_HOSTS = 3;

/**
 * Backs up on the host that answers. When that host is lost before a copy stands, the backup begins again on another one,
 * under a new id, so that nothing the lost one may still write is ever taken for a part of it; where the same host
 * answers, it goes on.
 */
async function performSomewhere(run: BackupRun, request: BackupInput, show: () => void): Promise<void> {
  let lost: BackupStep | undefined;
  try {
    for (let hosts = 0; ; hosts += 1) {
      run.phase = 'preflight';
      show();
      const assignment = await preflight(request);
      if (lost !== undefined && lost.assignment.spoolQueue !== assignment.spoolQueue) {
        warn(run, describeLostHost(lost, `the backup began again on ${assignment.host}`));
        await takeBack(run, lost);
        beginNow(run);
      }
      lost = undefined;
      assign(run, assignment);
      const step = stepOf(run, assignment);
      try {
        await performHere(run, step, show);
        return;
      } catch (error) {
        if (!isHostGone(error)) throw error;
        lost = step;
        if (hosts === MOST_LOST_HOSTS) throw error;
      }
    }
  } finally {
    if (lost !== undefined) await takeBack(run, lost);
  }
}

/** Rejects with `HostGone`, and has cleaned up nothing then, if the spool's host is lost and no copy stands. */
async function performHere(run: BackupRun, step: BackupStep, show: () => void): Promise<void> {
  let lost = false;
  try {
    run.phase = 'dump';
    show();
    await sealAndCopy(run, step, show);
  } catch (error) {
    lost = isHostGone(error);
    throw error;
  } finally {
    if (!lost) await cleanUp(run, step);
  }
}

/**
 * The dump and all uploads side by side; each copy goes its own way to its manifest as fast as it can. A backend that
 * fails or lags is noted and holds up nobody.
 */
async function sealAndCopy(run: BackupRun, step: BackupStep, show: () => void): Promise<void> {
  const spool = spoolSteps(step.assignment);
  run.dumpBegun = Date.now();
  const dumping = new CancellationScope();
  const copying = new CancellationScope();
  const sealed = dumping.run(() => spool.dump(step));
  const opening: Opening = { done: !step.assignment.canOpen };
  const enter = (copy: CopyRun, state: CopyRun['state'], phase: BackupRun['phase']) => {
    copy.state = state;
    run.phase = phase;
    show();
  };

  const makeCopy = async (copy: CopyRun): Promise<void> => {
    try {
      copy.state = 'uploading';
      await uploadSealed(copy, step, sealed);
      const sealedStep: SealedCopyStep = { ...step, backend: copy.backend, sealed: await sealed };
      enter(copy, 'verifying', 'verify');
      await proveCopy(copy, sealedStep, opening);
      enter(copy, 'stored', 'publish');
      await publish.executeWithOptions({ summary: `on ${copy.backend}` }, [sealedStep]);
      copy.state = 'verified';
    } catch (error) {
      failCopy(copy, error);
      // Nobody is left to dump for. As long as one is, its copy is worth having, required number or not. Where the host is
      // gone, the dump will say so too.
      if (copiesIn(run, 'failed').length === run.copies.length && !lostTheHost(run)) dumping.cancel();
    }
    show();
  };

  const copies = copying.run(() => Promise.all(run.copies.map(makeCopy)));
  try {
    run.sealed = await sealed;
  } catch (error) {
    copying.cancel();
    await copies;
    stopIfCancelled();
    for (const copy of copiesIn(run, 'failed')) {
      if (copy.problem?.type === 'Cancelled')
        copy.problem = { type: 'Cancelled', message: 'Given up, because the dump failed.' };
    }
    // A dump that was ended because nobody was left to send it to is not to blame.
    if (isCancellation(error)) throw tooFewCopies(run, step.assignment);
    throw error;
  }
  warn(run, ...run.sealed.warnings);
  if (run.phase === 'dump') run.phase = 'upload';
  show();
  await copies;
  stopIfCancelled();
  if (copiesIn(run, 'verified').length === 0 && lostTheHost(run)) throw hostGone();
  if (copiesIn(run, 'verified').length < step.assignment.requiredCopies) throw tooFewCopies(run, step.assignment);
}

async function uploadSealed(copy: CopyRun, step: BackupStep, sealed: Promise<SealedBackup>): Promise<void> {
  const { upload } = spoolSteps(step.assignment);
  const begun = Date.now();
  const send = () => upload.executeWithOptions({ summary: `to ${copy.backend}` }, [{ ...step, backend: copy.backend }]);
  let uploaded = await send();
  // Sent before the dump had to start over: those bytes are not this backup's.
  while (uploaded.attempt !== (await sealed).attempt) uploaded = await send();
  copy.uploadDuration = Date.now() - begun;
  copy.bytes = copy.uploadedBytes = uploaded.bytes;
}

/** Milliseconds. */
const LEAST_PATIENCE = 60_000;

/** Whether what was sealed has been seen to open, and which copy is being opened to see it. */
interface Opening {
  done: boolean;
  by?: string;
}

/**
 * Reads a copy back. The first that is complete is opened, the others are hashed: what they hash to is the same. None
 * passes before one was opened, and when the one that was to be opened turns out bad, another one is: a backup that
 * nobody could read is no backup.
 */
async function proveCopy(copy: CopyRun, step: SealedCopyStep, opening: Opening): Promise<void> {
  const summary = `copy on ${copy.backend}`;
  const openIt = async () => {
    opening.by = copy.backend;
    try {
      copy.verifyDuration = (await open.executeWithOptions({ summary }, [step])).duration;
      copy.opened = opening.done = true;
    } finally {
      delete opening.by;
    }
  };
  if (!opening.done && opening.by === undefined) await openIt();
  else copy.verifyDuration = (await verifyChecksum.executeWithOptions({ summary }, [step])).duration;
  copy.verifiedBytes = copy.bytes;
  // A storage that hangs while its copy is being opened must not hold up the others for ever.
  const patience = LEAST_PATIENCE + 3 * (copy.verifyDuration ?? 0);
  await condition(() => opening.done || opening.by === undefined, patience);
  if (!opening.done) await openIt();
}

function beginNow(run: BackupRun): void {
  const now = new Date();
  beginAgain(run, backupId(now, Math.random), now);
  announceWrites({ source: run.source, backup: run.id });
}

function failCopy(copy: CopyRun, error: unknown): void {
  copy.state = 'failed';
  copy.opened = false;
  copy.problem = problemOf(error);
}

function tooFewCopies(run: BackupRun, assignment: BackupAssignment): ApplicationFailure {
  const problems = copiesIn(run, 'failed').map((copy) => `${copy.backend}: ${copy.problem?.message ?? 'no copy'}`);
  const kept = copiesIn(run, 'verified').map(({ backend }) => backend);
  const rest = kept.length === 0 ? '' : `; what was proven is kept on ${kept.join(', ')}`;
  return ApplicationFailure.nonRetryable(
    `Only ${kept.length} of the ${assignment.requiredCopies} required copies could be made. ${problems.join('; ')}${rest}`,
    'TooFewCopies',
    { advice: 'Mend the backends named above and run the backup again.' },
  );
}

function stopIfCancelled(): void {
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('Stopped on request.');
}

function failureOf(result: BackupResult): Error {
  const { problem, reasons } = result;
  if (problem?.type === 'Cancelled') return new CancelledFailure('Stopped on request.', [result]);
  const message = problem?.message ?? reasons.join('; ');
  if (problem?.type === 'InvalidInput') return invalidInput(message, problem.advice, BACKUP_INPUT_EXAMPLE, result);
  return ApplicationFailure.nonRetryable(message, problem?.type ?? 'TooFewCopies', result);
}
